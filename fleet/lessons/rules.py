"""What decides in lessons, as pure functions: when one may be, who is in, and which of two has a pupil.

**Two lessons, one pupil.** The lesson that the timetable has (its class has a plan for that time) goes before one that
it does not have; of two alike the one that starts later, or was begun later, goes before. A hand over by a person goes
before both. Who gives way ends for that tablet when the other begins and does not come back by itself, so that no lock
is left of the earlier one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleet.lessons.models import Part
from fleet.schools.calendar import Calendar

EARLY = timedelta(minutes=15)  # before the bell, for who prepares
LATE = timedelta(minutes=15)  # how long after the start who was not heard from today comes in by itself


@dataclass(frozen=True, slots=True)
class Limits:
    """Until when a lesson may last, and what says so: ``longest`` or ``school-day``."""

    latest: datetime
    because: str


def limits(starts_at: datetime, *, calendar: Calendar, longest: timedelta, may_any_time: bool) -> Limits | None:
    """Return until when a lesson that starts then may last; None where none may be held then.

    Args:
        starts_at: the instant.
        calendar: of the school.
        longest: the longest lesson of the school.
        may_any_time: whether the one who starts it may teach outside school hours.
    """
    by_length = Limits(starts_at + longest, "longest")
    if may_any_time:
        return by_length
    local = starts_at.astimezone(calendar.timezone)
    hours = calendar.hours_on(local.date())
    if hours is None:
        return None
    begins, ends = (datetime.combine(local.date(), hour, calendar.timezone) for hour in hours)
    if not begins - EARLY <= starts_at < ends:
        return None
    by_day = Limits(ends.astimezone(starts_at.tzinfo), "school-day")
    return min((by_length, by_day), key=lambda one: one.latest)


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of where a tablet is."""

    polled_at: datetime | None
    is_at_school: bool | None


def part_of(
    presence: Presence, *, is_absent: bool, takes_unseen: bool, lesson_starts_at: datetime, day_began_at: datetime
) -> Part:
    """Return whether a tablet is in a lesson, or why not.

    Args:
        presence: when it last asked and from where.
        is_absent: whether the teacher says that its pupil is.
        takes_unseen: whether the teacher says that everybody is here.
        lesson_starts_at: the instant.
        day_began_at: local midnight of the lesson's day.
    """
    if is_absent:
        return Part.ABSENT
    seen_today = presence.polled_at is not None and presence.polled_at >= day_began_at
    if seen_today and presence.is_at_school is not None:
        return Part.IN if presence.is_at_school else Part.ELSEWHERE
    if takes_unseen:
        return Part.IN
    # Without the school's networks nobody can say where a tablet is that wakes in the middle of a lesson: its pupil may
    # be ill at home. It waits for the teacher's word then.
    in_time = presence.polled_at is not None and presence.polled_at <= lesson_starts_at + LATE
    return Part.IN if seen_today and in_time else Part.UNSEEN


@dataclass(frozen=True, slots=True)
class Claim:
    """A lesson's wish for one tablet.

    Args:
        lesson_id: whose.
        is_favoured: whether the timetable has the lesson.
        lesson_starts_at: when the lesson starts, of whose stretch this is a part.
        starts_at: of the stretch.
        ends_at: of the stretch.
    """

    lesson_id: int
    is_favoured: bool
    lesson_starts_at: datetime
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What comes of a new claim.

    Args:
        starts_at: of what the new one gets.
        ends_at: of it; not after ``starts_at`` where it gets nothing.
        yields: lessons that give way, from ``starts_at`` on.
        taken_by: the lesson that goes before the new one, at once or later on.
    """

    starts_at: datetime
    ends_at: datetime
    yields: tuple[int, ...] = ()
    taken_by: int | None = None

    @property
    def is_granted(self) -> bool:
        """Whether the new one gets anything."""
        return self.ends_at > self.starts_at


def settle(new: Claim, others: Sequence[Claim], *, by_hand: bool = False) -> Settled:
    """Decide between a new claim and those that stand, for one tablet.

    Args:
        new: the wish.
        others: what other lessons have of the tablet, without overlaps among themselves.
        by_hand: whether a person hands the tablet over: then it goes before all.
    """
    ends_at, taken_by = new.ends_at, None
    yields: list[int] = []
    for other in sorted(others, key=lambda one: one.starts_at):
        if other.ends_at <= new.starts_at or other.starts_at >= ends_at:
            continue
        if by_hand or _rank(new) >= _rank(other):
            yields.append(other.lesson_id)
        else:
            ends_at, taken_by = max(other.starts_at, new.starts_at), other.lesson_id
    return Settled(new.starts_at, ends_at, tuple(yields) if ends_at > new.starts_at else (), taken_by)


def _rank(claim: Claim) -> tuple[bool, datetime, int]:
    return claim.is_favoured, claim.lesson_starts_at, claim.lesson_id
