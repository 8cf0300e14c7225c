"""Deciding on the school calendar: days and hours, for one school or (``school_id`` None) for all.

Whoever decides for all needs the permission for the whole municipality. Deciding the same again changes nothing and
leaves no audit line. One decision at a time (turn :data:`TURN`), so that two on the same date are two answers in a row.
"""

from collections.abc import Collection, Mapping
from datetime import date, datetime, time

from sqlalchemy import ColumnElement, delete, insert, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import db, id_set, read_again, take_turn
from fleet.errors import InvalidError, NotFoundError
from fleet.schools.calendar import Hours
from fleet.schools.changes import Change
from fleet.schools.models import CalendarDay, School, SchoolHours

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
        school_id=school_id, on=on.isoformat(), is_school_day=is_school_day, title=name,
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
        by, "calendar.day-removed", subject=subject(school_id), now=now, school_id=school_id, on=on.isoformat(),
        title=day.title,
    )  # fmt: skip
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
    columns = select(SchoolHours.weekday, SchoolHours.starts_at, SchoolHours.ends_at)
    rows = db.session.execute(columns.where(_of(SchoolHours.school_id.expression, school_id)))
    return {row.weekday: (row.starts_at, row.ends_at) for row in rows}


def set_week(
    wanted: Mapping[int, Hours | None], *, school_id: int | None, by: Principal, now: datetime
) -> Change[int, Hours]:
    """Decide on the hours of several weekdays; returns what that changed.

    Raises:
        ForbiddenError, InvalidError: as :func:`set_hours`.
    """
    require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    take_turn(TURN)
    before = own_hours(school_id)
    for weekday, hours in wanted.items():
        set_hours(weekday, hours, school_id=school_id, by=by, now=now)
    return Change(before, own_hours(school_id))


def put_week_back(change: Change[int, Hours], *, school_id: int | None, by: Principal, now: datetime) -> int:
    """Take :func:`set_week` back; returns on how many weekdays somebody has decided since, which are left alone.

    Raises:
        ForbiddenError: ``by`` may not edit the calendar there.
    """
    require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    take_turn(TURN)
    going, left = change.back(own_hours(school_id))
    for weekday, hours in going.items():
        set_hours(weekday, hours, school_id=school_id, by=by, now=now)
    return left


Place = tuple[int | None, date]  # a school, or None for all; and the date
Answer = tuple[bool, str]  # whether there is school, and the title
Days = Change[Place, Answer]


def decided(places: Collection[Place]) -> dict[Place, Answer]:
    """Return what is decided at these places on these dates; one statement."""
    return {place: (row.is_school_day, row.title) for place, row in _rows(places).items()}


def _rows(places: Collection[Place]) -> dict[Place, CalendarDay]:
    dates = [on for _, on in places]
    if not dates:
        return {}
    query = select(CalendarDay).where(CalendarDay.on.between(min(dates), max(dates)))
    known = {
        (row.school_id, row.on): row for row in db.session.scalars(query.execution_options(populate_existing=True))
    }
    return {place: known[place] for place in places if place in known}


def set_days(
    dates: Collection[date], answer: Answer | None, *, school_id: int | None, by: Principal, now: datetime
) -> Days:
    """Decide on several dates, or (None) take the decisions on them back where there are any; returns what changed.

    Raises:
        ForbiddenError, InvalidError: as :func:`set_day`.
    """
    require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    take_turn(TURN)
    places = [(school_id, on) for on in dates]
    before = decided(places)
    for on in dates:
        if answer is not None:
            set_day(on, school_id=school_id, is_school_day=answer[0], title=answer[1], by=by, now=now)
        elif (school_id, on) in before:
            remove_day(on, school_id=school_id, by=by, now=now)
    return Change(before, decided(places))


def put_days_back(change: Days, *, by: Principal, now: datetime) -> int:
    """Decide on days as it was before a change; a few statements and one line in the audit, however many days.

    Returns:
        On how many days somebody has decided since, or has a school that is no more; they are left alone.

    Raises:
        ForbiddenError: ``by`` may not edit the calendar at all the places.
    """
    places = {*change.before, *change.after}
    schools = {school_id for school_id, _ in places}
    for school_id in schools:
        require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    take_turn(TURN)
    rows = _rows(places)
    going, left = change.back({place: (row.is_school_day, row.title) for place, row in rows.items()})
    there = {None, *db.session.scalars(select(School.id))}
    back = {place: answer for place, answer in going.items() if place[0] in there}
    if not back:
        return left + len(going)
    fresh = [
        {"school_id": place[0], "on": place[1], "is_school_day": answer[0], "title": answer[1]}
        for place, answer in back.items()
        if answer is not None
    ]
    gone = id_set(rows[place].id for place in back if place in rows)
    db.session.execute(delete(CalendarDay).where(CalendarDay.id.in_(gone)).execution_options(synchronize_session=False))
    read_again(CalendarDay)
    if fresh:
        db.session.execute(insert(CalendarDay), fresh)
    school_id = next(iter(schools)) if len(schools) == 1 else None
    added = sum(place not in rows for place in back)
    removed = len(back) - len(fresh)
    audit.record(
        by, "calendar.put-back", subject=subject(school_id), now=now,
        school_id=school_id, added=added, changed=len(back) - added - removed, removed=removed,
    )  # fmt: skip
    db.session.flush()
    return left + len(going) - len(back)


def _plain(hours: Hours | None) -> dict[str, str]:
    return {"starts_at": _text(hours[0]), "ends_at": _text(hours[1])} if hours is not None else {}


def _text(moment: time) -> str:
    return moment.isoformat("minutes")
