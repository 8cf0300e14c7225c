"""Until when a lesson may last, as a teacher chooses: until the bell, the usual end of this hour, so many minutes.

Where nobody has told us when the bell rings, what the class's earlier lessons at this time of day lasted until says it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from fleet.access import Principal
from fleet.db import db
from fleet.lessons import life
from fleet.lessons.models import Lesson
from fleet.lessons.rules import EARLY
from fleet.schools import bells, calendar
from fleet.schools.calendar import Hours
from fleet.schools.models import SchoolClass

MINUTES = (30, 45, 60)
STEPS = (5, 10)  # minutes by which a lesson that runs is made longer
_RINGS = 3  # so many ends of periods are offered
COMMON = timedelta(minutes=45)  # the one that is chosen where nothing else says anything
_WORTH = timedelta(minutes=10)  # a lesson hour that ends sooner is not the one that begins
_STEP = timedelta(minutes=5)
_FIRST = {"bell": 0, "usual": 1}
_LOOKED_BACK, _LOOKED_BACK_FOR = 20, timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Ending:
    """An end to choose, and ``minutes`` until then.

    ``why`` is ``bell`` (of the period one is in, or the next to come), ``later-bell``, ``usual``, ``minutes``,
    ``school-day`` or ``longest``.
    """

    until: datetime
    why: str
    minutes: int


@dataclass(frozen=True, slots=True)
class Hour:
    """A period of today's timetable."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Endings:
    """The ends to choose from, in order, and the one that is chosen unless the teacher says otherwise.

    Without any, no lesson may be held now; ``hours`` are the local hours of the day's school, None where there is none.
    ``latest`` is until when a lesson may last, ``periods`` are the day's.
    """

    choices: Sequence[Ending]
    default: Ending | None
    hours: Hours | None
    latest: datetime | None = None
    periods: Sequence[Hour] = ()


def endings(school_class: SchoolClass, *, by: Principal, now: datetime, timezone: ZoneInfo) -> Endings:
    """Return until when a lesson started now may last; five statements."""
    calendars = calendar.load(timezone)
    hours = calendars[school_class.school_id].hours_on(now.astimezone(timezone).date())
    allowed = life.allowed_until(school_class, now, by=by, calendars=calendars)
    if allowed is None:
        return Endings((), None, hours)
    usual = usual_end(_earlier(school_class, now), now=now, timezone=timezone)
    day_end = _local(now, hours[1].hour, hours[1].minute, timezone) if hours is not None else None
    periods = periods_on_day(school_class.school_id, now=now, timezone=timezone) if hours is not None else []
    rings = rings_of(periods, now=now)
    found = choices(now, latest=allowed.latest, usual=usual, day_end=day_end, rings=rings)
    return Endings(found, default(found, now=now), hours, allowed.latest, periods)


def periods_on_day(school_id: int, *, now: datetime, timezone: ZoneInfo) -> list[Hour]:
    """Return the periods of a school's day, in order; one statement. Whether there is school is not asked."""
    found = bells.on_weekday(school_id, now.astimezone(timezone).weekday())
    spans = ((one.starts_at, one.ends_at) for one in found)
    return [Hour(*(_local(now, at.hour, at.minute, timezone) for at in span)) for span in spans]


def rings_of(periods: Sequence[Hour], *, now: datetime) -> list[datetime]:
    """Return when periods end that a lesson which starts now may last until, the most likely first: pure.

    It is the one that runs, or is about to begin; one that ends in some minutes is not, but may be meant.
    """
    coming = [one for one in periods if one.ends_at > now]
    likely = [one for one in coming if one.starts_at - EARLY <= now and one.ends_at - now >= _WORTH]
    ordered = [*likely[:1], *(one for one in coming if one not in likely[:1])]
    return [one.ends_at for one in ordered[:_RINGS]] if likely else []


def later(lesson: Lesson, *, by: Principal, now: datetime, timezone: ZoneInfo) -> list[Ending]:
    """Return until when a lesson that runs may be made longer: by some minutes, to the next bells; four statements.

    None of them is later than the lesson may last; ``minutes`` are those that it gets.
    """
    calendars = calendar.load(timezone)
    allowed = life.allowed_until(lesson.school_class, lesson.starts_at, by=by, calendars=calendars)
    periods = periods_on_day(lesson.school_class.school_id, now=now, timezone=timezone)
    told = [(lesson.ends_at + timedelta(minutes=minutes), "minutes") for minutes in STEPS]
    told += [(one.ends_at, "bell") for one in periods if one.ends_at > lesson.ends_at][:2]
    found = {until: why for until, why in told if allowed is not None and until <= allowed.latest}
    return [
        Ending(until, why, round((until - lesson.ends_at) / timedelta(minutes=1)))
        for until, why in sorted(found.items())
    ]


def choices(
    now: datetime,
    *,
    latest: datetime,
    usual: datetime | None,
    day_end: datetime | None,
    rings: Sequence[datetime] = (),
) -> list[Ending]:
    """Return the ends there are, none after ``latest``; pure.

    Args:
        now: the start.
        latest: until when the lesson may last.
        usual: the usual end of this lesson hour, where it is known.
        day_end: the end of the school day, where there is one.
        rings: ends of periods, that of the one that is meant first.
    """
    told: list[tuple[datetime | None, str]] = [
        (ring, "bell" if place == 0 else "later-bell") for place, ring in enumerate(rings)
    ]
    told += [(usual, "usual"), (day_end, "school-day")]
    # Where the bell says when hours end, few want any other end; whoever does has the slider.
    told += [(_rounded(now + timedelta(minutes=minutes)), "minutes") for minutes in (MINUTES[:1] if rings else MINUTES)]
    fitting = [(until, why) for until, why in told if until is not None and now < until <= latest]
    found: dict[datetime, str] = {}
    for until, why in fitting or [(latest, "longest")]:
        found.setdefault(until, why)
    return [Ending(until, why, round((until - now) / timedelta(minutes=1))) for until, why in sorted(found.items())]


def default(found: Sequence[Ending], *, now: datetime) -> Ending:
    """Return the end that most will want: the bell, the usual one, else the nearest to a common lesson hour."""
    return min(found, key=lambda one: (_FIRST.get(one.why, len(_FIRST)), abs(one.until - now - COMMON)))


def usual_end(earlier: Sequence[tuple[datetime, datetime]], *, now: datetime, timezone: ZoneInfo) -> datetime | None:
    """Return the end of this lesson hour, as the newest earlier lesson at this time of day had it; pure.

    Args:
        earlier: beginnings and ends of earlier lessons, the newest first.
        now: the instant.
        timezone: the schools' local time.
    """
    for starts_at, ends_at in earlier:
        began, ended = starts_at.astimezone(timezone), ends_at.astimezone(timezone)
        begins = _local(now, began.hour, began.minute, timezone)
        ends = _local(now, ended.hour, ended.minute, timezone)
        if begins - _WORTH <= now <= ends - _WORTH:
            return ends
    return None


def _earlier(school_class: SchoolClass, now: datetime) -> list[tuple[datetime, datetime]]:
    query = (
        select(Lesson.starts_at, Lesson.ends_at)
        .where(Lesson.class_id == school_class.id, Lesson.ended_at.is_(None))
        .where(Lesson.ends_at <= now, Lesson.ends_at > now - _LOOKED_BACK_FOR)
        .order_by(Lesson.ends_at.desc())
        .limit(_LOOKED_BACK)
    )
    return [(row.starts_at, row.ends_at) for row in db.session.execute(query)]


def _local(now: datetime, hour: int, minute: int, timezone: ZoneInfo) -> datetime:
    local = now.astimezone(timezone).replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    return local.astimezone(UTC)


def _rounded(at: datetime) -> datetime:
    """Return the nearest whole five minutes: nobody ends a lesson at 10:02."""
    seconds = _STEP.total_seconds()
    return datetime.fromtimestamp(round(at.timestamp() / seconds) * seconds, UTC)
