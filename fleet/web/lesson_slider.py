"""The slider for how long a lesson lasts: its steps, and the day's periods drawn under it. Pure.

The slider needs the script; the ends as buttons do not, and say the same. Positions are minutes from the slider's
left end, drawn in a picture as wide as the slider's way is long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleet.lessons.endings import Endings

_STEP = timedelta(minutes=5)
_SHORTEST = timedelta(minutes=5)
_MINUTE = timedelta(minutes=1)
_LABEL_EVERY = 0.16  # of the way: labels that are nearer to each other would touch on a phone


@dataclass(frozen=True, slots=True)
class Mark:
    """A bell: where it is, what it says, and whether there is room for its label."""

    at: float
    instant: datetime
    is_labelled: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A period: from where to where."""

    start: float
    length: float


@dataclass(frozen=True, slots=True)
class Slider:
    """A slider in minutes since ``origin``; ``width`` is from its least to its most."""

    origin: datetime
    least: int
    most: int
    step: int
    value: int
    began: int
    marks: Sequence[Mark]
    blocks: Sequence[Block]

    @property
    def width(self) -> int:
        """How many minutes wide it is."""
        return self.most - self.least


def slider(ends: Endings, *, chosen: datetime | None, now: datetime) -> Slider | None:
    """Return the slider; None where there is nothing to choose.

    It steps by five minutes of the clock, or by one where a bell rings in between.
    """
    if ends.latest is None or chosen is None:
        return None
    origin = datetime.fromtimestamp(now.timestamp() // _STEP.total_seconds() * _STEP.total_seconds(), UTC)
    rings = [one.ends_at for one in ends.periods if now + _SHORTEST <= one.ends_at <= ends.latest]
    exact = [*rings, ends.latest]
    step = _STEP if all((one - origin) % _STEP == timedelta(0) for one in exact) else _MINUTE
    least = -(-(now + _SHORTEST - origin) // step) * step
    most = (ends.latest - origin) // step * step
    if most <= least:
        return None
    least_min, most_min = round(least / _MINUTE), round(most / _MINUTE)
    return Slider(
        origin=origin,
        least=least_min,
        most=most_min,
        step=round(step / _MINUTE),
        value=min(max(round((chosen - origin) / _MINUTE), least_min), most_min),
        began=round((now - origin) / _MINUTE),
        marks=_marks(rings, origin + least, origin + most),
        blocks=_blocks(ends, origin + least, origin + most),
    )


def _marks(rings: Sequence[datetime], left: datetime, right: datetime) -> list[Mark]:
    marks: list[Mark] = []
    free_from = 0.0
    width = (right - left) / _MINUTE
    for ring in rings:
        at = (ring - left) / _MINUTE
        marks.append(Mark(at, ring, at >= free_from))
        if at >= free_from:
            free_from = at + _LABEL_EVERY * width
    return marks


def _blocks(ends: Endings, left: datetime, right: datetime) -> list[Block]:
    spans = ((max(one.starts_at, left), min(one.ends_at, right)) for one in ends.periods)
    return [Block((start - left) / _MINUTE, (end - start) / _MINUTE) for start, end in spans if end > start]
