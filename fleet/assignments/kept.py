"""What a digest names never changes, so it is read once and kept in memory."""

from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by digest, shared by all threads.

    Args:
        at_most: how many are kept; where more would be, all are forgotten, as they are soon read again.
    """

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._known: dict[str, Value] = {}

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._known)

    def load(
        self, digests: Collection[str], read: Callable[[Collection[str]], Mapping[str, Value]]
    ) -> dict[str, Value]:
        """Return values by digest; those that nobody has are left out.

        Args:
            digests: which ones.
            read: reads those that are not known; not called where there are none.
        """
        found = {digest: value for digest in digests if (value := self._known.get(digest)) is not None}
        missing = set(digests) - found.keys()
        if missing:
            fresh = read(missing)
            if len(self._known) + len(fresh) > self._at_most:  # what is needed here is in ``found``
                self._known.clear()
            self._known.update(fresh)
            found |= fresh
        return found

    def clear(self) -> None:
        """Forget all: what a digest named may have been removed."""
        self._known.clear()
