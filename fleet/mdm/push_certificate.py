"""The push certificate: with it the vendor's push service lets us wake tablets, and knows which tablets are ours.

What the administrator does, once and then every year: (1) has us make a request (:func:`make_request`); its key never
leaves this server; (2) has the request signed by somebody with a vendor certificate; (3) uploads the signed request at
https://identity.apple.com/pushcert with the municipality's own Apple account: a new one the first time, *Renew* on the
same line every time after; (4) gives us the certificate downloaded there (:func:`read`). The account is not named in
the certificate: write down which one it was, for another account gets another topic.

Invariants: a :class:`PushCertificate` has a topic and a private key that fits. A certificate with another topic orphans
every tablet enrolled with the present one, so :func:`check_renewal` refuses it. Where keys are kept is not told here.

Source: https://developer.apple.com/documentation/devicemanagement/setting-up-push-notifications-for-your-mdm-customers.
"""

import secrets
import ssl
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from fleet.errors import InvalidError
from fleet.mdm import running_out

# Source: the topic of device management; mdm/profiles/com.apple.mdm.yaml, Topic.
_TOPIC_PREFIX = "com.apple.mgmt."
_MAX_UPLOAD_BYTES = 64 * 1024  # a certificate has about two kilobytes; people upload its chain with it
_KEY_BITS = 2048  # what the portal takes. Source: the page above
_PEM_MARK = b"-----BEGIN"
# What the library raises on certificates with some bytes changed.
_DAMAGED = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, CryptographyDeprecationWarning)


class PushCertificateError(InvalidError):
    """An uploaded push certificate that must not be used. Data: ``reason``, and what the reason needs.

    ``reason`` is one of: ``unreadable``; ``topic-missing`` (some other certificate); ``key`` (not made from our
    request); ``expired`` (``expired_at``); ``topic`` (``current``, ``new``); ``older`` (``current_at``, ``new_at``: it
    runs out sooner than the present one).
    """

    code = "push-certificate"


@dataclass(frozen=True, slots=True)
class PushRequest:
    """What is made first.

    Args:
        key: stays here.
        csr_der: PKCS #10, to be signed by a vendor.
    """

    key: rsa.RSAPrivateKey = field(repr=False)
    csr_der: bytes

    @property
    def csr_pem(self) -> bytes:
        """The same for people to carry: PEM."""
        return x509.load_der_x509_csr(self.csr_der).public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, slots=True)
class PushCertificate:
    """A push certificate with its key.

    Args:
        certificate: as the portal made it.
        key: its private key.
        topic: whose tablets it wakes.
        owner: e-mail address or name in its subject; None where there is none.
        serial: lower-case hex.
        expires_at: from then on the push service refuses us.
    """

    certificate: x509.Certificate = field(repr=False)
    key: rsa.RSAPrivateKey = field(repr=False)
    topic: str
    owner: str | None
    serial: str
    expires_at: datetime

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def days_left(self, now: datetime) -> int:
        """Return how many whole days it can still be used; negative once it has run out."""
        return running_out.days_left(self.expires_at, now)

    def warning_step(self, now: datetime) -> int | None:
        """Return which warning has begun (:func:`~fleet.mdm.running_out.warning_step`)."""
        return running_out.warning_step(self.expires_at, now)

    def client_context(self, *, trusted_pem: str | None = None) -> ssl.SSLContext:
        """Return the TLS settings to speak to the push service with this certificate, HTTP/2 only.

        Args:
            trusted_pem: authorities the push service's own certificate may come from; None: those of this machine.

        Source: RFC 9113, 3.2 and 9.2 (ALPN ``h2``, TLS 1.2 at least).
        """
        context = ssl.create_default_context(cadata=trusted_pem)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        # The library reads keys from files only: it is there for a moment, for us alone, and of no use without the
        # password that no file holds.
        password = secrets.token_bytes(32).hex().encode()
        encrypted = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )
        with tempfile.TemporaryDirectory() as folder:
            chain = Path(folder) / "push.pem"
            chain.write_bytes(encrypted + self.pem)
            context.load_cert_chain(chain, password=password)
        return context


def make_request(*, email: str, organisation: str, country: str = "NO") -> PushRequest:
    """Return a new key and the request for its certificate.

    Args:
        email: whom to write to about it; shown by nobody but the vendor's portal.
        organisation: the municipality, as the certificate's common name.
        country: two letters, ISO 3166.

    Raises:
        ValueError: a value does not fit into a certificate's subject (too long, or empty).

    Source: RFC 2986; RSA and SHA-256 as the portal asks.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, country),
            x509.NameAttribute(NameOID.COMMON_NAME, organisation),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, email),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return PushRequest(key, request.public_bytes(serialization.Encoding.DER))


def read(uploaded: bytes, keys: Iterable[rsa.RSAPrivateKey], *, now: datetime) -> PushCertificate:
    """Return the push certificate in an upload: PEM, perhaps with its chain or text around it, or DER.

    Args:
        uploaded: the file as it came.
        keys: those of our requests, and the present certificate's.
        now: to tell one that has run out.

    Raises:
        PushCertificateError: it is unreadable, no push certificate, of another's key, or has run out.
    """
    candidates = [(one, topic) for one in _certificates(uploaded) if (topic := _topic(one)) is not None]
    if not candidates:
        raise PushCertificateError(reason="topic-missing")
    ours = {_public(key.public_key()): key for key in keys}
    fitting = [(one, topic, ours[public]) for one, topic in candidates if (public := _public_of(one)) in ours]
    if not fitting:
        raise PushCertificateError(reason="key")
    certificate, topic, key = fitting[0]
    expires_at = certificate.not_valid_after_utc
    if now >= expires_at:
        raise PushCertificateError(reason="expired", expired_at=expires_at)
    return PushCertificate(certificate, key, topic, _owner(certificate), f"{certificate.serial_number:x}", expires_at)


def check_renewal(current: PushCertificate, new: PushCertificate) -> None:
    """Refuse a certificate that may not take the present one's place; the very same one may.

    Raises:
        PushCertificateError: another topic, or it runs out sooner.
    """
    if new.topic != current.topic:
        raise PushCertificateError(reason="topic", current=current.topic, new=new.topic)
    if new.expires_at < current.expires_at:
        raise PushCertificateError(reason="older", current_at=current.expires_at, new_at=new.expires_at)


def _certificates(uploaded: bytes) -> list[x509.Certificate]:
    if len(uploaded) > _MAX_UPLOAD_BYTES:
        raise PushCertificateError(reason="unreadable")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", CryptographyDeprecationWarning)  # what it will soon refuse we refuse now
            if _PEM_MARK in uploaded:
                return x509.load_pem_x509_certificates(uploaded)
            return [x509.load_der_x509_certificate(uploaded)]
    except _DAMAGED as error:
        raise PushCertificateError(reason="unreadable") from error


def _values(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    try:
        attributes = certificate.subject.get_attributes_for_oid(oid)
    except _DAMAGED as error:  # names are read only when asked for
        raise PushCertificateError(reason="unreadable") from error
    return [attribute.value for attribute in attributes if isinstance(attribute.value, str) and attribute.value]


def _topic(certificate: x509.Certificate) -> str | None:
    """Return the topic, None where it is another kind of certificate.

    Source: mdm/profiles/com.apple.mdm.yaml, Topic: the user id in the push certificate's subject.
    """
    topics = [value for value in _values(certificate, NameOID.USER_ID) if value.startswith(_TOPIC_PREFIX)]
    return topics[0] if len(topics) == 1 else None


def _owner(certificate: x509.Certificate) -> str | None:
    found = [*_values(certificate, NameOID.EMAIL_ADDRESS), *_values(certificate, NameOID.COMMON_NAME)]
    return found[0] if found else None


def _public(key: rsa.RSAPublicKey) -> bytes:
    """Return what two equal keys have in common."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _public_of(certificate: x509.Certificate) -> bytes | None:
    """Return the same of a certificate's key; None for one of a kind that ours never are, or that cannot be read."""
    try:
        key = certificate.public_key()
    except _DAMAGED:
        return None
    return _public(key) if isinstance(key, rsa.RSAPublicKey) else None
