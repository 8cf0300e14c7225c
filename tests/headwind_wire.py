"""What the open Android agent computes and how it reads an answer: signatures, and a reader as forgiving as its own.

Our answers have to please a strict reader (:mod:`tests.headwind_reader`); this one refuses only what the agent does.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

SECRET = "changeme-C3z9vi54"  # what the agent is built with where nobody says otherwise; so it is public
_DATA = b'"data":'
_SPACE = re.compile(r"[ \t\n\x0b\f\r]")  # Source: java.util.regex.Pattern: \s without flags

_BOOLEANS = {
    "wifi", "bluetooth", "gps", "mobileData", "usbStorage", "disableScreenshots", "lockVolume", "manageVolume",
    "autoBrightness", "manageTimeout", "factoryReset", "reboot", "lock", "disableLocation", "runDefaultLauncher",
    "displayStatus", "showWifi", "kioskMode", "permissive", "lockStatusBar", "autostartForeground",
    "showIcon", "remove", "runAfterInstall", "runAtBoot", "skipVersion", "bottom", "longTap", "useKiosk",
    "varContent", "readOnly", "variable",
}  # fmt: skip
_INTEGERS = {
    "iconSize", "orientation", "volume", "brightness", "timeout", "systemUpdateType", "keepaliveTime",
    "code", "screenOrder", "keyCode", "lastUpdate", "type_", "logLevel", "timestamp",
}  # fmt: skip
_LISTS = {"applications", "files", "applicationSettings", "actions"}
_PRIMITIVE = {"showIcon", "remove", "skipVersion", "runAfterInstall", "runAtBoot", "varContent", "lock", "showWifi"}


class GarbledError(Exception):
    """The agent cannot read the answer, and has nothing of it."""


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().upper()


def config_signature(number: str) -> str:
    """Return what stands in ``X-Request-Signature`` where a configuration is asked for."""
    return _sha1(SECRET + number)


def polling_signature(project: str, number: str) -> str:
    """Return what stands there in a long poll."""
    return _sha1(f"{SECRET}{project}/rest/notification/polling/{quote_plus(number)}")


def file_signature(url: str) -> str | None:
    """Return what stands there in a download; None: the header is left out."""
    _, found, rest = url.partition("/files/")
    return _sha1(SECRET + rest) if found else None


def path_part(text: str) -> str:
    """Return a text as the agent writes it into an address."""
    return quote(text, safe="+")


def split_url(url: str) -> tuple[str, str]:
    """Return the base and the project in an address of a server.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path.strip("/")


def target_of(url: str) -> str:
    """Return the path in an absolute address."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def is_signed(body: bytes, signature: str | None) -> bool:
    """Say whether an answer is signed as agents want it that check it: the text of its data, up to the last brace."""
    place = body.find(_DATA)
    if signature is None or place < 0:
        return False
    data = body[place + len(_DATA) : -1].decode()
    return _sha1(SECRET + _SPACE.sub("", data)) == signature.upper()


def envelope(body: bytes) -> dict[str, Any]:
    """Read an answer's outer form.

    Raises:
        GarbledError: it has another.
    """
    try:
        found = json.loads(body)
    except ValueError as error:
        raise GarbledError from error
    if not isinstance(found, dict):
        raise GarbledError(body)
    return found


def configuration(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read a configuration as the agent's library does: what it cannot turn into a field's type refuses the whole.

    Raises:
        GarbledError: a word stands where a number should, or a list where a text should.
    """
    found = {name: value if name in _LISTS else _field(name, value) for name, value in data.items()}
    for name in _LISTS:
        found[name] = _entries(name, data.get(name))
    return found


def _entries(name: str, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise GarbledError(name)
    typed = {"type": "type_"} if name == "applicationSettings" else {}  # a number there, a word in applications
    return [{key: _field(typed.get(key, key), told) for key, told in one.items()} for one in value]


def _field(name: str, value: object) -> Any:
    if value is None:
        return False if name in _PRIMITIVE else None
    kinds: list[tuple[set[str], Callable[[object], Any]]] = [(_BOOLEANS, _boolean), (_INTEGERS, _integer)]
    for names, turn in kinds:
        if name in names:
            return turn(value)
    if isinstance(value, (list, dict)):
        raise GarbledError(name)
    return json.dumps(value) if isinstance(value, (bool, int, float)) else value


def _boolean(value: object) -> bool:
    if isinstance(value, (bool, int)):
        return bool(value)
    if value in {"true", "false", "True", "False"}:
        return str(value).lower() == "true"
    raise GarbledError(value)


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise GarbledError(value)
    try:
        return int(value)
    except ValueError as error:
        raise GarbledError(value) from error
