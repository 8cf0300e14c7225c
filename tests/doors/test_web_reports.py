"""Reports on the page: charts with their figures, files at once and in a while, mails, and how long data is kept."""

import html
from datetime import timedelta

from flask import Flask
from sqlalchemy import select

from fleet import clock
from fleet.access import Principal
from fleet.alerts.models import LetterFile
from fleet.app.exporting import Exporter
from fleet.config import Config
from fleet.db import db, reading, transaction
from fleet.jobs import removing, report_mails
from fleet.people import accounts
from fleet.reports import definitions, exports, keeping, schedules
from fleet.reports.models import DayFigures, Export, ExportState, Format, ReportSchedule, Rhythm
from fleet.reports.parameters import Parameters
from fleet.web import words_reports
from tests import visiting
from tests.domain.test_report_sheets import OSLO
from tests.visiting import visit


def history(app: Flask, school_id: int) -> None:
    with app.app_context(), transaction():
        today = clock.now().astimezone(OSLO).date()
        for back in range(10):
            db.session.add(
                DayFigures(
                    school_id=school_id,
                    on=today - timedelta(days=back),
                    tablets=20,
                    enrolled=20,
                    seen=18,
                    applied=19,
                    compliant=17,
                    lessons=2,
                )
            )


def test_report_has_its_chart_its_figures_and_its_files(app: Flask) -> None:
    world = visiting.build(app)
    history(app, world.school.id)
    visitor = visit(app, "it")
    page = visitor.get("/reports/compliance?period=week").text
    assert page.count('role="img"') == 1
    assert "85,0" in page
    for ending, begins in (("csv", "\ufeff".encode()), ("xlsx", b"PK"), ("pdf", b"%PDF")):
        answer = visitor.get(f"/reports/compliance/file/{ending}?period=week")
        assert answer.get_data().startswith(begins)
        assert answer.headers["Content-Disposition"].endswith(f'.{ending}"')


def test_a_long_report_is_made_in_a_while_and_fetched_by_who_asked(app: Flask) -> None:
    visiting.build(app)
    visitor = visit(app, "admin")
    assert visitor.post("/reports/tablets/export", format="pdf").status_code == 303
    assert 'max="3"' in visitor.get("/reports/files").text
    exporter = Exporter(app, now=clock.now)
    assert exporter.make_one()
    assert not exporter.make_one()
    with app.app_context(), reading():
        found = db.session.scalars(select(Export)).one()
        assert (found.state, found.done, found.of) == (ExportState.READY, 3, 3)
        number = found.id
    assert visitor.get(f"/reports/files/{number}").get_data().startswith(b"%PDF")
    assert visit(app, "it").get(f"/reports/files/{number}").status_code == 404
    assert visitor.post(f"/reports/files/{number}/remove").status_code == 303
    assert visitor.get(f"/reports/files/{number}").status_code == 404


def test_an_export_has_what_its_account_may_see_when_it_is_made(app: Flask) -> None:
    world = visiting.build(app)
    visit(app, "it").post("/reports/tablets/export", format="csv")
    with app.app_context(), transaction():
        account = accounts.find("it")
        accounts.disable(account, by=Principal.command_line(), now=clock.now())
    assert world.school.id
    assert Exporter(app, now=clock.now).make_one()
    with app.app_context(), reading():
        assert db.session.scalars(select(Export.state)).one() is ExportState.FAILED


def test_a_report_goes_into_a_letter_once_when_it_is_due(app: Flask) -> None:
    visiting.build(app)
    visitor = visit(app, "it")
    assert visitor.post("/reports/findings/mail", format="pdf", rhythm="weekly").status_code == 303
    config: Config = app.extensions["fleet_config"]
    with app.app_context():
        later = clock.now() + timedelta(days=8)
        for sent in (1, 0):
            with transaction():
                assert report_mails.send_due(later, config) == {"sent": sent, "failed": 0}
        with reading():
            file = db.session.scalars(select(LetterFile)).one()
            assert (file.media_type, file.content[:4], file.subject_key) == (
                "application/pdf",
                b"%PDF",
                "report.findings",
            )
            assert db.session.scalars(select(ReportSchedule.next_at)).one() > later
    page = visitor.get("/reports/mails").text
    assert visitor.post("/reports/mails/1/remove").status_code == 303
    assert page.count("/reports/findings") == 1


def test_a_report_whose_account_may_not_see_it_is_not_mailed(app: Flask) -> None:
    world = visiting.build(app)
    config: Config = app.extensions["fleet_config"]
    with app.app_context():
        now = clock.now()
        with transaction():
            account = accounts.find("it")
            by = accounts.principal(account, today=now.date())
            given = Parameters(school_id=world.school.id)
            schedules.add("tablets", given, Format.CSV, Rhythm.MONTHLY, by=by, now=now, timezone=OSLO)
            accounts.disable(account, by=Principal.command_line(), now=now)
        with transaction():
            assert report_mails.send_due(now + timedelta(days=40), config) == {"sent": 0, "failed": 1}
        with reading():
            assert db.session.scalars(select(LetterFile)).all() == []


def test_kept_data_is_a_table_of_all_that_is_removed(app: Flask) -> None:
    visiting.build(app)
    page = html.unescape(visit(app, "admin").get("/jobs/kept-data").text)
    with app.test_request_context():
        assert all(words_reports.kept(one.kind) in page for one in keeping.KEPT)
    assert {one.kind for one in keeping.KEPT if one.keep is not None} == set(removing.REMOVERS)


def test_every_report_column_chart_and_note_has_words(app: Flask) -> None:
    with app.test_request_context():
        assert set(definitions.REPORTS) == set(words_reports.TITLES)
        for one in definitions.REPORTS:
            sheet = definitions.build(one, Parameters(), by=Principal.command_line(), now=clock.now(), timezone=OSLO)
            assert all(words_reports.COLUMNS[column.name]() for column in sheet.columns)
            assert all(words_reports.NOTES[note]() for note in sheet.notes)


def test_an_account_may_not_ask_for_files_without_end(app: Flask) -> None:
    visiting.build(app)
    visitor = visit(app, "admin")
    answers = [visitor.post("/reports/tablets/export", format="pdf").status_code for _ in range(6)]
    assert answers == [303] * 5 + [409]
    assert exports.LONG_ROWS


def test_a_number_that_no_row_can_have_is_not_found(app: Flask) -> None:
    visiting.build(app)
    visitor = visit(app, "it")
    for number in (0, 2**31, 10**30):
        assert visitor.get(f"/reports/files/{number}").status_code == 404
        assert visitor.post(f"/reports/files/{number}/remove").status_code == 404
        assert visitor.post(f"/reports/mails/{number}/remove").status_code == 404
