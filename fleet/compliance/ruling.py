"""Rules as the municipality has them: those that come with the server, what it decided about them, and its own.

Invariants: a shipped rule never goes, it is switched off or changed, and is as it came once it is reset; a rule of
one's own that ends keeps its row, as findings of the past name it. A change leads to a review of the tablets it
concerns by the job ``due-reviews``: nothing long runs where the change is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fleet.access import Principal
from fleet.compliance.models import Severity
from fleet.compliance.rules import Rule
from fleet.devices.models import Platform


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


def rules(*, by: Principal) -> Sequence[Rule]:
    """Return all rules: those that come with the server in their order, then one's own by title. One statement.

    Raises:
        ForbiddenError: ``by`` may not see what rules there are: those who answer findings may, and who edits rules.
    """
    raise NotImplementedError


def rule(code: str, *, by: Principal) -> Rule:
    """Return one rule.

    Raises:
        ForbiddenError: as :func:`rules`.
        NotFoundError: there is none of this code, kind ``rule``.
    """
    raise NotImplementedError


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
    raise NotImplementedError


def switch(code: str, *, is_on: bool, by: Principal, now: datetime) -> Rule:
    """Switch a rule on or off; off, its findings close by the next review."""
    raise NotImplementedError


def reset(code: str, *, by: Principal, now: datetime) -> Rule:
    """Have a shipped rule as it came."""
    raise NotImplementedError


def remove(code: str, *, by: Principal, now: datetime) -> None:
    """End a rule of one's own; its findings close by the next review."""
    raise NotImplementedError


def progress(*, now: datetime) -> tuple[int, int]:
    """Return how many tablets wait for a review, and how many there are that are reviewed; one statement."""
    raise NotImplementedError


def titles() -> dict[str, str]:
    """Return the titles of rules of one's own by code, also of those that have ended; one statement."""
    raise NotImplementedError
