"""Until when a lesson may last, as a teacher chooses: the usual end of this lesson hour, so many minutes, the bell.

No school tells us its bells. What the class's earlier lessons at this time of day lasted until says it as well.
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
from fleet.schools import calendar
from fleet.schools.calendar import Hours
from fleet.schools.models import SchoolClass

MINUTES = (30, 45, 60)
_COMMON = timedelta(minutes=45)  # the one that is chosen where nothing else says anything
_WORTH = timedelta(minutes=10)  # a lesson hour that ends sooner is not the one that begins
_STEP = timedelta(minutes=5)
_LOOKED_BACK, _LOOKED_BACK_FOR = 20, timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Ending:
    """An end to choose: ``why`` is ``usual``, ``minutes``, ``school-day`` or ``longest``; ``minutes`` is how long."""

    until: datetime
    why: str
    minutes: int


@dataclass(frozen=True, slots=True)
class Endings:
    """The ends to choose from, in order, and the one that is chosen unless the teacher says otherwise.

    Without any, no lesson may be held now; ``hours`` are the local hours of the day's school, None where there is none.
    """

    choices: Sequence[Ending]
    default: Ending | None
    hours: Hours | None


def endings(school_class: SchoolClass, *, by: Principal, now: datetime, timezone: ZoneInfo) -> Endings:
    """Return until when a lesson started now may last; four statements."""
    calendars = calendar.load(timezone)
    hours = calendars[school_class.school_id].hours_on(now.astimezone(timezone).date())
    allowed = life.allowed_until(school_class, now, by=by, calendars=calendars)
    if allowed is None:
        return Endings((), None, hours)
    usual = usual_end(_earlier(school_class, now), now=now, timezone=timezone)
    bell = _local(now, hours[1].hour, hours[1].minute, timezone) if hours is not None else None
    found = choices(now, latest=allowed.latest, usual=usual, bell=bell)
    return Endings(found, default(found, now=now), hours)


def choices(now: datetime, *, latest: datetime, usual: datetime | None, bell: datetime | None) -> list[Ending]:
    """Return the ends there are, none after ``latest``; pure.

    Args:
        now: the start.
        latest: until when the lesson may last.
        usual: the usual end of this lesson hour, where it is known.
        bell: the end of the school day, where there is one.
    """
    told = [(usual, "usual"), (bell, "school-day")]
    told += [(_rounded(now + timedelta(minutes=minutes)), "minutes") for minutes in MINUTES]
    fitting = [(until, why) for until, why in told if until is not None and now < until <= latest]
    found: dict[datetime, str] = {}
    for until, why in fitting or [(latest, "longest")]:
        found.setdefault(until, why)
    return [Ending(until, why, round((until - now) / timedelta(minutes=1))) for until, why in sorted(found.items())]


def default(found: Sequence[Ending], *, now: datetime) -> Ending:
    """Return the end that most will want: the usual one, else the nearest to a common lesson hour."""
    return min(found, key=lambda one: (one.why != "usual", abs(one.until - now - _COMMON)))


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
