"""From a report's sheet to what is read: its words, and figures as the language writes them.

The page and files share it. Works in a request and outside one: who makes a file for a letter or in a while says the
language (:func:`write`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import dates, numbers
from flask import current_app

from fleet.config import Config
from fleet.reports import files
from fleet.reports.models import Format
from fleet.reports.paper import Curves, Heading, Paper, Phrases
from fleet.reports.sheet import Chart, Column, Kind, Sheet
from fleet.schools import queries as schools
from fleet.web import csv_export, words_reports
from fleet.web.formats import NOTHING
from fleet.web.texts import in_language, locale
from fleet.web.texts import translated as _


def paper(sheet: Sheet, *, now: datetime, owner: str | None = None) -> Paper:
    """Return a sheet with its words in the page's language.

    Args:
        sheet: the report.
        now: the instant at which it is made.
        owner: the municipality's name; asked for where not given.
    """
    if owner is None:
        found = schools.municipality()
        owner = found.name if found is not None else ""
    local = now.astimezone(_timezone())
    return Paper(
        title=words_reports.title(sheet.report),
        about=_about(sheet),
        owner=owner,
        made=_("Made %(when)s", when=f"{text(Kind.DAY, local.date())} {text(Kind.INSTANT, now).rpartition(' ')[2]}"),
        language=locale().language,
        headings=[_heading(one) for one in sheet.columns],
        rows=_worded(sheet.columns, sheet.rows),
        count=sheet.count,
        totals=list(sheet.totals) if sheet.totals is not None else None,
        charts=[_curves(one) for one in sheet.charts],
        notes=[words_reports.NOTES[one]() for one in sheet.notes],
        tells=[(words_reports.COLUMNS[one.name](), text(one.kind, value)) for one, value in sheet.tells],
        text=text,
        phrases=_phrases(),
        timezone=_timezone(),
    )


def write(sheet: Sheet, form: Format, path: Path, *, language: str, now: datetime, **options: Any) -> str:
    """Write a report to a file in a language; returns what the file is to be called. For jobs and the command line.

    Args:
        sheet: the report.
        form: as what.
        path: of the file.
        language: its code.
        now: the instant.
        options: as :func:`fleet.reports.files.write` takes them.
    """
    with in_language(language):
        files.write(paper(sheet, now=now), form, path, **options)
        return file_name(sheet, form)


def file_name(sheet: Sheet, form: Format) -> str:
    """Return what a report's file is called: report, place and last day."""
    parts = [words_reports.title(sheet.report), *([sheet.place] if sheet.place else [])]
    return csv_export.named(*parts, on=sheet.until, ending=form.value)


def text(kind: Kind, value: Any) -> str:
    """Return a value as the language writes it."""
    if value is None:
        return NOTHING
    return _TEXTS[kind](value) if kind in _TEXTS else str(value)


def _share(value: float) -> str:
    return numbers.format_percent(value, "0.0\u00a0%", locale=locale())


def _change(value: float) -> str:
    """Say in which direction something went, in points of percent."""
    points = numbers.format_decimal(abs(round(value * 100, 1)), locale=locale())
    sign = "+" if value > 0 else "\u2212" if value < 0 else ""
    return _("%(points)s points", points=f"{sign}{points}")


def _day(on: date, *, with_year: bool = True) -> str:
    form = "d MMM" if locale().language == "en" else "d. MMM"
    return dates.format_date(on, f"{form} y" if with_year else form, locale=locale())


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(_timezone()):%d.%m.%Y %H:%M}"


_TEXTS: Mapping[Kind, Callable[[Any], str]] = {
    Kind.COUNT: lambda value: numbers.format_decimal(value, locale=locale()),
    Kind.DECIMAL: lambda value: numbers.format_decimal(value, "#,##0.0", locale=locale()),
    Kind.SHARE: _share,
    Kind.CHANGE: _change,
    Kind.DAY: _day,
    Kind.INSTANT: _instant,
}


def _about(sheet: Sheet) -> str:
    """Say which place and days a report is about."""
    if sheet.since is None:
        days = text(Kind.DAY, sheet.until)
    elif sheet.since == sheet.until:
        days = text(Kind.DAY, sheet.since)
    else:
        days = f"{text(Kind.DAY, sheet.since)} \u2013 {text(Kind.DAY, sheet.until)}"
    return f"{sheet.place}, {days}" if sheet.place else days


def _heading(column: Column) -> Heading:
    kind = Kind.TEXT if column.kind is Kind.CODE else column.kind
    return Heading(words_reports.COLUMNS[column.name](), kind)


def _worded(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    """Give codes their words, each row when it is asked for; each word is looked up once for all rows."""
    known: dict[tuple[str | None, Any], Any] = {}

    def said(column: Column, value: Any) -> Any:
        if column.kind is not Kind.CODE:
            return value
        key = (column.words, value)
        if key not in known:
            known[key] = _said(column, value)
        return known[key]

    for row in rows:
        yield [said(column, value) for column, value in zip(columns, row, strict=True)]


def _said(column: Column, value: Any) -> Any:
    if column.kind is Kind.CODE and column.words is not None and value is not None:
        return words_reports.value(column.words, getattr(value, "value", value))
    return value


def _curves(chart: Chart) -> Curves:
    def name(series: str) -> str:
        known = chart.series_words
        return words_reports.value(known, series) if known is not None else words_reports.COLUMNS[series]()

    return Curves(
        title=words_reports.CHARTS[chart.name](),
        drawn=chart.drawn,
        labels=[_label(chart.label, one) for one in chart.labels],
        label=words_reports.COLUMNS[chart.label.name](),
        series=[(name(series), figures) for series, figures in chart.series],
        kind=chart.kind,
    )


def _label(column: Column, value: Any) -> str:
    if isinstance(value, date):
        return _day(value, with_year=False)
    return str(_said(column, value)) if value is not None else _("Without a school")


def _phrases() -> Phrases:
    return Phrases(
        total=_("All together"),
        table=_("Table"),
        charts=_("Charts"),
        page=_("Page %(page)s of %(pages)s", page="{page}", pages="{pages}"),
        nothing=_("There is nothing to show for these days."),
        rest=_("%(number)s more rows are left out here. The Excel and CSV files have them all.", number="{number}"),
    )


def _timezone() -> ZoneInfo:
    config: Config = current_app.extensions["fleet_config"]
    return config.timezone
