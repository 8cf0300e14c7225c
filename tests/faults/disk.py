"""A disk of a size of its own that can be filled: a file system in memory, which takes the right to mount one."""

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
    options = f"size={size_bytes},mode=755"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    try:
        yield Disk(folder) if done.returncode == 0 else None
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], capture_output=True, check=True)
