"""Which lesson runs where, for pages that lead to it, and who could hold it instead."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import joinedload

from fleet.access import Principal
from fleet.db import db
from fleet.lessons import life
from fleet.lessons.models import Lesson, LessonTablet, Part
from fleet.people.models import Account, AccountGrant
from fleet.schools.models import SchoolClass


def of_tablet(device_id: int, *, by: Principal, now: datetime) -> Lesson | None:
    """Return the lesson that a tablet is in now, if ``by`` may act in it; one statement."""
    query = (
        select(Lesson)
        .join(LessonTablet, LessonTablet.lesson_id == Lesson.id)
        .where(LessonTablet.device_id == device_id, LessonTablet.part == Part.IN, *_runs(now))
        .options(joinedload(Lesson.school_class))
        .order_by(Lesson.starts_at.desc())
    )
    return next((one for one in db.session.scalars(query) if life.may_hold(one, by)), None)


def by_class(school_id: int, *, by: Principal, now: datetime) -> dict[int, Lesson]:
    """Return by class the lesson that runs there, the newest of several, if ``by`` may act in it; one statement."""
    query = (
        select(Lesson)
        .join(Lesson.school_class)
        .where(SchoolClass.school_id == school_id, *_runs(now))
        .options(joinedload(Lesson.school_class))
        .order_by(Lesson.starts_at, Lesson.id)
    )
    return {one.class_id: one for one in db.session.scalars(query) if life.may_hold(one, by)}


def _runs(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Lesson.starts_at <= now, Lesson.ends_at > now, Lesson.ended_at.is_(None)


def colleagues(lesson: Lesson) -> Sequence[Account]:
    """Return those whom a lesson can be handed to, by name: who has a role at its school and does not hold it."""
    at_school = or_(AccountGrant.school_id.is_(None), AccountGrant.school_id == lesson.school_class.school_id)
    query = select(Account).where(Account.disabled_at.is_(None), Account.grants.any(at_school))
    if lesson.holder_id is not None:
        query = query.where(Account.id != lesson.holder_id)
    return db.session.scalars(query.order_by(Account.name, Account.id)).all()
