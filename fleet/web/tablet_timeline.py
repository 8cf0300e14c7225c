"""What happened to a tablet, and its orders: two of its tabs."""

from datetime import timedelta

from flask import request, url_for

from fleet import clock, orders
from fleet.devices import queries as devices
from fleet.web import signed_in, tablet, timeline
from fleet.web.blueprint import web
from fleet.web.orders import lines
from fleet.web.pages import show
from fleet.web.values import instant_of

_REFRESH_S = 15
_ORDERS = 100


@web.get("/tablets/<serial>/timeline")
def tablet_timeline(serial: str) -> str:
    """Show everything that happened to a tablet, newest first."""
    by, now = signed_in.by(), clock.now()
    device = devices.find_device(serial, by=by)
    before = instant_of(request.args.get("before", "")) or now + timedelta(seconds=1)
    found = timeline.page(device, before=before, by=by, now=now)
    onwards = found.onwards
    return show(
        "tablet_timeline",
        **tablet.head(device),
        days=timeline.by_day(found.events, signed_in.timezone()),
        older=url_for("web.tablet_timeline", serial=device.serial, before=onwards.isoformat()) if onwards else None,
        is_first="before" not in request.args,
        refresh_s=_REFRESH_S,
    )


@web.get("/tablets/<serial>/orders")
def tablet_orders(serial: str) -> str:
    """Show a tablet's orders, newest first."""
    by, now = signed_in.by(), clock.now()
    device = devices.find_device(serial, by=by)
    found = orders.listed(orders.Filter(device_id=device.id), by=by, limit=_ORDERS)
    return show("tablet_orders", **tablet.head(device), lines=lines(found, by, now))
