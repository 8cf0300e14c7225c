"""The rules that come with the server, as data. Each can be switched off or changed (:mod:`fleet.compliance.ruling`).

What a channel never tells opens nothing there: a Linux tablet says nothing of its passcode unless its agent does (the
attributes that agents may tell stand in the protocol's page, section 7), and no iPad says whether it was broken into.
"""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.compliance.models import FindingKind, Severity
from fleet.compliance.rules import Rule

CLOCK_WRONG_S = 120
PROFILE_POLLS = 3  # reports without the profile it shall have
PROFILE_GRACE_MIN = 10  # since it shall have it
APPS_GRACE_MIN = 30  # since it has the profile: stores and installers take their time
STORAGE_MARGIN_PERCENT = 2  # so much above the limit until a full storage counts as emptied
BATTERY_HEALTH_PERCENT = 80  # below it makers call a battery worn
CERTIFICATE_DAYS = 14  # renewals begin a month before
DELIVERED_DAYS = 21
_DAY_MIN = 24 * 60

_SHIPPED = (
    Rule(
        FindingKind.PROFILE_MISSING,
        f"profile.is_pending && profile.reports_without >= `{PROFILE_POLLS}`",
        stays="profile.is_pending",
        since="profile.wanted_since",
        grace_min=PROFILE_GRACE_MIN,
    ),
    Rule(
        FindingKind.APP_MISSING,
        "!(profile.is_pending) && missing",
        stays="missing",
        since="profile.settled_since",
        grace_min=APPS_GRACE_MIN,
    ),
    Rule(
        FindingKind.APP_BLOCKED,
        "!(profile.is_pending) && blocked",
        stays="blocked",
        since="profile.settled_since",
        grace_min=APPS_GRACE_MIN,
    ),
    Rule(
        FindingKind.SETTINGS_FAILED,
        "profile.failed_count > `0`",
        shows=(("settings", "profile.failed"), ("count", "profile.failed_count")),
    ),
    # Its grace is the deadline: so long after a newer system is asked for.
    Rule(
        FindingKind.OS_OUTDATED,
        "older(os.version, os.minimum)",
        shows=(("found", "os.version"), ("expected", "os.minimum")),
    ),
    Rule(FindingKind.PASSCODE_MISSING, "wanted.passcode && flags.passcode_present == `false`", grace_min=_DAY_MIN),
    Rule(FindingKind.NOT_ENCRYPTED, "flags.encrypted == `false`", severity=Severity.SERIOUS),
    Rule(
        FindingKind.NOT_SUPERVISED,
        "(tablet.platform == 'ipados' && flags.supervised == `false`)"
        " || (tablet.platform == 'android' && flags.device_owner == `false`)",
    ),
    Rule(
        FindingKind.TAMPERED,
        "flags.rooted == `true` || flags.bootloader_unlocked == `true`",
        severity=Severity.SERIOUS,
    ),
    Rule(
        FindingKind.STORAGE_LOW,
        "storage.free_percent < storage.keep_free_percent",
        stays=f"storage.free_percent < plus(storage.keep_free_percent, `{STORAGE_MARGIN_PERCENT}`)",
        shows=(
            ("free_bytes", "storage.free_bytes"),
            ("free_percent", "storage.free_percent"),
            ("keep_free_percent", "storage.keep_free_percent"),
        ),
    ),
    Rule(
        FindingKind.BATTERY_WORN,
        f"flags.battery_service == `true` || battery.health_percent < `{BATTERY_HEALTH_PERCENT}`",
        shows=(("health_percent", "battery.health_percent"),),
        severity=Severity.NOTE,
    ),
    Rule(
        FindingKind.CLOCK_WRONG,
        f"abs(clock.offset_s) > `{CLOCK_WRONG_S}`",
        shows=(("offset_s", "clock.offset_s"),),
    ),
    Rule(
        FindingKind.CERTIFICATE_ENDING,
        f"days_until(certificate.expires_at) < `{CERTIFICATE_DAYS}`",
        shows=(("expires_at", "certificate.expires_at"),),
    ),
    Rule(
        FindingKind.NOT_ENROLLED,
        "tablet.life == 'expected' && tablet.listed_at",
        since="tablet.listed_at",
        grace_min=DELIVERED_DAYS * _DAY_MIN,
        shows=(("since", "tablet.listed_at"),),
        severity=Severity.NOTE,
    ),
)

SHIPPED: Mapping[str, Rule] = MappingProxyType({rule.code: rule for rule in _SHIPPED})
