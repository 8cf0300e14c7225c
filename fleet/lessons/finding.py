"""Beside a lesson: where one runs, what comes today, who could hold it, which apps its tablets have."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import contains_eager, joinedload

from fleet.access import Principal
from fleet.db import db, id_set
from fleet.devices.models import DeviceState
from fleet.errors import NotFoundError
from fleet.lessons import life, plans
from fleet.lessons.models import Lesson, LessonPlan, LessonSet, LessonTablet, SetKind
from fleet.people.models import Account, AccountGrant
from fleet.schools import calendar
from fleet.schools.models import SchoolClass

_APPS = 24  # as many as one can look through


def of_tablet(device_id: int, *, by: Principal, now: datetime) -> Lesson | None:
    """Return the lesson that a tablet is in now, if ``by`` may act in it; one statement."""
    is_in = (LessonTablet.device_id == device_id, LessonTablet.is_in(now))
    query = _running(now).join(LessonTablet, LessonTablet.lesson_id == Lesson.id).where(*is_in)
    return _newest(query, by)


def of_class(class_id: int, *, by: Principal, now: datetime) -> Lesson | None:
    """Return the lesson that a class has now, the newest of several, if ``by`` may act in it; one statement."""
    return _newest(_running(now).where(Lesson.class_id == class_id), by)


def by_class(school_id: int, *, by: Principal, now: datetime) -> dict[int, Lesson]:
    """Return the same for each class of a school that has one; one statement."""
    found = db.session.scalars(_running(now).where(SchoolClass.school_id == school_id))
    return {one.class_id: one for one in found if life.may_hold(one, by)}


def _newest(query: Select[Lesson], by: Principal) -> Lesson | None:
    return next((one for one in reversed(db.session.scalars(query).all()) if life.may_hold(one, by)), None)


def _running(now: datetime) -> Select[Lesson]:
    return (
        select(Lesson)
        .join(Lesson.school_class)
        .where(Lesson.starts_at <= now, Lesson.ends_at > now, Lesson.ended_at.is_(None))
        .options(contains_eager(Lesson.school_class))
        .order_by(Lesson.starts_at, Lesson.id)
    )


def before_eyes(lesson: Lesson) -> LessonSet | None:
    """Return what a lesson gave before all eyes were on the teacher; None where they are not, or always were."""
    given = [one.set for one in lesson.given]
    if given[-1].kind is not SetKind.EYES:
        return None
    return next((one for one in reversed(given) if one.kind is not SetKind.EYES), None)


def colleagues(lesson: Lesson) -> Sequence[Account]:
    """Return those whom a lesson can be handed to, by name: who has a role at its school and does not hold it."""
    return db.session.scalars(_colleagues(lesson).order_by(Account.name, Account.id)).all()


def colleague(lesson: Lesson, account_id: int | None) -> Account:
    """Return one of :func:`colleagues`.

    Raises:
        NotFoundError: there is no such colleague.
    """
    found = db.session.scalars(_colleagues(lesson).where(Account.id == account_id)).first()
    if found is None:
        raise NotFoundError(kind="account", name=str(account_id))
    return found


def _colleagues(lesson: Lesson) -> Select[Account]:
    at_school = or_(AccountGrant.school_id.is_(None), AccountGrant.school_id == lesson.school_class.school_id)
    query = select(Account).where(Account.disabled_at.is_(None), Account.grants.any(at_school))
    return query if lesson.holder_id is None else query.where(Account.id != lesson.holder_id)


@dataclass(frozen=True, slots=True)
class Coming:
    """A lesson that a plan will have today, and for which nothing has been made yet."""

    plan: LessonPlan
    starts_at: datetime
    ends_at: datetime


def coming(class_ids: Collection[int], *, now: datetime, timezone: ZoneInfo) -> list[Coming]:
    """Return what classes have planned for the rest of the day, by time; four statements at most."""
    if not class_ids:
        return []
    local = now.astimezone(timezone)
    query = plans.living({local.date()}).where(LessonPlan.class_id.in_(id_set(class_ids)))
    found = db.session.scalars(query.options(contains_eager(LessonPlan.set), joinedload(LessonPlan.holder))).all()
    if not found:
        return []
    calendars = calendar.load(timezone)
    until = datetime.combine(local.date() + timedelta(days=1), time(), timezone)
    spans = (
        Coming(plan, *span)
        for plan in found
        for span in plans.occurrences(plan, since=now, until=until, calendar=calendars[plan.school_class.school_id])
        if now < span[0] < until
    )
    return sorted(spans, key=lambda one: (one.starts_at, one.plan.id))


def apps_on(device_ids: Collection[int]) -> list[str]:
    """Return the ids of apps that these tablets say they have, the most common first; one statement."""
    query = select(DeviceState.facts).where(DeviceState.device_id.in_(id_set(device_ids)))
    counted = Counter(app["id"] for facts in db.session.scalars(query) for app in (facts or {}).get("apps", ()))
    return [name for name, _count in sorted(counted.items(), key=lambda one: (-one[1], one[0]))[:_APPS]]
