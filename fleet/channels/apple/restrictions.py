"""The restrictions payload: what pupils may not do on an iPad.

Invariants: a restriction is left out where it is what the iPad does by itself. That is enough to loosen one again, as
a profile is replaced as a whole and iPadOS forgets what the old one said; several profiles' restrictions combine to
the strictest. Nothing here needs more than a supervised iPad.

Source: mdm/profiles/com.apple.applicationaccess.yaml of Apple's device-management schema (iOS 18.1).
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from profiles.key import APPLE
from profiles.kinds import FLAG
from profiles.vocabulary import VOCABULARY

TYPE = "com.apple.applicationaccess"
WEB_CLIPS = "com.apple.webapp"  # stands for all web clips in a list of apps
# An app that is none: whether iPadOS takes an empty list for "nothing" or for "no list" is not written down.
NO_APP = "invalid.no-app"

# Source: ratingApps: the levels of the United States.
_RATINGS: Mapping[str, int] = MappingProxyType({"17+": 600, "12+": 300, "9+": 200, "4+": 100})
# Source: safariAcceptCookies: 2 leaves the choice, 1 stops tracking from site to site, 0 blocks all.
_COOKIES: Mapping[str, float] = MappingProxyType({"always": 2.0, "visited-sites": 1.0, "never": 0.0})
_COOKIES_DEFAULT = 2.0

_RESTRICTION = re.compile(r"(allow|force|safariAllow)[A-Z][A-Za-z]*")
_OF_THE_PASSCODE_POLICY = "forcePIN"

# A setting that is true or false, and the restriction of the same meaning.
FLAGS: Mapping[str, str] = MappingProxyType(
    {
        key.name: source
        for key in VOCABULARY.values()
        if key.kind is FLAG
        and (source := key.sources.get(APPLE)) is not None
        and _RESTRICTION.fullmatch(source)
        and source != _OF_THE_PASSCODE_POLICY
    }
)
KEYS: tuple[str, ...] = (
    *FLAGS,
    "apps.age_rating",
    "apps.allowed",
    "apps.blocked",
    "os_update.deferral_days",
    "web.cookies",
)


def restrictions(settings: Mapping[str, Any], *, has_deferral: bool = True) -> dict[str, Any]:
    """Return the restrictions that settings ask for; empty where the iPad may do all it can.

    Args:
        settings: effective settings.
        has_deferral: whether the deferral of updates is among them; False where a declaration carries it.
    """
    found: dict[str, Any] = {}
    for name, restriction in FLAGS.items():
        if name in settings and settings[name] != by_itself(restriction):
            found[restriction] = settings[name]
    if "apps.age_rating" in settings:
        found["ratingApps"] = _RATINGS[settings["apps.age_rating"]]
    cookies = _COOKIES[settings.get("web.cookies", "always")]
    if cookies != _COOKIES_DEFAULT:
        found["safariAcceptCookies"] = cookies
    found |= _apps(settings)
    days = settings.get("os_update.deferral_days", 0)
    if has_deferral and days:  # the schema's range begins at 1, and without a deferral there is none
        found |= {"forceDelayedSoftwareUpdates": True, "enforcedSoftwareUpdateDelay": days}
    return found


def by_itself(restriction: str) -> bool:
    """Return what an iPad does where no profile speaks of a restriction: it allows, and forces nothing."""
    return not restriction.startswith("force")


def _apps(settings: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    if "apps.allowed" in settings:
        # Without its own id in the list, no shortcut of the profile would be shown.
        clips = [WEB_CLIPS] if settings.get("web.bookmarks") else []
        found["allowListedAppBundleIDs"] = [*settings["apps.allowed"], *clips] or [NO_APP]
    if settings.get("apps.blocked"):
        found["blockedAppBundleIDs"] = list(settings["apps.blocked"])
    return found
