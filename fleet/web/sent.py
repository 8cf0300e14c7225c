"""Forms that a script sends, and sends again until they arrive: it is told where to go on, and goes there itself.

A script that followed a redirect would load the next page, and with it the notice that is said once. What may arrive
twice has to mean the same twice; each use case that is reached from here says how.
"""

import re
import secrets

from flask import redirect, request
from werkzeug.wrappers import Response

_HEADER = "X-Sent-By"
_REQUEST_ID = re.compile(r"[\w-]{8,40}", re.ASCII)


def new_request_id() -> str:
    """Return a name for the one wish that a form stands for."""
    return secrets.token_urlsafe(12)


def request_id() -> str | None:
    """Return the name that the form was given, None where it has none."""
    told = request.values.get("request_id", "")
    return told if _REQUEST_ID.fullmatch(told) else None


def onwards(address: str) -> Response:
    """Lead on to a page of our own, after a form was taken."""
    if request.headers.get(_HEADER) == "script":
        return Response(status=204, headers={"X-Go-On": address})
    return redirect(address, 303)
