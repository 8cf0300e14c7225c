"""A disk of a size of its own that can be filled: a file system in memory, which takes the right to mount one."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PIECE = bytes(64 * 1024)


@dataclass(frozen=True)
class Disk:
    """The disk; ``folder`` is where it is mounted."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """Leave no room."""
        with self._ballast.open("wb", buffering=0) as ballast:
            for piece in (_PIECE, _PIECE[:4096]):
                try:
                    while ballast.write(piece) == len(piece):
                        pass
                except OSError:  # no space left
                    continue

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def mounted(folder: Path, size_bytes: int) -> Iterator[Disk | None]:
    """Make a disk while the body runs; None, and an ordinary folder, where this user may not mount one.

    Args:
        folder: where; it is made.
        size_bytes: how large.
    """
    folder.mkdir(mode=0o755)
    is_mounted = _done("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=755", "tmpfs", str(folder))
    try:
        yield Disk(folder) if is_mounted else None
    finally:
        if is_mounted:
            _done("umount", "--lazy", str(folder))


def _done(*command: str) -> bool:
    """Run a command; returns whether it is there and went well."""
    return (
        shutil.which(command[0]) is not None
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )
