"""Layers become one effective profile, with the reason for every setting.

Municipality, school, classes, tablet and lesson each say something; the setting's rule decides. Afterwards blocking
beats requiring and allowing: a blocked app is neither installed nor opened, whoever asked for it, and the reason says
so. Pure: the same layers in any order give the same profile, everywhere.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from profiles.rules import Statement
from profiles.vocabulary import VOCABULARY


class Level(enum.IntEnum):
    """How near a layer is; higher is nearer."""

    MUNICIPALITY = 1
    SCHOOL = 2
    CLASS = 3
    DEVICE = 4
    LESSON = 5


@dataclass(frozen=True, slots=True)
class Layer:
    """What one assignment says.

    Args:
        level: where it was assigned.
        name: names the layer in reasons; different layers have different names.
        since: when it came to apply; breaks ties between equal levels.
        settings: validated settings.
    """

    level: Level
    name: str
    since: datetime | None
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Loser:
    """A layer whose value did not become the outcome, and the value it wanted."""

    layer: str
    value: Any


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a setting has its value.

    Args:
        value: the outcome; None where blocking took it away.
        rule: the rule's name.
        winners: the layers that made it so.
        losers: the other layers that said something else.
        removed: items that were taken out because they are blocked.
    """

    value: Any
    rule: str
    winners: tuple[str, ...]
    losers: tuple[Loser, ...]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Effective:
    """One effective profile and the reason for each of its settings."""

    settings: Mapping[str, Any]
    reasons: Mapping[str, Reason]


# What a block list takes out of other settings. The app of a lock is a text, the others are lists.
_BLOCKS = (("apps.blocked", ("apps.required", "apps.allowed", "kiosk.app")), ("web.blocked", ("web.allowed",)))


def effective(layers: Sequence[Layer]) -> Effective:
    """Merge ``layers`` into one profile with reasons.

    Raises:
        KeyError: a layer has a setting that the vocabulary does not know.
    """
    said: dict[str, list[Statement]] = {}
    for layer in layers:
        for name, value in layer.settings.items():
            said.setdefault(name, []).append(Statement(int(layer.level), layer.name, layer.since, value))
    reasons = {name: _merge(name, said[name]) for name in sorted(said)}
    for blocking, blocked in _BLOCKS:
        banned = frozenset(reasons[blocking].value) if blocking in reasons else frozenset()
        for name in blocked:
            if name in reasons:
                reasons[name] = _without(reasons[name], banned)
    settings = {name: reason.value for name, reason in reasons.items() if reason.value is not None}
    return Effective(settings, reasons)


def _merge(name: str, statements: Sequence[Statement]) -> Reason:
    rule = VOCABULARY[name].rule
    merged = rule.merge(statements)
    losers = {
        (statement.layer, str(statement.value)): Loser(statement.layer, statement.value)
        for statement in statements
        if statement.layer not in merged.winners
    }
    return Reason(merged.value, rule.name, merged.winners, tuple(losers[key] for key in sorted(losers)))


def _without(reason: Reason, banned: frozenset[str]) -> Reason:
    if isinstance(reason.value, str):
        gone = (reason.value,) if reason.value in banned else ()
        value: Any = None if gone else reason.value
    else:
        gone = tuple(item for item in reason.value if item in banned)
        value = [item for item in reason.value if item not in banned]
    return Reason(value, reason.rule, reason.winners, reason.losers, gone) if gone else reason


def is_tighter_or_equal(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Whether ``above`` loosens nothing that ``below`` sets. Both are effective settings."""
    return not looser_keys(below, above)


def looser_keys(below: Mapping[str, Any], above: Mapping[str, Any]) -> list[str]:
    """Return the settings that ``above`` sets looser than ``below``, or no longer sets at all."""
    found = []
    banned = {blocked: set(above.get(blocking, ())) for blocking, names in _BLOCKS for blocked in names}
    for name, value in below.items():
        rule = VOCABULARY[name].rule
        if name not in above:
            gone = isinstance(value, str) and value in banned.get(name, ())
            found += [] if gone else [name]
            continue
        # An app that must be there and is now blocked is not a loosening.
        wanted = (
            [item for item in value if item not in banned[name]]
            if isinstance(value, list) and name in banned
            else value
        )
        if not rule.is_tighter_or_equal(wanted, above[name]):
            found.append(name)
    return found
