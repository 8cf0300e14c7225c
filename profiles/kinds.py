"""Kinds of values a setting can have: what is acceptable, in words, and the form it is stored in.

Each kind is a small frozen value with ``normalise`` (raises ``ValueError`` with what was expected) and ``expected``
(the same in words, for documentation). Lists are stored sorted and without repeats where their order means nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

_APP = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+")
_HOST = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(/[!-~]*)?")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}")
MAX_LIST = 2_000


class Kind(Protocol):
    """What a setting's value may be."""

    @property
    def expected(self) -> str:
        """The acceptable values in words."""

    def normalise(self, value: Any) -> Any:
        """Return the stored form of ``value``.

        Raises:
            ValueError: it is not acceptable; the text says what was expected.
        """


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    @property
    def expected(self) -> str:
        """The acceptable values in words."""
        return "true or false"

    def normalise(self, value: Any) -> bool:
        """Return ``value`` if it is true or false.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(value, bool):
            raise ValueError(self.expected)  # noqa: TRY004 (one kind of refusal for all kinds)
        return value


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number with a unit and a range, both ends included."""

    unit: str
    lowest: int
    highest: int

    @property
    def expected(self) -> str:
        """The acceptable values in words."""
        return f"a whole number from {self.lowest} to {self.highest} ({self.unit})"

    def normalise(self, value: Any) -> int:
        """Return ``value`` if it is in the range.

        Raises:
            ValueError: it is not.
        """
        if isinstance(value, bool) or not isinstance(value, int) or not self.lowest <= value <= self.highest:
            raise ValueError(self.expected)
        return value


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text, or several with ``lines``; an optional pattern with its words."""

    longest: int
    pattern: re.Pattern[str] | None = None
    words: str = "text"

    @property
    def expected(self) -> str:
        """The acceptable values in words."""
        return f"{self.words} of 1 to {self.longest} characters"

    def normalise(self, value: Any) -> str:
        """Return ``value`` if it is such a text.

        Raises:
            ValueError: it is not.
        """
        if not isinstance(value, str) or not 1 <= len(value) <= self.longest or not value.isprintable():
            raise ValueError(self.expected)
        if self.pattern is not None and not self.pattern.fullmatch(value):
            raise ValueError(self.expected)
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words, from the loosest to the strictest where the rule is strictest."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """The acceptable values in words."""
        return "one of " + ", ".join(self.words)

    def normalise(self, value: Any) -> str:
        """Return ``value`` if it is one of the words.

        Raises:
            ValueError: it is not.
        """
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(self.expected)
        return value


@dataclass(frozen=True, slots=True)
class Items:
    """A list of texts; ``ordered`` where the order means something."""

    item: Kind
    what: str
    ordered: bool = False

    @property
    def expected(self) -> str:
        """The acceptable values in words."""
        return f"a list of at most {MAX_LIST} {self.what}"

    def normalise(self, value: Any) -> list[str]:
        """Return ``value`` without repeats, sorted unless the order means something.

        Raises:
            ValueError: it is no list, or one of its items is not acceptable (named by its place).
        """
        if not isinstance(value, list) or len(value) > MAX_LIST:
            raise ValueError(self.expected)
        found: dict[str, None] = {}
        for place, item in enumerate(value, 1):
            try:
                found[self.item.normalise(item)] = None
            except ValueError as error:
                raise ValueError(f"item {place}: {error}") from None
        return list(found) if self.ordered else sorted(found)


@dataclass(frozen=True, slots=True)
class Record:
    """A record with named fields; those in ``required`` must be there, those in ``secret`` are not shown."""

    fields: Mapping[str, Kind]
    required: tuple[str, ...]
    secret: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """The acceptable values in words."""
        return "a table with " + "; ".join(
            f"{name}{'' if name in self.required else ' (may be left out)'}: {kind.expected}"
            for name, kind in self.fields.items()
        )

    def normalise(self, value: Any) -> dict[str, Any]:
        """Return ``value`` with its fields in order.

        Raises:
            ValueError: a field is missing, unknown or not acceptable; the text names it.
        """
        if not isinstance(value, dict):
            raise ValueError(self.expected)  # noqa: TRY004 (one kind of refusal for all kinds)
        for name in value:
            if name not in self.fields:
                raise ValueError(f"{name}: no such field, only {', '.join(self.fields)}")
        for name in self.required:
            if name not in value:
                raise ValueError(f"{name}: missing; {self.fields[name].expected}")
        found = {}
        for name, kind in self.fields.items():
            if name in value:
                try:
                    found[name] = kind.normalise(value[name])
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        return found


@dataclass(frozen=True, slots=True)
class Records:
    """A list of records, told apart by one field."""

    record: Record
    key: str
    most: int = 50

    @property
    def expected(self) -> str:
        """The acceptable values in words."""
        return f"a list of at most {self.most}, each {self.record.expected}"

    def normalise(self, value: Any) -> list[dict[str, Any]]:
        """Return the records sorted by their key.

        Raises:
            ValueError: no list, a record is not acceptable (named by its place), or two share a key.
        """
        if not isinstance(value, list) or len(value) > self.most:
            raise ValueError(self.expected)
        found: dict[str, dict[str, Any]] = {}
        for place, item in enumerate(value, 1):
            try:
                record = self.record.normalise(item)
            except ValueError as error:
                raise ValueError(f"item {place}: {error}") from None
            if record[self.key] in found:
                raise ValueError(f"item {place}: a {self.key} of its own, this one stands twice")
            found[record[self.key]] = record
        return [found[key] for key in sorted(found)]


FLAG = Flag()
APP = Text(155, _APP, "an app id such as no.example.app")
APPS = Items(APP, "app ids")
HOST = Text(255, _HOST, "a host or address without https://, such as nrk.no or *.udir.no/skole, in lower case")
HOSTS = Items(HOST, "hosts")
TIME = Text(5, _TIME, "a time HH:MM")
VERSION = Text(19, _VERSION, "a version such as 18.4")
