"""Gentle orders in a lesson: a teacher may wish something of the tablets that are in it, while it runs.

What is wished outlives the lesson by a minute at most: one that comes when everybody is at home would be nobody's.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select

from fleet import orders
from fleet.access import Permission, Principal
from fleet.db import db, id_set
from fleet.devices import enrolment
from fleet.devices.models import Device, DeviceLife
from fleet.errors import ForbiddenError, NotFoundError
from fleet.lessons import granting, life
from fleet.lessons.models import LessonTablet
from fleet.orders import Order, OrderKind, Wish

_SHORTEST = timedelta(minutes=1)
# A phone that lost the network sends again what may have arrived: so soon, or from the same form, the same wish is that
# one. Forms are not older than that: a page follows its lesson.
_SAME_WITHIN, _FORM_LIFE = timedelta(seconds=20), timedelta(hours=1)
_REMEMBERED = 6


def order(
    lesson_id: int,
    wish: Wish,
    *,
    device_ids: Collection[int] | None = None,
    shown_at: datetime | None = None,
    by: Principal,
    now: datetime,
) -> list[Order]:
    """Wish something of the tablets in a lesson, or of some of them; returns the orders that are new.

    What is wished of all goes to those that can have it: one tablet of another kind must not keep a word from a class.
    The same wish of the same person, again within some seconds or since its form was shown, is one.

    Args:
        lesson_id: the lesson, which runs.
        wish: an order of a kind that lessons have.
        device_ids: tablets that are in it; None: all that are.
        shown_at: when the form was made that it was wished with.
        by: the teacher.
        now: the instant.

    Raises:
        NotFoundError: there is no such lesson, or a tablet is not in it, or not for ``by``.
        LessonOverError: it is over.
        ForbiddenError: lessons have no such order, or the lesson has not begun.
        InvalidError: as for :func:`fleet.orders.queue`.
        NotCarriedError: as there; of all tablets in the lesson, only where none can have it.
    """
    lesson = life.get(lesson_id, by=by)
    life.require_running(lesson, now=now)
    if wish.kind not in orders.IN_LESSONS or lesson.starts_at > now:
        raise ForbiddenError(permission=Permission.ORDER_PRIVILEGED.value)
    inside = set(granting.in_lesson(lesson.id, now=now))
    wanted = inside if device_ids is None else set(device_ids)
    if not wanted or not wanted <= inside:
        missing = sorted(wanted - inside)
        raise NotFoundError(kind="tablet in the lesson", name=", ".join(str(one) for one in missing))
    if device_ids is None:
        wanted = _that_can(wanted, wish.kind) or wanted
    granting.hold(wanted)  # so that one that is sent twice at once is wished once
    wanted -= _wished(lesson.id, wish, since=_since(shown_at, now), by=by)
    if not wanted:
        return []
    devices = db.session.scalars(select(Device).where(Device.id.in_(id_set(wanted)))).all()
    left = max(lesson.ends_at - now, _SHORTEST)
    within = granting.order_name(lesson.id)
    return orders.queue(devices, wish, life=left, allowed=frozenset(wanted), within=within, by=by, now=now)


def _that_can(device_ids: Collection[int], kind: OrderKind) -> set[int]:
    channels = enrolment.open_channels(device_ids)
    return {one for one in device_ids if kind in orders.carries(channels.get(one), DeviceLife.ENROLLED)}


def _since(shown_at: datetime | None, now: datetime) -> datetime:
    latest = now - _SAME_WITHIN
    return latest if shown_at is None else max(now - _FORM_LIFE, min(shown_at, latest))


def _wished(lesson_id: int, wish: Wish, *, since: datetime, by: Principal) -> set[int]:
    """Return the tablets of which ``by`` wished the same since then."""
    query = select(Order.device_id, Order.payload).where(
        Order.device_id.in_(_devices(lesson_id)),
        Order.within == granting.order_name(lesson_id),
        Order.kind == wish.kind,
        Order.wished_by == by.name,
        Order.queued_at >= since,
    )
    payload = wish.payload()
    return {row.device_id for row in db.session.execute(query) if row.payload == payload}


def opened(lesson_id: int) -> list[str]:
    """Return the addresses that were opened on tablets in a lesson, the last first; one statement.

    Whoever calls has seen that the lesson may be seen.
    """
    last = (
        select(func.max(Order.id))
        .where(
            Order.device_id.in_(_devices(lesson_id)),
            Order.within == granting.order_name(lesson_id),
            Order.kind == OrderKind.OPEN_URL,
        )
        .group_by(Order.queued_at)
    )
    query = select(Order.payload).where(Order.id.in_(last)).order_by(Order.id.desc()).limit(10 * _REMEMBERED)
    told = [str(payload["url"]) for payload in db.session.scalars(query) if payload]
    return list(dict.fromkeys(told))[:_REMEMBERED]


def _devices(lesson_id: int) -> Select[Any]:
    return select(LessonTablet.device_id).where(LessonTablet.lesson_id == lesson_id)
