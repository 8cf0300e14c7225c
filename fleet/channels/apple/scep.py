"""SCEP: how a tablet asks for its certificate, from bytes to a request and from a certificate to bytes.

Pure: nothing is stored, and whether a challenge or a renewal is good is for others to say. What is checked here: the
message is signed by its sender and encrypted to one of our CAs; the certificate request in it is signed with the key
it is about; a renewal is signed with a certificate of ours that still counts. Invariant: whatever the bytes are,
reading raises ``ScepError`` or returns.

Clients send SHA-1 and single DES to this day, so both are read (never written): what they protect is a one-time
challenge and a public key on their way within TLS. Source: RFC 8894 sections 3 and 4, below called by number only.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from fleet.channels.apple.cms import CmsError, Signed, Signer, open_signed
from fleet.channels.apple.envelopes import certificates_only, envelope, sign
from fleet.errors import ReasonError
from fleet.mdm.authority import Authority, CertificateError, DeviceCA
from fleet.mdm.ber import (
    BIT_STRING,
    BMP,
    IA5,
    INTEGER,
    OCTET_STRING,
    OID,
    PRINTABLE,
    SEQUENCE,
    SET,
    TELETEX,
    UTF8,
    BerError,
    Element,
    context,
    der,
    oid,
    read,
)
from fleet.mdm.certificates import PublicKey, SignatureError, bits, load_key, read_certificate, verify
from fleet.mdm.enveloped import AES_128, TRIPLE_DES, ContentCipher, EnvelopeError, open_envelope

# Clients compare these as text: nothing may be added, not even a character set.
CA_CERTIFICATE_TYPE = "application/x-x509-ca-cert"
MESSAGE_TYPE = "application/x-pki-message"

# Section 3.2.1; the identifiers are VeriSign's.
_MESSAGE_TYPE = oid("2.16.840.1.113733.1.9.2")
_PKI_STATUS = oid("2.16.840.1.113733.1.9.3")
_FAIL_INFO = oid("2.16.840.1.113733.1.9.4")
_SENDER_NONCE = oid("2.16.840.1.113733.1.9.5")
_RECIPIENT_NONCE = oid("2.16.840.1.113733.1.9.6")
_TRANSACTION_ID = oid("2.16.840.1.113733.1.9.7")
_CHALLENGE_PASSWORD = oid("1.2.840.113549.1.9.7")
_CERT_REP, _SUCCESS, _FAILURE = "3", "0", "2"
_NONCE_BYTES = 16
_MAX_NONCE_BYTES, _MAX_TEXT = 64, 256

# How each kind of string writes its characters (X.680 section 41; the old Teletex is Latin-1 wherever it is met).
_CODINGS = MappingProxyType({UTF8: "utf-8", PRINTABLE: "ascii", IA5: "ascii", TELETEX: "latin-1", BMP: "utf-16-be"})
# Source: RFC 4519 section 2, RFC 4514 section 3.
_NAMES = MappingProxyType(
    {
        oid("2.5.4.3"): "CN",
        oid("2.5.4.5"): "serialNumber",
        oid("2.5.4.6"): "C",
        oid("2.5.4.7"): "L",
        oid("2.5.4.8"): "ST",
        oid("2.5.4.10"): "O",
        oid("2.5.4.11"): "OU",
        oid("0.9.2342.19200300.100.1.1"): "UID",
    }
)


class ScepError(ReasonError):
    """A message is no request that could be answered.

    Args:
        reason: as ``CmsError`` and ``EnvelopeError`` have it, or ``kind`` (not a request for a certificate),
            ``signer`` (a renewal by a stranger) or ``request`` (the request is not signed with its own key).
    """


class RequestKind(StrEnum):
    """What is asked for: section 3.2.1.2, messageType."""

    ENROL = "19"
    RENEW = "17"


class FailInfo(IntEnum):
    """Why nothing is issued: section 3.2.1.4."""

    BAD_ALGORITHM = 0
    BAD_MESSAGE_CHECK = 1
    BAD_REQUEST = 2
    BAD_TIME = 3
    BAD_CERTIFICATE_ID = 4


@dataclass(frozen=True, slots=True)
class ScepRequest:
    """A readable request. Nothing in it has been judged, except that its signatures are right.

    Args:
        kind: a first certificate or a renewal.
        transaction_id: the client's name for this exchange.
        sender_nonce: the client's random number, which the answer repeats.
        signer: who signed: of a renewal a certificate of ours, else one the client made itself.
        public_key: the key to certify.
        subject: what the client calls itself, by the short names of the parts known here; the server chooses its own.
        challenge: the challenge password, None where none was sent. A secret: never logged.
        recipient: the CA the client knows, which signs the answer.
        cipher: how the answer is encrypted.
    """

    kind: RequestKind
    transaction_id: str
    sender_nonce: bytes
    signer: Signer
    public_key: PublicKey
    subject: Mapping[str, str]
    challenge: str | None
    recipient: DeviceCA
    cipher: ContentCipher


def capabilities() -> str:
    """Return the answer to GetCACaps, text/plain (section 3.5.2)."""
    words = ("POSTPKIOperation", "SHA-256", "SHA-1", "AES", "DES3", "SCEPStandard", "Renewal")
    return "".join(f"{word}\n" for word in words)


def read_request(message: bytes, authority: Authority, *, now: datetime) -> ScepRequest:
    """Return the request in ``message``.

    Args:
        message: the body of a PKIOperation, DER or BER.
        authority: whom it must be encrypted to, and who must have issued what signs a renewal.
        now: when it came.

    Raises:
        ScepError: it is none that could be answered.
    """
    try:
        return _request(open_signed(message), authority, now)
    except (CmsError, EnvelopeError) as error:
        raise ScepError(error.reason) from error
    except CertificateError as error:
        raise ScepError("signer") from error
    except SignatureError as error:
        raise ScepError("request") from error
    except BerError as error:
        raise ScepError("malformed") from error


def _request(signed: Signed, authority: Authority, now: datetime) -> ScepRequest:
    attributes = signed.attributes
    if not {_MESSAGE_TYPE, _TRANSACTION_ID, _SENDER_NONCE} <= attributes.keys():
        raise ScepError("malformed")
    kind = _text(attributes[_MESSAGE_TYPE])
    if kind not in set(RequestKind):
        raise ScepError("kind")
    if not isinstance(signed.certificate.key, rsa.RSAPublicKey):  # the answer could not be encrypted to it
        raise ScepError("algorithm")
    if kind == RequestKind.RENEW:
        authority.check(signed.certificate.der, now)
    transaction_id, nonce = _text(attributes[_TRANSACTION_ID]), attributes[_SENDER_NONCE].value
    if not transaction_id or not transaction_id.isascii() or not transaction_id.isprintable():
        raise ScepError("malformed")
    if not nonce or len(nonce) > _MAX_NONCE_BYTES:
        raise ScepError("malformed")
    opened = open_envelope(signed.content, authority.all)
    try:
        key, subject, challenge = _certification_request(opened.content)
    except BerError as error:  # said as a wrong key is said, see EnvelopeError
        raise ScepError("content") from error
    knows_aes = opened.cipher.block_bytes == AES_128.block_bytes
    return ScepRequest(
        RequestKind(kind),
        transaction_id,
        nonce,
        signed.signer,
        key,
        subject,
        challenge,
        opened.recipient,
        AES_128 if knows_aes else TRIPLE_DES,
    )


def _certification_request(request: bytes) -> tuple[PublicKey, Mapping[str, str], str | None]:
    """Return key, subject and challenge of a PKCS #10 request that is signed with its own key.

    The signature is checked over the bytes as they are: some clients' attributes stand in an order that DER forbids.
    Source: RFC 2986 section 4; RFC 2985 section 5.4.1 (challengePassword).
    """
    outer = read(request, SEQUENCE)
    signed = outer.take(SEQUENCE)
    algorithm = outer.take(SEQUENCE).inside().take(OID).value
    signature = bits(outer.take(BIT_STRING))
    outer.end()
    inside = signed.inside()
    inside.take(INTEGER)
    subject = _subject(inside.take(SEQUENCE))
    key = load_key(inside.take(SEQUENCE).encoding)
    attributes = inside.maybe(context(0))
    verify(key, algorithm, signature, signed.encoding, None)
    challenges = [
        _text(value)
        for attribute in (attributes.inside() if attributes else ())
        for value in _values(attribute, _CHALLENGE_PASSWORD)
    ]
    if len(challenges) > 1:
        raise BerError
    return key, subject, challenges[0] if challenges else None


def _values(attribute: Element, identifier: bytes) -> list[Element]:
    inside = attribute.inside()
    return list(inside.take(SET).inside()) if inside.take(OID).value == identifier else []


def _subject(name: Element) -> Mapping[str, str]:
    subject: dict[str, str] = {}
    for several in name.inside():
        for one in several.inside():
            inside = one.inside()
            known, value = _NAMES.get(inside.take(OID).value), inside.any()
            if known:
                subject.setdefault(known, _text(value))
    return MappingProxyType(subject)


def _text(element: Element) -> str:
    coding = _CODINGS.get(element.tag)
    if coding is None or len(element.value) > _MAX_TEXT:
        raise BerError
    try:
        return element.value.decode(coding)
    except UnicodeDecodeError as error:
        raise BerError from error


def success(request: ScepRequest, certificate: x509.Certificate) -> bytes:
    """Return the answer that brings ``certificate``, readable by the request's signer only (section 3.3.2.1).

    It holds the issued certificate and no other: clients take the first one they find, which need not be ours.
    """
    issued = certificates_only(certificate.public_bytes(Encoding.DER))
    content = envelope(issued, read_certificate(request.signer.certificate), request.cipher)
    return sign(content, _answer(request, _SUCCESS), request.recipient)


def failure(request: ScepRequest, fail_info: FailInfo) -> bytes:
    """Return the answer that brings no certificate and says why, as far as the protocol has words (section 3.3.2.2)."""
    told = (_FAIL_INFO, der(PRINTABLE, str(int(fail_info)).encode()))
    return sign(None, (*_answer(request, _FAILURE), told), request.recipient)


def _answer(request: ScepRequest, status: str) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (_MESSAGE_TYPE, der(PRINTABLE, _CERT_REP.encode())),
        (_PKI_STATUS, der(PRINTABLE, status.encode())),
        (_TRANSACTION_ID, der(PRINTABLE, request.transaction_id.encode())),
        (_RECIPIENT_NONCE, der(OCTET_STRING, request.sender_nonce)),
        (_SENDER_NONCE, der(OCTET_STRING, secrets.token_bytes(_NONCE_BYTES))),
    )
