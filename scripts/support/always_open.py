"""Schools that are open at all hours, so that what needs school hours can be seen and measured at any time of day."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from fleet.access import Principal
from fleet.schools import calendar, calendar_editing

HOURS = (time(0), time(23, 59))


def open_schools(*, days: int, title: str, by: Principal, now: datetime, timezone: ZoneInfo) -> None:
    """Decide, for the whole municipality, that there is school around the clock; again and again changes nothing.

    Args:
        days: for how many days from today on weekends and holidays are school days too.
        title: what those are called.
        by: who decides.
        now: the instant.
        timezone: the schools' local time.
    """
    for weekday in range(7):
        calendar_editing.set_hours(weekday, HOURS, school_id=None, by=by, now=now)
    known, today = calendar.load(timezone)[None], now.astimezone(timezone).date()
    for on in (today + timedelta(days=number) for number in range(days)):
        if not known.is_school_day(on):
            calendar_editing.set_day(on, school_id=None, is_school_day=True, title=title, by=by, now=now)
