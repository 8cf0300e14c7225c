"""Which tablets are in lessons now: for lists of tablets, and before something is done to many."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from fleet.access import Permission, Principal
from fleet.db import among, db
from fleet.devices import queries as devices
from fleet.devices.models import Device
from fleet.lessons.models import Lesson, LessonTablet
from fleet.schools.models import SchoolClass


def tablets(now: datetime) -> Select[Any]:
    """Select the ids of the tablets that are in a running lesson."""
    return (
        select(LessonTablet.device_id)
        .join(Lesson, Lesson.id == LessonTablet.lesson_id)
        .where(*_runs(now), LessonTablet.is_in(now))
    )


def among_these(device_ids: Collection[int], now: datetime) -> frozenset[int]:
    """Return those of these tablets that are in a running lesson; one statement."""
    return frozenset(db.session.scalars(tablets(now).where(among(LessonTablet.device_id, device_ids))))


def by_school(*, by: Principal, now: datetime) -> dict[int | None, int]:
    """Return how many of the tablets ``by`` may see are in a running lesson, by their school; one statement."""
    seen = devices.matching(devices.Filter(within=tablets(now)), by=by)
    query: Any = select(Device.school_id, func.count()).where(Device.id.in_(seen)).group_by(Device.school_id)
    return {row[0]: row[1] for row in db.session.execute(query)}


@dataclass(frozen=True, slots=True)
class Figures:
    """The lessons that run: how many, how many tablets are in, and how many of those have what it gives."""

    running: int
    tablets: int
    arrived: int


def in_figures(now: datetime) -> Figures:
    """Return how many lessons run, and how far they have come; one statement."""
    is_in = and_(LessonTablet.lesson_id == Lesson.id, LessonTablet.is_in(now))
    columns: list[Any] = [
        func.count(Lesson.id.distinct()),
        func.count(LessonTablet.id),
        func.count(LessonTablet.arrived_at),
    ]
    query = select(*columns).select_from(Lesson).outerjoin(LessonTablet, is_in).where(*_runs(now))
    return Figures(*db.session.execute(query).one())


def _runs(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (Lesson.starts_at <= now, Lesson.ends_at > now, Lesson.ended_at.is_(None))


def has_begun(*, since: datetime, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a lesson began since then; one that was taken back before is none."""
    was_held = or_(Lesson.ended_at.is_(None), Lesson.ended_at > Lesson.starts_at)
    return (Lesson.starts_at >= since, Lesson.starts_at <= now, was_held)


def begun(*, since: datetime, by: Principal, now: datetime) -> int:
    """Return how many lessons began since then at the schools ``by`` looks after; one statement."""
    query = select(func.count()).select_from(Lesson).where(*has_begun(since=since, now=now))
    visible = by.school_ids(Permission.SEE_SCHOOL)
    if visible is not None:
        query = query.join(SchoolClass).where(SchoolClass.school_id.in_(visible))
    return db.session.scalar(query) or 0
