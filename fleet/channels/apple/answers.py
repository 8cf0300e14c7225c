"""What an iPad answers to commands, in our words.

Invariants: only what has a purpose is read; what is missing or has not the form it should have is None or left out,
never an error: the command was carried out, whatever its answer looks like. Texts are short and printable.

Source: the response keys in mdm/commands of Apple's device-management schema (iOS 18.1); each function names its file.
"""

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from cryptography import x509

MAX_APPS = 2_000
MAX_TEXT = 255
_MAX_VERSION = 64
_MAX_CERTIFICATES = 200
_BOTH = 3  # Source: HardwareEncryptionCaps: 1 blocks, 2 files, 3 both
_YEARS = range(2000, 2100)
_GIGABYTE = 10**9  # Source: DeviceCapacity: base ten

Answer = Mapping[str, Any]


class AppState(enum.StrEnum):
    """How an app of ours stands."""

    COMING = "coming"
    WAITS = "waits"  # for somebody at the tablet
    INSTALLED = "installed"
    REMOVED = "removed"  # by hand
    REFUSED = "refused"  # by hand
    FAILED = "failed"
    UNKNOWN = "unknown"


# Source: Status of application.managed.list.yaml, State of application.install.yaml and state of mdm.app.yaml: the same
# words, written LikeThis and like-this.
_APP_STATES: Mapping[str, AppState] = MappingProxyType(
    {
        "queued": AppState.COMING,
        "redeeming": AppState.COMING,
        "validatingpurchase": AppState.COMING,
        "validatingupdate": AppState.INSTALLED,
        "installing": AppState.COMING,
        "updating": AppState.INSTALLED,
        "managed": AppState.INSTALLED,
        "prompting": AppState.WAITS,
        "promptingforlogin": AppState.WAITS,
        "promptingforupdate": AppState.INSTALLED,
        "promptingforupdatelogin": AppState.INSTALLED,
        "promptingformanagement": AppState.WAITS,
        "managedbutuninstalled": AppState.REMOVED,
        "userinstalledapp": AppState.INSTALLED,
        "userrejected": AppState.REFUSED,
        "updaterejected": AppState.INSTALLED,
        "managementrejected": AppState.REFUSED,
        "needsredemption": AppState.FAILED,
        "failed": AppState.FAILED,
        "unknown": AppState.UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True)
class DeviceInformation:
    """What an iPad is; None where it did not say.

    Args:
        os_version: such as 17.6.1.
        model: such as iPad13,18.
        storage_total_bytes: of the whole storage.
        storage_free_bytes: of it that is free.
        battery_percent: charge.
        is_supervised: whether most settings can hold at all.
        is_lost: whether it is in lost mode.
        awaits_configuration: whether its set-up waits for us.
    """

    os_version: str | None = None
    model: str | None = None
    storage_total_bytes: int | None = None
    storage_free_bytes: int | None = None
    battery_percent: int | None = None
    is_supervised: bool | None = None
    is_lost: bool | None = None
    awaits_configuration: bool | None = None


@dataclass(frozen=True, slots=True)
class SecurityInformation:
    """Of passcode and encryption; None where the iPad did not say.

    Args:
        is_passcode_present: whether there is a passcode.
        is_passcode_compliant: whether it is as profiles want it.
        is_encrypted: whether it encrypts both blocks and files.
    """

    is_passcode_present: bool | None = None
    is_passcode_compliant: bool | None = None
    is_encrypted: bool | None = None


@dataclass(frozen=True, slots=True)
class KnownCertificate:
    """A certificate on the iPad: the hex SHA-256 of its DER, whether its key is there too, and when it runs out."""

    thumbprint: str
    is_identity: bool
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """Where a lost iPad is.

    Args:
        latitude: in degrees, north is positive.
        longitude: in degrees, east is positive.
        accuracy_m: radius of a circle that it is in; None where unknown.
        located_at: when it was there, aware.
    """

    latitude: float
    longitude: float
    accuracy_m: float | None = None
    located_at: datetime | None = None


def app_state(word: Any) -> AppState:
    """Return what Apple's word for an app's state means, in either spelling; UNKNOWN for one that is not known."""
    plain = word.replace("-", "").lower() if isinstance(word, str) else ""
    return _APP_STATES.get(plain, AppState.UNKNOWN)


def read_device_information(answer: Answer) -> DeviceInformation:
    """Return what an answer to DeviceInformation says. Source: information.device.yaml."""
    told = _table(answer.get("QueryResponses"))
    battery = _number(told.get("BatteryLevel"))
    return DeviceInformation(
        os_version=_text(told.get("OSVersion")),
        model=_text(told.get("ProductName")),
        storage_total_bytes=_bytes(told.get("DeviceCapacity")),
        storage_free_bytes=_bytes(told.get("AvailableDeviceCapacity")),
        battery_percent=round(100 * battery) if battery is not None and 0 <= battery <= 1 else None,
        is_supervised=_flag(told.get("IsSupervised")),
        is_lost=_flag(told.get("IsMDMLostModeEnabled")),
        awaits_configuration=_flag(told.get("AwaitingConfiguration")),
    )


def read_security_info(answer: Answer) -> SecurityInformation:
    """Return what an answer to SecurityInfo says. Source: information.security.yaml."""
    told = _table(answer.get("SecurityInfo"))
    compliant = _flag(told.get("PasscodeCompliantWithProfiles"))
    encryption = _number(told.get("HardwareEncryptionCaps"))
    return SecurityInformation(
        _flag(told.get("PasscodePresent")),
        compliant if compliant is not None else _flag(told.get("PasscodeCompliant")),
        encryption == _BOTH if encryption is not None else None,
    )


def read_installed_applications(answer: Answer) -> list[dict[str, str]]:
    """Return the installed apps as {"id", "version"}, by id; none that is still on its way.

    Source: application.installed.list.yaml.
    """
    found: dict[str, str] = {}
    for one in _tables(answer.get("InstalledApplicationList")):
        app = _text(one.get("Identifier"))
        if app is not None and one.get("Installing") is not True:
            version = _text(one.get("ShortVersion")) or _text(one.get("Version")) or ""
            found[app] = version[:_MAX_VERSION]
    return [{"id": app, "version": found[app]} for app in sorted(found)[:MAX_APPS]]


def read_managed_applications(answer: Answer) -> dict[str, AppState]:
    """Return how our apps stand, by id. Source: application.managed.list.yaml."""
    told = _table(answer.get("ManagedApplicationList"))
    found = {_text(app): app_state(_table(one).get("Status")) for app, one in list(told.items())[:MAX_APPS]}
    return {app: state for app, state in found.items() if app is not None}


def read_install(answer: Answer) -> tuple[AppState, str | None]:
    """Return how an app stands after InstallApplication, and Apple's word for why it was refused.

    Source: application.install.yaml.
    """
    reason = _text(answer.get("RejectionReason"))
    state = app_state(answer.get("State"))
    return (AppState.FAILED if reason is not None and state is AppState.UNKNOWN else state), reason


def read_certificates(answer: Answer) -> tuple[KnownCertificate, ...]:
    """Return the certificates that came from us; their names are not read. Source: certificate.list.yaml."""
    found = []
    for one in _tables(answer.get("CertificateList"))[:_MAX_CERTIFICATES]:
        der = one.get("Data")
        if isinstance(der, bytes):
            is_identity = one.get("IsIdentity") is True
            name = hashlib.sha256(der).hexdigest()
            found.append(KnownCertificate(name, is_identity, _runs_out(der) if is_identity else None))
    return tuple(found)


def _runs_out(der: bytes) -> datetime | None:
    try:
        return x509.load_der_x509_certificate(der).not_valid_after_utc
    except ValueError:
        return None


def read_location(answer: Answer) -> Location | None:
    """Return where a lost tablet is; None where the answer does not say. Source: device.lostmode.location.yaml."""
    latitude, longitude = _number(answer.get("Latitude")), _number(answer.get("Longitude"))
    if latitude is None or longitude is None or not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    accuracy = _number(answer.get("HorizontalAccuracy"))
    return Location(
        latitude,
        longitude,
        accuracy if accuracy is not None and accuracy >= 0 else None,
        _instant(answer.get("Timestamp")),
    )


def read_settings(answer: Answer) -> tuple[bool, ...]:
    """Return for each item of a Settings command whether it was set, in order. Source: settings.yaml."""
    told = answer.get("Settings")
    results = _tables(told) or ([told] if isinstance(told, Mapping) else [])
    return tuple(one.get("Status") == "Acknowledged" for one in results)


def read_update(answer: Answer) -> tuple[str, ...]:
    """Return Apple's words for how far each scheduled update is. Source: system.update.schedule.yaml."""
    statuses = (_text(one.get("Status")) for one in _tables(answer.get("UpdateResults")))
    return tuple(status for status in statuses if status is not None)


def _table(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, Mapping) else {}


def _tables(told: Any) -> Sequence[Mapping[str, Any]]:
    return [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []


def _flag(told: Any) -> bool | None:
    return told if isinstance(told, bool) else None


def _number(told: Any) -> float | None:
    is_number = isinstance(told, int | float) and not isinstance(told, bool)
    return float(told) if is_number and abs(told) < 2**64 else None


def _bytes(told: Any) -> int | None:
    number = _number(told)
    return round(number * _GIGABYTE) if number is not None and 0 <= number < 2**20 else None


def _text(told: Any) -> str | None:
    if not isinstance(told, str):
        return None
    return "".join(letter for letter in told[:MAX_TEXT] if letter.isprintable()) or None


def _instant(told: Any) -> datetime | None:
    """Return an instant of RFC 3339; None where it is none, does not say its zone, or is of no year of ours.

    The first and the last of all instants are none in some zones, and no page could show them.
    """
    if not isinstance(told, datetime):
        try:
            told = datetime.fromisoformat(told)
        except (TypeError, ValueError):
            return None
    return told if told.tzinfo is not None and told.year in _YEARS else None
