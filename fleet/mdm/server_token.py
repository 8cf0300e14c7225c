"""The server token: with it this server speaks for the municipality at Apple's service for automated enrolment.

What the administrator does, once and then every year: (1) has us make a key (:func:`make_key`); (2) uploads its
certificate at Apple School Manager, for this server; (3) downloads the token there, which is encrypted to that key, and
gives it to us (:func:`read`). Where keys are kept is not told here.

Source: https://developer.apple.com/documentation/devicemanagement/authenticating-with-a-device-enrollment-program-server;
the file as the portal gives it: S/MIME (RFC 8551) around a MIME part of text with JSON between two marks.
"""

import email
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fleet.errors import InvalidError
from fleet.mdm import enveloped, running_out
from fleet.mdm.ber import BerError
from fleet.mdm.certificates import Certificate, read_certificate
from fleet.mdm.enveloped import EnvelopeError

_KEY_BITS = 2048  # what the portal takes
_NAME = "Tablet server token"
# The portal takes nothing but the key out of the certificate, and the same key does for every year's token.
_LIFE = timedelta(days=10 * 365)
_MAX_UPLOAD_BYTES = 64 * 1024  # a token has about four kilobytes
_BEGIN, _END = "-----BEGIN MESSAGE-----", "-----END MESSAGE-----"
_DER = b"\x30"


class ServerTokenError(InvalidError):
    """An uploaded server token that must not be used. Data: ``reason``, and what the reason needs.

    ``reason`` is one of: ``unreadable``; ``key`` (encrypted to another key than ours, or there is none yet); ``fields``
    (something of it is missing); ``expired`` (``expired_at``).
    """

    code = "server-token"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What the portal encrypts tokens to.

    Args:
        key: stays here.
        certificate: what is uploaded.
    """

    key: rsa.RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate

    @property
    def summary(self) -> Certificate:
        """The certificate as strangers' are read, to be found in a message."""
        return read_certificate(self.certificate.public_bytes(Encoding.DER))

    @property
    def pem(self) -> bytes:
        """The certificate for people to carry."""
        return self.certificate.public_bytes(Encoding.PEM)


class ServerToken(msgspec.Struct, frozen=True):
    """A server token.

    Args:
        consumer_key: who we are.
        consumer_secret: proves it.
        access_token: what we may do.
        access_secret: proves it.
        expires_at: from then on the service refuses us.
    """

    consumer_key: str
    consumer_secret: str
    access_token: str
    access_secret: str
    expires_at: datetime = msgspec.field(name="access_token_expiry")

    def __repr__(self) -> str:
        """Show no secret."""
        return f"ServerToken(expires_at={self.expires_at!r})"

    def days_left(self, now: datetime) -> int:
        """Return how many whole days it can still be used; negative once it has run out."""
        return running_out.days_left(self.expires_at, now)

    def warning_step(self, now: datetime) -> int | None:
        """Return which warning has begun (:func:`~fleet.mdm.running_out.warning_step`)."""
        return running_out.warning_step(self.expires_at, now)


def make_key(*, now: datetime) -> TokenKey:
    """Return a new key and a certificate for it, signed by itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFE)
        .sign(key, SHA256())
    )
    return TokenKey(key, certificate)


def read(uploaded: bytes, key: TokenKey | None, *, now: datetime) -> ServerToken:
    """Return the token in an upload.

    Args:
        uploaded: the file as the portal gave it.
        key: what it should be encrypted to; None where no key was made yet.
        now: to tell one that has run out.

    Raises:
        ServerTokenError: it is unreadable, of another key, incomplete, or has run out.
    """
    if key is None:
        raise ServerTokenError(reason="key")
    if len(uploaded) > _MAX_UPLOAD_BYTES:
        raise ServerTokenError(reason="unreadable")
    try:
        content = enveloped.open_envelope(_envelope(uploaded), [key]).content
    except BerError as error:
        raise ServerTokenError(reason="unreadable") from error
    except EnvelopeError as error:
        # Who has another key with the same name finds out only by what comes out.
        raise ServerTokenError(reason="unreadable" if error.reason == "cipher" else "key") from error
    found = load(_message(content))
    if now >= found.expires_at:
        raise ServerTokenError(reason="expired", expired_at=found.expires_at)
    return found


def load(told: bytes) -> ServerToken:
    """Return the token that JSON tells.

    Raises:
        ServerTokenError: something of it is missing.
    """
    try:
        found = msgspec.json.decode(told, type=ServerToken)
    except msgspec.DecodeError as error:  # one of the other is no JSON at all
        raise ServerTokenError(reason="fields") from error
    texts = (found.consumer_key, found.consumer_secret, found.access_token, found.access_secret)
    if not all(text and text.isascii() and text.isprintable() for text in texts) or found.expires_at.tzinfo is None:
        raise ServerTokenError(reason="fields")
    return found


def _envelope(uploaded: bytes) -> bytes:
    """Return what is encrypted: bare, or as a mail would carry it."""
    if uploaded.startswith(_DER):
        return uploaded
    return _carried(uploaded)


def _message(content: bytes) -> bytes:
    text = _carried(content).decode("utf-8", "replace")
    _, begins, rest = text.partition(_BEGIN)
    told, ends, _ = rest.partition(_END)
    if not begins or not ends:
        raise ServerTokenError(reason="unreadable")
    return told.replace("\r", "").replace("\n", "").encode()  # the JSON is broken into lines wherever they are full


def _carried(part: bytes) -> bytes:
    """Return what a MIME part carries (RFC 2045)."""
    told = email.message_from_bytes(part).get_payload(decode=True)
    if not isinstance(told, bytes):
        raise ServerTokenError(reason="unreadable")
    return told
