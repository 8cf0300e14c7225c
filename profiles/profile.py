"""A profile as people write it: TOML or JSON in, validated settings out, every fault named.

The schema is built from the vocabulary; nothing here knows a setting by name. All faults of a text are told at once,
each with its key, its line, what was expected and, for an unknown key, the nearest known one.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from marshmallow import RAISE, Schema, ValidationError, fields

from profiles.digest import digest
from profiles.key import Key
from profiles.layering import looser_keys
from profiles.locate import json_lines, line_of, toml_lines
from profiles.vocabulary import VOCABULARY

MAX_BYTES = 256 * 1024
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_NAME, _MAX_TITLE = 64, 120
_HEAD = ("name", "title")
_NOT_OF_A_KEY = re.compile(r"[^\w.\-\"' \t]+")
_MAX_DOTS = 100
_TOML_PLACE = re.compile(r"\(at line (\d+)")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a profile.

    Args:
        key: the setting, or ``name``, ``title``; None where the whole text is meant.
        line: 1-based; None where it cannot be told.
        code: ``unknown-key``, ``bad-value``, ``missing``, ``too-large`` or ``syntax``.
        found: what stands there, shortened; None for secrets and whole texts.
        expected: what should stand there.
        nearest: the nearest known key, for an unknown one.
    """

    key: str | None
    line: int | None
    code: str
    found: str | None
    expected: str
    nearest: str | None = None


class ProfileError(Exception):
    """A text that is not a profile; nothing of it was taken."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.key}: {fault.expected}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Profile:
    """A named set of validated settings."""

    name: str
    title: str
    settings: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The digest of the settings."""
        return digest(dict(self.settings))


class _Setting(fields.Field[Any]):
    """A field that asks the vocabulary's kind."""

    def __init__(self, key: Key) -> None:
        super().__init__(data_key=key.name, metadata={"description": key.title["en"]})
        self._key = key

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        try:
            return self._key.kind.normalise(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


# marshmallow takes a dot in a field's own name for nesting, so fields are called by number and read by name.
_FIELDS = {f"setting_{number}": _Setting(key) for number, key in enumerate(VOCABULARY.values())}
_NAMES = {field: str(setting.data_key) for field, setting in _FIELDS.items()}
SettingsSchema: type[Schema] = Schema.from_dict(dict(_FIELDS), name="SettingsSchema")


def validate(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in their stored form, in canonical order.

    Raises:
        ProfileError: at least one is unknown or not acceptable.
    """
    return _validate(settings, {})


def _validate(settings: Mapping[str, Any], lines: dict[str, int]) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = SettingsSchema(unknown=RAISE).load(dict(settings))
    except ValidationError as error:
        told: Mapping[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
        faults = (_fault(name, settings, messages, lines) for name, messages in told.items())
        raise ProfileError(tuple(sorted(faults, key=lambda fault: (fault.line or 0, fault.key or "")))) from None
    return dict(sorted((_NAMES[field], value) for field, value in loaded.items()))


def _fault(name: str, settings: Mapping[str, Any], messages: Any, lines: dict[str, int]) -> Fault:
    key = VOCABULARY.get(name)
    line = line_of(name, lines)
    if key is None:
        nearest = next(iter(difflib.get_close_matches(name, VOCABULARY, n=1, cutoff=0.5)), None)
        expected = "a setting of the vocabulary" if nearest is None else f"a setting of the vocabulary; {nearest}?"
        return Fault(name, line, "unknown-key", name[:60], expected, nearest)
    found = None if key.secret else repr(settings.get(name))[:60]
    return Fault(name, line, "bad-value", found, str(messages[0]))


def parse(text: str, *, form: Literal["toml", "json"] = "toml") -> Profile:
    """Read a profile.

    Args:
        text: ``name``, ``title`` and the settings: tables by area in TOML, an object ``settings`` in JSON.
        form: which of the two.

    Raises:
        ProfileError: with every fault of the text.
    """
    if len(text.encode()) > MAX_BYTES:
        raise ProfileError((Fault(None, None, "too-large", None, f"at most {MAX_BYTES} bytes"),))
    document = _read_toml(text) if form == "toml" else _read_json(text)
    lines = toml_lines(text) if form == "toml" else json_lines(text)
    faults = _head_faults(document, lines)
    raw = document.get("settings", {}) if form == "json" else {k: v for k, v in document.items() if k not in _HEAD}
    settings: dict[str, Any] = {}
    if isinstance(raw, dict):
        try:
            settings = _validate(_flatten(raw), lines)
        except ProfileError as error:
            faults += error.faults
    else:
        faults.append(Fault("settings", lines.get("settings"), "bad-value", repr(raw)[:60], "an object of settings"))
    if faults:
        raise ProfileError(tuple(faults))
    return Profile(document["name"], document["title"], settings)


def _head_faults(document: Mapping[str, Any], lines: dict[str, int]) -> list[Fault]:
    name, title = document.get("name"), document.get("title")
    faults = []
    if not isinstance(name, str) or len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        expected = f"lower-case letters, digits and hyphens, at most {_MAX_NAME}, such as barneskole"
        faults.append(_head_fault("name", name, lines, expected))
    if not isinstance(title, str) or not 1 <= len(title.strip()) <= _MAX_TITLE or not title.isprintable():
        faults.append(_head_fault("title", title, lines, f"a title of 1 to {_MAX_TITLE} characters"))
    return faults


def _head_fault(key: str, value: Any, lines: dict[str, int], expected: str) -> Fault:
    if value is None:
        return Fault(key, None, "missing", None, expected)
    return Fault(key, lines.get(key), "bad-value", repr(value)[:60], expected)


def _read_toml(text: str) -> dict[str, Any]:
    # The reader's work and memory grow with the square of a dotted key's parts: 100 KB of them took 10 GB.
    for at, row in enumerate(text.splitlines(), 1):
        if any(part.count(".") > _MAX_DOTS for part in _NOT_OF_A_KEY.split(row)):
            raise ProfileError((Fault(None, at, "syntax", None, f"at most {_MAX_DOTS} dots in a key"),))
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ProfileError((Fault(None, None, "syntax", None, "less nesting"),)) from None
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        line = int(place[1]) if place else len(text.splitlines())  # otherwise it is the end of the document
        raise ProfileError((Fault(None, line, "syntax", None, str(error)),)) from None
    except ValueError:  # Python reads no number of more than 4,300 digits
        raise ProfileError((Fault(None, None, "syntax", None, "shorter numbers"),)) from None


def _read_json(text: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("an object has a key twice")
        return found

    try:
        document = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ProfileError((Fault(None, error.lineno, "syntax", None, error.msg),)) from None
    except (ValueError, RecursionError) as error:
        raise ProfileError((Fault(None, None, "syntax", None, str(error)),)) from None
    if not isinstance(document, dict):
        raise ProfileError((Fault(None, 1, "syntax", None, "an object with name, title and settings"),))
    return document


def _flatten(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as dotted names, down to names of the vocabulary (whose values may be tables)."""
    found: dict[str, Any] = {}
    for name, value in tables.items():
        whole = f"{prefix}{name}"
        if isinstance(value, dict) and whole not in VOCABULARY:
            inner = _flatten(value, f"{whole}.")
            found |= inner or {whole: value}
        else:
            found[whole] = value
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that differs between two versions: ``looser``, ``tighter`` or ``changed`` (neither)."""

    key: str
    old: Any
    new: Any
    direction: Literal["looser", "tighter", "changed"]


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return what changes from ``old`` to ``new``, by key."""
    looser, tighter = set(looser_keys(old, new)), set(looser_keys(new, old))
    changes = []
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            both = key in looser and key in tighter
            direction: Literal["looser", "tighter", "changed"] = (
                "changed" if both or key not in looser | tighter else "looser" if key in looser else "tighter"
            )
            changes.append(Change(key, old.get(key), new.get(key), direction))
    return changes


def dump_toml(profile: Profile) -> str:
    """Write a profile so that :func:`parse` reads the same."""
    lines = [f"name = {_toml(profile.name)}", f"title = {_toml(profile.title)}"]
    area = ""
    for key in sorted(profile.settings):
        if key.partition(".")[0] != area:
            area = key.partition(".")[0]
            lines += ["", f"[{area}]"]
        lines.append(f"{key.partition('.')[2]} = {_toml(profile.settings[key])}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    # A TOML basic string takes JSON's escapes. Source: https://toml.io/en/v1.0.0#string
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
