"""Writing down what happened on a local day, so that a year's trend reads numbers and no tablets.

Invariants: a day's rows are written anew whole, by one job at a time (``job_runs.take_job_turn``), and yesterday's
once more with today's, so that what happened late in the evening counts. The number of statements depends neither on
tablets nor on schools. A class with fewer than :data:`SMALL_GROUP` tablets gets no row of its own.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Date, case, cast, delete, func, insert, literal, or_, select, true
from sqlalchemy.dialects.postgresql import JSONB

from fleet.compliance.models import Finding
from fleet.db import carry_out, db
from fleet.devices import queries as devices
from fleet.devices.models import Device, DeviceLife, DeviceState
from fleet.lessons import occupied
from fleet.lessons.models import Lesson, LessonTablet
from fleet.reports import figures
from fleet.reports.models import SMALL_GROUP, AppUse, DayClasses, DayFindings, DayLessons
from fleet.schools.models import SchoolClass


def record(*, now: datetime, timezone: ZoneInfo) -> int:
    """Write the figures of yesterday and of the running local day; returns how many rows. Fourteen statements at most.

    Args:
        now: the instant.
        timezone: the schools' local time.
    """
    today = now.astimezone(timezone).date()
    rows = 0
    for on in (today - timedelta(days=1), today):
        rows += record_findings(on, now=now, timezone=timezone) + record_lessons(on, now=now, timezone=timezone)
    return rows + record_classes(today, timezone=timezone) + record_apps()


def bounds(on: date, timezone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return when a local day begins and when the next one does."""
    return datetime.combine(on, time(), timezone), datetime.combine(on + timedelta(days=1), time(), timezone)


def record_findings(on: date, *, now: datetime, timezone: ZoneInfo) -> int:
    """Write a day's findings by school and kind, as the findings that are kept tell it; returns how many rows."""
    begin, following = bounds(on, timezone)
    end = min(following, now + timedelta(microseconds=1))
    still = or_(Finding.closed_at.is_(None), Finding.closed_at >= end)
    measures = (still, Finding.opened_at >= begin, (Finding.closed_at >= begin) & (Finding.closed_at < end))
    columns: list[Any] = [
        Device.school_id,
        literal(on, Date),
        Finding.kind,
        *(func.coalesce(func.sum(case((one, 1), else_=0)), 0) for one in measures),
        func.count(case((still, Finding.device_id)).distinct()),
    ]
    query = select(*columns).select_from(Finding).join(Device, Device.id == Finding.device_id)
    touched = or_(Finding.closed_at.is_(None), Finding.closed_at >= begin)
    query = query.where(Finding.opened_at < end, touched).group_by(Device.school_id, Finding.kind)
    carry_out(delete(DayFindings).where(DayFindings.on == on))
    names = ["school_id", "on", "kind", "open", "opened", "closed", "tablets"]
    return len(db.session.scalars(insert(DayFindings).from_select(names, query).returning(DayFindings.id)).all())


def record_lessons(on: date, *, now: datetime, timezone: ZoneInfo) -> int:
    """Write the lessons that began on a day, by class; returns how many rows."""
    begin, following = bounds(on, timezone)
    end = min(following - timedelta(microseconds=1), now)
    meant = select(LessonTablet.lesson_id, func.count().label("tablets")).group_by(LessonTablet.lesson_id).subquery()
    query = (
        select(SchoolClass.school_id, Lesson.class_id, Lesson.starts_at, Lesson.ends_at, meant.c.tablets)
        .join(SchoolClass, SchoolClass.id == Lesson.class_id)
        .outerjoin(meant, meant.c.lesson_id == Lesson.id)
        .where(*occupied.has_begun(since=begin, now=end))
    )
    found = db.session.execute(query).all()
    carry_out(delete(DayLessons).where(DayLessons.on == on))
    rows = _by_class(found, on, now)
    if rows:
        db.session.execute(insert(DayLessons), rows)
    return len(rows)


def _by_class(found: Sequence[Any], on: date, now: datetime) -> list[dict[str, Any]]:
    """Add lessons up: each class for itself, the small ones of a school together."""
    tablets: dict[int, int] = {}
    for one in found:
        tablets[one.class_id] = max(tablets.get(one.class_id, 0), one.tablets or 0)
    rows: dict[tuple[int, int | None], dict[str, Any]] = {}
    for one in found:
        class_id = one.class_id if tablets[one.class_id] >= SMALL_GROUP else None
        row = rows.setdefault(
            (one.school_id, class_id),
            {"school_id": one.school_id, "class_id": class_id, "on": on, "lessons": 0, "minutes": 0, "tablets": 0},
        )
        row["lessons"] += 1
        row["minutes"] += max(0, round((min(one.ends_at, now) - one.starts_at).total_seconds() / 60))
    schools: Mapping[int, int] = {one.class_id: one.school_id for one in found}
    for class_id, number in tablets.items():
        rows[schools[class_id], class_id if number >= SMALL_GROUP else None]["tablets"] += number
    return list(rows.values())


def record_classes(on: date, *, timezone: ZoneInfo) -> int:
    """Write how the tablets of each class stand, those of small ones left out; returns how many rows."""
    begin, _following = bounds(on, timezone)
    places = devices.class_places(on).subquery()
    columns: list[Any] = [places.c.class_id, literal(on, Date), *figures.measures(begin)]
    query = (
        select(*columns)
        .select_from(Device)
        .join(Device.state)
        .join(places, places.c.device_id == Device.id)
        .join(SchoolClass, SchoolClass.id == places.c.class_id)
        .where(Device.life != DeviceLife.RETIRED, SchoolClass.ended_at.is_(None))
        .group_by(places.c.class_id)
        .having(func.count() >= SMALL_GROUP)
    )
    carry_out(delete(DayClasses).where(DayClasses.on == on))
    names = ["class_id", "on", "tablets", "enrolled", "seen", "applied", "compliant"]
    return len(db.session.scalars(insert(DayClasses).from_select(names, query).returning(DayClasses.id)).all())


def record_apps() -> int:
    """Count anew on how many tablets in use each app is, by school; returns how many rows."""
    if db.session.get_bind().dialect.name == "postgresql":
        told = cast(DeviceState.facts, JSONB)["apps"]
        items = func.jsonb_array_elements(case((func.jsonb_typeof(told) == "array", told), else_=cast([], JSONB)))
        one = items.table_valued("value", name="one")
        app_id: Any = cast(one.c.value, JSONB)["id"].astext
    else:
        one = func.json_each(DeviceState.facts, "$.apps").table_valued("value", name="one")
        app_id = func.json_extract(one.c.value, "$.id")
    app_id = func.substr(app_id, 1, 255)
    query = select(Device.school_id, Device.platform, app_id, func.count(Device.id.distinct())).select_from(Device)
    query = query.join(Device.state).join(one, true())
    query = query.where(Device.life == DeviceLife.ENROLLED, app_id.is_not(None))
    query = query.group_by(Device.school_id, Device.platform, app_id)
    carry_out(delete(AppUse))
    names = ["school_id", "platform", "app_id", "tablets"]
    return len(db.session.scalars(insert(AppUse).from_select(names, query).returning(AppUse.id)).all())
