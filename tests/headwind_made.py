"""Configurations for Android tablets, made and judged: shared by their tests."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fleet.channels.headwind.server_config import Made, Package, Wish, server_config
from tests import headwind_reader as reader

MATHS, READING, PAINT = "no.example.maths", "no.example.reading", "no.example.paint"
PROFILE = "ab" * 32
FIREFOX, SETTINGS, CAMERA = "org.mozilla.firefox", "com.android.settings", "com.sec.android.app.camera"


def package(app: str = MATHS, version: str = "1.2.3", code: int = 123) -> Package:
    """Return a package of an app."""
    return Package("Matte", version, code, f"https://skole.example.no/hw-files/abc/{app}-0123456789abcdef.apk")


def wish(settings: Mapping[str, Any], **other: Any) -> Wish:
    """Return a wish like most."""
    given: dict[str, Any] = {
        "settings": settings,
        "profile": PROFILE,
        "packages": {app: package(app) for app in (MATHS, READING)},
        "known": {MATHS, READING, PAINT},
        "hidden": frozenset(),
        "password": "eple-sau",
        "serial": "R52X",
        "number": "R52X",
        "new_server_url": "https://skole.example.no/hw-tabc",
        "notice": None,
        "wipe": False,
        "restart": False,
        "clears_passcode": False,
        "image_url": lambda name: f"https://skole.example.no/hw-images/{hashlib.sha256(name.encode()).hexdigest()}",
        "is_small": False,
        "organisation": "Fjordvik kommune",
    }
    return Wish(**{**given, **other})


def made(settings: Mapping[str, Any], **other: Any) -> Made:
    """Return a configuration that the strict reader takes, through its bytes."""
    found = server_config(wish(settings, **other))
    judged(found)
    return found


def judged(found: Made) -> None:
    """Have the strict reader take a configuration, through its bytes."""
    body = b'{"status":"OK","message":null,"data":' + json.dumps(found.data).encode() + b"}"
    read = reader.read_configuration(body, {"X-Response-Signature": reader.signature(body)})
    assert read == found.data


def shown(found: Made) -> list[str]:
    """Return the icons, in their order."""
    apps = [app for app in found.data["applications"] if app["showIcon"]]
    return [app["pkg"] for app in sorted(apps, key=lambda one: one["screenOrder"])]


def app_of(found: Made, app: str) -> dict[str, Any]:
    """Return the one entry of an app."""
    (one,) = [one for one in found.data["applications"] if one["pkg"] == app]
    return dict(one)


def locked(found: Made) -> set[str]:
    """Return the packages that are closed."""
    return set(reader.packages_of(found.data, "locked_packages"))


def unlocked(found: Made) -> set[str]:
    """Return the packages that are opened."""
    return set(reader.packages_of(found.data, "unlocked_packages"))


def setting(found: Made, package_id: str, name: str) -> str:
    """Return the value of an app's setting."""
    (one,) = [one for one in found.data["applicationSettings"] if (one["packageId"], one["name"]) == (package_id, name)]
    return str(one["value"])
