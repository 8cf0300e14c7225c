"""When a tablet shall come next: interval, a slot of its own, and a little chance; and whether it is held instead.

Tablets are spread over the interval by a slot that follows from their number, so that a school that wakes at 08:15
comes evenly; a little jitter keeps those of one slot apart. Outside school hours they come more rarely, and around a
change of their own schedule more often. Who asks to be held is, while schools are open or about to be, and around such
a change.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

MAX_HOLD_S = 50  # under the minute after which proxies commonly give up
_QUIET_FACTOR = 5
_NEAR, _NEAR_FACTOR, _NEAR_S = timedelta(hours=2), 0.25, 5.0
_GOLDEN = 0.6180339887498949  # neighbours in number land far apart in the interval


@dataclass(frozen=True, slots=True)
class Pace:
    """The server's rhythm.

    Args:
        poll_s: seconds between polls in school hours.
        report_s: seconds between reports in school hours.
        is_busy: whether tablets are in use now (school hours).
        is_near: whether they are, or soon will be.
        dice: for jitter.
    """

    poll_s: int
    report_s: int
    is_busy: Callable[[datetime], bool]
    is_near: Callable[[datetime], bool]
    dice: random.Random

    def next_poll_s(self, device_id: int, now: datetime, *, switch_at: datetime | None = None) -> int:
        """Return the seconds until a tablet's next poll: 0.5 to 1.5 intervals, then on its slot.

        Args:
            device_id: the tablet.
            now: the instant.
            switch_at: when its schedule moves on by itself.
        """
        interval = self._interval(self.poll_s, now)
        if _is_around(switch_at, now):
            interval = min(interval, max(_NEAR_S, interval * _NEAR_FACTOR))
        return self._next(interval, device_id, now)

    def next_report_s(self, device_id: int, now: datetime) -> int:
        """Return the seconds until a tablet's next report, at the latest."""
        return self._next(self._interval(self.report_s, now), device_id, now)

    def holds(self, now: datetime, *, switch_at: datetime | None) -> bool:
        """Whether a tablet that asks to be held is."""
        return self.is_near(now) or _is_around(switch_at, now)

    def hold_s(self, wanted_s: int) -> int:
        """Return for how long: spread, so that those who were rung together do not come again together."""
        longest = min(wanted_s, MAX_HOLD_S)
        return max(1, round(self.dice.uniform(0.7 * longest, longest)))

    def stopped_s(self) -> int:
        """Return when tablets shall come again that were held by a server that stops."""
        return self.dice.randint(1, 10)

    def retry_s(self) -> int:
        """Return how long a tablet that was turned away shall wait: spread wide, so that not all come back at once."""
        return round(self.dice.uniform(2, 2 + self.poll_s))

    def _interval(self, interval_s: float, now: datetime) -> float:
        return interval_s if self.is_busy(now) else interval_s * _QUIET_FACTOR

    def _next(self, interval: float, device_id: int, now: datetime) -> int:
        slot = (device_id * _GOLDEN % 1) * interval
        wait = (slot - now.timestamp()) % interval
        if wait < interval / 2:
            wait += interval
        return max(1, round(wait + self.dice.uniform(0, interval * 0.05)))


def _is_around(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and abs(moment - now) <= _NEAR
