"""Our own device CA: it names tablets that bring no agent of ours, by certificates that only this server takes.

The CA's key lives in the data directory, sealed with the vault key, one file for each CA; the highest number signs now.
Former ones stay trusted until the last certificate they issued has run out, so that a new CA orphans no tablet. What a
certificate stands for, and whether it has been revoked, is known elsewhere: here it is ours, in date and a client's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleet.crypto import open_sealed, read_or_create, seal
from fleet.errors import ReasonError
from fleet.mdm import ber
from fleet.mdm.ber import BIT_STRING, BerError, algorithm, oid, sequence
from fleet.mdm.certificates import Certificate, PublicKey, SignatureError, read_certificate, verify

# RSA, because a SCEP client encrypts its request to the CA's key (RFC 8894 section 3.1). 3072 bits, because the key is
# used for ten years: NIST SP 800-57 part 1 gives 2048 bits until 2030. A signature is made once for each enrolment and
# checked once for each certificate and process, so its cost does not count.
_CA_BITS = 3072
_CA_LIFE = timedelta(days=10 * 365)
# An iPad whose certificate has run out can only be enrolled anew, by hand. Two years leave room for one that lay in a
# cupboard for a whole school year, with renewal every year. Nothing is gained by less: a certificate that shall count
# no more is unbound at once on this server, the only place where it counts.
CERTIFICATE_LIFE = timedelta(days=2 * 365)
# A tablet's clock may be a little behind ours when it looks at its new certificate.
_BACKDATED = timedelta(hours=1)
_LEAST_RSA_BITS = 2048
# A server that has not been started since a rotation still issues by the former CA.
_OVERLAP = timedelta(days=30)
_SHA256_WITH_RSA = algorithm(oid("1.2.840.113549.1.1.11"))  # the one way that we issue
_REMEMBERED = 8192  # as many as certificates are remembered


class CertificateError(ReasonError):
    """A certificate does not make its holder one of our tablets.

    Args:
        reason: ``foreign`` (none of our CAs issued it), ``expired``, ``not-yet`` or ``not-a-client``; or, before one is
            looked at, ``unreadable`` (no certificate was told) or ``ambiguous`` (two, of different tablets).
    """


class WeakKeyError(Exception):
    """A tablet wants a certificate for a key that is too small or of another kind."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate that our device CA issued.

    Args:
        name: lower-case hex SHA-256 of the certificate.
        not_before: from when it counts.
        not_after: when it runs out.
    """

    name: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, eq=False)
class DeviceCA:
    """One CA: the present one or a former one.

    Args:
        certificate: its own, signed by itself.
        key: what it signs with, and opens SCEP requests.
        summary: its certificate as strangers' are read, to compare them with.
    """

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    summary: Certificate

    @property
    def der(self) -> bytes:
        """Its certificate as clients get it."""
        return self.summary.der


@dataclass(frozen=True, slots=True, eq=False)
class Authority:
    """The device CA of today and those whose certificates are still about.

    Args:
        current: the one that issues.
        former: the others, newest first.
    """

    current: DeviceCA
    former: tuple[DeviceCA, ...] = ()

    @property
    def all(self) -> tuple[DeviceCA, ...]:
        """Every CA that is trusted, the present one first."""
        return (self.current, *self.former)

    @property
    def rotate_by(self) -> datetime:
        """When a new CA should stand: from then on certificates would live shorter than they should."""
        return self.current.certificate.not_valid_after_utc - CERTIFICATE_LIFE

    def issue(
        self, public_key: PublicKey, *, subject_name: str, now: datetime, not_after: datetime | None = None
    ) -> x509.Certificate:
        """Return a new certificate for a tablet.

        Args:
            public_key: the tablet's, which it has proved to own.
            subject_name: its common name, 1 to 64 characters: the server's choice, whatever the tablet asked for.
            now: from when it counts, less an hour.
            not_after: when it runs out: never later than in two years, nor than the CA itself.

        Raises:
            WeakKeyError: the key is RSA of less than 2048 bits.

        Source: RFC 5280 section 4.2; clientAuth (section 4.2.1.12) is what other servers of this kind insist on.
        """
        if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size < _LEAST_RSA_BITS:
            raise WeakKeyError
        ca = self.current
        longest = now + CERTIFICATE_LIFE
        last = min(not_after or longest, longest, ca.certificate.not_valid_after_utc)
        builder = _builder(public_key, subject_name, ca.certificate.subject, (now - _BACKDATED, last))
        return (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
            .sign(ca.key, SHA256())
        )

    def check(self, certificate: bytes, now: datetime) -> Identity:
        """Return the identity that ``certificate`` (DER) gives its holder now.

        Raises:
            CertificateError: it gives none.
        """
        try:
            read = read_certificate(certificate)
        except BerError as error:
            raise CertificateError("foreign") from error
        for ca in self.all:
            if ca.summary.subject == read.issuer:
                identity, is_client = _issued(certificate, ca.summary)
                break
        else:
            raise CertificateError("foreign")
        if not is_client:
            raise CertificateError("not-a-client")
        if now < identity.not_before:
            raise CertificateError("not-yet")
        if now > identity.not_after:
            raise CertificateError("expired")
        return identity


@lru_cache(maxsize=_REMEMBERED)
def _issued(der: bytes, ca: Certificate) -> tuple[Identity, bool]:
    """Return what ``ca`` certified and whether for a client. Only what it signed is read as a whole certificate."""
    read = read_certificate(der)
    # What stands around the signed part could be written in several ways; only as we wrote it is it ours, so that no
    # certificate has a second name.
    if der != sequence(read.signed, _SHA256_WITH_RSA, ber.der(BIT_STRING, b"\0", read.signature)):
        raise CertificateError("foreign")
    try:
        verify(ca.key, read.signature_algorithm, read.signature, read.signed, None)
    except SignatureError as error:
        raise CertificateError("foreign") from error
    certificate = x509.load_der_x509_certificate(der)
    identity = Identity(read.name, certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    usages = [one.value for one in certificate.extensions if isinstance(one.value, x509.ExtendedKeyUsage)]
    return identity, any(ExtendedKeyUsageOID.CLIENT_AUTH in usage for usage in usages)


class _Stored(msgspec.Struct):
    """One CA as it lies in the data directory: the certificate for anybody to look at, the key sealed."""

    certificate: str
    sealed_key: bytes


def load(secrets_dir: Path, vault_key: bytes, *, now: datetime) -> Authority:
    """Return the server's device CA with those it replaced, made at the first start.

    Raises:
        PermissionError: a file can be read by others.
        UnsealError: the vault key is another one than the CA's key was sealed with.
        ValueError: a file is not what was written.
    """
    directory = secrets_dir / "device-ca"
    if not _files(directory):
        _create(directory, 1, vault_key, now)
    return _load(directory, vault_key, now)


def rotate(secrets_dir: Path, vault_key: bytes, *, now: datetime) -> Authority:
    """Make a new CA, which issues from now on; return all that are trusted.

    Those it replaces stay trusted, and open requests encrypted to them, until what they issued has run out; files of
    those for which that is past are removed. Other processes follow at their next start. Where a CA's key has become
    known to somebody, rotate and remove its file: every tablet it certified must then be enrolled anew.

    Raises:
        FileNotFoundError: there is no CA yet.
        PermissionError: as ``load``.
        UnsealError: as ``load``.
    """
    directory = secrets_dir / "device-ca"
    files = _files(directory)
    if not files:
        raise FileNotFoundError(f"{directory} has no CA that could be replaced")
    _create(directory, int(files[-1].stem) + 1, vault_key, now)
    authority = _load(directory, vault_key, now)
    for past in _files(directory)[: -len(authority.all)]:
        past.unlink()
    return authority


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("[0-9][0-9][0-9][0-9].json"))


def _create(directory: Path, number: int, vault_key: bytes, now: datetime) -> None:
    key = rsa.generate_private_key(65537, _CA_BITS)
    certificate = _own_certificate(key, now)
    secret = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    sealed = seal(vault_key, secret, purpose=_purpose(certificate))
    stored = _Stored(certificate.public_bytes(Encoding.PEM).decode(), sealed)
    read_or_create(directory / f"{number:04}.json", msgspec.json.encode(stored))


def _load(directory: Path, vault_key: bytes, now: datetime) -> Authority:
    """Return the newest CA and, of the others, those whose certificates may still be about."""
    newest, *others = (_read(path, vault_key) for path in reversed(_files(directory)))
    former = []
    successor = newest
    for ca in others:
        if now > successor.certificate.not_valid_before_utc + _OVERLAP + CERTIFICATE_LIFE:
            break
        former.append(ca)
        successor = ca
    return Authority(newest, tuple(former))


def _read(path: Path, vault_key: bytes) -> DeviceCA:
    stored = msgspec.json.decode(read_or_create(path, b""), type=_Stored)
    certificate = x509.load_pem_x509_certificate(stored.certificate.encode())
    secret = open_sealed(vault_key, stored.sealed_key, purpose=_purpose(certificate))
    # Sealed by ourselves, so it is as we made it; to try its primes again would take longer than all else of a start.
    key = load_der_private_key(secret, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{path.name} holds no RSA key")
    return DeviceCA(certificate, key, read_certificate(certificate.public_bytes(Encoding.DER)))


def _purpose(certificate: x509.Certificate) -> str:
    return f"device-ca/{certificate.fingerprint(SHA256()).hex()}"


def _own_certificate(key: rsa.RSAPrivateKey, now: datetime) -> x509.Certificate:
    """Return a CA's certificate, with the usages that SCEP has the same key for (RFC 8894 section 2.1.2)."""
    # Each CA has a name of its own, so that a certificate says which one issued it.
    name = f"Tablet device CA {x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()[:16]}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        _builder(key.public_key(), name, subject, (now - _BACKDATED, now + _CA_LIFE))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, SHA256())
    )


def _builder(
    public_key: PublicKey, common_name: str, issuer: x509.Name, life: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(life[0])
        .not_valid_after(life[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
