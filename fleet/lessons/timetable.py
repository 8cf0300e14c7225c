"""Planned lessons come to be: begun when due, left out on a date, withdrawn.

These stand above both :mod:`fleet.lessons.plans` and :mod:`fleet.lessons.life`, which asks the former what is planned.
"""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from fleet.access import Principal
from fleet.lessons.models import LessonPlan


def skip(plan_id: int, on: date, *, by: Principal, now: datetime, timezone: ZoneInfo) -> LessonPlan:
    """Leave out a plan's lesson on a date; one that was made and has not begun is cancelled."""
    raise NotImplementedError


def unskip(plan_id: int, on: date, *, by: Principal, now: datetime) -> LessonPlan:
    """Have a plan's lesson on a date after all."""
    raise NotImplementedError


def withdraw(plan_id: int, *, by: Principal, now: datetime) -> LessonPlan:
    """Plan this no more; lessons that were made and have not begun are cancelled."""
    raise NotImplementedError


def begin_due(*, now: datetime, timezone: ZoneInfo, ahead: timedelta = timedelta(minutes=20)) -> int:
    """Make the lessons that begin soon; returns how many."""
    raise NotImplementedError
