"""What happens to orders by themselves: handed to tablets, ended by a tablet's word, by time, or as the tablet leaves.

Orders travel in the tablet's configuration; queuing one raises its version, so that the next poll fetches it.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, select, update

from fleet.db import among, db, follow, id_set
from fleet.devices import states
from fleet.devices.models import Enrolment
from fleet.errors import NotFoundError
from fleet.orders.models import OPEN, TRAVELLING, Order, OrderState


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


def finish(uid: str, *, device_id: int, state: OrderState, detail: str, now: datetime) -> None:
    """Take a tablet's word on how an order ended.

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
    db.session.flush()
    states.raise_version([device_id])


def _follow_devices(ids: frozenset[int], now: datetime) -> None:
    """Take back what was wished of tablets before they left, or came anew: the wish was for who had them then."""
    still_there = exists().where(
        Enrolment.device_id == Order.device_id, Enrolment.ended_at.is_(None), Enrolment.enrolled_at <= Order.queued_at
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
    query = delete(Order).where(Order.id.in_(old)).execution_options(synchronize_session=False)
    return int(db.session.execute(query).rowcount)  # type: ignore[attr-defined]
