"""Secrets of this server: random tokens, their stored form, key files in the data directory, and what is kept sealed.

Invariant: a token is stored only as its SHA-256 (tokens have at least 128 random bits, so a slow hash adds nothing;
passwords are another matter and live in ``people``). Files are created with owner-only rights before anything is
written into them. What is sealed can be opened only with the vault key and only for the purpose it was sealed for.
"""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# Crockford's base 32: no I, L, O, U, so that a code survives being read aloud and typed.
# Source: https://www.crockford.com/base32.html
CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def token_digest(token: str) -> str:
    """Return the form of ``token`` that may be stored: lower-case hex SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def random_token() -> str:
    """Return a URL-safe token of 256 random bits, for links and sessions."""
    return secrets.token_urlsafe(32)


def random_code(length: int) -> str:
    """Return ``length`` random characters of Crockford's base 32 (5 bits each)."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(length))


def read_or_create(path: Path, make: bytes) -> bytes:
    """Return what stands in ``path``, or create it with ``make`` and owner-only rights.

    Two processes starting together agree: the first to link the finished file wins, the other reads it.

    Raises:
        OSError: the directory cannot be written.
        PermissionError: the file exists and others than its owner may read it.
    """
    if not path.exists():
        with _draft(path, make) as draft, contextlib.suppress(FileExistsError):
            os.link(draft, path)
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{path} can be read by others: chmod 600 it, and replace the secret if in doubt")
    return path.read_bytes()


def read_or_create_signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key that stands in ``path``, made where there is none.

    Raises:
        OSError: the directory cannot be written.
        PermissionError: others than its owner may read it.
        TypeError: the file holds another kind of key.
    """
    fresh = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = serialization.load_pem_private_key(read_or_create(path, fresh), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TypeError(f"{path.name} is not a P-256 key")
    return key


# The first byte of what is sealed says how, so that another way can stand beside this one later.
_AES_256_GCM = b"\x01"
_VAULT_KEY_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 12, 16


def write_secret(path: Path, secret: bytes) -> None:
    """Write a secret with owner-only rights, in the place of what stood there; whoever reads sees all of one of them.

    Raises:
        OSError: the directory cannot be written.
    """
    with _draft(path, secret) as draft:
        draft.replace(path)


@contextlib.contextmanager
def _draft(path: Path, content: bytes) -> Iterator[Path]:
    """Give a finished file with owner-only rights beside ``path``; what is still there afterwards is removed."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


class UnsealError(ValueError):
    """What is sealed cannot be opened: another key, another purpose, or not what was sealed. It says no more."""


def vault_key(path: Path, *, may_create: bool) -> bytes:
    """Return the key that ``seal`` and ``open_sealed`` take: the 32 bytes of the file at ``path``.

    Whoever has this key and the data directory has the secrets, so the key may live elsewhere, such as in a mounted
    credential (``openssl rand 32 > FILE``). Without it nothing that was sealed can ever be opened again.

    Args:
        path: where the key lives.
        may_create: whether a missing one is made. False for a place that somebody named: there a missing file is a
            mount that failed, and a new key would only hide it.

    Raises:
        FileNotFoundError: there is none and none may be made.
        PermissionError: others than its owner may read it.
        ValueError: it does not have 32 bytes.
    """
    if not may_create and not path.exists():
        raise FileNotFoundError(f"{path} is missing; it must hold the vault key, 32 bytes")
    key = read_or_create(path, secrets.token_bytes(_VAULT_KEY_BYTES))
    if len(key) != _VAULT_KEY_BYTES:
        raise ValueError(f"{path} must hold exactly {_VAULT_KEY_BYTES} bytes")
    return key


def vault_key_file(secrets_dir: Path, named: Path | None) -> Path:
    """Return where a server's vault key is, or will be; arguments as for :func:`vault_key_of`."""
    return named or secrets_dir / "vault.key"


def vault_key_of(secrets_dir: Path, named: Path | None) -> bytes:
    """Return the vault key of a server.

    Args:
        secrets_dir: where it is, made at the first start.
        named: or where somebody has put it.

    Raises:
        FileNotFoundError, PermissionError, ValueError: as for :func:`vault_key`.
    """
    return vault_key(vault_key_file(secrets_dir, named), may_create=named is None)


def seal(key: bytes, secret: bytes, *, purpose: str) -> bytes:
    """Return ``secret`` encrypted and bound to ``purpose``: 29 bytes longer than it was.

    Args:
        key: the vault key.
        secret: what nobody may read who has only the disk or the database.
        purpose: what it is and whose, such as ``unlock-token/DEVICE``; needed again to open it, so that nobody can
            put one secret in another's place.

    Source: NIST SP 800-38D (AES-GCM); random nonces of 96 bits, so fewer than 2**32 secrets with one key (section 8.3).
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _AES_256_GCM + nonce + AESGCM(key).encrypt(nonce, secret, _AES_256_GCM + purpose.encode())


def open_sealed(key: bytes, sealed: bytes, *, purpose: str) -> bytes:
    """Return what ``seal`` was given with the same ``key`` and ``purpose``.

    Raises:
        UnsealError: key, purpose or bytes are not those of the sealing.
    """
    head = len(_AES_256_GCM) + _NONCE_BYTES
    if len(sealed) < head + _TAG_BYTES or not sealed.startswith(_AES_256_GCM):
        raise UnsealError
    nonce = sealed[len(_AES_256_GCM) : head]
    try:
        return AESGCM(key).decrypt(nonce, sealed[head:], _AES_256_GCM + purpose.encode())
    except InvalidTag as error:
        raise UnsealError from error
