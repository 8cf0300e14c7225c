"""Writing a report to a file, whichever its format: the three writers behind one call."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleet.reports import csv_lines, pdf_file, xlsx_file
from fleet.reports.models import Format
from fleet.reports.paper import Paper
from fleet.reports.sheet import OF_HUNDRED, Kind

MEDIA_TYPES = {
    Format.CSV: "text/csv",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.PDF: "application/pdf",
}


def write(paper: Paper, form: Format, path: Path, *, tell: Callable[[int], None] = lambda _rows: None) -> None:
    """Write a report.

    Args:
        paper: the report; its rows are gone through once.
        form: as what.
        path: of the file.
        tell: is told after each row how many have been written.
    """
    told = replace(paper, rows=_counted(paper.rows, tell))
    if form is Format.CSV:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(csv_text(told))
    elif form is Format.XLSX:
        xlsx_file.write(told, path)
    else:
        pdf_file.write(told, path)


def csv_text(paper: Paper) -> Iterator[str]:
    """Return a report as lines for a spreadsheet, piece by piece."""
    return csv_lines.written(csv_header(paper), csv_rows(paper))


def csv_header(paper: Paper) -> list[str]:
    """Return the first line; a number of percent is a bare number, so the column says what it is."""
    return [f"{one.words} (%)" if one.kind in OF_HUNDRED else one.words for one in paper.headings]


def csv_rows(paper: Paper) -> Iterator[list[object]]:
    """Return the cells of a report's rows as :mod:`fleet.reports.csv_lines` writes them."""
    kinds = [one.kind for one in paper.headings]
    for row in paper.rows:
        yield [_cell(kind, value, paper) for kind, value in zip(kinds, row, strict=True)]
    if paper.totals is not None:
        cells = [_cell(kind, value, paper) for kind, value in zip(kinds, paper.totals, strict=True)]
        yield [paper.phrases.total, *cells[1:]]


def _cell(kind: Kind, value: Any, paper: Paper) -> object:
    if value is None:
        return None
    if kind in OF_HUNDRED:
        return round(float(value) * 100, 1)
    if kind is Kind.INSTANT:
        return value.astimezone(paper.timezone).strftime("%Y-%m-%d %H:%M")
    if kind is Kind.DAY:
        return value.isoformat()
    return value


def _counted(rows: Iterable[Sequence[Any]], tell: Callable[[int], None]) -> Iterator[Sequence[Any]]:
    for number, row in enumerate(rows, 1):
        yield row
        tell(number)
