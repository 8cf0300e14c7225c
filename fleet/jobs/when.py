"""When a job is due: pure.

Invariant: what is due is told by a *slot*, an instant that depends only on the clock and the municipality's time zone,
so that all servers mean the same run by it, however late or early each of them wakes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo


class When(Protocol):
    """A rule that gives slots. ``str()`` says it to people."""

    def latest(self, now: datetime, timezone: ZoneInfo) -> datetime:
        """Return the newest slot that is not after ``now``, in UTC."""

    def following(self, now: datetime, timezone: ZoneInfo) -> datetime:
        """Return the first slot after ``now``, in UTC."""


@dataclass(frozen=True, slots=True)
class Every:
    """Each ``minutes`` minutes, counted from midnight 1 January 1970 UTC."""

    minutes: int

    def latest(self, now: datetime, timezone: ZoneInfo) -> datetime:  # noqa: ARG002 (a rule in local time needs it)
        """Return the newest slot that is not after ``now``, in UTC."""
        length_s = 60 * self.minutes
        return datetime.fromtimestamp(now.timestamp() // length_s * length_s, UTC)

    def following(self, now: datetime, timezone: ZoneInfo) -> datetime:
        """Return the first slot after ``now``, in UTC."""
        return self.latest(now, timezone) + timedelta(minutes=self.minutes)

    def __str__(self) -> str:
        return "every minute" if self.minutes == 1 else f"every {self.minutes} minutes"


@dataclass(frozen=True, slots=True)
class Daily:
    """Once a day at a local time; where the clocks skip that time, as late as they would have shown it."""

    at: time

    def latest(self, now: datetime, timezone: ZoneInfo) -> datetime:
        """Return the newest slot that is not after ``now``, in UTC."""
        return max(slot for slot in self._around(now, timezone) if slot <= now)

    def following(self, now: datetime, timezone: ZoneInfo) -> datetime:
        """Return the first slot after ``now``, in UTC."""
        return min(slot for slot in self._around(now, timezone) if slot > now)

    def _around(self, now: datetime, timezone: ZoneInfo) -> list[datetime]:
        today = now.astimezone(timezone).date()
        days = [today + timedelta(days=days) for days in (-1, 0, 1)]
        return [datetime.combine(day, self.at, timezone).astimezone(UTC) for day in days]

    def __str__(self) -> str:
        return f"daily at {self.at:%H:%M}"
