"""What our words for states and findings are called on a page. Each table is total over its enumeration."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.compliance.models import Finding, FindingKind
from fleet.devices.models import Device, DeviceLife, Platform
from fleet.devices.queries import profile_state
from fleet.web import rule_titles
from fleet.web.formats import duration, gigabytes, plain
from fleet.web.texts import translated as _
from profiles.key import Key
from profiles.vocabulary import VOCABULARY

GOOD, WAITING, BAD, NEUTRAL = "success", "warning", "danger", "neutral"


@dataclass(frozen=True, slots=True)
class Told:
    """A state in words, and the colour that goes with them (never without them)."""

    words: str
    colour: str


def life(one: DeviceLife) -> Told:
    """Say where a tablet is in its life."""
    return {
        DeviceLife.EXPECTED: Told(_("Not enrolled yet"), NEUTRAL),
        DeviceLife.PENDING: Told(_("Waits for approval"), WAITING),
        DeviceLife.ENROLLED: Told(_("In use"), GOOD),
        DeviceLife.LOST: Told(_("Lost"), BAD),
        DeviceLife.RETIRED: Told(_("Out of use"), NEUTRAL),
    }[one]


def profile(device: Device) -> Told:
    """Say whether a tablet has its profile; of one that is not in use, where it is instead."""
    if device.life is not DeviceLife.ENROLLED:
        return life(device.life)
    return {
        "applied": Told(_("Has its profile"), GOOD),
        "failed": Told(_("Has its profile, not all settings"), WAITING),
        "pending": Told(_("Waiting for its profile"), WAITING),
        "unknown": Told(_("Has not reported yet"), NEUTRAL),
    }[profile_state(device.state)]


def platform(one: Platform) -> str:
    """Name what a tablet runs."""
    return {Platform.IPADOS: "iPadOS", Platform.ANDROID: "Android", Platform.LINUX: "Linux"}[one]


def filter_state(one: str) -> str:
    """Name a state that tablets can be narrowed to."""
    return {
        "enrolled": _("In use"),
        "findings": _("Needs a look"),
        "waiting": _("Waiting for its profile"),
        "failed": _("Has its profile, not all settings"),
        "apps": _("Apps not there yet"),
        "unsupervised": _("Not supervised"),
        "lesson": _("In a lesson now"),
        "hour": _("Heard from the last hour"),
        "day": _("Heard from the last day"),
        "quiet": _("Not heard from the last day"),
        "pending": _("Waits for approval"),
        "expected": _("Not enrolled yet"),
        "lost": _("Lost"),
        "retired": _("Out of use"),
    }[one]


def failure_reason(told: str) -> str:
    """Say why a tablet could not put a setting into force; a reason that we do not know is shown as it was told."""
    return {
        "rejected": _("the tablet refused it"),
        "unsupported": _("this kind of tablet cannot do it"),
    }.get(told, told)


def failures(told: Iterable[Mapping[str, str]]) -> list[str]:
    """Name the settings that failed, those together that failed for one reason."""
    by_reason: dict[str, list[str]] = {}
    for one in told:
        by_reason.setdefault(failure_reason(one["reason"]), []).append(setting_name(one["key"]))
    return [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]


def finding_title(kind: str) -> str:
    """Name a kind of finding; one of the municipality's own rules by its title."""
    known: dict[str, str] = {
        FindingKind.PROFILE_MISSING: _("Profile not applied"),
        FindingKind.SETTINGS_FAILED: _("Settings that failed"),
        FindingKind.OS_OUTDATED: _("Old system"),
        FindingKind.APP_MISSING: _("App missing"),
        FindingKind.APP_BLOCKED: _("Blocked app"),
        FindingKind.PASSCODE_MISSING: _("No passcode"),
        FindingKind.NOT_ENCRYPTED: _("Not encrypted"),
        FindingKind.NOT_SUPERVISED: _("Not supervised"),
        FindingKind.TAMPERED: _("Tampered with"),
        FindingKind.STORAGE_LOW: _("Storage nearly full"),
        FindingKind.BATTERY_WORN: _("Battery worn out"),
        FindingKind.CLOCK_WRONG: _("Clock wrong"),
        FindingKind.CERTIFICATE_ENDING: _("Certificate runs out"),
        FindingKind.NOT_ENROLLED: _("Delivered, not enrolled"),
        FindingKind.SILENT: _("Silent"),
        FindingKind.MISSING: _("Missing"),
    }
    return known.get(kind) or rule_titles.own().get(kind, kind)


def finding_sentence(finding: Finding) -> str:
    """Say what was found about a tablet."""
    told: Mapping[str, Any] = finding.detail
    subject = finding.subject
    if finding.kind == FindingKind.STORAGE_LOW and isinstance(told.get("free_bytes"), int):
        return _("Only %(size)s of storage is free.", size=gigabytes(told["free_bytes"]))
    if finding.kind == FindingKind.CLOCK_WRONG and isinstance(told.get("offset_s"), int):
        return _("The tablet's clock is wrong by %(time)s.", time=duration(abs(told["offset_s"])))
    if finding.kind == FindingKind.OS_OUTDATED and told.get("found") and told.get("expected"):
        return _("Has system %(found)s, at least %(expected)s is asked for.", **_texts(told, "found", "expected"))
    if finding.kind == FindingKind.SETTINGS_FAILED and told.get("settings"):
        names = ", ".join(setting_name(str(name)) for name in told["settings"])
        return _("Could not put into force: %(settings)s.", settings=names)
    known: dict[str, str] = {
        FindingKind.PROFILE_MISSING: _("Has been heard from several times without taking its profile."),
        FindingKind.SETTINGS_FAILED: _("Could not put all settings into force."),
        FindingKind.OS_OUTDATED: _("The system is older than asked for."),
        FindingKind.APP_MISSING: _("%(app)s shall be installed, but is not.", app=subject),
        FindingKind.APP_BLOCKED: _("%(app)s is blocked, but is installed.", app=subject),
        FindingKind.PASSCODE_MISSING: _("Has no passcode."),
        FindingKind.NOT_ENCRYPTED: _("Its storage is not encrypted."),
        FindingKind.NOT_SUPERVISED: _("Is not supervised, so not all settings can be put into force."),
        FindingKind.TAMPERED: _("Its system has been tampered with."),
        FindingKind.STORAGE_LOW: _("The storage is nearly full."),
        FindingKind.BATTERY_WORN: _("The battery is worn out."),
        FindingKind.CLOCK_WRONG: _("The tablet's clock is wrong."),
        FindingKind.CERTIFICATE_ENDING: _("Its certificate runs out. Enrol the tablet again before that."),
        FindingKind.NOT_ENROLLED: _("Was delivered, and has not been enrolled."),
        FindingKind.SILENT: _("Not heard from for longer than expected in school hours."),
        FindingKind.MISSING: _("Nobody knows where it is."),
    }
    if finding.kind in known:
        return known[finding.kind]
    return found_values(subject, told) or _("What the rule asks for is so.")


def found_values(subject: str, detail: Mapping[str, Any]) -> str:
    """Tell what one of the municipality's own rules found: of what, and the values it shows."""
    shown = [f"{name}: {plain(value)}" for name, value in detail.items()]
    return " · ".join([subject, *shown] if subject else shown)


def _texts(told: Mapping[str, Any], *names: str) -> dict[str, str]:
    return {name: str(told[name]) for name in names}


def scope(one: str) -> str:
    """Name the level where a profile is assigned."""
    return {
        "municipality": _("Municipality"),
        "school": _("School"),
        "class": _("Class"),
        "device": _("Tablet"),
        "lesson": _("Lesson"),
    }[one]


def setting(key: Key) -> str:
    """Name a setting. The catalogues know every title of the vocabulary by its English one."""
    english = key.title["en"]
    return _(english)


def setting_name(name: str) -> str:
    """Name a setting by what a tablet calls it, which may be one that we do not know."""
    return setting(VOCABULARY[name]) if name in VOCABULARY else name


def rule(name: str) -> str:
    """Say how layers that disagree are merged."""
    return {
        "strictest: off wins": _("The strictest counts: off wins"),
        "strictest: on wins": _("The strictest counts: on wins"),
        "strictest: lowest wins": _("The strictest counts: the lowest wins"),
        "strictest: highest wins": _("The strictest counts: the highest wins"),
        "strictest: newest wins": _("The strictest counts: the newest wins"),
        "strictest: later in the list wins": _("The strictest counts"),
        "union": _("Everything that any of them lists"),
        "intersection": _("Only what all of them allow"),
        "nearest": _("The nearest counts"),
        "farthest": _("The farthest counts"),
        "by-name": _("All together; of the same name, the nearest"),
    }[name]
