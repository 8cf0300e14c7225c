"""What an Android tablet with the open agent can do with settings: knowledge for the channel and for the pages alike.

Invariants: only values and what a tablet tells of itself decide. Not here: how a setting is carried (the channel), and
the reasons that pages word (``unmet``).

Source: class ``Utils`` of the agent 6.36 (``setPasswordMode``, ``setProxy``, ``setTimeZone``, ``setBrightnessPolicy``).
"""

import re
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from profiles.key import HEADWIND
from profiles.vocabulary import VOCABULARY

Settings = Mapping[str, Any]

CHROME = "com.android.chrome"
# Browsers that school tablets often have. Source: names of their packages in the makers' stores and system images.
BROWSERS = frozenset(
    {
        CHROME,
        "com.UCMobile.intl",
        "com.android.browser",
        "com.brave.browser",
        "com.chrome.beta",
        "com.chrome.canary",
        "com.chrome.dev",
        "com.duckduckgo.mobile.android",
        "com.ecosia.android",
        "com.heytap.browser",
        "com.huawei.browser",
        "com.kiwibrowser.browser",
        "com.mi.globalbrowser",
        "com.microsoft.emmx",
        "com.opera.browser",
        "com.opera.browser.beta",
        "com.opera.gx",
        "com.opera.mini.native",
        "com.sec.android.app.sbrowser",
        "com.sec.android.app.sbrowser.beta",
        "com.vivaldi.browser",
        "com.yandex.browser",
        "mark.via.gp",
        "org.chromium.chrome",
        "org.mozilla.fenix",
        "org.mozilla.firefox",
        "org.mozilla.firefox_beta",
        "org.mozilla.focus",
        "org.mozilla.klar",
        "org.torproject.torbrowser",
    }
)
# What a tablet needs to be one: the agent, its settings, what draws the screen, types, telephones, helps and installs.
NEEDED = frozenset(
    {
        "android",
        "com.android.bluetooth",
        "com.android.cellbroadcastreceiver",
        "com.android.certinstaller",
        "com.android.dialer",
        "com.android.documentsui",
        "com.android.emergency",
        "com.android.externalstorage",
        "com.android.inputmethod.latin",
        "com.android.keychain",
        "com.android.packageinstaller",
        "com.android.permissioncontroller",
        "com.android.phone",
        "com.android.printspooler",
        "com.android.providers.contacts",
        "com.android.providers.downloads",
        "com.android.providers.media",
        "com.android.providers.settings",
        "com.android.server.telecom",
        "com.android.settings",
        "com.android.shell",
        "com.android.systemui",
        "com.android.webview",
        "com.google.android.dialer",
        "com.google.android.documentsui",
        "com.google.android.gms",
        "com.google.android.gsf",
        "com.google.android.inputmethod.latin",
        "com.google.android.marvin.talkback",
        "com.google.android.packageinstaller",
        "com.google.android.permissioncontroller",
        "com.google.android.tts",
        "com.google.android.webview",
        "com.hmdm.launcher",
        "com.samsung.android.accessibility.talkback",
        "com.samsung.android.dialer",
        "com.samsung.android.honeyboard",
        "com.samsung.android.incallui",
        "com.sec.android.inputmethod",
        "com.touchtype.swiftkey",
    }
)
# Settings that need a newer Android than the agent does (8): the first that has them.
SINCE: Mapping[str, int] = MappingProxyType(
    {
        "clock.automatic": 9,
        "display.auto_brightness": 9,
        "display.brightness_percent": 9,
        "passcode.auto_lock_minutes": 9,
        "time_zone.name": 9,
    }
)
# What the QR code says when a tablet comes in; nothing later changes it.
AT_SET_UP = frozenset({"wifi.networks"})
# Days for which Android itself lets updates wait, whatever number is asked for.
# Source: SystemUpdatePolicy.createPostponeInstallPolicy
DEFERRAL_DAYS = 30

_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
_OF_IPADS = "com.apple."
_HOST_AND_PORT = re.compile(r"[^:\s]+:([0-9]{1,5})", re.ASCII)
_HIGHEST_PORT = 65_535
_OF_CHROME = "Chrome "
_SHORTEST = 4  # characters, of a code that Android takes at all
# Settings of the web that another browser would go around, so that the ones we know of are closed.
_RULES_OF_THE_WEB = ("web.adult_filter", "web.allowed", "web.blocked", "web.safe_search")


@dataclass(frozen=True, slots=True)
class PasscodeMode:
    """One of the agent's few steps.

    Args:
        word: the agent's.
        length: the shortest passcode it takes.
        quality: what it must contain, as our setting says it.
    """

    word: str
    length: int
    quality: str


PRESENT = PasscodeMode("present", _SHORTEST, "any")
EASY = PasscodeMode("easy", 6, "any")
MODERATE = PasscodeMode("moderate", 8, "letters-and-digits")
STRONG = PasscodeMode("strong", 8, "complex")


def is_package(app_id: str) -> bool:
    """Whether an app's id can be one of an Android app. Source: ``package`` in an app's manifest."""
    return _PACKAGE.fullmatch(app_id) is not None and not app_id.startswith(_OF_IPADS)


def can_be_closed(app_id: str) -> bool:
    """Whether an app of this id can be closed on a tablet: one that the tablet needs cannot."""
    return is_package(app_id) and app_id not in NEEDED


def passcode_mode(settings: Settings) -> PasscodeMode | None:
    """Return the loosest step that is as strict as asked, or else the nearest; None where no passcode is asked."""
    quality = settings.get("passcode.quality", "any")
    length = settings.get("passcode.min_length", 0)
    if not (settings.get("passcode.required") or quality != "any" or length):
        return None
    if quality == "complex":
        return STRONG
    if quality != "any" or length > EASY.length:
        return MODERATE
    return EASY if length > PRESENT.length else PRESENT


def coarse_passcode(settings: Settings) -> set[str]:
    """Return which terms of the passcode a tablet will not have exactly, as there are only a few steps."""
    mode = passcode_mode(settings)
    asked = {"passcode.min_length": mode.length, "passcode.quality": mode.quality} if mode else {}
    return {name for name, has in asked.items() if name in settings and settings[name] != has}


def proxy(settings: Settings) -> str | None:
    """Return the proxy as the agent takes it: a name and a port; None where there is none or it is another form."""
    found = _HOST_AND_PORT.fullmatch(settings.get("proxy.server", ""))
    return found[0] if found and 0 < int(found[1]) <= _HIGHEST_PORT else None


def zone(settings: Settings) -> str | None:
    """Return the time zone where there is one of that name; None else."""
    name = settings.get("time_zone.name")
    return name if name in _zones() else None


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def in_chrome(settings: Settings) -> set[str]:
    """Return which settings ask anything that holds in Chrome only."""
    return {
        name
        for name, value in settings.items()
        if VOCABULARY[name].sources.get(HEADWIND, "").startswith(_OF_CHROME)
        and value not in (VOCABULARY[name].default, "always")
        and (name != "web.blocked" or value)
    }


def has_rules_of_the_web(settings: Settings) -> bool:
    """Whether settings ask of the web what another browser than Chrome would go around."""
    return bool(in_chrome(settings) & {*_RULES_OF_THE_WEB})


def only_apps(settings: Settings) -> frozenset[str] | None:
    """Return the apps beside which all others that we know of are closed; None where there is no such list."""
    if "kiosk.app" in settings:
        return frozenset({settings["kiosk.app"]})
    return frozenset(settings["apps.allowed"]) if "apps.allowed" in settings else None


def can_open(app_id: str, settings: Settings) -> bool:
    """Whether the lists of apps leave an app open."""
    only = only_apps(settings)
    return app_id not in (settings.get("apps.blocked") or ()) and (only is None or app_id in only)


def open_browsers(settings: Settings) -> frozenset[str]:
    """Return the browsers that settings leave open, of those that we know."""
    bound = {CHROME} if has_rules_of_the_web(settings) else BROWSERS
    return frozenset(one for one in bound if can_open(one, settings))


def needed_among(app_ids: Iterable[str]) -> frozenset[str]:
    """Return the apps that a tablet needs, so that they stay open whatever is asked."""
    return NEEDED & set(app_ids)
