"""What people do about findings: acknowledge, let sleep until a school day, close by hand, open again.

Every kind of finding is acted on alike, those of silence too. Whoever acts has ANSWER_FINDINGS at the tablets' school;
a finding that one may not see is not found. Acting tells ``finding`` (:func:`fleet.db.changed`).
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from fleet.access import Principal
from fleet.compliance.models import FindingEvent


def acknowledge(ids: Collection[int], note: str | None, *, by: Principal, now: datetime) -> int:
    """Note that somebody knows of open findings and sees to them; returns how many that is news of."""
    raise NotImplementedError


def snooze(ids: Collection[int], until_on: date, *, by: Principal, now: datetime, timezone: ZoneInfo) -> int:
    """Let open findings sleep until school begins on a day at their tablets' schools; returns how many.

    Raises:
        SnoozeDayError: the day is none of school somewhere, is over, or is more than 200 days away; data: ``on``,
            ``reason`` (past, no-school-day, far), ``school`` its name.
    """
    raise NotImplementedError


def wake(ids: Collection[int], *, by: Principal, now: datetime) -> int:
    """Have findings that sleep or are acknowledged ask for a look again; returns how many."""
    raise NotImplementedError


def close(ids: Collection[int], note: str | None, *, by: Principal, now: datetime) -> int:
    """Close findings by hand: they do not open again before their reason has been over; returns how many."""
    raise NotImplementedError


def reopen(finding_id: int, *, by: Principal, now: datetime) -> None:
    """Open a finding again that was closed by hand, while its reason stays.

    Raises:
        FindingOverError: its reason is over, or it was not closed by hand.
    """
    raise NotImplementedError


def events(ids: Collection[int], *, by: Principal) -> Sequence[FindingEvent]:
    """Return what was done about findings, the newest first; one statement."""
    raise NotImplementedError
