"""Today at school as one line: the bell's periods, and one's lessons in them. Pure.

The drawing stands beside the same in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleet.lessons.endings import Hour

WIDTH = 1000  # of the drawing, in its own units
_MARGIN = timedelta(minutes=10)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """A lesson of the day: which class, from when until when, and whether it runs."""

    title: str
    starts_at: datetime
    ends_at: datetime
    is_running: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """From where to where something is drawn, of ``WIDTH``."""

    start: float
    length: float


@dataclass(frozen=True, slots=True)
class Day:
    """What is drawn of a day: its periods, its lessons, where now is (None: outside), and the hours that are named."""

    periods: Sequence[Stretch]
    lessons: Sequence[tuple[Entry, Stretch]]
    now: float | None
    hours: Sequence[tuple[float, datetime]]


def day(periods: Sequence[Hour], entries: Sequence[Entry], *, now: datetime) -> Day | None:
    """Return the drawing; None where there is nothing to draw."""
    if not periods:
        return None
    begins = min([one.starts_at for one in periods] + [one.starts_at for one in entries]) - _MARGIN
    ends = max([one.ends_at for one in periods] + [one.ends_at for one in entries]) + _MARGIN
    width = (ends - begins) / _MINUTE

    def at(instant: datetime) -> float:
        return round(WIDTH * ((instant - begins) / _MINUTE) / width, 1)

    def stretch(starts_at: datetime, ends_at: datetime) -> Stretch:
        return Stretch(at(starts_at), round(at(ends_at) - at(starts_at), 1))

    hours, free_from = [], 0.0
    for instant in sorted({one.starts_at for one in periods} | {periods[-1].ends_at}):
        if at(instant) >= free_from:
            hours.append((at(instant), instant))
            free_from = at(instant) + WIDTH / 7
    return Day(
        [stretch(one.starts_at, one.ends_at) for one in periods],
        [(one, stretch(one.starts_at, one.ends_at)) for one in entries],
        at(now) if begins <= now <= ends else None,
        hours,
    )
