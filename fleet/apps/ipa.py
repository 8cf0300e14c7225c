"""What an iPad's package (``.ipa``) says of itself, read without trusting it.

Invariants: nothing is unpacked to disk; of the zip only its list and one small file are read, both capped while
reading; any file gives :class:`Facts` or :class:`PackageError`, nothing else but what reading a disk can raise.

Source: an ``.ipa`` is a zip whose folder ``Payload`` has one application, ``NAME.app``, with its property list
``Info.plist``: https://developer.apple.com/documentation/bundleresources/information-property-list.
"""

import io
import plistlib
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.errors import InvalidError
from profiles.kinds import APP

MAX_BYTES = 4 * 2**30
MAX_MEMBERS = 100_000
MAX_DIRECTORY_BYTES = 32 * 2**20
MAX_PLIST_BYTES = 2**20
_MAX_NAME, _MAX_VERSION = 120, 64
_INFO = re.compile(r"Payload/[^/]+\.app/Info\.plist")
_OS_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,2}")
_TABLET = "iPhoneOS"  # what the platform of iPads calls itself there; a simulator's is another
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# All that the zip reader raises over a file with wrong bytes in it.
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, struct.error, OverflowError)


class PackageError(InvalidError):
    """A file that is no package iPads can install. Data: ``reason``, and what that needs.

    ``reason`` is one of: ``size`` (``most``), ``not-a-zip``, ``many`` (``most``), ``path``, ``encrypted``,
    ``no-payload``, ``several``, ``info`` (its property list cannot be read), ``key`` (``key``: what it does not say, or
    not in a sound way), ``platform``.
    """

    code = "app-package"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a package says.

    Args:
        app_id: its bundle id.
        name: as people see it under its sign.
        version: as people know it.
        build: which build of that it is.
        minimum_os: the oldest system that it runs on; None where it does not say.
    """

    app_id: str
    name: str
    version: str
    build: str
    minimum_os: str | None


class _Frugal(io.BufferedReader):
    """A file that is never read in one large piece: the zip reader takes the list of members as long as it says."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return super().read(MAX_DIRECTORY_BYTES)
        if size > MAX_DIRECTORY_BYTES:
            raise PackageError(reason="many", most=MAX_MEMBERS)
        return super().read(size)


def read(path: Path) -> Facts:
    """Return what a package says of itself.

    Raises:
        PackageError: it is none, or means harm.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise PackageError(reason="not-a-zip")
    if path.stat().st_size > MAX_BYTES:
        raise PackageError(reason="size", most=MAX_BYTES)
    with _Frugal(io.FileIO(path)) as file:
        try:
            with zipfile.ZipFile(file) as package:
                content = _inflate(package, _info_of(package.infolist()))
        except _DAMAGED as error:
            raise PackageError(reason="not-a-zip") from error
    return _facts(_listed(content))


def _info_of(members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    """Return the application's property list among a zip's members."""
    if len(members) > MAX_MEMBERS:
        raise PackageError(reason="many", most=MAX_MEMBERS)
    for one in members:
        name = one.orig_filename  # as it stands there: what follows a NUL is cut off from the other
        if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
            raise PackageError(reason="path")
    found = [one for one in members if _INFO.fullmatch(one.filename)]
    if not found:
        raise PackageError(reason="no-payload")
    if len(found) > 1:
        raise PackageError(reason="several")
    info = found[0]
    if info.flag_bits & 0x1:
        raise PackageError(reason="encrypted")
    if stat.S_ISLNK(info.external_attr >> 16) or info.compress_type not in _METHODS:
        raise PackageError(reason="info")
    return info


def _inflate(package: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Unpack the property list, and give up as soon as it is longer than any is."""
    with package.open(info) as member:
        content = member.read(MAX_PLIST_BYTES + 1)
    if len(content) > MAX_PLIST_BYTES:
        raise PackageError(reason="info")
    return content


def _listed(content: bytes) -> Mapping[str, Any]:
    try:
        found = plistlib.loads(content)
    except Exception as error:  # the parser meets hostile bytes with a dozen kinds of error, even AttributeError
        raise PackageError(reason="info") from error
    if not isinstance(found, dict):
        raise PackageError(reason="info")
    return found


def _facts(told: Mapping[str, Any]) -> Facts:
    platforms = told.get("CFBundleSupportedPlatforms")
    if isinstance(platforms, list) and platforms and _TABLET not in platforms:
        raise PackageError(reason="platform")
    try:
        app_id = str(APP.normalise(told.get("CFBundleIdentifier")))
    except ValueError:
        raise PackageError(reason="key", key="CFBundleIdentifier") from None
    build = _text(told, "CFBundleVersion", _MAX_VERSION)
    version = _text(told, "CFBundleShortVersionString", _MAX_VERSION) or build
    if not version:
        raise PackageError(reason="key", key="CFBundleShortVersionString")
    name = _text(told, "CFBundleDisplayName", _MAX_NAME) or _text(told, "CFBundleName", _MAX_NAME) or app_id[:_MAX_NAME]
    oldest = told.get("MinimumOSVersion")
    is_told = isinstance(oldest, str) and _OS_VERSION.fullmatch(oldest) is not None
    return Facts(app_id, name, version, build or version, oldest if is_told else None)


def _text(told: Mapping[str, Any], key: str, longest: int) -> str:
    """Return a text on one line; empty where there is none.

    Raises:
        PackageError: there is something else, or more than that.
    """
    found = told.get(key, "")
    if not isinstance(found, str):
        raise PackageError(reason="key", key=key)
    text = " ".join(found.split())
    if len(text) > longest or not text.isprintable():
        raise PackageError(reason="key", key=key)
    return text
