"""The push certificate of this server: one file in the data directory, sealed.

Invariant: it is replaced only by one of the same topic (:func:`~fleet.channels.apple.push_certificate.check_renewal`),
for every iPad that is enrolled is bound to that.
"""

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fleet.channels.apple import push_certificate
from fleet.channels.apple.push_certificate import PushCertificate
from fleet.crypto import open_sealed, seal, write_secret

_PURPOSE = "push-certificate"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # what stands here was judged when it came


class PushKeeper:
    """Keeps the push certificate.

    Args:
        secrets_dir: where secrets live.
        vault_key: seals it.
    """

    def __init__(self, secrets_dir: Path, vault_key: bytes) -> None:
        self._path = secrets_dir / "push-certificate.sealed"
        self._vault_key = vault_key
        self._read: tuple[int, PushCertificate] | None = None

    def current(self) -> PushCertificate | None:
        """Return the certificate, also one that has run out; None where none was uploaded.

        Another process may have replaced it meanwhile.
        """
        try:
            changed_at = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if self._read is None or self._read[0] != changed_at:
            pem = open_sealed(self._vault_key, self._path.read_bytes(), purpose=_PURPOSE)
            key = serialization.load_pem_private_key(pem, None)
            if not isinstance(key, rsa.RSAPrivateKey):
                raise TypeError(f"{self._path.name} has no RSA key")
            self._read = (changed_at, push_certificate.read(pem, [key], now=_LONG_AGO))
        return self._read[1]

    def topic(self) -> str | None:
        """Return its topic, None where there is none."""
        found = self.current()
        return found.topic if found is not None else None

    def keep(self, new: PushCertificate) -> None:
        """Keep a certificate from now on.

        Raises:
            PushCertificateError: it is of another topic than the present one, which would orphan every iPad.
        """
        present = self.current()
        if present is not None:
            push_certificate.check_renewal(present, new)
        key = new.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_secret(self._path, seal(self._vault_key, key + new.pem, purpose=_PURPOSE))
