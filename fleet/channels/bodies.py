"""Bodies of requests: how large each may be and all together, and how long one may take to come.

Invariant: a body is never read beyond its limit, nor all bodies together beyond theirs.
"""

import asyncio
from types import TracebackType
from typing import Self

from fleet.channels.asgi import BODY, AbandonedError, AtHand, Receive, Scope

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
    """The bodies that are being read or worked on: what they hold together, and how long each may take to come.

    ``clocks`` are those of the bodies that are waited for.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._is_hurried = False
        self.clocks: set[asyncio.Timeout] = set()

    def share(self) -> "Share":
        """Give one request its share, to be left when the request is answered."""
        return Share(self)

    def take(self, size: int, *, of_a_form: bool) -> None:
        """Take so many bytes.

        Raises:
            CrowdedError: they are not there, or are kept for bodies no longer than a form.
        """
        if size > self._left - (0 if of_a_form else KEPT_FOR_SMALL_BYTES):
            raise CrowdedError
        self._left -= size

    def give_back(self, size: int) -> None:
        """Give so many bytes back."""
        self._left += size

    def clock(self) -> asyncio.Timeout:
        """Return how long a body may take to come."""
        return asyncio.timeout(STOPPING_TIMEOUT_S if self._is_hurried else BODY_TIMEOUT_S)

    def hurry(self) -> None:
        """Wait only a moment longer for what has not come yet; once for ever, so it may be called often."""
        if self._is_hurried:
            return
        self._is_hurried = True
        latest = asyncio.get_running_loop().time() + STOPPING_TIMEOUT_S
        for clock in self.clocks:
            if not clock.expired():
                clock.reschedule(min(latest, clock.when() or latest))


class Share:
    """What one request holds of it."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies, self._taken = bodies, 0

    def __enter__(self) -> Self:
        """Begin with nothing."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """Give everything back."""
        self._bodies.give_back(self._taken)

    def _take(self, size: int, at_most: int) -> None:
        if self._taken + size > at_most:
            raise TooLargeError
        self._bodies.take(size, of_a_form=self._taken + size <= FORM_BYTES)
        self._taken += size

    async def read(self, scope: Scope, receive: Receive, at_most: int) -> bytes:
        """Read the request's body.

        Raises:
            TooLargeError: it is longer than that.
            CrowdedError: there is no room for it.
            AbandonedError: the caller went away, or is too slow.
        """
        at_hand: AtHand | None = scope.get(BODY)
        body = at_hand() if at_hand is not None else None
        if body is None:
            return await self._wait(receive, at_most)
        self._take(len(body), at_most)
        return body

    async def _wait(self, receive: Receive, at_most: int) -> bytes:
        chunks, more = [], True
        clock = self._bodies.clock()
        self._bodies.clocks.add(clock)
        try:
            async with clock:
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise AbandonedError
                    chunk = message.get("body", b"")
                    self._take(len(chunk), at_most)
                    chunks.append(chunk)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise AbandonedError from None
        finally:
            self._bodies.clocks.discard(clock)
        return b"".join(chunks)
