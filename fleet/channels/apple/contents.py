"""Payloads for the web, the home screen, one app, the lock screen and printers.

How iPadOS compares addresses with a web list is not how our settings do. It takes an entry for a text that stands
somewhere in the address and leaves out ``www.``. So a host becomes an entry with its scheme, which fits that host only,
and ``*.`` another that begins with a dot. A bare name would fit too much: ``x.com`` stands in ``netflix.com``.

Source: mdm/profiles/com.apple.webcontent-filter.yaml, com.apple.webClip.managed.yaml, com.apple.homescreenlayout.yaml,
com.apple.app.lock.yaml, com.apple.shareddeviceconfiguration.yaml and com.apple.airprint.yaml of Apple's
device-management schema (iOS 18.1); matching:
https://developer.apple.com/documentation/devicemanagement/webcontentfilter
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Settings = Mapping[str, Any]

# An allow list with nothing in it may count as none. Source: RFC 2606, section 2: a name that never exists.
NO_SITE = "https://nothing.invalid"
_PRINTER_PATH = "ipp/print"  # Source: PWG 5100.14 (IPP Everywhere), section 4.2.3


@dataclass(frozen=True, slots=True)
class Piece:
    """A payload without what all payloads have.

    Args:
        type: the PayloadType.
        place: what tells it apart in its profile; the same for the same thing in every version of it.
        body: its own keys.
    """

    type: str
    place: str
    body: Mapping[str, Any]


def place_of(area: str, name: str) -> str:
    """Return the place of one of several payloads: stable for a name, and with the letters of an identifier only."""
    return f"{area}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def web_filter(settings: Settings) -> list[Piece]:
    """Return the built-in web filter where a list or the adult filter is set."""
    body: dict[str, Any] = {}
    if settings.get("web.adult_filter"):
        body["AutoFilterEnabled"] = True
    if settings.get("web.blocked"):
        body["DenyListURLs"] = [entry for host in settings["web.blocked"] for entry in _denied(host)]
    if "web.allowed" in settings:
        pairs = [(entry, host) for host in settings["web.allowed"] for entry in _permitted(host)]
        body["AllowListBookmarks"] = [{"URL": url, "Title": title} for url, title in pairs or [(NO_SITE, "-")]]
    if not body:
        return []
    return [Piece("com.apple.webcontent-filter", "web", {"FilterType": "BuiltIn", **body})]


def _permitted(host: str) -> list[str]:
    name, has_more = host.removeprefix("*."), host.startswith("*.")
    return [f"https://{name}", *([f".{name}"] if has_more else [])]


def _denied(host: str) -> list[str]:
    return [*_permitted(host), f"http://{host.removeprefix('*.')}"]


def web_clips(settings: Settings, images: Mapping[str, bytes]) -> list[Piece]:
    """Return a payload for each shortcut to the web; one that a pupil cannot take away.

    Args:
        settings: effective settings.
        images: PNG images by their name; a shortcut whose icon is not there has a plain one.
    """
    found = []
    for clip in settings.get("web.bookmarks") or ():
        url = clip["url"] if "://" in clip["url"] else f"https://{clip['url']}"
        body = {"Label": clip["title"], "URL": url, "IsRemovable": False}
        icon = images.get(clip.get("icon", ""))
        if icon is not None:
            body |= {"Icon": icon, "Precomposed": True}
        found.append(Piece("com.apple.webClip.managed", place_of("webclip", clip["title"]), body))
    return found


def home_screen(settings: Settings) -> list[Piece]:
    """Return where apps stand; a dock alone is a layout without pages, and no app stands twice."""
    pages: Sequence[Mapping[str, Any]] = settings.get("home_screen.pages") or ()
    dock = settings.get("home_screen.dock")
    if not pages and dock is None:
        return []
    placed: set[str] = set()
    body: dict[str, Any] = {} if dock is None else {"Dock": _icons(dock, placed)}
    body["Pages"] = [_icons(page["apps"], placed) for page in sorted(pages, key=lambda one: one["page"])]
    return [Piece("com.apple.homescreenlayout", "homescreen", body)]


def _icons(apps: Sequence[str], placed: set[str]) -> list[dict[str, str]]:
    """Return the apps that do not stand anywhere yet, and note that they do."""
    new = [app for app in apps if app not in placed]
    placed.update(new)
    return [{"Type": "App", "BundleID": app} for app in new]


def app_lock(settings: Settings) -> list[Piece]:
    """Return the lock to one app."""
    if "kiosk.app" not in settings:
        return []
    return [Piece("com.apple.app.lock", "kiosk", {"App": {"Identifier": settings["kiosk.app"]}})]


def lock_screen(settings: Settings) -> list[Piece]:
    """Return the text of the lock screen."""
    if "lock_screen.message" not in settings:
        return []
    body = {"LockScreenFootnote": settings["lock_screen.message"]}
    return [Piece("com.apple.shareddeviceconfiguration", "lockscreen", body)]


def printers(settings: Settings) -> list[Piece]:
    """Return the printers, all in one payload; an address may name the path of its queue."""
    known = settings.get("printing.printers")
    if not known:
        return []
    items = []
    for printer in known:
        host, _, path = printer["address"].removeprefix("*.").partition("/")
        items.append({"IPAddress": host, "ResourcePath": path or _PRINTER_PATH})
    return [Piece("com.apple.airprint", "printers", {"AirPrint": items})]
