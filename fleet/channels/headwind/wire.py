"""How answers to the agent are written, byte by byte.

Invariants: ``data`` is the last member and nothing follows the document, as the agent that checks signatures takes the
text between; what is signed is exactly what is sent.

Source: hmdm-android, ServerServiceKeeper and SignatureInterceptor; the secret is public, so a signature is a checksum.
"""

import hashlib
import re
from typing import Any

import msgspec

from fleet.channels.http import Response

# What open builds of the agent, and of its own server, have in them.
SHARED_SECRET = "changeme-C3z9vi54"  # noqa: S105 (public: it guards nothing)
_JSON = "application/json"
_SPACE = re.compile(r"[ \t\n\x0b\f\r]")  # what Java's \s is
NEVER_KEPT = {"cache-control": "no-store"}


def ok(data: Any = None) -> Response:
    """Return what the agent takes for success; ``data`` is None where it reads none."""
    return written(msgspec.json.encode(data))


def written(data: bytes) -> Response:
    """Return the same, of data that is JSON already."""
    text = _SPACE.sub("", data.decode())
    signature = hashlib.sha1((SHARED_SECRET + text).encode()).hexdigest().upper()  # noqa: S324 (a checksum)
    headers = {"content-type": _JSON, "x-response-signature": signature, **NEVER_KEPT}
    return Response(200, headers, b'{"status":"OK","message":null,"data":' + data + b"}")


def refused(status: int, message: str) -> Response:
    """Return a refusal: for the agent like an error of the network, so it keeps what it has.

    Args:
        status: 400 or more. With 200 and the wrong word a tablet would be left without its restrictions.
        message: a word for who looks into the tablet's log.
    """
    body = msgspec.json.encode({"status": "ERROR", "message": message, "data": None})
    return Response(status, {"content-type": _JSON, **NEVER_KEPT}, body)
