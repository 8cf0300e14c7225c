"""Which rules there are: those that come with the server with what was decided about them, and one's own. For reading.

Not here: who may see them, and changing them (:mod:`fleet.compliance.ruling`).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update

from fleet.compliance.expressions import ExpressionError
from fleet.compliance.models import ComplianceRule, Severity
from fleet.compliance.rules import Ready, Rule, ready
from fleet.compliance.shipped import SHIPPED
from fleet.db import among_texts, carry_out, db
from fleet.devices.models import Platform
from fleet.errors import NotFoundError

_FAILED_NOTED_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules that are on, with their expressions read, and the codes of those that cannot be read any more."""

    rules: tuple[Ready, ...]
    broken: frozenset[str] = frozenset()


def named(code: str, known: Iterable[Rule]) -> Rule:
    """Return the rule of this code.

    Raises:
        NotFoundError: there is none, kind ``rule``.
    """
    found = {one.code: one for one in known}
    if code not in found:
        raise NotFoundError(kind="rule", name=code, known=sorted(found))
    return found[code]


def known() -> Sequence[Rule]:
    """Return all rules: those that come with the server in their order, then one's own by title. One statement."""
    stored = {row.code: row for row in db.session.scalars(select(ComplianceRule))}
    shipped = [as_decided(one, stored.get(one.code)) for one in SHIPPED.values()]
    own = [own_rule(row) for code, row in stored.items() if code not in SHIPPED and row.ended_at is None]
    return [*shipped, *sorted(own, key=lambda one: (one.title or "", one.code))]


def as_decided(shipped: Rule, row: ComplianceRule | None) -> Rule:
    """Return a shipped rule with what was decided about it."""
    if row is None or row.ended_at is not None:
        return shipped
    return replace(
        shipped,
        condition=row.condition if row.condition is not None else shipped.condition,
        stays=shipped.stays if row.condition is None else row.stays,
        grace_min=row.grace_min if row.grace_min is not None else shipped.grace_min,
        severity=row.severity if row.severity is not None else shipped.severity,
        **_common(row),
    )


def own_rule(row: ComplianceRule) -> Rule:
    """Return a rule of one's own."""
    return Rule(
        row.code,
        row.condition or "",
        stays=row.stays,
        shows=tuple((str(one), str(one)) for one in row.shows or ()),
        grace_min=row.grace_min or 0,
        severity=row.severity or Severity.WARNING,
        title=row.title,
        is_shipped=False,
        **_common(row),
    )


def _common(row: ComplianceRule) -> dict[str, Any]:
    return {
        "school_ids": frozenset(row.school_ids) if row.school_ids is not None else None,
        "platforms": frozenset(Platform(one) for one in row.platforms) if row.platforms is not None else None,
        "is_on": row.is_on,
        "version": row.version,
        "changed_at": row.changed_at,
        "changed_by": row.changed_by,
        "failed_at": row.failed_at,
    }


def in_force() -> InForce:
    """Return the rules that are on; one statement. One that a former version let pass stops no other."""
    found: list[Ready] = []
    broken: set[str] = set()
    for one in known():
        try:
            found.extend(ready([one]))
        except ExpressionError:
            broken.add(one.code)
    return InForce(tuple(found), frozenset(broken))


def note_failed(codes: Collection[str], *, now: datetime) -> None:
    """Note that rules took more than their bounds, at most once an hour; one statement.

    Whoever calls holds tablets' rows, and who changes a rule waits for those while it has the rule's: so one that
    somebody is changing is passed over, and what is noted of it would be taken back anyway.

    Args:
        codes: which rules.
        now: the instant.
    """
    failed_at = ComplianceRule.failed_at
    failed = select(ComplianceRule.id).where(
        among_texts(ComplianceRule.code, codes), or_(failed_at.is_(None), failed_at < now - _FAILED_NOTED_EVERY)
    )
    free = failed.with_for_update(skip_locked=True)
    carry_out(update(ComplianceRule).where(ComplianceRule.id.in_(free)).values(failed_at=now))
