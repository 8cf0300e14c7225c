"""Settings as fields of a form, made from the vocabulary, and back: every kind of value has its own way to be typed.

What is typed is kept as it is typed until it is right. Left empty, a setting says nothing; a list that closes all else
may be empty. Secret fields never show what is stored: left empty they keep it. One that was just typed is drawn again
as it was typed, like the others: an editor that lost it in silence would keep the old one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from fleet.web import words, words_profiles
from fleet.web.texts import translated as _
from fleet.web.values import whole
from profiles.key import Key
from profiles.kinds import APP, HOST, TIME, Choice, Flag, Items, Kind, Record, Records, Text, Whole
from profiles.rules import INTERSECTION
from profiles.vocabulary import VOCABULARY

Raw = Any  # a text; a table of texts; or a list of such tables
Faults = dict[str, str]
_SCHEME = re.compile(r"^[a-z]+://", re.IGNORECASE)
_WAS = "was"
_IMAGES = ("wallpaper.image", ".icon")  # fields that name an image
_MOST_TYPED = 100_000


@dataclass(frozen=True, slots=True)
class Control:
    """One field: ``kind`` is radio, select, number, time, text, lines or password.

    ``suggests`` names what the editor knows to suggest: ``apps`` or ``images``.
    """

    id: str
    kind: str
    label: str
    value: str
    hint: str = ""
    fault: str = ""
    options: tuple[tuple[str, str], ...] = ()
    least: int | None = None
    most: int | None = None
    is_optional: bool = False
    suggests: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting in the editor: its words, and one control, or rows of them."""

    key: str
    title: str
    about: str
    platforms: list[str]
    kind: str
    control: Control | None
    rows: list[list[Control]]
    was: list[str]
    fault: str


def typed_of(settings: Mapping[str, Any]) -> dict[str, Raw]:
    """Return settings as they are typed."""
    return {name: _typed(VOCABULARY[name].kind, value) for name, value in settings.items()}


def _typed(kind: Kind, value: Any) -> Raw:
    if isinstance(kind, Flag):
        return "yes" if value else "no"
    if isinstance(kind, Items):
        return "\n".join(value)
    if isinstance(kind, Record):
        shown = {name: _typed(of, value[name]) for name, of in kind.fields.items() if name in value}
        return {name: "" if name in kind.secret else told for name, told in shown.items()}
    if isinstance(kind, Records):
        return [{**_typed(kind.record, one), _WAS: str(one[kind.key])} for one in value]
    return str(value)


def typed_in(form: "MultiDict[str, str]") -> dict[str, Raw]:
    """Return what a form says of the settings that it has."""
    found: dict[str, Raw] = {}
    for name in dict.fromkeys(form.getlist("keys")):
        kind = VOCABULARY[name].kind if name in VOCABULARY else None
        if isinstance(kind, Record):
            found[name] = {sub: form.get(f"{name}.{sub}", "") for sub in kind.fields}
        elif isinstance(kind, Records):
            count = min(whole(form.get(f"{name}-rows")) or 0, kind.most)
            subs = (*kind.record.fields, _WAS)
            found[name] = [{sub: form.get(f"{name}-{row}.{sub}", "") for sub in subs} for row in range(count)]
        elif kind is not None:
            found[name] = form.get(name, "")[:_MOST_TYPED].replace("\r\n", "\n")
    return found


def blank(name: str) -> Raw:
    """Return a setting as it is typed before anything is."""
    kind = VOCABULARY[name].kind
    return {} if isinstance(kind, Record) else [{}] if isinstance(kind, Records) else ""


def read(typed: Mapping[str, Raw], old: Mapping[str, Any]) -> tuple[dict[str, Any], Faults]:
    """Return the settings that were typed, and what is wrong by the field's id.

    Args:
        typed: as it was typed.
        old: what the settings were: secrets that were left empty are taken from there.
    """
    found: dict[str, Any] = {}
    faults: Faults = {}
    for name, raw in typed.items():
        key = VOCABULARY[name]
        if isinstance(key.kind, Records):
            value = _read_rows(key.kind, name, raw, old.get(name, []), faults)
        elif isinstance(key.kind, Record):
            value = _read_record(key.kind, name, raw, faults) if any(map(str.strip, raw.values())) else None
        else:
            value = _read_one(key.kind, name, raw, faults)
            if value == [] and key.rule is not INTERSECTION:
                value = None
        if value is not None:
            found[name] = value
    return found, faults


def _read_one(kind: Kind, field: str, raw: str, faults: Faults) -> Any:
    told = raw.strip()
    if isinstance(kind, Items):
        return _read_items(kind, field, told, faults)
    if not told:
        return None
    given: Any = told
    if isinstance(kind, Flag):
        given = {"yes": True, "no": False}.get(told, told)
    elif isinstance(kind, Whole):
        given = int(told) if re.fullmatch(r"-?[0-9]{1,9}", told) else told
    elif kind is HOST:
        given = _host(told)
    try:
        return kind.normalise(given)
    except ValueError:
        faults[field] = words_profiles.expected(kind)
        return None


def _read_items(kind: Items, field: str, told: str, faults: Faults) -> list[str] | None:
    items = [line.strip() for line in told.splitlines() if line.strip()]
    if kind.item is HOST:
        items = [_host(one) for one in items]
    for one in items:
        try:
            kind.item.normalise(one)
        except ValueError:
            faults[field] = _("“%(found)s”: %(expected)s", found=one[:60], expected=words_profiles.expected(kind.item))
            return None
    try:
        return kind.normalise(items)
    except ValueError:
        faults[field] = _("The list is too long.")
        return None


def _host(told: str) -> str:
    """Return an address as it is kept, of one that was copied from a browser."""
    host, slash, path = _SCHEME.sub("", told).partition("/")
    return host.lower() + (slash + path if path else "")


def _read_record(kind: Record, field: str, raw: Mapping[str, str], faults: Faults) -> dict[str, Any] | None:
    before = len(faults)
    found = {}
    for sub, of in kind.fields.items():
        value = _read_one(of, f"{field}.{sub}", raw.get(sub, ""), faults)
        if isinstance(of, Items) or value is not None:
            found[sub] = value
        elif sub in kind.required and f"{field}.{sub}" not in faults:
            faults[f"{field}.{sub}"] = _("This must be filled in.")
    return found if len(faults) == before else None


def _read_rows(kind: Records, field: str, rows: list[dict[str, str]], old: Any, faults: Faults) -> Any:
    known = {str(one[kind.key]): one for one in old}
    found: dict[Any, dict[str, Any]] = {}
    for number, raw in enumerate(rows):
        texts = [
            raw.get(sub, "").strip() for sub, of in kind.record.fields.items() if not isinstance(of, Choice | Flag)
        ]
        if not any(texts):
            continue
        record = _read_record(kind.record, f"{field}-{number}", raw, faults)
        if record is None:
            continue
        _keep_secrets(kind.record, record, known.get(raw.get(_WAS, "")))
        name = record[kind.key]
        if name in found:
            faults[f"{field}-{number}.{kind.key}"] = _("This stands there twice.")
        found[name] = record
    return [found[name] for name in sorted(found)] or None


def _keep_secrets(kind: Record, record: dict[str, Any], old: Mapping[str, Any] | None) -> None:
    for secret in kind.secret:
        if record.get("security") == "open":
            record.pop(secret, None)
        elif secret not in record and old is not None and secret in old:
            record[secret] = old[secret]


def without_secrets(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without what is secret in them."""
    shown = dict(settings)
    for name, value in settings.items():
        kind = VOCABULARY[name].kind
        if isinstance(kind, Records) and kind.record.secret:
            shown[name] = [{sub: told for sub, told in one.items() if sub not in kind.record.secret} for one in value]
    return shown


def with_secrets(settings: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the secrets that they leave out, where the old ones have them under the same name."""
    filled = dict(settings)
    for name, value in settings.items():
        kind = VOCABULARY[name].kind
        if isinstance(kind, Records) and kind.record.secret:
            known = {one[kind.key]: one for one in old.get(name, [])}
            filled[name] = [dict(one) for one in value]
            for one in filled[name]:
                _keep_secrets(kind.record, one, known.get(one[kind.key]))
    return filled


def setting(name: str, raw: Raw, faults: Faults) -> Setting:
    """Return a setting as the editor shows it."""
    key = VOCABULARY[name]
    kind = key.kind
    rows: list[list[Control]] = []
    was: list[str] = []
    control = None
    if isinstance(kind, Records):
        rows = [_controls(kind.record, f"{name}-{number}", one, faults) for number, one in enumerate(raw)]
        was = [one.get(_WAS, "") for one in raw]
    elif isinstance(kind, Record):
        rows = [_controls(kind, name, raw, faults)]
    else:
        control = _control(kind, name, words.setting(key), raw, faults, key=key)
    told = "records" if isinstance(kind, Records) else "record" if isinstance(kind, Record) else "one"
    title, about = words.setting(key), words_profiles.about(key)
    return Setting(name, title, about, words_profiles.platforms(key), told, control, rows, was, faults.get(name, ""))


def _controls(kind: Record, field: str, raw: Mapping[str, str], faults: Faults) -> list[Control]:
    found = []
    for sub, of in kind.fields.items():
        made = _control(of, f"{field}.{sub}", words_profiles.field(sub), raw.get(sub, ""), faults)
        found.append(_secret(made, raw) if sub in kind.secret else made)
    return found


def _secret(made: Control, raw: Mapping[str, str]) -> Control:
    hint = _("Not shown. Left empty, the one there is stays.") if raw.get(_WAS) else ""
    return Control(made.id, "password", made.label, made.value, hint, made.fault)


def _control(kind: Kind, field: str, label: str, raw: str, faults: Faults, *, key: Key | None = None) -> Control:
    fault = faults.get(field, "")
    if isinstance(kind, Flag):
        yes, no = words_profiles.flag_words(key)
        options = (("yes", yes), ("no", no), ("", _("Not said")))
        return Control(
            field, "radio" if key is not None else "select", label, raw, "", fault, options[:: 1 if key else -1]
        )
    if isinstance(kind, Choice):
        named = tuple((one, words_profiles.word(one)) for one in kind.words)
        return Control(field, "select", label, raw, "", fault, (("", _("Choose")), *named))
    if isinstance(kind, Whole):
        hint = _(
            "%(unit)s, from %(lowest)s to %(highest)s",
            unit=words_profiles.unit(kind).capitalize(), lowest=kind.lowest, highest=kind.highest,
        )  # fmt: skip
        return Control(field, "number", label, raw, hint, fault, (), kind.lowest, kind.highest)
    if isinstance(kind, Items):
        hint = (
            _("One on each line, such as no.school.app.")
            if kind.item is APP
            else _("One on each line, such as nrk.no.")
        )
        if key is not None and key.rule is INTERSECTION:
            hint += " " + _("An empty list allows nothing.")
        return Control(field, "lines", label, raw, hint, fault)
    longest = kind.longest if isinstance(kind, Text) else 255
    suggests = "apps" if kind is APP else "images" if field.endswith(_IMAGES) else ""
    told = "time" if kind is TIME else "text"
    return Control(field, told, label, raw, "", fault, (), None, longest, suggests=suggests)
