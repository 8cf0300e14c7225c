"""What one tablet may write: much more than a sound one ever does, far less than what would be felt by the others."""

from collections import OrderedDict
from datetime import datetime


class Allowance:
    """Counts what tablets send. So many at once, then one more each so many seconds; kept in this process's memory.

    Args:
        at_once: how many a tablet that was quiet may send.
        every_s: seconds after which it may send one more.
        kept: of how many tablets this is remembered; of the others it is that they were quiet.
    """

    def __init__(self, at_once: int, every_s: float, *, kept: int) -> None:
        self._at_once = at_once
        self._every_s = every_s
        self._kept = kept
        self._used: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def take(self, device_id: int, now: datetime) -> bool:
        """Use one of a tablet's; returns whether there was one."""
        moment = now.timestamp()
        used, since = self._used.pop(device_id, (0.0, moment))
        used = max(0.0, used - max(0.0, moment - since) / self._every_s)
        may = used + 1 <= self._at_once
        self._used[device_id] = (used + may, moment)
        if len(self._used) > self._kept:
            self._used.popitem(last=False)
        return may
