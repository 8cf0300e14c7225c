"""What one tablet, account or address may send: far more than a sound one does, far less than the others would feel."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime


class Allowance:
    """Counts what each sends. So many at once, then one more each so many seconds; kept in this process's memory.

    Args:
        at_once: how many one that was quiet may send.
        every_s: seconds after which it may send one more.
        kept: of how many this is remembered; of the others it is that they were quiet.
    """

    def __init__(self, at_once: int, every_s: float, *, kept: int) -> None:
        self._at_once = at_once
        self._every_s = every_s
        self._kept = kept
        self._lock = threading.Lock()
        self._used: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, who: Hashable, now: datetime) -> bool:
        """Use one of a tablet's, an account's or an address's; returns whether there was one. From any thread."""
        moment = now.timestamp()
        with self._lock:
            used, since = self._used.pop(who, (0.0, moment))
            used = max(0.0, used - max(0.0, moment - since) / self._every_s)
            may = used + 1 <= self._at_once
            self._used[who] = (used + may, moment)
            if len(self._used) > self._kept:
                self._used.popitem(last=False)
        return may

    def give_back(self, who: Hashable) -> None:
        """Count one that was used as unused: it was no matter of measure. From any thread."""
        with self._lock:
            if who in self._used:
                used, since = self._used[who]
                self._used[who] = (max(0.0, used - 1), since)

    def clear(self) -> None:
        """Take all for quiet."""
        with self._lock:
            self._used.clear()
