"""Where those are served who are no tablet of ours yet: invitations, enrolment profiles, certificates.

Anybody may come, so there are few threads and a short queue, apart from those of enrolled tablets; and an address from
where too much is wrong has to wait. Only that counts, and what is not decided yet: a whole school may have one address.
"""

import asyncio
import ipaddress
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from fleet.allowance import Allowance
from fleet.channels.batching import FullError

T = TypeVar("T")
THREADS, QUEUE_LIMIT = 2, 100
WRONG_AT_ONCE, WRONG_EVERY_S = 60, 5.0
_ADDRESSES_KEPT = 10_000
_IPV6_SUBSCRIBER = 64  # bits of an address that one subscriber cannot choose (RFC 6177 section 2)


class WrongTooOftenError(Exception):
    """From this address came too much that was wrong."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of it.

    Args:
        value: the answer.
        is_wrong: whether what was asked for was not to be had.
    """

    value: T
    is_wrong: bool


class Desk:
    """Serves strangers.

    Args:
        now: the clock.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="desk")
        self._wrong = Allowance(WRONG_AT_ONCE, WRONG_EVERY_S, kept=_ADDRESSES_KEPT)
        self._waiting = 0
        self._is_closed = False

    async def serve(self, address: str | None, work: Callable[[], Outcome[T]]) -> T:
        """Do some work for somebody at an address, in a thread.

        Raises:
            FullError: too many wait already, or the server is stopping.
            WrongTooOftenError: it is not done, as too much from there was wrong.
        """
        who = _subscriber(address)
        if self._is_closed or self._waiting >= QUEUE_LIMIT:
            raise FullError
        if not self._wrong.take(who, self._now()):
            raise WrongTooOftenError
        self._waiting += 1
        is_wrong = False
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(self._threads, work)
            is_wrong = outcome.is_wrong
        finally:
            self._waiting -= 1
            if not is_wrong:
                self._wrong.give_back(who)
        return outcome.value

    async def drain(self) -> None:
        """Answer those who were taken in, and nobody else."""
        self._is_closed = True
        await asyncio.to_thread(self._threads.shutdown)


def _subscriber(address: str | None) -> str:
    """Return what stands for whoever is at an address; all of whom no address is known are one."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.IPv6Network((int(found), _IPV6_SUBSCRIBER), strict=False))
    return str(found)
