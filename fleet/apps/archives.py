"""A package as the zip that it is, looked into without trusting it.

Invariants: nothing is unpacked to disk by name; the list of members and each of them are capped while they are read;
over a file with wrong bytes in it :class:`PackageError` is raised, nothing else but what reading a disk can raise.
"""

import errno
import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from fleet.apps.facts import PackageError

MAX_BYTES = 4 * 2**30
MAX_MEMBERS = 100_000
MAX_DIRECTORY_BYTES = 32 * 2**20
_PIECE = 1024 * 1024
_MEMBER = b"PK\x01\x02"  # begins each in the list. Source: APPNOTE.TXT section 4.3.12
# How many times longer than it lies there a large member may be: what is code or pictures is packed already.
_MOST_TIMES = 20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# All that the zip reader raises over a file with wrong bytes in it.
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, struct.error, OverflowError)


class Archive:
    """An open package.

    Args:
        package: the zip.
        file: what it is read from.
        scratch: a folder for what must be looked at as a file of its own; None: the system's.
    """

    def __init__(self, package: zipfile.ZipFile, file: BinaryIO, scratch: Path | None = None) -> None:
        self._package, self._file = package, file
        self.scratch = scratch
        self.members = package.infolist()
        self.directory_offset = package.start_dir  # where the list of members begins
        _require_sound_names(self.members)

    def named(self, name: str) -> zipfile.ZipInfo | None:
        """Return the member of this name, None where there is none.

        Raises:
            PackageError: there are several: who reads it elsewhere might take the other.
        """
        found = [one for one in self.members if one.filename == name]
        if len(found) > 1:
            raise PackageError(reason="several")
        return found[0] if found else None

    def matching(self, pattern: re.Pattern[str]) -> list[zipfile.ZipInfo]:
        """Return the members whose whole name matches."""
        return [one for one in self.members if pattern.fullmatch(one.filename)]

    def read(self, member: zipfile.ZipInfo, most: int, reason: str) -> bytes:
        """Unpack a small member, and give up as soon as it is longer than any is.

        Args:
            member: which one.
            most: how many bytes it may have.
            reason: why the package is refused where it has more, or is packed in an unusual way.

        Raises:
            PackageError: that, or it is encrypted.
        """
        _require_plain(member, reason)
        with self._package.open(member) as opened:
            content = opened.read(most + 1)
        if len(content) > most:
            raise PackageError(reason=reason)
        return content

    def copy(self, member: zipfile.ZipInfo, to: IO[bytes], most: int) -> None:
        """Unpack a large member into a file, piece by piece.

        Raises:
            PackageError: it is longer than that, far longer than what is packed, or encrypted.
            OSError: there is no room.
        """
        _require_plain(member, "bomb")
        if member.compress_size > self.directory_offset - member.header_offset:  # what it says is more than lies there
            raise PackageError(reason="bomb")
        most = min(most, _PIECE + _MOST_TIMES * member.compress_size)
        size = 0
        with self._package.open(member) as opened:
            while piece := opened.read(_PIECE):
                size += len(piece)
                if size > most:
                    raise PackageError(reason="bomb")
                to.write(piece)

    def before_directory(self, length: int) -> bytes:
        """Return so many bytes of the file that stand directly before its list of members; fewer where it begins."""
        start = max(0, self.directory_offset - length)
        self._file.seek(start)
        return self._file.read(self.directory_offset - start)


class _Frugal(io.BufferedReader):
    """A file that is never read in one large piece: the zip reader takes the list of members as long as it says.

    Nor does it get a list with too many of them: each takes ten times the memory that it takes in the list.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return super().read(MAX_DIRECTORY_BYTES)
        if size > MAX_DIRECTORY_BYTES:
            raise PackageError(reason="many", most=MAX_MEMBERS)
        found = super().read(size)
        if found.count(_MEMBER) > MAX_MEMBERS:
            raise PackageError(reason="many", most=MAX_MEMBERS)
        return found


@contextmanager
def opened(path: Path, scratch: Path | None = None) -> Iterator[Archive]:
    """Open a package.

    Args:
        path: where it is.
        scratch: as :class:`Archive` has it.

    Raises:
        PackageError: it is no zip, or too large; also what comes over damaged bytes while it is open.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise PackageError(reason="not-a-zip")
    if path.stat().st_size > MAX_BYTES:
        raise PackageError(reason="size", most=MAX_BYTES)
    with opened_file(io.FileIO(path), scratch) as archive:
        yield archive


@contextmanager
def opened_file(raw: io.FileIO, scratch: Path | None = None) -> Iterator[Archive]:
    """Open a package whose file is open, and close it afterwards; as :func:`opened`."""
    with _Frugal(raw) as file:
        try:
            with zipfile.ZipFile(file) as package:
                yield Archive(package, file, scratch)
        except _DAMAGED as error:
            raise PackageError(reason="not-a-zip") from error
        except OSError as error:
            if error.errno != errno.EINVAL:  # which is said of a place before the file's beginning
                raise
            raise PackageError(reason="not-a-zip") from error


def _require_sound_names(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_MEMBERS:
        raise PackageError(reason="many", most=MAX_MEMBERS)
    for one in members:
        name = one.orig_filename  # as it stands there: what follows a NUL is cut off from the other
        if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
            raise PackageError(reason="path")


def _require_plain(member: zipfile.ZipInfo, reason: str) -> None:
    if member.flag_bits & 0x1:
        raise PackageError(reason="encrypted")
    if stat.S_ISLNK(member.external_attr >> 16) or member.compress_type not in _METHODS:
        raise PackageError(reason=reason)
