"""What happens to orders by themselves: handed to tablets, ended by a tablet's word, by time, or as the tablet leaves.

Orders travel in the tablet's configuration; queuing one raises its version, so that the next poll fetches it.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, exists, or_, select, update

from fleet.db import among, carry_out, db, follow, id_set
from fleet.devices import states
from fleet.devices.models import Device, Enrolment
from fleet.errors import NotFoundError
from fleet.orders import locations
from fleet.orders.kinds import CARRIES
from fleet.orders.models import OPEN, TRAVELLING, Order, OrderKind, OrderState


def pending(device_ids: Collection[int], *, now: datetime) -> dict[int, list[Order]]:
    """Return the orders that tablets shall fetch, by tablet and in the order of queuing; one statement."""
    query = select(Order).where(among(Order.device_id, device_ids), Order.state.in_(TRAVELLING), Order.expires_at > now)
    found: dict[int, list[Order]] = defaultdict(list)
    for order in db.session.scalars(query.order_by(Order.queued_at, Order.id)):
        found[order.device_id].append(order)
    return dict(found)


def mark_sent(order_ids: Collection[int], *, now: datetime) -> None:
    """Note that orders were handed to their tablets; one statement."""
    query = update(Order).where(among(Order.id, order_ids), Order.state == OrderState.QUEUED)
    db.session.execute(query.values(state=OrderState.SENT, sent_at=now).execution_options(synchronize_session=False))


def finish(
    uid: str,
    *,
    device_id: int,
    state: OrderState,
    detail: str,
    result: Mapping[str, Any] | None = None,
    now: datetime,
) -> None:
    """Take a tablet's word on how an order ended.

    Args:
        uid: the order's name.
        device_id: the tablet.
        state: how it ended.
        detail: why, in the tablet's words.
        result: of one to locate: ``latitude``, ``longitude``, ``accuracy_m`` and ``at`` (an instant in ISO 8601). What
            is no position is not kept, nor anything that another kind brings.
        now: the instant.

    Raises:
        NotFoundError: the tablet has no such order.
        OrderClosedError: it has ended before.
    """
    states.lock(id_set([device_id]))
    query = select(Order).where(Order.uid == uid, Order.device_id == device_id)
    order = db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).first()
    if order is None:
        raise NotFoundError(kind="order", name=uid)
    order.step(state)
    order.ended_at, order.detail = now, detail[:255] or None
    place = locations.read(result) if order.kind is OrderKind.LOCATE and state is OrderState.DONE else None
    order.result = locations.written(place) if place is not None else None
    db.session.flush()
    states.raise_version([device_id])


def _follow_devices(ids: frozenset[int], now: datetime) -> None:
    """Take back what was wished of tablets before they left, came anew, or were lost or found.

    The wish was for who had them then. What a lost tablet can still do stays wished; what only a lost one may be asked
    ends when it is found.
    """
    stands = or_(
        *(
            and_(Enrolment.channel == channel, Device.life == life, Order.kind.in_(carried))
            for (channel, life), carried in CARRIES.items()
        )
    )
    still_there = (
        exists()
        .where(Enrolment.device_id == Order.device_id, Device.id == Order.device_id)
        .where(Enrolment.ended_at.is_(None), stands)
        # One of a time to come was before the clock was set back, and took back what was wished until then.
        .where(or_(Enrolment.enrolled_at <= Order.queued_at, Enrolment.enrolled_at > now))
    )
    closing = update(Order).where(among(Order.device_id, ids), Order.state.in_(OPEN), ~still_there)
    db.session.execute(
        closing.values(state=OrderState.WITHDRAWN, ended_at=now).execution_options(synchronize_session=False)
    )


def follow_changes() -> None:
    """Have orders follow where tablets go; the application calls this once."""
    follow("device", _follow_devices)


def expire(now: datetime) -> int:
    """Close the orders whose time is over; returns how many. For a job."""
    is_over = (Order.state.in_(OPEN), Order.expires_at <= now)
    device_ids = set(db.session.scalars(select(Order.device_id).where(*is_over).distinct()))
    if not device_ids:
        return 0
    states.lock(id_set(device_ids))
    closing = update(Order).where(*is_over, among(Order.device_id, device_ids))
    closing = closing.values(state=OrderState.EXPIRED, ended_at=now).execution_options(synchronize_session=False)
    result = db.session.execute(closing)
    states.raise_version(device_ids)
    db.session.expire_all()
    return int(result.rowcount)  # type: ignore[attr-defined]


def forget(*, older_than: timedelta, now: datetime, at_most: int = 5_000) -> int:
    """Remove orders that ended longer ago than that, at most so many at once; returns how many. For a job."""
    old = select(Order.id).where(Order.ended_at < now - older_than).limit(at_most)
    query = delete(Order).where(Order.id.in_(old))
    return carry_out(query)
