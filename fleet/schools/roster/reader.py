"""What every roster format needs: cells checked and turned into values, faults collected with their place."""

from collections.abc import Iterator, Mapping
from datetime import date

from fleet.errors import Problem
from fleet.schools.roster.package import Problems, Table


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

    def fault(self, column: str, code: str, expected: str, *, show: bool = True) -> None:
        """Note that a cell is not acceptable."""
        self.is_sound = False
        found = self._cells.get(column, "") if show else None
        self._problems.add(Problem(self._table.name, self.line, column, code, found, expected))

    def text(self, column: str) -> str:
        """Return a cell that may be empty or whose column may be missing."""
        return self._cells.get(column, "")

    def needed(self, column: str, *, longest: int = 255, show: bool = True) -> str:
        """Return a cell that must not be empty."""
        value = self.text(column)
        if not value:
            self.fault(column, "empty", "something; the cell is empty")
        elif len(value) > longest:
            self.fault(column, "too-long", f"at most {longest} characters", show=show)
        return value[:longest]

    def optional(self, column: str, *, longest: int = 255) -> str | None:
        """Return a cell or None where it is empty."""
        value = self.text(column)
        if len(value) > longest:
            self.fault(column, "too-long", f"at most {longest} characters", show=False)
        return value[:longest] or None

    def items(self, column: str) -> list[str]:
        """Return the items of a list in one cell."""
        return [item.strip() for item in self.text(column).split(",") if item.strip()]

    def day(self, column: str, *, must: bool = False) -> date | None:
        """Return a date, None where the cell is empty."""
        value = self.needed(column) if must else self.text(column)
        if not value:
            return None
        try:
            return date.fromisoformat(value[:10])
        except ValueError:
            self.fault(column, "bad-date", "a date such as 2026-08-17")
            return None

    def known(self, column: str, value: str, known: Mapping[str, object], where: str) -> str:
        """Return a reference after checking that it leads somewhere."""
        if value and value not in known:
            self.fault(column, "dangling-reference", f"an id that {where} has")
        return value


def rows(table: Table, needed: tuple[str, ...], problems: Problems) -> Iterator[Row]:
    """Give the lines of ``table``; none where a needed column is missing, which is then noted."""
    missing = [column for column in needed if column not in table.columns]
    for column in missing:
        problems.add(Problem(table.name, 1, column, "missing-column", None, f"a column {column}"))
    if not missing:
        for line, cells in table.rows:
            yield Row(table, line, cells, problems)


def unique(row: Row, column: str, seen: dict[str, int]) -> str:
    """Return an id that must not have stood on an earlier line."""
    value = row.needed(column)
    if value in seen:
        row.fault(column, "duplicate-id", f"an id of its own; line {seen[value]} has it too")
    seen.setdefault(value, row.line)
    return value
