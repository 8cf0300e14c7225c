"""Figures that many processes gather and one adds up: how long things took, and what was counted."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_STEPS = 16  # for each doubling: a figure is right within 5 %
_LEAST = 1e-5


class Spread:
    """How many took how long, in steps of some percent; adds up over processes, unlike a list never grows."""

    __slots__ = ("counts", "longest")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.longest = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Note that something took so long."""
        self.counts[round(_STEPS * math.log2(max(seconds, _LEAST)))] += times
        self.longest = max(self.longest, seconds)

    def take_in(self, other: "Spread") -> None:
        """Add what another has noted."""
        self.counts += other.counts
        self.longest = max(self.longest, other.longest)

    def __len__(self) -> int:
        return self.counts.total()

    def at(self, percent: float) -> float | None:
        """Return what so many percent took at most, in seconds; None where there is nothing."""
        if percent >= 100 and len(self):
            return self.longest
        wanted, seen = percent / 100 * len(self), 0
        for step in sorted(self.counts):
            seen += self.counts[step]
            if seen >= wanted:
                return float(min(2 ** (step / _STEPS), self.longest))
        return None

    def within(self, seconds: float) -> float:
        """Return the share that took at most so long; 1 where there is nothing."""
        limit = round(_STEPS * math.log2(max(seconds, _LEAST)))
        return sum(count for step, count in self.counts.items() if step <= limit) / len(self) if len(self) else 1.0


def percentiles(
    spread: Spread, percents: Iterable[float] = (50, 95, 99, 100), *, times: float = 1000.0
) -> dict[str, float | None]:
    """Return percentiles by name, in milliseconds or what ``times`` says."""
    found = {f"p{percent:g}": spread.at(percent) for percent in percents}
    return {name: None if value is None else round(value * times, 3) for name, value in found.items()}


@dataclass
class Tally:
    """What tablets did and met in a quarter of an hour of the day, or over all of it."""

    answered: Counter[str] = field(default_factory=Counter)  # requests by what they were
    latency: dict[str, Spread] = field(default_factory=dict)  # from when it was due; held polls stand apart
    met: Counter[str] = field(default_factory=Counter)  # shed, lost-request, lost-answer, cut, unreachable, repeated
    unexpected: Counter[int] = field(default_factory=Counter)  # answers that nobody expected, by status
    arrivals: dict[str, Spread] = field(default_factory=dict)  # of lesson changes on present tablets: start, end
    missed: Counter[str] = field(default_factory=Counter)  # changes that a present tablet never had, the same
    held: int = 0  # tablets that waited at the server at the end of it
    awake: int = 0

    def took(self, what: str, seconds: float) -> None:
        """Note an answer."""
        self.answered[what] += 1
        self.latency.setdefault(what, Spread()).add(seconds)

    def arrived(self, what: str, seconds: float) -> None:
        """Note that a change is on a tablet."""
        self.arrivals.setdefault(what, Spread()).add(seconds)

    def take_in(self, other: "Tally") -> None:
        """Add what another has noted; states are those of the newer."""
        for mine, theirs in ((self.latency, other.latency), (self.arrivals, other.arrivals)):
            for what, spread in theirs.items():
                mine.setdefault(what, Spread()).take_in(spread)
        self.answered += other.answered
        self.met += other.met
        self.unexpected += other.unexpected
        self.missed += other.missed
        self.held += other.held
        self.awake += other.awake

    def all_latencies(self) -> Spread:
        """Return the latencies of all that the server did not hold on purpose."""
        total = Spread()
        for what, spread in self.latency.items():
            if what != "held-poll":
                total.take_in(spread)
        return total
