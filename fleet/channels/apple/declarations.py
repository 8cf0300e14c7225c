"""An effective profile as declarations, and what an iPad is told of them.

Invariants: an identifier names a place and stays; a ServerToken is the digest of the declaration's content, so it
changes exactly with it; the set's token is the digest of all tokens. The same settings give the same set. An iPad is
answered from the set that it was told of, whatever has been assigned since: :func:`documents` is what to keep of one.

How things are carried: what has a declaration of its own (passcode, deferral and deadline of updates) travels as that,
where the iPad takes it; every other group of settings is a profile that a legacy configuration names by its address.
One activation lists all configurations. The management properties name the effective profile, so that two profiles
which look alike to an iPad are still told apart by what it reports.

Source: declarative/declarations and declarative/protocol of Apple's device-management schema (iOS 18.1);
https://developer.apple.com/documentation/devicemanagement/leveraging-the-declarative-management-data-model
"""

import enum
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from fleet.channels.apple import passcode
from fleet.channels.apple.contents import Settings
from fleet.channels.apple.payloads import KEYS, Group, named, payloads, pieces, profile_bytes
from profiles.digest import canonical, digest, digest_of

LEGACY = "com.apple.configuration.legacy"
PASSCODE = passcode.DECLARATION_TYPE
UPDATE_SETTINGS = "com.apple.configuration.softwareupdate.settings"
UPDATE_DEADLINE = "com.apple.configuration.softwareupdate.enforcement.specific"
SUBSCRIPTIONS = "com.apple.configuration.management.status-subscriptions"
_ACTIVATION = "com.apple.activation.simple"
_ORGANISATION = "com.apple.management.organization-info"
_PROPERTIES = "com.apple.management.properties"

# What iPads are asked to report by themselves: each item has a reader in ``status``.
STATUS_ITEMS = (
    "device.model.identifier",
    "device.operating-system.version",
    "device.power.battery-health",
    "management.declarations",
    "mdm.app",
    "passcode.is-compliant",
    "passcode.is-present",
    "softwareupdate.failure-reason",
    "softwareupdate.install-state",
    "softwareupdate.pending-version",
)
_NO_IMAGES: Mapping[str, bytes] = MappingProxyType({})
_DEFERRAL = "os_update.deferral_days"


class Kind(enum.StrEnum):
    """The four kinds of declarations, as endpoints name them."""

    ACTIVATION = "activation"
    CONFIGURATION = "configuration"
    ASSET = "asset"
    MANAGEMENT = "management"


# Source: DeclarationItemsResponse: all four lists are always there.
_LISTS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.ACTIVATION: "Activations",
        Kind.CONFIGURATION: "Configurations",
        Kind.ASSET: "Assets",
        Kind.MANAGEMENT: "Management",
    }
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an iPad says it understands: types of configurations, and items of status."""

    configurations: frozenset[str]
    status_items: frozenset[str]


@dataclass(frozen=True, slots=True)
class UpdateDeadline:
    """An update of the system that an iPad has to have by an instant.

    Args:
        version: such as 18.1.
        at: when the iPad installs it by itself: a date and time without a zone, as its wall clock decides.
    """

    version: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Declaration:
    """One declaration.

    Args:
        kind: which of the four.
        identifier: names its place, at most 64 octets.
        type: Apple's name of what it declares.
        payload: Apple's keys.
        keys: the settings that it carries.
        token: the digest of its content.
    """

    kind: Kind
    identifier: str
    type: str
    payload: Mapping[str, Any]
    keys: tuple[str, ...] = ()
    token: str = field(init=False)

    def __post_init__(self) -> None:
        content = {"Type": self.type, "Identifier": self.identifier, "Payload": dict(self.payload)}
        object.__setattr__(self, "token", digest(content))

    @property
    def body(self) -> bytes:
        """The declaration as JSON."""
        return canonical(
            {
                "Type": self.type,
                "Identifier": self.identifier,
                "ServerToken": self.token,
                "Payload": dict(self.payload),
            }
        )


@dataclass(frozen=True, slots=True)
class Carried:
    """What is remembered of a declaration, to judge what an iPad says of it.

    Args:
        kind: which of the four.
        identifier: names its place.
        token: the ServerToken.
        keys: the settings that it carries.
    """

    kind: Kind
    identifier: str
    token: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeclarationSet:
    """All declarations of an iPad at one time.

    Args:
        declarations: in the order of their kinds and identifiers.
        profiles: the profiles that legacy configurations name, unsigned, by their digest.
    """

    declarations: tuple[Declaration, ...]
    profiles: Mapping[str, bytes]

    @property
    def carried(self) -> tuple[Carried, ...]:
        """What is remembered of each."""
        return tuple(Carried(one.kind, one.identifier, one.token, one.keys) for one in self.declarations)

    @property
    def token(self) -> str:
        """The DeclarationsToken: changes with any declaration."""
        return digest_of("\n".join(sorted(one.token for one in self.declarations)).encode())


def declarations(
    settings: Settings,
    *,
    identifier: str,
    organisation: str,
    profile: str,
    url_of: Callable[[str], str],
    capabilities: Capabilities | None = None,
    update: UpdateDeadline | None = None,
    images: Mapping[str, bytes] = _NO_IMAGES,
) -> DeclarationSet:
    """Return the declarations of an effective profile.

    Args:
        settings: its settings.
        identifier: what the identifiers of profiles begin with, in reverse-DNS form.
        organisation: whose tablets they are.
        profile: its digest.
        url_of: gives the address (https, on this server) of a profile by the profile's digest.
        capabilities: what the iPad understands; None where it has not told, then only what iOS 15 knows is used.
        update: the system it has to have.
        images: PNG images by their name, for icons.
    """
    declared = list(_own(settings, capabilities, update))
    types = {one.type for one in declared}
    profiles: dict[str, bytes] = {}
    for group, body in _profiles(settings, types, identifier, organisation, images):
        name = digest_of(body)
        profiles[name] = body
        carried = tuple(key for key in KEYS[group] if key in settings)
        payload = {"ProfileURL": url_of(name)}
        declared.append(Declaration(Kind.CONFIGURATION, f"profile.{group}", LEGACY, payload, carried))
    declared.append(_subscriptions(capabilities))
    listed = {"StandardConfigurations": sorted(one.identifier for one in declared)}
    declared.append(Declaration(Kind.ACTIVATION, "activation", _ACTIVATION, listed))
    declared.append(Declaration(Kind.MANAGEMENT, "organisation", _ORGANISATION, {"Name": organisation}))
    declared.append(Declaration(Kind.MANAGEMENT, "properties", _PROPERTIES, {"profile": profile}))
    places = list(Kind)
    declared.sort(key=lambda one: (places.index(one.kind), one.identifier))
    return DeclarationSet(tuple(declared), profiles)


def _own(settings: Settings, capabilities: Capabilities | None, update: UpdateDeadline | None) -> Iterator[Declaration]:
    """Yield the configurations that are no profiles."""
    terms = passcode.declaration(settings)
    if terms and (capabilities is None or PASSCODE in capabilities.configurations):
        keys = tuple(key for key in passcode.KEYS if key in settings)
        yield Declaration(Kind.CONFIGURATION, "passcode", PASSCODE, terms, keys)
    known: Collection[str] = capabilities.configurations if capabilities is not None else ()
    days = settings.get(_DEFERRAL, 0)
    if days and UPDATE_SETTINGS in known:
        deferral = {"Deferrals": {"CombinedPeriodInDays": days}}
        yield Declaration(Kind.CONFIGURATION, "updates", UPDATE_SETTINGS, deferral, (_DEFERRAL,))
    if update is not None and UPDATE_DEADLINE in known:
        wall_clock = update.at.strftime("%Y-%m-%dT%H:%M:%S")  # Source: TargetLocalDateTime: no offset
        target = {"TargetOSVersion": update.version, "TargetLocalDateTime": wall_clock}
        yield Declaration(Kind.CONFIGURATION, "update", UPDATE_DEADLINE, target)


def _profiles(
    settings: Settings, declared: Collection[str], identifier: str, title: str, images: Mapping[str, bytes]
) -> Iterator[tuple[Group, bytes]]:
    """Yield a profile for each group of settings that no declaration of its own carries."""
    for group in Group:
        name = f"{identifier}.{group}"
        if group is Group.PASSCODE and PASSCODE in declared:
            continue
        if group is Group.RESTRICTIONS and UPDATE_SETTINGS in declared:
            shortened = {key: value for key, value in settings.items() if key != _DEFERRAL}
            inside = named(pieces(shortened, group), identifier=name)
        else:
            inside = payloads(settings, identifier=name, images=images, groups=(group,))
        if inside:
            yield group, profile_bytes(inside, identifier=name, title=f"{title} ({group})", organisation=title)


def _subscriptions(capabilities: Capabilities | None) -> Declaration:
    items = [one for one in STATUS_ITEMS if capabilities is None or one in capabilities.status_items]
    payload = {"StatusItems": [{"Name": name} for name in items]}
    return Declaration(Kind.CONFIGURATION, "status", SUBSCRIPTIONS, payload)


def tokens(of: DeclarationSet, at: datetime) -> bytes:
    """Return the answer to ``tokens``; also what a DeclarativeManagement command carries.

    Args:
        of: the set.
        at: the instant of its last change, aware.
    """
    return sync_tokens(of.token, at)


def sync_tokens(token: str, at: datetime) -> bytes:
    """Return the answer to ``tokens`` for the token of a set that was kept.

    Source: TokensResponse; the time is RFC 3339 without a fraction, which some iPads cannot read.
    """
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return canonical({"SyncTokens": {"Timestamp": moment, "DeclarationsToken": token}})


def items(of: DeclarationSet) -> bytes:
    """Return the answer to ``declaration-items``. Source: DeclarationItemsResponse."""
    lists = {
        name: [{"Identifier": one.identifier, "ServerToken": one.token} for one in of.declarations if one.kind is kind]
        for kind, name in _LISTS.items()
    }
    return canonical({"Declarations": lists, "DeclarationsToken": of.token})


def declaration(of: DeclarationSet, kind: str, identifier: str) -> bytes | None:
    """Return one declaration as JSON; None where the set has none of that kind and identifier: the door says 404."""
    found = (one for one in of.declarations if (one.kind.value, one.identifier) == (kind, identifier))
    return next((one.body for one in found), None)


def documents(of: DeclarationSet) -> dict[str, str]:
    """Return what to answer to each endpoint but ``tokens`` and ``status``, by endpoint: the snapshot of a set."""
    each = {f"declaration/{one.kind}/{one.identifier}": one.body.decode() for one in of.declarations}
    return {"declaration-items": items(of).decode(), **each}
