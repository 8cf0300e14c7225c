"""One secret of the maker's services in a file of the data directory, sealed; read again only where it was replaced."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from fleet.crypto import open_sealed, seal, write_secret

T = TypeVar("T")


class SealedFile(Generic[T]):
    """Keeps a secret.

    Args:
        path: where.
        vault_key: seals it.
        purpose: what it is sealed for, so that no other secret can stand in its place.
        read: makes what it means of what was kept.
    """

    def __init__(self, path: Path, vault_key: bytes, *, purpose: str, read: Callable[[bytes], T]) -> None:
        self._path, self._vault_key, self._purpose, self._make = path, vault_key, purpose, read
        self._read: tuple[tuple[int, int], T] | None = None

    def current(self) -> T | None:
        """Return the secret; None where none was kept. Another process may have replaced it meanwhile."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        version = (found.st_mtime_ns, found.st_ino)  # it is replaced by another file, also within a tick of the clock
        if self._read is None or self._read[0] != version:
            told = open_sealed(self._vault_key, self._path.read_bytes(), purpose=self._purpose)
            self._read = (version, self._make(told))
        return self._read[1]

    def keep(self, secret: bytes) -> None:
        """Keep a secret from now on, in the place of the present one."""
        write_secret(self._path, seal(self._vault_key, secret, purpose=self._purpose))

    def forget(self) -> None:
        """Keep it no longer."""
        self._path.unlink(missing_ok=True)
