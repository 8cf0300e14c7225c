"""Signed messages: who signed these bytes? Trust is another question, which ``authority`` answers.

Takes every shape that tablets are known to send: lengths said before or only at the end, SHA-1 to SHA-512, RSA and
ECDSA, with signed attributes and without. Invariants: exactly one signer, whose certificate is in the message; whatever
the bytes are, reading raises ``CmsError`` or returns; the work is bounded by the sizes below.

Source: RFC 5652 sections 3 and 5; RFC 2315 section 9 for what old clients still send.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder

from fleet.errors import ReasonError
from fleet.mdm.ber import (
    CONSTRUCTED,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    BerError,
    Element,
    context,
    der,
    oid,
    read,
)
from fleet.mdm.certificates import DIGESTS, Certificate, SignatureError, read_certificate, verify

# A signature with one RSA-4096 certificate has about 2,500 bytes; one with Apple's chain in it less than 6,000.
MAX_SIGNATURE_BYTES = 8 * 1024
MAX_MESSAGE_BYTES = 64 * 1024
_MAX_CERTIFICATES = 8
_MAX_ATTRIBUTES = 32

DATA = oid("1.2.840.113549.1.7.1")
SIGNED_DATA = oid("1.2.840.113549.1.7.2")
CONTENT_TYPE = oid("1.2.840.113549.1.9.3")
MESSAGE_DIGEST = oid("1.2.840.113549.1.9.4")
_STRING = (OCTET_STRING, OCTET_STRING | CONSTRUCTED)


class CmsError(ReasonError):
    """A message is not signed by exactly one signer as it should be.

    Args:
        reason: ``size``, ``malformed``, ``content`` (attached or missing where it should not be), ``signers``
            (none, several, or a certificate that is not there), ``algorithm``, ``digest`` (another body was
            signed) or ``signature`` (another key signed).
    """


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed: whether to believe it is another question.

    Args:
        certificate: its certificate, DER.
        name: lower-case hex SHA-256 of ``certificate``.
    """

    certificate: bytes
    name: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A message whose signature is right.

    Args:
        content: what was signed.
        certificate: the signer's.
        attributes: the one value of each signed attribute by its identifier; empty where there are none.
        certificates: all that are in the message, DER.
    """

    content: bytes
    certificate: Certificate
    attributes: Mapping[bytes, Element]
    certificates: Sequence[bytes] = ()

    @property
    def signer(self) -> Signer:
        """Who signed."""
        return Signer(self.certificate.der, self.certificate.name)


@dataclass(slots=True)
class _Parts:
    content: bytes | None
    certificates: Element | None
    signer: Element


def verify_detached(signature: bytes, body: bytes) -> Signer:
    """Return who signed ``body``.

    Args:
        signature: SignedData without content, decoded from base64.
        body: the exact bytes of the request.

    Raises:
        CmsError: nobody did, or in a way that is not taken.

    Source: Apple's "Pass an Identity Certificate Through a Proxy" (header Mdm-Signature).
    """
    parts = _parts(signature, MAX_SIGNATURE_BYTES)
    if parts.content is not None:
        raise CmsError("content")
    return _verified(parts, body).signer


def read_signed(message: bytes) -> tuple[bytes, Signer]:
    """Return what is signed in ``message`` and who signed it.

    Raises:
        CmsError: it has no content, or is not signed by its signer.
    """
    signed = open_signed(message)
    return signed.content, signed.signer


def open_signed(message: bytes) -> Signed:
    """Return the content, signer and signed attributes of ``message``.

    Raises:
        CmsError: it has no content, or is not signed by its signer.
    """
    parts = _parts(message, MAX_MESSAGE_BYTES)
    if parts.content is None:
        raise CmsError("content")
    return _verified(parts, parts.content)


def _parts(message: bytes, most_bytes: int) -> _Parts:
    if len(message) > most_bytes:
        raise CmsError("size")
    try:
        outer = read(message, SEQUENCE)
        if outer.take(OID).value != SIGNED_DATA:
            raise CmsError("malformed")
        inside = outer.take(context(0)).inside().take(SEQUENCE).inside()
        inside.take(INTEGER)
        inside.take(SET)  # the digests, said before the content for those who read only once
        encapsulated = inside.take(SEQUENCE).inside()
        if encapsulated.take(OID).value != DATA:
            raise CmsError("content")
        attached = encapsulated.maybe(context(0))
        content = attached.inside().take(*_STRING).octets() if attached else None
        certificates = inside.maybe(context(0))
        inside.maybe(context(1))  # revocation lists
        signers = inside.take(SET).inside()
        signer = signers.maybe(SEQUENCE)
        if signer is None or signers.maybe(SEQUENCE):
            raise CmsError("signers")
        return _Parts(content, certificates, signer)
    except BerError as error:
        raise CmsError("malformed") from error


def _verified(parts: _Parts, content: bytes) -> Signed:
    """Return the message if its one signer signed ``content`` (RFC 5652 sections 5.3 to 5.6)."""
    try:
        inside = parts.signer.inside()
        inside.take(INTEGER)
        certificate = _signer(inside.take(SEQUENCE, context(0, constructed=False)), parts.certificates)
        digest = DIGESTS.get(inside.take(SEQUENCE).inside().take(OID).value)
        if digest is None:
            raise CmsError("algorithm")
        attributes = inside.maybe(context(0))
        algorithm = inside.take(SEQUENCE).inside().take(OID).value
        signature = inside.take(*_STRING).octets()
        values = {} if attributes is None else _attributes(attributes, content, digest)
        # What is signed is the set as it would stand by itself, not under the tag it has in the message.
        signed = content if attributes is None else der(SET, attributes.value)
        verify(certificate.key, algorithm, signature, signed, digest)
    except BerError as error:
        raise CmsError("malformed") from error
    except SignatureError as error:
        raise CmsError("signature") from error
    told = () if parts.certificates is None else tuple(one.encoding for one in parts.certificates.inside())
    return Signed(content, certificate, values, told)


def _signer(identifier: Element, certificates: Element | None) -> Certificate:
    """Return the one certificate that ``identifier`` means: by issuer and serial number, or by key identifier."""
    issuer, serial, key_id = b"", b"", identifier.value
    if identifier.tag == SEQUENCE:
        inside = identifier.inside()
        issuer, serial, key_id = inside.take(SEQUENCE).encoding, inside.take(INTEGER).value, b""
    found: set[bytes] = set()
    for number, element in enumerate(certificates.inside() if certificates else ()):
        if number >= _MAX_CERTIFICATES:
            raise CmsError("size")
        # Other kinds of certificates and other keys may lie beside the signer's.
        if element.tag == SEQUENCE and _names(element.encoding, issuer, serial, key_id):
            found.add(element.encoding)
    if len(found) != 1:
        raise CmsError("signers")
    return read_certificate(found.pop())


def _names(encoding: bytes, issuer: bytes, serial: bytes, key_id: bytes) -> bool:
    try:
        certificate = read_certificate(encoding)
    except BerError:
        return False
    if key_id:
        return certificate.key_id == key_id
    return certificate.issuer == issuer and certificate.serial == serial


def _attributes(element: Element, content: bytes, digest: HashAlgorithm) -> dict[bytes, Element]:
    """Return the signed attributes, which must tell the content's type and digest, each one once."""
    values: dict[bytes, Element] = {}
    seen: set[bytes] = set()
    for attribute in element.inside():
        inside = attribute.inside()
        identifier, several = inside.take(OID).value, list(inside.take(SET).inside())
        if identifier in seen or len(seen) >= _MAX_ATTRIBUTES:
            raise CmsError("malformed")
        seen.add(identifier)
        if len(several) == 1:  # attributes of several values there are, but none that we read
            values[identifier] = several[0]
    if CONTENT_TYPE not in values or MESSAGE_DIGEST not in values:
        raise CmsError("malformed")
    if values[CONTENT_TYPE].value != DATA:
        raise CmsError("content")
    expected = hashlib.new(digest.name, content, usedforsecurity=False).digest()
    if not hmac.compare_digest(values[MESSAGE_DIGEST].value, expected):
        raise CmsError("digest")
    return values


def sign_profile(
    content: bytes,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
    extra: Sequence[x509.Certificate] = (),
) -> bytes:
    """Return ``content`` signed, as an iPad takes a signed configuration profile: content attached, SHA-256, DER.

    Args:
        content: the .mobileconfig.
        key: the signing certificate's key.
        certificate: whom the iPad names as the profile's author.
        extra: certificates between ``certificate`` and one that the iPad trusts.

    Source: Apple's "Configuration Profile Reference", signing; RFC 5652 section 5.
    """
    builder = PKCS7SignatureBuilder().set_data(content).add_signer(certificate, key, SHA256())
    for one in extra:
        builder = builder.add_certificate(one)
    return builder.sign(Encoding.DER, [PKCS7Options.Binary, PKCS7Options.NoCapabilities])
