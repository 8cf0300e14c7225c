"""The school calendar: when there is school, and how much school time lies between two instants.

Dates and hours are local time of the schools; instants are aware UTC. What holds for a date, nearest first: the
school's own day, the municipality's, a public holiday, the ordinary week (Monday to Friday). Pure values but for
:func:`load`, which reads every school's calendar in three statements.

Counting is cheap however long the span: each calendar works out a year's school time once, and finds its place in it by
bisection. Instants count by their whole second, so that spans add up exactly.
"""

import enum
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo

import holidays
from sqlalchemy import false, func, select, true

from fleet.db import db
from fleet.schools.models import Bell, CalendarDay, School, SchoolHours

Hours = tuple[time, time]
DEFAULT_HOURS: Hours = (time(8, 15), time(14, 30))
BELLS_OF_A_DAY = timedelta(hours=3)
_SATURDAY = 5
_Hours = dict[int | None, dict[int, Hours]]  # by place and weekday


class Origin(enum.StrEnum):
    """Who says that a day differs from the ordinary week."""

    HOLIDAY = "holiday"
    MUNICIPALITY = "municipality"
    SCHOOL = "school"


@dataclass(frozen=True, slots=True)
class Day:
    """A date that differs from the ordinary week, or is said to."""

    on: date
    is_school_day: bool
    title: str
    origin: Origin


@lru_cache(maxsize=256)
def public_holidays(year: int) -> Mapping[date, str]:
    """Return Norway's public holidays of a year with their Norwegian names."""
    return MappingProxyType(dict(holidays.country_holidays("NO", years=year, language="no")))


def is_school_weekday(weekday: int) -> bool:
    """Whether the ordinary week has school on a weekday (0 Monday)."""
    return weekday < _SATURDAY


@dataclass(frozen=True, slots=True)
class _Year:
    """A year's school time in seconds since the epoch, and how much of it lies before each of its days."""

    starts: list[int]
    ends: list[int]
    before: list[int]
    total: int

    def until(self, second: int) -> int:
        """Return how much of the year's school time lies before ``second``."""
        place = bisect_right(self.starts, second) - 1
        return 0 if place < 0 else self.before[place] + min(second, self.ends[place]) - self.starts[place]


@dataclass(frozen=True, eq=False)
class Calendar:
    """When there is school at one school.

    Args:
        timezone: the schools' local time.
        days: the dates somebody decided on, the nearest decision for each.
        hours: when school begins and ends, by weekday (0 Monday), where it is not :data:`DEFAULT_HOURS`.
    """

    timezone: ZoneInfo
    days: Mapping[date, Day] = field(default_factory=dict)
    hours: Mapping[int, Hours] = field(default_factory=dict)
    _years: dict[int, _Year] = field(default_factory=dict, init=False, repr=False)

    def special_day(self, on: date) -> Day | None:
        """Return what makes a date differ from the ordinary week, None where nothing does."""
        decided = self.days.get(on)
        if decided is not None:
            return decided
        title = public_holidays(on.year).get(on)
        return Day(on, is_school_day=False, title=title, origin=Origin.HOLIDAY) if title is not None else None

    def special_days(self, since: date, until: date) -> list[Day]:
        """Return the days that differ from the ordinary week, both ends included."""
        dates = (since + timedelta(days=number) for number in range((until - since).days + 1))
        return [day for day in map(self.special_day, dates) if day is not None]

    def is_school_day(self, on: date) -> bool:
        """Whether there is school on a local date."""
        special = self.special_day(on)
        return special.is_school_day if special is not None else is_school_weekday(on.weekday())

    def weekday_hours(self, weekday: int) -> Hours:
        """Return when school begins and ends on a weekday (0 Monday), if there is school."""
        return self.hours.get(weekday, DEFAULT_HOURS)

    def hours_on(self, on: date) -> Hours | None:
        """Return when school begins and ends on a local date, local time; None where there is none."""
        return self.weekday_hours(on.weekday()) if self.is_school_day(on) else None

    def is_school_time(self, instant: datetime) -> bool:
        """Whether there is school at ``instant``; the end is not part of it."""
        year, second = self._year_of(instant), _second(instant)
        place = bisect_right(year.starts, second) - 1
        return place >= 0 and second < year.ends[place]

    def school_seconds_between(self, since: datetime, until: datetime) -> int:
        """Return the seconds of school between two instants; negative where ``until`` is the earlier one."""
        if until < since:
            return -self.school_seconds_between(until, since)
        first, last = since.astimezone(self.timezone).year, until.astimezone(self.timezone).year
        if first == last:
            year = self._year(first)
            return year.until(_second(until)) - year.until(_second(since))
        between = sum(self._year(year).total for year in range(first, last))
        return between + self._year(last).until(_second(until)) - self._year(first).until(_second(since))

    def subtract_school_seconds(self, instant: datetime, seconds: int) -> datetime:
        """Return the last instant from which ``seconds`` of school pass until ``instant``."""
        if seconds <= 0:
            return instant
        number = instant.astimezone(self.timezone).year
        left = self._year(number).until(_second(instant)) - seconds
        while left < 0:
            number -= 1
            left += self._year(number).total
        year = self._year(number)
        place = bisect_right(year.before, left) - 1
        return datetime.fromtimestamp(year.starts[place] + left - year.before[place], UTC)

    def _year_of(self, instant: datetime) -> _Year:
        return self._year(instant.astimezone(self.timezone).year)

    def _year(self, number: int) -> _Year:
        found = self._years.get(number)
        if found is None:
            found = self._years[number] = self._work_out(number)
        return found

    def _work_out(self, number: int) -> _Year:
        year = _Year([], [], [], 0)
        total, on = 0, date(number, 1, 1)
        while on.year == number:
            hours = self.hours_on(on)
            if hours is not None:
                start, end = (_second(datetime.combine(on, hour, self.timezone)) for hour in hours)
                end = max(start, end)  # hours that begin within the hour that spring skips
                year.starts.append(start)
                year.ends.append(end)
                year.before.append(total)
                total += end - start
            on += timedelta(days=1)
        return _Year(year.starts, year.ends, year.before, total)


def _second(instant: datetime) -> int:
    return int(instant.timestamp() // 1)


def _minutes(since: time, until: time) -> int:
    return 60 * (until.hour - since.hour) + until.minute - since.minute


def is_any_school_time(calendars: Iterable[Calendar], now: datetime, *, until: datetime | None = None) -> bool:
    """Whether there is school anywhere at ``now``: a few bisections, as like schools share a calendar.

    Args:
        calendars: of the schools.
        now: the instant.
        until: whether there is any until then, where given.
    """
    return any(
        calendar.is_school_time(now) or (until is not None and calendar.school_seconds_between(now, until) > 0)
        for calendar in set(calendars)
    )


def load(timezone: ZoneInfo) -> dict[int | None, Calendar]:
    """Return every school's calendar by its id, and the municipality's under None; two statements.

    What holds for a weekday's hours, nearest first: the school's own, its own first to last bell, the municipality's,
    the municipality's bells. Bells that span less than :data:`BELLS_OF_A_DAY` tell a part of the day, and count not.

    Schools whose days and hours are the same share one value, which remembers what it has counted for the next time.
    """
    days: dict[int | None, dict[date, Day]] = defaultdict(dict)
    for row in db.session.scalars(select(CalendarDay)):
        origin = Origin.MUNICIPALITY if row.school_id is None else Origin.SCHOOL
        days[row.school_id][row.on] = Day(row.on, row.is_school_day, row.title, origin)
    hours, rung, places = _read_hours()
    return {
        place: _calendar(
            timezone,
            frozenset((days[None] | days[place]).values()),
            frozenset((rung[None] | hours[None] | rung[place] | hours[place]).items()),
        )
        for place in places
    }


def undecided(school_id: int | None) -> Mapping[int, tuple[Hours, bool]]:
    """Return the hours of each weekday where a place decides none itself, and whether its own bells tell them.

    One statement. What they are otherwise, the municipality says, or nobody.
    """
    hours, rung, _places = _read_hours()
    by_all = dict.fromkeys(range(7), DEFAULT_HOURS)
    if school_id is not None:
        by_all |= rung[None] | hours[None]
    own = rung[school_id]
    return {weekday: (own.get(weekday, by_all[weekday]), weekday in own) for weekday in by_all}


def _read_hours() -> tuple[_Hours, _Hours, Iterable[int | None]]:
    """Return the hours that places decided on, those that bells tell, and all places; one statement."""
    hours: _Hours = defaultdict(dict)
    places: dict[int | None, None] = {None: None}
    columns = (SchoolHours.weekday, SchoolHours.starts_at, SchoolHours.ends_at, false().label("is_rung"))
    own = select(School.id.label("place"), *columns).outerjoin(SchoolHours, SchoolHours.school_id == School.id)
    everywhere = select(SchoolHours.school_id, *columns).where(SchoolHours.school_id.is_(None))
    rung: _Hours = defaultdict(dict)
    bells = select(Bell.school_id, Bell.weekday, func.min(Bell.starts_at), func.max(Bell.ends_at), true())
    bells = bells.group_by(Bell.school_id, Bell.weekday)
    for place, weekday, starts_at, ends_at, is_rung in db.session.execute(own.union_all(everywhere, bells)):
        places[place] = None
        if weekday is not None and not is_rung:
            hours[place][weekday] = (starts_at, ends_at)
        elif weekday is not None and _minutes(starts_at, ends_at) >= BELLS_OF_A_DAY.total_seconds() / 60:
            rung[place][weekday] = (starts_at, ends_at)
    return hours, rung, places


@lru_cache(maxsize=256)
def _calendar(timezone: ZoneInfo, days: frozenset[Day], hours: frozenset[tuple[int, Hours]]) -> Calendar:
    return Calendar(timezone, {day.on: day for day in days}, dict(hours))
