"""What an import would change: pure comparison of two rosters, and the brake.

Invariant: applying ``plan(current, wanted)`` to ``current`` gives ``wanted``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from fleet.errors import BrakedError
from fleet.schools.roster.values import KINDS, MembershipValue, PersonValue, Roster, SchoolValue, Value

DEFAULT_MAX_REMOVED_PERCENT = 10
# Memberships too: a package whose enrolments were cut off would take the profiles off every class.
_BRAKED_KINDS = ("classes", "people", "memberships")


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
        municipality: source id and name that the roster gives, None where that stays as it is.
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
        moves = any(kind.added or kind.changed or kind.removed for kind in self.kinds.values())
        return not moves and self.municipality is None

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many are added, changed and removed, by kind."""
        return {
            name: {"added": len(kind.added), "changed": len(kind.changed), "removed": len(kind.removed)}
            for name, kind in self.kinds.items()
        }

    def items(self) -> Iterator[dict[str, Any]]:
        """Give every change as plain data: kind, change, id, title and the fields that differ. People have no title."""
        for name, kind in self.kinds.items():
            for change, values in (("add", kind.added), ("remove", kind.removed)):
                for value in values.values():
                    yield _item(name, change, value, [])
            for old, new in kind.changed.values():
                yield _item(name, "change", new, _differing(old, new))


def _item(kind: str, change: str, value: Value, differ: list[str]) -> dict[str, Any]:
    title = None
    if isinstance(value, MembershipValue):
        name = f"{value.class_} / {value.person} ({value.role.value})"
    else:
        name = value.source_id
        if not isinstance(value, PersonValue):
            title = value.name if isinstance(value, SchoolValue) else value.title
    return {"kind": kind, "change": change, "id": name, "title": title, "fields": differ}


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
    named = wanted.municipality if wanted.municipality != current.municipality else None
    return Plan(kinds, named, _suspects(kinds["people"]), before)


def _suspects(people: KindPlan) -> list[str]:
    gone = {getattr(person, "username", None) for person in people.removed.values()} - {None}
    come = {getattr(person, "username", None) for person in people.added.values()}
    return sorted(str(name) for name in gone & come)


def _differing(old: Value, new: Value) -> list[str]:
    return [item.name for item in fields(old) if getattr(old, item.name) != getattr(new, item.name)]


def over_brake(given: Plan, *, max_removed_percent: int) -> BrakedError | None:
    """Return why the brake would stop a plan: too much would go at once, as with half a file. None where it would not.

    Args:
        given: the plan.
        max_removed_percent: how much of the classes, the people, and their places in classes may go in one import.

    Returns:
        Data has ``kind``, ``removed``, ``of`` and ``max_removed_percent`` of the kind that loses the largest share.
    """
    shares = []
    for name in _BRAKED_KINDS:
        removed, of = len(given.kinds[name].removed), given.before[name]
        if removed * 100 > of * max_removed_percent:
            shares.append((removed / of, name, removed, of))
    if not shares:
        return None
    _, name, removed, of = max(shares, key=lambda share: share[0])
    return BrakedError(kind=name, removed=removed, of=of, max_removed_percent=max_removed_percent)
