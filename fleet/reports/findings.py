"""Findings by rule over time, and each finding with what became of it."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Select, func, or_, select

from fleet.compliance.models import Finding
from fleet.db import db
from fleet.devices.models import Device
from fleet.reports.asking import Asked, Place, place
from fleet.reports.models import DayFindings
from fleet.reports.sheet import Chart, Column, Drawn, Kind, Sheet
from fleet.reports.standing import BY_WEEK_FROM_DAYS
from fleet.schools.models import School, SchoolClass

_CURVES = 5  # more cannot be told apart
READ_AT_ONCE = 1_000


def by_rule(asked: Asked) -> Sheet:
    """Build how many findings of each kind were opened and closed, and are open; two statements."""
    where, (since, until) = place(asked), asked.days
    sums = [func.sum(getattr(DayFindings, name)) for name in ("open", "opened", "closed", "tablets")]
    query = select(DayFindings.on, DayFindings.kind, *sums).where(DayFindings.on.between(since, until))
    query = query.where(where.at(DayFindings.school_id)).group_by(DayFindings.on, DayFindings.kind)
    days: dict[date, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for on, kind, *told in db.session.execute(query.order_by(DayFindings.on)):
        days[on][kind] = tuple(map(int, told))
    kinds = sorted({kind for one in days.values() for kind in one})
    last = days[max(days)] if days else {}
    rows = []
    for kind in kinds:
        opened, closed = (sum(one[kind][at] for one in days.values() if kind in one) for at in (1, 2))
        standing = last.get(kind, (0, 0, 0, 0))
        rows.append((kind, standing[0], standing[3], opened, closed))
    rows.sort(key=lambda row: (-row[1], -row[3], row[0]))
    columns = (
        Column("finding", Kind.CODE, "finding"), Column("open"), Column("on-tablets"), Column("opened"),
        Column("closed"),
    )  # fmt: skip
    charts = _charts(days, rows, is_weekly=(until - since).days + 1 >= BY_WEEK_FROM_DAYS)
    totals = [None, sum(row[1] for row in rows), None, sum(row[3] for row in rows), sum(row[4] for row in rows)]
    return Sheet(
        report="findings", since=since, until=until, place=where.name, columns=columns, rows=rows, count=len(rows),
        charts=charts, totals=totals if len(rows) > 1 else None,
        tells=[(columns[1], totals[1]), (columns[3], totals[3]), (columns[4], totals[4])] if rows else (),
    )  # fmt: skip


def _charts(
    days: dict[date, dict[str, tuple[int, ...]]], rows: list[tuple[Any, ...]], *, is_weekly: bool
) -> list[Chart]:
    """Return the curves of what was open, of the commonest kinds, and how many of each were opened."""
    found: dict[date, dict[str, tuple[int, ...]]] = {}
    for on, told in days.items():
        found[on - timedelta(days=on.weekday()) if is_weekly else on] = told
    charts = []
    if len(found) > 1:
        most = sorted({row[0] for row in rows}, key=lambda kind: -max(_open(one, kind) for one in found.values()))
        curves = [(kind, [_open(one, kind) for one in found.values()]) for kind in most[:_CURVES]]
        label = Column("week" if is_weekly else "day", Kind.DAY)
        charts.append(Chart("open-over-time", Drawn.LINES, list(found), label, curves, series_words="finding"))
    opened = sorted((row for row in rows if row[3]), key=lambda row: -row[3])
    if opened:
        label, numbers = Column("finding", Kind.CODE, "finding"), [row[3] for row in opened]
        charts.append(Chart("opened-by-rule", Drawn.BARS, [row[0] for row in opened], label, [("opened", numbers)]))
    return charts


def _open(one: dict[str, tuple[int, ...]], kind: str) -> int:
    return one[kind][0] if kind in one else 0


_LISTED = (
    Column("opened-at", Kind.INSTANT), Column("closed-at", Kind.INSTANT), Column("finding", Kind.CODE, "finding"),
    Column("subject", Kind.TEXT), Column("severity", Kind.CODE, "severity"), Column("tag", Kind.TEXT),
    Column("serial", Kind.TEXT), Column("model", Kind.TEXT), Column("school", Kind.TEXT), Column("class", Kind.TEXT),
)  # fmt: skip


def each(asked: Asked) -> Sheet:
    """List the findings that were open at any time within the days, newest first; three statements."""
    where, (since, until) = place(asked), asked.days
    count = db.session.scalar(_each(select(func.count()).select_from(Finding), asked, where)) or 0
    columns = (
        Finding.opened_at, Finding.closed_at, Finding.kind, Finding.subject, Finding.severity, Device.asset_tag,
        Device.serial, Device.model, School.name, SchoolClass.title,
    )  # fmt: skip
    listing: Any = select(*columns).select_from(Finding)
    query = _each(listing, asked, where)
    query = query.order_by(Finding.opened_at.desc(), Finding.id.desc())
    return Sheet(
        report="finding-list", since=since, until=until, place=where.name, columns=_LISTED, rows=read(query),
        count=count,
    )  # fmt: skip


def _each(query: Select[Any], asked: Asked, where: Place) -> Select[Any]:
    begin, end = asked.instants
    query = query.join(Device, Device.id == Finding.device_id).outerjoin(School, School.id == Device.school_id)
    query = query.outerjoin(SchoolClass, SchoolClass.id == Device.class_id)
    query = query.where(Finding.opened_at < end, or_(Finding.closed_at.is_(None), Finding.closed_at >= begin))
    if asked.given.kind is not None:
        query = query.where(Finding.kind == asked.given.kind)
    return query.where(where.at(Device.school_id))


def read(query: Select[Any]) -> Iterator[tuple[Any, ...]]:
    """Read rows while they are asked for, so many at once: a long list costs no memory."""
    for row in db.session.execute(query.execution_options(yield_per=READ_AT_ONCE)):
        yield tuple(row)
