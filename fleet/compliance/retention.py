"""Forgetting what silence left behind, once its time is over; findings are :mod:`fleet.compliance.ledger`'s."""

from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, select

from fleet.compliance.models import OF_SILENCE, Finding, Incident, IncidentMember, Question
from fleet.db import carry_out, db, id_set


def forget_incidents(*, older_than: timedelta, now: datetime, at_most: int) -> int:
    """Remove incidents closed longer ago than that with their members, at most so many at once; returns how many."""
    old = db.session.scalars(select(Incident.id).where(Incident.closed_at < now - older_than).limit(at_most)).all()
    if not old:
        return 0
    carry_out(delete(IncidentMember).where(IncidentMember.incident_id.in_(id_set(old))))
    return carry_out(delete(Incident).where(Incident.id.in_(id_set(old))))


def forget_questions(*, older_than: timedelta, now: datetime, at_most: int) -> int:
    """Remove questions answered or taken back longer ago than that, at most so many at once; returns how many.

    Those about a tablet that is silent still stay: without its answer it would be asked about anew.
    """
    ended = func.coalesce(Question.withdrawn_at, Question.answered_at)
    is_silent = exists().where(Finding.device_id == Question.device_id, Finding.kind.in_(OF_SILENCE), Finding.stands())
    old = select(Question.id).where(ended < now - older_than, ~is_silent).limit(at_most)
    return carry_out(delete(Question).where(Question.id.in_(old)))
