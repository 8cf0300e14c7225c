"""Rules as the municipality has them: those that come with the server, what it decided about them, and its own.

Invariants: a shipped rule never goes, it is switched off or changed, and is as it came once it is reset; a rule of
one's own that ends keeps its row, as findings of the past name it. A change leads to a review of the tablets it
concerns by the job ``due-reviews``: nothing long runs where the change is made.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, true, update

from fleet import audit, job_runs
from fleet.access import Permission, Principal, require
from fleet.compliance import deciding
from fleet.compliance.expressions import ExpressionError, compiled
from fleet.compliance.models import ComplianceRule, FindingKind, Severity
from fleet.compliance.rules import Rule
from fleet.compliance.shipped import SHIPPED
from fleet.db import carry_out, db, take_turn
from fleet.devices import states
from fleet.devices.models import Device, DeviceLife, DeviceState, Platform
from fleet.errors import ConflictError, ForbiddenError, InvalidError
from fleet.schools.models import School

DUE_REVIEWS = "due-reviews"  # the job that follows
MAX_OWN = 60
MAX_TITLE = 120
MAX_GRACE_MIN = 366 * 24 * 60
MAX_SHOWN = 8
_REVIEWED = (DeviceLife.ENROLLED, DeviceLife.EXPECTED)
_MAX_CODE = 40
_LETTERS = str.maketrans({"æ": "ae", "ø": "o", "å": "a", "ä": "a", "ö": "o", "é": "e", "ü": "u"})


class RuleInvalidError(InvalidError):
    """A rule is not acceptable.

    Data: ``field`` (title, grace_min, school_ids, platforms, shows, rules) and ``reason`` (empty, long, taken, range,
    none, unknown, many).
    """

    code = "rule-invalid"


class RuleChangedError(ConflictError):
    """Somebody else has changed the rule since it was read. Data: ``name`` its code, ``version`` it has now."""

    code = "rule-changed"


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule as somebody wants it; ``code`` None: a new one of one's own.

    Args:
        code: of the rule that it shall replace.
        title: of a rule of one's own; not asked for with shipped ones.
        condition: what is worth a look.
        stays: while what an open finding stays; None: while the condition holds.
        shows: expressions whose values findings keep, of a rule of one's own.
        grace_min: minutes until a finding opens.
        severity: how much it matters.
        school_ids: which schools; None: all.
        platforms: which kinds of tablets; None: all.
    """

    code: str | None
    title: str | None
    condition: str
    stays: str | None = None
    shows: tuple[str, ...] = ()
    grace_min: int = 0
    severity: Severity = Severity.WARNING
    school_ids: frozenset[int] | None = None
    platforms: frozenset[Platform] | None = None


# -- reading -----------------------------------------------------------------------------------------------------------


def rules(*, by: Principal) -> Sequence[Rule]:
    """Return all rules: those that come with the server in their order, then one's own by title. One statement.

    Raises:
        ForbiddenError: ``by`` may not see what rules there are: those who answer findings may, and who edits rules.
    """
    if not by.may(Permission.EDIT_RULES) and by.school_ids(Permission.ANSWER_FINDINGS) == frozenset():
        raise ForbiddenError(permission=Permission.ANSWER_FINDINGS.value)
    return deciding.known()


def rule(code: str, *, by: Principal) -> Rule:
    """Return one rule.

    Raises:
        ForbiddenError: as :func:`rules`.
        NotFoundError: there is none of this code, kind ``rule``.
    """
    return deciding.named(code, rules(by=by))


def progress(*, now: datetime) -> tuple[int, int]:
    """Return how many tablets wait for a review, and how many there are that are reviewed; one statement."""
    waits = func.count().filter(DeviceState.review_at <= now)
    query: Any = select(waits, func.count()).select_from(DeviceState).join(Device, Device.id == DeviceState.device_id)
    row = db.session.execute(query.where(Device.life.in_(_REVIEWED))).one()
    return row[0], row[1]


def titles() -> dict[str, str]:
    """Return the titles of rules of one's own by code, also of those that have ended; one statement."""
    query = select(ComplianceRule.code, ComplianceRule.title).where(ComplianceRule.title.is_not(None))
    return {row.code: row.title or row.code for row in db.session.execute(query)}


# -- changing ----------------------------------------------------------------------------------------------------------


def save(draft: Draft, *, by: Principal, now: datetime, version: int | None = None) -> Rule:
    """Add or change a rule; have the tablets it concerned or concerns reviewed.

    Args:
        draft: as it shall be.
        by: who decides.
        now: the instant.
        version: the version that was changed; None: whatever it is.

    Raises:
        ForbiddenError: ``by`` may not edit rules.
        ExpressionError: an expression is none; data has ``field`` (condition, stays, shows).
        RuleInvalidError: title, grace or schools are not acceptable; data has ``field`` and ``reason``.
        RuleChangedError: somebody else has changed it since.
        NotFoundError: there is no rule of this code.
    """
    require(by, Permission.EDIT_RULES)
    take_turn("rules")
    known = deciding.known()
    before = deciding.named(draft.code, known) if draft.code is not None else None
    if before is not None and version is not None and before.version != version:
        raise RuleChangedError(name=before.code, version=before.version)
    _check(draft, before, known)
    row = _row(before, draft, now)
    shipped = SHIPPED.get(row.code)
    row.condition = draft.condition if shipped is None or draft.condition != shipped.condition else None
    row.stays = draft.stays
    if shipped is not None and row.condition is None and draft.stays != shipped.stays:
        row.condition = draft.condition
    row.shows = list(draft.shows) if shipped is None else None
    row.title = (draft.title or "").strip() if shipped is None else None
    row.grace_min = draft.grace_min
    row.severity = draft.severity
    row.school_ids = sorted(draft.school_ids) if draft.school_ids is not None else None
    row.platforms = sorted(draft.platforms) if draft.platforms is not None else None
    return _record(by, "rules.changed" if before is not None else "rules.added", row, before, now=now)


def as_rule(draft: Draft, before: Rule | None) -> Rule:
    """Return a draft as the rule that it would be.

    Raises:
        ExpressionError: an expression is none; data has ``field``.
    """
    _read(draft)
    base = before or Rule("draft", draft.condition, is_shipped=False, title=draft.title)
    return replace(
        base,
        condition=draft.condition,
        stays=draft.stays,
        shows=base.shows if base.is_shipped else tuple((one, one) for one in draft.shows),
        grace_min=draft.grace_min,
        severity=draft.severity,
        school_ids=draft.school_ids,
        platforms=draft.platforms,
        is_on=True,
    )


def switch(code: str, *, is_on: bool, by: Principal, now: datetime) -> Rule:
    """Switch a rule on or off; off, its findings close by the next review.

    Raises:
        ForbiddenError: ``by`` may not edit rules.
        NotFoundError: there is no rule of this code.
    """
    require(by, Permission.EDIT_RULES)
    take_turn("rules")
    before = deciding.named(code, deciding.known())
    if before.is_on is is_on:
        return before
    row = _row(before, None, now)
    row.is_on = is_on
    return _record(by, "rules.switched-on" if is_on else "rules.switched-off", row, before, now=now)


def reset(code: str, *, by: Principal, now: datetime) -> Rule:
    """Have a shipped rule as it came, switched on.

    Raises:
        ForbiddenError: ``by`` may not edit rules.
        NotFoundError: there is no shipped rule of this code.
    """
    require(by, Permission.EDIT_RULES)
    take_turn("rules")
    before = deciding.named(code, (one for one in deciding.known() if one.is_shipped))
    if before == SHIPPED[code]:
        return before
    row = _row(before, None, now)
    row.condition = row.stays = row.shows = row.grace_min = row.severity = row.school_ids = row.platforms = None
    row.is_on = True
    return _record(by, "rules.reset", row, before, now=now)


def remove(code: str, *, by: Principal, now: datetime) -> None:
    """End a rule of one's own; its findings close by the next review.

    Raises:
        ForbiddenError: ``by`` may not edit rules.
        NotFoundError: there is no rule of one's own of this code.
    """
    require(by, Permission.EDIT_RULES)
    take_turn("rules")
    before = deciding.named(code, (one for one in deciding.known() if not one.is_shipped))
    row = _row(before, None, now)
    row.ended_at = now
    _record(by, "rules.removed", row, before, now=now)


def _record(by: Principal, action: str, row: ComplianceRule, before: Rule | None, *, now: datetime) -> Rule:
    """Note who changed a rule, and have the tablets reviewed that it concerned or concerns."""
    row.version = (before.version if before is not None else 0) + 1
    row.changed_at, row.changed_by, row.failed_at = now, by.name, None
    db.session.add(row)
    db.session.flush()
    shipped = SHIPPED.get(row.code)
    after = deciding.as_decided(shipped, row) if shipped is not None else deciding.own_rule(row)
    audit.record(
        by, action, subject=f"rule:{row.code}", now=now,
        rule=row.code, version=row.version, **({"title": row.title} if row.title else {}),
    )  # fmt: skip
    concerned = [one for one in (before, after) if one is not None]
    is_for = or_(*(_concerns(one) for one in concerned))
    reviewed = select(Device.id).where(Device.life.in_(_REVIEWED), is_for)
    states.lock(reviewed)  # in the order in which check-ins take them
    soon = update(DeviceState).where(DeviceState.device_id.in_(reviewed)).values(review_at=now)
    carry_out(soon)
    db.session.expire_all()
    job_runs.ask(DUE_REVIEWS, by=by, now=now)
    return after


def _concerns(one: Rule) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [true()]
    if one.school_ids is not None:
        conditions.append(Device.school_id.in_(sorted(one.school_ids)))
    if one.platforms is not None:
        conditions.append(Device.platform.in_(sorted(one.platforms)))
    found: ColumnElement[bool] = conditions[0]
    for each in conditions[1:]:
        found = found & each
    return found


def _row(before: Rule | None, draft: Draft | None, now: datetime) -> ComplianceRule:
    if before is not None:
        found = db.session.scalar(select(ComplianceRule).where(ComplianceRule.code == before.code))
        if found is not None:
            return found
        return ComplianceRule(code=before.code, is_on=before.is_on, version=0, changed_at=now, changed_by="")
    title = draft.title if draft is not None else None
    return ComplianceRule(code=_new_code(title or ""), is_on=True, version=0, changed_at=now, changed_by="")


def _new_code(title: str) -> str:
    """Return a code for a new rule, made of its title; none that a rule or a kind has, or had."""
    base = re.sub(r"[^a-z0-9]+", "-", title.lower().translate(_LETTERS)).strip("-")[:_MAX_CODE].strip("-") or "rule"
    taken = set(db.session.scalars(select(ComplianceRule.code))) | {kind.value for kind in FindingKind} | {"draft"}
    number = 1
    while (code := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return code


def _read(draft: Draft) -> None:
    told = [("condition", draft.condition), *(("shows", one) for one in draft.shows)]
    if draft.stays is not None:
        told.append(("stays", draft.stays))
    for field, one in told:
        try:
            compiled(one)
        except ExpressionError as error:
            raise ExpressionError(**error.data, field=field) from None


def _check(draft: Draft, before: Rule | None, known: Collection[Rule]) -> None:
    _read(draft)
    if before is None or not before.is_shipped:
        _check_title((draft.title or "").strip(), before, known)
        if before is None and sum(not one.is_shipped for one in known) >= MAX_OWN:
            raise RuleInvalidError(field="rules", reason="many", most=MAX_OWN)
    if not 0 <= draft.grace_min <= MAX_GRACE_MIN:
        raise RuleInvalidError(field="grace_min", reason="range", least=0, most=MAX_GRACE_MIN)
    if len(draft.shows) > MAX_SHOWN:
        raise RuleInvalidError(field="shows", reason="many", most=MAX_SHOWN)
    if draft.platforms is not None and not draft.platforms:
        raise RuleInvalidError(field="platforms", reason="none")
    if draft.school_ids is not None:
        if not draft.school_ids:
            raise RuleInvalidError(field="school_ids", reason="none")
        there = select(func.count()).select_from(School).where(School.id.in_(sorted(draft.school_ids)))
        if db.session.scalar(there) != len(draft.school_ids):
            raise RuleInvalidError(field="school_ids", reason="unknown")


def _check_title(title: str, before: Rule | None, known: Collection[Rule]) -> None:
    others = {(one.title or "").casefold() for one in known if before is None or one.code != before.code}
    reason = "empty" if not title else "long" if len(title) > MAX_TITLE else None
    if title and title.casefold() in others:
        reason = "taken"
    if reason is not None:
        raise RuleInvalidError(field="title", reason=reason, most=MAX_TITLE)
