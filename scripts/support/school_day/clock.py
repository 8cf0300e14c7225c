"""The day's own clock, which runs faster than the machine's; and what of the tablets' waits goes by which.

What the *day* does goes by its own clock: ways to school, lessons, updates, outages, and the intervals between reports
and polls that the server asks for. What is between a tablet and the *server's machine* goes by the machine's: how long
a poll is held, Retry-After, how long a tablet waits after the server went away. So a day at sixty times the speed has
sixty times the reports, openings and lessons a second, while the server's own clock is left alone and its answers,
restarts and rings take the time they take.
"""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DayClock:
    """Ties the day's clock to the machine's monotonic one; the same in all processes of one machine.

    Args:
        begins: where the day's clock stands at first, in seconds since midnight.
        speed: how many of its seconds pass in one of the machine's.
        started_at: when it was started, by ``time.perf_counter``.
    """

    begins: float
    speed: float
    started_at: float

    def now(self) -> float:
        """Return what it shows."""
        return self.begins + (time.perf_counter() - self.started_at) * self.speed

    def machine(self, instant: float) -> float:
        """Return when, by ``time.perf_counter``, it shows an instant."""
        return self.started_at + (instant - self.begins) / self.speed

    def left_s(self, instant: float) -> float:
        """Return in how many seconds of the machine it shows an instant; 0 where that is past."""
        return max(0.0, self.machine(instant) - time.perf_counter())

    def seconds(self, seconds: float) -> float:
        """Return how many of the machine's seconds some of its own take."""
        return seconds / self.speed


def shown(instant: float) -> str:
    """Return an instant as hours and minutes."""
    minutes = int(instant // 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"


def told(text: str) -> float:
    """Return the instant that hours and minutes name.

    Raises:
        ValueError: they name none.
    """
    hours, _, minutes = text.partition(":")
    instant = int(hours) * 3600.0 + int(minutes or 0) * 60.0
    if not 0 <= instant <= 86_400:
        raise ValueError(text)
    return instant
