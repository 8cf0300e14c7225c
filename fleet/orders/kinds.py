"""What each kind of order needs: its content, who may wish it, and which channel can carry it. Pure.

Gentle kinds can be made good by anybody who has the tablet in hand; privileged ones cannot, or tell where a child is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from fleet.access import Permission
from fleet.errors import InvalidError
from fleet.orders.models import MAX_REASON, OrderKind
from profiles.kinds import APP

MAX_TEXT, MAX_URL, MIN_REASON = 500, 2_000, 10

GENTLE = frozenset(
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
PRIVILEGED = frozenset(OrderKind) - GENTLE
NEED_SECOND_PERSON = frozenset({OrderKind.WIPE, OrderKind.LOCATE})
# Of these only the newest is worth carrying out: it takes the place of one that no tablet has fetched yet.
NEWEST_COUNTS = frozenset({OrderKind.LOCK_MESSAGE, OrderKind.RING, OrderKind.RESTART, OrderKind.REPORT_NOW})

# Which kinds a channel can carry, with an acknowledgement of its own.
# Source: native: agent_protocol/README.md section 8 (no key signs what cannot be undone). apple: DeviceLock (Message),
# RestartDevice, DeviceInformation, EraseDevice, DeviceLocation and ClearPasscode of
# https://developer.apple.com/documentation/devicemanagement/commands-and-queries; no command shows a message, rings
# (outside lost mode) or opens something. headwind: lock, reboot, factoryReset and a new configuration; its pushes,
# which could open an app, are never acknowledged, and it has no lost mode.
CARRIES: Mapping[str, frozenset[OrderKind]] = MappingProxyType(
    {
        "native": GENTLE,
        "apple": frozenset({OrderKind.LOCK_MESSAGE, OrderKind.RESTART, OrderKind.REPORT_NOW}) | PRIVILEGED,
        "headwind": frozenset({OrderKind.LOCK_MESSAGE, OrderKind.RESTART, OrderKind.REPORT_NOW, OrderKind.WIPE}),
    }
)

# RFC 3986, section 2: what an address may consist of; everything else has to be percent-encoded.
_ADDRESS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"({_LABEL}\.)*{_LABEL}\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


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


def _is_reason(told: str) -> bool:
    return len(told.strip()) >= MIN_REASON and len(told) <= MAX_REASON and told.replace("\n", "").isprintable()


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
        "reason": _Content(PRIVILEGED, _is_reason, f"a reason of {MIN_REASON} to {MAX_REASON} printable characters"),
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
        reason: why, where the kind is privileged; it is kept with the order, and travels to no tablet.
    """

    kind: OrderKind
    text: str | None = None
    url: str | None = None
    app: str | None = None
    reason: str | None = None

    def payload(self) -> dict[str, Any]:
        """Return what travels to the tablet.

        Raises:
            InvalidError: something that the kind needs is missing or not sound, or something is there that it has not.
                Data: ``order_kind``, ``field``, and ``expected`` (None: the kind has no such field).
        """
        told = {"text": self.text, "url": self.url, "app": self.app, "reason": self.reason}
        for field, content in _CONTENT.items():
            value, belongs = told[field], self.kind in content.kinds
            if (belongs and (value is None or not content.is_sound(value))) or (not belongs and value is not None):
                expected = content.expected if belongs else None
                raise InvalidError(kind="order", order_kind=self.kind.value, field=field, expected=expected)
        del told["reason"]
        return {field: value for field, value in told.items() if value is not None}
