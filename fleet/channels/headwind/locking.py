"""Which packages are closed on a tablet: the agent suspends and hides them, and opens only what it is told to.

Invariants: what a tablet needs is never closed; what is not closed is said to be open, whether or not it was closed, as
a package that nobody names stays as it is. Who is closed once was named then, so ``hidden`` names it now.

Source: ``locked_packages`` and ``unlocked_packages`` among the agent's own settings (6.30 and later).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.channels.headwind import known_packages
from profiles import android

_LISTS = ("apps.allowed", "apps.blocked", "apps.required", "home_screen.dock")


@dataclass(frozen=True, slots=True)
class Locks:
    """What is closed and what is open."""

    locked: frozenset[str]
    unlocked: frozenset[str]


def locks(settings: Mapping[str, Any], *, known: Collection[str], hidden: Collection[str]) -> Locks:
    """Return what settings close and open.

    Args:
        settings: effective settings.
        known: packages that are known beside those that settings name.
        hidden: packages that may be hidden on the tablet now.
    """
    every = _closable([*known_packages.ALL, *known, *hidden, *named(settings)])
    only = android.only_apps(settings)
    locked = set(settings.get("apps.blocked") or ())
    if only is not None:
        locked |= every - only
    if settings.get("camera.allowed") is False:
        locked |= known_packages.CAMERAS
    if settings.get("sharing.nearby_allowed") is False:
        locked |= known_packages.SHARING
    if android.has_rules_of_the_web(settings):
        locked |= android.BROWSERS - {android.CHROME}
    locked = _closable(locked)
    return Locks(frozenset(locked), frozenset(every - locked))


def everything(*, known: Collection[str], hidden: Collection[str]) -> Locks:
    """Return the same for a tablet that nobody shall use: all that is known is closed."""
    return Locks(frozenset(_closable([*known_packages.ALL, *known, *hidden])), frozenset())


def named(settings: Mapping[str, Any]) -> set[str]:
    """Return the apps that settings name anywhere."""
    pages = [page["apps"] for page in settings.get("home_screen.pages") or ()]
    kiosk = [settings["kiosk.app"]] if "kiosk.app" in settings else []
    return {app for names in (*(settings.get(name) or () for name in _LISTS), *pages, kiosk) for app in names}


def _closable(app_ids: Iterable[str]) -> set[str]:
    return {app for app in app_ids if android.can_be_closed(app)}
