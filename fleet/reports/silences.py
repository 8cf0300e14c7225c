"""Incidents, and what came of questions about silent tablets."""

from typing import Any

from sqlalchemy import case, func, literal, or_, select, true

from fleet.compliance.models import Answer, Incident, IncidentMember, Question
from fleet.db import db
from fleet.devices.models import Device
from fleet.reports.asking import Asked, place
from fleet.reports.sheet import Chart, Column, Drawn, Kind, Sheet
from fleet.schools.models import School


def incidents(asked: Asked) -> Sheet:
    """List the incidents within the days, newest first. Two statements.

    One that was everywhere concerns those whose tablets were in it; who asks about some schools is told how many of
    these, and not how many there were elsewhere.
    """
    where = place(asked)
    begin, end = asked.instants
    is_all = where.school_ids is None and where.school_id is None
    members = select(func.count()).select_from(IncidentMember).join(Device, Device.id == IncidentMember.device_id)
    own: Any = members.where(IncidentMember.incident_id == Incident.id, where.at(Device.school_id)).scalar_subquery()
    is_everywhere = Incident.school_id.is_(None)
    concerns = true() if is_all else or_(where.at(Incident.school_id), is_everywhere & (own > 0))
    query = (
        select(Incident, School.name, literal(None) if is_all else case((is_everywhere, own)))
        .outerjoin(School, School.id == Incident.school_id)
        .where(Incident.began_at < end, or_(Incident.closed_at.is_(None), Incident.closed_at >= begin), concerns)
        .order_by(Incident.began_at.desc(), Incident.id.desc())
    )
    rows = []
    for one, name, here in db.session.execute(query):
        most, of = (one.most, one.of) if here is None else (int(here), None)
        length = one.closed_at - one.began_at if one.closed_at is not None else None
        hours = round(length.total_seconds() / 3600, 1) if length is not None else None
        rows.append((one.began_at, one.closed_at, name, one.cause.value, most, of, hours))
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
        .group_by(School.id, School.name)
        .order_by(School.name, School.id)
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
