"""One-off wishes to a tablet, with a life: queued, sent, done, failed, refused, expired, withdrawn.

Orders travel in the tablet's configuration; queuing one raises its version, so that the next poll fetches it. Only
gentle ones exist here: what cannot be undone needs signatures that this server does not hold. Tablets' rows are taken
before orders' rows, always, so that nobody waits for each other in a circle.
"""

import secrets
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, insert, select, update

from fleet import audit
from fleet.access import Permission, Principal
from fleet.db import db, follow, id_set
from fleet.devices import states
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment
from fleet.devices.queries import in_own_classes
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.orders.models import Order, OrderClosedError, OrderKind, OrderState

MAX_TEXT = 500
DEFAULT_LIFE = timedelta(hours=24)


_OPEN = (OrderState.QUEUED, OrderState.SENT)
_WITH_TEXT = (OrderKind.MESSAGE, OrderKind.LOCK_MESSAGE)


def queue(
    devices: Sequence[Device],
    kind: OrderKind,
    *,
    message: str | None = None,
    life: timedelta = DEFAULT_LIFE,
    by: Principal,
    now: datetime,
) -> list[Order]:
    """Queue an order for tablets. The same order still waiting for a tablet is not queued twice.

    Args:
        devices: enrolled tablets.
        kind: what is wished.
        message: the text of a message.
        life: how long it may wait.
        by: who wishes.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not order tablets of a school among them.
        InvalidError: a message without a text, a text where none belongs, or one too long.
        ConflictError: a tablet is not enrolled.
    """
    payload = _payload(kind, message)
    states.lock(id_set(device.id for device in devices))  # so that two who wish the same at once queue it once
    own = in_own_classes([device.id for device in devices], by=by)
    for device in devices:
        if not _may_order(device, own, by):
            raise ForbiddenError(permission=Permission.ORDER_GENTLE.value)
        if device.life is not DeviceLife.ENROLLED:
            raise ConflictError(kind="tablet", serial=device.serial, state=device.life.value)
    waiting = pending([device.id for device in devices], now=now)
    rows: list[dict[str, Any]] = [
        {
            "uid": secrets.token_hex(16), "device_id": device.id, "kind": kind, "payload": payload,
            "state": OrderState.QUEUED, "wished_by": f"{by.kind}:{by.id}", "queued_at": now, "expires_at": now + life,
        }
        for device in devices
        if not any(one.kind is kind and one.payload == payload for one in waiting.get(device.id, ()))
    ]  # fmt: skip
    if not rows:
        return []
    _raise_version([row["device_id"] for row in rows])
    fresh = sorted(db.session.scalars(insert(Order).returning(Order), rows), key=lambda order: order.id)
    audit.record(
        by, "orders.queued", subject=f"order:{fresh[0].id}", now=now, order_kind=kind.value, count=len(fresh)
    )  # fmt: skip
    return fresh


def _may_order(device: Device, own: Collection[int], by: Principal) -> bool:
    """Whether ``by`` may order a tablet, as school IT or as the teacher of its class or of its pupil."""
    class_id = next(iter(by.own_class_ids)) if device.id in own else device.class_id
    return by.may(Permission.ORDER_GENTLE, school_id=device.school_id, class_id=class_id)


def _payload(kind: OrderKind, message: str | None) -> dict[str, Any]:
    if kind in _WITH_TEXT:
        if not message or len(message) > MAX_TEXT or not message.replace("\n", "").isprintable():
            raise InvalidError(kind="order", reason="text", expected=f"1 to {MAX_TEXT} printable characters")
        return {"text": message}
    if message is not None:
        raise InvalidError(kind="order", reason=f"{kind.value} has no text")
    return {}


def _raise_version(device_ids: Collection[int]) -> None:
    """Have tablets fetch anew; the caller holds their rows."""
    db.session.execute(
        update(DeviceState)
        .where(DeviceState.device_id.in_(id_set(device_ids)))
        .values(config_version=DeviceState.config_version + 1)
        .execution_options(synchronize_session=False)
    )
    db.session.expire_all()


def pending(device_ids: Collection[int], *, now: datetime) -> dict[int, list[Order]]:
    """Return the orders that wait, by tablet and in order; one statement."""
    query = select(Order).where(Order.device_id.in_(id_set(device_ids)), Order.state.in_(_OPEN), Order.expires_at > now)
    found: dict[int, list[Order]] = defaultdict(list)
    for order in db.session.scalars(query.order_by(Order.id)):
        found[order.device_id].append(order)
    return dict(found)


def mark_sent(order_ids: Collection[int], *, now: datetime) -> None:
    """Note that orders were handed to their tablets; one statement."""
    query = update(Order).where(Order.id.in_(id_set(order_ids)), Order.state == OrderState.QUEUED)
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
    if order.state not in _OPEN:
        raise OrderClosedError(kind="order", id=order.id)
    order.state, order.ended_at, order.detail = state, now, detail[:255] or None
    db.session.flush()
    _raise_version([device_id])


def withdraw(order_id: int, *, by: Principal, now: datetime) -> None:
    """Take back an order that has not ended.

    Raises:
        NotFoundError: there is none, or ``by`` may not order that tablet.
        OrderClosedError: it has ended.
    """
    order = db.session.get(Order, order_id)
    device = db.session.get(Device, order.device_id) if order is not None else None
    if order is None or device is None or not _may_order(device, in_own_classes([device.id], by=by), by):
        raise NotFoundError(kind="order", name=str(order_id))
    states.lock(id_set([device.id]))
    order = db.session.get_one(Order, order_id, with_for_update=True, populate_existing=True)
    if order.state not in _OPEN:
        raise OrderClosedError(kind="order", id=order_id)
    order.state, order.ended_at = OrderState.WITHDRAWN, now
    db.session.flush()
    _raise_version([order.device_id])
    audit.record(by, "orders.withdrawn", subject=f"order:{order_id}", now=now, order_id=order_id)


def _follow_devices(ids: frozenset[int], now: datetime) -> None:
    """Take back what was wished of tablets before they left, or came anew: the wish was for who had them then."""
    still_there = exists().where(
        Enrolment.device_id == Order.device_id, Enrolment.ended_at.is_(None), Enrolment.enrolled_at <= Order.queued_at
    )
    closing = update(Order).where(Order.device_id.in_(id_set(ids)), Order.state.in_(_OPEN), ~still_there)
    db.session.execute(
        closing.values(state=OrderState.WITHDRAWN, ended_at=now).execution_options(synchronize_session=False)
    )


def follow_changes() -> None:
    """Have orders follow where tablets go; the application calls this once."""
    follow("device", _follow_devices)


def expire(now: datetime) -> int:
    """Close the orders whose time is over; returns how many. For a job."""
    is_over = (Order.state.in_(_OPEN), Order.expires_at <= now)
    device_ids = set(db.session.scalars(select(Order.device_id).where(*is_over).distinct()))
    if not device_ids:
        return 0
    states.lock(id_set(device_ids))
    _raise_version(device_ids)
    closing = update(Order).where(*is_over).values(state=OrderState.EXPIRED, ended_at=now)
    result = db.session.execute(closing.execution_options(synchronize_session=False))
    return int(result.rowcount)  # type: ignore[attr-defined]


def forget(*, older_than: timedelta, now: datetime, at_most: int = 5_000) -> int:
    """Remove orders that ended longer ago than that, at most so many at once; returns how many. For a job."""
    old = select(Order.id).where(Order.ended_at < now - older_than).limit(at_most)
    query = delete(Order).where(Order.id.in_(old)).execution_options(synchronize_session=False)
    return int(db.session.execute(query).rowcount)  # type: ignore[attr-defined]


def of_device(device_id: int, limit: int = 50) -> Sequence[Order]:
    """Return a tablet's orders, newest first."""
    query = select(Order).where(Order.device_id == device_id).order_by(Order.id.desc())
    return db.session.scalars(query.limit(limit)).all()
