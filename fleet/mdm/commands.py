"""The queue of commands: one at a time to a client, urgent ones first, else in the order they came.

Invariants: "not now" holds a command until the client calls again of its own accord, so that it is not offered over and
over in one conversation; one that was sent and never answered is sent again at the next call, but lets others go first
before long, and is given up in the end unless an order wishes for it: one that a client cannot answer does not keep all
that comes after it from arriving. An answer to a command that has ended, or that nobody sent, changes nothing. What a
command says is the channel's business.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, literal, select, update

from fleet.db import db, id_set
from fleet.devices import states
from fleet.mdm.models import OPEN, Client, Command, CommandState
from fleet.orders import travelling
from fleet.orders.models import TRAVELLING, Order

URGENT, USUAL, CALM = 0, 5, 9
_LETS_OTHERS_GO_AFTER, _GIVEN_UP_AFTER = 2, 10  # sends without an answer
UNANSWERED = "unanswered"
_REST = timedelta(seconds=5)  # after a call, before a client is rung again for what it did not take
_ANSWERS = {
    "acknowledged": CommandState.DONE,
    "error": CommandState.FAILED,
    "malformed": CommandState.FAILED,
    "not-now": CommandState.HELD,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A command to be queued.

    Args:
        kind: the channel's word.
        content: what it says; None for nothing.
        priority: the lowest first.
        order_uid: the order that it carries out, whose end is its own.
        replaces: whether it takes the place of those of its kind that wait and carry out no order.
    """

    kind: str
    content: Mapping[str, Any] | None = None
    priority: int = USUAL
    order_uid: str | None = None
    replaces: bool = False


def queue(device_id: int, wanted: Wanted, *, now: datetime) -> Command:
    """Queue a command for a client."""
    if wanted.replaces:
        drop(device_id, wanted.kind, states=(CommandState.QUEUED, CommandState.HELD), now=now)
    made = Command(
        uid=str(uuid.uuid4()).upper(), device_id=device_id, kind=wanted.kind,
        content=dict(wanted.content) if wanted.content is not None else None, order_uid=wanted.order_uid,
        priority=wanted.priority, state=CommandState.QUEUED, queued_at=now, sends=0,
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    return made


def ensure(device_id: int, wanted: Wanted, *, now: datetime) -> None:
    """Have a command wait for a client that takes the place of others of its kind; one that says the same stays."""
    told = dict(wanted.content) if wanted.content is not None else None
    found = [one for one in open_of(device_id, wanted.kind) if one.order_uid is None]
    same = [one for one in found if one.content == told]
    for one in found:
        if one not in same[:1]:
            forgo(one, now=now)
    if not same:
        queue(device_id, wanted, now=now)


def begin_call(device_id: int, *, now: datetime) -> None:
    """Have everything that is open be offered anew: the client calls of its own accord, ready for work."""
    is_in_vain = and_(Command.order_uid.is_(None), Command.sends >= _GIVEN_UP_AFTER)
    again = update(Command).where(
        Command.device_id == device_id, Command.state.in_((CommandState.HELD, CommandState.SENT))
    )
    again = again.values(
        state=case((is_in_vain, CommandState.FAILED.value), else_=CommandState.QUEUED.value),
        ended_at=case((is_in_vain, literal(now, Command.ended_at.type)), else_=None),
        detail=case((is_in_vain, UNANSWERED), else_=None),
    )
    db.session.execute(again.execution_options(synchronize_session=False))


def take_next(device_id: int, *, now: datetime) -> Command | None:
    """Return the next command to be sent, None where there is none; it counts as sent.

    Commands whose order has ended meanwhile are dropped, not sent. Whoever ends an order holds its tablet's row, so one
    that carries out an order is looked at once more with the row held: what was withdrawn a moment before is not sent,
    and who withdraws a moment later sees that it was. The tablet's row comes first, as when enrolling.
    """
    is_queued = and_(Command.device_id == device_id, Command.state == CommandState.QUEUED)
    goes_last = case((Command.sends >= _LETS_OTHERS_GO_AFTER, 1), else_=0)
    query = select(Command).where(is_queued).order_by(goes_last, Command.priority, Command.id).limit(1)
    anew = {"populate_existing": True}
    found: Command | None = db.session.scalars(query.execution_options(**anew)).first()
    if found is None:
        return None
    if found.order_uid is not None:
        states.lock(id_set([device_id]))
        lives = exists().where(Order.uid == Command.order_uid, Order.state.in_(TRAVELLING), Order.expires_at > now)
        _drop(is_queued, Command.order_uid.is_not(None), ~lives, now=now)
    found = db.session.scalars(query.with_for_update().execution_options(**anew)).first()
    if found is not None:
        found.state, found.sent_at, found.sends = CommandState.SENT, now, found.sends + 1
        db.session.flush()
    return found


def answer(device_id: int, uid: str, told: str, *, detail: str | None, now: datetime) -> Command | None:
    """Take a client's word on a command; returns it where that changed something.

    Args:
        device_id: the client.
        uid: the command's name.
        told: ``acknowledged``, ``error``, ``malformed`` or ``not-now``.
        detail: why, where it failed.
        now: the instant.
    """
    query = select(Command).where(Command.uid == uid, Command.device_id == device_id).with_for_update()
    found: Command | None = db.session.scalars(query.execution_options(populate_existing=True)).first()
    if found is None or found.state not in OPEN:
        return None
    found.state, found.sends = _ANSWERS[told], 0
    if found.state is not CommandState.HELD:
        found.ended_at, found.detail = now, (detail or "")[:255] or None
    db.session.flush()
    return found


def last_sent(device_id: int) -> str | None:
    """Return the name of the command that a client was sent last and has not answered; None where there is none."""
    query = select(Command.uid).where(Command.device_id == device_id, Command.state == CommandState.SENT)
    return db.session.scalar(query.order_by(Command.sent_at.desc(), Command.id.desc()).limit(1))


def find(uid: str) -> Command | None:
    """Return a command by its name."""
    return db.session.scalars(select(Command).where(Command.uid == uid)).first()


def carries(order_uid: str) -> bool:
    """Whether a command was queued for an order."""
    query = select(Command.id).where(Command.order_uid == order_uid, Command.state != CommandState.DROPPED)
    return db.session.scalar(query.limit(1)) is not None


def open_of(device_id: int, kind: str) -> list[Command]:
    """Return what a client has of a kind that has not ended."""
    query = select(Command).where(Command.device_id == device_id, Command.kind == kind, Command.state.in_(OPEN))
    return list(db.session.scalars(query.order_by(Command.id).execution_options(populate_existing=True)))


def forgo(command: Command, *, now: datetime) -> None:
    """Drop a command that is not wanted any more, unless it was sent: then its answer is waited for."""
    if command.state is not CommandState.SENT:
        command.state, command.ended_at = CommandState.DROPPED, now
        db.session.flush()


def drop(device_id: int, kind: str, *, states: Collection[CommandState] = OPEN, now: datetime) -> None:
    """Drop what a client has of a kind in these states and that carries out no order: it is not wanted any more."""
    _drop(
        Command.device_id == device_id, Command.kind == kind, Command.order_uid.is_(None), Command.state.in_(states),
        now=now,
    )  # fmt: skip


def drop_all(device_id: int, *, now: datetime) -> None:
    """Drop what waits for a tablet; one statement."""
    _drop(Command.device_id == device_id, Command.state.in_(OPEN), now=now)


def _drop(*conditions: ColumnElement[bool], now: datetime) -> None:
    dropping = update(Command).where(*conditions).values(state=CommandState.DROPPED, ended_at=now)
    db.session.execute(dropping.execution_options(synchronize_session=False))


def note_sent(command: Command, *, now: datetime) -> None:
    """Note that a command's order was handed to its tablet."""
    order_id = db.session.scalar(select(Order.id).where(Order.uid == command.order_uid))
    if order_id is not None:
        travelling.mark_sent([order_id], now=now)


def note_call(client: Client, status: str, *, now: datetime) -> None:
    """Note how a client's last message ended: it has come, so what was rung before was heard."""
    client.last_status = status
    client.rings, client.ring_again_at = 0, now + _REST
    db.session.flush()
