"""A tablet says that it is about to do what it was ordered, and does it only if we agree. In a transaction.

Invariants: an order is ended in the transaction that agrees, so that a tablet which starts again does not do it again;
where nothing is ordered we do not agree. A wipe is agreed to as often as the tablet asks: as long as it can ask it is
not wiped. Where it was to clear its passcode its word ends nothing: the log, which comes later, says whether it could.

Source: DevicePolicyManager.reboot: of a device's owner only; hmdm-android, helper/ConfigUpdater: factory reset and
restart after a 2xx only; a changed passcode is confirmed whether or not it could be changed.
"""

import enum
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from fleet import orders
from fleet.android import serving, tokens
from fleet.channels.headwind.messages import Info
from fleet.db import take_turn
from fleet.devices import life
from fleet.errors import NotFoundError
from fleet.orders import OrderClosedError, OrderKind, OrderState

WIPE, RESTART, PASSCODE = "public", "reboot", "password"  # as they stand in the addresses
_KINDS = {WIPE: OrderKind.WIPE, RESTART: OrderKind.RESTART, PASSCODE: OrderKind.CLEAR_PASSCODE}
ASKS_AGAIN_WITHIN = timedelta(
    seconds=15
)  # after ten seconds without an answer. Source: hmdm-android, ServerServiceKeeper
UNABLE, UNSET = "not-admin", "passcode-not-changed"


class Confirmed(enum.Enum):
    """What we say to it."""

    AGREED = enum.auto()
    NOTHING_ORDERED = enum.auto()
    UNABLE = enum.auto()  # it could not, whatever we say
    UNKNOWN = enum.auto()


def confirm(digest: str, what: str, info: Info, *, now: datetime) -> Confirmed:
    """Take a tablet's word.

    Args:
        digest: SHA-256 of its token.
        what: one of :data:`WIPE`, :data:`RESTART`, :data:`PASSCODE`.
        info: what it tells of itself with it.
        now: the instant.
    """
    take_turn("assignments")  # a wipe ends the enrolment, and turns come before rows
    device_id = tokens.owners({digest}).get(digest)
    if device_id is None:
        return Confirmed.UNKNOWN
    client = serving.held([device_id])[device_id]
    tokens.use(client, digest, now=now)
    key, _last = serving.sequences([device_id])[device_id]
    if key is None or key != client.key_thumbprint:
        is_wiping = what == WIPE and client.wiped_at is not None
        return Confirmed.AGREED if is_wiping else Confirmed.NOTHING_ORDERED
    kind = _KINDS[what]
    wishes = [one.uid for one in orders.pending([device_id], now=now).get(device_id, ()) if one.kind is kind]
    if not wishes:
        is_again = what == RESTART and client.restarts_at is not None and now - client.restarts_at < ASKS_AGAIN_WITHIN
        return Confirmed.AGREED if is_again else Confirmed.NOTHING_ORDERED
    if what == PASSCODE:
        return Confirmed.AGREED
    can = info.can_wipe if what == WIPE else info.is_owner is not False
    _end(((device_id, uid) for uid in wishes), OrderState.DONE if can else OrderState.FAILED, UNABLE, now=now)
    if not can:
        return Confirmed.UNABLE
    if what == RESTART:
        client.restarts_at = now
    if what == WIPE:
        client.wiped_at = now
        life.removed(client.device, now=now)
    return Confirmed.AGREED


def finish(ended: Iterable[tuple[int, str]], *, now: datetime) -> None:
    """Note orders as done that a tablet has carried out; by tablet and name."""
    _end(ended, OrderState.DONE, "", now=now)


def fail_resets(device_ids: Collection[int], *, now: datetime) -> None:
    """Note that tablets could not change their passcode."""
    if device_ids:
        waiting = orders.pending(device_ids, now=now)
        wishes = [
            (device_id, one.uid)
            for device_id, found in sorted(waiting.items())
            for one in found
            if one.kind is OrderKind.CLEAR_PASSCODE
        ]
        _end(wishes, OrderState.FAILED, UNSET, now=now)


def _end(ended: Iterable[tuple[int, str]], state: OrderState, why: str, *, now: datetime) -> None:
    for device_id, uid in sorted(ended):
        try:
            detail = why if state is OrderState.FAILED else ""
            orders.finish(uid, device_id=device_id, state=state, detail=detail, now=now)
        except (OrderClosedError, NotFoundError):
            continue  # its time was over before the tablet's word came
