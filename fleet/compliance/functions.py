"""The functions that conditions may call: some of JMESPath's own, and ours about versions, time and lists.

Left out are those that make big things of small ones (``merge``, ``reverse``, ``to_array``, sorting by an expression)
and what nobody needs to say what is worth a look. Whoever calls one counts what it is given
(:class:`fleet.compliance.expressions.Evaluation`); what it gives is bounded here.
Source: https://jmespath.org/specification.html#built-in-functions
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Protocol

from jmespath import functions as library

from fleet.compliance.versions import is_older
from fleet.errors import InvalidError

MAX_LIST = 5_000
MAX_TEXT = 2_000
_DAY = timedelta(days=1)
_TEXTS: Any = {"types": ["array-string"]}
_TEXT: Any = {"types": ["string"]}
_NUMBER: Any = {"types": ["number"]}
_BIGGEST = 1e15

# JMESPath's own that are offered as they are.
_OFFERED = frozenset(
    {
        "abs", "avg", "ceil", "contains", "ends_with", "floor", "length", "map", "max", "min", "not_null", "sort",
        "starts_with", "sum", "type",
    }
)  # fmt: skip


class ExpressionLimitError(InvalidError):
    """Working a condition out took more than it may. Data: ``steps``, how many it may take."""

    code = "expression-limit"


def weight(value: Any) -> int:
    """Return about how many steps it takes to go through a value once."""
    if isinstance(value, str):
        return 1 + len(value) // 64
    if isinstance(value, list):
        return 1 + len(value) * (8 if value and isinstance(value[0], dict | list) else 1)
    return 1 + 8 * len(value) if isinstance(value, dict) else 1


class _Watching(Protocol):
    """Who calls functions: it has the instant, and notes when to look again."""

    now: datetime

    def look_again(self, at: datetime) -> None: ...

    def spend(self, steps: int) -> None: ...


class Functions(library.Functions):
    """The functions there are.

    Args:
        evaluation: who calls them.
    """

    FUNCTION_TABLE: ClassVar[dict[str, Any]]  # type: ignore[misc]  # it is the class's, whatever the stubs say

    def __init__(self, evaluation: _Watching) -> None:
        self._evaluation = evaluation

    @classmethod
    def names(cls) -> frozenset[str]:
        """Return what the functions are called."""
        return frozenset(cls.FUNCTION_TABLE)

    @classmethod
    def arguments(cls, name: str) -> tuple[int, int | None]:
        """Return how many things a function needs at least and at most; None: as many as one likes."""
        signature = cls.FUNCTION_TABLE[name]["signature"]
        return len(signature), None if signature and signature[-1].get("variadic") else len(signature)

    @library.signature(_TEXT, _TEXT)
    def _func_older(self, found: str, than: str) -> bool:
        return is_older(found, than)

    @library.signature(_TEXT)
    def _func_days_since(self, told: str) -> int | None:
        moment = as_instant(told)
        if moment is None:
            return None
        days = (self._evaluation.now - moment) // _DAY
        self._look_again(moment, days + 1)
        return days

    @library.signature(_TEXT)
    def _func_days_until(self, told: str) -> int | None:
        moment = as_instant(told)
        if moment is None:
            return None
        days = (moment - self._evaluation.now) // _DAY
        self._look_again(moment, -days)
        return days

    def _look_again(self, moment: datetime, days: int) -> None:
        """Note when the number of days to or from an instant is another."""
        try:
            at = moment + days * _DAY
        except OverflowError:
            return
        self._evaluation.look_again(at if at > self._evaluation.now else self._evaluation.now + timedelta(seconds=1))

    @library.signature(_NUMBER, _NUMBER)
    def _func_plus(self, one: float, other: float) -> float:
        return one + other

    @library.signature(_NUMBER, _NUMBER)
    def _func_minus(self, one: float, other: float) -> float:
        return one - other

    @library.signature(_TEXTS, _TEXTS)
    def _func_common(self, one: list[str], other: list[str]) -> list[str]:
        wanted = set(other)
        return [text for text in one if text in wanted]

    @library.signature(_TEXTS, _TEXTS)
    def _func_lacking(self, wanted: list[str], there: list[str]) -> list[str]:
        known = set(there)
        return [text for text in wanted if text not in known]

    @library.signature(_TEXTS, _TEXTS)
    def _func_matches_any(self, told: list[str], patterns: list[str]) -> list[str]:
        self._evaluation.spend(len(told) * sum(1 + len(one) // 8 for one in patterns))
        return [text for text in told if any(_matches(text[:MAX_TEXT], one) for one in patterns)]

    @library.signature(_TEXT, _TEXTS)
    def _func_join(self, between: str, told: list[str]) -> str | None:
        length = sum(map(len, told)) + len(between) * len(told)
        return between.join(told) if length <= MAX_TEXT else None

    @library.signature({"types": []})
    def _func_to_string(self, value: Any) -> str | None:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        is_number = isinstance(value, int | float) and abs(value) <= _BIGGEST
        return str(value) if is_number else None

    @library.signature({"types": []})
    def _func_to_number(self, value: Any) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        if not isinstance(value, str):
            return value
        try:
            found = float(value) if len(value) <= 24 else math.nan
        except ValueError:
            return None
        if not abs(found) <= _BIGGEST:
            return None
        return int(found) if found.is_integer() else found


def _offered() -> dict[str, Any]:
    own = {name.removeprefix("_func_") for name in vars(Functions) if name.startswith("_func_")}
    table: Mapping[str, Any] = Functions.FUNCTION_TABLE
    return {name: table[name] for name in sorted(own | _OFFERED)}


Functions.FUNCTION_TABLE = _offered()

# How each is called, for the help of an editor: the same names, held together by a test.
SIGNATURES: Mapping[str, str] = {
    "abs": "abs(number)", "avg": "avg(numbers)", "ceil": "ceil(number)", "common": "common(texts, texts)",
    "contains": "contains(list or text, thing)", "days_since": "days_since(instant)",
    "days_until": "days_until(instant)", "ends_with": "ends_with(text, end)", "floor": "floor(number)",
    "join": "join(between, texts)", "lacking": "lacking(wanted, there)", "length": "length(list or text)",
    "map": "map(&expression, list)", "matches_any": "matches_any(texts, patterns)", "max": "max(list)",
    "min": "min(list)", "minus": "minus(number, number)", "not_null": "not_null(one, other …)",
    "older": "older(version, than)", "plus": "plus(number, number)", "sort": "sort(list)",
    "starts_with": "starts_with(text, start)", "sum": "sum(numbers)", "to_number": "to_number(text)",
    "to_string": "to_string(thing)", "type": "type(thing)",
}  # fmt: skip


def as_instant(value: Any) -> datetime | None:
    """Return an instant that a document tells as text, in UTC: databases do not take every zone there may be.

    None where it is none, or none that can be said in UTC.
    """
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _matches(text: str, pattern: str) -> bool:
    """Whether a text is like a pattern in which ``*`` stands for anything; each part is sought once."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    if not text.startswith(first):
        return False
    place = len(first)
    *middle, last = others
    for part in middle:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return len(text) - place >= len(last) and text.endswith(last)
