"""Where a lost tablet was when it was asked: who may see it, for how long, and that every look is noted.

Invariants: a position stands only on an order to locate, which only a lost tablet can have; nobody sees it without a
line in the audit; after :data:`KEPT_FOR` nobody sees it, and the next night's job removes it. It is in no list, and in
no log.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, update

from fleet import audit
from fleet.access import Permission, Principal
from fleet.db import carry_out
from fleet.errors import NotFoundError
from fleet.orders import queueing
from fleet.orders.models import Order

KEPT_FOR = timedelta(hours=48)
_LONGEST_WAY_M = 20_100_000  # half around the world: so far off a position can be


@dataclass(frozen=True, slots=True)
class Location:
    """Where a tablet was.

    Args:
        latitude: in degrees, north of the equator.
        longitude: in degrees, east of Greenwich.
        accuracy_m: how far off it may be; None: the tablet did not say.
        at: when it was there.
    """

    latitude: float
    longitude: float
    accuracy_m: float | None
    at: datetime

    @property
    def address(self) -> str:
        """A web page with a map of the place, outside of ours: it is opened only by whoever asks for it."""
        place = f"{self.latitude:.6f}", f"{self.longitude:.6f}"
        return "https://www.openstreetmap.org/?mlat={}&mlon={}#map=17/{}/{}".format(*place, *place)


def read(told: Mapping[str, Any] | None) -> Location | None:
    """Return a position as a tablet or a row tells it; None where it is none."""
    if told is None:
        return None
    latitude, longitude, off_m = (_number(told.get(name)) for name in ("latitude", "longitude", "accuracy_m"))
    try:
        at = datetime.fromisoformat(told["at"])
    except (KeyError, TypeError, ValueError):
        return None
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180 or at.tzinfo is None:
        return None
    is_known = off_m is not None and 0 <= off_m <= _LONGEST_WAY_M
    return Location(latitude, longitude, off_m if is_known else None, at)


def _number(told: object) -> float | None:
    is_one = isinstance(told, int | float) and not isinstance(told, bool) and math.isfinite(told)
    return float(told) if is_one else None  # type: ignore[arg-type]


def written(found: Location) -> dict[str, Any]:
    """Return a position as a row keeps it."""
    told: dict[str, Any] = {"latitude": found.latitude, "longitude": found.longitude, "at": found.at.isoformat()}
    return told if found.accuracy_m is None else {**told, "accuracy_m": found.accuracy_m}


def may_be_seen(order: Order, *, by: Principal, now: datetime) -> bool:
    """Whether there is a position that ``by`` may ask :func:`seen` for."""
    may = by.may(Permission.ORDER_PRIVILEGED, school_id=order.device.school_id)
    return may and order.result is not None and order.ended_at is not None and order.ended_at > now - KEPT_FOR


def seen(order_id: int, *, by: Principal, now: datetime) -> tuple[Order, Location]:
    """Return an order with where its tablet was, and note in the audit that ``by`` has seen it.

    Raises:
        NotFoundError: there is no such order, or no position of it, or not for ``by``, or not any more.
    """
    order = queueing.find(order_id, by=by)
    location = read(order.result) if may_be_seen(order, by=by, now=now) else None
    if location is None:
        raise NotFoundError(kind="location", name=str(order_id))
    audit.record(
        by, "orders.location-seen", subject=f"order:{order.id}", now=now, order_id=order.id, serial=order.device.serial
    )
    return order, location


def forget(*, now: datetime) -> int:
    """Remove positions that nobody may see any more; returns how many. For a job."""
    old: list[ColumnElement[bool]] = [Order.result.is_not(None), Order.ended_at <= now - KEPT_FOR]
    query = update(Order).where(*old).values(result=None)
    return carry_out(query)
