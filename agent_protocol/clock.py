"""The only place of the agent that reads the machine's clocks."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the machine's present instant, aware UTC; the agent corrects it by what the server says."""
    return datetime.now(UTC)


def uptime_s() -> float:
    """Return seconds since the machine started, asleep or not: a clock that nobody can set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
