"""What a bundle of Android packages (``.xapk``) says of itself: one app in several parts, installed at once.

The package that the others add to says the same of itself as outside, else the bundle is refused. It is unpacked to a
file without a name, capped and never far longer than what is packed.

Source: the bundles themselves: ``manifest.json`` with ``package_name``, ``version_code``, ``name``, ``icon`` and
``split_apks`` (``file``, ``id``), whose parts lie beside it. What installs them takes all ``.apk`` beside it, and of
extra data nothing.
"""

import dataclasses
import io
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet.apps import apk
from fleet.apps.archives import Archive, opened, opened_file
from fleet.apps.facts import MAX_NAME, XAPK, Facts, PackageError, one_line

MANIFEST = "manifest.json"
_MAX_MANIFEST_BYTES = 2**20
MAX_INNER_BYTES = 2 * 2**30
_MAX_PARTS = 1_000
_PART = re.compile(r"[^/]+\.apk")


def read(path: Path) -> Facts:
    """Return what a bundle says of itself.

    Raises:
        PackageError: it is none, or means harm.
        OSError: it cannot be read, or there is no room to look at its package.
    """
    with opened(path) as archive:
        return facts(archive)


def is_one(archive: Archive) -> bool:
    """Whether a zip looks like such a bundle."""
    return bool(archive.matching(_PART)) and any(one.filename == MANIFEST for one in archive.members)


def facts(archive: Archive) -> Facts:
    """Return what an open bundle says of itself.

    Raises:
        PackageError: it is none, or means harm.
        OSError: there is no room to look at its package.
    """
    told = _told(archive)
    app_id, parts = told.get("package_name"), _parts(told)
    base = next((file for file, part in parts.items() if part == "base"), f"{app_id}.apk")
    member = archive.named(base) if _PART.fullmatch(base) else None
    if member is None:
        raise PackageError(reason="manifest")
    with tempfile.TemporaryFile(buffering=0, dir=archive.scratch) as inner:
        archive.copy(member, inner, MAX_INNER_BYTES)
        with opened_file(io.FileIO(inner.fileno(), closefd=False)) as package:
            found = apk.facts(package)
    code = told.get("version_code")
    if app_id != found.app_id or (code is not None and not _is_code(code, int(found.build))):
        raise PackageError(reason="names")
    kinds = found.cpus | apk.cpus(part.removeprefix("config.").replace("_v", "-v") for part in parts.values())
    return dataclasses.replace(
        found,
        kind=XAPK,
        name=found.name if found.name != found.app_id else _name(told) or found.name,
        cpu=apk.only(kinds),
        cpus=kinds,
        icon=found.icon or _icon(archive, told),
    )


def _told(archive: Archive) -> Mapping[str, Any]:
    member = archive.named(MANIFEST)
    if member is None:
        raise PackageError(reason="no-payload")
    try:
        found = json.loads(archive.read(member, _MAX_MANIFEST_BYTES, "manifest"))
    except (ValueError, RecursionError) as error:
        raise PackageError(reason="manifest") from error
    if not isinstance(found, dict) or not isinstance(found.get("package_name"), str):
        raise PackageError(reason="manifest")
    return found


def _parts(told: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the parts by their files."""
    listed = told.get("split_apks", [])
    if not isinstance(listed, list) or len(listed) > _MAX_PARTS:
        raise PackageError(reason="manifest")
    found: dict[str, str] = {}
    for one in listed:
        if not isinstance(one, dict) or not all(isinstance(one.get(key), str) for key in ("file", "id")):
            raise PackageError(reason="manifest")
        found[one["file"]] = one["id"]
    return found


def _is_code(told: object, code: int) -> bool:
    """Whether that is the package's number, or its lower half, as a number or in digits."""
    return str(told) in {str(code), str(code & 0xFFFFFFFF)}


def _name(told: Mapping[str, Any]) -> str:
    try:
        return one_line(told.get("name", ""), "name", MAX_NAME)
    except PackageError:
        return ""


def _icon(archive: Archive, told: Mapping[str, Any]) -> bytes | None:
    name = told.get("icon")
    return apk.icon_of(archive, name) if isinstance(name, str) else None
