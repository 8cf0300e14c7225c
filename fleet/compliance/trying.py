"""What a draft of a rule would do, to one tablet or to the fleet: worked out, nothing stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.access import Principal
from fleet.compliance.ruling import Draft


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
        is_whole: whether all tablets were looked at; False: time or number was up.
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
        is_for: whether the draft is for this tablet at all.
    """

    found: tuple[str, ...]
    waits_until: datetime | None
    document: Mapping[str, Any]
    value: Any
    has_failed: bool = False
    is_for: bool = True


def over_fleet(draft: Draft, *, by: Principal, now: datetime) -> Trial:
    """Try a draft on all tablets; a bounded number of statements.

    Raises:
        ForbiddenError: ``by`` may not edit rules.
        ExpressionError: an expression is none.
    """
    raise NotImplementedError


def on_tablet(draft: Draft, device_id: int, *, by: Principal, now: datetime) -> TabletTrial:
    """Try a draft on one tablet; a bounded number of statements.

    Raises:
        ForbiddenError: ``by`` may not edit rules.
        ExpressionError: an expression is none.
        NotFoundError: ``by`` may not see such a tablet.
    """
    raise NotImplementedError
