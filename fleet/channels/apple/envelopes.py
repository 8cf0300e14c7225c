"""Encrypted and signed containers of SCEP, as every client takes them; opening them: :mod:`fleet.mdm.enveloped`.

What we build is AES-128 or, for clients that know no AES, triple DES, and always SHA-256.

Source: RFC 5652 sections 5 and 6; RFC 3370 section 5.1 (triple DES), RFC 3565 section 2 (AES), RFC 8894 section 3.
"""

import hashlib
import secrets
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.padding import PKCS7

from fleet.channels.apple.cms import CONTENT_TYPE, DATA, MESSAGE_DIGEST, SIGNED_DATA
from fleet.mdm.authority import DeviceCA
from fleet.mdm.ber import INTEGER, OCTET_STRING, OID, algorithm, context, der, integer, oid, sequence, set_of
from fleet.mdm.certificates import RSA_ENCRYPTION, Certificate
from fleet.mdm.enveloped import ENVELOPED_DATA, ContentCipher

_SHA256 = oid("2.16.840.1.101.3.4.2.1")
_PKCS1 = PKCS1v15()


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
    return sequence(der(OID, ENVELOPED_DATA), der(context(0), sequence(integer(0), set_of(for_whom), inside)))


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
