"""Lessons planned ahead, and when they are."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from fleet.access import Principal
from fleet.lessons.models import LessonPlan, LessonSet
from fleet.schools.calendar import Calendar
from fleet.schools.models import SchoolClass


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
    """Plan a lesson: once, or each week."""
    raise NotImplementedError


def listed(*, school_class: SchoolClass | None = None, by: Principal, now: datetime) -> Sequence[LessonPlan]:
    """Return the plans that still stand."""
    raise NotImplementedError


def get(plan_id: int, *, by: Principal) -> LessonPlan:
    """Return the plan of this number."""
    raise NotImplementedError


def occurrences(
    found: LessonPlan, *, since: datetime, until: datetime, calendar: Calendar
) -> list[tuple[datetime, datetime]]:
    """Return when a plan's lessons that touch a span begin and end."""
    raise NotImplementedError


def is_planned(class_ids: Collection[int], *, at: datetime, calendars: Mapping[int | None, Calendar]) -> frozenset[int]:
    """Return which of these classes have a planned lesson at an instant."""
    raise NotImplementedError
