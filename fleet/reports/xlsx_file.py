"""A report as a workbook: the table with its header kept in sight, its charts drawn by the spreadsheet itself.

Invariants: rows are written as they come and kept nowhere; no text becomes a formula or a link, whatever it begins
with; days and instants are dates to the spreadsheet, instants in local time, shares are percent.
"""

import math
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import xlsxwriter

from fleet.reports.drawing import COLOURS
from fleet.reports.paper import Curves, Heading, Paper
from fleet.reports.sheet import NUMBERS, Drawn, Kind

# Widths in signs. Source: https://xlsxwriter.readthedocs.io/worksheet.html#set_column
_WIDTHS = {
    Kind.TEXT: 24, Kind.CODE: 24, Kind.COUNT: 12, Kind.DECIMAL: 12, Kind.SHARE: 12, Kind.CHANGE: 12,
    Kind.DAY: 13, Kind.INSTANT: 18,
}  # fmt: skip
_FORMATS = {
    Kind.COUNT: "#,##0", Kind.DECIMAL: "#,##0.0", Kind.SHARE: "0.0%", Kind.CHANGE: "+0.0%;-0.0%;0.0%",
    Kind.DAY: "dd.mm.yyyy", Kind.INSTANT: "dd.mm.yyyy hh:mm",
}  # fmt: skip
_LONGEST_TEXT = 32_767  # a cell holds no more
_MOST_ROWS = 1_048_576  # a sheet has no more
_HIGH_PX, _WIDE_PX, _ROW_PX = 320, 720, 20
_LINE_PT, _BOLD = 15, 1.2  # of a header: how high a line is, and how much wider its letters are than others
_FIGURES_AT = 12  # the column beside a chart


def write(paper: Paper, path: Path) -> None:
    """Write the workbook.

    Args:
        paper: the report.
        path: of the file.
    """
    options = {
        "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
        "tmpdir": str(path.parent),
    }  # fmt: skip
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"title": paper.title, "subject": paper.about, "company": paper.owner})
        _Table(book, paper).write()
        if paper.charts:
            _charts(book, paper)


def _look(kind: Kind) -> dict[str, str]:
    """Return how values look: days and instants begin where their header does."""
    look = {"num_format": _FORMATS[kind]} if kind in _FORMATS else {}
    return look | ({"align": "left"} if kind in {Kind.DAY, Kind.INSTANT} else {})


def _wide(heading: Heading) -> int:
    return max(_WIDTHS[heading.kind], min(26, len(heading.words) + 3))


class _Table:
    """The first sheet of the workbook."""

    def __init__(self, book: Any, paper: Paper) -> None:
        self._paper = paper
        self._sheet = book.add_worksheet(paper.phrases.table[:31])
        self._formats = {kind: book.add_format(_look(kind)) for kind in _FORMATS}
        self._bold = {
            kind: book.add_format({"num_format": "@", **_look(kind), "bold": True, "top": 1}) for kind in Kind
        }
        self._title = book.add_format({"bold": True, "font_size": 16})
        self._grey = book.add_format({"font_color": "#5a6473"})
        head = {"bold": True, "bg_color": "#e6ecf4", "bottom": 1, "text_wrap": True, "valign": "top"}
        self._head, self._right = book.add_format(head), book.add_format({**head, "align": "right"})
        self._row = 0

    def write(self) -> None:
        """Write title, what must be known, figures, header, rows and the last row."""
        paper, sheet = self._paper, self._sheet
        for at, heading in enumerate(paper.headings):
            sheet.set_column(at, at, _wide(heading))
        self._line(paper.title, self._title)
        self._line(" · ".join(one for one in (paper.owner, paper.about, paper.made) if one), self._grey)
        for note in paper.notes:
            self._line(note, self._grey)
        self._row += 1
        head = self._row
        lines = max((math.ceil(len(one.words) * _BOLD / _wide(one)) for one in paper.headings), default=1)
        sheet.set_row(head, _LINE_PT * lines + 2)  # programs that measure it themselves differ
        for at, heading in enumerate(paper.headings):
            sheet.write_string(head, at, heading.words, self._right if heading.kind in NUMBERS else self._head)
        self._row += 1
        sheet.freeze_panes(self._row, 1)
        for row in paper.rows:
            if self._row >= _MOST_ROWS - 1:
                break
            self._cells(row, self._formats)
        if self._row > head + 1:
            sheet.autofilter(head, 0, self._row - 1, len(paper.headings) - 1)
        if paper.totals is not None:
            self._cells([paper.phrases.total, *paper.totals[1:]], self._bold, is_total=True)
        sheet.repeat_rows(head)
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        sheet.set_footer("&L&A&R&P / &N")

    def _line(self, words: str, look: Any) -> None:
        self._sheet.write_string(self._row, 0, words, look)
        self._row += 1

    def _cells(self, row: Sequence[Any], looks: dict[Kind, Any], *, is_total: bool = False) -> None:
        for at, (heading, value) in enumerate(zip(self._paper.headings, row, strict=True)):
            kind = Kind.TEXT if is_total and at == 0 else heading.kind
            self._cell(at, kind, value, looks.get(kind))
        self._row += 1

    def _cell(self, at: int, kind: Kind, value: Any, look: Any) -> None:
        if value is None:
            if look is not None:
                self._sheet.write_blank(self._row, at, None, look)
        elif kind is Kind.INSTANT:
            local = value.astimezone(self._paper.timezone).replace(tzinfo=None, second=0, microsecond=0)
            self._sheet.write_datetime(self._row, at, local, look)
        elif kind is Kind.DAY:
            self._sheet.write_datetime(self._row, at, _midnight(value), look)
        elif kind in _FORMATS:
            self._sheet.write_number(self._row, at, value, look)
        else:
            self._sheet.write_string(self._row, at, str(value)[:_LONGEST_TEXT], look)


def _midnight(on: date) -> datetime:
    return datetime.combine(on, time())


def _charts(book: Any, paper: Paper) -> None:
    """Write the second sheet: each chart beside the figures that it is drawn from."""
    name = paper.phrases.charts[:31]
    sheet = book.add_worksheet(name)
    bold, looks = (
        book.add_format({"bold": True}),
        {kind: book.add_format({"num_format": _FORMATS[kind]}) for kind in _FORMATS},
    )
    sheet.set_column(_FIGURES_AT, _FIGURES_AT, 26)
    sheet.set_column(_FIGURES_AT + 1, _FIGURES_AT + 6, 14)
    sheet.set_paper(9)  # A4
    sheet.fit_to_pages(1, 0)
    row = 0
    for curves in paper.charts:
        sheet.write_string(row, _FIGURES_AT, curves.label, bold)
        for at, (words, _figures) in enumerate(curves.series, _FIGURES_AT + 1):
            sheet.write_string(row, at, words, bold)
        for number, label in enumerate(curves.labels):
            sheet.write_string(row + 1 + number, _FIGURES_AT, label)
            for at, (_words, figures) in enumerate(curves.series, _FIGURES_AT + 1):
                value = figures[number]
                if value is not None:
                    sheet.write_number(row + 1 + number, at, value, looks.get(curves.kind))
        _draw(book, sheet, name, curves, row)
        row += max(len(curves.labels), _high(curves) // _ROW_PX) + 3
    sheet.print_area(0, 0, row, _FIGURES_AT + 6)  # the last chart may go on below the last figure


def _high(curves: Curves) -> int:
    """Return how high a chart is, in pixels: lying bars want room each."""
    return min(900, max(_HIGH_PX, 26 * len(curves.labels) + 90)) if curves.drawn is Drawn.BARS else _HIGH_PX


def _draw(book: Any, sheet: Any, name: str, curves: Curves, row: int) -> None:
    """Insert a chart of the figures whose header is in this row."""
    kinds = {Drawn.LINES: {"type": "line"}, Drawn.BARS: {"type": "bar"}}
    chart = book.add_chart(kinds.get(curves.drawn, {"type": "column", "subtype": "stacked"}))
    first, last = row + 1, row + len(curves.labels)
    for at, colour in zip(range(_FIGURES_AT + 1, _FIGURES_AT + 1 + len(curves.series)), COLOURS, strict=False):
        look = {"line": {"color": colour, "width": 2}} if curves.drawn is Drawn.LINES else {"fill": {"color": colour}}
        chart.add_series(
            {
                "name": [name, row, at], "categories": [name, first, _FIGURES_AT, last, _FIGURES_AT],
                "values": [name, first, at, last, at], "gap": 60, **look,
            }
        )  # fmt: skip
    is_lying = curves.drawn is Drawn.BARS
    figures: dict[str, Any] = {"min": 0, "num_format": "0%" if curves.kind is Kind.SHARE else "#,##0"}
    figures |= {"max": 1} if curves.kind is Kind.SHARE else {}
    figures["major_gridlines"] = {"visible": True, "line": {"color": "#d9dde3"}}
    labels: dict[str, Any] = {"reverse": True} if is_lying else {}
    labels["interval_unit"] = 1 if is_lying else max(1, len(curves.labels) // 8)
    (chart.set_y_axis if is_lying else chart.set_x_axis)(labels)
    (chart.set_x_axis if is_lying else chart.set_y_axis)(figures)
    chart.set_title({"name": curves.title, "overlay": False, "name_font": {"size": 13}})
    chart.set_legend({"none": True} if len(curves.series) == 1 else {"position": "bottom"})
    chart.set_size({"width": _WIDE_PX, "height": _high(curves)})
    sheet.insert_chart(row, 0, chart, {"description": curves.title, "object_position": 3})
