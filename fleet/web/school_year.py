"""A school year as a picture: twelve months of weeks, and the days that differ from the ordinary week. Pure."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from fleet.schools.calendar import Calendar, Day, is_school_weekday

FIRST_MONTH = 8  # Norwegian school years begin on 1 August. Source: opplæringslova, section 14-1
_DAYS_OF_WEEK = 7


@dataclass(frozen=True, slots=True)
class Cell:
    """One date. ``kind`` is ``school``, ``weekend``, or of a day that differs ``holiday``, ``off`` or ``extra``."""

    on: date
    kind: str
    special: Day | None


@dataclass(frozen=True, slots=True)
class Month:
    """A month's weeks, Monday first; None where a week begins before or ends after it."""

    first: date
    weeks: Sequence[Sequence[Cell | None]]
    school_days: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days in a row that differ from the ordinary week in the same way."""

    first: date
    last: date
    day: Day


def year_of(on: date) -> int:
    """Return the year in which the school year of a date begins."""
    return on.year if on.month >= FIRST_MONTH else on.year - 1


def bounds(first_year: int) -> tuple[date, date]:
    """Return the first and the last date of the school year that begins in ``first_year``."""
    return date(first_year, FIRST_MONTH, 1), date(first_year + 1, FIRST_MONTH, 1) - timedelta(days=1)


def months(calendar: Calendar, first_year: int) -> list[Month]:
    """Return the months of a school year."""
    first, last = bounds(first_year)
    cells = (_cell(calendar, on) for on in _dates(first, last))
    return [_month(list(group)) for _, group in itertools.groupby(cells, key=lambda cell: cell.on.month)]


def stretches(calendar: Calendar, first_year: int) -> list[Stretch]:
    """Return what differs from the ordinary week in a school year; days in a row that are alike are one."""
    found: list[Stretch] = []
    for day in calendar.special_days(*bounds(first_year)):
        before = found[-1] if found else None
        if before is not None and before.last + timedelta(days=1) == day.on and _alike(before.day, day):
            found[-1] = Stretch(before.first, day.on, before.day)
        else:
            found.append(Stretch(day.on, day.on, day))
    return found


def _alike(one: Day, other: Day) -> bool:
    return (one.title, one.origin, one.is_school_day) == (other.title, other.origin, other.is_school_day)


def _dates(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _cell(calendar: Calendar, on: date) -> Cell:
    special = calendar.special_day(on)
    if special is None:
        return Cell(on, "school" if is_school_weekday(on.weekday()) else "weekend", None)
    kind = "extra" if special.is_school_day else "holiday" if special.origin.value == "holiday" else "off"
    return Cell(on, kind, special)


def _month(cells: Sequence[Cell]) -> Month:
    padded: list[Cell | None] = [None] * cells[0].on.weekday() + list(cells)
    padded += [None] * (-len(padded) % _DAYS_OF_WEEK)
    weeks = [padded[place : place + _DAYS_OF_WEEK] for place in range(0, len(padded), _DAYS_OF_WEEK)]
    return Month(cells[0].on, weeks, sum(cell.kind in {"school", "extra"} for cell in cells))
