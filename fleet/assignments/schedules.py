"""Reading schedules and effective profiles, and moving on when their time comes.

Schedules and bodies never change under their digest, so they are kept in memory once read.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import delete, exists, select, text

from fleet.assignments.kept import Kept
from fleet.assignments.models import EffectiveProfile, Schedule
from fleet.db import db, take_turn
from fleet.devices import states
from fleet.devices.models import DeviceState

_known: Kept[tuple[Mapping[str, Any], ...]] = Kept(4_096)


def load(digests: Collection[str]) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Return the entries of schedules by digest; at most one statement."""
    return _known.load(digests, _read)


def _read(digests: Collection[str]) -> Mapping[str, tuple[Mapping[str, Any], ...]]:
    rows = db.session.execute(select(Schedule.digest, Schedule.entries).where(Schedule.digest.in_(digests)))
    return {digest: tuple(entries) for digest, entries in rows}


@lru_cache(maxsize=16_384)
def _instant(told: str) -> datetime:
    return datetime.fromisoformat(told)


def entry_at(entries: Sequence[Mapping[str, Any]], now: datetime) -> Mapping[str, Any]:
    """Return the entry of a schedule that applies at ``now``."""
    return next(entry for entry in entries if entry["until"] is None or now < _instant(entry["until"]))


def ahead(entries: Sequence[Mapping[str, Any]], now: datetime, *, at_most: int) -> list[dict[str, Any]]:
    """Return a schedule from the entry that applies at ``now`` on, without gaps and open at both ends.

    Args:
        entries: the schedule.
        now: the instant.
        at_most: how many entries; what comes after them is left out.
    """
    first = next(place for place, one in enumerate(entries) if one["until"] is None or now < _instant(one["until"]))
    kept = [dict(entry) for entry in entries[first : first + at_most]]
    kept[0]["from"] = kept[-1]["until"] = None
    return kept


def next_switch(entries: Sequence[Mapping[str, Any]], now: datetime) -> datetime | None:
    """Return when the schedule next changes, None where it does not."""
    until = entry_at(entries, now)["until"]
    return _instant(until) if until is not None else None


def body(digest: str) -> bytes | None:
    """Return an effective profile's canonical bytes, None where there is none of this digest."""
    found = db.session.scalar(select(EffectiveProfile.body).where(EffectiveProfile.digest == digest))
    return found.encode() if found is not None else None


def may_fetch(device_id: int, digest: str) -> bool:
    """Whether a tablet's own schedule names this profile: others' profiles are none of its business."""
    schedule = db.session.scalar(select(DeviceState.schedule_digest).where(DeviceState.device_id == device_id))
    entries = load([schedule]).get(schedule, ()) if schedule is not None else ()
    return any(entry["profile"] == digest for entry in entries)


_ADVANCE = {
    "sqlite": """
        UPDATE device_state SET desired_digest = json_extract(j.value, '$.p'), desired_at = :now, polls_pending = 0,
               review_key = NULL, next_switch_at = json_extract(j.value, '$.n')
        FROM json_each(:rows) AS j
        WHERE schedule_digest = json_extract(j.value, '$.s') AND next_switch_at <= :now
    """,
    "postgresql": """
        UPDATE device_state SET desired_digest = j.p, desired_at = CAST(:now AS timestamptz), polls_pending = 0,
               review_key = NULL, next_switch_at = j.n
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS j(s text, p text, n timestamptz)
        WHERE schedule_digest = j.s AND next_switch_at <= CAST(:now AS timestamptz)
    """,
}


def stored_instant(moment: datetime | None) -> str | None:
    """Return an instant as text that compares equal to what the database stores, for statements written as text."""
    if moment is None:
        return None
    if db.session.get_bind().dialect.name == "sqlite":
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return moment.isoformat()


def advance(now: datetime) -> int:
    """Note for all tablets whose schedule has moved on what they shall have now; returns how many.

    One statement where nothing is due, else a bounded number.
    """
    due = select(DeviceState.schedule_digest).where(DeviceState.next_switch_at <= now).distinct()
    schedules = load([digest for digest in db.session.scalars(due) if digest is not None])
    if not schedules:
        return 0
    take_turn("assignments")  # else this and a change of assignments could wait for each other's rows
    states.lock(select(DeviceState.device_id).where(DeviceState.next_switch_at <= now))
    rows = [
        {"s": digest, "p": entry_at(entries, now)["profile"], "n": stored_instant(next_switch(entries, now))}
        for digest, entries in schedules.items()
    ]
    statement = text(_ADVANCE[db.session.get_bind().dialect.name])
    result = db.session.execute(statement, {"rows": json.dumps(rows), "now": stored_instant(now)})
    db.session.expire_all()
    return int(result.rowcount)  # type: ignore[attr-defined]


def forget_unused(*, older_than: timedelta, now: datetime) -> int:
    """Remove schedules, then effective profiles, that no tablet has or will have; returns how many."""
    take_turn("assignments")  # else somebody could begin to use what is about to go
    before = now - older_than
    in_use = exists().where(DeviceState.schedule_digest == Schedule.digest)
    gone = db.session.execute(delete(Schedule).where(Schedule.created_at < before, ~in_use))
    wanted = {entry["profile"] for entries in db.session.scalars(select(Schedule.entries)) for entry in entries}
    wanted |= set(db.session.scalars(select(DeviceState.applied_digest).distinct())) - {None}
    old = set(db.session.scalars(select(EffectiveProfile.digest).where(EffectiveProfile.created_at < before)))
    unused = sorted(old - wanted)
    for start in range(0, len(unused), 500):
        db.session.execute(delete(EffectiveProfile).where(EffectiveProfile.digest.in_(unused[start : start + 500])))
    _known.clear()
    return int(gone.rowcount) + len(unused)  # type: ignore[attr-defined]
