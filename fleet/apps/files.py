"""Files of packages: one folder, each file under its own SHA-256.

Invariants: a file is whole or not there: it is written under a name of its own, brought to the disk, and only then
called what it is called; this is done before the row that names it is committed, so that no row names what is not
there. A file that no row names is removed later, never one that is younger than :data:`YOUNGEST`: its row may be about
to be committed. Servers that share a database share this folder. Files are read and written in pieces.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

YOUNGEST = timedelta(days=1)
_PIECE = 1024 * 1024
_DIGEST, _DRAFT = re.compile(r"[0-9a-f]{64}"), re.compile(r"\.[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that is whole and has no name yet.

    Args:
        path: where it lies until then.
        digest: its SHA-256, lower-case hex.
        size_bytes: how long it is.
    """

    path: Path
    digest: str
    size_bytes: int


class Writing:
    """A draft that is being written, piece by piece; what was not kept is gone once it is dropped.

    Args:
        folder: where it lies.

    Raises:
        OSError: there is no room.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f".{secrets.token_hex(16)}"
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._told = hashlib.sha256()
        self._size = 0

    def write(self, piece: bytes) -> None:
        """Write what comes next.

        Raises:
            OSError: there is no room.
        """
        self._told.update(piece)
        self._size += self._file.write(piece)

    def finish(self) -> Draft:
        """Bring it to the disk; returns the draft.

        Raises:
            OSError: there is no room.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Draft(self._path, self._told.hexdigest(), self._size)

    def drop(self) -> None:
        """Remove what was not kept; may be called often."""
        with contextlib.suppress(OSError):  # what is still to be written need not find room
            self._file.close()
        self._path.unlink(missing_ok=True)


class PackageFiles:
    """The folder.

    Args:
        folder: made, for us alone, once something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: str) -> Path:
        """Return where the file of a digest is, or would be."""
        return self._folder / digest

    @contextmanager
    def draft(self, source: Path) -> Iterator[Draft]:
        """Give a copy of a file, to be looked at and then kept; what is not kept is gone afterwards.

        Raises:
            OSError: it cannot be read, or there is no room.
        """
        made = self.begin()
        try:
            with source.open("rb") as given:
                while piece := given.read(_PIECE):
                    made.write(piece)
            yield made.finish()
        finally:
            made.drop()

    def begin(self) -> Writing:
        """Begin a draft that somebody writes.

        Raises:
            OSError: there is no room.
        """
        return Writing(self._folder)

    def free_bytes(self) -> int:
        """Return how much room the disk has on which the folder is, or will be.

        Raises:
            OSError: that cannot be told.
        """
        there = next(one for one in (self._folder, *self._folder.parents) if one.is_dir())
        return shutil.disk_usage(there).free

    def keep(self, draft: Draft) -> None:
        """Give a draft its name, for good; one that is there already is the same, and counts as new."""
        draft.path.replace(self.path(draft.digest))
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def sweep(self, named: Collection[str], *, now: datetime) -> int:
        """Remove the files that nobody names, and drafts that a server left behind as it ended; returns how many."""
        if not self._folder.is_dir():
            return 0
        before, gone = (now - YOUNGEST).timestamp(), 0
        for path in list(self._folder.iterdir()):
            is_ours = _DIGEST.fullmatch(path.name) or _DRAFT.fullmatch(path.name)
            if is_ours and path.name not in named:
                with contextlib.suppress(FileNotFoundError):  # another server may have removed it
                    if path.stat().st_mtime < before:
                        path.unlink()
                        gone += 1
        return gone
