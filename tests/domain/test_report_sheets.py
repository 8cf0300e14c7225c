"""Reports: what they count, who sees what, what small groups show, and that a year costs what a week does."""

import dataclasses
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from flask import Flask
from pypdf import PdfReader
from sqlalchemy import select

from fleet.access import Grant, Principal, Role
from fleet.compliance.models import Finding, FindingKind, Incident, IncidentCause, IncidentMember
from fleet.db import db, transaction
from fleet.devices.models import Device, Platform
from fleet.errors import ForbiddenError, NotFoundError
from fleet.lessons.models import Lesson, LessonTablet, Part
from fleet.reports import csv_lines, definitions, exports, history, parameters, schedules, support_table
from fleet.reports.models import DayClasses, DayFigures, DayFindings, DayLessons, ExportState, Format, Rhythm
from fleet.reports.parameters import Parameters
from fleet.reports.sheet import Kind, Sheet
from fleet.schools.models import School, SchoolClass
from fleet.web import report_papers
from tests import factories
from tests.conftest import NOW

OSLO = ZoneInfo("Europe/Oslo")
TODAY = date(2026, 9, 14)
CLI = Principal.command_line()
SAMI = "Čáhcešuŋŋá Đoaŧŧ Žá"


def built(name: str, by: Principal = CLI, **given: str) -> Sheet:
    return definitions.build(name, parameters.read(given), by=by, now=NOW, timezone=OSLO)


def it_of(school: School) -> Principal:
    return Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, school.id),))


def figures(school: School, on: date, *, compliant: int = 80) -> None:
    db.session.add(
        DayFigures(
            school_id=school.id, on=on, tablets=100, enrolled=100, seen=90, applied=95, compliant=compliant, lessons=1
        )
    )
    db.session.flush()


def lesson(of: SchoolClass, starts_at: datetime, tablets: list[Device]) -> None:
    made = Lesson(
        class_id=of.id,
        takes_unseen=False,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=45),
        created_at=starts_at,
    )
    db.session.add(made)
    db.session.flush()
    db.session.add_all(
        [LessonTablet(lesson_id=made.id, device_id=one.id, part=Part.IN, part_since=starts_at) for one in tablets]
    )
    db.session.flush()


def finding(device: Device, opened_at: datetime, closed_at: datetime | None = None) -> None:
    db.session.add(
        Finding(
            device_id=device.id,
            kind=FindingKind.SILENT,
            subject="",
            detail={},
            opened_at=opened_at,
            closed_at=closed_at,
        )
    )
    db.session.flush()


def test_day_has_what_was_open_at_its_end_and_what_happened_on_it(app: Flask) -> None:
    with transaction():
        school = factories.school()
        tablets = [factories.device(school) for _ in range(3)]
        finding(tablets[0], NOW - timedelta(days=3))
        finding(tablets[1], NOW - timedelta(days=3), NOW - timedelta(hours=1))
        finding(tablets[2], NOW - timedelta(hours=2))
        history.record(now=NOW, timezone=OSLO)
        history.record(now=NOW, timezone=OSLO)
    told = db.session.execute(
        select(DayFindings.on, DayFindings.open, DayFindings.opened, DayFindings.closed).order_by(DayFindings.on)
    ).all()
    assert [tuple(row) for row in told] == [(TODAY - timedelta(days=1), 2, 0, 0), (TODAY, 2, 1, 1)]


def test_small_classes_have_no_figures_and_their_lessons_stand_together(app: Flask) -> None:
    with transaction():
        school = factories.school()
        classes = [factories.school_class(school, title) for title in ("8A", "8B", "8C")]
        for of, number in zip(classes, (3, 2, 2), strict=True):
            tablets = [factories.device(school, class_id=of.id) for _ in range(number)]
            lesson(of, NOW - timedelta(hours=1), tablets)
        history.record(now=NOW, timezone=OSLO)
    assert list(db.session.scalars(select(DayClasses.class_id))) == [classes[0].id]
    rows = list(built("lessons").rows)
    assert rows == [("Prøveskolen", "8A", 1, 0.8, 1), ("Prøveskolen", None, 2, 1.5, 1)]


def test_a_lone_small_class_is_left_out(app: Flask) -> None:
    with transaction():
        school = factories.school()
        of = factories.school_class(school, "8A")
        lesson(of, NOW - timedelta(hours=1), [factories.device(school, class_id=of.id) for _ in range(2)])
        history.record(now=NOW, timezone=OSLO)
    sheet = built("lessons")
    assert (list(sheet.rows), list(sheet.tells), list(sheet.charts[0].series[0][1])) == ([], [], [0] * 6)
    assert db.session.scalar(select(DayLessons.class_id)) is None


def test_school_it_sees_its_own_schools_and_teachers_their_own_classes(app: Flask) -> None:
    with transaction():
        one, other = factories.school("Prøveskolen"), factories.school("Naboskolen")
        own = factories.school_class(one, "8A")
        for school in (one, other):
            figures(school, TODAY)
        db.session.add(
            DayClasses(class_id=own.id, on=TODAY, tablets=20, enrolled=20, seen=19, applied=18, compliant=17)
        )
        db.session.flush()
    assert [row[1] for row in built("compliance").rows] == [200]
    assert [row[1] for row in built("compliance", it_of(one)).rows] == [100]
    with pytest.raises(NotFoundError):
        built("compliance", it_of(one), school=str(other.id))
    teacher = Principal("account", "2", (Grant(Role.TEACHER, one.id),), frozenset({own.id}))
    assert [row[1] for row in built("compliance", teacher).rows] == [20]
    with pytest.raises(ForbiddenError):
        built("tablets", teacher)
    with pytest.raises(ForbiddenError):
        built("compliance", Principal("account", "3"))


def test_a_long_period_has_a_row_a_week_as_the_week_ended(app: Flask) -> None:
    with transaction():
        school = factories.school()
        for back in range(14):
            figures(school, TODAY - timedelta(days=back), compliant=100 - back)
    rows = list(built("compliance", period="year").rows)
    assert [(row[0], row[5]) for row in rows] == [(date(2026, 8, 31), 92), (date(2026, 9, 7), 99), (TODAY, 100)]


@pytest.mark.parametrize("name", [one.name for one in definitions.REPORTS.values()])
def test_a_year_of_many_schools_costs_what_a_week_of_one_does(app: Flask, statements: list[str], name: str) -> None:
    counts = []
    for schools, period in ((1, "week"), (13, "year")):
        with transaction():
            for number in range(schools):
                school = factories.school(f"Skole {period} {number}")
                figures(school, TODAY)
                finding(factories.device(school), NOW)
        statements.clear()
        list(built(name, period=period).rows)
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 6


def test_apps_that_few_have_are_counted_and_not_named(app: Flask) -> None:
    with transaction():
        school = factories.school()
        for number in range(4):
            tablet = factories.device(school)
            factories.told(tablet, at=NOW)
            rare = [{"id": "no.example.rare", "version": "1"}] if number < 2 else []
            tablet.state.facts = {"os_version": "17.1", "apps": [{"id": "no.example.common", "version": "1"}, *rare]}
        history.record(now=NOW, timezone=OSLO)
    sheet = built("apps")
    assert [row[1:5] for row in sheet.rows] == [("no.example.common", "ipados", False, 4)]
    assert [value for column, value in sheet.tells if column.name == "rare-apps"] == [1]
    assert [row[1:] for row in built("systems").rows] == [("17.1", 4, "ended", date(2025, 9, 15))]


def test_support_is_told_by_the_table_and_not_guessed() -> None:
    told = [
        support_table.of(Platform.IPADOS, one, today=TODAY).state
        for one in ("9.3", "17.7", "18.4", "21.0", "99", "", None)
    ]
    assert told == ["ended", "ended", "supported", "unknown", "supported", "unknown", "unknown"]
    assert support_table.of(Platform.LINUX, "6", today=TODAY).state == "unknown"


def nasty(app: Flask) -> None:
    with transaction():
        school = factories.school("Åsen skøle, æ")
        factories.told(factories.device(school, serial="SAMI", asset_tag=SAMI), at=NOW)
        for number, serial in enumerate(("=cmd", "+SUM(A1)", "@x", "https://x.example")):
            factories.told(factories.device(school, serial=f"{serial}{number}", model="Blåbærbrett"), at=NOW)
        for back in range(3):
            figures(school, TODAY - timedelta(days=back))


def test_workbook_has_texts_numbers_and_dates_and_no_formula(app: Flask, tmp_path: Path) -> None:
    nasty(app)
    path = tmp_path / "a.xlsx"
    report_papers.write(built("tablets"), Format.XLSX, path, language="nb", now=NOW)
    sheet: Any = openpyxl.load_workbook(path).worksheets[0]
    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n", "d"}
    assert not any(cell.hyperlink for cell in cells)
    values = {cell.value for cell in cells}
    assert {"=cmd0", "+SUM(A1)1", "Åsen skøle, æ", "Blåbærbrett"} <= values
    assert sheet.freeze_panes is not None
    report_papers.write(built("compliance"), Format.XLSX, path, language="nn", now=NOW)
    book: Any = openpyxl.load_workbook(path)
    assert len(book.worksheets[1]._charts) == 1
    shares = [cell for row in book.worksheets[0].iter_rows() for cell in row if cell.number_format == "0.0%"]
    assert [cell.value for cell in shares] == [0.8, 0.8, 0.8]


def test_paper_says_its_title_and_language_and_keeps_norwegian_letters(app: Flask, tmp_path: Path) -> None:
    nasty(app)
    path = tmp_path / "a.pdf"
    report_papers.write(built("tablets"), Format.PDF, path, language="nb", now=NOW)
    paper = PdfReader(path)
    text = "\n".join(page.extract_text() for page in paper.pages)
    assert "Åsen skøle, æ" in text
    assert "Blåbærbrett" in text
    assert SAMI in text
    assert str(paper.root_object["/Lang"]) == "nb-NO"
    assert paper.metadata is not None
    assert paper.metadata.title


def test_on_paper_instants_and_serials_are_whole_where_texts_are_cut(app: Flask, tmp_path: Path) -> None:
    with transaction():
        school = factories.school("En skole med et navn som er altfor langt til å stå i en kolonne av mange")
        factories.told(factories.device(school, serial="DEMOKJE10A01", model="Et brett " * 9), at=NOW)
    path = tmp_path / "a.pdf"
    report_papers.write(built("tablets"), Format.PDF, path, language="nb", now=NOW)
    text = PdfReader(path).pages[0].extract_text()
    assert f"{NOW.astimezone(OSLO):%d.%m.%Y %H:%M}" in text
    assert "DEMOKJE10A01" in text
    assert "\u2026" in text


def test_a_long_table_goes_on_with_its_header_on_each_page(app: Flask, tmp_path: Path) -> None:
    with transaction():
        school = factories.school("Storskolen")
        for number in range(120):
            factories.device(school, serial=f"LANG{number:03}")
    path = tmp_path / "a.pdf"
    report_papers.write(built("tablets"), Format.PDF, path, language="en", now=NOW)
    pages = [page.extract_text() for page in PdfReader(path).pages]
    assert len(pages) >= 4
    assert all("Serial" in page and "Storskolen" in page for page in pages)
    assert sum(page.count("LANG") for page in pages) == 120


def test_csv_makes_formulas_texts_and_writes_decimal_commas(app: Flask, tmp_path: Path) -> None:
    nasty(app)
    path = tmp_path / "a.csv"
    report_papers.write(built("tablets"), Format.CSV, path, language="nb", now=NOW)
    text = path.read_text(encoding="utf-8-sig")
    assert ";'=cmd0;" in text
    assert "Åsen skøle, æ" in text
    report_papers.write(built("compliance"), Format.CSV, path, language="nb", now=NOW)
    assert path.read_text().splitlines()[1].endswith(";80,0")
    assert next(csv_lines.written(["a"], [])) == "\ufeffa\r\n"


def test_no_text_of_a_csv_begins_as_a_formula_however_it_is_disguised() -> None:
    for told in (
        "=1",
        "+1",
        "-1",
        "@A1",
        "\t=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20A1",
        " =1",
        "\u00a0=1",
        "\ufeff=1",
        "\1=1",
    ):
        assert next(csv_lines.written(["a"], [[told]])) == f"\ufeffa\r\n'{told}\r\n"
    assert next(csv_lines.written(["a"], [["1-2", "a=b"]])) == "\ufeffa\r\n1-2;a=b\r\n"


def test_a_text_without_end_is_cut_before_it_is_measured(app: Flask, tmp_path: Path) -> None:
    nasty(app)
    sheet = built("tablets")
    endless = dataclasses.replace(
        sheet, rows=[["x" * 10**6 if one.kind is Kind.TEXT else None for one in sheet.columns]], count=1
    )
    path = tmp_path / "a.pdf"
    report_papers.write(endless, Format.PDF, path, language="nb", now=NOW)
    assert path.stat().st_size < 100_000


def test_parameters_stand_the_way_from_and_to_an_address() -> None:
    for told in (
        {},
        {"period": "year", "school": "3"},
        {"period": "days", "since": "2026-01-01", "until": "2026-02-01"},
        {"platform": "android", "kind": "silent"},
    ):
        assert parameters.read(told).told() == told
    assert parameters.read({"period": "x", "school": "-1", "since": "y"}) == Parameters()
    assert Parameters("days", date(2027, 1, 1), date(2020, 1, 1)).days(TODAY) == (date(2020, 1, 1), date(2020, 1, 1))


def test_an_export_is_claimed_once_told_of_and_gone_after_a_day(app: Flask, tmp_path: Path) -> None:
    with transaction():
        account = factories.account("it", (Role.MUNICIPAL_ADMIN, None))
        by = Principal("account", str(account.id), CLI.grants)
        asked = exports.ask(
            "tablets", Parameters(), Format.PDF, language="nb", rows=9, file_name="a.pdf", by=by, now=NOW
        )
    with transaction():
        work = exports.claim(now=NOW)
        assert work is not None
        assert exports.claim(now=NOW) is None
        assert exports.tell(work, 5, now=NOW)
        again = exports.claim(now=NOW + exports.CLAIM + timedelta(seconds=1))
        assert again is not None
        made = exports.Made(9, 3, ["school:1"])
        assert not exports.tell(work, 6, now=NOW), "another has taken it over"
        assert not exports.finish(work, made, now=NOW)
        exports.fail(work, now=NOW)
        assert exports.finish(again, made, now=NOW)
    assert exports.find(asked.id, by=by).state is ExportState.READY
    assert exports.ready(asked.id, by=by).size_bytes == 3
    for grants in (
        (),
        (Grant(Role.SCHOOL_IT, 2),),
        (Grant(Role.TEACHER, 1),),
    ):  # what is in it is its account's no more
        with pytest.raises(NotFoundError):
            exports.ready(asked.id, by=Principal("account", str(account.id), grants))
    assert exports.ready(asked.id, by=Principal("account", str(account.id), (Grant(Role.SCHOOL_IT, 1),)))
    with pytest.raises(NotFoundError):
        exports.find(asked.id, by=Principal("account", "999", CLI.grants))
    exports.path(tmp_path, work.token).write_bytes(b"pdf")
    with transaction():
        assert exports.forget(tmp_path, now=NOW + timedelta(hours=23)) == 0
        assert exports.forget(tmp_path, now=NOW + timedelta(hours=25)) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rhythm", "now", "then"),
    [
        (Rhythm.WEEKLY, "2026-09-14T06:00", "2026-09-14T06:45"),
        (Rhythm.WEEKLY, "2026-09-14T06:45", "2026-09-21T06:45"),
        (Rhythm.WEEKLY, "2026-10-20T12:00", "2026-10-26T06:45"),  # over the end of summer time
        (Rhythm.MONTHLY, "2026-12-01T07:00", "2027-01-01T06:45"),
        (Rhythm.MONTHLY, "2026-12-01T06:00", "2026-12-01T06:45"),
    ],
)
def test_a_report_goes_out_on_its_next_morning(rhythm: Rhythm, now: str, then: str) -> None:
    local = datetime.fromisoformat(now).replace(tzinfo=OSLO)
    assert schedules.following(rhythm, local, OSLO) == datetime.fromisoformat(then).replace(tzinfo=OSLO)


def test_lessons_of_days_on_which_small_classes_were_few_are_left_out_of_longer_spans_too(app: Flask) -> None:
    with transaction():
        school = factories.school()
        for on, tablets in ((TODAY, 2), (TODAY - timedelta(days=1), 4)):
            db.session.add(
                DayLessons(school_id=school.id, class_id=None, on=on, lessons=7, minutes=60, tablets=tablets)
            )
    assert list(built("lessons").rows) == [("Prøveskolen", None, 7, 1.0, 1)]
    assert list(built("lessons", period="days", since=str(TODAY), until=str(TODAY)).rows) == []


def test_a_school_that_is_no_more_does_not_stand_as_it_once_did(app: Flask) -> None:
    with transaction():
        stays, gone = factories.school("Blir"), factories.school("Borte")
        for school in (stays, gone):
            figures(school, TODAY - timedelta(days=6))
        figures(stays, TODAY)
    sheet = built("places", period="week")
    assert [row[0] for row in sheet.rows] == ["Blir"]
    assert sheet.totals is None
    assert next(iter(built("compliance", period="week").rows))[1] == 200, "what was counted then stays"


def test_a_school_hears_of_an_incident_everywhere_what_concerns_it(app: Flask) -> None:
    with transaction():
        here, there, beside = (factories.school(name) for name in ("Her", "Der", "Ved siden av"))
        everywhere = Incident(cause=IncidentCause.EVERYWHERE, about={}, began_at=NOW, opened_at=NOW, most=3, of=9)
        own = Incident(
            school_id=there.id, cause=IncidentCause.SCHOOL, about={}, began_at=NOW, opened_at=NOW, most=5, of=6
        )
        db.session.add_all([everywhere, own])
        db.session.flush()
        for school in (here, here, there):
            tablet = factories.device(school)
            db.session.add(IncidentMember(incident_id=everywhere.id, device_id=tablet.id, joined_at=NOW))

    def told(by: Principal, **given: str) -> list[tuple[Any, ...]]:
        return sorted(tuple(row[3:6]) for row in built("incidents", by, **given).rows)

    assert told(CLI) == [("everywhere", 3, 9), ("school", 5, 6)]
    assert told(it_of(here)) == told(CLI, school=str(here.id)) == [("everywhere", 2, None)]
    assert told(it_of(there)) == [("everywhere", 1, None), ("school", 5, 6)]
    assert told(it_of(beside)) == []
