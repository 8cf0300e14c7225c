"""Reviewing tablets: from what they told to findings that open and close.

Invariants: the number of statements does not depend on the number of tablets; the same state reviewed again changes
nothing; a tablet that is not enrolled, or has not spoken since it enrolled, has no findings. What a tablet told before
it enrolled anew counts no more.

A review comes with a change (a report with something new, a tablet that moves or ends), or by itself when a grace is
over: ``DeviceState.review_at``, which :func:`review_due` follows. A silence ends with the first word heard after it.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, select, text

from fleet.assignments.kept import Kept
from fleet.assignments.models import EffectiveProfile
from fleet.assignments.schedules import stored_instant
from fleet.compliance import ledger, rules
from fleet.compliance.ledger import Change, Reviewed
from fleet.compliance.models import Finding, FindingKind
from fleet.compliance.rules import Outcome, Seen, Wanted
from fleet.db import db, follow, id_set
from fleet.devices import states
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment

_NOTHING = Wanted()
_wanted: Kept[Wanted] = Kept(4_096)  # what effective profiles ask for

_LOOK_AGAIN = {
    "postgresql": """
        UPDATE device_state SET review_at = r.a
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(d int, a timestamptz) WHERE device_id = r.d
    """,
    "sqlite": """
        UPDATE device_state SET review_at = json_extract(r.value, '$.a')
        FROM json_each(:rows) AS r WHERE device_id = json_extract(r.value, '$.d')
    """,
}


def review(device_ids: Collection[int], *, now: datetime) -> Reviewed:
    """Open and close the findings of tablets.

    Args:
        device_ids: which tablets.
        now: the instant.
    """
    if not device_ids:
        return Reviewed()
    db.session.flush()
    given = id_set(device_ids)
    states.lock(given)
    rows = db.session.execute(_rows().where(Device.id.in_(given))).all()
    standing: dict[int, list[Finding]] = defaultdict(list)
    for finding in ledger.standing(given):
        standing[finding.device_id].append(finding)
    wanted = _wanted.load({row.desired_digest for row in rows} - {None}, _read_wanted)
    change = Change()
    again: list[dict[str, Any]] = []
    for row in rows:
        is_open = {(one.kind, one.subject) for one in standing[row.id]}
        outcome = Outcome()
        if _has_spoken(row):
            outcome = rules.judge(_seen(row), wanted.get(row.desired_digest, _NOTHING), is_open=is_open, now=now)
        _compare(row, outcome, standing[row.id], change)
        if outcome.again_at != row.review_at:
            again.append({"d": row.id, "a": stored_instant(outcome.again_at)})
    opened, closed = ledger.write(change, now=now)
    if again:
        statement = text(_LOOK_AGAIN[db.session.get_bind().dialect.name])
        db.session.execute(statement, {"rows": json.dumps(again)})
        db.session.expire_all()
    return Reviewed(len(rows), opened, closed)


def _rows() -> Any:
    has_enrolled = and_(Enrolment.device_id == Device.id, Enrolment.ended_at.is_(None))
    return (
        select(
            Device.id,
            Device.life,
            Device.platform,
            Enrolment.enrolled_at,
            DeviceState.last_seen_at,
            DeviceState.review_at,
            DeviceState.facts,
            DeviceState.failures,
            DeviceState.applied_digest,
            DeviceState.applied_at,
            DeviceState.desired_digest,
            DeviceState.desired_at,
            DeviceState.polls_pending,
            DeviceState.storage_free_bytes,
            DeviceState.clock_offset_s,
        )
        .join(DeviceState, DeviceState.device_id == Device.id)
        .outerjoin(Enrolment, has_enrolled)
    )


def _has_spoken(row: Any) -> bool:
    """Whether a tablet has reported since it enrolled."""
    is_known = row.facts is not None and row.last_seen_at is not None
    return row.life is DeviceLife.ENROLLED and is_known and not (row.enrolled_at and row.last_seen_at < row.enrolled_at)


def _seen(row: Any) -> Seen:
    return Seen(
        row.facts,
        row.failures or (),
        applied_digest=row.applied_digest,
        applied_at=row.applied_at,
        desired_digest=row.desired_digest,
        desired_at=row.desired_at,
        polls_pending=row.polls_pending,
        storage_free_bytes=row.storage_free_bytes,
        clock_offset_s=row.clock_offset_s,
        platform=row.platform,
    )


def _compare(row: Any, outcome: Outcome, standing: Sequence[Finding], change: Change) -> None:
    """Note what of a tablet's findings is new, over, or told differently."""
    found = {one.name: one for one in outcome.findings}
    for finding in standing:
        if finding.kind == FindingKind.SILENT:
            if row.life is not DeviceLife.ENROLLED or _heard_since(row, finding.opened_at):
                change.closed.append(finding)
            continue
        still = found.pop((finding.kind, finding.subject), None)
        if still is None:
            change.closed.append(finding)
        elif finding.detail != still.detail:
            change.details[finding.id] = still.detail
    change.opened.extend((row.id, one) for one in found.values())


def _heard_since(row: Any, moment: datetime) -> bool:
    return any(heard is not None and heard >= moment for heard in (row.last_seen_at, row.enrolled_at))


def _read_wanted(digests: Collection[str]) -> Mapping[str, Wanted]:
    query = select(EffectiveProfile.digest, EffectiveProfile.body).where(EffectiveProfile.digest.in_(digests))
    return {digest: Wanted.of(json.loads(body)) for digest, body in db.session.execute(query)}


def review_due(*, now: datetime, at_most: int = 2_000) -> Reviewed:
    """Review the tablets whose grace is over, at most so many at once, the longest due first. For a job."""
    due = select(DeviceState.device_id).where(DeviceState.review_at <= now).order_by(DeviceState.review_at)
    return review(db.session.scalars(due.limit(at_most)).all(), now=now)


def _follow(ids: frozenset[int], now: datetime) -> None:
    review(ids, now=now)


def follow_changes() -> None:
    """Have findings follow reports and tablets' lives; the application calls this once, after assignments' own."""
    follow("report", _follow)
    follow("device", _follow)
