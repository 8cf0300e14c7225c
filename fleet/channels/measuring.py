"""What an answer was, for those who watch the server: one of a few words, and how long it took."""

import time

from fleet import metrics

# 503 that nobody was turned away with: one who asks too often, or for what is not set up yet.
_WORDS = {304: "unchanged", 408: "abandoned", 503: "refused"}


def answered(door: str, status: int, begun: float, *, held_s: float = 0.0, is_shed: bool = False) -> None:
    """Note that an answer begins.

    Args:
        door: which: a channel, ``pages``, ``files`` of pages.
        status: of the answer.
        begun: when the request came, as ``time.perf_counter`` tells it.
        held_s: for how long of that the caller was held on purpose.
        is_shed: whether the caller was turned away, as there was no room.
    """
    metrics.ANSWERED.observe(max(0.0, time.perf_counter() - begun - held_s), door, word(status, is_shed=is_shed))


def word(status: int, *, is_shed: bool = False) -> str:
    """Return what an answer of a status was: answered, unchanged, refused, shed, abandoned or failed."""
    if is_shed:
        return "shed"
    return _WORDS.get(status) or ("answered" if status < 400 else "refused" if status < 500 else "failed")
