"""Reviewing tablets: from what they told to findings that open and close.

Invariants: the number of statements does not depend on the number of tablets; the same state reviewed again changes
nothing; a tablet that is not enrolled, or has not spoken since it enrolled, has no findings but that it is not
enrolled. What a tablet told before it enrolled anew counts no more.

A review comes with a change (a report with something new, a tablet that moves or ends), or by itself when a grace is
over or a rule has changed: ``DeviceState.review_at``, which :func:`review_due` follows. A silence ends with the first
word heard after it.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, select, text

from fleet.assignments.kept import Kept
from fleet.assignments.models import EffectiveProfile
from fleet.assignments.schedules import stored_instant
from fleet.compliance import deciding, documents, ledger, rules
from fleet.compliance.documents import NOTHING_WANTED, Seen, Wanted
from fleet.compliance.expressions import Evaluation
from fleet.compliance.ledger import Change, Reviewed
from fleet.compliance.models import OF_SILENCE, Finding
from fleet.compliance.rules import Name, Outcome, Past, Ready
from fleet.db import db, follow, id_set
from fleet.devices import states
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment, Platform

AT_ONCE = 2_000  # tablets of one review that is due
NO_RULES = deciding.InForce((), frozenset())
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


@dataclass(slots=True)
class _Known:
    """What was known of a tablet before."""

    standing: list[Finding] = field(default_factory=list)
    noticed: dict[Name, datetime] = field(default_factory=dict)

    def past(self) -> Past:
        """Return it for the rules."""
        return Past({(one.kind, one.subject) for one in self.standing}, self.noticed)


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
    looked_at = rows(given)
    known = _known(given) if any(row.is_known for row in looked_at) else defaultdict(_Known)
    judged = [row for row in looked_at if is_judged(row, now)]  # where there is none, no rule is asked for
    wanted = wanted_of(judged)
    judging = Judging(deciding.in_force() if judged else NO_RULES, now)
    change = Change()
    again: list[dict[str, Any]] = []
    for row in looked_at:
        outcome = judging.judge(row, wanted.get(row.desired_digest, NOTHING_WANTED), known[row.id].past())
        _compare(row, outcome, known[row.id], change)
        if outcome.again_at != row.review_at:
            again.append({"d": row.id, "a": stored_instant(outcome.again_at)})
    opened, closed = ledger.write(change, now=now)
    if judging.failed:
        deciding.note_failed(judging.failed, now=now)
    if again:
        statement = text(_LOOK_AGAIN[db.session.get_bind().dialect.name])
        db.session.execute(statement, {"rows": json.dumps(again)})
        db.session.expire_all()
    return Reviewed(len(looked_at), opened, closed)


def _known(given: Any) -> Mapping[int, _Known]:
    found: dict[int, _Known] = defaultdict(_Known)
    for finding in ledger.standing(given):
        found[finding.device_id].standing.append(finding)
    for wait in ledger.noticed(given):
        found[wait.device_id].noticed[wait.kind, wait.subject] = wait.noticed_at
    return found


class Judging:
    """Asks rules about tablets at one instant.

    Args:
        in_force: the rules.
        now: the instant.
    """

    def __init__(self, in_force: deciding.InForce, now: datetime) -> None:
        self.failed: set[str] = set()
        self._now = now
        self._in_force = in_force
        self._evaluation = Evaluation(now)
        self._for: dict[tuple[Platform | None, int | None, bool], tuple[Ready, ...]] = {}

    def judge(self, row: Any, wanted: Wanted, past: Past) -> Outcome:
        """Return what the rules say of a tablet, one of :func:`rows`."""
        if not is_judged(row, self._now):
            return Outcome()
        asked = self._rules_for(row, is_expected=row.life is DeviceLife.EXPECTED)
        outcome = rules.judge(asked, documents.document(seen(row), wanted), past, self._evaluation)
        self.failed |= outcome.failed
        broken = self._in_force.broken
        return outcome if not broken else Outcome(
            outcome.findings, outcome.waits, outcome.noticed, outcome.failed | broken, outcome.again_at
        )  # fmt: skip

    def _rules_for(self, row: Any, *, is_expected: bool) -> tuple[Ready, ...]:
        key = (row.platform, row.school_id, is_expected)
        if key not in self._for:
            self._for[key] = tuple(
                one
                for one in self._in_force.rules
                if one.rule.is_for(row.platform, row.school_id) and (one.looks_at_life or not is_expected)
            )
        return self._for[key]


def rows(given: Any) -> Sequence[Any]:
    """Return what rules need to know of the tablets that ``given`` selects; one statement."""
    has_enrolled = and_(Enrolment.device_id == Device.id, Enrolment.ended_at.is_(None))
    of_device = (Device.id, Device.life, Device.platform, Device.school_id, Device.class_id, Device.person_id)
    query: Any = (
        select(
            *of_device,
            Device.cart,
            Device.listed_at,
            Enrolment.enrolled_at,
            Enrolment.channel,
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
            DeviceState.battery_percent,
            DeviceState.clock_offset_s,
            ledger.is_known().label("is_known"),
        )
        .join(DeviceState, DeviceState.device_id == Device.id)
        .outerjoin(Enrolment, has_enrolled)
    )
    return db.session.execute(query.where(Device.id.in_(given))).all()


def is_judged(row: Any, now: datetime) -> bool:
    """Whether rules say anything of a tablet: one that is expected still, or has spoken."""
    return row.life is DeviceLife.EXPECTED or has_spoken(row, now)


def has_spoken(row: Any, now: datetime) -> bool:
    """Whether a tablet has reported since it enrolled.

    That it enrolled later than ``now`` was said by a clock that has been set back since, and tells nothing.
    """
    if row.life is not DeviceLife.ENROLLED or row.facts is None or row.last_seen_at is None:
        return False
    return row.enrolled_at is None or not row.last_seen_at < row.enrolled_at <= now


def seen(row: Any) -> Seen:
    """Return a tablet, one of :func:`rows`, as documents are made of it."""
    return Seen(
        row.facts or {},
        row.failures or (),
        applied_digest=row.applied_digest,
        applied_at=row.applied_at,
        desired_digest=row.desired_digest,
        desired_at=row.desired_at,
        polls_pending=row.polls_pending,
        storage_free_bytes=row.storage_free_bytes,
        clock_offset_s=row.clock_offset_s,
        battery_percent=row.battery_percent,
        platform=row.platform,
        life=row.life,
        school_id=row.school_id,
        has_class=row.class_id is not None,
        is_own=row.person_id is not None,
        cart=row.cart,
        channel=row.channel,
        listed_at=row.listed_at,
        enrolled_at=row.enrolled_at,
    )


def _compare(row: Any, outcome: Outcome, known: _Known, change: Change) -> None:
    """Note what of a tablet's findings is new, over, or told differently."""
    found = {one.name: one for one in outcome.findings}
    for finding in known.standing:
        if finding.kind in OF_SILENCE:
            if row.life is not DeviceLife.ENROLLED or _heard_since(row, finding.closed_at or finding.opened_at):
                _end(finding, change)
            continue
        still = found.pop((finding.kind, finding.subject), None)
        if still is None:
            if finding.kind not in outcome.failed:
                _end(finding, change)
        elif finding.closed_at is None and (finding.detail, finding.severity) != (still.detail, still.severity):
            change.told[finding.id] = still
            if finding.severity is not still.severity:
                change.regraded.append(finding.id)
    change.opened.extend((row.id, one) for one in found.values())
    change.noticed.extend((row.id, name) for name in outcome.noticed if name not in known.noticed)
    gone = (name for name in known.noticed if name not in outcome.noticed and name[0] not in outcome.failed)
    change.unnoticed.extend((row.id, name) for name in gone)


def _end(finding: Finding, change: Change) -> None:
    """Note that a finding's reason is over: it closes, or is mute no more."""
    (change.closed if finding.closed_at is None else change.unmuted).append(finding)


def _heard_since(row: Any, moment: datetime) -> bool:
    return any(heard is not None and heard >= moment for heard in (row.last_seen_at, row.enrolled_at))


def wanted_of(looked_at: Sequence[Any]) -> Mapping[str, Wanted]:
    """Return what the profiles ask for that tablets shall have, by digest; at most one statement."""
    return _wanted.load({row.desired_digest for row in looked_at} - {None}, _read_wanted)


def _read_wanted(digests: Collection[str]) -> Mapping[str, Wanted]:
    query = select(EffectiveProfile.digest, EffectiveProfile.body).where(EffectiveProfile.digest.in_(digests))
    return {digest: Wanted.of(json.loads(body)) for digest, body in db.session.execute(query)}


def review_due(*, now: datetime, at_most: int = AT_ONCE) -> Reviewed:
    """Review tablets whose grace is over or whose rules changed, at most so many at once, the longest due first."""
    due = select(DeviceState.device_id).where(DeviceState.review_at <= now).order_by(DeviceState.review_at)
    return review(db.session.scalars(due.limit(at_most)).all(), now=now)


def _follow(ids: frozenset[int], now: datetime) -> None:
    review(ids, now=now)


def follow_changes() -> None:
    """Have findings follow reports and tablets' lives; the application calls this once, after assignments' own."""
    follow("report", _follow)
    follow("device", _follow)
