"""Forgetting events, letters and messages when their time is over."""

from datetime import datetime, timedelta

from sqlalchemy import delete, exists, or_, select

from fleet.alerts.models import AlertDelivery, AlertEvent, HookMessage, Letter, LetterFile
from fleet.db import carry_out, db, id_set


def forget(*, older_than: timedelta, now: datetime, at_most: int) -> int:
    """Remove what ended longer ago than that, at most so many of each at once; returns how many rows. For a job.

    What waits stays, and so do events that are not over, with what webhooks were told of them: they are to hear of the
    end. What a letter told goes with it.

    Args:
        older_than: how long it is kept.
        now: the instant.
        at_most: how many of each.
    """
    before = now - older_than
    goes_on = exists().where(AlertEvent.id == HookMessage.event_id, AlertEvent.ended_at.is_(None))
    messages = select(HookMessage.id).where(HookMessage.ended_at < before, ~goes_on).limit(at_most)
    removed = carry_out(delete(HookMessage).where(HookMessage.id.in_(messages)))
    letters = db.session.scalars(select(Letter.id).where(Letter.ended_at < before).limit(at_most)).all()
    if letters:
        ids = id_set(letters)
        removed += carry_out(delete(AlertDelivery).where(AlertDelivery.letter_id.in_(ids)))
        removed += carry_out(delete(LetterFile).where(LetterFile.letter_id.in_(ids)))
        removed += carry_out(delete(Letter).where(Letter.id.in_(ids)))
    is_named = or_(
        select(AlertDelivery.event_id).where(AlertDelivery.event_id == AlertEvent.id).exists(),
        select(HookMessage.id).where(HookMessage.event_id == AlertEvent.id).exists(),
    )
    events = select(AlertEvent.id).where(AlertEvent.ended_at < before, ~is_named).limit(at_most)
    return removed + carry_out(delete(AlertEvent).where(AlertEvent.id.in_(events)))
