"""Style sheets and scripts, served under an address with a hash of their content, so that they may be kept for ever.

What comes from others lies in ``static/vendor`` and is put there by ``scripts/setup``. Without it the pages are plain
but work.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flask import Flask, Response, abort, current_app, request, url_for

from fleet.web.blueprint import public, web

_FOLDER = Path(__file__).parent / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_STYLES = "styles/"  # our own sheets, in the order of their names, are served as one
_DIGEST_LENGTH = 12
_YEAR_S = 365 * 24 * 3600


@dataclass
class Asset:
    """One file, as it was when the server started."""

    content: bytes
    kind: str

    @cached_property
    def digest(self) -> str:
        """Part of the SHA-256 of the content, in hex."""
        return hashlib.sha256(self.content).hexdigest()[:_DIGEST_LENGTH]

    @cached_property
    def compressed(self) -> bytes:
        """The content for browsers that unpack it."""
        return gzip.compress(self.content, mtime=0)


def read(folder: Path) -> dict[str, Asset]:
    """Return the files pages use, by their names in ``folder``."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.suffix in _KINDS}
    sheets = [path.read_bytes() for name, path in found.items() if name.startswith(_STYLES)]
    assets = {
        name: Asset(path.read_bytes(), _KINDS[path.suffix])
        for name, path in found.items()
        if not name.startswith(_STYLES)
    }
    return {**assets, "fleet.css": Asset(b"\n".join(sheets), _KINDS[".css"])}


def install(app: Flask) -> None:
    """Read the files once, and give templates ``asset(name)``."""
    assets = read(_FOLDER)
    app.extensions["fleet_assets"] = assets

    def address(name: str) -> str:
        return url_for("web.static_file", digest=assets[name].digest if name in assets else "missing", name=name)

    app.jinja_env.globals["asset"] = address


@web.get("/static/<digest>/<path:name>")
@public
def static_file(digest: str, name: str) -> Response:
    """Serve a file; for ever where the hash is the file's own, else for now (a server of another release was asked)."""
    asset: Asset | None = current_app.extensions["fleet_assets"].get(name)
    if asset is None:
        abort(404)
    packed = request.accept_encodings.quality("gzip") > 0
    response = Response(asset.compressed if packed else asset.content, mimetype=asset.kind)
    if packed:
        response.content_encoding = "gzip"
    response.vary.add("Accept-Encoding")
    response.headers["Cache-Control"] = (
        f"public, max-age={_YEAR_S}, immutable" if asset.digest == digest else "no-cache"
    )
    return response
