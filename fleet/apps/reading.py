"""A package of any kind: which one it is, its content says, not its name."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fleet.apps import apk, ipa, xapk
from fleet.apps.archives import Archive, opened
from fleet.apps.facts import Facts, PackageError

_Reader = Callable[[Archive], Facts]
_KINDS: Sequence[tuple[Callable[[Archive], bool], _Reader]] = (
    (ipa.is_one, ipa.facts), (apk.is_one, apk.facts), (xapk.is_one, xapk.facts),
)  # fmt: skip


def read(path: Path, scratch: Path | None = None) -> Facts:
    """Return what a package says of itself.

    Args:
        path: where it is.
        scratch: a folder for the package in a bundle, which is looked at as a file of its own; None: the system's.

    Raises:
        PackageError: it is none, looks like several at once, or means harm.
        OSError: it cannot be read.
    """
    with opened(path, scratch) as archive:
        found = [read_ for is_one, read_ in _KINDS if is_one(archive)]
        if len(found) > 1:
            raise PackageError(reason="several")
        if not found:
            raise PackageError(reason="no-payload")
        return found[0](archive)
