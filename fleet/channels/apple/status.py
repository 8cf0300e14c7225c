"""What an iPad reports of its declarations and of itself, in our words.

Invariants: whatever the bytes are, reading gives a :class:`Status` or raises :class:`StatusError`; what has not the
form it should have is as if it were not there; unknown items are passed over. An incremental report speaks only of what
changed: None and absence mean "as before" (:func:`merged`).

Source: declarative/protocol/statusreport.yaml and declarative/status of Apple's device-management schema (iOS 18.1).
"""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec

from fleet.channels.apple.answers import MAX_APPS, MAX_TEXT, AppState, app_state
from fleet.channels.apple.declarations import Capabilities, Carried, Kind
from fleet.errors import InvalidError

_MAX_DECLARATIONS = 200
_MAX_MERGED = 4 * _MAX_DECLARATIONS  # as many as one report can tell: what was told longest ago is forgotten first
_MAX_NAMES = 500
_MAX_REASONS = 10
_Told = TypeVar("_Told")
_PENDING = ("softwareupdate", "pending-version", "os-version")


class StatusError(InvalidError):
    """Bytes that are no report of status."""

    code = "status"


class Validity(enum.StrEnum):
    """What an iPad thinks of a declaration. Source: management.declarations, ``valid``."""

    UNKNOWN = "unknown"
    INVALID = "invalid"
    VALID = "valid"


@dataclass(frozen=True, slots=True)
class DeclarationState:
    """How one declaration stands on the iPad.

    Args:
        token: the ServerToken of what it has.
        is_active: whether it is in force.
        validity: what it thinks of it.
        reasons: codes of what is wrong with it.
    """

    token: str
    is_active: bool
    validity: Validity
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ManagedApp:
    """An app that we had installed, and how it stands."""

    id: str
    version: str | None = None
    state: AppState = AppState.UNKNOWN
    is_removed: bool = False


@dataclass(frozen=True, slots=True)
class UpdateState:
    """How far an update of the system has come.

    Args:
        state: ``none``, ``downloading``, ``prepared``, ``installing`` or ``failed``.
        pending_version: what will be installed; empty where nothing will.
        failures: how often that failed.
        failure_reason: why it failed last.
    """

    state: str | None = None
    pending_version: str | None = None
    failures: int | None = None
    failure_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A report, or several merged.

    Args:
        is_full: whether it says everything, not only what changed.
        declarations: by identifier.
        os_version: such as 17.6.1.
        model: such as iPad13,18.
        is_passcode_present: whether there is a passcode.
        is_passcode_compliant: whether it is as profiles and declarations want it.
        battery_health: Apple's word for how worn the battery is, such as ``normal`` or ``service-recommended``.
        apps: apps that commands had installed.
        update: how far an update has come.
        capabilities: what the iPad understands.
        missing: items that it could not report.
    """

    is_full: bool = False
    declarations: Mapping[str, DeclarationState] = field(default_factory=dict)
    os_version: str | None = None
    model: str | None = None
    is_passcode_present: bool | None = None
    is_passcode_compliant: bool | None = None
    battery_health: str | None = None
    apps: tuple[ManagedApp, ...] = ()
    update: UpdateState = UpdateState()
    capabilities: Capabilities | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a set of declarations.

    Args:
        is_applied: whether the iPad has judged all of them, and what is valid is in force.
        failures: settings that it refused, as {"key", "reason"}.
    """

    is_applied: bool
    failures: tuple[Mapping[str, str], ...] = ()


def read_status(data: bytes) -> Status:
    """Return what a report says.

    Args:
        data: JSON, as it stands in the check-in.

    Raises:
        StatusError: it is no JSON, or no object.
    """
    try:
        told = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StatusError from error
    if not isinstance(told, dict):
        raise StatusError
    items = _Items(_table(told.get("StatusItems")))
    return Status(
        is_full=told.get("FullReport") is True,
        declarations=dict(_declarations(items.table("management", "declarations"))),
        os_version=items.text("device", "operating-system", "version"),
        model=items.text("device", "model", "identifier"),
        is_passcode_present=items.flag("passcode", "is-present"),
        is_passcode_compliant=items.flag("passcode", "is-compliant"),
        battery_health=items.text("device", "power", "battery-health"),
        apps=tuple(_apps(items.at("mdm", "app"))),
        update=UpdateState(
            items.text("softwareupdate", "install-state"),
            "" if items.at(*_PENDING) == "" else items.text(*_PENDING),
            items.count("softwareupdate", "failure-reason", "count"),
            items.text("softwareupdate", "failure-reason", "reason"),
        ),
        capabilities=_capabilities(items.table("management", "client-capabilities", "supported-payloads")),
        missing=_names([one.get("StatusItem") for one in _tables(told.get("Errors"))]),
    )


def merged(before: Status, after: Status) -> Status:
    """Return what is known after a report: all that it says, and of the rest what was known before.

    Args:
        before: what was known.
        after: the report; a full one takes the other's place.
    """
    if after.is_full:
        return after
    apps = _latest({app.id: app for app in before.apps}, {app.id: app for app in after.apps}, MAX_APPS)
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in _PLAIN}
    known = {name: new if new is not None else old for name, (old, new) in pairs.items()}
    update = {
        name: new if (new := getattr(after.update, name)) is not None else getattr(before.update, name)
        for name in UpdateState.__slots__
    }
    return replace(
        before,
        **known,
        declarations=_latest(before.declarations, after.declarations, _MAX_MERGED),
        apps=tuple(app for app in apps.values() if not app.is_removed),
        update=UpdateState(**update),
        missing=after.missing,
    )


def _latest(before: Mapping[str, _Told], after: Mapping[str, _Told], most: int) -> dict[str, _Told]:
    """Return both, what was told last at the end, and of the others only as many as there is room for."""
    both = {**{name: one for name, one in before.items() if name not in after}, **after}
    return dict(list(both.items())[-most:])


_PLAIN = ("os_version", "model", "is_passcode_present", "is_passcode_compliant", "battery_health", "capabilities")


def outcome(told: Sequence[Carried], status: Status) -> Outcome:
    """Return what became of declarations, by what is known of their iPad.

    A declaration that is not valid is judged too: the iPad is done with it, and its settings are told as failures.
    """
    failures = []
    is_applied = True
    for one in told:
        state = status.declarations.get(one.identifier)
        if state is None or state.token != one.token or state.validity is Validity.UNKNOWN:
            is_applied = False
        elif state.validity is Validity.INVALID:
            is_applied = is_applied and one.kind is not Kind.ACTIVATION  # without it nothing is in force
            reason = ", ".join(state.reasons)[:MAX_TEXT] or Validity.INVALID.value
            failures += [{"key": key, "reason": reason} for key in one.keys]
        elif not state.is_active and one.kind in {Kind.ACTIVATION, Kind.CONFIGURATION}:
            is_applied = False
    return Outcome(is_applied, tuple(failures))


def _declarations(told: Mapping[str, Any]) -> Iterator[tuple[str, DeclarationState]]:
    for kind in ("activations", "configurations", "assets", "management"):
        for one in _tables(told.get(kind))[:_MAX_DECLARATIONS]:
            identifier, token = _text(one.get("identifier")), _text(one.get("server-token"))
            if identifier is None or token is None:
                continue
            valid = one.get("valid")
            validity = Validity(valid) if valid in list(Validity) else Validity.UNKNOWN
            reasons = _names([reason.get("code") for reason in _tables(one.get("reasons"))])[:_MAX_REASONS]
            yield identifier, DeclarationState(token, one.get("active") is True, validity, reasons)


def _apps(told: Any) -> Iterator[ManagedApp]:
    for one in _tables(told)[:MAX_APPS]:
        identifier = _text(one.get("identifier"))
        if identifier is not None:
            version = _text(one.get("short-version")) or _text(one.get("version"))
            yield ManagedApp(identifier, version, app_state(one.get("state")), one.get("_removed") is True)


def _capabilities(told: Mapping[str, Any]) -> Capabilities | None:
    if not told:
        return None
    types = _table(told.get("declarations")).get("configurations")
    return Capabilities(frozenset(_names(types)), frozenset(_names(told.get("status-items"))))


@dataclass(frozen=True, slots=True)
class _Items:
    """Status items, which nest at their dots."""

    root: Mapping[str, Any]

    def at(self, *path: str) -> Any:
        found: Any = self.root
        for name in path:
            found = _table(found).get(name)
        return found

    def table(self, *path: str) -> Mapping[str, Any]:
        return _table(self.at(*path))

    def text(self, *path: str) -> str | None:
        return _text(self.at(*path))

    def flag(self, *path: str) -> bool | None:
        found = self.at(*path)
        return found if isinstance(found, bool) else None

    def count(self, *path: str) -> int | None:
        found = self.at(*path)
        is_count = isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**31
        return found if is_count else None


def _table(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, dict) else {}


def _tables(told: Any) -> Sequence[Mapping[str, Any]]:
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def _text(told: Any) -> str | None:
    """Return a text, shortened and without what cannot be printed; None where there is none."""
    if not isinstance(told, str):
        return None
    return "".join(letter for letter in told[:MAX_TEXT] if letter.isprintable()) or None


def _names(told: Any) -> tuple[str, ...]:
    found = [_text(one) for one in told[:_MAX_NAMES]] if isinstance(told, list) else []
    return tuple(one for one in found if one is not None)
