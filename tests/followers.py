"""Following what is told to the areas above, for the time of a test."""

from collections.abc import Iterator
from contextlib import contextmanager

from fleet.db import Follower, _followers, follow


@contextmanager
def follows(subject: str, follower: Follower, *, alone: bool = True) -> Iterator[None]:
    """Have ``follower`` follow ``subject``; afterwards those follow who did before.

    Args:
        subject: see :func:`fleet.db.changed`.
        follower: who follows.
        alone: whether nobody else follows anything meanwhile.
    """
    known = _followers()
    before = {name: list(ones) for name, ones in known.items()}
    if alone:
        known.clear()
    follow(subject, follower)
    try:
        yield
    finally:
        known.clear()
        known.update(before)
