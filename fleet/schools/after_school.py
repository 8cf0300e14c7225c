"""The after-school programme (SFO): its hours by weekday at a school, and up to which grade it is for.

Its hours count only for tablets that are used to be heard from there; a school that has told none has none.
Deciding the same again changes nothing; one decision at a time, with those on the calendar.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from functools import lru_cache

from sqlalchemy import delete, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import db, take_turn
from fleet.errors import InvalidError, NotFoundError
from fleet.schools.calendar import Calendar, Hours
from fleet.schools.calendar_editing import TURN
from fleet.schools.models import AfterSchool, School

HIGHEST_GRADE = 10


@dataclass(frozen=True, slots=True, order=True)
class Programme:
    """The programme of a weekday (0 Monday … 6 Sunday), local times, for pupils up to a grade."""

    weekday: int
    starts_at: time
    ends_at: time
    highest_grade: int


def told(school_id: int) -> Sequence[Programme]:
    """Return a school's programme in the order of the week; one statement."""
    return sorted(everywhere(school_id).get(school_id, ()))


def everywhere(school_id: int | None = None) -> Mapping[int, Sequence[Programme]]:
    """Return the programmes by school, of all or of one; one statement."""
    query = select(AfterSchool)
    if school_id is not None:
        query = query.where(AfterSchool.school_id == school_id)
    found: dict[int, list[Programme]] = defaultdict(list)
    for one in db.session.scalars(query):
        found[one.school_id].append(Programme(one.weekday, one.starts_at, one.ends_at, one.highest_grade))
    return found


def decide(school_id: int, wanted: Collection[Programme], *, by: Principal, now: datetime) -> bool:
    """Decide on a school's whole week; none ends it. Returns whether that changed anything.

    Args:
        school_id: the school.
        wanted: the programme, at most one of a weekday.
        by: who decides.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not edit the calendar there.
        NotFoundError: there is no such school.
        InvalidError: it ends before it starts, a weekday stands twice, or the grade is none.
            Data: ``reason`` (``order``, ``twice``, ``grade``, ``weekday``), ``weekday``.
    """
    require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    if db.session.get(School, school_id) is None:
        raise NotFoundError(kind="school", name=str(school_id))
    ordered = sorted(set(wanted))
    _check(ordered)
    take_turn(TURN)
    if list(told(school_id)) == ordered:
        return False
    db.session.execute(
        delete(AfterSchool).where(AfterSchool.school_id == school_id).execution_options(synchronize_session=False)
    )
    db.session.add_all(
        AfterSchool(
            school_id=school_id, weekday=one.weekday, starts_at=one.starts_at, ends_at=one.ends_at,
            highest_grade=one.highest_grade,
        )
        for one in ordered
    )  # fmt: skip
    action = "after-school.set" if ordered else "after-school.removed"
    subject = f"after-school:{school_id}"
    audit.record(by, action, subject=subject, now=now, school_id=school_id, count=len(ordered))
    db.session.flush()
    return True


def _check(ordered: Sequence[Programme]) -> None:
    days = [one.weekday for one in ordered]
    for one in ordered:
        reason = None
        if not 0 <= one.weekday <= 6:
            reason = "weekday"
        elif one.ends_at <= one.starts_at:
            reason = "order"
        elif days.count(one.weekday) > 1:
            reason = "twice"
        elif not 1 <= one.highest_grade <= HIGHEST_GRADE:
            reason = "grade"
        if reason is not None:
            expected = f"one programme a weekday that ends after it starts, up to grade 1 to {HIGHEST_GRADE}"
            raise InvalidError(kind="after-school", reason=reason, weekday=one.weekday, expected=expected)


def programme_calendar(calendar: Calendar, programme: Collection[Programme]) -> Calendar:
    """Return when the programme is open on school days, as a calendar of its own; none on other weekdays."""
    return _calendar(calendar, tuple(sorted(programme)))


@lru_cache(maxsize=256)
def _calendar(calendar: Calendar, programme: tuple[Programme, ...]) -> Calendar:
    hours: dict[int, Hours] = {weekday: (time(12), time(12)) for weekday in range(7)}  # no time at all
    for one in programme:
        hours[one.weekday] = (max(one.starts_at, calendar.weekday_hours(one.weekday)[1]), one.ends_at)
    kept = {weekday: (start, max(start, end)) for weekday, (start, end) in hours.items()}
    return Calendar(calendar.timezone, calendar.days, kept)


def is_for(programme: Collection[Programme], grade: str | None) -> bool:
    """Whether the programme is for pupils of a grade, as a roster tells it; False where it tells none."""
    number = "".join(letter for letter in grade or "" if letter.isdecimal())[:9]  # not ², which is no number
    return bool(number) and any(int(number) <= one.highest_grade for one in programme)
