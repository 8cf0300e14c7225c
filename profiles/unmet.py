"""Which settings a tablet will not have as they stand, and why: knowledge of what each kind of tablet can do.

Invariants: only values and what the tablet tells of itself decide; the same conditions serve the channel that carries a
setting and the page that says it cannot be carried. Not here: settings that a tablet refused, which it says itself.

Source: supervision and first systems: ``supervised`` and ``introduced`` in Apple's device-management schema (iOS 18.1);
a test goes through the schema.
"""

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from profiles import android, chrome_lists
from profiles.key import APPLE, HEADWIND
from profiles.vocabulary import VOCABULARY

Settings = Mapping[str, Any]

# Settings that need a newer system than declarative management does (iPadOS 15): the first that has them.
SINCE: Mapping[str, int] = MappingProxyType({"writing_tools.allowed": 18})
# What Setup Assistant is told; nothing later changes it.
AT_SET_UP = frozenset({"language.locale"})
# What holds on supervised iPads only.
SUPERVISED = frozenset(
    {
        "accounts.changes_allowed",
        "apps.allowed",
        "apps.blocked",
        "apps.clips_allowed",
        "apps.installation_allowed",
        "apps.removal_allowed",
        "bluetooth.changes_allowed",
        "classroom.unprompted_observation",
        "clock.automatic",
        "cloud.documents_allowed",
        "cloud.private_relay_allowed",
        "device_name.changes_allowed",
        "dictation.allowed",
        "dictionary.lookup_allowed",
        "factory_reset.allowed",
        "games.centre_allowed",
        "games.multiplayer_allowed",
        "home_screen.dock",
        "home_screen.pages",
        "hotspot.changes_allowed",
        "kiosk.app",
        "location.sharing_allowed",
        "lock_screen.message",
        "media.explicit_allowed",
        "messages.allowed",
        "os_update.deferral_days",
        "passcode.changes_allowed",
        "profiles.installation_allowed",
        "proxy.server",
        "sharing.nearby_allowed",
        "spelling.autocorrect_allowed",
        "spelling.check_allowed",
        "spelling.prediction_allowed",
        "time_zone.name",
        "usb.pairing_allowed",
        "usb.storage_allowed",
        "video_calls.allowed",
        "vpn.creation_allowed",
        "wallpaper.changes_allowed",
        "wallpaper.image",
        "web.autofill_allowed",
        "wifi.only_known",
        "writing_tools.allowed",
    }
)

MOST_BLOCKED = 500  # Source: DenyListURLs: about so many
_RIDING_ALONG = ("passcode.max_failed_attempts", "passcode.auto_lock_minutes")
_PORTS = range(1, 65_536)
_LONGEST_SSID_BYTES = 32  # Source: IEEE 802.11-2020, 9.4.2.2
_SHORTEST_PASSWORD = 8  # Source: IEEE 802.11-2020, J.4.1: a passphrase has 8 to 63 characters


class Why(enum.StrEnum):
    """Why a tablet will not have a setting, or not fully."""

    NOT_HERE = "not-here"  # no tablet of its kind has such a thing; of iPads that is told as follows
    NOT_ON_IPAD = "not-on-ipad"
    NO_PORT = "no-port"  # a proxy without one
    NO_PASSCODE = "no-passcode-demanded"  # it would demand a passcode that nobody asked for
    TOO_MANY = "too-many"  # more than the maker says a tablet takes well
    CLOCK = "clock-is-automatic"  # a time zone cannot be set where the clock sets itself
    NO_NETWORK = "no-such-network"  # a network has a name or a password that none can have
    NEWER_SYSTEM = "newer-system"  # the tablet's system does not know it yet
    NOT_SUPERVISED = "not-supervised"
    AT_SET_UP = "at-set-up"  # it counts while the tablet is set up, and never again
    NO_KIOSK = "no-kiosk"  # the open agent holds no app in front; the others that are known are closed instead
    CHROME_ONLY = "chrome-only"  # other browsers do not read it; those that are known are closed where it matters
    KNOWN_ONLY = "known-apps-only"  # an app that nobody names stays open, though it is not shown
    NEEDED = "needed-by-the-tablet"  # an app that cannot be closed without breaking the tablet
    NO_BROWSER = "no-browser"  # shortcuts to the web without a browser that is open
    COARSE = "coarse"  # the tablet has a few steps only, and this is between them
    WINDOW_INSTEAD = "window-instead"  # updates wait or have their hours, not both
    ON_HOME_SCREEN = "on-home-screen"  # it stands there, and not on the lock screen
    NO_ZONE = "no-such-zone"  # there is no time zone of that name
    NO_PACKAGE = "no-package"  # an app that nobody has uploaded comes only where the tablet has it already
    NOT_TOLD = "not-told"  # the server would judge it, but the tablet says nothing of it


@dataclass(frozen=True, slots=True)
class Unmet:
    """A setting whose value a tablet cannot have as it stands; ``reason`` is a word of :class:`Why`."""

    key: str
    reason: str


def unmet(
    settings: Settings,
    channel: str,
    os_version: str | None = None,
    *,
    is_supervised: bool | None = None,
    uploaded: Collection[str] | None = None,
) -> list[Unmet]:
    """Return which of the effective settings a tablet will not have, or not fully, by their names.

    Args:
        settings: key to value.
        channel: how the tablet speaks to us.
        os_version: its system, such as 17.6.1; None where it is not known.
        is_supervised: whether an iPad is; None where it is not known.
        uploaded: apps whose packages Android tablets can fetch; None where it is not known.
    """
    if channel == APPLE:
        return on_ipad(settings, os_version, is_supervised=is_supervised)
    if channel == HEADWIND:
        return on_android(settings, os_version, uploaded=uploaded)
    return [Unmet(name, Why.NOT_HERE) for name in sorted(settings) if not VOCABULARY[name].is_for(channel)]


def on_android(
    settings: Settings, os_version: str | None = None, *, uploaded: Collection[str] | None = None
) -> list[Unmet]:
    """Return the same of an Android tablet with the open agent; of one setting there may be several reasons."""
    found = [Unmet(name, Why.NOT_HERE) for name in settings if not VOCABULARY[name].is_for(HEADWIND)]
    found += [Unmet(name, Why.AT_SET_UP) for name in android.AT_SET_UP & settings.keys()]
    found += [Unmet(name, Why.NEWER_SYSTEM) for name in settings if _is_older(os_version, android.SINCE.get(name, 0))]
    found += [Unmet(name, Why.CHROME_ONLY) for name in android.in_chrome(settings)]
    found += [Unmet(name, Why.COARSE) for name in android.coarse_passcode(settings)]
    lists = chrome_lists.lists(settings)
    deferral = settings.get("os_update.deferral_days", 0)
    found += [
        Unmet(name, why)
        for name, why, is_so in (
            ("apps.allowed", Why.KNOWN_ONLY, True),
            ("apps.blocked", Why.NEEDED, android.needed_among(settings.get("apps.blocked") or ())),
            ("apps.required", Why.NO_PACKAGE, uploaded is not None and _lacking(settings, uploaded)),
            ("kiosk.app", Why.NO_KIOSK, True),
            ("lock_screen.message", Why.ON_HOME_SCREEN, True),
            ("os_update.deferral_days", Why.COARSE, deferral not in (0, android.DEFERRAL_DAYS)),
            ("os_update.deferral_days", Why.WINDOW_INSTEAD, deferral and "os_update.window" in settings),
            ("proxy.server", Why.NO_PORT, android.proxy(settings) is None),
            ("storage.keep_free_percent", Why.NOT_TOLD, True),
            ("time_zone.name", Why.NO_ZONE, android.zone(settings) is None),
            ("web.allowed", Why.TOO_MANY, chrome_lists.is_too_long(lists.allowed)),
            ("web.blocked", Why.TOO_MANY, chrome_lists.is_too_long(lists.blocked)),
            ("web.bookmarks", Why.NO_BROWSER, settings.get("web.bookmarks") and not android.open_browsers(settings)),
            ("wifi.networks", Why.NO_NETWORK, _has_impossible_network(settings)),
        )
        if name in settings and is_so
    ]
    return sorted(found, key=lambda one: (one.key, one.reason))


def on_ipad(settings: Settings, os_version: str | None = None, *, is_supervised: bool | None = None) -> list[Unmet]:
    """Return the same of an iPad; of one setting there may be several reasons."""
    found = [Unmet(name, Why.NOT_ON_IPAD) for name in settings if not VOCABULARY[name].is_for(APPLE)]
    found += [Unmet(name, Why.AT_SET_UP) for name in AT_SET_UP & settings.keys()]
    if not demands_passcode(settings):
        found += [Unmet(name, Why.NO_PASSCODE) for name in _RIDING_ALONG if name in settings]
    found += [Unmet(name, Why.NEWER_SYSTEM) for name in settings if _is_older(os_version, SINCE.get(name, 0))]
    if is_supervised is False:
        found += [Unmet(name, Why.NOT_SUPERVISED) for name in SUPERVISED & settings.keys() if _asks(name, settings)]
    if settings.get("clock.automatic") and "time_zone.name" in settings:
        found.append(Unmet("time_zone.name", Why.CLOCK))
    if "proxy.server" in settings and host_and_port(settings["proxy.server"]) is None:
        found.append(Unmet("proxy.server", Why.NO_PORT))
    if _has_impossible_network(settings):
        found.append(Unmet("wifi.networks", Why.NO_NETWORK))
    if blocked_entries(settings) > MOST_BLOCKED:
        found.append(Unmet("web.blocked", Why.TOO_MANY))
    return sorted(found, key=lambda one: (one.key, one.reason))


def _lacking(settings: Settings, uploaded: Collection[str]) -> bool:
    """Whether an app for Android must be installed and nobody has uploaded it."""
    return any(android.is_package(app) and app not in uploaded for app in settings.get("apps.required") or ())


def _is_older(os_version: str | None, first: int) -> bool:
    """Whether a system is known to be older than the first that has something."""
    major = (os_version or "").partition(".")[0]
    return major.isascii() and major.isdigit() and int(major) < first


def _has_impossible_network(settings: Settings) -> bool:
    return any(not can_be_joined(network) for network in settings.get("wifi.networks") or ())


def _asks(name: str, settings: Settings) -> bool:
    """Whether a setting asks anything of a tablet: what it does by itself anyway, it does unsupervised too."""
    return bool(settings[name] != VOCABULARY[name].default)


# -- what decides, for the channel too -----------------------------------------------------------------------------


def demands_passcode(settings: Settings) -> bool:
    """Whether settings make a passcode necessary on an iPad: each term that makes one good does."""
    return (
        settings.get("passcode.required", False)
        or settings.get("passcode.quality", "any") != "any"
        or "passcode.min_length" in settings
        or "passcode.max_age_days" in settings
    )


def host_and_port(told: str) -> tuple[str, int] | None:
    """Return a proxy's host and port, None where one of them is missing."""
    host, _, port = told.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) not in _PORTS:
        return None
    return host.removeprefix("[").removesuffix("]"), int(port)


def can_be_joined(network: Mapping[str, Any]) -> bool:
    """Whether a network can be: one with a name or a password that none can have cannot."""
    has_passphrase = network["security"] in {"wpa2", "wpa3"} and "password" in network
    is_short = has_passphrase and len(network["password"]) < _SHORTEST_PASSWORD
    return not is_short and len(network["ssid"].encode()) <= _LONGEST_SSID_BYTES


def blocked_entries(settings: Settings) -> int:
    """Return how many addresses an iPad compares for the blocked sites: two each, three where what is below counts."""
    hosts: Sequence[str] = settings.get("web.blocked") or ()
    return sum(2 + host.startswith("*.") for host in hosts)
