"""Apple's own schema of device management, as a judge of what we send: reads its YAML and names every fault.

Judged are names, types, required keys, ranges, allowed values, formats, and that iPadOS knows a key and has not
deprecated or removed it. What a text says in words only (an address that must begin with https) is not.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

SCHEMA = Path(__file__).parents[1].parent / "shared" / "data" / "apple-schema"
PROFILES, COMMANDS = SCHEMA / "mdm" / "profiles", SCHEMA / "mdm" / "commands"
DECLARATIVE = SCHEMA / "declarative"

needs_schema = pytest.mark.skipif(not SCHEMA.is_dir(), reason="Apple's schema is not here")

Entry = Mapping[str, Any]
_COMMON = ("PayloadIdentifier", "PayloadUUID", "PayloadType", "PayloadVersion", "PayloadDisplayName")
# Source: AccessRights of mdm/profiles/com.apple.mdm.yaml, by the names that commands use.
RIGHTS = {
    "AllowInspection": 1,
    "AllowInstallationRemoval": 2,
    "AllowPasscodeRemovalAndLock": 4,
    "AllowDeviceErase": 8,
    "AllowQueryDeviceInformation": 16,
    "AllowQueryNetworkInformation": 32,
    "AllowQueryApplications": 256,
    "AllowQuerySecurity": 1024,
    "AllowSettings": 2048,
    "AllowAppInstallation": 4096,
}


@cache
def read(path: Path) -> Entry:
    """Return one file of the schema."""
    found: Entry = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (safe)
    return found


@cache
def index(folder: Path, name: str) -> Mapping[str, Path]:
    """Return the files of a folder and those below it by what their payload calls itself."""
    return {
        str(found): path
        for path in sorted(folder.rglob("*.yaml"))
        if (found := read(path).get("payload", {}).get(name)) is not None
    }


def ios(entry: Entry) -> Entry:
    """Return what an entry says of iPadOS, empty where it says nothing of its own."""
    found: Entry = (entry.get("supportedOS") or {}).get("iOS") or {}
    return found


def profile_faults(profile: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a configuration profile and the payloads in it."""
    found = list(_dictionary(profile, read(PROFILES / "TopLevel.yaml")["payloadkeys"], "profile"))
    inside = profile.get("PayloadContent", [])
    for payload in inside:
        found += payload_faults(payload)
    identifiers = [payload.get("PayloadIdentifier") for payload in inside]
    uuids = [payload.get("PayloadUUID") for payload in inside]
    if len(set(identifiers)) < len(inside) or len(set(uuids)) < len(inside):
        found.append("two payloads have one name")
    types = [payload.get("PayloadType") for payload in inside]
    found += [f"{one}: only one of it" for one in set(types) if types.count(one) > 1 and not _schema_of(one)[1]]
    return found


def _schema_of(payload_type: Any) -> tuple[Path | None, bool]:
    """Return the file of a payload type, and whether a tablet takes several of it."""
    path = index(PROFILES, "payloadtype").get(str(payload_type))
    return path, path is not None and bool(ios(read(path)["payload"]).get("multiple"))


def payload_faults(payload: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with one payload of a profile."""
    path, _ = _schema_of(payload.get("PayloadType"))
    if path is None:
        return [f"{payload.get('PayloadType')}: no such payload type"]
    schema = read(path)
    where = str(payload["PayloadType"])
    own = {key: value for key, value in payload.items() if key not in _COMMON}
    common = {key: value for key, value in payload.items() if key in _COMMON}
    return [
        *_support(schema["payload"], where),
        *_dictionary(common, read(PROFILES / "CommonPayloadKeys.yaml")["payloadkeys"], where),
        *_dictionary(own, schema["payloadkeys"], where),
    ]


def since(payload: Mapping[str, Any]) -> int:
    """Return the first iPadOS, by its first number, that knows all keys of a payload."""
    schema = read(index(PROFILES, "payloadtype")[payload["PayloadType"]])
    entries = [schema["payload"], *(entry for entry in schema["payloadkeys"] if entry["key"] in payload)]
    return max(int(str(ios(entry).get("introduced", "0")).partition(".")[0]) for entry in entries)


def is_for_supervised(payload: Mapping[str, Any]) -> bool:
    """Whether a payload, or a key in it, holds on supervised iPads only."""
    schema = read(index(PROFILES, "payloadtype")[payload["PayloadType"]])
    entries = [schema["payload"], *(entry for entry in schema["payloadkeys"] if entry["key"] in payload)]
    return any(ios(entry).get("supervised") is True for entry in entries)


def command_faults(command: Mapping[str, Any], *, rights: int) -> list[str]:
    """Return what is wrong with a command (what stands under ``Command``).

    Args:
        command: with its RequestType.
        rights: the AccessRights of the enrolment.
    """
    path = index(COMMANDS, "requesttype").get(str(command.get("RequestType")))
    if path is None:
        return [f"{command.get('RequestType')}: no such command"]
    schema, where = read(path), str(command["RequestType"])
    right = ios(schema["payload"]).get("accessrights", "None")
    missing = right in RIGHTS and not RIGHTS[right] & rights
    own = {key: value for key, value in command.items() if key != "RequestType"}
    return [
        *([f"{where}: needs {right}"] if missing else []),
        *_support(schema["payload"], where),
        *_dictionary(own, schema.get("payloadkeys") or [], where),
    ]


def answer_faults(request: str, answer: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the answer to a command, without status and names: judges the answers tests make up."""
    schema = read(index(COMMANDS, "requesttype")[request])
    return list(_dictionary(answer, schema.get("responsekeys") or [], f"{request} answer"))


def manifest_faults(manifest: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with what says where a package is."""
    return list(_dictionary(manifest, read(SCHEMA / "other" / "manifesturl.yaml")["payloadkeys"], "manifest"))


def declaration_faults(declaration: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a declaration as JSON gives it."""
    found = list(
        _dictionary(declaration, read(DECLARATIVE / "declarations" / "declarationbase.yaml")["payloadkeys"], "-")
    )
    names = ("Identifier", "ServerToken")
    short = [name for name in names if len(str(declaration.get(name, "")).encode()) not in range(1, 65)]
    found += [f"{name}: 1 to 64 octets" for name in short]  # Source: declarationbase.yaml, in words
    path = index(DECLARATIVE / "declarations", "declarationtype").get(str(declaration.get("Type")))
    if path is None:
        return [*found, f"{declaration.get('Type')}: no such declaration"]
    schema, where = read(path), str(declaration["Type"])
    return [
        *found,
        *_support(schema["payload"], where),
        *_dictionary(declaration["Payload"], schema["payloadkeys"], where),
    ]


def protocol_faults(name: str, document: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a message of declarative management (``declarationitemsresponse`` …)."""
    schema = read(DECLARATIVE / "protocol" / f"{name}.yaml")
    return list(_dictionary(document, schema["payloadkeys"], name))


def status_items() -> frozenset[str]:
    """Return the names of all status items that iPadOS reports."""
    found = index(DECLARATIVE / "status", "statusitemtype")
    return frozenset(name for name, path in found.items() if not list(_support(read(path)["payload"], name)))


def status_faults(item: str, value: Any) -> list[str]:
    """Return what is wrong with the value of one status item."""
    schema = read(index(DECLARATIVE / "status", "statusitemtype")[item])
    return list(_dictionary({item: value}, schema["payloadkeys"], item))


def _support(entry: Entry, where: str) -> Iterator[str]:
    said = ios(entry)
    if said.get("introduced") == "n/a":
        yield f"{where}: not on iPadOS"
    if "removed" in said or "deprecated" in said:
        yield f"{where}: deprecated or removed"


def _dictionary(value: Any, keys: list[Entry], where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where}: not a dictionary"
        return
    known = {str(entry["key"]): entry for entry in keys}
    anything = next((entry for name, entry in known.items() if name.startswith("ANY")), None)
    for name, entry in known.items():
        if entry.get("presence") == "required" and not name.startswith("ANY") and name not in value:
            yield f"{where}.{name}: missing"
    for name, inner in value.items():
        found = known.get(name) or anything
        if found is None:
            yield f"{where}.{name}: no such key"
        else:
            yield from _support(found, f"{where}.{name}")
            yield from _value(inner, found, f"{where}.{name}")


def _value(value: Any, entry: Entry, where: str) -> Iterator[str]:
    kind = str(entry["type"])
    if not _is_of(value, kind):
        yield f"{where}: {type(value).__name__} is no {kind}"
        return
    if "rangelist" in entry and value not in entry["rangelist"]:
        yield f"{where}: {value!r} is not one of {entry['rangelist']}"
    limits = entry.get("range") or {}
    if not limits.get("min", value) <= value <= limits.get("max", value) if limits else False:
        yield f"{where}: {value!r} is not in {limits}"
    if "format" in entry and not re.search(entry["format"], value):
        yield f"{where}: {value!r} has not the form {entry['format']}"
    if kind == "<dictionary>" and "subkeys" in entry:
        yield from _dictionary(value, entry["subkeys"], where)
    if kind == "<array>":
        yield from _array(value, entry, where)


def _array(value: list[Any], entry: Entry, where: str) -> Iterator[str]:
    choices: list[Entry] = entry.get("subkeys") or []
    for place, item in enumerate(value):
        here = f"{where}[{place}]"
        fitting = [choice for choice in choices if not _is_other(choice, item)]
        if choices and not fitting:
            yield f"{here}: no such item"
        for choice in fitting[:1]:
            yield from _support(choice, here)
            yield from _value(item, choice, here)
            if choice["type"] == "<string>" and "subkeys" in choice:  # a list of names, each described as a key
                named = [one for one in choice["subkeys"] if one["key"] == item]
                yield from (fault for one in named for fault in _support(one, here))
                yield from [] if named else [f"{here}: {item!r} is no such name"]
    repeated = next((choice["repetition"] for choice in choices if "repetition" in choice), None)
    if repeated is not None and not repeated.get("min", 0) <= len(value) <= repeated.get("max", len(value)):
        yield f"{where}: {len(value)} items, not {repeated}"


def _is_other(choice: Entry, item: Any) -> bool:
    """Whether an item of an array says by its ``Item`` key that it is another than this choice."""
    marks = [one for one in choice.get("subkeys") or () if one["key"] == "Item" and "rangelist" in one]
    return bool(marks) and isinstance(item, Mapping) and item.get("Item") not in marks[0]["rangelist"]


def _is_of(value: Any, kind: str) -> bool:
    if kind == "<data>":
        return isinstance(value, bytes) or (isinstance(value, str) and _is_base64(value))
    if kind in {"<integer>", "<real>"}:
        numbers = (int,) if kind == "<integer>" else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    types: Mapping[str, type | tuple[type, ...]] = {
        "<string>": str,
        "<boolean>": bool,
        "<dictionary>": Mapping,
        "<array>": list,
        "<date>": datetime,
        "<any>": object,
    }
    return isinstance(value, types[kind])


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    return True
