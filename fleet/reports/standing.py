"""Compliance over time, and place by place: what the figures of days tell. Tablets themselves are not read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Select, func, select

from fleet.db import db
from fleet.reports.asking import Asked, Place, place
from fleet.reports.models import DayClasses, DayFigures
from fleet.reports.sheet import Chart, Column, Drawn, Kind, Sheet
from fleet.schools import queries as schools
from fleet.schools.models import ClassKind, School, SchoolClass

BY_WEEK_FROM_DAYS = 93  # longer than that, a row is a week
_STOCKS = ("tablets", "enrolled", "seen", "applied", "compliant")
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """The figures of a day, or (``on`` its Monday) of a week's last day that has any, ``seen`` being its best day's."""

    on: date
    tablets: int
    enrolled: int
    seen: int
    applied: int
    compliant: int

    @property
    def in_order(self) -> float | None:
        """The share of tablets without findings; None where none is in use."""
        return self.compliant / self.enrolled if self.enrolled else None


def share(part: int, whole: int) -> float | None:
    """Return a share from 0 to 1; None of nothing."""
    return part / whole if whole else None


def over_time(asked: Asked) -> Sheet:
    """Build how many tablets are in order, day by day or week by week; three statements at most."""
    where, (since, until) = _one_class(asked), asked.days
    days = _days(where, since, until)
    weekly = (until - since).days + 1 >= BY_WEEK_FROM_DAYS
    found = by_week(days) if weekly else days
    columns = (
        Column("week" if weekly else "day", Kind.DAY),
        *(Column(name) for name in _STOCKS),
        Column("in-order", Kind.SHARE),
    )
    rows = [(*(getattr(one, name) for name in ("on", *_STOCKS)), one.in_order) for one in found]
    last = days[-1] if days else None
    return Sheet(
        report="compliance", since=since, until=until, place=where.name, columns=columns, rows=rows, count=len(rows),
        charts=[_curves(found, weekly=weekly)] if len(found) > 1 else [],
        notes=[*(["by-week"] if weekly else []), *(["small-classes"] if where.class_id is not None else [])],
        tells=[
            (Column("tablets"), last.tablets), (Column("enrolled"), last.enrolled),
            (Column("in-order", Kind.SHARE), last.in_order),
            (Column("change", Kind.CHANGE), _change(days[0].in_order, last.in_order)),
        ] if last is not None else (),
    )  # fmt: skip


def _change(before: float | None, after: float | None) -> float | None:
    return after - before if before is not None and after is not None else None


def _one_class(asked: Asked) -> Place:
    """Return the place; of one who looks after no school and asked for no class, the first of the own ones."""
    where = place(asked)
    if where.class_ids and where.class_id is None:
        first = min(schools.class_titles(where.class_ids).items(), key=lambda one: one[1], default=None)
        if first is not None:
            return place(replace(asked, given=replace(asked.given, class_id=first[0])))
    return where


def _days(where: Place, since: date, until: date) -> list[Standing]:
    query: Select[Any]
    if where.class_id is not None:
        query = select(DayClasses.on, *(getattr(DayClasses, name) for name in _STOCKS))
        query = query.where(DayClasses.class_id == where.class_id, DayClasses.on.between(since, until))
        query = query.order_by(DayClasses.on)
    else:
        query = select(DayFigures.on, *(func.sum(getattr(DayFigures, name)) for name in _STOCKS))
        query = query.where(where.at(DayFigures.school_id), DayFigures.on.between(since, until))
        query = query.group_by(DayFigures.on).order_by(DayFigures.on)
    return [Standing(row[0], *map(int, row[1:])) for row in db.session.execute(query)]


def by_week(days: Sequence[Standing]) -> list[Standing]:
    """Return a row for each week that has a day: how it ended, and how many were heard from on its best day."""
    weeks: dict[date, Standing] = {}
    for one in days:
        monday = one.on - timedelta(days=one.on.weekday())
        before = weeks.get(monday)
        weeks[monday] = replace(one, on=monday, seen=max(one.seen, before.seen if before is not None else 0))
    return list(weeks.values())


def _curves(found: Sequence[Standing], *, weekly: bool) -> Chart:
    """Return the curves: shares of the tablets in use. Weekends of single days are left out: nobody is heard from."""
    shown = [one for one in found if weekly or one.on.weekday() < _SATURDAY] or list(found)
    measures: tuple[tuple[str, Callable[[Standing], int]], ...] = (
        ("compliant", lambda one: one.compliant), ("applied", lambda one: one.applied), ("seen", lambda one: one.seen),
    )  # fmt: skip
    return Chart(
        "compliance-over-time", Drawn.LINES, [one.on for one in shown],
        Column("week" if weekly else "day", Kind.DAY),
        [(name, [share(measure(one), one.enrolled) for one in shown]) for name, measure in measures],
        Kind.SHARE,
    )  # fmt: skip


def by_place(asked: Asked) -> Sheet:
    """Build how each school stands, or each class of one school, beside the beginning; three statements."""
    where, (since, until) = place(asked), asked.days
    is_school = where.school_id is None and not where.class_ids
    query = _ends_of_schools(where, since, until) if is_school else _ends_of_classes(where, since, until)
    ends: dict[int | None, list[Any]] = {}
    for row in db.session.execute(query):
        ends.setdefault(row[0], []).append(row)
    last = max((found[-1].on for found in ends.values()), default=None)
    # A place that is no more has no row of the last day: what it was once is not how it stands.
    rows = [_beside(found[0], found[-1]) for found in ends.values() if found[-1].on == last]
    rows.sort(key=lambda row: (row[0] is None, row[0] or ""))
    columns = (
        Column("school" if is_school else "class", Kind.TEXT), *(Column(name) for name in _STOCKS),
        Column("in-order", Kind.SHARE), Column("in-order-before", Kind.SHARE), Column("change", Kind.CHANGE),
    )  # fmt: skip
    sums = [sum(row[place_of] for row in rows) for place_of in range(1, 6)]
    drawn = [row for row in rows if row[6] is not None]
    chart = Chart(
        "in-order-by-place", Drawn.BARS, [row[0] for row in drawn], columns[0],
        [("in-order", [row[6] for row in drawn])], Kind.SHARE,
    )  # fmt: skip
    is_summed = is_school and len(rows) > 1  # a pupil's tablet counts in each of the pupil's classes
    totals = [None, *sums, share(sums[4], sums[1]), None, None] if is_summed else None
    return Sheet(
        report="places", since=since, until=until, place=where.name, columns=columns, rows=rows, count=len(rows),
        charts=[chart] if drawn else [], totals=totals, notes=() if is_school else ("small-classes", "several-classes"),
    )  # fmt: skip


def _beside(first: Any, last: Any) -> tuple[Any, ...]:
    """Return a place's row: its newest figures, and what of them was in order on the first day."""
    now, before = share(last.compliant, last.enrolled), share(first.compliant, first.enrolled)
    change = _change(before, now) if last.on > first.on else None
    return (last.title, *(getattr(last, name) for name in _STOCKS), now, before if last.on > first.on else None, change)


def _ends_of_schools(where: Place, since: date, until: date) -> Select[Any]:
    ends = [
        select(which(DayFigures.on)).where(DayFigures.on.between(since, until)).scalar_subquery()
        for which in (func.min, func.max)
    ]
    columns = [getattr(DayFigures, name) for name in ("on", *_STOCKS)]
    query = select(DayFigures.school_id, School.name.label("title"), *columns)
    query = query.outerjoin(School, School.id == DayFigures.school_id)
    return query.where(DayFigures.on.in_(ends), where.at(DayFigures.school_id)).order_by(DayFigures.on)


def _ends_of_classes(where: Place, since: date, until: date) -> Select[Any]:
    ends = [
        select(which(DayClasses.on)).where(DayClasses.on.between(since, until)).scalar_subquery()
        for which in (func.min, func.max)
    ]
    columns = [getattr(DayClasses, name) for name in ("on", *_STOCKS)]
    query = select(DayClasses.class_id, SchoolClass.title.label("title"), *columns)
    query = query.join(SchoolClass, SchoolClass.id == DayClasses.class_id).where(DayClasses.on.in_(ends))
    if where.class_ids:
        query = query.where(DayClasses.class_id.in_(where.class_ids))
    else:
        query = query.where(SchoolClass.kind == ClassKind.BASIC, where.at(SchoolClass.school_id))
    return query.order_by(DayClasses.on)
