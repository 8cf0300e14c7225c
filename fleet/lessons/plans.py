"""Lessons planned ahead, and when they are: once on a date, or each week on a weekday, at local times.

A plan never changes but for the dates it leaves out, and that it is withdrawn; both are done in
:mod:`fleet.lessons.timetable`, as a lesson may have been made of it by then. Invariants: a lesson never reaches outside
its plan's local times, whatever the clocks do that night; of one class no two plans can meet.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import joinedload

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import db, id_set, take_turn
from fleet.errors import ConflictError, InvalidError, NotFoundError
from fleet.lessons.models import LessonPlan, LessonSet
from fleet.lessons.rules import limits
from fleet.people import accounts
from fleet.people.models import Account
from fleet.schools import calendar
from fleet.schools.calendar import Calendar
from fleet.schools.models import School, SchoolClass

Span = tuple[datetime, datetime]

_LOOKED_AHEAD = timedelta(days=366)  # for the first lesson of a new plan


def plan(
    school_class: SchoolClass,
    found_set: LessonSet,
    *,
    on: date | None = None,
    weekday: int | None = None,
    first_on: date | None = None,
    last_on: date | None = None,
    starts_at: time,
    ends_at: time,
    holder_id: int | None,
    by: Principal,
    now: datetime,
    timezone: ZoneInfo,
) -> LessonPlan:
    """Plan a lesson: once, or each week on a weekday that has school.

    Args:
        school_class: whose pupils.
        found_set: what it gives, of those that ``by`` may use for the class.
        on: its date; or
        weekday: 0 Monday, each week,
        first_on: from this date on,
        last_on: to this date, included.
        starts_at: local time.
        ends_at: local time, later the same day.
        holder_id: the account that will hold it; None: the one of ``by``.
        by: who plans it.
        now: the instant.
        timezone: the schools' local time.

    Raises:
        ForbiddenError: ``by`` does not teach the class.
        InvalidError: there is no such lesson, or its holder may not hold it, as the school's hours or its longest
            lesson forbid it. Data: ``reason``.
        ConflictError: the class has another plan that can meet it; data has its number.
    """
    require(by, Permission.TEACH, school_id=school_class.school_id, class_id=school_class.id)
    made = LessonPlan(
        class_id=school_class.id, set_id=found_set.id, holder_id=holder_id if holder_id is not None else by.account_id,
        on=on, weekday=weekday, first_on=first_on, last_on=last_on, starts_at=starts_at, ends_at=ends_at, skipped=[],
        created_at=now,
    )  # fmt: skip
    _require_well_formed(made)
    school_calendar = calendar.load(timezone)[school_class.school_id]
    first = _first_lesson(made, school_calendar, now)
    holder = _holder(made, school_class, on=first[0].astimezone(timezone).date())
    _require_allowed(first, school_class, school_calendar, by=(by, holder))
    require_alone(made, today=now.astimezone(timezone).date())
    db.session.add(made)
    db.session.flush()
    audit.record(
        by, "lessons.plan-made", subject=f"lesson-plan:{made.id}", now=now, class_id=made.class_id, set_id=made.set_id,
        on=on.isoformat() if on is not None else None, weekday=weekday, starts_at=f"{starts_at:%H:%M}",
        ends_at=f"{ends_at:%H:%M}",
    )  # fmt: skip
    return made


def _require_well_formed(made: LessonPlan) -> None:
    if made.on is not None:
        is_when = made.weekday is None and made.first_on is None and made.last_on is None
    else:
        is_in_order = made.first_on is None or made.last_on is None or made.first_on <= made.last_on
        is_when = made.weekday in range(7) and is_in_order
    if not is_when:
        raise InvalidError(
            kind="lesson plan", reason="day", expected="a date, or a weekday with its first and last date"
        )
    if made.starts_at >= made.ends_at:
        raise InvalidError(kind="lesson plan", reason="times", expected="an end later on the same day")


def _first_lesson(made: LessonPlan, school_calendar: Calendar, now: datetime) -> Span:
    until = now + _LOOKED_AHEAD
    first = next(iter(occurrences(made, since=now, until=until, calendar=school_calendar)), None)
    if first is not None:
        return first
    if made.on is not None and made.on <= now.astimezone(school_calendar.timezone).date():
        raise InvalidError(kind="lesson plan", reason="past", on=made.on)
    raise InvalidError(kind="lesson plan", reason="never", expected=f"a day with school until {until:%Y-%m-%d}")


def _require_allowed(
    first: Span, school_class: SchoolClass, school_calendar: Calendar, *, by: Sequence[Principal]
) -> None:
    at = {"school_id": school_class.school_id, "class_id": school_class.id}
    may_any_time = all(one.may(Permission.TEACH_ANY_TIME, **at) for one in by)
    longest = timedelta(minutes=school_class.school.longest_lesson_min)
    allowed = limits(first[0], calendar=school_calendar, longest=longest, may_any_time=may_any_time)
    if allowed is not None and first[1] <= allowed.latest:
        return
    if allowed is not None and allowed.because == "longest":
        raise InvalidError(kind="lesson plan", reason="too long", longest_min=school_class.school.longest_lesson_min)
    hours = school_calendar.hours_on(first[0].astimezone(school_calendar.timezone).date())
    raise InvalidError(
        kind="lesson plan", reason="outside school hours", permission=Permission.TEACH_ANY_TIME.value,
        begins_at=hours[0] if hours is not None else None, ends_at=hours[1] if hours is not None else None,
    )  # fmt: skip


def _holder(made: LessonPlan, school_class: SchoolClass, *, on: date) -> Principal:
    if made.holder_id is None:
        return Principal.command_line()
    account = db.session.get(Account, made.holder_id)
    who = accounts.principal(account, today=on) if account is not None else None
    if who is None or not who.may(Permission.TEACH, school_id=school_class.school_id, class_id=school_class.id):
        raise InvalidError(kind="lesson plan", reason="holder", account_id=made.holder_id)
    return who


def require_alone(wanted: LessonPlan, *, today: date) -> None:
    """Refuse a plan that can meet another one of its class; until the transaction ends, no other one is made there.

    Raises:
        ConflictError: it can; data has the other's number, and ``is_done`` where that says the same.
    """
    take_turn(f"lesson-plans-{wanted.class_id}")
    query = select(LessonPlan).where(LessonPlan.class_id == wanted.class_id, *_standing(today))
    with db.session.no_autoflush:
        for other in db.session.scalars(query.order_by(LessonPlan.id)).all():
            if other is not wanted and can_meet(wanted, other):
                is_done = _said(wanted) == _said(other)
                raise ConflictError(kind="lesson plan", reason="another plan", id=other.id, is_done=is_done)


def _said(one: LessonPlan) -> tuple[object, ...]:
    when = (one.on, one.weekday, one.first_on, one.last_on, one.starts_at, one.ends_at)
    return (*when, one.set_id, one.holder_id, one.skipped)


def can_meet(one: LessonPlan, other: LessonPlan) -> bool:
    """Whether lessons of two plans can be at the same time."""
    if one.starts_at >= other.ends_at or other.starts_at >= one.ends_at:
        return False
    for first, second in ((one, other), (other, one)):
        if first.on is not None:
            return falls_on(second, first.on)
    begins = max((told for told in (one.first_on, other.first_on) if told is not None), default=date.min)
    ends = min((told for told in (one.last_on, other.last_on) if told is not None), default=date.max)
    return one.weekday == other.weekday and any(True for _on in _weekdays(one.weekday or 0, begins, ends))


def falls_on(found: LessonPlan, on: date) -> bool:
    """Whether a plan means a local date, if there is school then, and does not leave it out."""
    if on.isoformat() in found.skipped:
        return False
    if found.on is not None:
        return found.on == on
    begun = found.first_on is None or found.first_on <= on
    return on.weekday() == found.weekday and begun and (found.last_on is None or on <= found.last_on)


def _weekdays(weekday: int, begins: date, ends: date) -> Iterator[date]:
    """Give each date of a weekday, both ends included."""
    ahead = (weekday - begins.weekday()) % 7
    while (ends - begins).days >= ahead:
        yield begins + timedelta(days=ahead)
        ahead += 7


def occurrences(found: LessonPlan, *, since: datetime, until: datetime, calendar: Calendar) -> list[Span]:
    """Return when a plan's lessons begin and end that touch a span, in UTC and in order: pure.

    Args:
        found: the plan; nothing is that would have begun before it was made.
        since: lessons that end after this,
        until: and begin not later than this.
        calendar: of the class's school; a weekly lesson is on school days only, one on a date whatever the day.
    """
    first, last = (instant.astimezone(calendar.timezone).date() for instant in (since, until))
    if found.on is not None:
        days = [found.on] if first <= found.on <= last and falls_on(found, found.on) else []
    else:
        weekdays = _weekdays(found.weekday or 0, first, last)
        days = [on for on in weekdays if falls_on(found, on) and calendar.is_school_day(on)]
    spans = (lesson_on(found, on, calendar.timezone) for on in days)
    return [one for one in spans if one is not None and one[1] > since and found.created_at <= one[0] <= until]


def lesson_on(found: LessonPlan, on: date, timezone: ZoneInfo) -> Span | None:
    """Return when a plan's lesson would begin and end on a local date, in UTC; None where the clocks leave nothing.

    A time that spring's clocks skip is the moment they jump; of one that autumn's show twice the start is the later
    that lies before the end, and the end the earlier.
    """
    end = _instant(on, found.ends_at, timezone, fold=0)
    starts = (_instant(on, found.starts_at, timezone, fold=fold) for fold in (1, 0))
    return next(((start, end) for start in starts if start < end), None)


def _instant(on: date, at: time, timezone: ZoneInfo, *, fold: int) -> datetime:
    """Return the instant of a local time; ``fold`` 1 is the later one of a time that the clocks show twice."""
    wall = datetime.combine(on, at).replace(fold=fold)
    instant = wall.replace(tzinfo=timezone).astimezone(UTC)
    if instant.astimezone(timezone).replace(tzinfo=None) == wall:
        return instant
    # Skipped: read with the clocks' offset after the jump it lies before the jump. Source: PEP 495
    before = wall.replace(tzinfo=timezone, fold=1).astimezone(UTC)
    after = wall.replace(tzinfo=timezone, fold=0).astimezone(UTC)
    offset = after.astimezone(timezone).utcoffset() or timedelta()
    seconds = range(int((after - before).total_seconds()))
    jump = bisect_left(
        seconds,
        offset,
        key=lambda passed: (before + timedelta(seconds=passed)).astimezone(timezone).utcoffset() or timedelta(),
    )
    return before + timedelta(seconds=jump)


def is_planned(class_ids: Collection[int], *, at: datetime, calendars: Mapping[int | None, Calendar]) -> frozenset[int]:
    """Return which of these classes have a planned lesson at an instant; one statement."""
    if not class_ids:
        return frozenset()
    local = at.astimezone(calendars[None].timezone)
    query = living({local.date()}).where(LessonPlan.class_id.in_(id_set(class_ids)))
    query = query.where(LessonPlan.starts_at <= local.time(), LessonPlan.ends_at > local.time())
    return frozenset(
        one.class_id
        for one in db.session.scalars(query)
        if occurrences(one, since=at, until=at, calendar=calendars[one.school_class.school_id])
    )


def living(days: Collection[date]) -> Select[LessonPlan]:
    """Select the plans that can have a lesson on one of these local dates: class, school and set are still there."""
    return (
        select(LessonPlan)
        .join(LessonPlan.school_class)
        .join(School, School.id == SchoolClass.school_id)
        .join(LessonPlan.set)
        .where(LessonPlan.withdrawn_at.is_(None), LessonSet.withdrawn_at.is_(None))
        .where(SchoolClass.ended_at.is_(None), School.ended_at.is_(None))
        .where(or_(LessonPlan.on.in_(days), LessonPlan.weekday.in_({on.weekday() for on in days})))
        .options(joinedload(LessonPlan.school_class))
        .order_by(LessonPlan.id)
    )


def _standing(today: date) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which a plan is neither withdrawn nor over."""
    is_weekly = and_(LessonPlan.on.is_(None), or_(LessonPlan.last_on.is_(None), LessonPlan.last_on >= today))
    return LessonPlan.withdrawn_at.is_(None), or_(LessonPlan.on >= today, is_weekly)


def listed(*, school_class: SchoolClass | None = None, by: Principal, now: datetime) -> Sequence[LessonPlan]:
    """Return the plans that stand: of one class, or of all that ``by`` may teach; by day and time.

    Raises:
        ForbiddenError: ``by`` does not teach the class.
    """
    # By UTC date: what was on yesterday is listed for an hour or two more.
    query = select(LessonPlan).join(LessonPlan.school_class).where(*_standing(now.date()))
    if school_class is not None:
        require(by, Permission.TEACH, school_id=school_class.school_id, class_id=school_class.id)
        query = query.where(LessonPlan.class_id == school_class.id)
    elif (visible := by.school_ids(Permission.TEACH)) is not None:
        own = LessonPlan.class_id.in_(by.own_class_ids)
        query = query.where(or_(SchoolClass.school_id.in_(visible), own))
    query = query.where(SchoolClass.ended_at.is_(None)).options(
        joinedload(LessonPlan.set), joinedload(LessonPlan.school_class), joinedload(LessonPlan.holder)
    )
    found = db.session.scalars(query).all()
    return sorted(found, key=lambda one: (one.on is None, one.on or one.weekday, one.starts_at, one.id))


def get(plan_id: int, *, by: Principal, for_change: bool = False) -> LessonPlan:
    """Return the plan of this number, withdrawn ones too; ``for_change`` holds its row until the transaction ends.

    Raises:
        NotFoundError: there is none, or ``by`` does not teach its class.
    """
    query = select(LessonPlan).where(LessonPlan.id == plan_id)
    if for_change:
        # key_share: a lesson that is made of it meanwhile need not wait.
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    found = db.session.scalars(query).first()
    place = (found.school_class.school_id, found.class_id) if found is not None else (None, None)
    if found is None or not by.may(Permission.TEACH, school_id=place[0], class_id=place[1]):
        raise NotFoundError(kind="lesson plan", name=str(plan_id))
    return found
