"""What a draft of a rule would do, to one tablet or to the fleet: worked out, nothing stored.

The same code judges as in a review. The draft replaces the rule that it is of, and is looked at by itself: what other
rules find is left as it is.

Invariants: a process tries one draft on the fleet at a time, for at most :data:`LONGEST_S`, and pauses between tablets:
a legal expression may cost each tablet thousands of steps, and the threads beside it serve pages and check-ins.
"""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from fleet.access import Permission, Principal, require
from fleet.compliance import deciding, documents, review
from fleet.compliance.documents import NOTHING_WANTED
from fleet.compliance.expressions import Evaluation, ExpressionLimitError, compiled
from fleet.compliance.models import Finding, FindingWait
from fleet.compliance.rules import Found, Past, Ready, Rule, judge, ready
from fleet.compliance.ruling import Draft, as_rule
from fleet.db import db, id_set
from fleet.devices import queries as devices
from fleet.devices.models import Device, DeviceLife
from fleet.errors import ConflictError, NotFoundError
from fleet.schools.models import School

AT_MOST = 20_000  # tablets; a fleet is smaller
LONGEST_S = 15.0
EXAMPLES = 10
_FAILURES = 20  # after so many a draft is not tried on
_AT_ONCE = 500  # so that not all inventories are in memory together
_PAUSE_EVERY, _PAUSE_S = 20, 0.001  # tablets, and what lets whoever waits for the interpreter have it
TURN = threading.Lock()  # held while a draft is tried on the fleet


class TrialRunningError(ConflictError):
    """A draft is being tried on the fleet already."""

    code = "trial-running"


@dataclass(frozen=True, slots=True)
class Example:
    """A tablet with a finding that would open."""

    device_id: int
    serial: str
    asset_tag: str | None
    school: str | None
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """What a draft would do to the fleet.

    Args:
        opens: findings that would open at once.
        closes: open findings of the rule as it is that would close.
        stays: open ones that would stay.
        waits: what would be noticed, while its grace runs.
        tablets: tablets that were looked at.
        by_school: how many would open, by school id (None: without one).
        examples: some that would open.
        is_whole: whether all tablets were looked at; False: they are too many, or it took more than its bounds.
        failed: tablets where it took more than its bounds.
    """

    opens: int
    closes: int
    stays: int
    waits: int
    tablets: int
    by_school: Mapping[int | None, int]
    examples: tuple[Example, ...]
    is_whole: bool
    failed: int


@dataclass(frozen=True, slots=True)
class TabletTrial:
    """What a draft says of one tablet.

    Args:
        found: subjects of findings that would open or stay; "" where the finding needs no subject.
        waits_until: when those would open whose grace runs, the first of them; None: none waits.
        document: what the condition sees of the tablet.
        value: what the condition gives.
        has_failed: whether it took more than its bounds.
        is_for: whether the draft looks at this tablet at all.
    """

    found: tuple[str, ...]
    waits_until: datetime | None
    document: Mapping[str, Any]
    value: Any
    has_failed: bool = False
    is_for: bool = True


class _Trying:
    """A draft, what is open and mute of the rule it is of, and what has been counted."""

    def __init__(self, draft: Draft, now: datetime) -> None:
        before = deciding.named(draft.code, deciding.known()) if draft.code is not None else None
        rule: Rule = as_rule(draft, before)
        self.one: Ready = ready([rule])[0]
        self.evaluation = Evaluation(now)
        self._now = now
        self.open: dict[int, dict[str, bool]] = {}  # by tablet: subjects, and whether they are mute
        self.noticed: dict[int, dict[tuple[str, str], datetime]] = {}
        if before is not None:
            self._load(before.code)
        self.opens = self.closes = self.stays = self.waits = self.failed = self.tablets = 0
        self.by_school: Counter[int | None] = Counter()
        self.first: list[tuple[int, Found]] = []

    def _load(self, code: str) -> None:
        query = select(Finding.device_id, Finding.subject, Finding.is_mute).where(Finding.kind == code)
        for device_id, subject, mute in db.session.execute(query.where(Finding.stands())):
            self.open.setdefault(device_id, {})[subject] = mute
        waits = select(FindingWait).where(FindingWait.kind == code)
        for one in db.session.scalars(waits):
            self.noticed.setdefault(one.device_id, {})[one.kind, one.subject] = one.noticed_at

    def is_for(self, row: Any) -> bool:
        """Whether the draft looks at a tablet."""
        is_seen = review.has_spoken(row, self._now) or (row.life is DeviceLife.EXPECTED and self.one.looks_at_life)
        return is_seen and self.one.rule.is_for(row.platform, row.school_id)

    def look(self, row: Any, wanted: documents.Wanted) -> None:
        """Count what the draft says of a tablet."""
        self.tablets += 1
        mine = self.open.get(row.id, {})
        if not self.is_for(row):
            self.closes += sum(not mute for mute in mine.values())
            return
        past = Past({(self.one.rule.code, subject) for subject in mine}, self.noticed.get(row.id, {}))
        outcome = judge([self.one], documents.document(review.seen(row), wanted), past, self.evaluation)
        if outcome.failed:
            self.failed += 1
            return
        found = {one.subject: one for one in outcome.findings}
        self.closes += sum(not mute for subject, mute in mine.items() if subject not in found)
        self.stays += sum(not mute for subject, mute in mine.items() if subject in found)
        self.waits += len(outcome.waits)
        fresh = [one for subject, one in found.items() if subject not in mine]
        self.opens += len(fresh)
        if fresh:
            self.by_school[row.school_id] += len(fresh)
            if len(self.first) < EXAMPLES:
                self.first.append((row.id, fresh[0]))


def over_fleet(draft: Draft, *, by: Principal, now: datetime, longest_s: float = LONGEST_S) -> Trial:
    """Try a draft on all tablets; a number of statements that does not depend on the number of findings.

    Args:
        draft: the rule as it might be.
        by: who tries.
        now: the instant.
        longest_s: after so many seconds no further tablet is looked at.

    Raises:
        ForbiddenError: ``by`` may not edit rules.
        ExpressionError: an expression is none; data has ``field``.
        NotFoundError: there is no rule of the draft's code.
        TrialRunningError: another is being tried; it is over soon.
    """
    require(by, Permission.EDIT_RULES)
    trying = _Trying(draft, now)
    if not TURN.acquire(blocking=False):
        raise TrialRunningError
    try:
        count = _look_at_all(trying, time.perf_counter() + longest_s)
    finally:
        TURN.release()
    return Trial(
        trying.opens, trying.closes, trying.stays, trying.waits, trying.tablets, dict(trying.by_school),
        _examples(trying.first), count == trying.tablets, trying.failed,
    )  # fmt: skip


def _look_at_all(trying: _Trying, until: float) -> int:
    """Look at tablets one after another as long as there is time; returns how many there are."""
    lives = (DeviceLife.ENROLLED, DeviceLife.EXPECTED)
    query = select(Device.id).where(Device.life.in_(lives)).order_by(Device.id).limit(AT_MOST + 1)
    device_ids = db.session.scalars(query).all()
    now = trying.evaluation.now
    for start in range(0, min(len(device_ids), AT_MOST), _AT_ONCE):
        if start % review.AT_ONCE == 0:
            trying.evaluation = Evaluation(now)  # as many tablets share a rule's bound as in a review
        rows = review.rows(id_set(device_ids[start : start + _AT_ONCE]))
        wanted = review.wanted_of(rows)
        for row in rows:
            if trying.failed >= _FAILURES or time.perf_counter() >= until:
                return len(device_ids)
            trying.look(row, wanted.get(row.desired_digest, NOTHING_WANTED))
            if trying.tablets % _PAUSE_EVERY == 0:
                time.sleep(_PAUSE_S)
    return len(device_ids)


def _examples(first: Sequence[tuple[int, Found]]) -> tuple[Example, ...]:
    query = select(Device.id, Device.serial, Device.asset_tag, School.name).outerjoin(
        School, School.id == Device.school_id
    )
    known = {row.id: row for row in db.session.execute(query.where(Device.id.in_(id_set(one for one, _ in first))))}
    return tuple(
        Example(row.id, row.serial, row.asset_tag, row.name, found.subject, found.detail)
        for device_id, found in first
        if (row := known.get(device_id)) is not None
    )


def on_tablet(draft: Draft, device_id: int, *, by: Principal, now: datetime) -> TabletTrial:
    """Try a draft on one tablet; a bounded number of statements.

    Raises:
        ForbiddenError: ``by`` may not edit rules.
        ExpressionError: an expression is none; data has ``field``.
        NotFoundError: ``by`` may not see such a tablet, or there is no rule of the draft's code.
    """
    require(by, Permission.EDIT_RULES)
    visible = devices.matching(devices.Filter(), by=by).where(Device.id == device_id)
    rows = review.rows(visible)
    if not rows:
        raise NotFoundError(kind="tablet", name=str(device_id))
    row = rows[0]
    trying = _Trying(draft, now)
    wanted = review.wanted_of(rows).get(row.desired_digest, NOTHING_WANTED)
    document = documents.document(review.seen(row), wanted)
    try:
        value = Evaluation(now).value(compiled(draft.condition), document)
    except ExpressionLimitError:
        return TabletTrial((), None, document, None, has_failed=True, is_for=trying.is_for(row))
    if not trying.is_for(row):
        return TabletTrial((), None, document, value, is_for=False)
    code, mine = trying.one.rule.code, trying.open.get(row.id, {})
    past = Past({(code, subject) for subject in mine}, trying.noticed.get(row.id, {}))
    outcome = judge([trying.one], document, past, trying.evaluation)
    return TabletTrial(
        tuple(one.subject for one in outcome.findings), min(outcome.waits.values(), default=None), document, value,
        has_failed=bool(outcome.failed),
    )  # fmt: skip
