"""Reading orders: a fixed number of statements however many there are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import joinedload

from fleet.access import Permission, Principal
from fleet.db import db
from fleet.devices import queries as devices
from fleet.devices.models import Device
from fleet.orders.kinds import GENTLE
from fleet.orders.models import Order, OrderKind, OrderState


@dataclass(frozen=True, slots=True)
class Filter:
    """Which orders: of a tablet, of a class and its pupils, of a school; in some states; of a kind."""

    device_id: int | None = None
    class_id: int | None = None
    school_id: int | None = None
    states: Collection[OrderState] | None = None
    kind: OrderKind | None = None
    before: datetime | None = None  # queued before


def listed(given: Filter, *, by: Principal, limit: int | None = None, offset: int = 0) -> Sequence[Order]:
    """Return the orders of tablets that ``by`` may see, newest first, with their tablets, schools and classes.

    Privileged ones only where ``by`` may wish the like: their reasons are not for everybody. One statement.
    """
    own = joinedload(Order.device)
    query = select(Order).options(own, own.joinedload(Device.school), own.joinedload(Device.school_class))
    query = _matching(query, given, by).order_by(Order.id.desc()).limit(limit).offset(offset)
    return db.session.scalars(query).all()


def count(given: Filter, *, by: Principal) -> int:
    """Return how many orders :func:`listed` would return without a limit."""
    return db.session.scalar(_matching(select(func.count()).select_from(Order), given, by)) or 0


def _matching(query: Select[Any], given: Filter, by: Principal) -> Select[Any]:
    tablets = devices.Filter(school_id=given.school_id, class_id=given.class_id)
    query = query.where(Order.device_id.in_(devices.matching(tablets, by=by)))
    privileged_at = by.school_ids(Permission.ORDER_PRIVILEGED)
    if privileged_at is not None:
        there = select(Device.id).where(Device.school_id.in_(privileged_at))
        query = query.where(or_(Order.kind.in_(GENTLE), Order.device_id.in_(there)))
    if given.device_id is not None:
        query = query.where(Order.device_id == given.device_id)
    if given.states is not None:
        query = query.where(Order.state.in_(given.states))
    if given.before is not None:
        query = query.where(Order.queued_at < given.before)
    if given.kind is not None:
        query = query.where(Order.kind == given.kind)
    return query
