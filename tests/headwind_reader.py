"""A strict reader of our answers to the agent on an Android tablet: takes them as the agent does, and forgives nothing.

The agent ignores what it does not know and reads a missing word as null; this reader calls both a fault, as a word that
is misspelt or forgotten would else pass unseen. Every fault is an AssertionError that names its place.

Source: the classes ``ServerConfig``, ``Application``, ``ApplicationSetting``, ``RemoteFile``, ``Action``,
``PushMessageJson`` and ``RemoteLogConfig`` of the agent 6.36, and how Jackson reads them.
"""

import hashlib
import json
import re
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any

SECRET = "changeme-C3z9vi54"
AGENT = "com.hmdm.launcher"

Check = Callable[[Any, str], None]
Entry = dict[str, Any]

_DATA = '"data":'
_WHITESPACE = re.compile(r"[ \t\n\x0b\f\r]")  # Source: java.util.regex.Pattern: \s without flags
_ENVELOPE = ("status", "message", "data")
_INT_MAX, _LONG_MAX = 2**31 - 1, 2**63 - 1  # Source: The Java Language Specification, 4.2.1


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
    for place, message in _objects(_good(body), "data"):
        _keys(message, place, {"messageType": _word, "payload": _payload}, {"messageType", "payload"})
        payload = message["payload"]
        found.append({**message, "payload": None if payload is None else _json(payload, place)})
    return found


def read_log_rules(body: bytes) -> list[Entry]:
    """Return the rules by which the agent chooses what of its log it sends."""
    rules = [rule for _, rule in _objects(_good(body), "data")]
    for place, rule in _objects(rules, "data"):
        names = {"packageId": _package, "logLevel": _whole(1, 5), "filter": _or_null(_string)}
        _keys(rule, place, names, set(names))
    return rules


def read_done(body: bytes) -> None:
    """Take an answer that only says that all is well."""
    assert _good(body) is None, "data: not null"


def read_refusal(body: bytes) -> str:
    """Return the message of a refusal; never the one at which the agent lays its restrictions down."""
    envelope = _envelope(body)
    assert envelope["status"] == "ERROR", "status: not ERROR"
    assert envelope["data"] is None, "data: not null"
    _word(envelope["message"], "message")
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
    envelope = _json(text, "the answer")
    assert isinstance(envelope, dict), "the answer: not an object"
    assert tuple(envelope) == _ENVELOPE, f"the answer: {tuple(envelope)}, not {_ENVELOPE}"
    taken = text[text.index(_DATA) + len(_DATA) : -1]
    assert _json(taken, "what the agent takes for data") == envelope["data"], "data: the agent takes something else"
    return envelope


def _json(text: str, place: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> Entry:
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), f"{place}: a name stands twice: {names}"
        return dict(pairs)

    def never(word: str) -> Any:
        message = f"{place}: {word} is no JSON"
        raise AssertionError(message)

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=never)
    except ValueError as fault:
        message = f"{place}: no JSON: {fault}"
        raise AssertionError(message) from fault


def _objects(value: Any, place: str) -> list[tuple[str, Entry]]:
    assert isinstance(value, list), f"{place}: not a list"
    found = []
    for number, one in enumerate(value):
        assert isinstance(one, dict), f"{place}[{number}]: not an object"
        found.append((f"{place}[{number}]", one))
    return found


def _keys(value: Entry, place: str, checks: Mapping[str, Check], required: set[str]) -> None:
    assert not (unknown := value.keys() - checks.keys()), f"{place}: unknown: {sorted(unknown)}"
    assert not (missing := required - value.keys()), f"{place}: missing: {sorted(missing)}"
    for name, one in value.items():
        checks[name](one, f"{place}.{name}")


# -- kinds of values -----------------------------------------------------------------------------------------------


def _string(value: Any, place: str) -> None:
    assert isinstance(value, str), f"{place}: not a string: {value!r}"


def _word(value: Any, place: str) -> None:
    _string(value, place)
    assert value.strip(), f"{place}: empty"


def _flag(value: Any, place: str) -> None:
    assert isinstance(value, bool), f"{place}: not true or false: {value!r}"


def _never(value: Any, place: str) -> None:
    assert value is False, f"{place}: never true"


def _whole(lowest: int, highest: int = _INT_MAX) -> Check:
    def check(value: Any, place: str) -> None:
        assert type(value) is int, f"{place}: not a whole number: {value!r}"
        assert lowest <= value <= highest, f"{place}: {value} is not in {lowest}..{highest}"

    return check


def _one_of(*words: str) -> Check:
    def check(value: Any, place: str) -> None:
        assert isinstance(value, str), f"{place}: not a string: {value!r}"
        assert value in words, f"{place}: {value!r} is none of {words}"

    return check


def _like(pattern: str) -> Check:
    def check(value: Any, place: str) -> None:
        assert isinstance(value, str), f"{place}: not a string: {value!r}"
        assert re.fullmatch(pattern, value), f"{place}: {value!r} is not like {pattern}"

    return check


def _or_null(check: Check) -> Check:
    def either(value: Any, place: str) -> None:
        if value is not None:
            check(value, place)

    return either


def _list(value: Any, place: str) -> None:
    assert isinstance(value, list), f"{place}: not a list: {value!r}"


def _commas(value: Any, place: str) -> None:
    """A list as one string, without spaces, each word once."""
    _like(r"(?:[A-Za-z0-9_.]+(?:,[A-Za-z0-9_.]+)*)?")(value, place)
    words = [word for word in value.split(",") if word]
    assert len(set(words)) == len(words), f"{place}: a word stands twice"


def _zone(value: Any, place: str) -> None:
    _string(value, place)
    assert value == "auto" or value in zoneinfo.available_timezones(), f"{place}: no such zone: {value!r}"


def _payload(value: Any, place: str) -> None:
    if value is not None:
        _string(value, place)
        assert isinstance(_json(value, place), dict), f"{place}: holds no object"


_package = _like(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+")
_time = _like(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_colour = _like(r"#[0-9A-Fa-f]{6}")
_url = _like(r"https?://[^\s/]+(?:/\S*)?")
_page = _like(r"[a-z][a-z0-9+.-]*:\S+")


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
    "newNumber": _or_null(_like(r"[A-Za-z0-9_-]+")),
    "newServerUrl": _or_null(_like(r"https?://[^\s/]+/[a-z0-9_-]+")),
    # looks
    "backgroundColor": _or_null(_colour),
    "textColor": _or_null(_colour),
    "backgroundImageUrl": _or_null(_url),
    "iconSize": _or_null(_whole(10, 400)),
    "title": _or_null(_word),
    "displayStatus": _flag,
    "orientation": _or_null(_whole(0, 2)),
    "description": _or_null(_string),
    "custom1": _or_null(_string),
    "custom2": _or_null(_string),
    "custom3": _or_null(_string),
    "runDefaultLauncher": _or_null(_flag),
    # radios
    "wifi": _or_null(_flag),
    "bluetooth": _or_null(_flag),
    "gps": _or_null(_flag),
    "mobileData": _or_null(_flag),
    # what holds
    "password": _like(r"[0-9A-F]{32}"),
    "restrictions": _commas,
    "usbStorage": _or_null(_flag),
    "disableScreenshots": _flag,
    "lockVolume": _or_null(_flag),
    "manageVolume": _or_null(_flag),
    "volume": _or_null(_whole(0, 100)),
    "autoBrightness": _or_null(_flag),
    "brightness": _or_null(_whole(0, 255)),
    "manageTimeout": _or_null(_flag),
    "timeout": _or_null(_whole(1)),
    "timeZone": _or_null(_zone),
    "passwordMode": _or_null(_one_of("present", "easy", "moderate", "strong")),
    "systemUpdateType": _or_null(_whole(0, 3)),
    "systemUpdateFrom": _or_null(_time),
    "systemUpdateTo": _or_null(_time),
    "appPermissions": _one_of("asklocation", "denylocation", "askall"),
    "disableLocation": _or_null(_flag),
    "requestUpdates": _or_null(_one_of("gps", "network")),
    "lockSafeSettings": _flag,
    "autostartForeground": _flag,
    # updates of apps, and the push
    "appUpdateFrom": _or_null(_time),
    "appUpdateTo": _or_null(_time),
    "downloadUpdates": _or_null(_one_of("limited", "wifi")),
    "pushOptions": _one_of("polling", "mqttAlarm", "mqttWorker"),
    "keepaliveTime": _or_null(_whole(30)),
    # what happens once
    "factoryReset": _or_null(_flag),
    "reboot": _or_null(_flag),
    "passwordReset": _or_null(_string),
    "lock": _or_null(_flag),
    "lockMessage": _or_null(_string),
    # what the open agent has no such thing for, or what lays its restrictions down
    "kioskMode": _never,
    "showWifi": _never,
    "permissive": _never,
    # lists
    "applications": _list,
    "files": _list,
    "applicationSettings": _list,
    "actions": _list,
}
_APPLICATION: Mapping[str, Check] = {
    "type": _one_of("app", "web", "intent"),
    "name": _word,
    "pkg": _package,
    "version": _word,
    "code": _or_null(_whole(0)),
    "url": _or_null(_page),
    "useKiosk": _flag,
    "showIcon": _flag,
    "remove": _flag,
    "runAfterInstall": _flag,
    "runAtBoot": _flag,
    "skipVersion": _flag,
    "iconText": _or_null(_string),
    "icon": _or_null(_url),
    "screenOrder": _or_null(_whole(0)),
    "keyCode": _or_null(_whole(0)),
    "bottom": _flag,
    "longTap": _flag,
    "intent": _or_null(_word),
}
_SETTING: Mapping[str, Check] = {
    "packageId": _package,
    "name": _word,
    "type": _whole(1, 3),
    "value": _string,
    "readOnly": _flag,
    "variable": _flag,
    "lastUpdate": _whole(0, _LONG_MAX),
}
_FILE: Mapping[str, Check] = {
    "path": _like(r"/\S.*"),
    "url": _or_null(_url),
    "lastUpdate": _whole(0, _LONG_MAX),
    "checksum": _or_null(_string),
    "remove": _flag,
    "description": _or_null(_string),
    "varContent": _flag,
}
_ACTION: Mapping[str, Check] = {
    "action": _word,
    "categories": _or_null(_string),
    "packageId": _package,
    "activity": _or_null(_string),
    "schemes": _or_null(_string),
    "hosts": _or_null(_string),
    "mimeTypes": _or_null(_string),
}


def check_configuration(data: Entry) -> None:
    """Judge a configuration, without the envelope it will have."""
    _keys(data, "data", _CONFIGURATION, _ALWAYS)
    for name in ("applications", "applicationSettings", "files", "actions"):
        _objects(data[name], f"data.{name}")
    locked = _settings(data)
    _applications(data, locked)
    for place, file in _objects(data["files"], "data.files"):
        _keys(file, place, _FILE, {"path", "lastUpdate"})
        assert file.get("remove") or file.get("url"), f"{place}: neither an address nor taken away"
    for place, action in _objects(data["actions"], "data.actions"):
        _keys(action, place, _ACTION, {"action", "packageId"})
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
    for place, setting in _objects(data["applicationSettings"], "data.applicationSettings"):
        _keys(setting, place, _SETTING, {"packageId", "name", "type", "value", "lastUpdate"})
        pair = (setting["packageId"], setting["name"])
        assert pair not in seen, f"{place}: stands twice: {pair}"
        seen.add(pair)
        if setting["name"] == "managedConfig":
            assert isinstance(_json(setting["value"], place), dict), f"{place}.value: holds no object"
        if setting["packageId"] == AGENT and setting["name"].endswith("locked_packages"):
            _commas(setting["value"], f"{place}.value")
    locked, unlocked = (set(packages_of(data, name)) for name in ("locked_packages", "unlocked_packages"))
    assert not locked & unlocked, f"locked and unlocked at once: {sorted(locked & unlocked)}"
    assert AGENT not in locked, "the agent is locked"
    return locked


def _applications(data: Entry, locked: set[str]) -> None:
    listed = _objects(data["applications"], "data.applications")
    for place, app in listed:
        _keys(app, place, _APPLICATION, {"name", "pkg", "version"})
        kind = app.get("type", "app")
        assert kind != "web" or app.get("url"), f"{place}.url: missing for a page"
        assert kind != "intent" or app.get("intent"), f"{place}.intent: missing"
        if kind == "app":
            _or_null(_url)(app.get("url"), f"{place}.url")
            assert not (app["pkg"] in locked and app.get("url")), f"{place}.url: hidden, so it would be installed anew"
    # One package may stand twice only to be taken away in an older form.
    kept = [app["pkg"] for _, app in listed if not app.get("remove")]
    assert len(set(kept)) == len(kept), f"data.applications: a package stands twice: {kept}"
