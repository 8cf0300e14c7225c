"""When lessons ring in and out: a school's own bell times, else the municipality's.

A school that has told any has only its own. Deciding the same again changes nothing and leaves no audit line; one
decision at a time, with those on the calendar.
"""

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time

from sqlalchemy import delete, or_, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import db, take_turn
from fleet.errors import InvalidError, NotFoundError
from fleet.schools.calendar_editing import TURN
from fleet.schools.changes import Change
from fleet.schools.models import Bell, School

MOST_PER_DAY = 16
SHORTEST_MIN = 5  # what is shorter is a slip of the finger


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One period of a weekday (0 Monday … 6 Sunday), local times."""

    weekday: int
    starts_at: time
    ends_at: time


Weeks = Change[int, tuple[Period, ...]]  # of a place's own periods, by weekday


def periods(school_id: int | None) -> Sequence[Period]:
    """Return the periods that hold at a school, or (None) the municipality's own, in their order; one statement.

    A school that has told any has only its own.
    """
    return told(school_id)[0]


def told(school_id: int | None) -> tuple[Sequence[Period], bool]:
    """Return the periods that hold at a place, in their order, and whether they are the place's own; one statement."""
    where = (
        Bell.school_id.is_(None) if school_id is None else or_(Bell.school_id == school_id, Bell.school_id.is_(None))
    )
    rows = db.session.execute(select(Bell.school_id, Bell.weekday, Bell.starts_at, Bell.ends_at).where(where)).all()
    own = [row for row in rows if row.school_id == school_id]
    return sorted(Period(row.weekday, row.starts_at, row.ends_at) for row in own or rows), bool(own)


def on_weekday(school_id: int, weekday: int) -> Sequence[Period]:
    """Return a school's periods of a weekday (0 Monday … 6 Sunday)."""
    return [one for one in periods(school_id) if one.weekday == weekday]


def own_periods(school_id: int | None) -> Sequence[Period]:
    """Return the periods that a place has told itself, in their order; none where it goes by the municipality's."""
    found, is_own = told(school_id)
    return found if is_own else []


def set_days(
    school_id: int | None, days: Collection[int], spans: Collection[tuple[time, time]], *, by: Principal, now: datetime
) -> Weeks:
    """Decide on the periods of some weekdays, all alike; the others ring as they did. Returns what that changed.

    Args:
        school_id: the school; None means the municipality's.
        days: the weekdays.
        spans: when the periods of each begin and end.
        by: who decides.
        now: the instant.

    Raises:
        ForbiddenError, NotFoundError, InvalidError: as :func:`set_periods`.
    """
    require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    take_turn(TURN)
    kept = [one for one in periods(school_id) if one.weekday not in days]
    wanted = [Period(day, *span) for day in days for span in spans]
    return set_periods(school_id, [*kept, *wanted], by=by, now=now)


def set_periods(school_id: int | None, wanted: Collection[Period], *, by: Principal, now: datetime) -> Weeks:
    """Decide on all periods of a place's week; with none, a school goes by the municipality's again.

    Returns what that changed.

    Args:
        school_id: the school; None means the municipality's, for all schools that have none of their own.
        wanted: the periods, in any order.
        by: who decides.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not edit the calendar there.
        NotFoundError: there is no such school.
        InvalidError: a period ends before it starts or is very short, two overlap, or there are very many in a day.
            Data: ``reason`` (``order``, ``short``, ``overlap``, ``many``, ``weekday``), ``weekday``, and where it is
            about one, its ``starts_at`` and ``ends_at``.
    """
    require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    if school_id is not None and db.session.get(School, school_id) is None:
        raise NotFoundError(kind="school", name=str(school_id))
    ordered = sorted(set(wanted))
    _check(ordered)
    take_turn(TURN)
    before = own_periods(school_id)
    if list(before) == ordered:
        return Change(_week(before), _week(before))
    where = Bell.school_id.is_(None) if school_id is None else Bell.school_id == school_id
    db.session.execute(delete(Bell).where(where).execution_options(synchronize_session=False))
    db.session.add_all(
        Bell(school_id=school_id, weekday=one.weekday, starts_at=one.starts_at, ends_at=one.ends_at) for one in ordered
    )
    subject = "bells:municipality" if school_id is None else f"bells:{school_id}"
    action = "bells.set" if ordered else "bells.removed"
    audit.record(by, action, subject=subject, now=now, school_id=school_id, count=len(ordered))
    db.session.flush()
    return Change(_week(before), _week(ordered))


def put_back(school_id: int | None, change: Weeks, *, by: Principal, now: datetime) -> int:
    """Take a decision on periods back; returns on how many weekdays somebody has decided since: they are left alone.

    Where the place's own periods came or went with that decision, all weekdays are left alone where one is: a week of
    which one day is left would ring on that day only.

    Raises:
        ForbiddenError: ``by`` may not edit the calendar there.
        NotFoundError: there is no such school.
    """
    require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    take_turn(TURN)
    standing = _week(own_periods(school_id))
    going, left = change.back(standing)
    if left and not (change.before and change.after):
        return left + len(going)
    week = {**standing, **going}
    set_periods(school_id, [one for of_day in week.values() for one in of_day or ()], by=by, now=now)
    return left


def _week(found: Iterable[Period]) -> dict[int, tuple[Period, ...]]:
    return {day: tuple(of_day) for day, of_day in itertools.groupby(sorted(found), key=lambda one: one.weekday)}


def _check(ordered: Sequence[Period]) -> None:
    for one in ordered:
        if not 0 <= one.weekday <= 6 or one.starts_at.tzinfo is not None or one.ends_at.tzinfo is not None:
            raise _invalid("weekday", one)
        if one.starts_at >= one.ends_at:
            raise _invalid("order", one)
        if _minutes(one.ends_at) - _minutes(one.starts_at) < SHORTEST_MIN:
            raise _invalid("short", one)
    for before, after in itertools.pairwise(ordered):
        if before.weekday == after.weekday and after.starts_at < before.ends_at:
            raise _invalid("overlap", after)
    for weekday, group in itertools.groupby(ordered, key=lambda one: one.weekday):
        if len(list(group)) > MOST_PER_DAY:
            raise InvalidError(kind="bells", reason="many", weekday=weekday, expected=f"at most {MOST_PER_DAY} a day")


def _minutes(moment: time) -> int:
    return moment.hour * 60 + moment.minute


def _invalid(reason: str, one: Period) -> InvalidError:
    return InvalidError(
        kind="bells", reason=reason, weekday=one.weekday,
        starts_at=one.starts_at.isoformat("minutes"), ends_at=one.ends_at.isoformat("minutes"),
        expected="periods such as 08:30-09:15 that do not overlap",
    )  # fmt: skip
