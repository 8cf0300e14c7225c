"""Kinds of values in our answers to Android's agent, each with the check that names what is wrong and where."""

import json
import re
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]
Entry = dict[str, Any]

INT_MAX, LONG_MAX = 2**31 - 1, 2**63 - 1  # Source: The Java Language Specification, 4.2.1


def as_json(text: str, place: str) -> Any:
    """Return what a text says as JSON; a name that stands twice is a fault."""

    def once(pairs: list[tuple[str, Any]]) -> Entry:
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), f"{place}: a name stands twice: {names}"
        return dict(pairs)

    def refuse(word: str) -> Any:
        message = f"{place}: {word} is no JSON"
        raise AssertionError(message)

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except ValueError as fault:
        message = f"{place}: no JSON: {fault}"
        raise AssertionError(message) from fault


def objects(value: Any, place: str) -> list[tuple[str, Entry]]:
    """Return the objects of a list, each with its place."""
    assert isinstance(value, list), f"{place}: not a list"
    found = []
    for number, one in enumerate(value):
        assert isinstance(one, dict), f"{place}[{number}]: not an object"
        found.append((f"{place}[{number}]", one))
    return found


def keys(value: Entry, place: str, checks: Mapping[str, Check], required: set[str]) -> None:
    """Judge the names and values of an object."""
    assert not (unknown := value.keys() - checks.keys()), f"{place}: unknown: {sorted(unknown)}"
    assert not (missing := required - value.keys()), f"{place}: missing: {sorted(missing)}"
    for name, one in value.items():
        checks[name](one, f"{place}.{name}")


def text(value: Any, place: str) -> None:
    """Judge a text."""
    assert isinstance(value, str), f"{place}: not a string: {value!r}"


def word(value: Any, place: str) -> None:
    """Judge a text that says something."""
    text(value, place)
    assert value.strip(), f"{place}: empty"


def flag(value: Any, place: str) -> None:
    """Judge true or false."""
    assert isinstance(value, bool), f"{place}: not true or false: {value!r}"


def never(value: Any, place: str) -> None:
    """Judge what is never true."""
    assert value is False, f"{place}: never true"


def whole(lowest: int, highest: int = INT_MAX) -> Check:
    """Return the check of a whole number."""

    def check(value: Any, place: str) -> None:
        assert type(value) is int, f"{place}: not a whole number: {value!r}"
        assert lowest <= value <= highest, f"{place}: {value} is not in {lowest}..{highest}"

    return check


def one_of(*words: str) -> Check:
    """Return the check of one of a few words."""

    def check(value: Any, place: str) -> None:
        assert isinstance(value, str), f"{place}: not a string: {value!r}"
        assert value in words, f"{place}: {value!r} is none of {words}"

    return check


def like(pattern: str) -> Check:
    """Return the check of a text of a form."""

    def check(value: Any, place: str) -> None:
        assert isinstance(value, str), f"{place}: not a string: {value!r}"
        assert re.fullmatch(pattern, value), f"{place}: {value!r} is not like {pattern}"

    return check


def or_null(check: Check) -> Check:
    """Return the check of a value that may be missing."""

    def either(value: Any, place: str) -> None:
        if value is not None:
            check(value, place)

    return either


def a_list(value: Any, place: str) -> None:
    """Judge a list."""
    assert isinstance(value, list), f"{place}: not a list: {value!r}"


def commas(value: Any, place: str) -> None:
    """Judge a list as one text, without spaces, each word once."""
    like(r"(?:[A-Za-z0-9_.]+(?:,[A-Za-z0-9_.]+)*)?")(value, place)
    words = [word for word in value.split(",") if word]
    assert len(set(words)) == len(words), f"{place}: a word stands twice"


def zone(value: Any, place: str) -> None:
    """Judge a time zone."""
    text(value, place)
    assert value == "auto" or value in zoneinfo.available_timezones(), f"{place}: no such zone: {value!r}"


def payload(value: Any, place: str) -> None:
    """Judge a message's payload: nothing, or an object as text."""
    if value is not None:
        text(value, place)
        assert isinstance(as_json(value, place), dict), f"{place}: holds no object"


package = like(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+")
time = like(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
colour = like(r"#[0-9A-Fa-f]{6}")
url = like(r"https?://[^\s/]+(?:/\S*)?")
page = like(r"[a-z][a-z0-9+.-]*:\S+")
