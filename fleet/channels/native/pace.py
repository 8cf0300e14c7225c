"""When a tablet shall come next: interval, a slot of its own, and a little chance.

Tablets are spread over the interval by a slot that follows from their number, so that a school that wakes at 08:15
comes evenly; a little jitter keeps those of one slot apart. Outside school hours they come more rarely.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

_QUIET_FACTOR = 5
_GOLDEN = 0.6180339887498949  # neighbours in number land far apart in the interval


@dataclass(frozen=True, slots=True)
class Pace:
    """The server's rhythm.

    Args:
        poll_s: seconds between polls in school hours.
        report_s: seconds between reports in school hours.
        is_busy: whether tablets are in use now (school hours).
        dice: for jitter.
    """

    poll_s: int
    report_s: int
    is_busy: Callable[[datetime], bool]
    dice: random.Random

    def next_poll_s(self, device_id: int, now: datetime) -> int:
        """Return the seconds until a tablet's next poll: 0.5 to 1.5 intervals, then on its slot."""
        return self._next(self.poll_s, device_id, now)

    def next_report_s(self, device_id: int, now: datetime) -> int:
        """Return the seconds until a tablet's next report, at the latest."""
        return self._next(self.report_s, device_id, now)

    def _next(self, interval_s: int, device_id: int, now: datetime) -> int:
        interval = interval_s if self.is_busy(now) else interval_s * _QUIET_FACTOR
        slot = (device_id * _GOLDEN % 1) * interval
        wait = (slot - now.timestamp()) % interval
        if wait < interval / 2:
            wait += interval
        return max(1, round(wait + self.dice.uniform(0, interval * 0.05)))

    def retry_s(self) -> int:
        """Return how long a tablet that was turned away shall wait: spread wide, so that not all come back at once."""
        return round(self.dice.uniform(2, 2 + self.poll_s))
