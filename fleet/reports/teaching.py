"""Lesson use, by class and never by pupil. Of small classes only what they have together."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select

from fleet.db import db
from fleet.reports.asking import Asked, Place, place, within
from fleet.reports.models import SMALL_GROUP, DayLessons
from fleet.reports.sheet import Chart, Column, Drawn, Kind, Sheet
from fleet.schools.models import School, SchoolClass


@dataclass(frozen=True, slots=True)
class _Use:
    """What one class, or a school's small classes, used."""

    school: str
    title: str | None
    lessons: int
    minutes: int
    days: int


def by_class(asked: Asked) -> Sheet:
    """Build how many lessons each class had, and for how long; two statements.

    A school's small classes stand together in one row; of days on which all of them had fewer than :data:`SMALL_GROUP`
    tablets, their lessons are left out.
    """
    where, (since, until) = place(asked), asked.days
    sums = (func.sum(DayLessons.lessons), func.sum(DayLessons.minutes), func.count())
    query = (
        select(School.name, SchoolClass.title, *sums)
        .select_from(DayLessons)
        .join(School, School.id == DayLessons.school_id)
        .outerjoin(SchoolClass, SchoolClass.id == DayLessons.class_id)
        .where(*_counted(where, since, until))
        .group_by(DayLessons.school_id, School.name, DayLessons.class_id, SchoolClass.title)
    )
    shown = [_Use(school, title, *map(int, told)) for school, title, *told in db.session.execute(query)]
    shown.sort(key=lambda use: (use.school, use.title is None, len(use.title or ""), use.title or ""))
    rows = [(use.school, use.title, use.lessons, round(use.minutes / 60, 1), use.days) for use in shown]
    columns = (
        Column("school", Kind.TEXT), Column("class", Kind.TEXT), Column("lessons"), Column("hours", Kind.DECIMAL),
        Column("days-with-lessons"),
    )  # fmt: skip
    lessons, hours = sum(use.lessons for use in shown), round(sum(use.minutes for use in shown) / 60, 1)
    return Sheet(
        report="lessons", since=since, until=until, place=where.name, columns=columns, rows=rows, count=len(rows),
        charts=_charts(asked, shown), totals=[None, None, lessons, hours, None] if len(rows) > 1 else None,
        notes=("lessons-small",), tells=[(columns[2], lessons), (columns[3], hours)] if rows else (),
    )  # fmt: skip


def _counted(where: Place, since: date, until: date) -> tuple[ColumnElement[bool], ...]:
    """Return what holds for the rows that may be told; day by day, or two spans would tell what lies between."""
    is_within = within(where, DayLessons.school_id, DayLessons.class_id)
    return (DayLessons.on.between(since, until), DayLessons.tablets >= SMALL_GROUP, is_within)


def _charts(asked: Asked, shown: list[_Use]) -> list[Chart]:
    """Return the lessons week by week, and by school or class."""
    charts: list[Chart] = []
    weeks = _weeks(asked)
    if len(weeks) > 1:
        label, numbers = Column("week", Kind.DAY), list(weeks.values())
        charts.append(Chart("lessons-by-week", Drawn.STACKS, list(weeks), label, [("lessons", numbers)]))
    by_school: dict[str, int] = defaultdict(int)
    for use in shown:
        by_school[use.school] += use.lessons
    if len(by_school) > 1:
        told, label = dict(by_school), Column("school", Kind.TEXT)
    else:
        told = {use.title: use.lessons for use in shown if use.title is not None}
        label = Column("class", Kind.TEXT)
    if len(told) > 1:
        most = dict(sorted(told.items(), key=lambda one: -one[1])[:30])
        charts.append(Chart("lessons-by-place", Drawn.BARS, list(most), label, [("lessons", list(most.values()))]))
    return charts


def _weeks(asked: Asked) -> dict[Any, int]:
    """Return the lessons of each week, by its Monday; one statement."""
    where, (since, until) = place(asked), asked.days
    query = select(DayLessons.on, func.sum(DayLessons.lessons)).where(*_counted(where, since, until))
    weeks: dict[Any, int] = {}
    monday = since - timedelta(days=since.weekday())
    while monday <= until:
        weeks[monday] = 0
        monday += timedelta(days=7)
    for on, lessons in db.session.execute(query.group_by(DayLessons.on)):
        weeks[on - timedelta(days=on.weekday())] += int(lessons)
    return weeks
