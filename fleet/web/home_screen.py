"""What a tablet's home screen looks like as its effective profile makes it: a drawing in boxes and words.

Pure: from settings, and what apps are called, to what stands where. Which other apps a tablet's maker puts there we do
not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from profiles.vocabulary import VOCABULARY

_NOBODY: Mapping[str, str] = MappingProxyType({})
_SHOWN = 18
_FACE = 2
_CLOSED = ("camera.allowed", "screenshots.allowed", "apps.installation_allowed", "sharing.nearby_allowed")


@dataclass(frozen=True, slots=True)
class App:
    """An app as it is drawn: its name and the first letters of it."""

    name: str
    face: str
    is_link: bool = False


@dataclass(frozen=True, slots=True)
class Home:
    """A home screen.

    Args:
        apps: what stands on it, as many as are drawn.
        more: how many do not fit.
        dock: the row at the bottom.
        kiosk: the one app that the tablet is locked to.
        lock_text: what stands on the lock screen.
        wallpaper: the image's name.
        only_these: whether other apps cannot be opened.
        closed: keys of what is turned off and one would look for.
    """

    apps: Sequence[App] = ()
    more: int = 0
    dock: Sequence[App] = ()
    kiosk: App | None = None
    lock_text: str = ""
    wallpaper: str = ""
    only_these: bool = False
    closed: Sequence[str] = field(default_factory=tuple)


def home(settings: Mapping[str, Any], names: Mapping[str, str] = _NOBODY) -> Home:
    """Return the home screen that settings make.

    Args:
        settings: of the effective profile.
        names: what apps are called by their ids, as far as that is known.
    """
    pages = sorted(settings.get("home_screen.pages") or (), key=lambda page: page["page"])
    told = [app for page in pages for app in page["apps"]]
    dock = list(settings.get("home_screen.dock") or ())
    listed = settings.get("apps.allowed") or settings.get("apps.required") or ()
    allowed, blocked = settings.get("apps.allowed"), set(settings.get("apps.blocked") or ())
    ids = [one for one in dict.fromkeys([*told, *listed]) if one not in blocked and one not in dock]
    if allowed is not None:
        ids = [one for one in ids if one in allowed]
    links = [App(one["title"], _face(one["title"]), is_link=True) for one in settings.get("web.bookmarks") or ()]
    apps = [*(app(one, names) for one in ids), *links]
    kiosk = settings.get("kiosk.app")
    return Home(
        apps=apps[:_SHOWN],
        more=max(0, len(apps) - _SHOWN),
        dock=[app(one, names) for one in dock if one not in blocked],
        kiosk=app(kiosk, names) if kiosk else None,
        lock_text=settings.get("lock_screen.message") or "",
        wallpaper=settings.get("wallpaper.image") or "",
        only_these=allowed is not None,
        closed=[name for name in _CLOSED if settings.get(name, VOCABULARY[name].default) is False],
    )


def app(told: str, names: Mapping[str, str]) -> App:
    """Return an app by its id, such as ``no.school.paint``: one that nobody has named is called by the last part."""
    if told in names:
        return App(names[told], _face(names[told]))
    last = told.rstrip(".").rpartition(".")[2] or told
    name = last.replace("-", " ").replace("_", " ").strip().capitalize() or told
    return App(name, _face(name))


def _face(name: str) -> str:
    words = [word for word in name.split() if word[:1].isalnum()]
    letters = "".join(word[0] for word in words[:_FACE]) if len(words) > 1 else name[:_FACE]
    return letters[:1].upper() + letters[1:].lower()
