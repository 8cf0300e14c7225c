"""The list of apps in a configuration: what is installed, what is shown, and in which order.

Invariants: every app has a package and a version, for the agent breaks at a missing one; no package stands twice. An
address stands only at an app that shall be installed and is not hidden: a hidden app is none for the agent, which would
fetch and install it again, over and over.

Source: class ``Application`` of the agent 6.36; ``InstallUtils.generateApplicationsForInstallList``.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.android.addresses import AGENT_APP
from fleet.channels.headwind import home_screen
from fleet.channels.headwind.messages import MARK
from profiles import android

ANY_VERSION = "0"
_HIGHEST_CODE = (
    2**31 - 1
)  # Source: PackageInfo.versionCode is an int; so is ``code``, and a longer one breaks the whole


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list is made of.

    Args:
        settings: effective settings.
        files: of apps that may be installed now, what :func:`file` returns.
        names: of apps, where they are known.
        known: packages that the catalogue has.
        locked: packages that are closed.
        image_url: where the image of a name is; None where there is none.
    """

    settings: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]
    names: Mapping[str, str]
    known: Collection[str]
    locked: Collection[str]
    image_url: Callable[[str], str | None]

    def shows(self, app: str) -> bool:
        """Whether an app has an icon: it can be opened, and is none of the tablet's own that no list names."""
        return android.is_package(app) and app not in self.locked and android.can_open(app, self.settings)


def file(version: str, version_code: int, url: str) -> dict[str, Any]:
    """Return how an app says what shall be installed.

    Args:
        version: as the package calls itself.
        version_code: by which Android tells newer from older; the agent compares the lower half of it.
        url: where the package is.
    """
    code = version_code & 0xFFFFFFFF
    # "0" would mean any version, so that no update came.
    named = {"version": version if version.strip() not in {"", ANY_VERSION} else f"{version_code}.0", "url": url}
    return named | ({"code": code} if 0 < code <= _HIGHEST_CODE else {})


def mark(profile: str | None, newest: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the agent itself, whose name says what is in force: the tablet tells it back.

    Args:
        profile: names the effective profile; None where there is none, and then nothing is said.
        newest: what :func:`file` returns of the agent's own package, so that it follows; None where there is none.
    """
    if profile is None:
        return []
    version = newest if newest is not None else {"version": ANY_VERSION}
    return [{"type": "app", "name": f"{MARK}{profile}", "pkg": AGENT_APP, "showIcon": False, **version}]


def applications(made_of: Listing) -> list[dict[str, Any]]:
    """Return the list, without the agent itself."""
    settings = made_of.settings
    first, last = home_screen.placed(settings), home_screen.others(settings, made_of.known)
    shortcuts = home_screen.bookmarks(settings, made_of.image_url)
    seen = {AGENT_APP}
    found = [*_shown(first, made_of, seen), *shortcuts, *_shown(last, made_of, seen)]
    listed = [{**one, "screenOrder": place} for place, one in enumerate(found)]
    hidden = [app for app in settings.get("apps.required") or () if app not in seen and android.is_package(app)]
    return [*listed, *(_app(app, made_of) | {"showIcon": False} for app in hidden)]


def _shown(icons: Any, made_of: Listing, seen: set[str]) -> list[dict[str, Any]]:
    """Return icons as apps, each once, and note them."""
    found = []
    for icon in icons:
        if icon.app not in seen and made_of.shows(icon.app):
            seen.add(icon.app)
            found.append(_app(icon.app, made_of) | {"showIcon": True, "bottom": icon.is_bottom})
    return found


def _app(app: str, made_of: Listing) -> dict[str, Any]:
    kept: Mapping[str, Any] = {"version": ANY_VERSION}
    return {"type": "app", "name": made_of.names.get(app, app), "pkg": app, **made_of.files.get(app, kept)}
