"""An update of the system that was ordered: declared with its deadline where the iPad takes that, else a command.

Invariant: the order is done when the iPad tells that it has the system, not when it was told to get it.
"""

from collections.abc import Sequence
from datetime import datetime

from fleet import orders
from fleet.channels.apple import requests
from fleet.channels.apple.declarations import UPDATE_DEADLINE, UpdateDeadline
from fleet.channels.apple.inventory import Known
from fleet.errors import NotFoundError
from fleet.mdm import commands
from fleet.mdm.commands import Wanted
from fleet.mdm.models import Client
from fleet.orders import Order, OrderClosedError, OrderKind, OrderState


def want(
    client: Client, known: Known, pending: Sequence[Order], *, again: bool, now: datetime
) -> UpdateDeadline | None:
    """Return what to declare of an update that was ordered, None for nothing; what is reached is noted as done.

    Args:
        client: whose.
        known: what it has told.
        pending: its orders, in the order of queuing.
        again: whether what was asked for is asked for once more.
        now: the instant.
    """
    ordered = [one for one in pending if one.kind is OrderKind.UPDATE_SYSTEM]
    reached = [one for one in ordered if is_reached(known.os_version, one.payload["version"])]
    for one in reached:
        _done(one, client.device_id, now)
    left = [one for one in ordered if one not in reached]
    if not left:
        commands.drop(client.device_id, requests.UPDATE, now=now)
        return None
    newest = left[-1]
    is_new = newest.state is OrderState.QUEUED
    if is_new:
        orders.mark_sent([newest.id], now=now)
    capabilities = known.status.capabilities
    if capabilities is not None and UPDATE_DEADLINE in capabilities.configurations:
        return UpdateDeadline(newest.payload["version"], datetime.fromisoformat(newest.payload["deadline"]))
    if is_new or again:
        wanted = Wanted(requests.UPDATE, {"version": newest.payload["version"]}, priority=commands.CALM)
        commands.ensure(client.device_id, wanted, now=now)
    return None


def _done(order: Order, device_id: int, now: datetime) -> None:
    try:
        orders.finish(order.uid, device_id=device_id, state=OrderState.DONE, detail="", now=now)
    except (OrderClosedError, NotFoundError):
        return  # somebody has withdrawn it at this moment


def is_reached(told: str | None, wanted: str) -> bool:
    """Whether a system is as new as wanted: its numbers are compared, and missing ones are zero."""
    try:
        has = [int(part) for part in (told or "").split(".")]
    except ValueError:
        return False
    wants = [int(part) for part in wanted.split(".")]
    length = max(len(has), len(wants))
    return has + [0] * (length - len(has)) >= wants + [0] * (length - len(wants))
