"""What an order for many tablets would come to, tablet by tablet, before anybody queues it; and queuing it for those.

Nothing is refused for the sake of some: tablets that cannot be ordered are left out, by why. What
:func:`fleet.orders.queueing.queue` refuses and what is left out here are the same.
"""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from sqlalchemy import select, update

from fleet.access import Principal
from fleet.db import among, db, id_set
from fleet.devices import bulk, states
from fleet.devices.bulk import LeftOut, Sorted
from fleet.devices.enrolment import open_channels
from fleet.devices.models import Device, DeviceLife
from fleet.errors import InvalidError, NotFoundError
from fleet.orders import kinds, queueing
from fleet.orders.kinds import Wish
from fleet.orders.models import OPEN, Order, OrderKind, OrderState
from fleet.schools import deciding

MOST_PRIVILEGED = 50  # tablets that one may wipe, locate or open at once: a slip of the hand stays small
_BATCH = "batch:"


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would come to; ``asks`` where another person has to say yes first."""

    kind: OrderKind
    tablets: Sorted
    asks: bool


def preview(devices: Collection[Device], kind: OrderKind, *, comes_back: bool = False, by: Principal) -> Preview:
    """Say which of some tablets would get an order of a kind; at most two statements.

    Args:
        devices: the tablets.
        kind: what would be wished.
        comes_back: whether they shall set themselves up again after it.
        by: who wishes.

    Raises:
        InvalidError: more tablets than a privileged order may be for at once. Data: ``field``, ``most``, ``found``.
    """
    if kind in kinds.PRIVILEGED and len(devices) > MOST_PRIVILEGED:
        raise InvalidError(
            kind="order", order_kind=kind.value, field="tablets", most=MOST_PRIVILEGED, found=len(devices)
        )
    channels = open_channels([device.id for device in devices])

    def why_not(device: Device) -> LeftOut | None:
        if not by.may(kinds.permission(kind), school_id=device.school_id):
            return LeftOut.FORBIDDEN
        channel = channels.get(device.id)
        if kind not in kinds.carries(channel, device.life):
            could = device.life is DeviceLife.ENROLLED and channel is not None and kind is not OrderKind.LOCATE
            return LeftOut.NOT_CARRIED if could else LeftOut.STATE
        return LeftOut.NOT_CARRIED if comes_back and channel not in kinds.COMES_BACK else None

    asks = kind in kinds.NEED_SECOND_PERSON and deciding.is_second_person_needed()
    return Preview(kind, bulk.sort(devices, why_not), asks)


def offered(device: Device, *, by: Principal) -> frozenset[OrderKind]:
    """Return the kinds of order that ``by`` could wish of a tablet as it stands; one statement."""
    channel = open_channels([device.id]).get(device.id)
    return frozenset(
        kind
        for kind in kinds.carries(channel, device.life)
        if by.may(kinds.permission(kind), school_id=device.school_id)
    )


def queue(
    devices: Collection[Device], wish: Wish, *, timezone: tzinfo = UTC, by: Principal, now: datetime
) -> tuple[Preview, Sequence[Order], str]:
    """Queue an order for those of some tablets that can have it.

    Args:
        devices: the tablets.
        wish: what is wished.
        timezone: by which the schools tell time, for a deadline.
        by: who wishes.
        now: the instant.

    Returns:
        what came of it, the orders that are new, and the word by which :func:`withdraw` takes all of them back.

    Raises:
        InvalidError: the wish is not whole or not sound, or for too many tablets at once.
    """
    wish.payload()
    states.lock(id_set(device.id for device in devices))
    found = preview(devices, wish.kind, comes_back=wish.come_back, by=by)
    word = secrets.token_hex(8)
    going: list[Sequence[Device]] = [[one] for one in found.tablets.going]
    if wish.kind in kinds.GENTLE:
        going = [found.tablets.going] if found.tablets.going else []
    fresh: list[Order] = []
    for ones in going:
        fresh += queueing.queue(ones, wish, within=f"{_BATCH}{word}", timezone=timezone, by=by, now=now)
    return found, fresh, word


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What came of taking back orders that were queued together.

    Args:
        kind: what they asked for.
        number: so many were taken back.
        done: so many tablets had carried theirs out before.
        ended: so many had ended in another way.
    """

    kind: OrderKind
    number: int
    done: int
    ended: int


def withdraw(word: str, *, by: Principal, now: datetime) -> TakenBack:
    """Take back all that was queued together and has not ended; three statements beside locks and audit.

    Raises:
        NotFoundError: ``by`` has queued nothing under this word.
    """
    mine = (Order.within == f"{_BATCH}{word}", Order.wished_by == by.name)
    rows = db.session.execute(select(Order.id, Order.device_id, Order.kind).where(*mine)).all()
    if not rows:
        raise NotFoundError(kind="order", name="batch")
    states.lock(id_set(row.device_id for row in rows))
    closing = update(Order).where(among(Order.id, [row.id for row in rows]), Order.state.in_(OPEN))
    closing = closing.values(state=OrderState.WITHDRAWN, ended_at=now).returning(Order.device_id)
    told = list(db.session.scalars(closing.execution_options(synchronize_session=False)))
    queueing.have_taken_back(told, rows[0].id, by=by, now=now)
    left = db.session.scalars(select(Order.state).where(*mine)).all()
    done = sum(state is OrderState.DONE for state in left)
    return TakenBack(rows[0].kind, len(told), done, len(left) - len(told) - done)
