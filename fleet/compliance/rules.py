"""What is worth a look about a tablet: pure, from what it told and what it shall have.

Two kinds of patience keep findings calm. A finding that waits (for a profile to arrive, for an app to be installed or
removed) is opened only when its grace is over; one that is open stays while its reason stays, so that a lesson's
profile, which starts every grace anew, makes nothing flicker. Where a grace is running, the outcome says when to look
again, as the tablet may have nothing new to tell by then.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from fleet.compliance.models import FindingKind
from fleet.devices.models import Platform
from profiles.vocabulary import VOCABULARY

CLOCK_WRONG_S = 120
PROFILE_POLLS = 3  # reports without the profile it shall have
PROFILE_GRACE = timedelta(minutes=10)  # since it shall have it
APPS_GRACE = timedelta(minutes=30)  # since it has the profile: stores and installers take their time
STORAGE_MARGIN_PERCENT = 2  # so much above the limit until a full storage counts as emptied
MAX_OF_A_KIND = 50  # a tablet without any of its apps is one problem, not two thousand
_SETTINGS_NAMED = 20
_MINIMUM_OF = {Platform.IPADOS: "os.minimum_ipados", Platform.ANDROID: "os.minimum_android"}
_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of an effective profile findings are about."""

    minimum_os: str | None = None  # of any system
    required: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()
    keep_free_percent: int = VOCABULARY["storage.keep_free_percent"].default
    minimum_by_platform: Mapping[Platform, str] = field(default_factory=dict)

    @staticmethod
    def of(settings: Mapping[str, Any]) -> "Wanted":
        """Return what effective settings ask for."""
        return Wanted(
            settings.get("os.minimum_version"),
            frozenset(settings.get("apps.required") or ()),
            frozenset(settings.get("apps.blocked") or ()),
            settings.get("storage.keep_free_percent") or Wanted().keep_free_percent,
            {platform: settings[key] for platform, key in _MINIMUM_OF.items() if settings.get(key)},
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What a tablet last told, and which profile it shall have since when; as in ``DeviceState``."""

    facts: Mapping[str, Any]
    failures: Sequence[Mapping[str, Any]] = ()
    applied_digest: str | None = None
    applied_at: datetime | None = None
    desired_digest: str | None = None
    desired_at: datetime | None = None
    polls_pending: int = 0
    storage_free_bytes: int | None = None
    clock_offset_s: int | None = None
    platform: Platform | None = None

    @property
    def is_pending(self) -> bool:
        """Whether the tablet does not have the profile it shall have."""
        return self.desired_digest is not None and self.applied_digest != self.desired_digest


Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A fact that is worth a look, with what its text needs."""

    kind: FindingKind
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> Name:
        """What tells it apart from the tablet's other findings."""
        return self.kind, self.subject


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is worth a look now, and when to look again although nothing changes."""

    findings: tuple[Found, ...] = ()
    again_at: datetime | None = None


def judge(seen: Seen, wanted: Wanted, *, is_open: AbstractSet[Name], now: datetime) -> Outcome:
    """Return the findings of an enrolled tablet that has reported; silence is judged elsewhere.

    Args:
        seen: what it told.
        wanted: what it shall have.
        is_open: kinds and subjects of its open findings.
        now: the instant.
    """
    profile, profile_again = _profile(seen, is_open, now)
    apps, apps_again = _apps(seen, wanted, is_open, now)
    at_once = (_settings(seen), _os(seen, wanted), _storage(seen, wanted, is_open), _clock(seen))
    again = [moment for moment in (profile_again, apps_again) if moment is not None]
    return Outcome((*profile, *apps, *(found for found in at_once if found is not None)), min(again, default=None))


def _profile(seen: Seen, is_open: AbstractSet[Name], now: datetime) -> tuple[list[Found], datetime | None]:
    found = Found(FindingKind.PROFILE_MISSING)
    if not seen.is_pending:
        return [], None
    if found.name in is_open:
        return [found], None
    if seen.polls_pending < PROFILE_POLLS:  # each report that follows leads to a review
        return [], None
    due = seen.desired_at + PROFILE_GRACE if seen.desired_at is not None else now
    return ([found], None) if due <= now else ([], due)


def _apps(seen: Seen, wanted: Wanted, is_open: AbstractSet[Name], now: datetime) -> tuple[list[Found], datetime | None]:
    """Judge apps: anew only where the tablet has had its profile for a while, else what is open and still so."""
    told = [app for app in seen.facts.get("apps") or () if isinstance(app, dict)]
    installed = {str(app.get("id")) for app in told}
    hidden = {str(app.get("id")) for app in told if app.get("is_hidden")}  # there, but nobody can open it
    candidates = [
        *_first(FindingKind.APP_MISSING, wanted.required - installed),
        *_first(FindingKind.APP_BLOCKED, wanted.blocked & (installed - hidden)),
    ]
    waiting = [found for found in candidates if found.name not in is_open]
    if not waiting:
        return candidates, None
    due = max((moment for moment in (seen.applied_at, seen.desired_at) if moment is not None), default=now - APPS_GRACE)
    due += APPS_GRACE
    if due <= now and not seen.is_pending:
        return candidates, None
    kept = [found for found in candidates if found.name in is_open]
    return kept, due if not seen.is_pending else None  # a profile that arrives leads to a review


def _first(kind: FindingKind, apps: Collection[str]) -> Iterable[Found]:
    return (Found(kind, app) for app in sorted(apps)[:MAX_OF_A_KIND])


def _settings(seen: Seen) -> Found | None:
    # Only names that we know: what else a tablet calls a setting may be anything.
    names = sorted({str(failure.get("key")) for failure in seen.failures} & VOCABULARY.keys())
    if not seen.failures:
        return None
    return Found(FindingKind.SETTINGS_FAILED, "", {"settings": names[:_SETTINGS_NAMED], "count": len(seen.failures)})


def version(told: str) -> tuple[int, ...] | None:
    """Return the first version that stands in a text, without zeros at its end; None where there is none."""
    found = _VERSION.search(told)
    if found is None:
        return None
    numbers = [int(number) for number in found.group().split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def is_older(found: str, minimum: str) -> bool:
    """Whether one version comes before another, number by number; False where one of them is none."""
    told, asked = version(found), version(minimum)
    if told is None or asked is None:
        return False
    pairs = zip_longest(told, asked, fillvalue=0)
    return next((mine < theirs for mine, theirs in pairs if mine != theirs), False)


def _os(seen: Seen, wanted: Wanted) -> Found | None:
    told = seen.facts.get("os_version")
    of_platform = wanted.minimum_by_platform.get(seen.platform) if seen.platform is not None else None
    asked = [one for one in (wanted.minimum_os, of_platform) if one is not None]
    if not asked or not isinstance(told, str):
        return None
    newest = max(asked, key=lambda one: version(one) or ())
    if not is_older(told, newest):
        return None
    return Found(FindingKind.OS_OUTDATED, "", {"found": told[:64], "expected": newest})


def _storage(seen: Seen, wanted: Wanted, is_open: AbstractSet[Name]) -> Found | None:
    total, free = seen.facts.get("storage_total_bytes"), seen.storage_free_bytes
    if not isinstance(total, int) or total <= 0 or free is None:
        return None
    # In whole percent, as in the review key of check-ins: so whatever crosses the limit leads to a review.
    percent = 100 * free // total
    found = Found(
        FindingKind.STORAGE_LOW,
        "",
        {"free_bytes": free, "free_percent": percent, "keep_free_percent": wanted.keep_free_percent},
    )
    margin = STORAGE_MARGIN_PERCENT if found.name in is_open else 0
    return found if percent < wanted.keep_free_percent + margin else None


def _clock(seen: Seen) -> Found | None:
    offset = seen.clock_offset_s or 0
    return Found(FindingKind.CLOCK_WRONG, "", {"offset_s": offset}) if abs(offset) > CLOCK_WRONG_S else None
