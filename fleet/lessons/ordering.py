"""Gentle orders in a lesson: a teacher may wish something of the tablets that are in it, while it runs.

What is wished outlives the lesson by a minute at most: one that comes when everybody is at home would be nobody's.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import select

from fleet import orders
from fleet.access import Permission, Principal
from fleet.db import db, id_set
from fleet.devices.models import Device
from fleet.errors import ForbiddenError, NotFoundError
from fleet.lessons import granting, life
from fleet.orders import Order, Wish

_SHORTEST = timedelta(minutes=1)


def order(
    lesson_id: int, wish: Wish, *, device_ids: Collection[int] | None = None, by: Principal, now: datetime
) -> list[Order]:
    """Wish something of the tablets in a lesson, or of some of them; returns the orders that are new.

    Args:
        lesson_id: the lesson, which runs.
        wish: a gentle order.
        device_ids: tablets that are in it; None: all that are.
        by: the teacher.
        now: the instant.

    Raises:
        NotFoundError: there is no such lesson, or a tablet is not in it, or not for ``by``.
        LessonOverError: it is over.
        ForbiddenError: the order is not a gentle one, or the lesson has not begun.
        InvalidError, NotCarriedError: as for :func:`fleet.orders.queue`.
    """
    lesson = life.get(lesson_id, by=by)
    life.require_running(lesson, now=now)
    if wish.kind not in orders.GENTLE or lesson.starts_at > now:
        raise ForbiddenError(permission=Permission.ORDER_PRIVILEGED.value)
    inside = set(granting.in_lesson(lesson.id, now=now))
    wanted = inside if device_ids is None else set(device_ids)
    if not wanted or not wanted <= inside:
        missing = sorted(wanted - inside)
        raise NotFoundError(kind="tablet in the lesson", name=", ".join(str(one) for one in missing))
    devices = db.session.scalars(select(Device).where(Device.id.in_(id_set(wanted)))).all()
    left = max(lesson.ends_at - now, _SHORTEST)
    within = granting.order_name(lesson.id)
    return orders.queue(devices, wish, life=left, allowed=frozenset(wanted), within=within, by=by, now=now)
