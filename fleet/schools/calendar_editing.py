"""Deciding on the school calendar: days and hours, for one school or (``school_id`` None) for all.

Whoever decides for all needs the permission for the whole municipality. Deciding the same again changes nothing and
leaves no audit line. One decision at a time (turn :data:`TURN`), so that two on the same date are two answers in a row.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time

from sqlalchemy import ColumnElement, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import db, take_turn
from fleet.errors import InvalidError, NotFoundError
from fleet.schools.calendar import Hours
from fleet.schools.models import CalendarDay, SchoolHours

FIRST_YEAR, LAST_YEAR = 2000, 2100  # anything else is a slip of the finger
MAX_TITLE = 120
TURN = "calendar"


def subject(school_id: int | None) -> str:
    """Return how the audit names a place's calendar."""
    return "calendar:municipality" if school_id is None else f"calendar:{school_id}"


def is_plausible(on: date) -> bool:
    """Whether a date is near enough to be meant."""
    return FIRST_YEAR <= on.year <= LAST_YEAR


def title_of(told: str) -> str | None:
    """Return a day's title without white space around it, None where it is none."""
    title = told.strip()
    return title if 0 < len(title) <= MAX_TITLE and title.isprintable() else None


def _of(column: ColumnElement[int | None], school_id: int | None) -> ColumnElement[bool]:
    return column.is_(None) if school_id is None else column == school_id


def _day(on: date, school_id: int | None) -> CalendarDay | None:
    query = select(CalendarDay).where(CalendarDay.on == on, _of(CalendarDay.school_id.expression, school_id))
    return db.session.scalars(query).first()


def has_days() -> bool:
    """Whether anybody has decided about any day yet."""
    return db.session.scalar(select(CalendarDay.id).limit(1)) is not None


def set_day(
    on: date, *, school_id: int | None, is_school_day: bool, title: str, by: Principal, now: datetime
) -> CalendarDay:
    """Decide that there is, or is not, school on a local date.

    Raises:
        ForbiddenError: ``by`` may not edit the calendar there.
        InvalidError: the date is far away, or the title empty or too long.
    """
    require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    name = title_of(title)
    if not is_plausible(on):
        raise InvalidError(kind="calendar day", on=on.isoformat(), expected=f"a date from {FIRST_YEAR} to {LAST_YEAR}")
    if name is None:
        raise InvalidError(
            kind="calendar day", on=on.isoformat(), expected=f"a title of at most {MAX_TITLE} characters"
        )
    take_turn(TURN)
    day = _day(on, school_id)
    if day is not None and (day.is_school_day, day.title) == (is_school_day, name):
        return day
    if day is None:
        day = CalendarDay(school_id=school_id, on=on)
        db.session.add(day)
    day.is_school_day, day.title = is_school_day, name
    audit.record(
        by, "calendar.day-set", subject=subject(school_id), now=now,
        school_id=school_id, on=on.isoformat(), is_school_day=is_school_day,
    )  # fmt: skip
    db.session.flush()
    return day


def remove_day(on: date, *, school_id: int | None, by: Principal, now: datetime) -> None:
    """Take a decision on a date back: what lies farther holds again.

    Raises:
        ForbiddenError: ``by`` may not edit the calendar there.
        NotFoundError: nothing was decided there for this date.
    """
    require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    take_turn(TURN)
    day = _day(on, school_id)
    if day is None:
        raise NotFoundError(kind="calendar day", name=on.isoformat())
    db.session.delete(day)
    audit.record(
        by, "calendar.day-removed", subject=subject(school_id), now=now, school_id=school_id, on=on.isoformat()
    )
    db.session.flush()


def set_hours(weekday: int, hours: Hours | None, *, school_id: int | None, by: Principal, now: datetime) -> None:
    """Decide when a weekday's school begins and ends, local time; with None, take that decision back.

    Args:
        weekday: 0 Monday to 6 Sunday.
        hours: begin and end.
        school_id: the school; None means all.
        by: who decides.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not edit the calendar there.
        InvalidError: no weekday, or the end is not after the beginning.
    """
    require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    if not 0 <= weekday <= 6:  # Monday to Sunday
        raise InvalidError(kind="school hours", weekday=weekday, expected="a weekday from 0 to 6")
    if hours is not None and (hours[0] >= hours[1] or any(hour.tzinfo is not None for hour in hours)):
        raise InvalidError(kind="school hours", expected="local times, the end after the beginning")
    take_turn(TURN)
    query = select(SchoolHours).where(SchoolHours.weekday == weekday, _of(SchoolHours.school_id.expression, school_id))
    found = db.session.scalars(query).first()
    if (hours is None and found is None) or (found is not None and hours == (found.starts_at, found.ends_at)):
        return
    if hours is None:
        db.session.delete(found)
    elif found is None:
        db.session.add(SchoolHours(school_id=school_id, weekday=weekday, starts_at=hours[0], ends_at=hours[1]))
    else:
        found.starts_at, found.ends_at = hours
    audit.record(
        by, "calendar.hours-set" if hours is not None else "calendar.hours-removed", subject=subject(school_id),
        now=now, school_id=school_id, weekday=weekday, **_plain(hours),
    )  # fmt: skip
    db.session.flush()


def own_hours(school_id: int | None) -> dict[int, Hours]:
    """Return the hours that a place has decided itself, by weekday; one statement."""
    query = select(SchoolHours).where(_of(SchoolHours.school_id.expression, school_id))
    return {one.weekday: (one.starts_at, one.ends_at) for one in db.session.scalars(query)}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a place has decided on a date; ``title`` None where it has decided nothing."""

    school_id: int | None
    on: date
    is_school_day: bool
    title: str | None


def decisions(places: Collection[tuple[int | None, date]]) -> list[Decision]:
    """Return what is decided at these places on these dates, nothing included; one statement. For taking it back."""
    if not places:
        return []
    dates = [on for _, on in places]
    query = select(CalendarDay).where(CalendarDay.on.between(min(dates), max(dates)))
    known = {(row.school_id, row.on): row for row in db.session.scalars(query)}
    return [
        Decision(school_id, on, row.is_school_day, row.title)
        if (row := known.get((school_id, on))) is not None
        else Decision(school_id, on, is_school_day=False, title=None)
        for school_id, on in places
    ]


def put_back(former: Collection[Decision], *, by: Principal, now: datetime) -> None:
    """Decide again as it was; arguments and refusals are those of :func:`set_day`."""
    now_decided = {
        (one.school_id, one.on) for one in decisions([(one.school_id, one.on) for one in former]) if one.title
    }
    for one in former:
        if one.title is not None:
            set_day(
                one.on, school_id=one.school_id, is_school_day=one.is_school_day, title=one.title, by=by, now=now
            )  # fmt: skip
        elif (one.school_id, one.on) in now_decided:
            remove_day(one.on, school_id=one.school_id, by=by, now=now)


def _plain(hours: Hours | None) -> dict[str, str]:
    return {"starts_at": _text(hours[0]), "ends_at": _text(hours[1])} if hours is not None else {}


def _text(moment: time) -> str:
    return moment.isoformat("minutes")
