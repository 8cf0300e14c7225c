"""A lesson begun again as it was: after it was ended by mistake, or because the next one is the same."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from fleet.access import Principal
from fleet.db import db
from fleet.lessons import endings, finding, life, sets
from fleet.lessons.models import Lesson, LessonSet, LessonTablet, Part

_LEFT_OUT = (Part.ABSENT, Part.RELEASED)


def set_of(lesson: Lesson) -> LessonSet:
    """Return what a lesson gave in the end; what it gave before, where all eyes were on the teacher for a while."""
    return finding.before_eyes(lesson) or lesson.given[-1].set


def start_again(
    lesson_id: int,
    *,
    until: datetime | None = None,
    request_id: str | None = None,
    by: Principal,
    now: datetime,
    timezone: ZoneInfo,
) -> Lesson:
    """Start a lesson with the class, the set and the absent pupils of an earlier one.

    Args:
        lesson_id: the earlier one.
        until: when it ends; None, or one that has passed: the end that most would choose.
        request_id: as for :func:`fleet.lessons.life.start`.
        by: the teacher.
        now: the instant.
        timezone: the schools' local time.

    Raises:
        NotFoundError: there is no such lesson, or not for ``by``; or its set is not offered any more.
        ForbiddenError, OutsideSchoolHoursError, TooLongError, ConflictError: as for :func:`fleet.lessons.life.start`.
    """
    earlier = life.get(lesson_id, by=by)
    given = sets.get(set_of(earlier).id, school_class=earlier.school_class, by=by)
    if until is None or until <= now:
        usual = endings.endings(earlier.school_class, by=by, now=now, timezone=timezone).default
        until = usual.until if usual is not None else now + endings.COMMON  # refused, and why is said
    out = (LessonTablet.lesson_id == lesson_id, LessonTablet.part.in_(_LEFT_OUT))
    absent = db.session.scalars(select(LessonTablet.person_id).where(*out, LessonTablet.person_id.is_not(None)))
    return life.start(
        earlier.school_class, given, until=until, absent=frozenset(one for one in absent if one is not None),
        takes_unseen=earlier.takes_unseen, request_id=request_id, by=by, now=now, timezone=timezone,
    )  # fmt: skip
