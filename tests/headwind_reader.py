"""A strict reader of our answers to the agent on an Android tablet: takes them as the agent does, and forgives nothing.

The agent ignores what it does not know and reads a missing word as null; this reader calls both a fault, as a word that
is misspelt or forgotten would else pass unseen. Every fault is an AssertionError that names its place.

Source: the classes ``ServerConfig``, ``Application``, ``ApplicationSetting``, ``RemoteFile``, ``Action``,
``PushMessageJson`` and ``RemoteLogConfig`` of the agent 6.36, and how Jackson reads them.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from tests import headwind_kinds as kinds
from tests.headwind_kinds import Check, Entry

SECRET = "changeme-C3z9vi54"
AGENT = "com.hmdm.launcher"

_DATA = '"data":'
_WHITESPACE = re.compile(r"[ \t\n\x0b\f\r]")  # Source: java.util.regex.Pattern: \s without flags
_ENVELOPE = ("status", "message", "data")


# -- answers -------------------------------------------------------------------------------------------------------


def read_configuration(body: bytes, headers: Mapping[str, str], *, secret: str = SECRET) -> Entry:
    """Return the configuration (what stands under ``data``) in an answer, signed as the agent wants it.

    Args:
        body: the answer's bytes.
        headers: its headers; capitals in their names do not count.
        secret: what agent and server share.
    """
    data = _good(body)
    assert isinstance(data, dict), "data: not an object"
    told = {name.lower(): value for name, value in headers.items()}.get("x-response-signature")
    assert told is not None, "X-Response-Signature: missing"
    assert told == signature(body, secret=secret), "X-Response-Signature: not that of these bytes"
    check_configuration(data)
    return data


def signature(body: bytes, *, secret: str = SECRET) -> str:
    """Return the signature that the agent works out for an answer."""
    text = body.decode()
    signed = text[text.index(_DATA) + len(_DATA) : -1]
    return hashlib.sha1((secret + _WHITESPACE.sub("", signed)).encode()).hexdigest().upper()  # noqa: S324 (the agent's)


def read_messages(body: bytes) -> list[Entry]:
    """Return the messages in the answer to a poll, each with its payload read."""
    found = []
    for place, message in kinds.objects(_good(body), "data"):
        kinds.keys(message, place, {"messageType": kinds.word, "payload": kinds.payload}, {"messageType", "payload"})
        payload = message["payload"]
        found.append({**message, "payload": None if payload is None else kinds.as_json(payload, place)})
    return found


def read_log_rules(body: bytes) -> list[Entry]:
    """Return the rules by which the agent chooses what of its log it sends."""
    rules = [rule for _, rule in kinds.objects(_good(body), "data")]
    for place, rule in kinds.objects(rules, "data"):
        names = {"packageId": kinds.package, "logLevel": kinds.whole(1, 5), "filter": kinds.or_null(kinds.text)}
        kinds.keys(rule, place, names, set(names))
    return rules


def read_done(body: bytes) -> None:
    """Take an answer that only says that all is well."""
    assert _good(body) is None, "data: not null"


def read_refusal(body: bytes) -> str:
    """Return the message of a refusal; never the one at which the agent lays its restrictions down."""
    envelope = _envelope(body)
    assert envelope["status"] == "ERROR", "status: not ERROR"
    assert envelope["data"] is None, "data: not null"
    kinds.word(envelope["message"], "message")
    assert envelope["message"] != "error.notfound.device", "message: leaves the tablet without restrictions"
    return str(envelope["message"])


def _good(body: bytes) -> Any:
    envelope = _envelope(body)
    assert envelope["status"] == "OK", "status: not OK"
    assert envelope["message"] is None, "message: not null"
    return envelope["data"]


def _envelope(body: bytes) -> Entry:
    text = body.decode()
    assert text.startswith("{"), "the answer does not begin with {"
    assert text.endswith("}"), "the answer does not end with }"
    envelope = kinds.as_json(text, "the answer")
    assert isinstance(envelope, dict), "the answer: not an object"
    assert tuple(envelope) == _ENVELOPE, f"the answer: {tuple(envelope)}, not {_ENVELOPE}"
    taken = text[text.index(_DATA) + len(_DATA) : -1]
    assert kinds.as_json(taken, "what the agent takes for data") == envelope["data"], (
        "data: the agent takes something else"
    )
    return envelope


# -- the configuration ---------------------------------------------------------------------------------------------

_ALWAYS = {
    "pushOptions",
    "password",
    "appPermissions",
    "applications",
    "files",
    "applicationSettings",
    "actions",
}
_CONFIGURATION: Mapping[str, Check] = {
    # who it is, and where it goes from now on
    "newNumber": kinds.or_null(kinds.like(r"[A-Za-z0-9_-]+")),
    "newServerUrl": kinds.or_null(kinds.like(r"https?://[^\s/]+/[a-z0-9_-]+")),
    # looks
    "backgroundColor": kinds.or_null(kinds.colour),
    "textColor": kinds.or_null(kinds.colour),
    "backgroundImageUrl": kinds.or_null(kinds.url),
    "iconSize": kinds.or_null(kinds.whole(10, 400)),
    "title": kinds.or_null(kinds.word),
    "displayStatus": kinds.flag,
    "orientation": kinds.or_null(kinds.whole(0, 2)),
    "description": kinds.or_null(kinds.text),
    "custom1": kinds.or_null(kinds.text),
    "custom2": kinds.or_null(kinds.text),
    "custom3": kinds.or_null(kinds.text),
    "runDefaultLauncher": kinds.or_null(kinds.flag),
    # radios
    "wifi": kinds.or_null(kinds.flag),
    "bluetooth": kinds.or_null(kinds.flag),
    "gps": kinds.or_null(kinds.flag),
    "mobileData": kinds.or_null(kinds.flag),
    # what holds
    "password": kinds.like(r"[0-9A-F]{32}"),
    "restrictions": kinds.commas,
    "usbStorage": kinds.or_null(kinds.flag),
    "disableScreenshots": kinds.flag,
    "lockVolume": kinds.or_null(kinds.flag),
    "manageVolume": kinds.or_null(kinds.flag),
    "volume": kinds.or_null(kinds.whole(0, 100)),
    "autoBrightness": kinds.or_null(kinds.flag),
    "brightness": kinds.or_null(kinds.whole(0, 255)),
    "manageTimeout": kinds.or_null(kinds.flag),
    "timeout": kinds.or_null(kinds.whole(1)),
    "timeZone": kinds.or_null(kinds.zone),
    "passwordMode": kinds.or_null(kinds.one_of("present", "easy", "moderate", "strong")),
    "systemUpdateType": kinds.or_null(kinds.whole(0, 3)),
    "systemUpdateFrom": kinds.or_null(kinds.time),
    "systemUpdateTo": kinds.or_null(kinds.time),
    "appPermissions": kinds.one_of("asklocation", "denylocation", "askall"),
    "disableLocation": kinds.or_null(kinds.flag),
    "requestUpdates": kinds.or_null(kinds.one_of("gps", "network")),
    "lockSafeSettings": kinds.flag,
    "autostartForeground": kinds.flag,
    # updates of apps, and the push
    "appUpdateFrom": kinds.or_null(kinds.time),
    "appUpdateTo": kinds.or_null(kinds.time),
    "downloadUpdates": kinds.or_null(kinds.one_of("limited", "wifi")),
    "pushOptions": kinds.one_of("polling", "mqttAlarm", "mqttWorker"),
    "keepaliveTime": kinds.or_null(kinds.whole(30)),
    # what happens once
    "factoryReset": kinds.or_null(kinds.flag),
    "reboot": kinds.or_null(kinds.flag),
    "passwordReset": kinds.or_null(kinds.text),
    "lock": kinds.or_null(kinds.flag),
    "lockMessage": kinds.or_null(kinds.text),
    # what the open agent has no such thing for, or what lays its restrictions down
    "kioskMode": kinds.never,
    "showWifi": kinds.never,
    "permissive": kinds.never,
    # lists
    "applications": kinds.a_list,
    "files": kinds.a_list,
    "applicationSettings": kinds.a_list,
    "actions": kinds.a_list,
}
_APPLICATION: Mapping[str, Check] = {
    "type": kinds.one_of("app", "web", "intent"),
    "name": kinds.word,
    "pkg": kinds.package,
    "version": kinds.word,
    "code": kinds.or_null(kinds.whole(0)),
    "url": kinds.or_null(kinds.page),
    "useKiosk": kinds.flag,
    "showIcon": kinds.flag,
    "remove": kinds.flag,
    "runAfterInstall": kinds.flag,
    "runAtBoot": kinds.flag,
    "skipVersion": kinds.flag,
    "iconText": kinds.or_null(kinds.text),
    "icon": kinds.or_null(kinds.url),
    "screenOrder": kinds.or_null(kinds.whole(0)),
    "keyCode": kinds.or_null(kinds.whole(0)),
    "bottom": kinds.flag,
    "longTap": kinds.flag,
    "intent": kinds.or_null(kinds.word),
}
_SETTING: Mapping[str, Check] = {
    "packageId": kinds.package,
    "name": kinds.word,
    "type": kinds.whole(1, 3),
    "value": kinds.text,
    "readOnly": kinds.flag,
    "variable": kinds.flag,
    "lastUpdate": kinds.whole(0, kinds.LONG_MAX),
}
_FILE: Mapping[str, Check] = {
    "path": kinds.like(r"/\S.*"),
    "url": kinds.or_null(kinds.url),
    "lastUpdate": kinds.whole(0, kinds.LONG_MAX),
    "checksum": kinds.or_null(kinds.text),
    "remove": kinds.flag,
    "description": kinds.or_null(kinds.text),
    "varContent": kinds.flag,
}
_ACTION: Mapping[str, Check] = {
    "action": kinds.word,
    "categories": kinds.or_null(kinds.text),
    "packageId": kinds.package,
    "activity": kinds.or_null(kinds.text),
    "schemes": kinds.or_null(kinds.text),
    "hosts": kinds.or_null(kinds.text),
    "mimeTypes": kinds.or_null(kinds.text),
}


def check_configuration(data: Entry) -> None:
    """Judge a configuration, without the envelope it will have."""
    kinds.keys(data, "data", _CONFIGURATION, _ALWAYS)
    for name in ("applications", "applicationSettings", "files", "actions"):
        kinds.objects(data[name], f"data.{name}")
    locked = _settings(data)
    _applications(data, locked)
    for place, file in kinds.objects(data["files"], "data.files"):
        kinds.keys(file, place, _FILE, {"path", "lastUpdate"})
        assert file.get("remove") or file.get("url"), f"{place}: neither an address nor taken away"
    for place, action in kinds.objects(data["actions"], "data.actions"):
        kinds.keys(action, place, _ACTION, {"action", "packageId"})
    if data.get("systemUpdateType") == 2:
        assert data.get("systemUpdateFrom"), "data.systemUpdateFrom: missing for a window"
        assert data.get("systemUpdateTo"), "data.systemUpdateTo: missing for a window"
    pair = (data.get("appUpdateFrom") is None, data.get("appUpdateTo") is None)
    assert pair[0] == pair[1], "data.appUpdateFrom: one of the two is missing"
    if data.get("lock"):
        assert data.get("lockMessage"), "data.lockMessage: missing for a lock"
    for flag, value in {"manageVolume": "volume", "manageTimeout": "timeout"}.items():
        assert not data.get(flag) or data.get(value) is not None, f"data.{value}: missing, {flag} is set"


def packages_of(data: Entry, name: str) -> list[str]:
    """Return the packages in one of the agent's own lists.

    Args:
        data: a configuration.
        name: of the list: ``locked_packages`` or ``unlocked_packages``.
    """
    values = [one["value"] for one in data["applicationSettings"] if (one["packageId"], one["name"]) == (AGENT, name)]
    return [word for value in values for word in value.split(",") if word]


def _settings(data: Entry) -> set[str]:
    seen = set()
    for place, setting in kinds.objects(data["applicationSettings"], "data.applicationSettings"):
        kinds.keys(setting, place, _SETTING, {"packageId", "name", "type", "value", "lastUpdate"})
        pair = (setting["packageId"], setting["name"])
        assert pair not in seen, f"{place}: stands twice: {pair}"
        seen.add(pair)
        if setting["name"] == "managedConfig":
            assert isinstance(kinds.as_json(setting["value"], place), dict), f"{place}.value: holds no object"
        if setting["packageId"] == AGENT and setting["name"].endswith("locked_packages"):
            kinds.commas(setting["value"], f"{place}.value")
    locked, unlocked = (set(packages_of(data, name)) for name in ("locked_packages", "unlocked_packages"))
    assert not locked & unlocked, f"locked and unlocked at once: {sorted(locked & unlocked)}"
    assert AGENT not in locked, "the agent is locked"
    return locked


def _applications(data: Entry, locked: set[str]) -> None:
    listed = kinds.objects(data["applications"], "data.applications")
    for place, app in listed:
        kinds.keys(app, place, _APPLICATION, {"name", "pkg", "version"})
        kind = app.get("type", "app")
        assert kind != "web" or app.get("url"), f"{place}.url: missing for a page"
        assert kind != "intent" or app.get("intent"), f"{place}.intent: missing"
        if kind == "app":
            kinds.or_null(kinds.url)(app.get("url"), f"{place}.url")
            assert not (app["pkg"] in locked and app.get("url")), f"{place}.url: hidden, so it would be installed anew"
    # One package may stand twice only to be taken away in an older form.
    kept = [app["pkg"] for _, app in listed if not app.get("remove")]
    assert len(set(kept)) == len(kept), f"data.applications: a package stands twice: {kept}"
