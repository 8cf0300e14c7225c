"""Stand-in until the translation is merged."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet.devices.models import DeviceLife


@dataclass(frozen=True, slots=True)
class Package:
    name: str
    version: str
    version_code: int
    url: str


@dataclass(frozen=True, slots=True)
class Wish:
    settings: Mapping[str, Any]
    profile: str | None
    packages: Mapping[str, Package]
    known: Collection[str]
    hidden: Collection[str]
    password: str
    serial: str
    number: str
    new_server_url: str
    notice: str | None
    wipe: bool
    restart: bool
    clears_passcode: bool
    image_url: Callable[[str], str | None]
    is_small: bool
    organisation: str


@dataclass(frozen=True, slots=True)
class Closed:
    life: DeviceLife
    known: Collection[str]
    hidden: Collection[str]
    number: str
    serial: str
    password: str
    new_server_url: str
    wipe: bool
    message: str | None
    phone: str | None
    organisation: str


@dataclass(frozen=True, slots=True)
class Made:
    data: dict[str, Any]
    hidden: frozenset[str] = field(default_factory=frozenset)


def _base(password: str, url: str) -> dict[str, Any]:
    return {
        "pushOptions": "polling",
        "password": hashlib.md5(password.encode()).hexdigest().upper(),
        "applications": [],
        "files": [],
        "applicationSettings": [],
        "actions": [],
        "newServerUrl": url,
        "appPermissions": "denylocation",
        "disableLocation": True,
    }


def server_config(wish: Wish) -> Made:
    data = _base(wish.password, wish.new_server_url)
    data["restrictions"] = "no_safe_boot"
    if wish.is_small:
        return Made(data)
    data["applications"] = [
        {
            "type": "app",
            "name": f"fleet:{wish.profile}",
            "pkg": "com.hmdm.launcher",
            "version": "0",
            "showIcon": False,
            "remove": False,
        }
    ]
    chrome: dict[str, Any] = {}
    if "web.allowed" in wish.settings:
        chrome = {"URLBlocklist": ["*"], "URLAllowlist": list(wish.settings["web.allowed"])}
    elif "web.blocked" in wish.settings:
        chrome = {"URLBlocklist": list(wish.settings["web.blocked"])}
    data["applicationSettings"] = [
        {
            "packageId": "com.android.chrome",
            "name": "managedConfig",
            "value": json.dumps(chrome),
            "type": 1,
            "readOnly": False,
            "lastUpdate": 0,
        }
    ]
    data |= {
        "lock": wish.notice is not None,
        "lockMessage": wish.notice,
        "factoryReset": wish.wipe,
        "reboot": wish.restart,
    }
    if wish.clears_passcode:
        data["passwordReset"] = ""
    return Made(data)


def closed_config(closed: Closed) -> Made:
    data = _base(closed.password, closed.new_server_url)
    data |= {
        "restrictions": "no_factory_reset",
        "lock": True,
        "lockMessage": closed.message or "x",
        "factoryReset": closed.wipe,
    }
    return Made(data)
