"""Two verdicts on one request: our verifier's, and that of a library that others wrote."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import http_message_signatures as hms
from cryptography.hazmat.primitives.asymmetric import ec

from agent_protocol import signing
from agent_protocol.errors import ProtocolError

COMPONENTS = ("@method", "@authority", "@path", "@query")


@dataclass(frozen=True)
class Asked:
    """A request as the server sees it.

    Args:
        method: its method.
        authority: the server's own.
        path: its path.
        query: without the question mark.
        headers: as sent.
        body: None where there is none.
    """

    method: str
    authority: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes | None

    @staticmethod
    def of(example: Any) -> "Asked":
        """Return the request of a recorded example."""
        request = example.request
        return Asked(request.method, "fleet.test", example.path, example.query, request.headers, request.body)


class _OneKey(hms.HTTPSignatureKeyResolver):
    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    def resolve_public_key(self, key_id: str) -> Any:
        return self._key.public_key() if key_id == signing.thumbprint(self._key.public_key()) else None

    def resolve_private_key(self, key_id: str) -> Any:  # noqa: ARG002 (the library calls it so)
        return self._key


class _Message:
    def __init__(self, asked: Asked) -> None:
        query = f"?{asked.query}" if asked.query else ""
        self.method, self.url = asked.method, f"https://{asked.authority}{asked.path}{query}"
        self.headers = {name: value for name, value in asked.headers.items() if name.lower() != "host"}
        self.headers["Host"] = asked.authority


class _AnyTime(hms.HTTPMessageVerifier):
    def validate_created_and_expires(self, *_given: Any, **_named: Any) -> None:
        """Take any time: our window is tested where it is ours."""


def ours(asked: Asked, key: ec.EllipticCurvePrivateKey) -> bool:
    """Whether our verifier accepts, whatever the time."""
    try:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        request = signing.parse_request(headers, has_body=asked.body is not None)
        if request.keyid != signing.thumbprint(key.public_key()):
            return False
        signing.verify_request(
            request,
            key.public_key(),
            method=asked.method,
            authority=asked.authority,
            path=asked.path,
            query=asked.query,
            body=asked.body,
            now=request.created,
        )
    except ProtocolError:
        return False
    return True


def theirs(asked: Asked, key: ec.EllipticCurvePrivateKey) -> bool:
    """Whether the library accepts, asked for our tag, our components and the body's digest."""
    verifier = _AnyTime(signature_algorithm=hms.algorithms.ECDSA_P256_SHA256, key_resolver=_OneKey(key))
    needed = COMPONENTS if asked.body is None else (*COMPONENTS, "content-digest")
    try:
        verifier.verify(
            _Message(asked), max_age=None, expect_tag=signing.TAG, require_components=needed, body=asked.body
        )
    except hms.exceptions.HTTPMessageSignaturesException:
        return False
    return True
