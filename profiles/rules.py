"""Merge rules: how the layers' values of one setting become one, and who won.

A rule is a pure function over what the layers say, in any order. Invariants (tested for every key): the order of equal
layers does not matter, a layer given twice changes nothing, and a nearer layer never loosens what the farther ones say.
``nearest`` and ``by-name`` are for things that are neither loose nor strict, such as a wallpaper or the list of known
networks; ``farthest`` is for what can only be one thing, and whose change would open what it closes, such as a lock to
one app.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Statement:
    """What one layer says about one setting.

    Args:
        level: how near the layer is; higher is nearer.
        layer: the layer's name.
        since: when it came to apply; breaks ties between layers of one level, later wins.
        value: the value, in its stored form.
    """

    level: int
    layer: str
    since: datetime | None
    value: Any


@dataclass(frozen=True, slots=True)
class Merged:
    """The outcome: the value, and the layers that made it so."""

    value: Any
    winners: tuple[str, ...]


class Rule(Protocol):
    """One way to merge."""

    @property
    def name(self) -> str:
        """The rule in two words."""

    def merge(self, statements: Sequence[Statement]) -> Merged:
        """Merge at least one statement."""

    def is_tighter_or_equal(self, below: Any, above: Any) -> bool:
        """Whether ``above`` is at least as strict as ``below``; True where strictness has no meaning."""


def canonical_text(value: Any) -> str:
    """Return a text that orders values the same way everywhere."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def _saying(statements: Sequence[Statement], value: Any) -> tuple[str, ...]:
    return tuple(sorted({statement.layer for statement in statements if statement.value == value}))


@dataclass(frozen=True, slots=True)
class Strictest:
    """The strictest value wins, whoever says it. ``strictness`` maps a value to how strict it is."""

    name: str
    strictness: Callable[[Any], Any]

    def merge(self, statements: Sequence[Statement]) -> Merged:
        """Take the strictest value."""
        value = max((statement.value for statement in statements), key=self.strictness)
        return Merged(value, _saying(statements, value))

    def is_tighter_or_equal(self, below: Any, above: Any) -> bool:
        """Compare by strictness."""
        return bool(self.strictness(above) >= self.strictness(below))


@dataclass(frozen=True, slots=True)
class Union:
    """Everything that any layer lists: for block lists and requirements."""

    name: str = "union"

    def merge(self, statements: Sequence[Statement]) -> Merged:
        """Unite the lists; whoever lists anything wins."""
        value = sorted({item for statement in statements for item in statement.value})
        winners = {statement.layer for statement in statements if statement.value}
        return Merged(value, tuple(sorted(winners or {statement.layer for statement in statements})))

    def is_tighter_or_equal(self, below: Any, above: Any) -> bool:
        """More listed is stricter."""
        return set(above) >= set(below)


@dataclass(frozen=True, slots=True)
class Intersection:
    """Only what every layer that has a list allows: for allow lists. A layer without a list allows everything."""

    name: str = "intersection"

    def merge(self, statements: Sequence[Statement]) -> Merged:
        """Intersect the lists; those win that ruled something out, all where none did."""
        value = sorted(set.intersection(*(set(statement.value) for statement in statements)))
        every = {item for statement in statements for item in statement.value}
        limiting = {statement.layer for statement in statements if set(statement.value) != every}
        return Merged(value, tuple(sorted(limiting or {statement.layer for statement in statements})))

    def is_tighter_or_equal(self, below: Any, above: Any) -> bool:
        """Less allowed is stricter."""
        return set(above) <= set(below)


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest layer's value; among equals the later one, then the first in canonical order."""

    name: str = "nearest"

    def merge(self, statements: Sequence[Statement]) -> Merged:
        """Take the nearest value."""
        best = min(statements, key=_nearness)
        level = [statement for statement in statements if statement.level == best.level]
        return Merged(best.value, _saying(level, best.value))

    def is_tighter_or_equal(self, below: Any, above: Any) -> bool:  # noqa: ARG002 (neither is stricter)
        """Neither is stricter."""
        return True


@dataclass(frozen=True, slots=True)
class Farthest:
    """The farthest layer's value; among equals the earlier one, then the first in canonical order.

    What stands cannot be changed from nearer by, only added where nothing stands.
    """

    name: str = "farthest"

    def merge(self, statements: Sequence[Statement]) -> Merged:
        """Take the farthest value."""
        best = min(statements, key=_farness)
        level = [statement for statement in statements if statement.level == best.level]
        return Merged(best.value, _saying(level, best.value))

    def is_tighter_or_equal(self, below: Any, above: Any) -> bool:
        """Another value would open what this one closes."""
        return bool(below == above)


@dataclass(frozen=True, slots=True)
class ByName:
    """All layers' records together; of those with one name the nearest."""

    key: str
    name: str = "by-name"

    def merge(self, statements: Sequence[Statement]) -> Merged:
        """Unite the records by their name."""
        best: dict[str, tuple[Statement, Any]] = {}
        for statement in sorted(statements, key=_nearness, reverse=True):
            for record in statement.value:
                best[record[self.key]] = (statement, record)
        winners = {statement.layer for statement, _ in best.values()}
        value = [best[name][1] for name in sorted(best)]
        return Merged(value, tuple(sorted(winners or {statement.layer for statement in statements})))

    def is_tighter_or_equal(self, below: Any, above: Any) -> bool:  # noqa: ARG002 (neither is stricter)
        """Neither is stricter."""
        return True


def _nearness(statement: Statement) -> tuple[int, float, str, str]:
    """Order statements nearest first: level, then the later, then canonical order of value and layer."""
    return (-statement.level, -_since(statement), canonical_text(statement.value), statement.layer)


def _farness(statement: Statement) -> tuple[int, float, str, str]:
    """Order statements farthest first: level, then the earlier, then canonical order of value and layer."""
    return (statement.level, _since(statement), canonical_text(statement.value), statement.layer)


def _since(statement: Statement) -> float:
    return statement.since.timestamp() if statement.since is not None else float("-inf")


OFF_WINS = Strictest("strictest: off wins", lambda value: not value)
ON_WINS = Strictest("strictest: on wins", bool)
LOWEST = Strictest("strictest: lowest wins", lambda value: -value)
HIGHEST = Strictest("strictest: highest wins", lambda value: value)
NEWEST = Strictest("strictest: newest wins", lambda value: tuple(int(part) for part in value.split(".")))
UNION, INTERSECTION, NEAREST, FARTHEST = Union(), Intersection(), Nearest(), Farthest()


def last_of(words: Sequence[str]) -> Strictest:
    """Return the rule for a choice whose words go from loosest to strictest."""
    return Strictest("strictest: later in the list wins", list(words).index)
