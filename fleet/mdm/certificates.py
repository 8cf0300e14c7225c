"""Strangers' certificates and keys: only the fields that find a signer and check what it signed.

A certificate is read here before anybody knows whether it is to be trusted, so no more of it is looked at than its
issuer, serial number, key and key identifier. Whether it is one of ours says ``authority``. Each certificate is read
once and remembered by its bytes, because a tablet shows the same one with every message.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from fleet.mdm.ber import (
    BIT_STRING,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    BerError,
    Element,
    Reader,
    context,
    oid,
    read,
)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

MAX_CERTIFICATE_BYTES = 4096  # an identity of RSA-4096 has about 1,600
_REMEMBERED = 8192  # every tablet of a large municipality, in each process; about 4 kB each
# Larger keys are nobody's tablet and would buy a stranger much of our time with one message.
_RSA_BITS = range(1024, 4097)
_MAX_EXPONENT_BITS = 33
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_SUBJECT_KEY_IDENTIFIER = oid("2.5.29.14")

# Taken because iPads and other clients sign with it; what they sign is their own message, so a forger would need a
# second preimage, which nobody has.
_SHA1 = SHA1()  # noqa: S303
# Source: RFC 3370 section 2, RFC 5754 section 2.
DIGESTS = MappingProxyType(
    {
        oid("1.3.14.3.2.26"): _SHA1,
        oid("2.16.840.1.101.3.4.2.1"): SHA256(),
        oid("2.16.840.1.101.3.4.2.2"): SHA384(),
        oid("2.16.840.1.101.3.4.2.3"): SHA512(),
    }
)
RSA_ENCRYPTION = oid("1.2.840.113549.1.1.1")
# Each signature algorithm with its kind of key and the digest it names; None: the one the signer names elsewhere.
# Source: RFC 3370 section 3.2, RFC 5754 section 3, RFC 5753 section 2.1, RFC 8017 appendix C.
_SIGNATURES = MappingProxyType(
    {
        RSA_ENCRYPTION: (rsa.RSAPublicKey, None),
        oid("1.2.840.113549.1.1.5"): (rsa.RSAPublicKey, _SHA1),
        oid("1.2.840.113549.1.1.11"): (rsa.RSAPublicKey, SHA256()),
        oid("1.2.840.113549.1.1.12"): (rsa.RSAPublicKey, SHA384()),
        oid("1.2.840.113549.1.1.13"): (rsa.RSAPublicKey, SHA512()),
        oid("1.2.840.10045.2.1"): (ec.EllipticCurvePublicKey, None),
        oid("1.2.840.10045.4.1"): (ec.EllipticCurvePublicKey, _SHA1),
        oid("1.2.840.10045.4.3.2"): (ec.EllipticCurvePublicKey, SHA256()),
        oid("1.2.840.10045.4.3.3"): (ec.EllipticCurvePublicKey, SHA384()),
        oid("1.2.840.10045.4.3.4"): (ec.EllipticCurvePublicKey, SHA512()),
    }
)
_PKCS1 = PKCS1v15()


class SignatureError(ValueError):
    """What is signed, the signature and the key do not belong together, or are of a kind we do not take."""


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """What is read of a stranger's certificate.

    Args:
        der: the whole certificate.
        name: how the server calls it: lower-case hex SHA-256 of ``der``.
        issuer: its issuer's name, encoded.
        subject: its own name, encoded.
        serial: the value of its serial number, encoded.
        key_id: its subject key identifier, None where it has none.
        key: its public key.
        signed: the part that its issuer signed.
        signature_algorithm: the identifier of how.
        signature: the issuer's signature.
    """

    der: bytes
    name: str
    issuer: bytes
    subject: bytes
    serial: bytes
    key_id: bytes | None
    key: PublicKey
    signed: bytes
    signature_algorithm: bytes
    signature: bytes


def load_key(spki: bytes) -> PublicKey:
    """Return the key of a SubjectPublicKeyInfo: RSA of 1024 to 4096 bits, or on P-256, P-384 or P-521.

    Raises:
        BerError: it is another kind of key, or none.
    """
    try:
        key = load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BerError from error
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _RSA_BITS:
        raise BerError
    if key.public_numbers().e.bit_length() > _MAX_EXPONENT_BITS:
        raise BerError
    return key


@lru_cache(maxsize=_REMEMBERED)
def read_certificate(der: bytes) -> Certificate:
    """Return what is needed of a certificate, without a judgement on it.

    Raises:
        BerError: it is none, or too large, or its key is of a kind we do not take.

    Source: RFC 5280 section 4.1.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise BerError
    outer = read(der, SEQUENCE)
    signed = outer.take(SEQUENCE)
    algorithm = outer.take(SEQUENCE).inside().take(OID)
    signature = outer.take(BIT_STRING)
    outer.end()
    inside = signed.inside()
    inside.maybe(context(0))  # the version
    serial = inside.take(INTEGER)
    inside.take(SEQUENCE)  # the signature's algorithm once more
    issuer = inside.take(SEQUENCE)
    inside.take(SEQUENCE)  # from when until when: authority asks our own ones
    subject = inside.take(SEQUENCE)
    key = inside.take(SEQUENCE)
    return Certificate(
        der,
        hashlib.sha256(der).hexdigest(),
        issuer.encoding,
        subject.encoding,
        serial.value,
        _key_id(inside),
        load_key(key.encoding),
        signed.encoding,
        algorithm.value,
        bits(signature),
    )


def _key_id(inside: Reader) -> bytes | None:
    inside.maybe(context(1, constructed=False))
    inside.maybe(context(2, constructed=False))
    extensions = inside.maybe(context(3))
    if extensions is None:
        return None
    for extension in extensions.inside().take(SEQUENCE).inside():
        parts = extension.inside()
        if parts.take(OID).value == _SUBJECT_KEY_IDENTIFIER:
            return Reader(parts.take(OCTET_STRING).value).take(OCTET_STRING).value
    return None


def bits(element: Element) -> bytes:
    """Return the value of a BIT STRING of whole bytes.

    Raises:
        BerError: it has a broken last byte.
    """
    if element.value[:1] != b"\0":
        raise BerError
    return element.value[1:]


def verify(key: PublicKey, algorithm: bytes, signature: bytes, signed: bytes, digest: HashAlgorithm | None) -> None:
    """Check ``signature`` over ``signed``.

    Args:
        key: whose signature it should be.
        algorithm: identifier of the signature's algorithm, the value of an OBJECT IDENTIFIER.
        signature: as it was sent.
        signed: the bytes it should be over.
        digest: what the signer names as its digest; None where only ``algorithm`` can name one.

    Raises:
        SignatureError: it is not right, or the algorithm is none of ours or not one of the key's.
    """
    kind, named = _SIGNATURES.get(algorithm, (None, None))
    chosen = named or digest
    if kind is None or chosen is None or (named and digest and named.name != digest.name):
        raise SignatureError
    try:
        if isinstance(key, rsa.RSAPublicKey) and kind is rsa.RSAPublicKey:
            key.verify(signature, signed, _PKCS1, chosen)
        elif isinstance(key, ec.EllipticCurvePublicKey) and kind is ec.EllipticCurvePublicKey:
            key.verify(signature, signed, ec.ECDSA(chosen))
        else:
            raise SignatureError
    except (InvalidSignature, UnsupportedAlgorithm) as error:
        raise SignatureError from error
