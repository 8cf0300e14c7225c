"""What every roster format needs: cells checked and turned into values, faults collected with their place."""

import difflib
import re
from collections.abc import Container, Iterator, Mapping
from datetime import date

from fleet.errors import Problem
from fleet.schools.roster.package import Problems, Table

# Control characters, line separators, and marks that turn the direction of what follows: they would let a name in a
# file write into a terminal or a list.
UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(T[0-9:.+Z-]+)?")


class Row:
    """One line of a table; asking for a cell checks it and notes what is wrong.

    Cells that may hold something sensitive are never repeated in a problem: only ids, types, dates and roles are.
    """

    def __init__(self, table: Table, line: int, cells: Mapping[str, str], problems: Problems) -> None:
        self._table = table
        self.line = line
        self._cells = cells
        self._problems = problems
        self.is_sound = True
        self.about: str | None = None

    def fault(self, column: str, code: str, expected: str, *, show: bool = True, other: str | None = None) -> None:
        """Note that a cell is not acceptable; ``other`` names the file or line that it is about too."""
        self._note(column, code, self._cells.get(column, "") if show else None, expected, other)

    def _note(self, column: str, code: str, found: str | None, expected: str, other: str | None) -> None:
        self.is_sound = False
        place = (self._table.name, self.line, column)
        self._problems.add(Problem(*place, code, found, expected, self.about, other))

    def text(self, column: str) -> str:
        """Return a cell that may be empty or whose column may be missing."""
        return self._cells.get(column, "")

    def needed(self, column: str, *, longest: int = 255, show: bool = True) -> str:
        """Return a cell that must not be empty."""
        value = self.text(column)
        if not value:
            self.fault(column, "empty", "something; the cell is empty", show=False)
        return self._sound(column, value, longest, show=show)

    def optional(self, column: str, *, longest: int = 255) -> str | None:
        """Return a cell or None where it is empty."""
        return self._sound(column, self.text(column), longest, show=False) or None

    def _sound(self, column: str, value: str, longest: int, *, show: bool) -> str:
        if len(value) > longest:
            self.fault(column, "too-long", f"at most {longest} characters", show=show)
        if UNSHOWABLE.search(value):
            self.fault(column, "control-character", "one line of letters, digits and signs", show=False)
        return value[:longest]

    def items(self, column: str) -> list[str]:
        """Return the items of a list in one cell."""
        return [item.strip() for item in self.text(column).split(",") if item.strip()]

    def day(self, column: str, *, must: bool = False) -> date | None:
        """Return a date, None where the cell is empty."""
        value = self.needed(column) if must else self.text(column)
        if not value:
            return None
        found = _DAY.fullmatch(value)
        try:
            if found is not None:
                return date.fromisoformat(found[1])
        except ValueError:
            pass  # such as 30 February
        self.fault(column, "bad-date", "a date such as 2026-08-17")
        return None

    def period(self, first: str, last: str, *, must: bool = False) -> tuple[date | None, date | None]:
        """Return two dates after checking their order."""
        starts_on, ends_on = self.day(first, must=must), self.day(last, must=must)
        if starts_on is not None and ends_on is not None and ends_on < starts_on:
            self.fault(last, "ends-before-start", f"a date not before {first}", other=first)
        return starts_on, ends_on

    def known(self, column: str, value: str, known: Container[str], where: str) -> str:
        """Return a reference after checking that it leads somewhere; not where the file it leads to lacks lines."""
        if value and value not in known and not self._problems.lacks_lines(where):
            self._note(column, "dangling-reference", value, f"an id that {where} has", where)
        return value


def rows(table: Table, needed: tuple[str, ...], problems: Problems, *, optional: tuple[str, ...] = ()) -> Iterator[Row]:
    """Give the lines of ``table``; none where a column is missing or misspelt, which is then noted.

    A table without any column could not be read, which is noted already.

    Args:
        table: the table.
        needed: columns that must be there.
        problems: where to note what is wrong.
        optional: columns that are read where they are there.
    """
    is_sound = True
    for column in needed if table.columns else ():
        if column not in table.columns:
            near = difflib.get_close_matches(column, table.columns, n=1, cutoff=0.7)
            problems.add_structural(
                Problem(table.name, 1, column, "missing-column", near[0] if near else None, f"a column {column}")
            )
            is_sound = False
    # A misspelt optional column would otherwise be as good as absent, silently.
    for column in {*optional} - {*table.columns}:
        for found in table.columns:
            if found.casefold() == column.casefold():
                problems.add_structural(Problem(table.name, 1, column, "misspelt-column", found, f"a column {column}"))
                is_sound = False
    if is_sound:
        for line, cells in table.rows:
            yield Row(table, line, cells, problems)


def unique(row: Row, column: str, seen: dict[str, int]) -> str:
    """Return an id that must not have stood on an earlier line."""
    value = row.needed(column)
    if value and value in seen:
        expected, other = f"an id of its own; line {seen[value]} has it too", str(seen[value])
        row.fault(column, "duplicate-id", expected, other=other)
    seen.setdefault(value, row.line)
    return value
