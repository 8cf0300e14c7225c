"""What a condition sees of a tablet: a plain document, made of what it last told and what it shall have.

Each field is of the kind that :data:`fleet.compliance.fields.FIELDS` says, or null; what a tablet told oddly is as if
it had told nothing. No person is in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fleet.compliance.fields import FIELDS as FIELDS
from fleet.compliance.fields import NAMED_FLAGS, Field
from fleet.compliance.versions import version
from fleet.devices.models import DeviceLife, Platform
from profiles.vocabulary import VOCABULARY

__all__ = ["FIELDS", "Field", "Seen", "Wanted", "document"]

_MINIMUM_OF = {Platform.IPADOS: "os.minimum_ipados", Platform.ANDROID: "os.minimum_android"}
_SETTINGS_NAMED = 20
_YES, _NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of an effective profile findings are about."""

    minimum_os: str | None = None  # of any system
    required: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()
    keep_free_percent: int = VOCABULARY["storage.keep_free_percent"].default
    minimum_by_platform: Mapping[Platform, str] = field(default_factory=dict)
    passcode: bool = False

    @staticmethod
    def of(settings: Mapping[str, Any]) -> "Wanted":
        """Return what effective settings ask for."""
        return Wanted(
            settings.get("os.minimum_version"),
            frozenset(settings.get("apps.required") or ()),
            frozenset(settings.get("apps.blocked") or ()),
            settings.get("storage.keep_free_percent") or Wanted().keep_free_percent,
            {platform: settings[key] for platform, key in _MINIMUM_OF.items() if settings.get(key)},
            bool(settings.get("passcode.required")),
        )

    def newest_minimum(self, platform: Platform | None) -> str | None:
        """Return the oldest system that is allowed on a platform: of that of any and its own the newer."""
        of_platform = self.minimum_by_platform.get(platform) if platform is not None else None
        asked = [one for one in (self.minimum_os, of_platform) if one is not None]
        return max(asked, key=lambda one: version(one) or ()) if asked else None


NOTHING_WANTED = Wanted()


@dataclass(frozen=True, slots=True)
class Seen:
    """A tablet, what it last told, and which profile it shall have since when; as in ``Device`` and ``DeviceState``."""

    facts: Mapping[str, Any]
    failures: Sequence[Mapping[str, Any]] = ()
    applied_digest: str | None = None
    applied_at: datetime | None = None
    desired_digest: str | None = None
    desired_at: datetime | None = None
    polls_pending: int = 0
    storage_free_bytes: int | None = None
    clock_offset_s: int | None = None
    battery_percent: int | None = None
    platform: Platform | None = None
    life: DeviceLife = DeviceLife.ENROLLED
    school_id: int | None = None
    has_class: bool = False
    is_own: bool = False
    cart: str | None = None
    channel: str | None = None
    listed_at: datetime | None = None
    enrolled_at: datetime | None = None


def document(seen: Seen, wanted: Wanted) -> dict[str, Any]:
    """Return what conditions see of a tablet.

    Args:
        seen: the tablet.
        wanted: what it shall have.
    """
    facts = seen.facts
    told = facts.get("attributes")
    attributes = {str(name): str(value) for name, value in told.items()} if isinstance(told, Mapping) else {}
    return {
        "tablet": _tablet(seen),
        "os": {"version": _text(facts.get("os_version")), "minimum": wanted.newest_minimum(seen.platform)},
        **_apps(facts, wanted),
        "flags": _flags(facts.get("flags"), attributes),
        "attributes": attributes,
        "storage": _storage(seen, wanted),
        "battery": {"percent": seen.battery_percent, "health_percent": _percent(attributes)},
        "clock": {"offset_s": seen.clock_offset_s},
        "profile": _profile(seen),
        "wanted": {
            "required": sorted(wanted.required), "blocked": sorted(wanted.blocked), "passcode": wanted.passcode,
        },
        "certificate": {
            "expires_at": _text(facts.get("certificate_expires_at")) or attributes.get("certificate_expires_at"),
        },
    }  # fmt: skip


def _tablet(seen: Seen) -> dict[str, Any]:
    return {
        "platform": seen.platform.value if seen.platform is not None else None,
        "model": _text(seen.facts.get("model")),
        "channel": seen.channel,
        "life": seen.life.value,
        "school_id": seen.school_id,
        "has_class": seen.has_class,
        "is_own": seen.is_own,
        "cart": seen.cart,
        "listed_at": _instant(seen.listed_at),
        "enrolled_at": _instant(seen.enrolled_at),
        "agent_version": _text(seen.facts.get("agent_version")),
    }


def _apps(facts: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Return the apps there are, those that shall be there and are not, and those that are there and shall not be."""
    told = facts.get("apps")
    apps = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    if not all(type(one.get("id")) is str for one in apps):
        apps = [{**one, "id": str(one.get("id"))} for one in apps]
    missing: list[str] = []
    blocked: list[str] = []
    if wanted.required:
        missing = sorted(wanted.required - {one["id"] for one in apps})
    if wanted.blocked:  # one that is hidden is there, but nobody can open it
        blocked = sorted(wanted.blocked & ({one["id"] for one in apps} - {a["id"] for a in apps if a.get("is_hidden")}))
    return {"apps": apps, "missing": missing, "blocked": blocked}


def _flags(told: Any, attributes: Mapping[str, str]) -> dict[str, bool]:
    """Return what is so and what is not: an agent's flags are a list of what is, and some attributes are flags."""
    flags: dict[str, bool] = {}
    for name in NAMED_FLAGS.keys() & attributes.keys():
        word = attributes[name].strip().lower()
        if word in _YES or word in _NO:
            flags[name] = word in _YES
    if isinstance(told, Mapping):
        flags |= {str(name): value for name, value in told.items() if isinstance(value, bool)}
    elif isinstance(told, list):
        flags |= {name: True for name in told if isinstance(name, str)}
    return flags


def _storage(seen: Seen, wanted: Wanted) -> dict[str, Any]:
    total, free = seen.facts.get("storage_total_bytes"), seen.storage_free_bytes
    known = total if isinstance(total, int) and not isinstance(total, bool) and total > 0 else None
    return {
        "total_bytes": known,
        "free_bytes": free,
        # In whole percent, as in the review key of check-ins: so whatever crosses the limit leads to a review.
        "free_percent": 100 * free // known if known is not None and free is not None else None,
        "keep_free_percent": wanted.keep_free_percent,
    }


def _profile(seen: Seen) -> dict[str, Any]:
    instants = [moment for moment in (seen.applied_at, seen.desired_at) if moment is not None]
    # Only names that we know: what else a tablet calls a setting may be anything.
    failed = sorted({str(one.get("key")) for one in seen.failures} & VOCABULARY.keys()) if seen.failures else []
    return {
        "is_pending": seen.desired_digest is not None and seen.applied_digest != seen.desired_digest,
        "reports_without": seen.polls_pending,
        "wanted_since": _instant(seen.desired_at),
        "applied_since": _instant(seen.applied_at),
        "settled_since": _instant(max(instants)) if instants else None,
        "failed": failed[:_SETTINGS_NAMED],
        "failed_count": len(seen.failures),
    }


def _percent(attributes: Mapping[str, str]) -> int | None:
    told = attributes.get("battery_health_percent", "")
    return min(int(told), 100) if told.isdecimal() and len(told) <= 3 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _instant(value: datetime | None) -> str | None:
    return value.isoformat() if value is not None else None
