"""What the agent tells: read with care, and only what is asked for.

Invariants: what cannot be read is as if it had not been told; telephone numbers, what names a SIM card, and where a
tablet is are never taken out of a message, so they get no further than this module.

Source: hmdm-android, json/DeviceInfo and json/RemoteLogItem; the words of its log are helper/ConfigUpdater's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fleet.android.addresses import AGENT_APP
from fleet.errors import InvalidError

MARK = "fleet:"  # begins what we call the agent itself in a configuration; what follows names the effective profile
_MOST_APPS, _MOST_LOGS = 3_000, 500
_LONGEST_PACKAGE = 155
_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)+")
_PROFILE = re.compile(r"[0-9a-f]{64}")
FETCHED, NOT_FETCHED, COMPLETED = "Configuration updated", "Failed to update config", "Update flow completed"
DOWNLOAD, INSTALL = "download", "install"
REMEMBERED = "Skip download due to previous install failure"
RESET_FAILED = "Failed to reset password"
# How the log says that an app could not be had, what that is, and whether the update stopped at it.
_FAILURES = (
    (re.compile(r"(?P<app>\S+) Install failed: "), INSTALL, False),
    (re.compile(r"Failed to install app (?P<app>\S+?):? "), INSTALL, True),
    (re.compile(rf"{REMEMBERED}: (?P<app>\S+)"), INSTALL, True),
    (re.compile(r"Failed to download app (?P<app>\S+?): "), DOWNLOAD, True),
)
# What the agent is asked to log: by what a message has in it, whichever case. Source: db/LogConfigTable.
LOGGED = (
    FETCHED,
    NOT_FETCHED,
    COMPLETED,
    RESET_FAILED,
    "Install failed",
    "Failed to install app",
    "Failed to download app",
    REMEMBERED,
)
_VERBOSE = 5


class UnreadableError(InvalidError):
    """A message that is none."""

    code = "headwind-message"


@dataclass(frozen=True, slots=True)
class Info:
    """How a tablet is, as its agent tells.

    Args:
        model: of the tablet.
        os_version: its Android.
        battery_percent: charge.
        is_owner: whether the agent owns the device, so that it can enforce anything.
        is_admin: whether it may at least wipe it.
        profile: the effective profile that its cached configuration stands for.
        agent_version: of the agent.
        apps: versions of those apps of its configuration that are installed, by package name.
        can_wipe: in a confirmation: whether it will be able to.
    """

    model: str | None = None
    os_version: str | None = None
    battery_percent: int | None = None
    is_owner: bool | None = None
    is_admin: bool | None = None
    profile: str | None = None
    agent_version: str | None = None
    apps: Mapping[str, str] = field(default_factory=dict)
    can_wipe: bool = True


@dataclass(frozen=True, slots=True)
class Logged:
    """What a tablet's log says that counts.

    Args:
        is_completed: an update came to its end: restrictions and locked packages are in force, of what was cached.
        was_fetched: whether before that end a new configuration had come; None where this part does not say.
        is_fetched: the same at the end of this part.
        is_stopped: whether an update stopped at an app, so that less is in force than was fetched; None where this part
            does not say.
        has_failed_reset: the passcode could not be changed.
        failures: apps that could not be installed, and at what that failed: :data:`DOWNLOAD` or :data:`INSTALL`.
    """

    is_completed: bool = False
    was_fetched: bool | None = None
    is_fetched: bool | None = None
    is_stopped: bool | None = None
    has_failed_reset: bool = False
    failures: Mapping[str, str] = field(default_factory=dict)


def read_info(body: bytes) -> Info:
    """Read what a tablet tells of itself.

    Raises:
        UnreadableError: it is no JSON object.
    """
    told = _object(body)
    apps = _apps(told.get("applications"))
    permissions = told.get("permissions")
    own = next((one for one in _listed(told.get("applications"), _MOST_APPS) if one.get("pkg") == AGENT_APP), {})
    return Info(
        model=_text(told.get("model"), 120),
        os_version=_text(told.get("androidVersion"), 20),
        battery_percent=_percent(told.get("batteryLevel")),
        is_owner=_flag(told.get("mdmMode")),
        is_admin=permissions[0] == 1 if isinstance(permissions, list) and permissions else None,
        profile=_profile(own.get("name")),
        agent_version=apps.get(AGENT_APP),
        apps={app: version for app, version in apps.items() if app != AGENT_APP},
        can_wipe=told.get("factoryReset") is not False,
    )


def read_log(body: bytes) -> Logged:
    """Read a tablet's log: a few things in it count, and nothing else is kept.

    Raises:
        UnreadableError: it is no JSON list.
    """
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnreadableError(reason="json") from None
    if not isinstance(told, list):
        raise UnreadableError(reason="list")
    words = [text for one in _listed(told, _MOST_LOGS) if (text := _text(one.get("message"), 2_000)) is not None]
    failures: dict[str, str] = {}
    is_completed, was_fetched, is_fetched, is_stopped = False, None, None, None
    for text in words:
        if text.startswith((FETCHED, NOT_FETCHED)):
            is_fetched, is_completed = text.startswith(FETCHED), False  # another update, which is not at its end
        elif text.startswith(COMPLETED):
            is_completed, was_fetched, is_stopped = True, is_fetched, False
        elif (failure := _failure(text)) is not None:
            app, kind, stops = failure
            failures[app] = kind
            is_stopped = stops or is_stopped
    return Logged(
        is_completed=is_completed,
        was_fetched=was_fetched,
        is_fetched=is_fetched,
        is_stopped=is_stopped,
        has_failed_reset=any(one.startswith(RESET_FAILED) for one in words),
        failures=failures,
    )


def _failure(text: str) -> tuple[str, str, bool] | None:
    for pattern, kind, stops in _FAILURES:
        found = pattern.match(text)
        if found is not None and _is_package(found["app"]):
            return found["app"], kind, stops
    return None


def log_rules() -> list[dict[str, Any]]:
    """Return what the agent shall log and upload at once."""
    return [{"packageId": AGENT_APP, "logLevel": _VERBOSE, "filter": one} for one in LOGGED]


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnreadableError(reason="json") from None
    if not isinstance(told, dict):
        raise UnreadableError(reason="object")
    return told


def _listed(told: object, at_most: int) -> Sequence[Mapping[str, Any]]:
    return [one for one in told[:at_most] if isinstance(one, dict)] if isinstance(told, list) else []


def _apps(told: object) -> dict[str, str]:
    found = {}
    for one in _listed(told, _MOST_APPS):
        name, version = one.get("pkg"), _text(one.get("version"), 64)
        if isinstance(name, str) and _is_package(name):
            found[name] = version or ""
    return found


def _is_package(told: str) -> bool:
    return len(told) <= _LONGEST_PACKAGE and _PACKAGE.fullmatch(told) is not None


def _profile(told: object) -> str | None:
    name = told.removeprefix(MARK) if isinstance(told, str) and told.startswith(MARK) else ""
    return name if _PROFILE.fullmatch(name) else None


def _text(told: object, longest: int) -> str | None:
    """Return a text without what cannot be shown, cut to a length; None where there is none."""
    if not isinstance(told, str):
        return None
    return "".join(sign for sign in told[:longest] if sign.isprintable() or sign == "\n").strip() or None


def _flag(told: object) -> bool | None:
    return told if isinstance(told, bool) else None


def _percent(told: object) -> int | None:
    is_one = isinstance(told, int) and not isinstance(told, bool) and 0 <= told <= 100
    return told if is_one and isinstance(told, int) else None
