"""A report as a paper: A4, a head on each page, charts drawn as lines, a table that goes on with its header repeated.

Invariants: what it says of itself is its title and language; rows are written as they come; at most :data:`MOST_ROWS`
of them, then it says how many more there are. Columns are as wide as
what the first rows have in them asks for.
"""

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from fleet.devices import typeface
from fleet.devices.typeface import printable
from fleet.reports import drawing
from fleet.reports.drawing import COLOURS, DASHES, Drawing
from fleet.reports.paper import Curves, Heading, Paper
from fleet.reports.sheet import NUMBERS, Kind

MOST_ROWS = 10_000
_INK, _GREY, _LINE, _HEAD = (17, 24, 39), (90, 100, 115), (200, 205, 212), (230, 236, 244)
_EDGE, _TOP, _FOOT = 14.0, 24.0, 14.0
_FONT, _SIZE, _ROW = typeface.FAMILY, 8.5, 5.4
_WIDE_FROM_COLUMNS = 8  # more lie on the long side
_MOST_SIGNS = 500  # of a cell: more than go into the widest one, and measuring all of a long text takes long
_WIDEST = 0.36  # mm of a point: the widest letter; most texts fit whatever is in them
_MM_OF_UNIT = 0.28  # of a drawing's
_MEASURED_ROWS = 60  # the first, by which columns are made as wide as they are
_WIDEST_COLUMN = 62.0  # mm, of a text; longer ones are cut
_NARROWEST = 11.0
_CELL_GAP = 3.0
_LANGUAGES = {"nb": "nb-NO", "nn": "nn-NO", "en": "en-GB"}


class _Pages(FPDF):
    """Pages with a head and a foot."""

    def __init__(self, paper: Paper, *, is_wide: bool) -> None:
        super().__init__(format="A4", orientation="L" if is_wide else "P")
        self._paper = paper
        typeface.load(self)
        self.set_margins(_EDGE, _TOP, _EDGE)
        self.set_auto_page_break(auto=False)
        self.set_title(paper.title)
        self.set_subject(paper.about)
        self.set_author(paper.owner)
        self.set_lang(_LANGUAGES.get(paper.language, paper.language))

    def header(self) -> None:
        """Write whose the paper is, what it is and when it was made."""
        self.set_font(_FONT, "", 8)
        self.set_text_color(*_GREY)
        self.set_xy(_EDGE, 9)
        self.cell(self.epw / 2, 5, printable(self._paper.owner))
        self.cell(self.epw / 2, 5, printable(self._paper.made), align="R")
        self.set_draw_color(*_LINE)
        self.set_line_width(0.2)
        self.line(_EDGE, 15, self.w - _EDGE, 15)
        self.set_xy(_EDGE, 19 if self.page_no() == 1 else 20)

    def footer(self) -> None:
        """Write the title and which page it is."""
        self.set_font(_FONT, "", 8)
        self.set_text_color(*_GREY)
        self.set_xy(_EDGE, self.h - 11)
        self.cell(self.epw * 0.7, 5, printable(f"{self._paper.title} · {self._paper.about}".strip(" ·")))
        page = self._paper.phrases.page.replace("{page}", str(self.page_no())).replace("{pages}", "{nb}")
        self.cell(self.epw * 0.3, 5, printable(page), align="R")

    @property
    def bottom(self) -> float:
        """Where the foot begins."""
        return float(self.h) - _FOOT


def write(paper: Paper, path: Path) -> None:
    """Write the paper.

    Args:
        paper: the report.
        path: of the file.
    """
    pages = _Pages(paper, is_wide=len(paper.headings) > _WIDE_FROM_COLUMNS)
    pages.add_page()
    _title(pages, paper)
    for curves in paper.charts:
        _chart(pages, curves, paper)
    _Rows(pages, paper).write()
    _notes(pages, paper)
    pages.output(str(path))


def _title(pages: _Pages, paper: Paper) -> None:
    pages.start_section(printable(paper.title))
    pages.set_font(_FONT, "B", 18)
    pages.set_text_color(*_INK)
    pages.multi_cell(pages.epw, 8, printable(paper.title), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pages.set_font(_FONT, "", 11)
    pages.set_text_color(*_GREY)
    pages.multi_cell(pages.epw, 6, printable(paper.about), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pages.ln(3)
    if not paper.tells:
        return
    wide, top = pages.epw / len(paper.tells), pages.get_y()
    for at, (words, figure) in enumerate(paper.tells):
        left = _EDGE + at * wide
        pages.set_fill_color(*_HEAD)
        pages.rect(left, top, wide - 3, 16, style="F")
        pages.set_xy(left + 3, top + 2)
        told = printable(figure)
        pages.set_font(_FONT, "B", 14)
        pages.set_font_size(14 * min(1.0, (wide - 8) / max(1.0, pages.get_string_width(told))))
        pages.set_text_color(*_INK)
        pages.cell(wide - 8, 6.5, told)
        pages.set_xy(left + 3, top + 8.8)
        pages.set_font(_FONT, "", 8)
        pages.set_text_color(*_GREY)
        pages.cell(wide - 8, 5, _fitting(pages, words, wide - 8))
    pages.set_xy(_EDGE, top + 21)


def _notes(pages: _Pages, paper: Paper) -> None:
    """Write below the table what one must know to read it."""
    pages.set_font(_FONT, "", 8)
    for note in paper.notes:
        words = printable(note)
        if pages.get_y() + 4 * _line_count(pages, words, pages.epw) + 3 > pages.bottom:
            pages.add_page()
            pages.set_font(_FONT, "", 8)
        pages.ln(2)
        pages.set_text_color(*_GREY)
        pages.multi_cell(pages.epw, 4, words, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _chart(pages: _Pages, curves: Curves, paper: Paper) -> None:
    """Draw a chart as wide as the page, on the next one where it does not fit on this."""
    drawn = drawing.draw(curves, paper.text, width=pages.epw / _MM_OF_UNIT)
    if pages.get_y() + drawn.height * _MM_OF_UNIT + 12 > pages.bottom and pages.get_y() > _TOP + 2:
        pages.add_page()
    pages.set_font(_FONT, "B", 11)
    pages.set_text_color(*_INK)
    pages.cell(pages.epw, 6, printable(curves.title), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pages.ln(1.5)
    top = pages.get_y()
    _shapes(pages, drawn, top, min(_MM_OF_UNIT, (pages.bottom - top) / drawn.height))
    pages.set_xy(_EDGE, top + drawn.height * _MM_OF_UNIT + 6)


def _shapes(pages: _Pages, drawn: Drawing, top: float, unit: float) -> None:
    for line in drawn.lines:
        colour, dash = ("#d3d8df", ()) if line.series is None else _look(line.series)
        pages.set_draw_color(colour)
        pages.set_line_width(0.15 if line.series is None else 0.5)
        if dash:
            pages.set_dash_pattern(dash=dash[0] * unit, gap=dash[1] * unit)
        points = [(_EDGE + x * unit, top + y * unit) for x, y in line.points]
        pages.polyline(points)
        if dash:
            pages.set_dash_pattern()
    for bar in drawn.bars:
        pages.set_fill_color(_look(bar.series)[0])
        pages.rect(_EDGE + bar.x * unit, top + bar.y * unit, bar.width * unit, bar.height * unit, style="F")
    pages.set_text_color(*_INK)
    for text in drawn.texts:
        words = printable(text.words)
        pages.set_font(_FONT, "", text.size * unit / 0.3528)
        wide = pages.get_string_width(words)
        left = {"start": 0.0, "middle": wide / 2, "end": wide}[text.anchor]
        pages.text(_EDGE + text.x * unit - left, top + text.y * unit, words)


def _look(series: int) -> tuple[str, tuple[float, ...]]:
    return COLOURS[series % len(COLOURS)], DASHES[series % len(DASHES)]


def _fitting(pages: _Pages, words: str, wide: float) -> str:
    """Return words in the letters there are, cut where they would leave their cell."""
    cut = words[:_MOST_SIGNS]
    told = cut if cut.isascii() else printable(cut)
    if len(told) * _SIZE * _WIDEST <= wide or pages.get_string_width(told) <= wide:
        return told
    while told and pages.get_string_width(f"{told}\u2026") > wide:
        told = told[:-1]
    return f"{told}\u2026"


def _line_count(pages: _Pages, words: str, wide: float) -> int:
    """Return in how many lines words come that have so much room."""
    lines: Any = pages.multi_cell(wide, 4, words, dry_run=True, output="LINES")
    return len(lines)


class _Rows:
    """The table, written row by row."""

    def __init__(self, pages: _Pages, paper: Paper) -> None:
        self._pages, self._paper = pages, paper
        rows = iter(paper.rows)
        first = list(islice(rows, _MEASURED_ROWS))
        self._rows = chain(first, rows)
        self._widths = _widths(pages, paper, first)

    def write(self) -> None:
        """Write header, rows and the last row; in their place that there are none."""
        paper, pages = self._paper, self._pages
        if pages.get_y() + 6 * _ROW > pages.bottom:
            pages.add_page()
        if not paper.count:
            pages.set_font(_FONT, "", 11)
            pages.set_text_color(*_INK)
            pages.multi_cell(pages.epw, 6, printable(paper.phrases.nothing), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            return
        self._header()
        for number, row in enumerate(islice(self._rows, MOST_ROWS)):
            self._row(row, is_shaded=number % 2 == 1)
        if paper.totals is not None:
            self._row([paper.phrases.total, *paper.totals[1:]], style="B")
        if paper.count > MOST_ROWS:
            words = paper.phrases.rest.replace("{number}", paper.text(Kind.COUNT, paper.count - MOST_ROWS))
            pages.ln(2)
            pages.multi_cell(pages.epw, 5, printable(words), new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _header(self) -> None:
        pages = self._pages
        pages.set_font(_FONT, "B", _SIZE)
        pages.set_text_color(*_INK)
        pages.set_fill_color(*_HEAD)
        told = [printable(one.words) for one in self._paper.headings]
        lines = [_line_count(pages, words, wide) for words, wide in zip(told, self._widths, strict=True)]
        high = 4 * max(lines) + 2.4
        top, left = pages.get_y(), _EDGE
        pages.rect(_EDGE, top, pages.epw, high, style="F")
        for heading, words, wide in zip(self._paper.headings, told, self._widths, strict=True):
            pages.set_xy(left, top + 1.2)
            pages.multi_cell(wide, 4, words, align="R" if heading.kind in NUMBERS else "L")
            left += wide
        pages.set_xy(_EDGE, top + high)

    def _row(self, row: Sequence[Any], *, style: str = "", is_shaded: bool = False) -> None:
        pages = self._pages
        if pages.get_y() + _ROW > pages.bottom:
            pages.add_page()
            self._header()
        top = pages.get_y()
        if is_shaded:
            pages.set_fill_color(247, 249, 251)
            pages.rect(_EDGE, top, pages.epw, _ROW, style="F")
        if style:
            pages.set_draw_color(*_GREY)
            pages.set_line_width(0.3)
            pages.line(_EDGE, top, _EDGE + pages.epw, top)
        pages.set_font(_FONT, style, _SIZE)
        pages.set_text_color(*_INK)
        for heading, value, wide in zip(self._paper.headings, row, self._widths, strict=True):
            is_number = heading.kind in NUMBERS and not isinstance(value, str)
            words = _words(self._paper, heading, value)
            pages.cell(wide, _ROW, _fitting(pages, words, wide - 1.6), align="R" if is_number else "L")
        pages.set_xy(_EDGE, top + _ROW)


def _words(paper: Paper, heading: Heading, value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else paper.text(heading.kind, value)


def _widths(pages: _Pages, paper: Paper, rows: Sequence[Sequence[Any]]) -> list[float]:
    """Return how wide columns are: what is in them has room; where that is too much, texts are cut, never figures."""
    pages.set_font(_FONT, "B", _SIZE)
    wanted = []
    for at, heading in enumerate(paper.headings):
        words = [_words(paper, heading, row[at])[:_MOST_SIGNS] for row in rows]
        longest = max((pages.get_string_width(printable(one)) for one in {*words, *heading.words.split()}), default=0)
        wanted.append(min(_WIDEST_COLUMN, max(_NARROWEST, longest + _CELL_GAP)))
    too_much = sum(wanted) - pages.epw
    if too_much <= 0:
        return [one - too_much / len(wanted) for one in wanted]
    is_text = [one.kind is Kind.TEXT for one in paper.headings]
    texts = sum(wide for wide, may in zip(wanted, is_text, strict=True) if may)
    share = too_much / texts if texts else 0.0
    cut = [wide * (1 - share) if may else wide for wide, may in zip(wanted, is_text, strict=True)]
    if texts and min(cut) >= _NARROWEST:
        return cut
    return [pages.epw * one / sum(wanted) for one in wanted]
