"""Whether an expression asks for fields that there are: else it would find nothing, and nobody would know why.

Told is a tree of what a document has (:data:`fleet.compliance.fields.SHAPE`): an object by its names, a list by its one
item, None where anything may be below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.compliance.fields import SHAPE

_ANY: Any = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A field that there is not: its name, the whole path, and which there are beside it."""

    name: str
    path: str
    known: tuple[str, ...]


def look_up(tree: Mapping[str, Any]) -> tuple[frozenset[str], Sequence[Unknown]]:
    """Return the fields that an expression asks for, by their paths, and those that there are not."""
    looking = _Looking()
    looking.go(tree, (SHAPE, ""))
    return frozenset(looking.found), looking.unknown


_At = tuple[Any, str]  # what is there, and the path to it


class _Looking:
    """Goes through a tree; knows at each part what it is applied to."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.unknown: list[Unknown] = []

    def go(self, node: Mapping[str, Any], at: _At) -> _At:
        kind, children = node["type"], [one for one in node["children"] if isinstance(one, dict)]
        if kind == "field":
            return self._field(str(node["value"]), at)
        if kind in {"subexpression", "pipe", "index_expression"}:
            for child in children:
                at = self.go(child, at)
            return at
        if kind in {"current", "identity", "slice"}:
            return at
        if kind == "index":
            return self._item(at)
        if kind in {"projection", "filter_projection", "value_projection", "flatten"}:
            return self._through(kind, children, at)
        return self._other(kind, children, at)

    def _field(self, name: str, at: _At) -> _At:
        shape, path = at
        whole = f"{path}.{name}".lstrip(".")
        if shape is _ANY:
            self.found.add(whole)
            return _ANY, whole
        if not isinstance(shape, Mapping) or name not in shape:
            known = tuple(shape) if isinstance(shape, Mapping) else ()
            self.unknown.append(Unknown(name, whole, known))
            return _ANY, whole
        self.found.add(whole)
        return shape[name], whole

    @staticmethod
    def _item(at: _At) -> _At:
        shape, path = at
        return (shape[0] if isinstance(shape, list) else _ANY), f"{path}[]"

    def _through(self, kind: str, children: Sequence[Mapping[str, Any]], at: _At) -> _At:
        base = self.go(children[0], at)
        if kind == "flatten":
            return base
        item = self._item(base) if kind != "value_projection" else (_ANY, f"{base[1]}.*")
        if kind == "filter_projection":
            self.go(children[2], item)
        shape, path = self.go(children[1], item)
        return [shape], path

    def _other(self, kind: str, children: Sequence[Mapping[str, Any]], at: _At) -> _At:
        lists = [self.go(child, at) for child in children if child["type"] != "expref"]
        for child in children:
            if child["type"] == "expref":
                self.go(child["children"][0], self._item(lists[0]) if lists else (_ANY, ""))
        return lists[-1] if kind == "and_expression" and lists else (_ANY, at[1])
