"""Signed requests: RFC 9421 in one fixed form, P-256 keys, RFC 9530 digests.

Invariants: exactly one list of components in one order and one set of parameters is accepted, anything else is a bad
signature; key and algorithm come from the caller's registry, never from the message; the authority that was signed
is compared with the one the server was told it has. Not here: who owns a key, and whether a sequence was used.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import Struct

from agent_protocol.errors import Code, MalformedError, ProtocolError
from agent_protocol.messages import Jwk

TAG = "fleet-agent-v1"
WINDOW_S = 300
AGAIN_S = 240  # for so long an agent sends what has no body under the same signature; a minute is left for its clock
SAFE_NONCE = "0"  # of requests without a body: they change nothing, so only the window protects them

_ECDSA = ec.ECDSA(SHA256())
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_WITH_BODY = '("@method" "@authority" "@path" "@query" "content-digest")'
_WITHOUT_BODY = '("@method" "@authority" "@path" "@query")'
# created, keyid, nonce and tag in this order and no other; base64url and a sortable nonce need no escapes.
_INPUT = re.compile(
    r'fleet=(?P<components>\([^()]*\));created=(?P<created>[1-9][0-9]{0,11});keyid="(?P<keyid>[A-Za-z0-9_-]{43})"'
    r';nonce="(?P<nonce>[A-Za-z0-9_.-]{1,200})";tag="fleet-agent-v1"'
)
_SEQUENCE = re.compile(r"[1-9][0-9]{0,15}")
_SIGNATURE = re.compile(r"fleet=:(?P<value>[A-Za-z0-9+/]{86}==):")


class SignedRequest(Struct, frozen=True):
    """The parsed, not yet verified, signature of a request.

    Args:
        keyid: thumbprint of the key that claims to have signed.
        created: when it claims to have signed, seconds since 1970.
        nonce: the sequence, the server's nonce at enrolment, or ``0`` for a request without a body.
        signature: r and s, 32 bytes each.
        content_digest: the header as sent; None for a request without a body.
        parameters: the text that follows ``@signature-params`` in the signature base.
    """

    keyid: str
    created: int
    nonce: str
    signature: bytes
    content_digest: str | None
    parameters: str

    @property
    def sequence(self) -> int:
        """The nonce as the rising number it must be for requests that change something.

        Raises:
            ProtocolError: it is not a plain positive number.
        """
        if not _SEQUENCE.fullmatch(self.nonce):
            raise ProtocolError(Code.BAD_SIGNATURE, detail="nonce is not a sequence number")
        return int(self.nonce)


def to_jwk(key: ec.EllipticCurvePublicKey) -> Jwk:
    """Return the public key as a JWK."""
    numbers = key.public_numbers()
    return Jwk("EC", "P-256", _coordinate(numbers.x), _coordinate(numbers.y))


def _coordinate(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


def load_jwk(jwk: Jwk) -> ec.EllipticCurvePublicKey:
    """Return the key of a JWK after checking that it is a point of the curve.

    Raises:
        MalformedError: it is no P-256 key.
    """
    x, y = (int.from_bytes(base64.urlsafe_b64decode(f"{part}="), "big") for part in (jwk.x, jwk.y))
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError:
        raise MalformedError("the key is not a point of P-256") from None
    if to_jwk(key) != jwk:  # one key, one spelling: the last character of base64url has two unused bits
        raise MalformedError("the key is not in its shortest form")
    return key


def thumbprint(key: Jwk | ec.EllipticCurvePublicKey) -> str:
    """Return the key's name on the wire: base64url SHA-256 of its canonical JWK. Source: RFC 7638 section 3."""
    jwk = key if isinstance(key, Jwk) else to_jwk(key)
    members = {"crv": jwk.crv, "kty": jwk.kty, "x": jwk.x, "y": jwk.y}
    digest = hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def match_code(keyid: str) -> str:
    """Return the eight characters that a tablet and the server show for a key, so that a person can compare them.

    Source: README.md section 4. They are the first 40 bits of the thumbprint's SHA-256 in Crockford's base 32.
    """
    number = int.from_bytes(hashlib.sha256(keyid.encode()).digest()[:5], "big")
    signs = "".join(_CROCKFORD[number >> shift & 31] for shift in range(35, -1, -5))
    return f"{signs[:4]}-{signs[4:]}"


def content_digest(body: bytes) -> str:
    """Return the Content-Digest header for ``body``. Source: RFC 9530 section 2."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def _base(parameters: str, digest: str | None, *, method: str, authority: str, path: str, query: str) -> bytes:
    """Return what is signed. Source: RFC 9421 section 2.5; a missing query counts as ``?`` (section 2.2.7)."""
    digest_line = f'"content-digest": {digest}\n' if digest is not None else ""
    return (
        f'"@method": {method}\n"@authority": {authority}\n"@path": {path}\n"@query": ?{query}\n'
        f'{digest_line}"@signature-params": {parameters}'
    ).encode()


def sign_request(
    key: ec.EllipticCurvePrivateKey,
    *,
    method: str,
    authority: str,
    path: str,
    query: str,
    body: bytes | None,
    created: int,
    nonce: str,
    keyid: str | None = None,
) -> dict[str, str]:
    """Return the headers that sign a request.

    Args:
        key: the tablet's key.
        method: upper case.
        authority: host and port as in the server's address, lower case, default port left out.
        path: from the first slash, without query.
        query: without the question mark; empty where there is none.
        body: None where the request has none.
        created: now, seconds since 1970, corrected by what the server says.
        nonce: sequence, the server's nonce, or :data:`SAFE_NONCE`.
        keyid: the key's thumbprint, where it is at hand.
    """
    components = _WITHOUT_BODY if body is None else _WITH_BODY
    keyid = keyid or thumbprint(key.public_key())
    parameters = f'{components};created={created};keyid="{keyid}";nonce="{nonce}";tag="{TAG}"'
    digest = None if body is None else content_digest(body)
    base = _base(parameters, digest, method=method, authority=authority, path=path, query=query)
    r, s = decode_dss_signature(key.sign(base, _ECDSA))
    value = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
    headers = {"Signature-Input": f"fleet={parameters}", "Signature": f"fleet=:{value}:"}
    return headers if digest is None else {**headers, "Content-Digest": digest}


def parse_request(headers: Mapping[str, str], *, has_body: bool) -> SignedRequest:
    """Read the signature's headers without any cryptography.

    Args:
        headers: the request's headers by lower-case name.
        has_body: whether the request has a body, which must then be signed.

    Raises:
        ProtocolError: they are missing or not exactly of the fixed form.
    """
    given = _INPUT.fullmatch(headers.get("signature-input", ""))
    value = _SIGNATURE.fullmatch(headers.get("signature", ""))
    digest = headers.get("content-digest") if has_body else None
    if given is None or value is None or (has_body and digest is None):
        raise ProtocolError(Code.BAD_SIGNATURE, detail="signature headers missing or not of the fixed form")
    if given["components"] != (_WITH_BODY if has_body else _WITHOUT_BODY):
        raise ProtocolError(Code.BAD_SIGNATURE, detail="signed components are not the fixed list")
    return SignedRequest(
        keyid=given["keyid"],
        created=int(given["created"]),
        nonce=given["nonce"],
        signature=_canonical_base64(value["value"]),
        content_digest=digest,
        parameters=given[0].removeprefix("fleet="),
    )


def _canonical_base64(text: str) -> bytes:
    """Decode base64 (which it is, by its pattern) that has one spelling only: unused bits must be zero."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ProtocolError(Code.BAD_SIGNATURE, detail="signature is not in its shortest form")
    return raw


def verify_request(
    request: SignedRequest,
    key: ec.EllipticCurvePublicKey,
    *,
    method: str,
    authority: str,
    path: str,
    query: str,
    body: bytes | None,
    now: float,
) -> None:
    """Accept a request only if ``key`` signed exactly it, now.

    Args:
        request: what :func:`parse_request` gave.
        key: the key that the caller's registry has for ``request.keyid``.
        method: as received.
        authority: the server's own, from its configuration, never from the message.
        path: as received, raw.
        query: as received, raw, without the question mark.
        body: as received; None where there is none.
        now: seconds since 1970 by the server's clock.

    Raises:
        ProtocolError: bad signature, or signed too long ago or ahead (clock-skew, only for a right signature).
    """
    if body is not None and request.content_digest != content_digest(body):
        raise ProtocolError(Code.BAD_SIGNATURE, detail="the body is not the one that was signed")
    base = _base(request.parameters, request.content_digest, method=method, authority=authority, path=path, query=query)
    r, s = int.from_bytes(request.signature[:32], "big"), int.from_bytes(request.signature[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), base, _ECDSA)
    except InvalidSignature:
        raise ProtocolError(Code.BAD_SIGNATURE, detail="the signature does not fit the request") from None
    require_recent(request, now=now)


def require_recent(request: SignedRequest, *, now: float) -> None:
    """Accept a request, its signature checked, only if it was signed about now.

    Args:
        request: it.
        now: seconds since 1970 by the server's clock.

    Raises:
        ProtocolError: signed too long ago or ahead (clock-skew).
    """
    if abs(now - request.created) > WINDOW_S:
        raise ProtocolError(Code.CLOCK_SKEW, detail=f"signed more than {WINDOW_S} s away from the server's clock")
