"""The push certificate of this server: one file in the data directory, sealed.

Invariant: it is replaced only by one of the same topic (:func:`~fleet.mdm.push_certificate.check_renewal`),
for every iPad that is enrolled is bound to that.
"""

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.mdm import push_certificate
from fleet.mdm.push_certificate import PushCertificate
from fleet.mdm.sealed_file import SealedFile

_PURPOSE, _ASKED = "push-certificate", "push-request"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # what stands here was judged when it came


class PushKeeper:
    """Keeps the push certificate.

    Args:
        secrets_dir: where secrets live.
        vault_key: seals it.
    """

    def __init__(self, secrets_dir: Path, vault_key: bytes) -> None:
        present, asked = secrets_dir / "push-certificate.sealed", secrets_dir / "push-request.sealed"
        self._present = SealedFile(present, vault_key, purpose=_PURPOSE, read=_certificate)
        self._asked = SealedFile(asked, vault_key, purpose=_ASKED, read=_key)

    def current(self) -> PushCertificate | None:
        """Return the certificate, also one that has run out; None where none was uploaded.

        Another process may have replaced it meanwhile.
        """
        return self._present.current()

    def topic(self) -> str | None:
        """Return its topic, None where there is none."""
        found = self.current()
        return found.topic if found is not None else None

    def ask(self, *, email: str, organisation: str) -> bytes:
        """Return a request for a certificate, PEM; its key waits here, in the place of one that waited.

        Args:
            email: whom to write to about it.
            organisation: the municipality.

        Raises:
            ValueError: one of them does not fit into a certificate.
        """
        made = push_certificate.make_request(email=email, organisation=organisation)
        self._asked.keep(_pem(made.key))
        return made.csr_pem

    def take(self, uploaded: bytes, *, by: Principal, now: datetime) -> PushCertificate:
        """Keep what Apple's portal has made of a request from now on.

        Args:
            uploaded: the file, PEM or DER.
            by: who brings it.
            now: the instant.

        Raises:
            ForbiddenError: ``by`` does not run the server.
            PushCertificateError: it is of another key or topic, has run out, or is none.
        """
        require(by, Permission.EDIT_MUNICIPALITY)
        present = self.current()
        keys = [present.key] if present is not None else []
        waiting = self._asked.current()
        if waiting is not None:
            keys.append(waiting)
        new = push_certificate.read(uploaded, keys, now=now)
        self.keep(new)
        self._asked.forget()
        audit.record(
            by, "mdm.push-certificate-set", subject="push-certificate", now=now, name=new.topic,
            ends_at=new.expires_at.isoformat(),
        )  # fmt: skip
        return new

    def keep(self, new: PushCertificate) -> None:
        """Keep a certificate from now on.

        Raises:
            PushCertificateError: it is of another topic than the present one, which would orphan every iPad.
        """
        present = self.current()
        if present is not None:
            push_certificate.check_renewal(present, new)
        self._present.keep(_pem(new.key) + new.pem)


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(pem: bytes) -> PushCertificate:
    return push_certificate.read(pem, [_key(pem)], now=_LONG_AGO)


def _key(pem: bytes) -> rsa.RSAPrivateKey:
    found = serialization.load_pem_private_key(pem, None)
    if not isinstance(found, rsa.RSAPrivateKey):
        raise TypeError("the push certificate's key is no RSA key")
    return found
