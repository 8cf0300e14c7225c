"""Packages of our own as iPads fetch them: a manifest that says where the package is, and the package.

The word in the addresses is all that one needs to know to fetch them: what installs apps on an iPad shows no
certificate. Source: other/manifesturl.yaml of Apple's schema; RFC 9110 section 14 (ranges), with which a fetch that
broke off goes on.
"""

from collections.abc import Mapping

from fleet.apps.files import PackageFiles
from fleet.apps.packages import Served
from fleet.channels.apple import plists
from fleet.channels.apple.plists import Writable
from fleet.channels.http import FileSlice, Request, Response, UnsatisfiableError, wanted_part

_FOLDER = "apps"
_LASTING = "private, max-age=86400, immutable"  # what a word names never changes


def manifest_url(address: str, token: str) -> str:
    """Return where a package's manifest is: what a command to install an app names.

    Args:
        address: of the channel, as tablets reach it, with a slash at the end.
        token: the package's.
    """
    return f"{address}{_FOLDER}/{token}/manifest.plist"


def manifest(address: str, token: str, package: Served) -> Response:
    """Return the manifest of a package.

    One hash of the whole file is told as one of pieces that are as long as the file.
    """
    asset: Mapping[str, Writable] = {
        "kind": "software-package",
        "url": f"{address}{_FOLDER}/{token}/package.ipa",
        "sha256-size": package.size_bytes,
        "sha256s": [package.digest],
    }
    metadata = {
        "bundle-identifier": package.app_id,
        "bundle-version": package.version,
        "kind": "software",
        "title": package.name,
    }
    body = plists.write({"items": [{"assets": [asset], "metadata": metadata}]})
    return Response(200, {"content-type": "application/xml", "cache-control": "no-cache"}, body)


def content(request: Request, package: Served, files: PackageFiles) -> Response:
    """Return a package, or the part of it that is asked for."""
    etag = f'"{package.digest}"'
    headers = {"accept-ranges": "bytes", "etag": etag, "cache-control": _LASTING, "x-content-type-options": "nosniff"}
    try:
        part = wanted_part(request.headers, package.size_bytes, etag) if request.method == "GET" else None
    except UnsatisfiableError:
        return Response(416, {**headers, "content-range": f"bytes */{package.size_bytes}"})
    headers["content-type"] = "application/octet-stream"
    path = files.path(package.digest)
    if part is None:
        return Response(200, headers, FileSlice(path, 0, package.size_bytes))
    offset, length = part
    headers["content-range"] = f"bytes {offset}-{offset + length - 1}/{package.size_bytes}"
    return Response(206, headers, FileSlice(path, offset, length))
