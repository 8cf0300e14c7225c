"""Conditions in JMESPath: read with care, worked out within bounds.

Invariants: what a text may be is decided when it is read: short, not deep, of few words, nothing in it that makes
lists or objects of its own, only functions of ours (:mod:`fleet.compliance.functions`), only fields there are
(:mod:`fleet.compliance.paths`). Working one out takes at most :data:`STEPS` steps, what a function or a comparison
goes through counts too, and no list in between is longer than :data:`MAX_LIST`; beyond that it is an
:class:`ExpressionLimitError`. What cannot be worked out for want of a fact is null, never an error.

Source: https://jmespath.org/specification.html (grammar, functions); decision 0015.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import jmespath.exceptions
from jmespath import visitor
from jmespath.parser import Parser

from fleet.compliance import paths, reading
from fleet.compliance.functions import MAX_LIST, ExpressionLimitError, Functions, weight
from fleet.compliance.reading import ExpressionError as ExpressionError

STEPS = 50_000
STEPS_OF_A_RULE = 10_000_000  # for all tablets of one review together: a few seconds
MAX_LENGTH = reading.MAX_LENGTH
MAX_TEXTS = 10_000
_MAX_SHOWN_TEXT, _MAX_SHOWN_ITEMS = 200, 20
_BIGGEST = 2**53  # beyond it a program that reads JSON may see another number

__all__ = ["MAX_LENGTH", "STEPS", "Condition", "Evaluation", "ExpressionError", "ExpressionLimitError", "check"]


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression that was read.

    Args:
        text: as it was written.
        tree: as the library has it.
        fields: the fields it asks for, such as ``os.version``.
    """

    text: str
    tree: Mapping[str, Any]
    fields: frozenset[str]

    def value(self, document: Mapping[str, Any], *, now: datetime) -> Any:
        """Return what it gives for a document at an instant.

        Raises:
            ExpressionLimitError: it took more than its bounds.
        """
        return Evaluation(now).value(self, document)


def check(text: str) -> Condition:
    """Read an expression.

    Raises:
        ExpressionError: it is none, or not one of ours.
    """
    spans = reading.scan(text)
    tokens = reading.tokens(text, spans)
    reading.check_words(text, tokens, Functions.names())
    try:
        tree = Parser().parse(text).parsed
    except jmespath.exceptions.JMESPathError as error:
        raise reading.refused(text, tokens, error) from None
    except RecursionError:
        raise ExpressionError(position=0, length=len(text), reason="deep", found=None, expected=None) from None
    reading.check_depth(text, tokens, tree)
    reading.check_arguments(text, tokens, tree, Functions.arguments)
    found, unknown = paths.look_up(tree)
    if unknown:
        raise reading.unknown_field(tokens, unknown[0])
    return Condition(text, tree, found)


@lru_cache(maxsize=1_024)
def compiled(text: str) -> Condition:
    """Return an expression that was read before, or read it.

    Raises:
        ExpressionError: it is none.
    """
    return check(text)


class Evaluation(visitor.TreeInterpreter):
    """Works conditions out at one instant, each within its bounds. Not for two threads at once.

    Args:
        now: the instant that functions about time go by.
        steps: how many steps a condition may take.
    """

    def __init__(self, now: datetime, *, steps: int = STEPS) -> None:
        super().__init__()
        self.now = now
        self.again_at: datetime | None = None  # when a function about time would first give something else
        self._steps = self._left = steps
        self._total = 0  # of what is worked out on behalf of one rule, but for the expression at hand
        self._spent: dict[str, int] = {}
        self._functions = Functions(self)
        self._known: dict[str, Callable[..., Any]] = {kind: getattr(self, f"visit_{kind}") for kind in reading.KINDS}

    def value(self, condition: Condition, document: Mapping[str, Any]) -> Any:
        """Return what a condition gives for a document.

        Raises:
            ExpressionLimitError: it took more than its bounds.
        """
        self._total += self._steps - self._left
        self._left = self._steps
        return self.visit(condition.tree, document)

    @contextmanager
    def on_behalf_of(self, code: str) -> Iterator[None]:
        """Count what is worked out inside as a rule's, all of whose conditions have a bound together.

        Raises:
            ExpressionLimitError: the rule has had all that it may have.
        """
        before = self._spent.get(code, 0)
        if before > STEPS_OF_A_RULE:
            raise ExpressionLimitError(steps=STEPS_OF_A_RULE)
        self._total = 0
        try:
            yield
        finally:
            self._spent[code] = before + self._total + self._steps - self._left
            self._left = self._steps

    def spend(self, steps: int) -> None:
        """Count steps.

        Raises:
            ExpressionLimitError: there are no more.
        """
        self._left -= steps
        if self._left < 0:
            raise ExpressionLimitError(steps=self._steps)

    def look_again(self, at: datetime) -> None:
        """Note when a function about time will give something else."""
        if self.again_at is None or at < self.again_at:
            self.again_at = at

    def visit(self, node: Any, *args: Any, **_named: Any) -> Any:
        """Work out a part, which is a step."""
        self._left -= 1
        if self._left < 0:
            raise ExpressionLimitError(steps=self._steps)
        return self._known[node["type"]](node, args[0])

    def visit_field(self, node: Any, value: Any) -> Any:
        """Return a field of an object, null of anything else."""
        return value.get(node["value"]) if type(value) is dict else None

    def visit_comparator(self, node: Any, value: Any) -> Any:
        """Compare; what is of two kinds has no order."""
        left, right = (self.visit(child, value) for child in node["children"])
        if type(left) in _BIG and type(right) in _BIG:
            self.spend(min(weight(left), weight(right)))
        kind = node["value"]
        if kind in _ORDERS and not _have_order(left, right):
            return None
        return self.COMPARATOR_FUNC[kind](left, right)

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        """Call a function; null where it has not what it needs."""
        told = [self.visit(child, value) for child in node["children"]]
        for one in told:
            if type(one) in _BIG:
                self.spend(weight(one))
        try:
            result = self._functions.call_function(node["value"], told)
        except (
            jmespath.exceptions.JMESPathTypeError,
            ArithmeticError,
            TypeError,
            ValueError,
        ):  # of NaN there is no floor
            return None
        return self._bounded(result)

    def visit_flatten(self, node: Any, value: Any) -> Any:
        """Put the lists in a list together, where that does not grow too long."""
        base = self.visit(node["children"][0], value)
        if type(base) is not list:
            return None
        length = sum(len(one) if type(one) is list else 1 for one in base)
        if length > MAX_LIST:
            raise ExpressionLimitError(steps=self._steps)
        self.spend(length)
        return [item for one in base for item in (one if type(one) is list else (one,))]

    def visit_slice(self, node: Any, value: Any) -> Any:
        """Return a part of a list."""
        if type(value) is list:
            self.spend(len(value))
        return super().visit_slice(node, value)

    def _bounded(self, result: Any) -> Any:
        """Count what a function made, and give up what grew too long."""
        if type(result) is str:
            self.spend(weight(result))
        elif type(result) is list and len(result) > MAX_LIST:
            raise ExpressionLimitError(steps=self._steps)
        return result


_BIG = frozenset({list, dict, str})
_ORDERS = frozenset({"lt", "lte", "gt", "gte"})
_NUMBERS = frozenset({int, float})


def _have_order(left: Any, right: Any) -> bool:
    kinds = {type(left), type(right)}
    return kinds <= _NUMBERS or kinds == {str}


def is_true(value: Any) -> bool:
    """Whether JMESPath calls a value true: null, false and what is empty are not. Source: its "or expressions"."""
    return not (value is None or value is False or value in ("", [], {}))


def texts(value: Any) -> Sequence[str]:
    """Return the subjects of what a condition gives: each text of a list, or "" where it is true as a whole."""
    if isinstance(value, list):
        told = dict.fromkeys(storable(one[:255]) for one in value[:MAX_TEXTS] if isinstance(one, str) and one)
        if told:
            return list(told)
    return [""] if is_true(value) else []


def storable(told: str) -> str:
    """Return a text as any database takes it and any page shows it: no zero byte, no half of a character."""
    return reading.NO_TEXT.sub("\ufffd", told)


def shown(value: Any) -> Any:
    """Return a value as a finding keeps it: short, and JSON that any database takes."""
    if isinstance(value, str):
        return storable(value[:_MAX_SHOWN_TEXT])
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return value if abs(value) <= _BIGGEST else None  # nor what is no number
    if isinstance(value, list):
        return [shown(one) for one in value[:_MAX_SHOWN_ITEMS]]
    return shown(json.dumps(value, ensure_ascii=False, default=str)[:_MAX_SHOWN_TEXT])
