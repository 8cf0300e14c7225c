"""What each kind of order needs: its content, who may wish it, and which channel can carry it. Pure.

Gentle kinds can be made good by anybody who has the tablet in hand; privileged ones cannot, or tell where a child is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from fleet.access import Permission
from fleet.devices.models import DeviceLife
from fleet.errors import InvalidError
from fleet.orders.models import MAX_REASON, OrderKind
from profiles.kinds import APP

MAX_TEXT, MAX_URL, MIN_REASON = 500, 2_000, 10
REASON = f"a reason of {MIN_REASON} to {MAX_REASON} printable characters"

# Those that a teacher may wish of the tablets in a lesson: over in a moment, and nobody has to go and turn one on.
IN_LESSONS = frozenset(
    {
        OrderKind.MESSAGE,
        OrderKind.LOCK_MESSAGE,
        OrderKind.RING,
        OrderKind.RESTART,
        OrderKind.REPORT_NOW,
        OrderKind.OPEN_URL,
        OrderKind.OPEN_APP,
    }
)
GENTLE = IN_LESSONS | {OrderKind.SHUT_DOWN, OrderKind.UPDATE_SYSTEM}
PRIVILEGED = frozenset(OrderKind) - GENTLE
NEED_SECOND_PERSON = frozenset({OrderKind.WIPE, OrderKind.LOCATE})
# Of these only the newest is worth carrying out: it takes the place of one that no tablet has fetched yet.
NEWEST_COUNTS = frozenset(
    {
        OrderKind.LOCK_MESSAGE,
        OrderKind.RING,
        OrderKind.RESTART,
        OrderKind.REPORT_NOW,
        OrderKind.SHUT_DOWN,
        OrderKind.UPDATE_SYSTEM,
    }
)

# How long an order may wait. A new system is wished for some evening to come, and tablets take their time with it.
DEFAULT_LIFE, SHORTEST_LIFE, LONGEST_LIFE = timedelta(hours=24), timedelta(minutes=1), timedelta(days=7)
LONGEST_UPDATE = timedelta(days=30)

# Which kinds a channel can carry, with an acknowledgement of its own, by where a tablet is in its life.
# Source: native: agent_protocol/README.md section 8 (no key signs what cannot be undone). apple: DeviceLock (Message),
# RestartDevice, ShutDownDevice, DeviceInformation, EraseDevice, DeviceLocation, PlayLostModeSound (both in lost mode
# only) and ClearPasscode of https://developer.apple.com/documentation/devicemanagement/commands-and-queries, and
# https://developer.apple.com/documentation/devicemanagement/softwareupdateenforcementspecific; no command shows a
# message or opens something. headwind: lock, reboot, factoryReset, passwordReset and a new configuration; its pushes,
# which could open an app, are never acknowledged, and it has no lost mode.
CARRIES: Mapping[tuple[str, DeviceLife], frozenset[OrderKind]] = MappingProxyType(
    {
        ("native", DeviceLife.ENROLLED): IN_LESSONS,
        ("apple", DeviceLife.ENROLLED): frozenset(
            {
                OrderKind.LOCK_MESSAGE,
                OrderKind.RESTART,
                OrderKind.REPORT_NOW,
                OrderKind.SHUT_DOWN,
                OrderKind.UPDATE_SYSTEM,
                OrderKind.WIPE,
                OrderKind.CLEAR_PASSCODE,
            }
        ),
        ("apple", DeviceLife.LOST): frozenset({OrderKind.LOCATE, OrderKind.RING, OrderKind.WIPE}),
        ("headwind", DeviceLife.ENROLLED): frozenset(
            {
                OrderKind.LOCK_MESSAGE,
                OrderKind.RESTART,
                OrderKind.REPORT_NOW,
                OrderKind.WIPE,
                OrderKind.CLEAR_PASSCODE,
            }
        ),
    }
)
# Where a wiped tablet sets itself up again without anybody at it. Source: EraseDevice, ReturnToService.
COMES_BACK = frozenset({"apple"})

# RFC 3986, section 2: what an address may consist of; everything else has to be percent-encoded.
_ADDRESS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_VERSION = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}")
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"({_LABEL}\.)*{_LABEL}\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


def carries(channel: str | None, life: DeviceLife) -> frozenset[OrderKind]:
    """Return the kinds that reach a tablet on a channel as it stands; None, or an unknown channel: none does."""
    return CARRIES.get((channel or "", life), frozenset())


def lives(channel: str | None, kind: OrderKind) -> frozenset[DeviceLife]:
    """Return where in their lives tablets on a channel take a kind: nowhere, where the channel cannot carry it."""
    return frozenset(life for (name, life), carried in CARRIES.items() if name == channel and kind in carried)


def longest_life(kind: OrderKind) -> timedelta:
    """Return how long an order of a kind may wait."""
    return LONGEST_UPDATE if kind is OrderKind.UPDATE_SYSTEM else LONGEST_LIFE


def usual_life(kind: OrderKind) -> timedelta:
    """Return how long an order of a kind waits where nobody says: one for a new system as long as it may."""
    return LONGEST_UPDATE if kind is OrderKind.UPDATE_SYSTEM else DEFAULT_LIFE


def permission(kind: OrderKind) -> Permission:
    """Return the permission that a kind needs at the tablet's school."""
    return Permission.ORDER_GENTLE if kind in GENTLE else Permission.ORDER_PRIVILEGED


def _is_text(told: str) -> bool:
    return 1 <= len(told) <= MAX_TEXT and told.replace("\n", "").isprintable()


def _is_url(told: str) -> bool:
    if len(told) > MAX_URL or not _ADDRESS.fullmatch(told):
        return False
    try:
        parts = urlsplit(told)
        has_port = parts.port is None or parts.port > 0
    except ValueError:  # brackets or a port that are none
        return False
    is_web = parts.scheme in {"http", "https"} and "@" not in parts.netloc
    return is_web and has_port and _HOST.fullmatch(parts.hostname or "") is not None


def _is_app(told: str) -> bool:
    try:
        APP.normalise(told)
    except ValueError:
        return False
    return True


def is_reason(told: str) -> bool:
    """Whether a text says why, as what is privileged asks for it."""
    return len(told.strip()) >= MIN_REASON and len(told) <= MAX_REASON and told.replace("\n", "").isprintable()


def _is_version(told: str) -> bool:
    return _VERSION.fullmatch(told) is not None


def moment(told: str) -> datetime:
    """Return a local date and time as a deadline is told, without a zone.

    Raises:
        ValueError: it is none.
    """
    if not _MOMENT.fullmatch(told):
        raise ValueError(told)
    return datetime.fromisoformat(told)


def _is_moment(told: str) -> bool:
    try:
        moment(told)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Content:
    """What may stand in a field of a wish."""

    kinds: frozenset[OrderKind]
    is_sound: Callable[[str], bool]
    expected: str


_CONTENT: Mapping[str, _Content] = MappingProxyType(
    {
        "text": _Content(
            frozenset({OrderKind.MESSAGE, OrderKind.LOCK_MESSAGE}),
            _is_text,
            f"a text of 1 to {MAX_TEXT} printable characters",
        ),
        "url": _Content(
            frozenset({OrderKind.OPEN_URL}),
            _is_url,
            f"an address such as https://nrk.no/skole of at most {MAX_URL} characters, without a user name or password",
        ),
        "app": _Content(frozenset({OrderKind.OPEN_APP}), _is_app, APP.expected),
        "version": _Content(
            frozenset({OrderKind.UPDATE_SYSTEM}), _is_version, "a version such as 18.1: one to three numbers"
        ),
        "deadline": _Content(
            frozenset({OrderKind.UPDATE_SYSTEM}), _is_moment, "a local date and time such as 2026-12-01T08:00"
        ),
        "reason": _Content(PRIVILEGED, is_reason, REASON),
    }
)


def fields(kind: OrderKind) -> tuple[str, ...]:
    """Return the fields of a wish that a kind needs."""
    return tuple(field for field, content in _CONTENT.items() if kind in content.kinds)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wished of a tablet: a kind, and what that kind needs.

    Args:
        kind: what.
        text: what a message says.
        url: the web address to open.
        app: the id of the app to open.
        version: of the system that the tablet shall have.
        deadline: until when, as local date and time without a zone, such as 2026-12-01T08:00.
        reason: why, where the kind is privileged; it is kept with the order, and travels to no tablet.
        come_back: whether a wiped tablet shall set itself up again, without anybody at it.
    """

    kind: OrderKind
    text: str | None = None
    url: str | None = None
    app: str | None = None
    version: str | None = None
    deadline: str | None = None
    reason: str | None = None
    come_back: bool = False

    def payload(self) -> dict[str, Any]:
        """Return what travels to the tablet.

        Raises:
            InvalidError: something that the kind needs is missing or not sound, or something is there that it has not.
                Data: ``order_kind``, ``field``, and ``expected`` (None: the kind has no such field).
        """
        told = {field: getattr(self, field) for field in _CONTENT}
        for field, content in _CONTENT.items():
            value, belongs = told[field], self.kind in content.kinds
            if (belongs and (value is None or not content.is_sound(value))) or (not belongs and value is not None):
                expected = content.expected if belongs else None
                raise InvalidError(kind="order", order_kind=self.kind.value, field=field, expected=expected)
        if self.come_back and self.kind is not OrderKind.WIPE:
            raise InvalidError(kind="order", order_kind=self.kind.value, field="come_back", expected=None)
        del told["reason"]
        comes_back = {"come_back": True} if self.come_back else {}
        return {field: value for field, value in told.items() if value is not None} | comes_back
