"""Reports on the page: charts with their figures, files at once and in a while, mails, and how long data is kept."""

import html
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, insert, select

from fleet import clock
from fleet.access import Principal
from fleet.alerts.models import LetterFile
from fleet.app.exporting import Exporter
from fleet.db import db, reading, transaction
from fleet.jobs import removing
from fleet.people import accounts
from fleet.reports import definitions, exports, keeping, schedules
from fleet.reports.models import DayFigures, Export, ExportState, Format, ReportSchedule, Rhythm
from fleet.reports.parameters import Parameters
from fleet.web import signed_in, words_reports
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


def test_who_has_files_made_without_end_is_turned_away_and_nobody_else(app: Flask) -> None:
    visiting.build(app)
    visitor, other = visit(app, "admin"), visit(app, "it")
    answers = [visitor.get("/reports/systems/file/csv") for _ in range(signed_in.FILES_AT_ONCE + 1)]
    assert [one.status_code for one in answers] == [200] * signed_in.FILES_AT_ONCE + [429]
    assert answers[-1].headers["Retry-After"] == "5"
    assert visitor.get("/reports/systems").status_code == 200
    assert other.get("/reports/systems/file/csv").status_code == 200


def test_an_account_has_few_files_under_way_and_not_many_in_all(app: Flask) -> None:
    visiting.build(app)
    visitor = visit(app, "admin")
    exporter = Exporter(app, now=clock.now)
    for _ in range(exports.MOST_WAITING + 1):
        assert visitor.post("/reports/systems/export", format="csv").status_code == 303
    with app.app_context(), reading():
        assert db.session.scalar(select(func.count()).select_from(Export)) == exports.MOST_WAITING
    exporter.work()
    with app.app_context(), transaction():
        one = db.session.scalars(select(Export)).first()
        assert one is not None
        number = one.id
        told = {"account_id": one.account_id, "report": one.report, "parameters": {}, "format": one.format}
        kept = {"state": ExportState.READY, "language": "nb", "of": 0, "file_name": "x.csv", "asked_at": clock.now()}
        rows = [{**told, **kept, "token": f"t{at}"} for at in range(exports.MOST_KEPT - exports.MOST_WAITING)]
        db.session.execute(insert(Export), rows)
    assert visitor.post("/reports/systems/export", format="csv").status_code == 303
    with app.app_context(), reading():
        assert db.session.scalar(select(func.count()).select_from(Export)) == exports.MOST_KEPT
    assert visitor.post(f"/reports/files/{number}/remove").status_code == 303
    assert visitor.post("/reports/systems/export", format="csv").status_code == 303
    with app.app_context(), reading():
        assert db.session.scalar(select(func.count()).select_from(Export)) == exports.MOST_KEPT


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


def asks(now: datetime) -> int:
    with transaction():
        return schedules.ask_due(now=now, timezone=OSLO)


def test_a_report_goes_into_a_letter_once_when_it_is_due(app: Flask) -> None:
    world = visiting.build(app)
    visitor = visit(app, "it")
    assert visitor.post("/reports/findings/mail", format="pdf", rhythm="weekly").status_code == 303
    with app.app_context():
        later = clock.now() + timedelta(days=8)
        exporter = Exporter(app, now=lambda: later)
        for asked in (1, 0):
            assert asks(later) == asked
        assert exporter.make_one()
        assert not exporter.make_one()
        with reading():
            number = db.session.scalars(select(ReportSchedule.id)).one()
            assert db.session.scalars(select(Export)).all() == [], "it is in its letter"
            file = db.session.scalars(select(LetterFile)).one()
            assert file.reach == [f"school:{world.school.id}"]
            assert (file.media_type, file.content[:4], file.subject_key) == (
                "application/pdf",
                b"%PDF",
                "report.findings",
            )
            assert db.session.scalars(select(ReportSchedule.next_at)).one() > later
    page = visitor.get("/reports/mails").text
    assert visitor.post(f"/reports/mails/{number}/remove").status_code == 303
    assert page.count("/reports/findings") == 1


def test_a_report_whose_account_may_not_see_it_is_not_mailed(app: Flask) -> None:
    world = visiting.build(app)
    with app.app_context():
        now = clock.now()
        with transaction():
            account = accounts.find("it")
            by = accounts.principal(account, today=now.date())
            given = Parameters(school_id=world.school.id)
            schedules.add("tablets", given, Format.CSV, Rhythm.MONTHLY, by=by, now=now, timezone=OSLO)
            accounts.disable(account, by=Principal.command_line(), now=now)
        later = now + timedelta(days=40)
        assert asks(later) == 1
        assert Exporter(app, now=lambda: later).make_one()
        with reading():
            assert db.session.scalars(select(LetterFile)).all() == []
            assert db.session.scalars(select(ReportSchedule.failed_at)).one() == later


def test_a_report_that_cannot_be_made_stops_no_other_and_is_shown(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    visiting.build(app)
    visitor = visit(app, "it")
    for name in ("findings", "systems"):
        assert visitor.post(f"/reports/{name}/mail", format="csv", rhythm="weekly").status_code == 303
    later = clock.now() + timedelta(days=8)
    with app.app_context():
        assert asks(later) == 2
        folder = app.extensions["fleet_config"].exports_dir
        build = definitions.build

        def builds(name: str, *told: Any, **more: Any) -> Any:
            if name == "findings":
                raise OSError(28, "No space left on device")
            return build(name, *told, **more)

        monkeypatch.setattr(definitions, "build", builds)
        for number in range(4):
            exporter = Exporter(app, now=partial(datetime.__add__, later, number * timedelta(minutes=2)))
            with suppress(OSError):
                exporter.work()
            left = [one for one in folder.iterdir() if one.suffix != ".made"]
            assert left == [], "nothing half made stays on a disk that is full"
            with suppress(OSError):
                exporter.work()
        with reading():
            assert [one.subject_key for one in db.session.scalars(select(LetterFile))] == ["report.systems"]
            assert db.session.scalars(select(Export.state)).one() is ExportState.FAILED
    page = html.unescape(visitor.get("/reports/mails").text)
    assert page.count("kunne ikke lages") == 1
    with app.app_context(), transaction():
        assert exports.forget(folder, now=later + timedelta(days=2)) == 1


def test_what_is_half_made_is_removed_once_nobody_is_at_it(app: Flask) -> None:
    visiting.build(app)
    visitor = visit(app, "it")
    visitor.post("/reports/findings/mail", format="csv", rhythm="weekly")
    visitor.post("/reports/tablets/export", format="csv")
    now = clock.now()
    with app.app_context():
        assert asks(now + timedelta(days=8)) == 1
        folder = app.extensions["fleet_config"].exports_dir
        (folder / "tmpleft").mkdir(parents=True)
        (folder / "tmpleft" / "report").write_text("killed midway")
        with transaction():
            exports.forget(folder, now=now + timedelta(hours=1))
        assert (folder / "tmpleft").is_dir()
        with transaction():
            assert exports.forget(folder, now=now + timedelta(days=30)) == 1
        assert list(folder.iterdir()) == []
        with reading():
            assert db.session.scalars(select(Export.schedule_id)).one() is not None, "a letter waits for its file"
        assert Exporter(app, now=lambda: now + timedelta(days=30)).make_one()


def test_a_report_by_mail_ends_with_what_is_being_made_for_it(app: Flask) -> None:
    visiting.build(app)
    visitor = visit(app, "it")
    visitor.post("/reports/findings/mail", format="csv", rhythm="weekly")
    later = clock.now() + timedelta(days=8)
    with app.app_context():
        assert asks(later) == 1
        with transaction():
            work = exports.claim(now=later)
        assert work is not None
        assert visitor.post(f"/reports/mails/{work.schedule_id}/remove").status_code == 303
        with transaction():
            assert not exports.finish_letter(work, now=later)


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


def test_a_number_that_no_row_can_have_is_not_found(app: Flask) -> None:
    visiting.build(app)
    visitor = visit(app, "it")
    for number in (0, 2**31, 10**30):
        assert visitor.get(f"/reports/files/{number}").status_code == 404
        assert visitor.post(f"/reports/files/{number}/remove").status_code == 404
        assert visitor.post(f"/reports/mails/{number}/remove").status_code == 404
