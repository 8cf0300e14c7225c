"""What an answer was, for those who watch the server: one of a few words, and how long it took."""

import time

from fleet import metrics

_WORDS = {304: "unchanged", 408: "abandoned", 429: "shed", 503: "shed"}


def answered(door: str, status: int, begun: float, *, held_s: float = 0.0) -> None:
    """Note that an answer begins.

    Args:
        door: which: a channel, ``pages``, ``files`` of pages.
        status: of the answer.
        begun: when the request came, as ``time.perf_counter`` tells it.
        held_s: for how long of that the caller was held on purpose.
    """
    metrics.ANSWERED.observe(max(0.0, time.perf_counter() - begun - held_s), door, word(status))


def word(status: int) -> str:
    """Return what an answer of a status was: answered, unchanged, refused, shed, abandoned or failed."""
    return _WORDS.get(status) or ("answered" if status < 400 else "refused" if status < 500 else "failed")
