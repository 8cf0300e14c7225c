"""Bodies of requests: how large each may be and all together, and how long one may take to come.

Invariant: a body is never read beyond its limit, nor all bodies together beyond theirs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from fleet.channels.asgi import AbandonedError, Receive

ReadBody = Callable[[Receive, int], Awaitable[bytes]]  # from there, so many bytes at most

BODY_TIMEOUT_S = 30.0
STOPPING_TIMEOUT_S = 2.0  # the same once the server stops: who sends half a body shall not keep it from starting again
FORM_BYTES = 64 * 1024  # of the staff's forms; their application refuses what is larger in its own words
# Of all bodies that are being read or worked on: who sends a quarter of a mebibyte and then waits shall not, a thousand
# times, take the machine's memory.
MAX_HELD_BYTES = 64 * 1024 * 1024
# What of that is left to bodies that are no longer than a form: who sends a few that are as long as may be, and slowly,
# shall stop no poll and no page.
KEPT_FOR_SMALL_BYTES = MAX_HELD_BYTES // 4


class TooLargeError(Exception):
    """The body is larger than the channel takes."""


class CrowdedError(Exception):
    """The bodies of all requests together are larger than what may be held."""


class Bodies:
    """The bodies that are being read or worked on: what they hold together, and how long each may take to come."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._is_hurried = False
        self._clocks: set[asyncio.Timeout] = set()

    @contextmanager
    def share(self) -> Iterator[ReadBody]:
        """Give one request its share: a function that reads its body; what that holds is given back at the end."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self._left - (KEPT_FOR_SMALL_BYTES if taken + size > FORM_BYTES else 0):
                raise CrowdedError
            self._left -= size
            taken += size

        try:
            yield partial(self._read, take)
        finally:
            self._left += taken

    async def _read(self, take: Callable[[int], None], receive: Receive, at_most: int) -> bytes:
        chunks, size, more = [], 0, True
        try:
            async with asyncio.timeout(STOPPING_TIMEOUT_S if self._is_hurried else BODY_TIMEOUT_S) as clock:
                self._clocks.add(clock)
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise AbandonedError
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > at_most:
                        raise TooLargeError
                    take(len(chunk))
                    chunks.append(chunk)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise AbandonedError from None
        finally:
            self._clocks.discard(clock)
        return b"".join(chunks)

    def hurry(self) -> None:
        """Wait only a moment longer for what has not come yet; once for ever, so it may be called often."""
        if self._is_hurried:
            return
        self._is_hurried = True
        latest = asyncio.get_running_loop().time() + STOPPING_TIMEOUT_S
        for clock in self._clocks:
            clock.reschedule(min(latest, clock.when() or latest))
