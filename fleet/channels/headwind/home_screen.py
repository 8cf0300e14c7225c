"""What the agent's home screen shows: its looks, and the icons in their order.

The agent shows an icon only for what is listed and installed, so a list that is too short leaves pupils before an empty
screen. Where settings name the only apps, these are shown. Else first what the home screen's settings say, then what
must be installed, shortcuts to the web, and at last whatever the catalogue knows and what tablets have for every day.

Source: class ``ServerConfig`` of the agent 6.36; ``AppShortcutManager``, ``MainActivity.updateTitle``.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.channels.headwind import known_packages
from profiles import android

ImageUrl = Callable[[str], str | None]

BACKGROUND, TEXT = "#1F3A5F", "#FFFFFF"
TITLE, NO_TITLE = "description", "none"
# What the agent puts other things in the place of, even in the midst of a word of our text.
_ITS_WORDS = re.compile("custom1|custom2|custom3|imei|serialNumber|externalIp|deviceId")
_JOINER = "\u2060"  # Unicode: word joiner; nothing to be seen


@dataclass(frozen=True, slots=True)
class Icon:
    """An app that is shown; ``is_bottom``: in the row at the bottom."""

    app: str
    is_bottom: bool = False


def looks(settings: Mapping[str, Any], *, organisation: str | None, image_url: ImageUrl) -> dict[str, Any]:
    """Return the looks.

    Args:
        settings: effective settings.
        organisation: whose tablet it is: stands over the icons where settings have no text.
        image_url: where the image of a name is; None where there is none.
    """
    wallpaper = settings.get("wallpaper.image")
    return {
        **titled(settings.get("lock_screen.message") or organisation),
        "backgroundImageUrl": image_url(wallpaper) if wallpaper is not None else None,
    }


def titled(text: str | None) -> dict[str, Any]:
    """Return the looks with a text over the icons."""
    return {
        "backgroundColor": BACKGROUND,
        "textColor": TEXT,
        "iconSize": 100,
        "orientation": 0,
        "displayStatus": False,
        "runDefaultLauncher": False,
        "title": TITLE if text else NO_TITLE,
        "description": _ITS_WORDS.sub(lambda found: found[0][:2] + _JOINER + found[0][2:], text) if text else None,
    }


def placed(settings: Mapping[str, Any]) -> Iterator[Icon]:
    """Yield what settings put somewhere: the row at the bottom first, for no app stands twice."""
    for app in settings.get("home_screen.dock") or ():
        yield Icon(app, is_bottom=True)
    for page in sorted(settings.get("home_screen.pages") or (), key=lambda one: one["page"]):
        for app in page["apps"]:
            yield Icon(app)
    only = android.only_apps(settings)
    for app in settings.get("apps.required") or () if only is None else sorted(only):
        yield Icon(app)


def others(settings: Mapping[str, Any], known: Collection[str]) -> Iterator[Icon]:
    """Yield what else is shown, after the shortcuts: nothing where settings name the only apps."""
    if android.only_apps(settings) is not None:
        return
    store = [known_packages.PLAY] if settings.get("apps.installation_allowed", True) else []
    for app in (*known_packages.EVERYDAY, *store, *sorted(known)):
        yield Icon(app)


def bookmarks(settings: Mapping[str, Any], image_url: ImageUrl) -> list[dict[str, Any]]:
    """Return the shortcuts to the web; none where no browser is open that they could be read with."""
    if not android.open_browsers(settings):
        return []
    return [_bookmark(one, image_url) for one in settings.get("web.bookmarks") or ()]


def _bookmark(told: Mapping[str, Any], image_url: ImageUrl) -> dict[str, Any]:
    """Return a shortcut. Its package is made up, and its own: the agent breaks at one that is missing."""
    scheme, mark, rest = told["url"].partition("://")
    return {
        "type": "web",
        "name": told["title"],
        "pkg": f"fleet.web.b{hashlib.sha256(told['title'].encode()).hexdigest()[:16]}",
        "version": "0",
        # Android compares schemes letter by letter.
        "url": (f"{scheme.lower()}://{rest}" if mark else f"https://{told['url']}").replace(" ", "%20"),
        "showIcon": True,
        "iconText": told["title"],
        "icon": image_url(told["icon"]) if "icon" in told else None,
        "useKiosk": False,
    }
