"""Reading a condition before the library does: bounds, words and where a fault stands.

The library tells where some faults stand and nothing of others; here each has a position, counted in characters from 0,
and a length, so that an editor can mark it.
"""

import difflib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jmespath import exceptions
from jmespath.lexer import Lexer

from fleet.compliance.paths import Unknown
from fleet.errors import InvalidError

MAX_LENGTH = 1_000
MAX_TOKENS = 300
MAX_NESTED = 12  # brackets in brackets, each of which the library goes into
MAX_DEPTH = 60  # of the tree: so many alternatives one after the other
MAX_PROJECTIONS = 12  # each runs what follows for each item
_OPENING, _CLOSING = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}
NO_TEXT = re.compile("[\0\ud800-\udfff]")  # a zero byte, half a character: no database and no page takes them
_QUOTES = frozenset("'\"`")
_ENDING = frozenset({"unquoted_identifier", "quoted_identifier", "literal", "current", "rparen", "rbracket", "flatten"})
_BEGINNING = frozenset({"unquoted_identifier", "quoted_identifier", "literal", "current", "not", "expref"})
_PROJECTING = frozenset({"star", "flatten", "filter", "colon"})
_SIGNS = {
    "rparen": ")", "rbracket": "]", "rbrace": "}", "comma": ",", "colon": ":", "star": "*", "dot": ".",
}  # fmt: skip
_EXPECTING = re.compile(r"Expecting: ([a-z_]+)")

# The library reads !a.b as (!a).b, which is nothing: whoever writes it means !(a.b).
_OF_SOMETHING = frozenset({"subexpression", "projection", "filter_projection", "value_projection", "flatten"})

# What a tree may consist of: nothing that makes lists or objects of its own.
KINDS = frozenset(
    {
        "and_expression", "comparator", "current", "expref", "field", "filter_projection", "flatten",
        "function_expression", "identity", "index", "index_expression", "literal", "not_expression", "or_expression",
        "pipe", "projection", "slice", "subexpression", "value_projection",
    }
)  # fmt: skip


class ExpressionError(InvalidError):
    """A text is no condition.

    Data: ``position`` (0-based character) and ``length`` of the fault, ``reason`` (empty, long, deep, many, literal,
    unclosed, sign, word, incomplete, not-offered, function, arguments, field, step, negation), ``found`` and
    ``expected`` (texts or None; of a function or a field the nearest there is).
    """

    code = "expression"


@dataclass(frozen=True, slots=True)
class Token:
    """A word of an expression: its kind, what it says, where it begins and ends."""

    kind: str
    value: Any
    start: int
    end: int


def scan(text: str) -> Sequence[tuple[int, int]]:
    """Return where texts and literals stand, and refuse what is too long, too deep or no JSON.

    Raises:
        ExpressionError: one of these.
    """
    if not text.strip():
        raise _error(0, 0, "empty")
    if len(text) > MAX_LENGTH:
        raise _error(MAX_LENGTH, len(text) - MAX_LENGTH, "long")
    spans, depth, place = [], 0, 0
    while place < len(text):
        sign = text[place]
        if sign in _QUOTES:
            end = _closing(text, place)
            if sign == "`":
                _json(text, place, end)
            spans.append((place, end))
            place = end
            continue
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if depth > MAX_NESTED:
            raise _error(place, 1, "deep", sign)
        place += 1
    return spans


def _closing(text: str, start: int) -> int:
    place = start + 1
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] == text[start]:
            return place + 1
        place += 1
    raise _error(start, len(text) - start, "unclosed", text[start], text[start])


def _json(text: str, start: int, end: int) -> None:
    """Refuse a literal that is no JSON, or a number that JSON does not know, or one that is nested."""
    inside = text[start + 1 : end - 1].replace("\\`", "`")
    if max(inside.count(sign) for sign in "[{") > MAX_LENGTH // 4:
        raise _error(start, end - start, "literal", text[start:end])
    try:
        value = json.loads(inside, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _error(start, end - start, "literal", text[start:end], "`JSON`") from None
    if not _is_flat(value):
        raise _error(start, end - start, "literal", text[start:end], "`JSON`")


def _no_constant(told: str) -> Any:
    raise ValueError(told)


def _is_flat(value: Any) -> bool:
    """Whether a literal is a single value, or a list of such: nothing else is ever compared."""
    items = value if isinstance(value, list) else [value]
    return all(one is None or isinstance(one, bool) or _is_text(one) or _is_number(one) for one in items)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and NO_TEXT.search(value) is None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 2**63


def tokens(text: str, spans: Sequence[tuple[int, int]]) -> Sequence[Token]:
    """Return the words of an expression, with "eof" last.

    Raises:
        ExpressionError: something in it is no word.
    """
    try:
        told = list(Lexer().tokenize(text))
    except exceptions.LexerError as error:
        position = min(int(error.lexer_position), len(text))
        raise _error(position, 1, "sign", text[position : position + 1]) from None
    ends = dict(spans)
    found = [
        Token(one["type"], one["value"], one["start"], ends.get(one["start"], one["start"] + _length(one)))
        for one in told
    ]
    for word in found:
        if isinstance(word.value, str) and not _is_text(word.value):
            raise _error(
                word.start, word.end - word.start, "literal", NO_TEXT.sub("\ufffd", text[word.start : word.end])
            )
    if len(found) > MAX_TOKENS:
        extra = found[MAX_TOKENS]
        raise _error(extra.start, len(text) - extra.start, "many")
    return found


def _length(told: Mapping[str, Any]) -> int:
    return len(str(told["value"])) if told["value"] is not None else 0


def check_words(text: str, words: Sequence[Token], functions: Collection[str]) -> None:
    """Refuse words that we do not offer, functions that are none, and too many ways of going through lists.

    Raises:
        ExpressionError: one of these.
    """
    projections = negations = 0
    for place, (before, one, after) in enumerate(zip((None, *words), words, (*words[1:], words[-1]), strict=False)):
        last = before.kind if before is not None else None
        if one.kind == "expref" and (last != "lparen" or place < 2 or words[place - 2].value != "map"):
            raise _error(one.start, one.end - one.start, "word", "&")  # elsewhere it would be a value, and always true
        opens_list = one.kind == "lbracket" and after.kind not in {"number", "colon", "star"}
        if one.kind == "lbrace" or opens_list:
            raise _error(one.start, 1, "not-offered", one.value)
        if one.kind == "unquoted_identifier" and after.kind == "lparen" and one.value not in functions:
            raise _error(one.start, one.end - one.start, "function", one.value, _nearest(one.value, functions))
        if one.kind == "number" and one.value == 0 and last == "colon":
            raise _error(one.start, one.end - one.start, "step", "0")
        if last in _ENDING and one.kind in _BEGINNING:  # the library takes two things side by side as if by a comma
            raise _error(one.start, one.end - one.start, "word", text[one.start : one.end], ",")
        projections += one.kind in _PROJECTING
        negations += one.kind in {"not", "expref"}
        if projections > MAX_PROJECTIONS or negations > 3 * MAX_NESTED:
            raise _error(one.start, len(text) - one.start, "many", str(one.value))


def refused(text: str, words: Sequence[Token], error: exceptions.JMESPathError) -> ExpressionError:
    """Return the library's refusal as ours, with the place it is about."""
    asked = _EXPECTING.search(str(getattr(error, "msg", "")))
    expected = _SIGNS.get(asked.group(1)) if asked else None
    if isinstance(error, exceptions.IncompleteExpressionError):
        return _error(len(text), 0, "incomplete", None, _unclosed(words))
    position = getattr(error, "lex_position", 0)
    at = next((one for one in words if one.start >= position), words[-1])
    if at.kind == "eof":
        return _error(len(text), 0, "incomplete", None, expected or _unclosed(words))
    return _error(at.start, at.end - at.start, "word", text[at.start : at.end], expected)


def _unclosed(words: Sequence[Token]) -> str | None:
    """Return the bracket that would close the one opened last; None where all are closed."""
    opened: list[str] = []
    for one in words:
        if one.kind in {"lparen", "lbracket", "filter"}:
            opened.append(")" if one.kind == "lparen" else "]")
        elif one.kind in {"rparen", "rbracket"} and opened:
            opened.pop()
    return opened[-1] if opened else None


def nodes(tree: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Yield each part of a tree with its depth, without going into itself."""
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting.extend((child, depth + 1) for child in reversed(node["children"]) if isinstance(child, dict))


def check_depth(text: str, words: Sequence[Token], tree: Mapping[str, Any]) -> None:
    """Refuse a tree that is too deep to go through, has parts that we do not know, or asks for a field of a "not".

    Raises:
        ExpressionError: one of these.
    """
    for node, depth in nodes(tree):
        if depth > MAX_DEPTH:
            raise _error(0, len(text), "deep")
        if node["type"] not in KINDS:
            raise _error(0, len(text), "not-offered", str(node["type"]))
        if node["type"] in _OF_SOMETHING and node["children"][0]["type"] == "not_expression":
            at = next(one for one in words if one.kind == "not")
            raise _error(at.start, 1, "negation", "!", "!(")


def check_arguments(
    text: str, words: Sequence[Token], tree: Mapping[str, Any], arguments: Callable[[str], tuple[int, int | None]]
) -> None:
    """Refuse functions that get too few or too many things.

    Raises:
        ExpressionError: one does.
    """
    for node, _depth in nodes(tree):
        if node["type"] == "function_expression":
            least, most = arguments(node["value"])
            given = len(node["children"])
            if given < least or (most is not None and given > most):
                at = next(one for one in words if one.value == node["value"] and one.kind == "unquoted_identifier")
                raise _error(at.start, at.end - at.start, "arguments", text[at.start : at.end], str(least))


def unknown_field(words: Sequence[Token], one: Unknown) -> ExpressionError:
    """Return the refusal of a field that there is not."""
    named = [place for place, word in enumerate(words) if word.value == one.name and word.kind.endswith("_identifier")]
    above = one.path.rpartition(".")[0].rpartition(".")[2].removesuffix("[]")
    below = [
        place for place in named if above and any(word.value == above for word in words[max(0, place - 3) : place])
    ]
    at = words[next(iter(below or named), 0)]
    return _error(at.start, at.end - at.start, "field", one.path, _nearest(one.name, one.known))


def _nearest(name: str, known: Collection[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)), None)


def _error(
    position: int, length: int, reason: str, found: str | None = None, expected: str | None = None
) -> ExpressionError:
    kept = found[:40] if found is not None else None
    return ExpressionError(position=position, length=length, reason=reason, found=kept, expected=expected)
