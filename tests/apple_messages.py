"""Messages as tablets' built-in clients make them, odd ones too: signed bodies, SCEP requests, readers of answers.

Written from the standards and apart from the server's code, so that the two check each other. Every oddness is a
switch: lengths said only at the end, strings in pieces, old digests and ciphers, attributes in any order.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from asn1crypto import cms as asn1_cms
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
NULL = b"\x05\x00"

HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - tablets sign with it
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_DIGEST_OIDS = {
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_RSA_OIDS = {
    "sha1": "1.2.840.113549.1.1.5",
    "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
}
_ECDSA_OIDS = {
    "sha1": "1.2.840.10045.4.1",
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}
RSA_OID, EC_OID = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1"
DATA_OID, SIGNED_OID, ENVELOPED_OID = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2", "1.2.840.113549.1.7.3"
CONTENT_TYPE_OID, DIGEST_OID, TIME_OID = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.5"
CHALLENGE_OID, EXTENSIONS_OID = "1.2.840.113549.1.9.7", "1.2.840.113549.1.9.14"
SCEP_OID = "2.16.840.1.113733.1.9"
CIPHERS = {
    "des": ("1.3.14.3.2.7", 8, 8),
    "3des": ("1.2.840.113549.3.7", 24, 8),
    "aes128": ("2.16.840.1.101.3.4.1.2", 16, 16),
    "aes192": ("2.16.840.1.101.3.4.1.22", 24, 16),
    "aes256": ("2.16.840.1.101.3.4.1.42", 32, 16),
}

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def tlv(tag: int, *parts: bytes, open_ended: bool = False) -> bytes:
    """Return one element; with ``open_ended`` its length is said only by the two zeros at its end."""
    value = b"".join(parts)
    if open_ended:
        return bytes((tag, 0x80)) + value + b"\0\0"
    if len(value) < 128:
        return bytes((tag, len(value))) + value
    length = len(value).to_bytes((len(value).bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + value


def oid(dotted: str) -> bytes:
    """Return an object identifier, tag and length included."""
    return bytes(core.ObjectIdentifier(dotted).dump())


def algorithm(dotted: str, parameters: bytes = NULL) -> bytes:
    """Return an algorithm identifier."""
    return tlv(0x30, oid(dotted), parameters)


def attribute(dotted: str, *values: bytes) -> bytes:
    """Return an attribute with its set of values."""
    return tlv(0x30, oid(dotted), tlv(0x31, *values))


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the test run's RSA key ``number``: made once, as making one takes long."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """Return the test run's P-256 key ``number``."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Identity:
    """A key and a certificate for it."""

    key: Key
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def name(self) -> str:
        """How the server calls it."""
        return hashlib.sha256(self.der).hexdigest()


def self_signed(
    key: Key,
    *,
    common_name: str = "SCEP SIGNER",
    now: datetime = NOW,
    serial: int = 1,
    key_id: bool = True,
    filling_bytes: int = 0,
) -> Identity:
    """Return a certificate that a client makes for itself, for one day, as large as one likes."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
    if key_id:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if filling_bytes:
        filling = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(filling_bytes))
        builder = builder.add_extension(filling, critical=False)
    return Identity(key, builder.sign(key, hashes.SHA256()))


@dataclass(frozen=True)
class Shape:
    """How a client signs.

    Args:
        digest: sha1, sha256, sha384 or sha512.
        has_attributes: whether content type, time and digest are signed instead of the content itself.
        names_digest: whether the signature's algorithm names the digest (sha1WithRSAEncryption) or not (rsaEncryption).
        open_ended: whether lengths of the outer elements are said only at their ends.
        piece_bytes: length of the pieces that strings come in, None for whole ones.
        by_key_id: whether signer and recipient are meant by key identifiers instead of issuers and serial numbers.
    """

    digest: str = "sha1"
    has_attributes: bool = False
    names_digest: bool = False
    open_ended: bool = False
    piece_bytes: int | None = None
    by_key_id: bool = False


# As iPads were seen to sign their messages, and as an open simulator does.
IPAD = Shape(open_ended=True)
SIMULATOR = Shape(has_attributes=True, names_digest=True)


@dataclass(frozen=True)
class Oddness:
    """What may be wrong with, or added to, a signed message.

    Args:
        certificates: what is included instead of the signer's certificate.
        extra: signed attributes beside content type, time and digest.
        attributes: signed attributes instead of all others.
        digest: what is told as the content's digest instead of the right one.
        signers: how many times the signer signs.
        content_type: what is said to be signed.
    """

    certificates: Sequence[bytes] | None = None
    extra: Sequence[bytes] = ()
    attributes: Sequence[bytes] | None = None
    digest: bytes | None = None
    signers: int = 1
    content_type: str = DATA_OID


def sign_with(key: Key, content: bytes, digest: str) -> bytes:
    """Return a signature as RSA with PKCS #1 padding or as ECDSA."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(content, PKCS1v15(), HASHES[digest])
    return key.sign(content, ec.ECDSA(HASHES[digest]))


def _string(content: bytes, shape: Shape, primitive: int = 0x04, constructed: int = 0x24) -> bytes:
    if shape.piece_bytes is None:
        return tlv(primitive, content)
    starts = range(0, len(content), shape.piece_bytes)
    pieces = [tlv(0x04, content[at : at + shape.piece_bytes]) for at in starts]
    return tlv(constructed, *pieces, open_ended=shape.open_ended)


def _signature_algorithm(key: Key, shape: Shape) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return algorithm(_RSA_OIDS[shape.digest] if shape.names_digest else RSA_OID)
    return algorithm(_ECDSA_OIDS[shape.digest] if shape.names_digest else EC_OID, b"")


def _identifier(certificate: x509.Certificate, shape: Shape) -> bytes:
    if shape.by_key_id:
        key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        return tlv(0x80, key_id)
    serial = bytes(core.Integer(certificate.serial_number).dump())
    return tlv(0x30, certificate.issuer.public_bytes(), serial)


def signed_message(
    content: bytes, signer: Identity, shape: Shape, *, attached: bool, odd: Oddness | None = None
) -> bytes:
    """Return SignedData over ``content``, with or without it."""
    odd = odd or Oddness()
    told = hashlib.new(shape.digest, content).digest() if odd.digest is None else odd.digest
    attributes = [
        attribute(CONTENT_TYPE_OID, oid(odd.content_type)),
        attribute(TIME_OID, tlv(0x17, b"261130090000Z")),
        attribute(DIGEST_OID, tlv(0x04, told)),
        *odd.extra,
    ]
    inside = b"".join(sorted(attributes) if odd.attributes is None else odd.attributes)
    signed, shown = (tlv(0x31, inside), tlv(0xA0, inside)) if shape.has_attributes else (content, b"")
    info = tlv(
        0x30,
        b"\x02\x01\x01",
        _identifier(signer.certificate, shape),
        algorithm(_DIGEST_OIDS[shape.digest]),
        shown,
        _signature_algorithm(signer.key, shape),
        tlv(0x04, sign_with(signer.key, signed, shape.digest)),
    )
    loose = shape.open_ended
    held = tlv(0xA0, _string(content, shape), open_ended=loose) if attached else b""
    certificates = [signer.der] if odd.certificates is None else odd.certificates
    inner = tlv(
        0x30,
        b"\x02\x01\x01",
        tlv(0x31, algorithm(_DIGEST_OIDS[shape.digest])),
        tlv(0x30, oid(odd.content_type), held, open_ended=loose),
        tlv(0xA0, *certificates, open_ended=loose) if certificates else b"",
        tlv(0x31, *[info] * odd.signers),
        open_ended=loose,
    )
    return tlv(0x30, oid(SIGNED_OID), tlv(0xA0, inner, open_ended=loose), open_ended=loose)


def certification_request(
    key: Key,
    *,
    challenge: str | None = "open-sesame",
    common_name: str = "SIM0001",
    digest: str = "sha256",
    in_order: bool = True,
    signed_by: Key | None = None,
) -> bytes:
    """Return a PKCS #10 request; without ``in_order`` its attributes stand in an order that DER forbids."""
    names = (
        (NameOID.ORGANIZATION_NAME, "School"),
        (NameOID.EMAIL_ADDRESS, "it@school.example"),
        (NameOID.COMMON_NAME, common_name),
    )
    subject = x509.Name([x509.NameAttribute(*name) for name in names])
    usage = tlv(0x30, tlv(0x30, oid("2.5.29.15"), tlv(0x04, b"\x03\x02\x05\xa0")))
    attributes = [attribute(EXTENSIONS_OID, usage)]
    if challenge is not None:
        attributes.append(attribute(CHALLENGE_OID, tlv(0x13, challenge.encode())))
    attributes.sort(reverse=not in_order)
    info = tlv(
        0x30,
        b"\x02\x01\x00",
        subject.public_bytes(),
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        tlv(0xA0, *attributes),
    )
    signer = signed_by or key
    named = _signature_algorithm(signer, Shape(digest=digest, names_digest=True))
    return tlv(0x30, info, named, tlv(0x03, b"\0", sign_with(signer, info, digest)))


def _cipher(name: str, key: bytes, vector: bytes) -> Cipher[CBC]:
    if name.startswith("aes"):
        return Cipher(AES(key), CBC(vector))
    return Cipher(TripleDES(key * 3 if name == "des" else key), CBC(vector))


def enveloped(
    content: bytes,
    recipient: x509.Certificate,
    cipher: str,
    shape: Shape,
    *,
    content_key: bytes | None = None,
    others: Sequence[bytes] = (),
) -> bytes:
    """Return EnvelopedData.

    Args:
        content: what is in it.
        recipient: whom it is for.
        cipher: one of ``CIPHERS``.
        shape: how lengths, strings and the recipient are written.
        content_key: what is told to the recipient instead of the right key.
        others: recipients before this one, encoded.
    """
    dotted, key_bytes, block_bytes = CIPHERS[cipher]
    key, vector = secrets.token_bytes(key_bytes), secrets.token_bytes(block_bytes)
    padder = PKCS7(block_bytes * 8).padder()
    encryptor = _cipher(cipher, key, vector).encryptor()
    encrypted = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
    public = recipient.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    for_whom = tlv(
        0x30,
        b"\x02\x01\x00",
        _identifier(recipient, shape),
        algorithm(RSA_OID),
        tlv(0x04, public.encrypt(key if content_key is None else content_key, PKCS1v15())),
    )
    loose = shape.open_ended
    what = tlv(
        0x30,
        oid(DATA_OID),
        algorithm(dotted, tlv(0x04, vector)),
        _string(encrypted, shape, 0x80, 0xA0),
        open_ended=loose,
    )
    inner = tlv(0x30, b"\x02\x01\x00", tlv(0x31, *others, for_whom), what, open_ended=loose)
    return tlv(0x30, oid(ENVELOPED_OID), tlv(0xA0, inner, open_ended=loose), open_ended=loose)


@dataclass(frozen=True)
class ScepClient:
    """One client's way of asking for a certificate.

    Args:
        identity: what it signs with: one it made for itself, or, to renew, the present one.
        cipher: what it encrypts with.
        shape: how it signs.
        envelope: how the envelope is written, None for as the rest.
        transaction_id: its name for the exchange.
        nonce: its random number.
    """

    identity: Identity
    cipher: str = "aes128"
    shape: Shape = field(default_factory=lambda: Shape("sha256", has_attributes=True))
    envelope: Shape | None = None
    transaction_id: str = "6B86B273FF34FCE19D6B804EFF5A3F57"
    nonce: bytes = bytes(range(16))

    def request(self, ca: x509.Certificate, csr: bytes, *, kind: str = "19", odd: Sequence[bytes] = ()) -> bytes:
        """Return the message that asks ``ca`` for what ``csr`` says."""
        return self.wrap(enveloped(csr, ca, self.cipher, self.envelope or self.shape), kind=kind, odd=odd)

    def wrap(self, content: bytes, *, kind: str = "19", odd: Sequence[bytes] = ()) -> bytes:
        """Return the message around an envelope."""
        extra = [
            attribute(f"{SCEP_OID}.2", tlv(0x13, kind.encode())),
            attribute(f"{SCEP_OID}.7", tlv(0x13, self.transaction_id.encode())),
            attribute(f"{SCEP_OID}.5", tlv(0x04, self.nonce)),
            *odd,
        ]
        return signed_message(content, self.identity, self.shape, attached=True, odd=Oddness(extra=extra))


# As three programs of today were seen to ask.
SIMULATOR_SCEP = ("des", SIMULATOR, Shape())
DEBIAN_SCEP = ("des", SIMULATOR, Shape(piece_bytes=10_000))  # encrypted content in pieces, though only one
STRONGSWAN_SCEP = ("3des", Shape("sha256", has_attributes=True), Shape())


@dataclass(frozen=True)
class ScepAnswer:
    """A SCEP answer whose signature is right."""

    attributes: dict[str, tuple[str, bytes]]
    content: bytes | None
    signature_algorithm: str
    digest: str
    certificates: list[bytes]

    def text(self, number: int) -> str:
        """Return the SCEP attribute ``number``, which must be a PrintableString."""
        kind, value = self.attributes[f"{SCEP_OID}.{number}"]
        assert kind == "PrintableString"
        return value.decode()

    def octets(self, number: int) -> bytes:
        """Return the SCEP attribute ``number``, which must be an OCTET STRING."""
        kind, value = self.attributes[f"{SCEP_OID}.{number}"]
        assert kind == "OctetString"
        return value


def read_scep_answer(message: bytes, ca: x509.Certificate) -> ScepAnswer:
    """Return the answer in ``message`` that ``ca`` signed; fails where it is not signed as it should be."""
    data = asn1_cms.ContentInfo.load(message, strict=True)["content"]
    (info,) = data["signer_infos"]
    content = data["encap_content_info"]["content"].native
    signed = info["signed_attrs"].untag().dump()
    public = ca.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    digest = info["digest_algorithm"]["algorithm"].native
    assert info["sid"].chosen["serial_number"].native == ca.serial_number
    public.verify(info["signature"].native, signed, PKCS1v15(), HASHES[digest])
    attributes = {}
    for one in info["signed_attrs"]:
        (value,) = one["values"]
        parsed = value.parsed if isinstance(value, core.Any) else value
        attributes[one["type"].dotted] = (type(parsed).__name__, parsed.contents)
    assert attributes[DIGEST_OID][1] == hashlib.new(digest, content or b"").digest()
    return ScepAnswer(
        attributes,
        content,
        info["signature_algorithm"]["algorithm"].dotted,
        digest,
        [one.chosen.dump() for one in data["certificates"]],
    )


def open_scep_content(content: bytes, identity: Identity) -> tuple[str, x509.Certificate]:
    """Return the cipher's name and the one certificate in the envelope of a SCEP answer."""
    data = asn1_cms.ContentInfo.load(content, strict=True)["content"]
    (recipient,) = data["recipient_infos"]
    assert recipient.chosen["rid"].chosen["serial_number"].native == identity.certificate.serial_number
    assert isinstance(identity.key, rsa.RSAPrivateKey)
    key = identity.key.decrypt(recipient.chosen["encrypted_key"].native, PKCS1v15())
    info = data["encrypted_content_info"]
    chosen = info["content_encryption_algorithm"]
    name, block = next(
        (name, block) for name, (dotted, _, block) in CIPHERS.items() if dotted == chosen["algorithm"].dotted
    )
    decryptor = _cipher(name, key, chosen["parameters"].native).decryptor()
    padded = decryptor.update(info["encrypted_content"].native) + decryptor.finalize()
    unpadder = PKCS7(block * 8).unpadder()
    inner = asn1_cms.ContentInfo.load(unpadder.update(padded) + unpadder.finalize(), strict=True)["content"]
    (certificate,) = inner["certificates"]
    assert len(inner["signer_infos"]) == 0
    return name, x509.load_der_x509_certificate(certificate.chosen.dump())
