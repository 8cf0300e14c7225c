"""A sheet with its words: what the writers of files and the page are given.

Made by the door that knows the language.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from fleet.reports.sheet import Drawn, Kind


@dataclass(frozen=True, slots=True)
class Heading:
    """A column: its words, and what stands in it. Codes are words already, so their kind is a text's."""

    words: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Curves:
    """A chart with its words.

    Args:
        title: above it.
        drawn: how.
        labels: in words, as many as there are figures.
        label: what the labels are, in words.
        series: words and figures.
        kind: what the figures are.
    """

    title: str
    drawn: Drawn
    labels: Sequence[str]
    label: str
    series: Sequence[tuple[str, Sequence[float | None]]]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Phrases:
    """The few fixed texts of a file."""

    total: str  # before the last row
    table: str  # names of the sheets of a workbook
    charts: str
    page: str  # "Side {page} av {pages}"
    nothing: str  # in place of a table without rows
    rest: str  # after a table that was cut short: "{number} rader til …"


@dataclass(frozen=True, slots=True)
class Paper:
    """A report in words.

    Args:
        title: of the report.
        about: which place and days.
        owner: the municipality.
        made: when it was made, in words.
        language: its code, such as ``nb``.
        headings: of the table.
        rows: of the table, codes already in words; may read while it is asked, so it is gone through once.
        count: how many rows there are.
        totals: a last row, or None.
        charts: above the table.
        notes: what one must know to read it.
        tells: figures for the top: words, and the figure in words.
        text: makes a value of a kind a text.
        timezone: the schools' local time, in which instants are written.
        phrases: the fixed texts.
    """

    title: str
    about: str
    owner: str
    made: str
    language: str
    headings: Sequence[Heading]
    rows: Iterable[Sequence[Any]]
    count: int
    totals: Sequence[Any] | None
    charts: Sequence[Curves]
    notes: Sequence[str]
    tells: Sequence[tuple[str, str]]
    text: Callable[[Kind, Any], str]
    phrases: Phrases
    timezone: ZoneInfo
