"""What brings each setting to an Android tablet; total over the settings that name a source here (a test proves it)."""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from fleet.channels.headwind import restrictions
from profiles.android import AT_SET_UP
from profiles.key import HEADWIND, REPORT, Key
from profiles.vocabulary import VOCABULARY


class Means(enum.StrEnum):
    """What brings a setting."""

    RESTRICTION = "restriction"  # one of Android's own
    POLICY = "policy"  # a field of the configuration that the agent enforces
    APPS = "apps"  # the list of apps, what is closed, and what the home screen shows
    CHROME = "Chrome"  # Chrome's managed configuration
    SET_UP = "set-up"  # the QR code; nothing later changes it
    REPORT = "report"  # nothing: the server judges what the tablet tells


_APPS = frozenset(
    {
        "apps.allowed",
        "apps.blocked",
        "apps.required",
        "home_screen.dock",
        "home_screen.pages",
        "kiosk.app",
        "web.bookmarks",
    }
)


def _means(key: Key) -> Means:
    source = key.sources[HEADWIND]
    if source == REPORT:
        return Means.REPORT
    if key.name in AT_SET_UP:
        return Means.SET_UP
    if key.name in _APPS:
        return Means.APPS
    if key.name in restrictions.FLAGS:
        return Means.RESTRICTION
    return Means.CHROME if source.startswith("Chrome ") else Means.POLICY


CARRIED_BY: Mapping[str, Means] = MappingProxyType(
    {name: _means(key) for name, key in VOCABULARY.items() if HEADWIND in key.sources}
)
