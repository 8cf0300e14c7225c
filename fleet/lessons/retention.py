"""How long lessons are remembered: who had what in which lesson is nobody's business for ever."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from fleet.assignments.models import Lease, LeasedTablet
from fleet.db import db
from fleet.lessons.models import Lesson, LessonGift, LessonTablet


def forget(*, older_than: timedelta, now: datetime, at_most: int = 500) -> int:
    """Remove lessons that ended longer ago than that, with their leases, at most so many at once; returns how many."""
    old = select(Lesson.id).where(Lesson.ends_at < now - older_than).order_by(Lesson.id).limit(at_most)
    lesson_ids = list(db.session.scalars(old))
    if not lesson_ids:
        return 0
    lease_ids = list(db.session.scalars(select(LessonGift.lease_id).where(LessonGift.lesson_id.in_(lesson_ids))))
    pointing = update(LessonTablet).where(LessonTablet.other_lesson_id.in_(lesson_ids)).values(other_lesson_id=None)
    for statement in (
        pointing,
        delete(LessonTablet).where(LessonTablet.lesson_id.in_(lesson_ids)),
        delete(LessonGift).where(LessonGift.lesson_id.in_(lesson_ids)),
        delete(LeasedTablet).where(LeasedTablet.lease_id.in_(lease_ids)),
        delete(Lease).where(Lease.id.in_(lease_ids)),
        delete(Lesson).where(Lesson.id.in_(lesson_ids)),
    ):
        db.session.execute(statement.execution_options(synchronize_session=False))
    db.session.expire_all()
    return len(lesson_ids)
