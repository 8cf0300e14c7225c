"""The commands that an iPad is sent, as what stands under ``Command``.

Pure: a command's name, its place in the queue and its life are not here. What the answers say is read in ``answers``.

Source: mdm/commands of Apple's device-management schema (iOS 18.1); each function names its file.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Command = dict[str, Any]

# What iPads are asked about themselves: the fields that something of ours depends on, and no others. No phone numbers,
# hardware addresses, accounts or names: a tablet's name may be a pupil's.
QUERIES = (
    "AvailableDeviceCapacity",  # nearly full
    "AwaitingConfiguration",  # whether set-up waits for us
    "BatteryLevel",
    "DeviceCapacity",
    "IsMDMLostModeEnabled",  # whether an order to find it came through
    "IsSupervised",  # whether most settings can hold at all
    "OSVersion",  # too old a system
    "ProductName",  # which model
)
APP_ITEMS = ("Identifier", "Installing", "ShortVersion", "Version")


class UpdateAction(enum.StrEnum):
    """What to do with an update. Source: system.update.schedule.yaml, InstallAction: those that iPadOS knows."""

    DOWNLOAD_OR_INSTALL = "Default"
    DOWNLOAD = "DownloadOnly"
    INSTALL = "InstallASAP"


@dataclass(frozen=True, slots=True)
class ReturnToService:
    """How an erased iPad comes back without anybody at it.

    Args:
        wifi_profile: a profile with the network it shall use; None where it has a cable.
        enrolment_profile: the profile to enrol with; None where automated enrolment gives it one.
    """

    wifi_profile: bytes | None = field(repr=False)
    enrolment_profile: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppSource:
    """Where an app comes from: exactly one of the two.

    Args:
        store_id: its number in the App Store.
        manifest_url: of a manifest of our own; https.
        is_licensed: whether a licence of Apps and Books is assigned to the tablet, so that no account is needed.
    """

    store_id: int | None = None
    manifest_url: str | None = None
    is_licensed: bool = True

    def __post_init__(self) -> None:
        if (self.store_id is None) == (self.manifest_url is None):
            raise ValueError("either a number in the App Store or a manifest")


def device_lock(message: str | None = None) -> Command:
    """Lock the screen. Source: device.lock.yaml (the PIN is for Macs)."""
    return _command("DeviceLock", Message=message)


def enable_lost_mode(message: str, *, phone_number: str | None = None, footnote: str | None = None) -> Command:
    """Close the tablet until it is found; only then it tells where it is. Source: device.lostmode.enable.yaml.

    Args:
        message: what its screen says.
        phone_number: whom to call: the school, never a pupil.
        footnote: what stands below.
    """
    return _command("EnableLostMode", Message=message, PhoneNumber=phone_number, Footnote=footnote)


def disable_lost_mode() -> Command:
    """Open a tablet that was found. Source: device.lostmode.disable.yaml."""
    return _command("DisableLostMode")


def device_location() -> Command:
    """Ask where the tablet is: only in lost mode. Source: device.lostmode.location.yaml."""
    return _command("DeviceLocation")


def play_lost_mode_sound() -> Command:
    """Have a lost tablet make itself heard. Source: device.lostmode.playsound.yaml."""
    return _command("PlayLostModeSound")


def restart() -> Command:
    """Restart at once. Source: device.restart.yaml."""
    return _command("RestartDevice")


def shut_down() -> Command:
    """Turn off at once. Source: device.shutdown.yaml."""
    return _command("ShutDownDevice")


def erase(come_back: ReturnToService | None = None) -> Command:
    """Erase everything; a plan for mobile data stays. Source: device.erase.yaml.

    Args:
        come_back: how to enrol again by itself; None: somebody sets it up.
    """
    if come_back is None:
        return _command("EraseDevice", PreserveDataPlan=True)
    profiles = {"WiFiProfileData": come_back.wifi_profile, "MDMProfileData": come_back.enrolment_profile}
    known = {name: body for name, body in profiles.items() if body is not None}
    return _command("EraseDevice", PreserveDataPlan=True, ReturnToService={"Enabled": True, **known})


def clear_passcode(unlock_token: bytes) -> Command:
    """Take the passcode away. Source: passcode.clear.yaml.

    Args:
        unlock_token: as the tablet told it.
    """
    return _command("ClearPasscode", UnlockToken=unlock_token)


def settings(*, name: str | None = None, wallpaper: bytes | None = None, time_zone: str | None = None) -> Command:
    """Set what is set once and can be changed by hand after it. Source: settings.yaml.

    Args:
        name: the tablet's.
        wallpaper: a PNG or JPEG image, for home and lock screen.
        time_zone: such as Europe/Oslo.
    """
    items: list[dict[str, Any]] = []
    if name is not None:
        items.append({"Item": "DeviceName", "DeviceName": name})
    if wallpaper is not None:
        items.append({"Item": "Wallpaper", "Image": wallpaper, "Where": 3})  # 3: both screens
    if time_zone is not None:
        items.append({"Item": "TimeZone", "TimeZone": time_zone})
    return _command("Settings", Settings=items)


def schedule_os_update(version: str, action: UpdateAction = UpdateAction.DOWNLOAD_OR_INSTALL) -> Command:
    """Update the system of an iPad that takes no declared deadline. Source: system.update.schedule.yaml.

    Args:
        version: such as 17.6.1.
        action: how far to go.
    """
    return _command("ScheduleOSUpdate", Updates=[{"ProductVersion": version, "InstallAction": action.value}])


def device_information() -> Command:
    """Ask for :data:`QUERIES`. Source: information.device.yaml."""
    return _command("DeviceInformation", Queries=list(QUERIES))


def security_info() -> Command:
    """Ask about the passcode. Source: information.security.yaml."""
    return _command("SecurityInfo")


def installed_application_list() -> Command:
    """Ask for the installed apps, pupils' own among them: blocked ones are. Source: application.installed.list.yaml."""
    return _command("InstalledApplicationList", ManagedAppsOnly=False, Items=list(APP_ITEMS))


def certificate_list() -> Command:
    """Ask for the certificates that came from us. Source: certificate.list.yaml."""
    return _command("CertificateList", ManagedOnly=True)


def managed_application_list(apps: Sequence[str] = ()) -> Command:
    """Ask how far the apps of ours have come. Source: application.managed.list.yaml.

    Args:
        apps: which; all where none are named.
    """
    return _command("ManagedApplicationList", Identifiers=list(apps) or None)


def install_profile(body: bytes) -> Command:
    """Install a profile, or put it in the place of one of the same name. Source: profile.install.yaml."""
    return _command("InstallProfile", Payload=body)


def remove_profile(identifier: str) -> Command:
    """Take a profile away. Source: profile.remove.yaml."""
    return _command("RemoveProfile", Identifier=identifier)


def install_application(source: AppSource, *, is_removable: bool = True) -> Command:
    """Install an app, or update it, or take over one that somebody has installed. Source: application.install.yaml.

    Args:
        source: where it comes from.
        is_removable: whether a pupil may delete it.
    """
    is_of_store = source.store_id is not None
    return _command(
        "InstallApplication",
        iTunesStoreID=source.store_id,
        ManifestURL=source.manifest_url,
        Options={"PurchaseMethod": int(source.is_licensed)} if is_of_store else None,
        ManagementFlags=1,  # it goes when the tablet leaves us
        ChangeManagementState="Managed",
        Attributes={"Removable": is_removable},
    )


def remove_application(app: str) -> Command:
    """Take an app of ours away, with what it holds. Source: application.remove.yaml."""
    return _command("RemoveApplication", Identifier=app)


def declarative_management(tokens: bytes | None = None) -> Command:
    """Have the tablet look for new declarations; the first time, begin with them. Source: declarativemanagement.yaml.

    Args:
        tokens: the answer to ``tokens``, which saves a request.
    """
    return _command("DeclarativeManagement", Data=tokens)


def device_configured() -> Command:
    """Let the set-up assistant go on. Source: device.configured.yaml."""
    return _command("DeviceConfigured")


def _command(name: str, **keys: Any) -> Command:
    return {"RequestType": name, **{key: value for key, value in keys.items() if value is not None}}
