"""The profile that Apple gives an iPad that is switched on for the first time: who we are, what set-up leaves out.

Invariants: the iPad is supervised, cannot leave, and waits until we say that it is configured, so that nobody holds one
that is not yet as it shall be. The same content gives the same digest, so that nothing is defined twice.

Source: https://developer.apple.com/documentation/devicemanagement/profile; other/skipkeys.yaml of Apple's
device-management schema.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

# Steps of the set-up that a school's iPad has no use for. Left in: language, keyboard and network, which come before
# the iPad asks us; and location, without which it does not know its time zone. A passcode is asked for where a profile
# demands one.
SKIPPED = (
    "ActionButton",
    "Android",
    "Appearance",
    "AppleID",
    "AppStore",
    "Biometric",
    "CameraButton",
    "DeviceToDeviceMigration",
    "Diagnostics",
    "DisplayTone",
    "EnableLockdownMode",
    "HomeButtonSensitivity",
    "iMessageAndFaceTime",
    "Intelligence",
    "MessagingActivationUsingPhoneNumber",
    "OnBoarding",
    "Passcode",
    "Payment",
    "Privacy",
    "Restore",
    "RestoreCompleted",
    "Safety",
    "ScreenTime",
    "SIMSetup",
    "Siri",
    "SoftwareUpdate",
    "TermsOfAddress",
    "TOS",
    "UpdateCompleted",
    "WatchMigration",
    "Welcome",
    "Zoom",
)


def definition(address: str, *, identifier: str, organisation: str, tls_root: bytes | None = None) -> dict[str, Any]:
    """Return the profile.

    Args:
        address: where the iPad fetches its enrolment profile.
        identifier: of this server's management, for ever the same.
        organisation: whose iPads they are, as they show it.
        tls_root: the CA of our TLS certificate, DER, where iPads do not trust it by themselves.
    """
    anchors = {} if tls_root is None else {"anchor_certs": [base64.b64encode(tls_root).decode()]}
    return anchors | {
        "profile_name": organisation,
        "url": address,
        "org_magic": identifier,
        "department": organisation,
        "is_supervised": True,
        "is_mandatory": True,
        "is_mdm_removable": False,
        "await_device_configured": True,
        "language": "nb",
        "region": "NO",
        "skip_setup_items": list(SKIPPED),
    }


def digest(profile: Mapping[str, Any]) -> str:
    """Return what names a profile's content: lower-case hex SHA-256."""
    return hashlib.sha256(msgspec.json.encode(profile, order="sorted")).hexdigest()
