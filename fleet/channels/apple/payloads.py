"""Effective settings become configuration profiles, a profile per group of settings.

Invariants: the same settings give the same bytes; a payload's identifier and UUID follow from what it is about, not
from what it says, so that a new version of a profile changes payloads in place (a Wi-Fi network that stays is not left
and joined again). Every setting that names a source of Apple's has its means in :data:`CARRIED_BY`.

Not here: what an iPad will not have (:mod:`profiles.unmet`), what commands carry (``commands``), and what a lesson adds
(``lesson_profile``).

Source: mdm/profiles/TopLevel.yaml and CommonPayloadKeys.yaml of Apple's device-management schema (iOS 18.1).
"""

import enum
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from fleet.channels.apple import contents, networks, passcode, plists, restrictions
from fleet.channels.apple.contents import Piece, Settings
from profiles.key import APPLE
from profiles.unmet import AT_SET_UP
from profiles.vocabulary import VOCABULARY

PROFILE_TYPE = "application/x-apple-aspen-config"  # Source: the media type of a profile that is downloaded
_NAMESPACE = uuid.UUID("6f2c2a0e-6f4b-5b0b-9a54-0f6c1f3a7d11")  # ours, drawn once
_NO_IMAGES: Mapping[str, bytes] = MappingProxyType({})
_REPORT = "report"  # how the vocabulary names the source of a setting that the server judges


class Means(enum.StrEnum):
    """What brings a setting to an iPad."""

    PROFILE = "profile"  # a payload, on its own or as a declared legacy profile
    DECLARATION = "declaration"  # a declaration where the iPad takes it, else a payload
    COMMAND = "command"  # InstallApplication or Settings, once and again where it changed
    SET_UP = "set-up"  # what Setup Assistant is told; nothing later changes it
    REPORT = "report"  # nothing: the server judges what the iPad tells


class Group(enum.StrEnum):
    """Settings that share a profile: what changes together, and what must not undo its neighbours where it fails."""

    RESTRICTIONS = "restrictions"
    PASSCODE = "passcode"
    WEB = "web"
    WIFI = "wifi"
    PROXY = "proxy"
    HOME_SCREEN = "homescreen"
    WEB_CLIPS = "webclips"
    KIOSK = "kiosk"
    LOCK_SCREEN = "lockscreen"
    PRINTERS = "printers"


# Which settings each group's profile follows from.
KEYS: Mapping[Group, tuple[str, ...]] = MappingProxyType(
    {
        Group.RESTRICTIONS: restrictions.KEYS,
        Group.PASSCODE: passcode.KEYS,
        Group.WEB: ("web.adult_filter", "web.allowed", "web.blocked"),
        Group.WIFI: ("wifi.networks",),
        Group.PROXY: ("proxy.server",),
        Group.HOME_SCREEN: ("home_screen.dock", "home_screen.pages"),
        Group.WEB_CLIPS: ("web.bookmarks",),
        Group.KIOSK: ("kiosk.app",),
        Group.LOCK_SCREEN: ("lock_screen.message",),
        Group.PRINTERS: ("printing.printers",),
    }
)

# What brings each setting that an iPad can have.
CARRIED_BY: Mapping[str, Means] = MappingProxyType(
    {
        **{name: Means.PROFILE for names in KEYS.values() for name in names},
        **dict.fromkeys(passcode.KEYS, Means.DECLARATION),
        "os_update.deferral_days": Means.DECLARATION,
        "apps.required": Means.COMMAND,
        "time_zone.name": Means.COMMAND,
        "wallpaper.image": Means.COMMAND,
        **dict.fromkeys(AT_SET_UP, Means.SET_UP),
        **{name: Means.REPORT for name, key in VOCABULARY.items() if key.sources.get(APPLE) == _REPORT},
    }
)


def _restrictions(settings: Settings) -> list[Piece]:
    return _alone(restrictions.TYPE, "restrictions", restrictions.restrictions(settings))


def _passcode(settings: Settings) -> list[Piece]:
    return _alone(passcode.TYPE, "passcode", passcode.policy(settings))


def _alone(payload_type: str, place: str, body: Mapping[str, Any]) -> list[Piece]:
    return [Piece(payload_type, place, body)] if body else []


_MAKE: Mapping[Group, Callable[[Settings], list[Piece]]] = MappingProxyType(
    {
        Group.RESTRICTIONS: _restrictions,
        Group.PASSCODE: _passcode,
        Group.WEB: contents.web_filter,
        Group.WIFI: networks.wifi,
        Group.PROXY: networks.proxy,
        Group.HOME_SCREEN: contents.home_screen,
        Group.KIOSK: contents.app_lock,
        Group.LOCK_SCREEN: contents.lock_screen,
        Group.PRINTERS: contents.printers,
    }
)


def pieces(settings: Settings, group: Group, images: Mapping[str, bytes] = _NO_IMAGES) -> list[Piece]:
    """Return a group's payloads without their names.

    Args:
        settings: effective settings.
        group: which.
        images: PNG images by their name.
    """
    return contents.web_clips(settings, images) if group is Group.WEB_CLIPS else _MAKE[group](settings)


def named(found: Iterable[Piece], *, identifier: str) -> list[dict[str, Any]]:
    """Return payloads with what all have.

    Args:
        found: payloads, each at a place of its own.
        identifier: of their profile, in reverse-DNS form.
    """
    return [
        {
            **piece.body,
            "PayloadType": piece.type,
            "PayloadVersion": 1,
            "PayloadIdentifier": f"{identifier}.{piece.place}",
            "PayloadUUID": uuid_of(f"{identifier}.{piece.place}"),
        }
        for piece in found
    ]


def uuid_of(place: str) -> str:
    """Return the UUID of a place, the same for ever. Source: RFC 9562, section 5.5."""
    return str(uuid.uuid5(_NAMESPACE, place)).upper()


def payloads(
    settings: Settings, *, identifier: str, images: Mapping[str, bytes] = _NO_IMAGES, groups: Iterable[Group] = Group
) -> list[dict[str, Any]]:
    """Return the profile payloads of effective settings.

    Args:
        settings: key to value, as layering gives them.
        identifier: of the profile they will stand in, in reverse-DNS form.
        images: PNG images by their name, for icons.
        groups: which groups of settings; all where not said.
    """
    found = [piece for group in groups for piece in pieces(settings, group, images)]
    return named(found, identifier=identifier)


def profile_bytes(
    inside: Sequence[Mapping[str, Any]],
    *,
    identifier: str,
    title: str,
    organisation: str | None = None,
    removal_at: datetime | None = None,
) -> bytes:
    """Return a configuration profile as an XML property list, unsigned.

    Args:
        inside: payloads, as :func:`payloads` gives them.
        identifier: names the profile on the iPad: a profile of the same name takes the place of the old one.
        title: what Settings shows.
        organisation: whose it is, shown beside it.
        removal_at: when the iPad takes it away by itself, by its own clock and without us.
    """
    profile: dict[str, Any] = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": uuid_of(identifier),
        "PayloadDisplayName": title,
        "PayloadScope": "System",
        "PayloadContent": list(inside),
    }
    if organisation is not None:
        profile["PayloadOrganization"] = organisation
    if removal_at is not None:
        profile["RemovalDate"] = removal_at
    return plists.write(profile)
