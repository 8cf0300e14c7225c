"""What an import would change: pure comparison of two rosters, and the brake.

Invariant: applying ``plan(current, wanted)`` to ``current`` gives ``wanted``, and its reverse gives ``current`` back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from fleet.errors import BrakedError
from fleet.schools.roster.values import KINDS, VALUE_OF, Roster, Value

DEFAULT_MAX_REMOVED_PERCENT = 10
_ALWAYS_ALLOWED = 1  # one class or person may always leave, however small the school
_BRAKED_KINDS = ("classes", "people")


@dataclass(slots=True)
class KindPlan:
    """What changes in one kind, by source id."""

    added: dict[str, Value] = field(default_factory=dict)
    changed: dict[str, tuple[Value, Value]] = field(default_factory=dict)  # old, new
    removed: dict[str, Value] = field(default_factory=dict)


@dataclass(slots=True)
class Plan:
    """What an import would change.

    Args:
        kinds: by kind, in writing order.
        municipality: source id and name that the roster gives, None where it gives none.
        suspects: user names that would be a removed and an added person at once: probably one with a new id.
        before: how many of each kind there are now.
    """

    kinds: dict[str, KindPlan]
    municipality: tuple[str, str] | None
    suspects: list[str]
    before: dict[str, int]

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not any(kind.added or kind.changed or kind.removed for kind in self.kinds.values())

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many are added, changed and removed, by kind."""
        return {
            name: {"added": len(kind.added), "changed": len(kind.changed), "removed": len(kind.removed)}
            for name, kind in self.kinds.items()
        }

    def reversed(self) -> "Plan":
        """Return the plan that takes this one back."""
        kinds = {
            name: KindPlan(
                added=dict(kind.removed),
                changed={key: (new, old) for key, (old, new) in kind.changed.items()},
                removed=dict(kind.added),
            )
            for name, kind in self.kinds.items()
        }
        return Plan(kinds, None, [], self.before)


def plan(current: Roster, wanted: Roster) -> Plan:
    """Compare two rosters."""
    kinds = {}
    for name in KINDS:
        old, new = current.of(name), wanted.of(name)
        kinds[name] = KindPlan(
            added={key: value for key, value in new.items() if key not in old},
            changed={key: (old[key], value) for key, value in new.items() if key in old and old[key] != value},
            removed={key: value for key, value in old.items() if key not in new},
        )
    before = {name: len(current.of(name)) for name in KINDS}
    return Plan(kinds, wanted.municipality, _suspects(kinds["people"]), before)


def _suspects(people: KindPlan) -> list[str]:
    gone = {getattr(person, "username", None) for person in people.removed.values()} - {None}
    come = {getattr(person, "username", None) for person in people.added.values()}
    return sorted(str(name) for name in gone & come)


def differing(old: Value, new: Value) -> list[str]:
    """Return the names of the fields that differ."""
    return [item.name for item in fields(old) if getattr(old, item.name) != getattr(new, item.name)]


def require_below_brake(given: Plan, *, max_removed_percent: int) -> None:
    """Stop where too many classes or people would go at once: a half file looks like that.

    Args:
        given: the plan.
        max_removed_percent: how much of the classes, and of the people, may go in one import.

    Raises:
        BrakedError: more would go; data has ``kind``, ``removed``, ``of`` and ``max_removed_percent``.
    """
    for name in _BRAKED_KINDS:
        removed, of = len(given.kinds[name].removed), given.before[name]
        if removed > max(_ALWAYS_ALLOWED, of * max_removed_percent / 100):
            raise BrakedError(kind=name, removed=removed, of=of, max_removed_percent=max_removed_percent)


def to_plain(given: Plan) -> dict[str, Any]:
    """Return a plan as plain data that JSON can keep, for undo."""
    return {
        name: {
            "added": [_plain(value) for value in kind.added.values()],
            "changed": [[_plain(old), _plain(new)] for old, new in kind.changed.values()],
            "removed": [_plain(value) for value in kind.removed.values()],
        }
        for name, kind in given.kinds.items()
    }


def _plain(value: Value) -> dict[str, Any]:
    plain = {}
    for item in fields(value):
        inner = getattr(value, item.name)
        plain[item.name] = inner.isoformat() if hasattr(inner, "isoformat") else inner
    return plain


def from_plain(plain: Mapping[str, Any], before: dict[str, int]) -> Plan:
    """Return the plan that :func:`to_plain` described."""
    kinds = {}
    for name in KINDS:
        told = plain[name]
        added, removed = (_values(name, told[part]) for part in ("added", "removed"))
        old, new = (_values(name, [pair[place] for pair in told["changed"]]) for place in (0, 1))
        kinds[name] = KindPlan(added, {key: (old[key], new[key]) for key in new}, removed)
    return Plan(kinds, None, [], before)


def _values(kind: str, plain: Sequence[Mapping[str, Any]]) -> dict[str, Value]:
    made: list[Value] = [msgspec.convert(one, VALUE_OF[kind]) for one in plain]
    return {value.source_id: value for value in made}
