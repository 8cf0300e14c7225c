"""Encrypted and signed containers of SCEP: opening what odd clients send, building what every client takes.

Opening walks over the bytes as they are, because some clients send the encrypted content in pieces. Old ciphers are
opened only: they are the client's choice, and SCEP travels within TLS here. What we build is AES-128 or, for
clients that know no AES, triple DES, and always SHA-256.

Source: RFC 5652 sections 5 and 6; RFC 3370 section 5.1 (triple DES), RFC 3565 section 2 (AES), RFC 8894 section 3.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.padding import PKCS7

from fleet.channels.apple.cms import CONTENT_TYPE, DATA, MESSAGE_DIGEST, SIGNED_DATA
from fleet.errors import ReasonError
from fleet.mdm.authority import Authority, DeviceCA
from fleet.mdm.ber import (
    CONSTRUCTED,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    BerError,
    Element,
    algorithm,
    context,
    der,
    integer,
    oid,
    read,
    sequence,
    set_of,
)
from fleet.mdm.certificates import RSA_ENCRYPTION, Certificate

_ENVELOPED_DATA = oid("1.2.840.113549.1.7.3")
_SHA256 = oid("2.16.840.1.101.3.4.2.1")
_PKCS1 = PKCS1v15()


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
        reason: ``recipient`` (it is for none of our CAs), ``cipher`` (one that we do not open) or ``content``. The
            last says no more on purpose: who learns whether a key or a padding was wrong can find out the content.
    """


@dataclass(frozen=True, slots=True)
class Opened:
    """What was in an envelope.

    Args:
        content: the content.
        recipient: the CA it was encrypted to.
        cipher: how.
    """

    content: bytes
    recipient: DeviceCA
    cipher: ContentCipher


def open_envelope(message: bytes, authority: Authority) -> Opened:
    """Return what is in ``message``, EnvelopedData for one of our CAs.

    Raises:
        BerError: it is no EnvelopedData.
        EnvelopeError: it cannot be opened.
    """
    outer = read(message, SEQUENCE)
    if outer.take(OID).value != _ENVELOPED_DATA:
        raise BerError
    inside = outer.take(context(0)).inside().take(SEQUENCE).inside()
    inside.take(INTEGER)
    inside.maybe(context(0))  # who sent it, of which nothing is asked
    ca, wrapped = _recipient(inside.take(SET), authority)
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
    return Opened(_decrypted(encrypted, _unwrapped(wrapped, ca, cipher), vector, cipher), ca, cipher)


def _recipient(recipients: Element, authority: Authority) -> tuple[DeviceCA, bytes]:
    """Return which of our CAs the content's key is encrypted to, and that key as it was sent."""
    for recipient in recipients.inside():
        if recipient.tag != SEQUENCE:  # a kind of key agreement; SCEP has RSA only
            continue
        inside = recipient.inside()
        inside.take(INTEGER)
        named = inside.take(SEQUENCE, context(0, constructed=False))
        scheme = inside.take(SEQUENCE).inside().take(OID).value
        wrapped = inside.take(OCTET_STRING, OCTET_STRING | CONSTRUCTED).octets()
        for ca in authority.all:
            if _means(named, ca.summary):
                if scheme != RSA_ENCRYPTION:
                    raise EnvelopeError("cipher")
                return ca, wrapped
    raise EnvelopeError("recipient")


def _means(named: Element, certificate: Certificate) -> bool:
    if named.tag != SEQUENCE:
        return named.value == certificate.key_id
    inside = named.inside()
    issuer, serial = inside.take(SEQUENCE).encoding, inside.take(INTEGER).value
    return issuer == certificate.issuer and serial == certificate.serial


def _unwrapped(wrapped: bytes, ca: DeviceCA, cipher: ContentCipher) -> bytes:
    """Return the content's key, or a random one where there is none, so that both end alike (RFC 3218 section 2.3)."""
    try:
        key = ca.key.decrypt(wrapped, _PKCS1)
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


def envelope(content: bytes, recipient: Certificate, cipher: ContentCipher) -> bytes:
    """Return ``content`` as EnvelopedData that only the holder of ``recipient`` can open.

    Raises:
        TypeError: the recipient's key is not RSA, so nothing can be encrypted to it.
    """
    if not isinstance(recipient.key, rsa.RSAPublicKey):
        raise TypeError("only an RSA key can be encrypted to")
    key, vector = secrets.token_bytes(cipher.key_bytes), secrets.token_bytes(cipher.block_bytes)
    padder = PKCS7(cipher.block_bytes * 8).padder()
    encryptor = Cipher(cipher.make(key), CBC(vector)).encryptor()
    encrypted = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
    for_whom = sequence(
        integer(0),
        issuer_and_serial(recipient),
        algorithm(RSA_ENCRYPTION),
        der(OCTET_STRING, recipient.key.encrypt(key, _PKCS1)),
    )
    inside = sequence(
        der(OID, DATA),
        algorithm(cipher.identifier, der(OCTET_STRING, vector)),
        der(context(0, constructed=False), encrypted),
    )
    return sequence(der(OID, _ENVELOPED_DATA), der(context(0), sequence(integer(0), set_of(for_whom), inside)))


def issuer_and_serial(certificate: Certificate) -> bytes:
    """Return how a message names ``certificate`` (RFC 5652 section 10.2.4)."""
    return sequence(certificate.issuer, der(INTEGER, certificate.serial))


def certificates_only(certificate: bytes) -> bytes:
    """Return SignedData that nobody signed and that holds one certificate, DER (RFC 8894 section 3.4)."""
    inside = sequence(integer(1), set_of(), sequence(der(OID, DATA)), der(context(0), certificate), set_of())
    return sequence(der(OID, SIGNED_DATA), der(context(0), inside))


def sign(content: bytes | None, attributes: Sequence[tuple[bytes, bytes]], ca: DeviceCA) -> bytes:
    """Return SignedData by ``ca`` over ``content`` with signed attributes.

    Args:
        content: what it holds; None for a message that consists of its attributes.
        attributes: identifier and encoded value of those beside content type and digest.
        ca: who signs; its certificate goes with the message.
    """
    every = (
        (CONTENT_TYPE, der(OID, DATA)),
        (MESSAGE_DIGEST, der(OCTET_STRING, hashlib.sha256(content or b"").digest())),
        *attributes,
    )
    signed = set_of(*(sequence(der(OID, identifier), set_of(value)) for identifier, value in every))
    signature = ca.key.sign(signed, _PKCS1, SHA256())
    # Its algorithm is called rsaEncryption, as RFC 3370 section 3.2 asks: a known client refuses the longer name.
    signer = sequence(
        integer(1),
        issuer_and_serial(ca.summary),
        algorithm(_SHA256),
        bytes((context(0),)) + signed[1:],
        algorithm(RSA_ENCRYPTION),
        der(OCTET_STRING, signature),
    )
    held = () if content is None else (der(context(0), der(OCTET_STRING, content)),)
    inside = sequence(
        integer(1),
        set_of(algorithm(_SHA256)),
        sequence(der(OID, DATA), *held),
        der(context(0), ca.der),
        set_of(signer),
    )
    return sequence(der(OID, SIGNED_DATA), der(context(0), inside))
