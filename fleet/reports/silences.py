"""Incidents, and what came of questions about silent tablets."""

from typing import Any

from sqlalchemy import case, func, or_, select

from fleet.compliance.models import Answer, Incident, Question
from fleet.db import db
from fleet.devices.models import Device
from fleet.reports.asking import Asked, place
from fleet.reports.sheet import Chart, Column, Drawn, Kind, Sheet
from fleet.schools.models import School


def incidents(asked: Asked) -> Sheet:
    """List the incidents within the days, newest first; those that were everywhere are everybody's. Two statements."""
    where = place(asked)
    begin, end = asked.instants
    query = (
        select(Incident, School.name)
        .outerjoin(School, School.id == Incident.school_id)
        .where(Incident.began_at < end, or_(Incident.closed_at.is_(None), Incident.closed_at >= begin))
        .where(or_(Incident.school_id.is_(None), where.at(Incident.school_id)))
        .order_by(Incident.began_at.desc(), Incident.id.desc())
    )
    found = [(one, name) for one, name in db.session.execute(query)]
    rows = [
        (
            one.began_at, one.closed_at, name, one.cause.value, one.most, one.of,
            round((one.closed_at - one.began_at).total_seconds() / 3600, 1) if one.closed_at is not None else None,
        )
        for one, name in found
    ]  # fmt: skip
    columns = (
        Column("began-at", Kind.INSTANT), Column("closed-at", Kind.INSTANT), Column("school", Kind.TEXT),
        Column("cause", Kind.CODE, "cause"), Column("most"), Column("of"), Column("hours", Kind.DECIMAL),
    )  # fmt: skip
    causes: dict[str, int] = {}
    for row in rows:
        causes[row[3]] = causes.get(row[3], 0) + 1
    chart = Chart("incidents-by-cause", Drawn.BARS, list(causes), columns[3], [("incidents", list(causes.values()))])
    since, until = asked.days
    return Sheet(
        report="incidents", since=since, until=until, place=where.name, columns=columns, rows=rows, count=len(rows),
        charts=[chart] if len(causes) > 1 else [], tells=[(Column("incidents"), len(rows))] if rows else (),
    )  # fmt: skip


_ANSWERS = ("here", "home", "gone", "withdrawn", "unanswered")


def questions(asked: Asked) -> Sheet:
    """Build what became of the questions that were asked, by school; two statements."""
    where = place(asked)
    begin, end = asked.instants

    def number(condition: Any) -> Any:
        return func.sum(case((condition, 1), else_=0))

    open_still = Question.answered_at.is_(None) & Question.withdrawn_at.is_(None)
    query = (
        select(
            School.name, func.count(), *(number(Question.answer == one) for one in Answer),
            number(Question.answered_at.is_(None) & Question.withdrawn_at.is_not(None)), number(open_still),
            number(Question.escalated_at.is_not(None)),
        )
        .select_from(Question)
        .join(Device, Device.id == Question.device_id)
        .outerjoin(School, School.id == Device.school_id)
        .where(Question.asked_at >= begin, Question.asked_at < end, where.at(Device.school_id))
        .group_by(School.name)
        .order_by(School.name)
    )  # fmt: skip
    rows = [(name, *map(int, told)) for name, *told in db.session.execute(query)]
    columns = (
        Column("school", Kind.TEXT), Column("asked"), *(Column(name) for name in _ANSWERS), Column("escalated"),
    )  # fmt: skip
    sums = [sum(row[at] for row in rows) for at in range(1, len(columns))]
    chart = Chart(
        "answers", Drawn.BARS, list(_ANSWERS), Column("answer", Kind.CODE, "answer"), [("asked", sums[1:6])]
    )  # fmt: skip
    since, until = asked.days
    return Sheet(
        report="questions", since=since, until=until, place=where.name, columns=columns, rows=rows, count=len(rows),
        charts=[chart] if rows else [], totals=[None, *sums] if len(rows) > 1 else None,
        tells=[(columns[1], sums[0]), (columns[7], sums[6])] if rows else (),
    )  # fmt: skip
