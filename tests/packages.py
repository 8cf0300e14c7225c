"""Packages for iPads, made for tests: sound ones, and ones that mean harm."""

import plistlib
import zipfile
from pathlib import Path
from typing import Any

INFO: dict[str, Any] = {
    "CFBundleIdentifier": "no.example.vaer",
    "CFBundleDisplayName": "Været",
    "CFBundleShortVersionString": "2.1",
    "CFBundleVersion": "2103",
    "MinimumOSVersion": "16.0",
    "CFBundleSupportedPlatforms": ["iPhoneOS"],
}
APP = "Payload/Vaer.app"


def ipa(path: Path, *, more: dict[str, bytes] | None = None, form: Any = plistlib.FMT_BINARY, **info: Any) -> Path:
    """Make a package; ``info`` replaces what it says of itself, None leaves a key out.

    Args:
        path: where.
        more: files that lie in it too, by name.
        form: of its property list.
        info: keys of the property list, with _ for the prefix ``CFBundle``.
    """
    told = INFO | {(f"CFBundle{key[1:]}" if key.startswith("_") else key): value for key, value in info.items()}
    listed = plistlib.dumps({key: value for key, value in told.items() if value is not None}, fmt=form)
    members = {"Payload/": b"", f"{APP}/Info.plist": listed, f"{APP}/Vaer": b"\xca\xfe" * 500, **(more or {})}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path
