"""What a tablet shall have, as the configuration that the open agent takes. Pure: the same wish gives the same text.

Invariants: what the agent needs always stands there (how it is rung, its admin password, the lists, permissions); what
would lay its restrictions down never does. Only what was opened in force may be installed again (``app_list``).

Not here: bytes and signatures (``wire``), and what a tablet cannot have (:mod:`profiles.unmet`).

Source: class ``ServerConfig`` of the agent 6.36, and ``ConfigUpdater`` for the order in which it does things.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet.android.addresses import AGENT_APP
from fleet.channels.headwind import app_list, chrome, home_screen, restrictions
from fleet.channels.headwind.app_list import Listing
from fleet.channels.headwind.locking import Locks, everything, locks
from fleet.devices.models import DeviceLife
from profiles import android

KEEP_ALIVE_S = 300  # Source: Const.DEFAULT_PUSH_ALARM_KEEPALIVE_TIME_SEC
# Source: ServerConfig.APP_PERMISSIONS_DENY_LOCATION; without a word every app would be given every permission.
PERMISSIONS = "denylocation"
NO_PROXY = "0"  # Source: ConfigUpdater.updatePolicies: clears what was set
_TEXT = 1  # Source: the agent's server: a setting's type, a text
_NUMBER = re.compile(r"[A-Za-z0-9_-]+")

# What stays forbidden on a lost tablet, so that it stays ours.
LOST = (
    *restrictions.ALWAYS,
    "no_add_user",
    "no_config_vpn",
    "no_debugging_features",
    "no_factory_reset",
    "no_install_apps",
    "no_install_unknown_sources",
    "no_modify_accounts",
    "no_uninstall_apps",
)
# The same on one that is out of use or waits: it may be erased, to come in anew.
OUTSIDE = tuple(name for name in LOST if name != "no_factory_reset")

_LOST_TEXT = "Dette nettbrettet tilhører {organisation}. Lever det på nærmeste skole."
_OUT_OF_USE_TEXT = "Dette nettbrettet er tatt ut av bruk. Lever det til {organisation}."
_COMES_BACK_TEXT = "Dette nettbrettet er ikke i bruk ennå. Koble det til nettet, eller lever det til IT-ansvarlig."
_WAITING_TEXT = "{organisation}: Nettbrettet venter på å bli godkjent."


@dataclass(frozen=True, slots=True)
class Package:
    """A package that a tablet may fetch: the one for its processor.

    Args:
        name: what the app is called.
        version: as the package calls itself.
        version_code: by which Android tells newer from older.
        url: where it is.
    """

    name: str
    version: str
    version_code: int
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a tablet shall have.

    Args:
        settings: effective settings.
        profile: SHA-256 that names them; None where the tablet has none.
        packages: of apps that the settings name and of the agent itself, by the apps' ids.
        known: package names that the catalogue has for Android.
        hidden: packages that may be hidden on the tablet now, by what it was given last.
        password: with which its agent's own pages open.
        serial: the tablet's.
        number: what it calls itself.
        new_server_url: where it shall go on asking.
        notice: what stands over everything; None where nothing does.
        wipe: whether it shall erase itself.
        restart: whether it shall start again.
        clears_passcode: whether its passcode shall be taken away.
        image_url: where the image of a name is; None where there is none.
        is_small: whether it is coming in: policies, password and where to go on, nothing more.
        organisation: whose it is.
        names: of apps, where they are known.
    """

    settings: Mapping[str, Any]
    profile: str | None
    packages: Mapping[str, Package]
    known: Collection[str]
    hidden: Collection[str]
    password: str
    serial: str
    number: str
    new_server_url: str | None
    notice: str | None
    wipe: bool
    restart: bool
    clears_passcode: bool
    image_url: Callable[[str], str | None]
    is_small: bool
    organisation: str | None
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A tablet that nobody shall use: lost, out of use, not in yet, or not approved.

    Args:
        life: where it is in its life.
        known: package names that the catalogue has for Android.
        hidden: packages that may be hidden on the tablet now.
        number: what it calls itself.
        serial: the tablet's.
        password: with which its agent's own pages open.
        new_server_url: where it shall go on asking.
        wipe: whether it shall erase itself.
        message: what the screen of a lost one says; None: the usual words.
        phone: and whom to call.
        organisation: whose it is.
    """

    life: DeviceLife
    known: Collection[str]
    hidden: Collection[str]
    number: str
    serial: str
    password: str
    new_server_url: str | None
    wipe: bool
    message: str | None
    phone: str | None
    organisation: str


@dataclass(frozen=True, slots=True)
class Made:
    """A configuration.

    Args:
        data: ready for JSON.
        hidden: packages that are hidden once it is in force.
    """

    data: dict[str, Any]
    hidden: frozenset[str]


def server_config(wish: Wish) -> Made:
    """Return the configuration of a tablet in use."""
    settings = wish.settings
    data = {
        **_always(wish.password, wish.new_server_url),
        **restrictions.policies(settings),
        **home_screen.looks(settings, organisation=wish.organisation, image_url=wish.image_url),
        **_once(wish),
    }
    if wish.is_small:
        return Made(data, frozenset(wish.hidden))
    closed = locks(settings, known=wish.known, hidden=wish.hidden)
    required = [app for app in settings.get("apps.required") or () if app in wish.packages and app not in closed.locked]
    ready = {app: wish.packages[app] for app in required if app not in wish.hidden and android.is_package(app)}
    listing = Listing(
        settings,
        {app: app_list.file(one.version, one.version_code, one.url) for app, one in ready.items()},
        {**{app: one.name for app, one in wish.packages.items()}, **wish.names},
        wish.known,
        closed.locked,
        wish.image_url,
    )
    data |= {
        **_renamed(wish.number, wish.serial),
        "applications": [*app_list.mark(wish.profile, _agent(wish)), *app_list.applications(listing)],
        "applicationSettings": [
            _setting(AGENT_APP, "proxy", android.proxy(settings) or NO_PROXY),
            *_locks(closed),
            _setting(android.CHROME, "managedConfig", chrome.as_text(settings)),
        ],
    }
    return Made(data, closed.locked)


def _agent(wish: Wish) -> dict[str, Any] | None:
    """Return what the agent shall become itself, where the catalogue has it."""
    found = wish.packages.get(AGENT_APP)
    return app_list.file(found.version, found.version_code, found.url) if found is not None else None


def closed_config(closed: Closed) -> Made:
    """Return the configuration of a tablet that nobody shall use.

    One that waits for approval shows that it does, and has no app; what may be hidden stays so. The others have a
    notice over everything, and all that is known is closed.
    """
    is_waiting = closed.life is DeviceLife.PENDING
    forbidden = LOST if closed.life is DeviceLife.LOST else OUTSIDE
    text = _closed_text(closed)
    shut = Locks(frozenset(), frozenset()) if is_waiting else everything(known=closed.known, hidden=closed.hidden)
    data = {
        **_always(closed.password, closed.new_server_url),
        **restrictions.policies({"usb.storage_allowed": False}),
        "restrictions": restrictions.joined(forbidden),
        **home_screen.titled(text if is_waiting else closed.organisation),
        "factoryReset": closed.wipe,
        "reboot": False,
        "lock": not is_waiting,
        "lockMessage": None if is_waiting else text,
        **_renamed(closed.number, closed.serial),
        "applicationSettings": _locks(shut),
    }
    return Made(data, frozenset(closed.hidden) if is_waiting else shut.locked)


def _closed_text(closed: Closed) -> str:
    """Return what the screen of a closed tablet says: in the language of who finds it, not of who reads our pages."""
    usual = {
        DeviceLife.LOST: _LOST_TEXT,
        DeviceLife.RETIRED: _OUT_OF_USE_TEXT,
        DeviceLife.PENDING: _WAITING_TEXT,
    }.get(closed.life, _COMES_BACK_TEXT)
    if closed.life is not DeviceLife.LOST:
        return usual.format(organisation=closed.organisation)
    text = closed.message or usual.format(organisation=closed.organisation)
    return f"{text} Telefon: {closed.phone}" if closed.phone else text


def _always(password: str, new_server_url: str | None) -> dict[str, Any]:
    """Return what every configuration says."""
    return {
        "pushOptions": "polling",
        "keepaliveTime": KEEP_ALIVE_S,
        "password": hashlib.md5(password.encode()).hexdigest().upper(),  # noqa: S324 (the agent compares this)
        "newServerUrl": new_server_url,
        "appPermissions": PERMISSIONS,
        "disableLocation": True,
        "kioskMode": False,
        "showWifi": False,
        "applications": [],
        "files": [],
        "applicationSettings": [],
        "actions": [],
    }


def _once(wish: Wish) -> dict[str, Any]:
    """Return what happens once. A passcode of no letters is none."""
    return {
        "factoryReset": wish.wipe,
        "reboot": wish.restart,
        **({"passwordReset": ""} if wish.clears_passcode else {}),
        "lock": bool(wish.notice),
        "lockMessage": wish.notice or None,
    }


def _renamed(number: str, serial: str) -> dict[str, Any]:
    """Return by what a tablet shall call itself, where it does not yet and can."""
    return {"newNumber": serial} if number != serial and _NUMBER.fullmatch(serial) else {}


def _locks(found: Locks) -> list[dict[str, Any]]:
    lists = {"locked_packages": found.locked, "unlocked_packages": found.unlocked}
    return [_setting(AGENT_APP, name, ",".join(sorted(one))) for name, one in lists.items() if one]


def _setting(package: str, name: str, value: str) -> dict[str, Any]:
    """Return a setting of an app; the app may not write it."""
    return {"packageId": package, "name": name, "type": _TEXT, "value": value, "readOnly": True, "lastUpdate": 0}
