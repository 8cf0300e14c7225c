"""Opening encrypted messages: a client's request for a certificate, the maker's server token.

Walks over the bytes as they are, because some clients send the encrypted content in pieces. Old ciphers are opened, and
only opened: they are the sender's choice, and what is in them travels within TLS or in somebody's hands.

Source: RFC 5652 section 6; RFC 3370 section 5.1 (triple DES), RFC 3565 section 2 (AES).
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from fleet.errors import ReasonError
from fleet.mdm.ber import CONSTRUCTED, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, BerError, Element, context, oid, read
from fleet.mdm.certificates import RSA_ENCRYPTION, Certificate

ENVELOPED_DATA = oid("1.2.840.113549.1.7.3")
_PKCS1 = PKCS1v15()


class Recipient(Protocol):
    """Somebody of ours whom messages are encrypted to."""

    @property
    def key(self) -> rsa.RSAPrivateKey:
        """What opens them."""

    @property
    def summary(self) -> Certificate:
        """The certificate that they name."""


R = TypeVar("R", bound=Recipient)


@dataclass(frozen=True, slots=True)
class ContentCipher:
    """A way content is encrypted, always in CBC mode with PKCS #7 padding.

    Args:
        identifier: its algorithm identifier.
        make: the block cipher for a key.
        key_bytes: length of its key.
        block_bytes: length of a block.
    """

    identifier: bytes
    make: Callable[[bytes], BlockCipherAlgorithm]
    key_bytes: int
    block_bytes: int


def _single_des(key: bytes) -> TripleDES:
    """Return single DES: three rounds with one key are one. Opened only, because clients still send it."""
    return TripleDES(key * 3)


AES_128 = ContentCipher(oid("2.16.840.1.101.3.4.1.2"), AES, 16, 16)
TRIPLE_DES = ContentCipher(oid("1.2.840.113549.3.7"), TripleDES, 24, 8)
_OPENED = MappingProxyType(
    {
        cipher.identifier: cipher
        for cipher in (
            AES_128,
            ContentCipher(oid("2.16.840.1.101.3.4.1.22"), AES, 24, 16),
            ContentCipher(oid("2.16.840.1.101.3.4.1.42"), AES, 32, 16),
            TRIPLE_DES,
            ContentCipher(oid("1.3.14.3.2.7"), _single_des, 8, 8),
        )
    }
)


class EnvelopeError(ReasonError):
    """An envelope cannot be opened.

    Args:
        reason: ``recipient`` (it is for none of ours), ``cipher`` (one that we do not open) or ``content``. The
            last says no more on purpose: who learns whether a key or a padding was wrong can find out the content.
    """


@dataclass(frozen=True, slots=True)
class Opened(Generic[R]):
    """What was in an envelope.

    Args:
        content: the content.
        recipient: whom of ours it was encrypted to.
        cipher: how.
    """

    content: bytes
    recipient: R
    cipher: ContentCipher


def open_envelope(message: bytes, recipients: Sequence[R]) -> Opened[R]:
    """Return what is in ``message``, EnvelopedData for one of ``recipients``.

    Raises:
        BerError: it is no EnvelopedData.
        EnvelopeError: it cannot be opened.
    """
    outer = read(message, SEQUENCE)
    if outer.take(OID).value != ENVELOPED_DATA:
        raise BerError
    inside = outer.take(context(0)).inside().take(SEQUENCE).inside()
    inside.take(INTEGER)
    inside.maybe(context(0))  # who sent it, of which nothing is asked
    ours, wrapped = _recipient(inside.take(SET), recipients)
    content = inside.take(SEQUENCE).inside()
    content.take(OID)  # data, as a rule: what is in it is looked at anyway
    parameters = content.take(SEQUENCE).inside()
    cipher = _OPENED.get(parameters.take(OID).value)
    if cipher is None:
        raise EnvelopeError("cipher")
    vector = parameters.take(OCTET_STRING).value
    encrypted = content.take(context(0), context(0, constructed=False)).octets()
    if len(vector) != cipher.block_bytes:
        raise BerError
    return Opened(_decrypted(encrypted, _unwrapped(wrapped, ours, cipher), vector, cipher), ours, cipher)


def _recipient(told: Element, ours: Sequence[R]) -> tuple[R, bytes]:
    """Return to whom of ours the content's key is encrypted, and that key as it was sent."""
    for recipient in told.inside():
        if recipient.tag != SEQUENCE:  # a kind of key agreement; we have RSA only
            continue
        inside = recipient.inside()
        inside.take(INTEGER)
        named = inside.take(SEQUENCE, context(0, constructed=False))
        scheme = inside.take(SEQUENCE).inside().take(OID).value
        wrapped = inside.take(OCTET_STRING, OCTET_STRING | CONSTRUCTED).octets()
        for one in ours:
            if _means(named, one.summary):
                if scheme != RSA_ENCRYPTION:
                    raise EnvelopeError("cipher")
                return one, wrapped
    raise EnvelopeError("recipient")


def _means(named: Element, certificate: Certificate) -> bool:
    if named.tag != SEQUENCE:
        return named.value == certificate.key_id
    inside = named.inside()
    issuer, serial = inside.take(SEQUENCE).encoding, inside.take(INTEGER).value
    return issuer == certificate.issuer and serial == certificate.serial


def _unwrapped(wrapped: bytes, ours: Recipient, cipher: ContentCipher) -> bytes:
    """Return the content's key, or a random one where there is none, so that both end alike (RFC 3218 section 2.3)."""
    try:
        key = ours.key.decrypt(wrapped, _PKCS1)
    except ValueError:
        key = b""
    return key if len(key) == cipher.key_bytes else secrets.token_bytes(cipher.key_bytes)


def _decrypted(encrypted: bytes, key: bytes, vector: bytes, cipher: ContentCipher) -> bytes:
    decryptor = Cipher(cipher.make(key), CBC(vector)).decryptor()
    unpadder = PKCS7(cipher.block_bytes * 8).unpadder()
    try:
        padded = decryptor.update(encrypted) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError as error:
        raise EnvelopeError("content") from error
