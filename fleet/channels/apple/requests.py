"""Commands as they wait in the queue: a kind and what it says, made into what travels only when it is sent.

Bytes and secrets are not in the queue: the unlock token, for one, is opened at the last moment. A command's kind is
Apple's name of it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from fleet.apps import images
from fleet.channels.apple import commands as made
from fleet.channels.apple import declarations
from fleet.channels.apple.commands import AppSource
from fleet.channels.apple.messages import Acknowledged, CommandFormatError, Failed, Idle, NotNow, Result
from fleet.crypto import open_sealed
from fleet.mdm import declaring
from fleet.mdm.models import Client, Command
from fleet.orders import OrderKind

DECLARE = "DeclarativeManagement"
INFORMATION = "DeviceInformation"
SECURITY = "SecurityInfo"
APPS = "InstalledApplicationList"
CONFIGURED = "DeviceConfigured"
INSTALL = "InstallProfile"
RENEW = "Renewal"  # our own word: the enrolment profile once more, which brings a new certificate
REMOVE = "RemoveProfile"
SETTINGS = "Settings"
INSTALL_APP, OUR_APPS = "InstallApplication", "ManagedApplicationList"
CLOSE, OPEN = "EnableLostMode", "DisableLostMode"
CERTIFICATES = "CertificateList"
ERASE, LOCATE, UPDATE = "EraseDevice", "DeviceLocation", "ScheduleOSUpdate"
INVENTORY = (SECURITY, APPS, CERTIFICATES)  # beside the former, more rarely
UNLOCK_TOKEN = "unlock-token"  # noqa: S105 (what the vault's seal is for)

# Which command carries out a wish; the others are refused when they are wished (fleet.orders.kinds.CARRIES).
OF_ORDER: Mapping[OrderKind, str] = MappingProxyType(
    {
        OrderKind.LOCK_MESSAGE: "DeviceLock",
        OrderKind.RESTART: "RestartDevice",
        OrderKind.REPORT_NOW: INFORMATION,
        OrderKind.WIPE: ERASE,
        OrderKind.LOCATE: LOCATE,
        OrderKind.RING: "PlayLostModeSound",
        OrderKind.SHUT_DOWN: "ShutDownDevice",
        OrderKind.CLEAR_PASSCODE: "ClearPasscode",
    }
)

_WORDS: Mapping[type, str] = MappingProxyType(
    {
        Idle: "idle",
        Acknowledged: "acknowledged",
        Failed: "error",
        CommandFormatError: "malformed",
        NotNow: "not-now",
    }
)


class NoUnlockTokenError(Exception):
    """The tablet never told what clears its passcode."""


def word_of(message: Result) -> str:
    """Return our word for what a result says."""
    return _WORDS[type(message)]


def purpose(device_id: int) -> str:
    """Return what a tablet's unlock token is sealed for: another's would not open."""
    return f"{UNLOCK_TOKEN}:{device_id}"


def build(command: Command, client: Client, vault_key: bytes) -> dict[str, Any]:
    """Return a command as it travels.

    Raises:
        NoUnlockTokenError: there is nothing to clear the passcode with.
    """
    told: Mapping[str, Any] = command.content or {}
    if command.kind == DECLARE:
        tokens = None
        if client.declared_token is not None and client.declared_at is not None:
            tokens = declarations.sync_tokens(client.declared_token, client.declared_at)
        return made.declarative_management(tokens)
    if command.kind == "ClearPasscode":
        if client.unlock_token is None:
            raise NoUnlockTokenError
        return made.clear_passcode(open_sealed(vault_key, client.unlock_token, purpose=purpose(client.device_id)))
    if command.kind == INSTALL:
        body = declaring.enclosure(told["file"])
        if body is None:
            raise KeyError(told["file"])
        return made.install_profile(body)
    if command.kind in _TOLD:
        return _TOLD[command.kind](told)
    return _PLAIN[command.kind]()


def _settings(told: Mapping[str, Any]) -> dict[str, Any]:
    shown = images.bodies([told["wallpaper"]]).get(told["wallpaper"]) if "wallpaper" in told else None
    return made.settings(name=told["name"], wallpaper=shown, time_zone=told.get("time_zone"))


def _install_app(told: Mapping[str, Any]) -> dict[str, Any]:
    source = AppSource(told.get("store_id"), told.get("manifest_url"), is_licensed=told["is_licensed"])
    return made.install_application(source)


def _lost(told: Mapping[str, Any]) -> dict[str, Any]:
    return made.enable_lost_mode(told["message"], phone_number=told["phone_number"], footnote=told["footnote"])


_TOLD: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = MappingProxyType(
    {
        "DeviceLock": lambda told: made.device_lock(told.get("text")),
        REMOVE: lambda told: made.remove_profile(told["name"]),
        SETTINGS: _settings,
        CLOSE: _lost,
        INSTALL_APP: _install_app,
        UPDATE: lambda told: made.schedule_os_update(told["version"]),
    }
)
_PLAIN: Mapping[str, Callable[[], dict[str, Any]]] = MappingProxyType(
    {
        INFORMATION: made.device_information,
        SECURITY: made.security_info,
        APPS: made.installed_application_list,
        CONFIGURED: made.device_configured,
        CERTIFICATES: made.certificate_list,
        "RestartDevice": made.restart,
        "ShutDownDevice": made.shut_down,
        "PlayLostModeSound": made.play_lost_mode_sound,
        ERASE: made.erase,
        LOCATE: made.device_location,
        OPEN: made.disable_lost_mode,
        OUR_APPS: made.managed_application_list,
    }
)
