"""Secrets of this server: random tokens, their stored form, and key files in the data directory.

Invariant: a token is stored only as its SHA-256 (tokens have at least 128 random bits, so a slow hash adds nothing;
passwords are another matter and live in ``people``). Files are created with owner-only rights before anything is
written into them.
"""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

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
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(make)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{path} can be read by others: chmod 600 it, and replace the secret if in doubt")
    return path.read_bytes()
