"""The passcode's terms, as a profile payload and as a declaration; both say the same.

iPadOS cannot say "if there is a passcode, then at least so long": whoever sets a term demands a passcode. So terms that
make a passcode good (length, quality, age) demand one here too. Auto-lock and the number of attempts do not: a lesson
that locks screens sooner shall not make a whole class think up passcodes. Without a demanded passcode they are left
out (:mod:`profiles.unmet`).

Source: mdm/profiles/com.apple.mobiledevice.passwordpolicy.yaml and
declarative/declarations/configurations/passcode.settings.yaml of Apple's device-management schema (iOS 18.1).
"""

from collections.abc import Mapping
from typing import Any

from profiles.unmet import demands_passcode

TYPE = "com.apple.mobiledevice.passwordpolicy"
DECLARATION_TYPE = "com.apple.configuration.passcode.settings"

KEYS = (
    "passcode.required",
    "passcode.min_length",
    "passcode.quality",
    "passcode.max_age_days",
    "passcode.max_failed_attempts",
    "passcode.auto_lock_minutes",
)
_LONGEST_AUTO_LOCK = 15  # Source: range of maxInactivity and MaximumInactivityInMinutes on iOS

# Source: each whole number's key in the payload and in the declaration.
_NUMBERS = {
    "passcode.min_length": ("minLength", "MinimumLength"),
    "passcode.max_age_days": ("maxPINAgeInDays", "MaximumPasscodeAgeInDays"),
    "passcode.max_failed_attempts": ("maxFailedAttempts", "MaximumFailedAttempts"),
    "passcode.auto_lock_minutes": ("maxInactivity", "MaximumInactivityInMinutes"),
}
# Source: the same for each quality, the loosest first.
_QUALITIES: Mapping[str, Mapping[tuple[str, str], Any]] = {
    "any": {},
    "letters-and-digits": {("requireAlphanumeric", "RequireAlphanumericPasscode"): True},
    "complex": {
        ("requireAlphanumeric", "RequireAlphanumericPasscode"): True,
        ("minComplexChars", "MinimumComplexCharacters"): 1,
    },
}


def policy(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the profile payload's own keys; empty where no passcode is demanded."""
    return {"forcePIN": True, **_terms(settings, 0)} if demands_passcode(settings) else {}


def declaration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the declaration's payload; empty where no passcode is demanded."""
    return {"RequirePasscode": True, **_terms(settings, 1)} if demands_passcode(settings) else {}


def _terms(settings: Mapping[str, Any], place: int) -> dict[str, Any]:
    found = {names[place]: settings[name] for name, names in _NUMBERS.items() if name in settings}
    minutes = _NUMBERS["passcode.auto_lock_minutes"][place]
    if minutes in found:
        found[minutes] = min(found[minutes], _LONGEST_AUTO_LOCK)
    quality = _QUALITIES[settings.get("passcode.quality", "any")]
    return found | {names[place]: value for names, value in quality.items()}
