"""Writing figures of a day, and reading them as a trend. They are kept for good.

Invariant: a day's rows are written anew whole, by one job at a time (``job_runs.take_job_turn``), so they never mix two
moments; after the day they stay as they were last. Not here: figures of this moment (``devices.queries``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Date, Select, case, delete, func, insert, literal, select

from fleet.access import Permission, Principal
from fleet.db import carry_out, db
from fleet.devices.models import Device, DeviceLife, DeviceState
from fleet.lessons import occupied
from fleet.lessons.models import Lesson
from fleet.reports.models import DayFigures
from fleet.schools.models import SchoolClass

_COLUMNS = ("tablets", "enrolled", "seen", "applied", "compliant", "lessons")


@dataclass(frozen=True, slots=True)
class Day:
    """What :class:`DayFigures` tells, of some schools together."""

    on: date
    tablets: int
    enrolled: int
    seen: int
    applied: int
    compliant: int
    lessons: int


def record(*, now: datetime, timezone: ZoneInfo) -> int:
    """Write the figures of the running local day, instead of what it had; returns how many rows. Two statements.

    Args:
        now: the instant.
        timezone: the schools' local time.
    """
    on = now.astimezone(timezone).date()
    since = datetime.combine(on, time(), timezone)
    carry_out(delete(DayFigures).where(DayFigures.on == on))
    columns = ["school_id", "on", *_COLUMNS]
    write = insert(DayFigures).from_select(columns, _of_schools(on, since, now)).returning(DayFigures.id)
    return len(db.session.scalars(write).all())


def _of_schools(on: date, since: datetime, now: datetime) -> Select[Any]:
    """Select what a day's rows say, in the order of the columns; those out of use count nowhere."""
    begun = select(SchoolClass.school_id, func.count().label("lessons")).join_from(Lesson, SchoolClass)
    lessons = begun.where(*occupied.has_begun(since=since, now=now)).group_by(SchoolClass.school_id).subquery()
    columns: list[Any] = [
        Device.school_id,
        literal(on, Date),
        *measures(since),
        func.coalesce(func.max(lessons.c.lessons), 0),
    ]
    query = select(*columns).join(Device.state).outerjoin(lessons, lessons.c.school_id == Device.school_id)
    return query.where(Device.life != DeviceLife.RETIRED).group_by(Device.school_id)


def measures(since: datetime) -> list[Any]:
    """Return what is counted of tablets on a day that began then: all, enrolled, seen, applied and compliant."""
    enrolled, seen = Device.life == DeviceLife.ENROLLED, DeviceState.last_seen_at
    counted = (
        enrolled,
        enrolled & (seen >= since),
        enrolled & seen.is_not(None) & (DeviceState.applied_digest == DeviceState.desired_digest),
        enrolled & ~DeviceState.has_findings,
    )
    return [func.count(), *(func.sum(case((one, 1), else_=0)) for one in counted)]


def trend(
    days: int = 30, *, by: Principal, now: datetime, timezone: ZoneInfo, school_id: int | None = None
) -> Sequence[Day]:
    """Return the days that have figures, the oldest first, summed over the schools ``by`` may see; one statement.

    Args:
        days: how many, today's being the last.
        by: who asks; whoever looks after no school gets none.
        now: the instant.
        timezone: the schools' local time.
        school_id: only this school's.
    """
    visible = by.school_ids(Permission.SEE_SCHOOL)
    if visible is not None and not visible:
        return []
    today = now.astimezone(timezone).date()
    sums = (func.sum(getattr(DayFigures, name)) for name in _COLUMNS)
    query = select(DayFigures.on, *sums).where(DayFigures.on > today - timedelta(days=days), DayFigures.on <= today)
    if visible is not None:
        query = query.where(DayFigures.school_id.in_(visible))
    if school_id is not None:
        query = query.where(DayFigures.school_id == school_id)
    rows = db.session.execute(query.group_by(DayFigures.on).order_by(DayFigures.on))
    return [Day(row[0], *map(int, row[1:])) for row in rows]
