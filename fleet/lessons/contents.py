"""What quick sets give: pure.

A quick set is a kind and a few words of its teacher: apps, web addresses, a text. They are kept as *params*, in the
vocabulary's own form and order, so that the same words give the same params; the settings are made of them whenever a
lesson gives them. An empty list of apps or addresses is a list: nothing of the sort can be used.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from fleet.errors import InvalidError
from fleet.lessons.models import SetKind
from profiles import catalogue
from profiles.kinds import APP, HOST, Text
from profiles.profile import ProfileError, validate
from profiles.vocabulary import VOCABULARY

Params = dict[str, Any]

MAX_TITLE = 80
_TITLE = Text(MAX_TITLE, words="a title")
_MESSAGE = VOCABULARY["lock_screen.message"].kind
_EXAM_PROFILE = "eksamen"

# What each kind wants to be told, and may be told besides; a profile says everything itself.
_WANTED: Mapping[SetKind, frozenset[str]] = MappingProxyType(
    {
        SetKind.PROFILE: frozenset(),
        SetKind.APPS: frozenset({"apps"}),
        SetKind.WEB: frozenset({"hosts"}),
        SetKind.EYES: frozenset(),
        SetKind.EXAM: frozenset({"apps"}),
    }
)
_TAKEN: Mapping[SetKind, frozenset[str]] = MappingProxyType(
    {
        SetKind.PROFILE: frozenset(),
        SetKind.APPS: frozenset({"locked"}),
        SetKind.WEB: frozenset(),
        SetKind.EYES: frozenset({"text"}),
        SetKind.EXAM: frozenset({"hosts", "locked"}),
    }
)


def params(
    kind: SetKind, *, apps: Sequence[str] = (), hosts: Sequence[str] = (), text: str | None = None, locked: bool = False
) -> Params:
    """Return what a teacher's words come to, as it is kept.

    Args:
        kind: of the set; one of a profile has no words.
        apps: ids of apps.
        hosts: web addresses; of one that is pasted from a browser the host counts.
        text: stands on the lock screen meanwhile.
        locked: whether the tablets are locked to the one app.

    Raises:
        InvalidError: something is missing, does not belong to the kind or cannot be understood. Data: ``reason``,
            ``found`` and what was ``expected``.
    """
    told: Params = {
        "apps": sorted({_understood("app", _app, one) for one in apps}),
        "hosts": sorted({_understood("address", _host, one) for one in hosts}),
        "text": _understood("text", _text, text) if text is not None and text.strip() else None,
        "locked": locked,
    }
    told = {name: value for name, value in told.items() if value}
    for name in sorted(_WANTED[kind] - told.keys()):
        raise InvalidError(kind="lesson set", reason="missing", found=kind.value, expected=name)
    for name in sorted(told.keys() - _WANTED[kind] - _TAKEN[kind]):
        raise InvalidError(kind="lesson set", reason="not for this kind", found=name, expected=kind.value)
    if locked and len(told["apps"]) > 1:
        raise InvalidError(kind="lesson set", reason="lock", found=len(told["apps"]), expected="one app")
    try:
        quick_settings(kind, told)
    except ProfileError as error:
        fault = error.faults[0]
        raise InvalidError(kind="lesson set", reason=fault.key, found=None, expected=fault.expected) from None
    return told


def quick_settings(kind: SetKind, told: Params) -> dict[str, Any]:
    """Return the settings that a quick set's params make; none for a profile's.

    Raises:
        ProfileError: the vocabulary does not take them, or no more.
    """
    made: dict[str, Any] = {}
    if kind is SetKind.EXAM:
        made |= _exam_settings()
    if kind in {SetKind.APPS, SetKind.EYES, SetKind.EXAM}:
        made["apps.allowed"] = told.get("apps", [])
    if kind in {SetKind.WEB, SetKind.EYES, SetKind.EXAM}:
        made["web.allowed"] = told.get("hosts", [])
    if told.get("locked"):
        made["kiosk.app"] = told["apps"][0]
    if "text" in told:
        made["lock_screen.message"] = told["text"]
    return validate(made)


def title(kind: SetKind, told: Params) -> str:
    """Return a title for a quick set that was given none: its apps and addresses, or its text."""
    names = [app.rpartition(".")[2] for app in told.get("apps", ())] + told.get("hosts", [])
    words: str = ", ".join(names) or told.get("text") or kind.value
    return words if len(words) <= MAX_TITLE else words[: MAX_TITLE - 1] + "…"


def checked_title(told: str) -> str:
    """Return a title as it is kept.

    Raises:
        InvalidError: it is none.
    """
    return _understood("title", _TITLE.normalise, " ".join(told.split()))


@lru_cache(maxsize=1)
def _exam_settings() -> Mapping[str, Any]:
    """Return the shipped exam profile's settings: what stops help and sharing is told there, and only there."""
    return MappingProxyType(dict(next(one for one in catalogue.load() if one.name == _EXAM_PROFILE).settings))


def _understood(what: str, read: Callable[[str], str], told: str) -> str:
    try:
        return read(told)
    except ValueError as error:
        raise InvalidError(kind="lesson set", reason=what, found=told[:MAX_TITLE], expected=str(error)) from None


def _app(told: str) -> str:
    return str(APP.normalise(told.strip()))


def _text(told: str) -> str:
    return str(_MESSAGE.normalise(" ".join(told.split())))


def _host(told: str) -> str:
    """Return the address that is meant, in the vocabulary's form.

    From ``https://www.nrk.no/super/`` only the host is taken, as pages need what lies beside them; ``udir.no/eksamen``
    without a scheme was typed, so the path is meant. Letters beyond ASCII become what a browser asks for.
    Source: https://www.rfc-editor.org/rfc/rfc3490 section 4 (ToASCII)

    Raises:
        ValueError: it is none; the text says what was expected.
    """
    text = told.strip()
    try:
        host, slash, path = (urlsplit(text).hostname or "", "", "") if "://" in text else text.partition("/")
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError:  # brackets that are no address, labels that are too long
        host = slash = path = ""
    if "." not in host:
        raise ValueError(HOST.expected)
    return str(HOST.normalise(host.lower() + slash + path))
