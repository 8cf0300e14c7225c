"""The life of a lesson: planned, begun, extended, given another set, handed to a colleague, ended.

A lesson ends by itself: every tablet knows the end from the moment it knows of the lesson. Ending early and extending
are changes of that end. Times are instants; whether they make sense is judged by the school's local time.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select
from sqlalchemy.orm import joinedload

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.assignments import leases
from fleet.assignments.materialise import settle
from fleet.db import db, take_turn
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.lessons import forecast, granting, members, sets
from fleet.lessons.models import Lesson, LessonGift, LessonPlan, LessonSet, LessonTablet, Part
from fleet.lessons.rules import Limits, limits, part_of
from fleet.people.models import Account
from fleet.schools import calendar
from fleet.schools.calendar import Calendar
from fleet.schools.models import SchoolClass

Calendars = dict[int | None, Calendar]


class OutsideSchoolHoursError(ForbiddenError):
    """A lesson outside school hours needs the right to. Data: ``permission``; the day's local hours, or None."""

    code = "outside-school-hours"


class TooLongError(InvalidError):
    """The lesson would last too long. Data: ``latest`` (the instant it may last until), ``because``."""

    code = "too-long"


class LessonOverError(ConflictError):
    """The lesson is over. Data: ``lesson_id``, ``ended_at``."""

    code = "lesson-over"


def start(
    school_class: SchoolClass,
    given: LessonSet,
    *,
    until: datetime,
    absent: Collection[int] = (),
    takes_unseen: bool = False,
    request_id: str | None = None,
    by: Principal,
    now: datetime,
    timezone: ZoneInfo,
) -> Lesson:
    """Start a lesson now.

    Args:
        school_class: the class; its pupils' tablets in use, and its own set.
        given: the set it gives.
        until: when it ends.
        absent: persons the teacher says are absent.
        takes_unseen: whether tablets not heard from today are in: the teacher says that everybody is here.
        request_id: names this wish among those of ``by``; one that comes again gets the lesson it started, as that
            stands now: a phone that lost the network does not know whether its wish arrived.
        by: the teacher.
        now: the instant.
        timezone: the schools' local time.

    Raises:
        ForbiddenError: ``by`` may not teach this class.
        OutsideSchoolHoursError: there is no school, and ``by`` may not teach then.
        TooLongError: longer than the school's longest lesson, or past the end of its day.
        InvalidError: it would end before it begins.
        ConflictError: the class has no tablet that is enrolled.
    """
    require(by, Permission.TEACH, school_id=school_class.school_id, class_id=school_class.id)
    wish = f"{by.account_id}:{request_id}" if request_id else None
    if wish is not None and (known := _of_wish(wish)) is not None:
        return known
    calendars = calendar.load(timezone)
    require_times(school_class, now, until, by=by, calendars=calendars)
    lesson = _create(
        school_class, given, holder_id=by.account_id, starts_at=now, ends_at=until, takes_unseen=takes_unseen,
        request_id=wish, now=now,
    )  # fmt: skip
    count = _gather(lesson, absent=absent, calendars=calendars, timezone=timezone, now=now)
    if not count:
        raise ConflictError(kind="lesson", class_id=school_class.id, reason="no tablet is enrolled for this class")
    _end_emptied(lesson, by=by, now=now)
    audit.record(
        by, "lessons.started", subject=f"lesson:{lesson.id}", now=now, class_id=school_class.id, set_id=given.id,
        ends_at=until.isoformat(), count=count,
    )  # fmt: skip
    return lesson


def _of_wish(wish: str) -> Lesson | None:
    """Return the lesson that a wish started; nobody else starts one of the same wish until the transaction ends."""
    take_turn(f"lesson-wish-{wish}")
    return db.session.scalars(select(Lesson).where(Lesson.request_id == wish)).first()


def _end_emptied(lesson: Lesson, *, by: Principal, now: datetime) -> None:
    """End the class's earlier lessons that this one left without a tablet: the teacher began anew."""
    running = (Lesson.starts_at <= now, Lesson.ends_at > now, Lesson.ended_at.is_(None))
    query = select(Lesson).where(Lesson.class_id == lesson.class_id, Lesson.id != lesson.id, *running)
    for earlier in db.session.scalars(query).all():
        if not granting.in_lesson(earlier.id, now=now):
            _end(earlier, by=by, now=now)


def begin_planned(
    plan: LessonPlan,
    *,
    starts_at: datetime,
    ends_at: datetime,
    calendars: Calendars,
    now: datetime,
    timezone: ZoneInfo,
) -> Lesson:
    """Make a plan's lesson shortly before it begins, so that tablets know of it by then.

    It may have no tablet yet: one may be taken from a cart. The caller has seen that it may be held.
    """
    lesson = _create(
        plan.school_class, plan.set, holder_id=plan.holder_id, plan_id=plan.id, starts_at=starts_at, ends_at=ends_at,
        takes_unseen=False, now=now,
    )  # fmt: skip
    count = _gather(lesson, absent=(), calendars=calendars, timezone=timezone, now=now)
    audit.record(
        Principal.job("planned-lessons"), "lessons.planned", subject=f"lesson:{lesson.id}", now=now,
        class_id=lesson.class_id, set_id=plan.set_id, plan_id=plan.id, ends_at=ends_at.isoformat(), count=count,
    )  # fmt: skip
    return lesson


def cancel_planned(plan_id: int, starts_at: datetime, *, by: Principal, now: datetime) -> None:
    """Take back a plan's lesson that has not begun; one that has goes on, and can be ended. Who may: see the plan."""
    granting.begin_turn()
    lesson = db.session.scalars(
        select(Lesson).where(Lesson.plan_id == plan_id, Lesson.starts_at == starts_at, Lesson.ended_at.is_(None))
    ).first()
    if lesson is not None and lesson.starts_at > now:
        _end(lesson, by=by, now=now)


def require_times(
    school_class: SchoolClass, starts_at: datetime, until: datetime, *, by: Principal, calendars: Calendars
) -> None:
    """Refuse times at which ``by`` may not hold a lesson of the class.

    Raises:
        OutsideSchoolHoursError, TooLongError, InvalidError: as for :func:`start`.
    """
    if until.tzinfo is None:
        raise ValueError("naive datetime: instants are aware UTC")
    if until <= starts_at:
        raise InvalidError(kind="lesson", reason="it would end before it begins", until=until)
    allowed = allowed_until(school_class, starts_at, by=by, calendars=calendars)
    if allowed is None:
        hours = calendars[school_class.school_id].hours_on(starts_at.astimezone(calendars[None].timezone).date())
        raise OutsideSchoolHoursError(
            permission=Permission.TEACH_ANY_TIME.value,
            begins_at=hours[0] if hours else None,
            ends_at=hours[1] if hours else None,
        )
    if until > allowed.latest:
        raise TooLongError(latest=allowed.latest, because=allowed.because)


def allowed_until(
    school_class: SchoolClass, starts_at: datetime, *, by: Principal, calendars: Calendars
) -> Limits | None:
    """Return until when ``by`` may hold a lesson that starts then; None where not at all."""
    return limits(
        starts_at,
        calendar=calendars[school_class.school_id],
        longest=timedelta(minutes=school_class.school.longest_lesson_min),
        may_any_time=by.may(Permission.TEACH_ANY_TIME, school_id=school_class.school_id, class_id=school_class.id),
    )


def _create(
    school_class: SchoolClass,
    given: LessonSet,
    *,
    holder_id: int | None,
    plan_id: int | None = None,
    starts_at: datetime,
    ends_at: datetime,
    takes_unseen: bool,
    request_id: str | None = None,
    now: datetime,
) -> Lesson:
    # A school's lessons begin together: they wait for each other only where they want the same tablets (hold).
    granting.begin_turn(shared=True)
    lesson = Lesson(
        class_id=school_class.id, holder_id=holder_id, plan_id=plan_id, starts_at=starts_at.astimezone(UTC),
        ends_at=ends_at.astimezone(UTC), takes_unseen=takes_unseen, request_id=request_id, created_at=now,
        school_class=school_class,
    )  # fmt: skip
    _give_set(lesson, given, now)
    return lesson


def _give_set(lesson: Lesson, given: LessonSet, now: datetime) -> None:
    content = sets.content(given)
    lease = leases.create(
        profile=content.profile, version=content.version, place=lesson.school_class.title, settings=content.settings,
        now=now,
    )  # fmt: skip
    lesson.given.append(LessonGift(set=given, lease=lease, since=now))
    db.session.add(lesson)
    db.session.flush()


def _gather(lesson: Lesson, *, absent: Collection[int], calendars: Calendars, timezone: ZoneInfo, now: datetime) -> int:
    """Find out who is in and bring them in; returns how many tablets the lesson means."""
    day_began_at = members.day_began_at(lesson.starts_at, timezone)
    found = members.tablets(lesson.class_id, on=day_began_at.date())
    parts = {
        one.device_id: part_of(
            one.presence,
            is_absent=one.person_id in absent,
            takes_unseen=lesson.takes_unseen,
            lesson_starts_at=lesson.starts_at,
            day_began_at=day_began_at,
        )
        for one in found
    }
    coming = [device_id for device_id, part in parts.items() if part is Part.IN]
    told = {}
    if lesson.starts_at <= now:  # of one that is planned nothing is foreseen: tablets are told long before
        contacts = {one.device_id: forecast.contact_of(one) for one in found}
        told = forecast.forecasts(
            coming, contacts=contacts, school_id=lesson.school_class.school_id, now=now, timezone=timezone
        )
    granting.hold(parts)
    rows = [
        {
            "lesson_id": lesson.id, "device_id": one.device_id, "person_id": one.person_id,
            "part": parts[one.device_id], "part_since": now,
            "forecast_percent": told[one.device_id].percent if one.device_id in told else None,
            "forecast_kind": told[one.device_id].kind if one.device_id in told else None,
        }
        for one in found
    ]  # fmt: skip
    if rows:
        # render_nulls: else rows with and without a forecast are statements of their own, as often as they take turns.
        # returning: all rows go in one statement.
        query = insert(LessonTablet).returning(LessonTablet.id).execution_options(render_nulls=True)
        db.session.execute(query, rows)
    settle(granting.give(lesson, coming, calendars=calendars, now=now), now=now)
    return len(found)


def get(lesson_id: int, *, by: Principal) -> Lesson:
    """Return a lesson that ``by`` holds, or of a class that ``by`` may teach.

    Raises:
        NotFoundError: there is none, or not for ``by``.
    """
    at_school = joinedload(Lesson.school_class).joinedload(SchoolClass.school)
    found = db.session.get(Lesson, lesson_id, options=[at_school])
    if found is None or not may_hold(found, by):
        raise NotFoundError(kind="lesson", name=str(lesson_id))
    return found


def may_hold(lesson: Lesson, by: Principal) -> bool:
    """Whether ``by`` may act in the lesson: its holder, while at the school, or who may teach the class."""
    at = lesson.school_class
    is_holder = lesson.holder_id is not None and lesson.holder_id == by.account_id
    return (is_holder and by.is_at(at.school_id)) or by.may(Permission.TEACH, school_id=at.school_id, class_id=at.id)


def running(lesson_id: int, *, by: Principal, now: datetime) -> Lesson:
    """Return a lesson that is not over, with the turn taken, as it stands now.

    Raises:
        NotFoundError: there is none, or not for ``by``.
        LessonOverError: it is over.
    """
    granting.begin_turn()
    lesson = get(lesson_id, by=by)
    db.session.refresh(lesson)
    require_running(lesson, now=now)
    return lesson


def require_running(lesson: Lesson, *, now: datetime) -> None:
    """Refuse a lesson that is over.

    Raises:
        LessonOverError: it is.
    """
    if lesson.ended_at is not None or lesson.ends_at <= now:
        raise LessonOverError(kind="lesson", lesson_id=lesson.id, ended_at=lesson.ended_at or lesson.ends_at)


def extend(lesson_id: int, *, until: datetime, by: Principal, now: datetime, timezone: ZoneInfo) -> Lesson:
    """Move a lesson's end, later or earlier but not before now.

    Raises:
        NotFoundError: there is none, or not for ``by``.
        LessonOverError: it is over.
        OutsideSchoolHoursError, TooLongError, InvalidError: as for :func:`start`.
    """
    lesson = running(lesson_id, by=by, now=now)
    calendars = calendar.load(timezone)
    if until <= now:
        raise InvalidError(kind="lesson", reason="it would end before now: end it instead", until=until)
    if not lesson.starts_at < until <= lesson.ends_at:  # whatever may be, a shorter one may
        require_times(lesson.school_class, lesson.starts_at, until, by=by, calendars=calendars)
    device_ids = granting.in_lesson(lesson.id, now=now)
    granting.hold(device_ids)
    lesson.ends_at = until.astimezone(UTC)
    db.session.flush()
    settle(granting.give(lesson, device_ids, calendars=calendars, is_longer=True, now=now), now=now)
    audit.record(by, "lessons.extended", subject=f"lesson:{lesson.id}", now=now, ends_at=until.isoformat())
    return lesson


def end(lesson_id: int, *, by: Principal, now: datetime) -> Lesson:
    """End a lesson now; one that has not begun does not begin.

    Raises:
        NotFoundError: there is none, or not for ``by``.
        LessonOverError: it is over.
    """
    lesson = running(lesson_id, by=by, now=now)
    _end(lesson, by=by, now=now)
    return lesson


def _end(lesson: Lesson, *, by: Principal, now: datetime) -> None:
    device_ids = granting.in_lesson(lesson.id, now=now)
    granting.hold(device_ids)
    lesson.ends_at, lesson.ended_at = max(now, lesson.starts_at), now
    settle(granting.free(lesson, device_ids, now=now), now=now)
    audit.record(by, "lessons.ended", subject=f"lesson:{lesson.id}", now=now, count=len(device_ids))


def change_set(lesson_id: int, given: LessonSet, *, by: Principal, now: datetime, timezone: ZoneInfo) -> Lesson:
    """Give another set for the rest of a lesson.

    Raises:
        NotFoundError: there is none, or not for ``by``.
        LessonOverError: it is over.
    """
    lesson = running(lesson_id, by=by, now=now)
    device_ids = granting.in_lesson(lesson.id, now=now)
    granting.hold(device_ids)
    _give_set(lesson, given, now)
    db.session.expire(lesson, ["given"])
    settle(granting.give(lesson, device_ids, calendars=calendar.load(timezone), now=now), now=now)
    audit.record(by, "lessons.changed", subject=f"lesson:{lesson.id}", now=now, set_id=given.id)
    return lesson


def hand_over(lesson_id: int, to: Account, *, by: Principal, now: datetime) -> Lesson:
    """Hand a lesson to a colleague, who holds it from now on although the class may be another's.

    Raises:
        NotFoundError: there is none, or not for ``by``.
        LessonOverError: it is over.
        InvalidError: the colleague has no role at the school, or may not sign in.
    """
    lesson = running(lesson_id, by=by, now=now)
    if to.disabled_at is not None or all(
        one.school_id not in {None, lesson.school_class.school_id} for one in to.grants
    ):
        raise InvalidError(kind="lesson", reason="the colleague has no role at this school", account=to.username)
    lesson.holder_id = to.id
    db.session.flush()
    db.session.expire(lesson, ["holder"])
    audit.record(by, "lessons.handed-over", subject=f"lesson:{lesson.id}", now=now, account_id=to.id)
    return lesson
