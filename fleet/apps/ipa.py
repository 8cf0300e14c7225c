"""What an iPad's package (``.ipa``) says of itself, read without trusting it.

Invariants: of the zip only its list and one small file are read, both capped while reading
(:mod:`fleet.apps.archives`); any file gives :class:`Facts` or :class:`PackageError`, nothing else but what reading a
disk can raise.

Source: an ``.ipa`` is a zip whose folder ``Payload`` has one application, ``NAME.app``, with its property list
``Info.plist``: https://developer.apple.com/documentation/bundleresources/information-property-list.
"""

import plistlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet.apps.archives import Archive, opened
from fleet.apps.facts import IPA, MAX_NAME, MAX_VERSION, Facts, PackageError, one_line
from profiles.kinds import APP

MAX_PLIST_BYTES = 2**20
_INFO = re.compile(r"Payload/[^/]+\.app/Info\.plist")
_OS_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,2}")
_TABLET = "iPhoneOS"  # what the platform of iPads calls itself there; a simulator's is another


def read(path: Path) -> Facts:
    """Return what a package says of itself.

    Raises:
        PackageError: it is none, or means harm.
        OSError: it cannot be read.
    """
    with opened(path) as archive:
        return facts(archive)


def is_one(archive: Archive) -> bool:
    """Whether a zip looks like a package for iPads."""
    return bool(archive.matching(_INFO))


def facts(archive: Archive) -> Facts:
    """Return what an open package says of itself.

    Raises:
        PackageError: it is none, or means harm.
    """
    found = archive.matching(_INFO)
    if not found:
        raise PackageError(reason="no-payload")
    if len(found) > 1:
        raise PackageError(reason="several")
    return _facts(_listed(archive.read(found[0], MAX_PLIST_BYTES, "info")))


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
    build = _text(told, "CFBundleVersion", MAX_VERSION)
    version = _text(told, "CFBundleShortVersionString", MAX_VERSION) or build
    if not version:
        raise PackageError(reason="key", key="CFBundleShortVersionString")
    name = _text(told, "CFBundleDisplayName", MAX_NAME) or _text(told, "CFBundleName", MAX_NAME) or app_id[:MAX_NAME]
    oldest = told.get("MinimumOSVersion")
    is_told = isinstance(oldest, str) and _OS_VERSION.fullmatch(oldest) is not None
    return Facts(app_id, name, version, build or version, oldest if is_told else None, IPA)


def _text(told: Mapping[str, Any], key: str, longest: int) -> str:
    """Return a text on one line; empty where there is none.

    Raises:
        PackageError: there is something else, or more than that.
    """
    return one_line(told.get(key, ""), key, longest)
