"""Layers become one effective profile, with the reason for every setting.

Municipality, school, classes, tablet and lesson each say something; the setting's rule decides. Two things are settled
between settings. Blocking beats requiring and allowing: a blocked app is neither installed nor opened, whoever asked
for it. A lock to one app and a list that closes that app cannot both hold: the farther layer's word does, and in one
layer the closing; so a lesson can neither open what is closed below it nor undo a lock. The reasons say so. Pure: the
same layers in any order give the same profile, everywhere.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
        removed: items that were taken out because they are blocked, or an app that cannot be locked to as it is closed.
        kept: the app that the tablet is locked to, which a nearer layer cannot close: left out of a block list or put
            into an allow list.
    """

    value: Any
    rule: str
    winners: tuple[str, ...]
    losers: tuple[Loser, ...]
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Effective:
    """One effective profile and the reason for each of its settings."""

    settings: Mapping[str, Any]
    reasons: Mapping[str, Reason]


_LOCK, _BLOCKED, _ALLOWED = "kiosk.app", "apps.blocked", "apps.allowed"
_CLOSING = (_BLOCKED, _ALLOWED)
# What a block list takes out of other lists.
_BLOCKS = ((_BLOCKED, ("apps.required", _ALLOWED)), ("web.blocked", ("web.allowed",)))


def effective(layers: Sequence[Layer]) -> Effective:
    """Merge ``layers`` into one profile with reasons.

    Raises:
        KeyError: a layer has a setting that the vocabulary does not know.
    """
    said: dict[str, list[Statement]] = {}
    for layer in layers:
        for name, value in layer.settings.items():
            said.setdefault(name, []).append(Statement(int(layer.level), layer.name, layer.since, value))
    reasons = {name: _merge(name, said[name], said[name]) for name in sorted(said) if name != _LOCK}
    if _LOCK in said:
        reasons |= _lock(said, reasons)
    for blocking, blocked in _BLOCKS:
        banned = frozenset(reasons[blocking].value) if blocking in reasons else frozenset()
        for name in blocked:
            if name in reasons:
                reasons[name] = _without(reasons[name], banned)
    ordered = dict(sorted(reasons.items()))
    settings = {name: reason.value for name, reason in ordered.items() if reason.value is not None}
    return Effective(settings, ordered)


def _merge(name: str, statements: Sequence[Statement], spoke: Sequence[Statement]) -> Reason:
    """Merge ``statements``; who ``spoke`` and did not win has lost."""
    rule = VOCABULARY[name].rule
    merged = rule.merge(statements)
    losers = {
        (statement.layer, str(statement.value)): Loser(statement.layer, statement.value)
        for statement in spoke
        if statement.layer not in merged.winners
    }
    return Reason(merged.value, rule.name, merged.winners, tuple(losers[key] for key in sorted(losers)))


def _lock(said: Mapping[str, Sequence[Statement]], reasons: Mapping[str, Reason]) -> dict[str, Reason]:
    """Return the reasons of the lock, and of the lists that would close its app from nearer by."""
    closing = [(name, statement) for name in _CLOSING for statement in said.get(name, ())]
    locks = said[_LOCK]
    able = [lock for lock in locks if not any(_closes(name, other, lock) for name, other in closing)]
    told = _merge(_LOCK, able or locks, locks)
    if not able:
        return {_LOCK: replace(told, value=None, removed=(told.value,))}
    found = {_LOCK: told}
    app = told.value
    if _BLOCKED in reasons and app in reasons[_BLOCKED].value:
        value = [item for item in reasons[_BLOCKED].value if item != app]
        found[_BLOCKED] = replace(reasons[_BLOCKED], value=value, kept=(app,))
    if _ALLOWED in reasons and app not in reasons[_ALLOWED].value:
        found[_ALLOWED] = replace(reasons[_ALLOWED], value=sorted([*reasons[_ALLOWED].value, app]), kept=(app,))
    return found


def _closes(name: str, other: Statement, lock: Statement) -> bool:
    """Whether a list closes the app of a lock that is not farther than the list."""
    return other.level <= lock.level and (lock.value in other.value) == (name == _BLOCKED)


def _without(reason: Reason, banned: frozenset[str]) -> Reason:
    gone = tuple(item for item in reason.value if item in banned)
    if not gone:
        return reason
    return replace(reason, value=[item for item in reason.value if item not in banned], removed=gone)


def is_tighter_or_equal(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Whether ``above`` loosens nothing that ``below`` sets. Both are effective settings."""
    return not looser_keys(below, above)


def looser_keys(below: Mapping[str, Any], above: Mapping[str, Any]) -> list[str]:
    """Return the settings that ``above`` sets looser than ``below``, or no longer sets at all."""
    found = []
    banned = {blocked: set(above.get(blocking, ())) for blocking, names in _BLOCKS for blocked in names}
    for name, value in below.items():
        # An app that must be there and is now blocked is not a loosening.
        wanted = [item for item in value if item not in banned[name]] if name in banned else value
        if name not in above or not VOCABULARY[name].rule.is_tighter_or_equal(wanted, above[name]):
            found.append(name)
    return found
