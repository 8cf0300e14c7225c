"""Messages to webhooks: what waits, what is tried, what was given up and may be sent again.

Invariants: a message is tried by one server at a time, which holds it for a while; who was killed at it has lost it,
and it goes again with the same ``uid`` and the same body, so that the other side can tell. Nothing is sent in here.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md (headers, signature).
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, exists, or_, select, update
from sqlalchemy.orm import aliased, joinedload

from fleet import audit
from fleet.access import Permission, Principal
from fleet.alerts import webhooks
from fleet.alerts.models import HookMessage, HookState, Webhook
from fleet.crypto import UnsealError
from fleet.db import carry_out, db, id_set
from fleet.errors import ConflictError, NotFoundError

RAISED, ENDED, TEST = "alert.raised", "alert.ended", "test"
# 8 tries over some 28 hours, as the specification suggests; then it waits for a person.
BACK_OFF = tuple(timedelta(seconds=one) for one in (5, 300, 1800, 7200, 18_000, 36_000, 36_000))
HOLD = timedelta(minutes=5)
_OPEN = (HookState.WAITING, HookState.FAILED)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that we may send now.

    Args:
        id: which.
        claimed_until: until when; also what proves it.
        uid: its name, the same for each try.
        body: as it is sent.
        address: where to.
        is_private_allowed: whether that may be in a private network.
        secret: signs it.
        attempt: the how many-th try this is.
    """

    id: int
    claimed_until: datetime
    uid: str
    body: bytes = field(repr=False)
    address: str = field(repr=False)
    is_private_allowed: bool
    secret: bytes = field(repr=False)
    attempt: int


def signature(secret: bytes, uid: str, timestamp: int, body: bytes) -> str:
    """Return the header ``webhook-signature``: HMAC-SHA-256 over name, time and body."""
    told = f"{uid}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, told, hashlib.sha256).digest()).decode()


def make(webhook: Webhook, what: str, data: Mapping[str, Any], *, event_id: int | None, now: datetime) -> HookMessage:
    """Have a message sent to a webhook.

    Args:
        webhook: to whom.
        what: :data:`RAISED`, :data:`ENDED` or :data:`TEST`.
        data: what it tells.
        event_id: of what; None for a test.
        now: the instant.
    """
    body = json.dumps({"type": what, "timestamp": now.isoformat(), "data": data}, ensure_ascii=False)
    made = HookMessage(
        uid=f"msg_{secrets.token_hex(16)}", webhook_id=webhook.id, event_id=event_id, what=what, body=body, made_at=now,
        due_at=now,
    )  # fmt: skip
    db.session.add(made)
    return made


def heard_of(event_ids: Collection[int]) -> frozenset[tuple[int, int]]:
    """Return which webhooks have been told of which events: pairs of their numbers; one statement."""
    query = select(HookMessage.webhook_id, HookMessage.event_id).where(HookMessage.what == RAISED)
    rows = db.session.execute(query.where(HookMessage.event_id.in_(id_set(event_ids))))
    return frozenset((webhook_id, event_id) for webhook_id, event_id in rows if event_id is not None)


def test(webhook_id: int, *, by: Principal, now: datetime) -> HookMessage:
    """Have a message sent that tells of nothing; it says how it went.

    Raises:
        NotFoundError: there is no webhook that ``by`` decides on.
        ConflictError: it rests.
    """
    webhook = webhooks.find(webhook_id, by=by)
    _require_on(webhook)
    made = make(webhook, TEST, {"name": webhook.name}, event_id=None, now=now)
    db.session.flush()
    return made


def is_due(*, now: datetime) -> bool:
    """Whether a message could be taken: who looks often need not write to find none. One statement."""
    return bool(db.session.scalar(_due(now).limit(1)))


def _due(now: datetime) -> Select[int]:
    is_free = or_(
        HookMessage.state.in_(_OPEN),
        (HookMessage.state == HookState.SENDING) & (HookMessage.claimed_until <= now),
    )
    other = aliased(HookMessage)
    # One at a time for each webhook: one that answers slowly holds up nobody else.
    is_busy = exists().where(
        other.webhook_id == HookMessage.webhook_id, other.state == HookState.SENDING, other.claimed_until > now
    )
    # What is told of one event comes in its order, or the other side would take for open what is over.
    is_behind = exists().where(
        other.webhook_id == HookMessage.webhook_id, other.event_id == HookMessage.event_id, other.id < HookMessage.id,
        other.state.in_((*_OPEN, HookState.SENDING)),
    )  # fmt: skip
    query = select(HookMessage.id).join(HookMessage.webhook)
    return query.where(is_free, HookMessage.due_at <= now, Webhook.is_on, ~is_busy, ~is_behind)


def claim(*, vault_key: bytes, now: datetime) -> Claimed | None:
    """Take a message that is due, for as long as :data:`HOLD`; None where none is. Two statements.

    One whose secret was sealed with another key has failed, and holds up no other webhook's.
    """
    while (taken := _take(vault_key, now)) is not None:
        if taken.secret:
            return taken
        failed(taken, "secret cannot be opened", now=now)
    return None


def _take(vault_key: bytes, now: datetime) -> Claimed | None:
    due = (
        _due(now)
        .order_by(HookMessage.due_at, HookMessage.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=HookMessage)
    )
    held_until = now + HOLD
    taking = (
        update(HookMessage)
        .where(HookMessage.id == due.scalar_subquery())
        .values(state=HookState.SENDING, claimed_until=held_until, attempts=HookMessage.attempts + 1)
        .returning(HookMessage.id)
        .execution_options(synchronize_session=False)
    )
    taken = db.session.scalar(taking)
    if taken is None:
        return None
    query = select(HookMessage).where(HookMessage.id == taken).options(joinedload(HookMessage.webhook))
    found = db.session.scalars(query.execution_options(populate_existing=True)).one()
    try:
        secret = webhooks.secret_of(found.webhook, vault_key=vault_key)
    except UnsealError:
        secret = b""
    return Claimed(
        found.id, held_until, found.uid, found.body.encode(), found.webhook.address, found.webhook.is_private_allowed,
        secret, found.attempts,
    )  # fmt: skip


def sent(claimed: Claimed, status: int, *, now: datetime) -> bool:
    """Note that a message has arrived; returns False where it was taken from us meanwhile."""
    is_ours = _end(claimed, state=HookState.SENT, status=status, ended_at=now, failed_at=None, failure=None)
    if is_ours:
        _note(claimed, worked_at=now, failed_at=None, failure=None)
    return is_ours


def failed(
    claimed: Claimed, reason: str, *, status: int | None = None, after: timedelta | None = None,
    is_final: bool = False, now: datetime,
) -> bool:  # fmt: skip
    """Note that a message has not arrived; returns False where it was taken from us meanwhile.

    Args:
        claimed: as it was taken.
        reason: a few words, nothing of the answer.
        status: of the answer, if there was one.
        after: how long the other side asks to wait.
        is_final: whether trying again cannot help.
        now: the instant.
    """
    over = is_final or claimed.attempt > len(BACK_OFF)
    wait = max(BACK_OFF[min(claimed.attempt, len(BACK_OFF)) - 1], min(after or timedelta(0), timedelta(days=1)))
    is_ours = _end(
        claimed, state=HookState.DEAD if over else HookState.FAILED, status=status, failed_at=now,
        failure=reason[:200], due_at=now + wait, ended_at=now if over else None,
    )  # fmt: skip
    if is_ours:
        _note(claimed, failed_at=now, failure=reason[:200])
    return is_ours


def _end(claimed: Claimed, **values: Any) -> bool:
    ending = (
        update(HookMessage)
        .where(
            HookMessage.id == claimed.id,
            HookMessage.state == HookState.SENDING,
            HookMessage.claimed_until == claimed.claimed_until,
        )
        .values(claimed_until=None, **values)
        .returning(HookMessage.id)
        .execution_options(synchronize_session=False)
    )
    return db.session.scalar(ending) is not None


def _note(claimed: Claimed, **values: Any) -> None:
    which = select(HookMessage.webhook_id).where(HookMessage.id == claimed.id).scalar_subquery()
    noting = update(Webhook).where(Webhook.id == which).values(**values)
    carry_out(noting)


def listed(
    webhook_id: int, *, by: Principal, state: HookState | None = None, limit: int = 100
) -> Sequence[HookMessage]:  # fmt: skip
    """Return the messages to a webhook, the newest first; those that were given up are its dead letters.

    Raises:
        NotFoundError: there is no webhook that ``by`` decides on.
    """
    webhook = webhooks.find(webhook_id, by=by)
    query = select(HookMessage).where(HookMessage.webhook_id == webhook.id).order_by(HookMessage.id.desc()).limit(limit)
    if state is not None:
        query = query.where(HookMessage.state == state)
    return db.session.scalars(query).all()


def replay(message_id: int, *, by: Principal, now: datetime) -> HookMessage:
    """Send a message again that was given up, under the same name.

    Raises:
        NotFoundError: there is none to a webhook that ``by`` decides on.
        ConflictError: it was not given up, or the webhook rests.
    """
    found = db.session.get(HookMessage, message_id, with_for_update=True, populate_existing=True)
    is_gone = found is None or found.webhook.ended_at is not None
    if found is None or is_gone or not by.may(Permission.EDIT_ALERTS, school_id=found.webhook.school_id):
        raise NotFoundError(kind="hook-message", name=str(message_id))
    if found.state is not HookState.DEAD:
        raise ConflictError(kind="hook-message", name=str(message_id), reason="not given up")
    _require_on(found.webhook)
    _again(found, now)
    db.session.flush()
    audit.record(by, "alerts.webhook-replayed", subject=f"webhook:{found.webhook_id}", now=now, count=1)
    return found


def replay_all(webhook_id: int, *, by: Principal, now: datetime, at_most: int = 1_000) -> int:
    """Send again what was given up, the oldest first; returns how many.

    Raises:
        NotFoundError: there is no webhook that ``by`` decides on.
        ConflictError: it rests.
    """
    webhook = webhooks.find(webhook_id, by=by)
    _require_on(webhook)
    dead = select(HookMessage).where(HookMessage.webhook_id == webhook.id, HookMessage.state == HookState.DEAD)
    found = db.session.scalars(dead.order_by(HookMessage.id).limit(at_most).with_for_update()).all()
    for one in found:
        _again(one, now)
    db.session.flush()
    if found:
        audit.record(by, "alerts.webhook-replayed", subject=f"webhook:{webhook.id}", now=now, count=len(found))
    return len(found)


def _again(message: HookMessage, now: datetime) -> None:
    message.state, message.attempts, message.due_at, message.ended_at = HookState.WAITING, 0, now, None


def _require_on(webhook: Webhook) -> None:
    if not webhook.is_on:
        raise ConflictError(kind="webhook", name=webhook.name, reason="switched off")
