"""Style sheets and scripts, served under an address with a hash of their content, so that they may be kept for ever.

What comes from others lies in ``static/vendor`` and is put there by ``scripts/setup``. Without it the pages are plain
but work.
"""

import hashlib
from pathlib import Path

from flask import Flask, Response, abort, current_app, send_from_directory, url_for

from fleet.web.blueprint import public, web

_FOLDER = Path(__file__).parent / "static"
_SERVED = frozenset({".css", ".js", ".svg"})
_DIGEST_LENGTH = 12
_YEAR_S = 365 * 24 * 3600


class Assets:
    """The files pages use, each with a hash of its content."""

    def __init__(self, folder: Path) -> None:
        self._digests = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:_DIGEST_LENGTH]
            for path in sorted(folder.rglob("*"))
            if path.suffix in _SERVED
        }

    def digest(self, name: str) -> str | None:
        """Return the hash of a file, None where there is no such file."""
        return self._digests.get(name)

    def address(self, name: str) -> str:
        """Return the address of a file."""
        return url_for("web.static_file", digest=self.digest(name) or "missing", name=name)


def install(app: Flask) -> None:
    """Read the files once, and give templates ``asset(name)``."""
    assets = Assets(_FOLDER)
    app.extensions["fleet_assets"] = assets
    app.jinja_env.globals["asset"] = assets.address


@web.get("/static/<digest>/<path:name>")
@public
def static_file(digest: str, name: str) -> Response:
    """Serve a file; for ever where the hash is the file's own, else for now (a server of another release was asked)."""
    assets: Assets = current_app.extensions["fleet_assets"]
    known = assets.digest(name)
    if known is None:
        abort(404)
    response = send_from_directory(_FOLDER, name)
    response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable" if known == digest else "no-cache"
    return response
