"""What a report is asked about: which days, which school, class or kind of tablet.

As an address tells it, or a schedule's row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from fleet.access import Permission, Principal
from fleet.devices.models import Platform
from fleet.errors import InvalidError

PERIODS: Mapping[str, int | None] = {"week": 7, "month": 30, "quarter": 91, "year": 365, "days": None}
LONGEST_DAYS = 5 * 366
_USUAL = "month"


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is asked.

    Args:
        period: one of :data:`PERIODS`; the last so many days, or with ``days`` those from ``since`` to ``until``.
        since: the first local day of one's own period.
        until: the last.
        school_id: only this school.
        class_id: only this class.
        platform: only these tablets.
        kind: only this kind of finding.
    """

    period: str = _USUAL
    since: date | None = None
    until: date | None = None
    school_id: int | None = None
    class_id: int | None = None
    platform: Platform | None = None
    kind: str | None = None

    def days(self, today: date) -> tuple[date, date]:
        """Return the first and the last local day, both meant."""
        length = PERIODS[self.period]
        if length is not None:
            return today - timedelta(days=length - 1), today
        until = min(self.until or today, today)
        since = min(self.since or until, until)
        return max(since, until - timedelta(days=LONGEST_DAYS)), until

    def told(self) -> dict[str, str]:
        """Return the same as an address or a row tells it: only what is not as usual."""
        values = {
            "period": self.period if self.period != _USUAL else None,
            "since": self.since, "until": self.until,
            "school": self.school_id, "class": self.class_id,
            "platform": self.platform.value if self.platform is not None else None,
            "kind": self.kind,
        }  # fmt: skip
        return {name: str(value) for name, value in values.items() if value is not None}

    def lasting(self) -> "Parameters":
        """Return the same for a schedule, where days of one's own would be the same ones each time.

        Raises:
            InvalidError: they are days of one's own.
        """
        if self.period == "days":
            raise InvalidError(kind="report-period", expected=", ".join(one for one in PERIODS if one != "days"))
        return replace(self, since=None, until=None)


def read(told: Mapping[str, str]) -> Parameters:
    """Return what an address or a row says; what makes no sense counts as nothing told."""
    period = told.get("period", _USUAL)
    since, until = _day(told.get("since")), _day(told.get("until"))
    if since is not None or until is not None:
        period = "days" if "period" not in told or told["period"] == "days" else period
    is_own = period == "days"
    platforms = {one.value: one for one in Platform}
    return Parameters(
        period=period if period in PERIODS else _USUAL,
        since=since if is_own else None,
        until=until if is_own else None,
        school_id=_whole(told.get("school")),
        class_id=_whole(told.get("class")),
        platform=platforms.get(told.get("platform", "")),
        kind=told.get("kind") or None,
    )


def _whole(told: str | None) -> int | None:
    return int(told) if told is not None and told.isascii() and told.isdecimal() and len(told) <= 9 else None


def _day(told: str | None) -> date | None:
    try:
        found = date.fromisoformat(told or "")
    except ValueError:
        return None
    return found if 2000 <= found.year <= 2100 else None


def looks_after_schools(by: Principal) -> bool:
    """Whether somebody sees whole schools, not only classes of one's own."""
    return by.school_ids(Permission.SEE_SCHOOL) != frozenset()
