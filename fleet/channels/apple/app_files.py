"""What iPads read before they fetch a package of our own: a manifest that says where it is.

Source: other/manifesturl.yaml of Apple's schema.
"""

from collections.abc import Mapping

from fleet.apps.packages import Served
from fleet.channels.apple import plists
from fleet.channels.apple.plists import Writable
from fleet.channels.http import Response

_FOLDER = "apps"


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
