"""Files of a few columns as people write them in a spreadsheet: CSV, Norwegian or English headers, local dates.

Separated by semicolon, comma or tab, whichever its first line has most of. Not here: what the columns mean; packages of
a roster (:mod:`fleet.schools.roster.package`), whose reader of tables this uses.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

from fleet.errors import InvalidFileError, Problem
from fleet.schools.roster.package import Problems, Table, read_table

DATES = "a date such as 2026-10-05 or 05.10.2026"
_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%d.%m.%y")


def content(path: Path, *, most_bytes: int) -> bytes:
    """Return what is in a file.

    Raises:
        InvalidFileError: too large.
        OSError: it cannot be read.
    """
    if path.stat().st_size > most_bytes:
        raise InvalidFileError([Problem(path.name, None, None, "too-large", None, f"at most {most_bytes} bytes")])
    return path.read_bytes()


def table(name: str, told: bytes) -> Table:
    """Return a file's lines.

    Raises:
        InvalidFileError: not UTF-8, no CSV, or without lines.
    """
    first = told.partition(b"\n")[0]
    problems = Problems()
    found = read_table(name, told, problems, delimiter=max(";,\t", key=lambda mark: first.count(mark.encode())))
    problems.raise_if_any()
    if found is None or not found.rows:
        raise InvalidFileError([Problem(name, None, None, "empty", None, "a header and lines of text")])
    return found


def header(
    found: Table, columns: Mapping[str, Sequence[str]], *, needed: Sequence[str], joints: str = "_"
) -> dict[str, str]:
    """Return which of the file's columns holds what.

    Args:
        found: the file.
        columns: what each column may be called, in lower case.
        needed: those that may not be missing.
        joints: signs that stand for a space.

    Raises:
        InvalidFileError: a column that is needed is missing, or two say the same.
    """
    names: dict[str, str] = {}
    spaces = str.maketrans(dict.fromkeys(joints, " "))
    for title in found.columns:
        plain = title.casefold().translate(spaces)
        name = next((name for name, words in columns.items() if plain in words), None)
        if name in names:
            raise InvalidFileError([Problem(found.name, 1, title, "duplicate-column", title, "each column once")])
        if name is not None:
            names[name] = title
    missing = [name for name in needed if name not in names]
    if missing:
        expected = {name: f"a column called {', '.join(columns[name])}" for name in missing}
        raise InvalidFileError(
            [Problem(found.name, 1, name, "missing-column", None, expected[name]) for name in missing]
        )
    return names


def local_date(told: str) -> date | None:
    """Return the date that a cell says; None where it says none."""
    for form in _FORMATS:
        try:
            return datetime.strptime(told, form).date()  # noqa: DTZ007 (a local date has no zone)
        except ValueError:
            continue
    return None
