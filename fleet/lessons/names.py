"""What lessons and sets are called that are known by their number only: for lists. Asks for no permission."""

from collections.abc import Collection

from sqlalchemy import select

from fleet.db import db, id_set
from fleet.lessons.models import Lesson, LessonSet
from fleet.schools.models import SchoolClass


def sets(set_ids: Collection[int]) -> dict[int, LessonSet]:
    """Return the sets of these numbers, offered still or not; at most one statement."""
    if not set_ids:
        return {}
    return {one.id: one for one in db.session.scalars(select(LessonSet).where(LessonSet.id.in_(id_set(set_ids))))}


def classes(lesson_ids: Collection[int]) -> dict[int, str]:
    """Return the titles of the classes that have or had these lessons, by lesson; at most one statement."""
    if not lesson_ids:
        return {}
    query = select(Lesson.id, SchoolClass.title).join(Lesson.school_class).where(Lesson.id.in_(id_set(lesson_ids)))
    return {row.id: row.title for row in db.session.execute(query)}
