"""What a report is before it is a page or a file: a sheet of typed columns, rows, and the curves above them.

Pure values. Texts are codes here; whoever writes a sheet is given their words (:mod:`fleet.reports.paper`). Rows may be
an iterator that reads while it is asked, so a sheet is written once; what is drawn is worked out before.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any


class Kind(enum.StrEnum):
    """What stands in a column."""

    TEXT = "text"  # as people or tablets named it: no words are sought for it
    CODE = "code"  # a word of ours, see Column.words
    COUNT = "count"
    DECIMAL = "decimal"  # one decimal
    SHARE = "share"  # from 0 to 1
    CHANGE = "change"  # of a share: from -1 to 1
    DAY = "day"
    INSTANT = "instant"


OF_HUNDRED = frozenset({Kind.SHARE, Kind.CHANGE})
NUMBERS = frozenset({Kind.COUNT, Kind.DECIMAL, *OF_HUNDRED})


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Args:
        name: which has its words in the doors.
        kind: what stands in it; None in a cell is nothing at all.
        words: of a code, which vocabulary it is of.
    """

    name: str
    kind: Kind = Kind.COUNT
    words: str | None = None


class Drawn(enum.StrEnum):
    """How a chart is drawn."""

    LINES = "lines"
    BARS = "bars"  # lying, one for each label
    STACKS = "stacks"  # standing, the series on top of each other


@dataclass(frozen=True, slots=True)
class Chart:
    """Figures that are drawn.

    Args:
        name: which has its words in the doors.
        drawn: how.
        labels: what the figures are of: days, texts or codes, see ``label``.
        label: what the labels are.
        series: a name and its figures, as many as labels; None is a gap.
        kind: what the figures are.
        series_words: of which vocabulary the series' names are; None: columns' names.
    """

    name: str
    drawn: Drawn
    labels: Sequence[Any]
    label: Column
    series: Sequence[tuple[str, Sequence[float | None]]]
    kind: Kind = Kind.COUNT
    series_words: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A report with its figures.

    Args:
        report: its name.
        since: the first local day it is about; None where it is of this moment.
        until: the last local day.
        place: the school's or class's name; None: everything its reader may see.
        columns: of the table.
        rows: of the table, a value for each column.
        count: how many rows there are.
        charts: above the table.
        totals: a last row, with None where nothing can be added up.
        notes: what one must know to read it, as codes.
        tells: figures for the top, by column.
    """

    report: str
    since: date | None
    until: date
    place: str | None
    columns: Sequence[Column]
    rows: Iterable[Sequence[Any]]
    count: int
    charts: Sequence[Chart] = ()
    totals: Sequence[Any] | None = None
    notes: Sequence[str] = ()
    tells: Sequence[tuple[Column, Any]] = field(default=())
