"""Webhooks: other programs that are told of events, such as a help desk.

Invariants: the secret is sealed, and shown once, when it is made; only who looks after the whole municipality can allow
a webhook private addresses; a school's webhook hears only of that school.
"""

import base64
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import joinedload

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.alerts import addresses
from fleet.alerts.models import AlertTopic, HookMessage, HookState, Webhook
from fleet.crypto import open_sealed, seal
from fleet.db import carry_out, db, take_turn
from fleet.errors import InvalidError, NotFoundError
from fleet.schools.models import School

# An event goes up to other people, which is nothing new to a program; reports are somebody's own.
TOPICS = tuple(one for one in AlertTopic if one not in {AlertTopic.ESCALATED, AlertTopic.REPORTS})
MAX_NAME = 80
MOST = 20  # of a school, and of those of all schools: each makes a message of each event
_SECRET_BYTES = 32  # the specification: 24 to 64
_PREFIX = "whsec_"
# What runs the server is of no school.
EVERYWHERE_ONLY = frozenset({AlertTopic.JOBS, AlertTopic.CERTIFICATES})


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody says of a webhook.

    Args:
        name: what it is for.
        address: where it listens.
        topics: of what it is told.
        school_id: of which school; None: of all.
        is_private_allowed: whether it may be in a private network.
    """

    name: str
    address: str
    topics: Collection[AlertTopic]
    school_id: int | None = None
    is_private_allowed: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A webhook with its secret as the other side needs it, which is not shown again."""

    webhook: Webhook
    secret: str


def listed(*, by: Principal) -> Sequence[Webhook]:
    """Return the webhooks ``by`` decides on, by name."""
    where = by.school_ids(Permission.EDIT_ALERTS)
    query = select(Webhook).where(Webhook.ended_at.is_(None)).order_by(Webhook.name, Webhook.id)
    if where is not None:
        query = query.where(Webhook.school_id.in_(where))
    return db.session.scalars(query.options(joinedload(Webhook.school))).all()


def find(webhook_id: int, *, by: Principal) -> Webhook:
    """Return a webhook.

    Raises:
        NotFoundError: there is none that ``by`` decides on.
    """
    found = db.session.get(Webhook, webhook_id)
    if found is None or found.ended_at is not None or not by.may(Permission.EDIT_ALERTS, school_id=found.school_id):
        raise NotFoundError(kind="webhook", name=str(webhook_id))
    return found


def create(draft: Draft, *, vault_key: bytes, by: Principal, now: datetime) -> Made:
    """Tell another program of events from now on.

    Args:
        draft: which, of what.
        vault_key: seals the secret.
        by: who wants it.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` does not decide on alerts there, or asks for private addresses and may not.
        InvalidError: something of it cannot be, or there are as many as may be; data has ``reason``.
        NotFoundError: there is no such school.
    """
    _check(draft, None, by)
    take_turn("webhooks")
    is_there = Webhook.ended_at.is_(None), Webhook.school_id.is_not_distinct_from(draft.school_id)
    if (db.session.scalar(select(func.count()).where(*is_there)) or 0) >= MOST:
        raise InvalidError(kind="webhook", reason="many", expected=f"at most {MOST}")
    made = Webhook(**_columns(draft), secret_sealed=b"", created_at=now)
    db.session.add(made)
    db.session.flush()
    secret = _new_secret(made, vault_key)
    _record(made, "alerts.webhook-created", by, now)
    return Made(made, secret)


def change(webhook_id: int, draft: Draft, *, by: Principal, now: datetime) -> Webhook:
    """Say something else of a webhook; the secret stays.

    Raises:
        ForbiddenError, InvalidError, NotFoundError: as :func:`create` and :func:`find`.
    """
    found = find(webhook_id, by=by)
    _check(draft, found, by)
    for name, value in _columns(draft).items():
        setattr(found, name, value)
    db.session.flush()
    _record(found, "alerts.webhook-changed", by, now)
    return found


def switch(webhook_id: int, *, is_on: bool, by: Principal, now: datetime) -> Webhook:
    """Have a webhook rest, or tell it again; what happens while it rests it is not told.

    Raises:
        NotFoundError: there is none that ``by`` decides on.
    """
    found = find(webhook_id, by=by)
    if found.is_on is not is_on:
        found.is_on = is_on
        db.session.flush()
        _record(found, "alerts.webhook-switched", by, now)
    return found


def renew_secret(webhook_id: int, *, vault_key: bytes, by: Principal, now: datetime) -> Made:
    """Sign with a new secret from now on.

    Raises:
        NotFoundError: there is none that ``by`` decides on.
    """
    found = find(webhook_id, by=by)
    secret = _new_secret(found, vault_key)
    _record(found, "alerts.webhook-secret-renewed", by, now)
    return Made(found, secret)


def remove(webhook_id: int, *, by: Principal, now: datetime) -> None:
    """Tell a program no more; what waits for it is given up, and its secret goes.

    Raises:
        NotFoundError: there is none that ``by`` decides on.
    """
    found = find(webhook_id, by=by)
    found.ended_at, found.is_on, found.secret_sealed = now, False, b""
    db.session.flush()
    waiting = update(HookMessage).where(HookMessage.webhook_id == found.id, HookMessage.ended_at.is_(None))
    carry_out(waiting.values(state=HookState.DEAD, claimed_until=None, ended_at=now, failure="webhook removed"))
    _record(found, "alerts.webhook-removed", by, now)


def secret_of(webhook: Webhook, *, vault_key: bytes) -> bytes:
    """Return what signs the messages to a webhook.

    Raises:
        UnsealError: it was sealed with another key.
    """
    return open_sealed(vault_key, webhook.secret_sealed, purpose=_purpose(webhook))


def _new_secret(webhook: Webhook, vault_key: bytes) -> str:
    raw = secrets.token_bytes(_SECRET_BYTES)
    webhook.secret_sealed = seal(vault_key, raw, purpose=_purpose(webhook))
    db.session.flush()
    return _PREFIX + base64.b64encode(raw).decode()


def _purpose(webhook: Webhook) -> str:
    return f"webhook/{webhook.id}"


def _columns(draft: Draft) -> dict[str, object]:
    return {
        "name": draft.name.strip(),
        "address": draft.address.strip(),
        "topics": sorted({one.value for one in draft.topics}),
        "school_id": draft.school_id,
        "is_private_allowed": draft.is_private_allowed,
    }


def _check(draft: Draft, present: Webhook | None, by: Principal) -> None:
    require(by, Permission.EDIT_ALERTS, school_id=draft.school_id)
    if draft.school_id is not None and db.session.get(School, draft.school_id) is None:
        raise NotFoundError(kind="school", name=str(draft.school_id))
    if draft.is_private_allowed or (present is not None and present.is_private_allowed):
        require(by, Permission.EDIT_MUNICIPALITY)  # also who changes one that is allowed it leads it elsewhere
    name = draft.name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise InvalidError(kind="webhook", reason="name", expected=f"1 to {MAX_NAME} characters")
    allowed = [one for one in TOPICS if draft.school_id is None or one not in EVERYWHERE_ONLY]
    if not draft.topics or not set(draft.topics) <= set(allowed):
        raise InvalidError(kind="webhook", reason="topics", expected=", ".join(allowed))
    addresses.read(draft.address.strip(), is_private_allowed=draft.is_private_allowed)


def _record(webhook: Webhook, action: str, by: Principal, now: datetime) -> None:
    audit.record(
        by, action, subject=f"webhook:{webhook.id}", now=now, name=webhook.name, topics=webhook.topics,
        school_id=webhook.school_id,
    )  # fmt: skip
