"""Weekdays, dates and days of the school year in words."""

from datetime import date, time

from babel import dates

from fleet.schools.calendar import Day, Hours, Origin
from fleet.web.formats import NOTHING
from fleet.web.texts import locale
from fleet.web.texts import translated as _


def weekday(number: int, width: str = "wide") -> str:
    """Name a weekday (0 Monday)."""
    return str(dates.get_day_names(width, "stand-alone", locale=locale())[number])  # type: ignore[arg-type]


def month(first: date) -> str:
    """Name a month with its year."""
    return dates.format_skeleton("yMMMM", first, locale=locale())


def long(on: date) -> str:
    """Tell a date with its weekday."""
    return dates.format_date(on, "full", locale=locale())


def short(on: date) -> str:
    """Tell a date without its year."""
    return dates.format_skeleton("MMMd", on, locale=locale())


def stretch(first: date, last: date) -> str:
    """Tell a range of dates."""
    if first == last:
        return dates.format_skeleton("MMMEd", first, locale=locale())
    return dates.format_interval(first, last, "MMMd", locale=locale())


def origin(one: Origin) -> str:
    """Say who decided on a day."""
    return {
        Origin.HOLIDAY: _("Public holiday"),
        Origin.MUNICIPALITY: _("The municipality"),
        Origin.SCHOOL: _("The school"),
    }[one]


def special(day: Day) -> str:
    """Say what a day is that differs from the ordinary week."""
    told = _("school day") if day.is_school_day else _("no school")
    return f"{day.title}, {told} ({origin(day.origin)})"


def at(moment: time) -> str:
    """Tell a time of day, as fields for times want it."""
    return moment.isoformat("minutes")


def hours(pair: Hours | None) -> str:
    """Tell from when until when."""
    return f"{at(pair[0])}\N{EN DASH}{at(pair[1])}" if pair is not None else NOTHING
