"""The server token of this server and the key it is encrypted to: two files in the data directory, sealed."""

from datetime import datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.mdm import server_token
from fleet.mdm.sealed_file import SealedFile
from fleet.mdm.server_token import ServerToken, TokenKey

_PURPOSE, _KEY_PURPOSE = "server-token", "server-token-key"


class TokenKeeper:
    """Keeps the server token.

    Args:
        secrets_dir: where secrets live.
        vault_key: seals it.
    """

    def __init__(self, secrets_dir: Path, vault_key: bytes) -> None:
        token, key = secrets_dir / "server-token.sealed", secrets_dir / "server-token-key.sealed"
        self._token = SealedFile(token, vault_key, purpose=_PURPOSE, read=server_token.load)
        self._key = SealedFile(key, vault_key, purpose=_KEY_PURPOSE, read=_token_key)

    def current(self) -> ServerToken | None:
        """Return the token, also one that has run out; None where none was uploaded.

        Another process may have replaced it meanwhile.
        """
        return self._token.current()

    def certificate(self, *, renew: bool = False, now: datetime) -> bytes:
        """Return the certificate to upload, PEM: of the key there is, made where there is none.

        Args:
            renew: whether a new key takes the place of the present one. Tokens that the portal makes for that cannot be
                read any more then; the one in use stays.
            now: the instant.
        """
        found = None if renew else self._key.current()
        if found is None:
            found = server_token.make_key(now=now)
            self._key.keep(_pem(found))
        return found.pem

    def take(self, uploaded: bytes, *, by: Principal, now: datetime) -> ServerToken:
        """Use a token that was downloaded from now on, in the place of the present one.

        Args:
            uploaded: the file.
            by: who brings it.
            now: the instant.

        Raises:
            ForbiddenError: ``by`` does not run the server.
            ServerTokenError: it is of another key, incomplete, has run out, or is none.
        """
        require(by, Permission.EDIT_MUNICIPALITY)
        new = server_token.read(uploaded, self._key.current(), now=now)
        self._token.keep(msgspec.json.encode(new))
        audit.record(
            by, "mdm.server-token-set", subject="server-token", now=now, ends_at=new.expires_at.isoformat()
        )  # fmt: skip
        return new


def _token_key(pem: bytes) -> TokenKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("the server token's key is no RSA key")
    return TokenKey(key, x509.load_pem_x509_certificate(pem))


def _pem(key: TokenKey) -> bytes:
    secret = key.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + key.pem
