"""What an Android package (``.apk``) says of itself, read without trusting it.

Invariants: of the zip its list and a few members are read, each capped while reading (:mod:`fleet.apps.archives`); any
file gives :class:`Facts` or :class:`PackageError`, nothing else but what reading a disk can raise. A name, an icon or a
system that cannot be read refuses no package: tablets install it without.

Source: https://developer.android.com/guide/topics/manifest/manifest-element and -/uses-sdk-element; the numbers of
attributes are those of ``android.R.attr``; ``lib/ABI/`` as https://developer.android.com/ndk/guides/abis has it.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from fleet.apps import apk_signing, axml, icons
from fleet.apps.archives import Archive, opened
from fleet.apps.arsc import Table
from fleet.apps.axml import Attributes
from fleet.apps.chunks import DECIMAL, HEXADECIMAL, REFERENCE, DamagedError, Value
from fleet.apps.facts import APK, MAX_NAME, MAX_VERSION, Facts, PackageError, one_line
from profiles.kinds import APP

MANIFEST = "AndroidManifest.xml"
_MAX_MANIFEST_BYTES = 8 * 2**20
_MAX_TABLE_BYTES = 32 * 2**20
_MAX_ICONS_READ = 8
_LABEL, _ICON, _ROUND_ICON, _TEST_ONLY = 0x01010001, 0x01010002, 0x0101052C, 0x01010272
_MINIMUM, _CODE, _VERSION, _CODE_MAJOR = 0x0101020C, 0x0101021B, 0x0101021C, 0x01010576
_LIBRARY = re.compile(r"lib/([a-z0-9_-]{2,16})/[^/]+")
# "armeabi" is the old name of what every ARM processor runs.
CPUS = {
    "arm64-v8a": "arm64-v8a", "armeabi-v7a": "armeabi-v7a", "armeabi": "armeabi-v7a", "x86": "x86", "x86_64": "x86_64",
    "riscv64": "riscv64",
}  # fmt: skip
# Source: https://developer.android.com/tools/releases/platforms (version names by API level).
_SYSTEMS = {
    21: "5.0", 22: "5.1", 23: "6.0", 24: "7.0", 25: "7.1", 26: "8.0", 27: "8.1", 28: "9", 29: "10", 30: "11", 31: "12",
    32: "12", 33: "13", 34: "14", 35: "15", 36: "16",
}  # fmt: skip
_OLDEST_KNOWN = min(_SYSTEMS)


def read(path: Path) -> Facts:
    """Return what a package says of itself.

    Raises:
        PackageError: it is none, or means harm.
        OSError: it cannot be read.
    """
    with opened(path) as archive:
        return facts(archive)


def is_one(archive: Archive) -> bool:
    """Whether a zip looks like a package for Android."""
    return any(one.filename == MANIFEST for one in archive.members)


def facts(archive: Archive) -> Facts:
    """Return what an open package says of itself.

    Raises:
        PackageError: it is none, or means harm.
    """
    told = _Manifest(archive)
    table = _table(archive)
    app_id = told.app_id()
    code = told.code(table)
    version = _resolved(told.outer.get(_VERSION), table)
    kinds = cpus(one.group(1) for member in archive.members if (one := _LIBRARY.fullmatch(member.filename)))
    return Facts(
        app_id,
        _name(told.application, table) or app_id[:MAX_NAME],
        one_line(version, "versionName", MAX_VERSION) if version else str(code),
        str(code),
        _system(told.system.get(_MINIMUM)),
        APK,
        only(kinds),
        apk_signing.certificate(archive),
        _icon(archive, told.application, table),
        kinds,
    )


def cpus(folders: Iterable[str]) -> frozenset[str]:
    """Return the kinds of processor that a package has code for, by the names of its folders."""
    return frozenset(CPUS[one] for one in folders if one in CPUS)


def only(kinds: frozenset[str]) -> str:
    """Return the one kind of processor that a package is for; empty: any, or several.

    A package for several kinds is taken for one that suits any: it was made for all that its maker thought of.
    """
    return next(iter(kinds)) if len(kinds) == 1 else ""


class _Manifest:
    """The attributes of the elements that count.

    Raises:
        PackageError: they cannot be read.
    """

    def __init__(self, archive: Archive) -> None:
        member = archive.named(MANIFEST)
        if member is None:
            raise PackageError(reason="no-payload")
        content = archive.read(member, _MAX_MANIFEST_BYTES, "manifest")
        try:
            found = axml.read(content, {"manifest": 1, "uses-sdk": 2, "application": 2})
        except DamagedError as error:
            raise PackageError(reason="manifest") from error
        if "manifest" not in found:
            raise PackageError(reason="manifest")
        self.outer: Attributes = found["manifest"]
        self.system, self.application = found.get("uses-sdk", {}), found.get("application", {})
        if isinstance(self.outer.get("split"), str):
            raise PackageError(reason="split")
        test_only = self.application.get(_TEST_ONLY)
        if isinstance(test_only, Value) and test_only.kind != REFERENCE and test_only.data:
            raise PackageError(reason="test-only")

    def app_id(self) -> str:
        """Return the package's name.

        Raises:
            PackageError: it is none that profiles can name.
        """
        try:
            return str(APP.normalise(self.outer.get("package")))
        except ValueError:
            raise PackageError(reason="key", key="package") from None

    def code(self, table: Table | None) -> int:
        """Return the number that grows with each version; its upper half is told apart.

        Raises:
            PackageError: there is none.
        """
        low, high = (
            _number(self.outer.get(_CODE), table),
            _number(self.outer.get(_CODE_MAJOR, Value(DECIMAL, 0)), table),
        )
        if low is None or high is None or high >= 2**31:
            raise PackageError(reason="key", key="versionCode")
        return high << 32 | low


def _table(archive: Archive) -> Table | None:
    """Return the table of resources; None where it is damaged, very large or not there: then names are not resolved."""
    member = archive.named("resources.arsc")
    if member is None or member.file_size > _MAX_TABLE_BYTES:
        return None
    try:
        return Table(archive.read(member, _MAX_TABLE_BYTES, "bomb"))
    except DamagedError:
        return None


def _number(told: Value | str | None, table: Table | None) -> int | None:
    if isinstance(told, Value) and told.kind in {DECIMAL, HEXADECIMAL}:
        return told.data
    text = _resolved(told, table)
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None


def _resolved(told: Value | str | None, table: Table | None) -> str | None:
    """Return a text that stands there, or what a reference to one stands for; None where that cannot be told."""
    if not isinstance(told, Value):
        return told
    if told.kind != REFERENCE or table is None:
        return None
    try:
        return table.text(told.data)
    except DamagedError:
        return None


def _name(application: Attributes, table: Table | None) -> str:
    """Return what the app is called; empty where that cannot be told, or not on one short line."""
    try:
        return one_line(_resolved(application.get(_LABEL), table) or "", "label", MAX_NAME)
    except PackageError:
        return ""


def _system(told: Value | str | None) -> str | None:
    """Return the oldest system that it runs on, as people know it."""
    level = _number(told, None)
    if level is None or level < _OLDEST_KNOWN or level > 9_999:
        return None
    return _SYSTEMS.get(level, f"API {level}")


def _icon(archive: Archive, application: Attributes, table: Table | None) -> bytes | None:
    """Return the largest picture among the app's signs; None where all are drawn by the system, or too large."""
    names: set[str] = set()
    for told in (application.get(_ICON), application.get(_ROUND_ICON)):
        try:
            if isinstance(told, Value) and told.kind == REFERENCE and table is not None:
                names |= table.texts(told.data)
        except DamagedError:
            continue
    found = [
        one
        for one in archive.members
        if one.filename in names and one.filename.endswith(icons.ENDINGS) and 0 < one.file_size <= icons.MAX_BYTES
    ]
    largest = sorted(found, key=lambda one: (one.file_size, one.filename), reverse=True)[:_MAX_ICONS_READ]
    read_ = [content for one in largest if (content := icon_of(archive, one.filename)) is not None]
    return max(read_, key=icons.side, default=None)


def icon_of(archive: Archive, name: str) -> bytes | None:
    """Return a member where it is a picture that can be shown."""
    try:
        member = archive.named(name)
        content = archive.read(member, icons.MAX_BYTES, "bomb") if member is not None else b""
    except PackageError:
        return None
    return content if icons.side(content) else None
