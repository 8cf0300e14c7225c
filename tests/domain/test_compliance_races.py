"""Reports, the silence job and due reviews at the same time: nobody is given up, nothing is opened twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from zoneinfo import ZoneInfo

from flask import Flask
from sqlalchemy import func, select

from fleet.access import Principal
from fleet.app import create_app
from fleet.checkins import receive
from fleet.checkins.receive import Report
from fleet.compliance import deciding, questions, review, ruling, silence
from fleet.compliance.models import Answer, ComplianceRule, Finding, FindingKind, Question
from fleet.compliance.ruling import Draft
from fleet.db import db, id_set, reading, transaction
from fleet.devices import states
from fleet.devices.models import DeviceState
from tests import factories
from tests.races import together, waits_for_a_lock

OSLO = ZoneInfo("Europe/Oslo")
MORNING = datetime(2026, 9, 14, 8, 0, tzinfo=OSLO)
EVENING = MORNING + timedelta(hours=12)
TABLETS, ROUNDS = 12, 12


def enrolled(app: Flask) -> list[int]:
    with app.app_context(), transaction():
        made = factories.tablets(factories.school(), TABLETS)
        for one in made:
            factories.enrolment(one, at=MORNING, key=f"k{one.id}")
        return [one.id for one in made]


def reporting(ids: list[int], number: int) -> None:
    """Half the tablets report, in an order of their own, with a clock that is wrong every other time."""
    order = sorted(ids, key=lambda device_id: (device_id * 7 + number) % TABLETS)[: TABLETS // 2]
    batch = [
        Report(
            device_id=device_id, key=f"k{device_id}", sequence=number + 1, report_id=f"{number}", body_digest="b",
            applied=None, facts={"round": number}, clock_offset_s=500 * (number % 2),
        )
        for device_id in order
    ]  # fmt: skip
    receive.receive(batch, now=EVENING + timedelta(seconds=number))


def test_reviews_side_by_side_leave_one_open_finding_of_a_kind(fresh_url: str, tmp_path: Path) -> None:
    app = create_app(environ={"FLEET_DATABASE_URL": fresh_url, "FLEET_DATA_DIR": str(tmp_path)})
    ids = enrolled(app)

    def repeat(work: Callable[[int], object]) -> None:
        for number in range(ROUNDS):
            with app.app_context(), transaction():
                work(number)

    jobs: list[Callable[[int], object]] = [
        lambda number: reporting(ids, number),
        lambda number: silence.review(now=EVENING + timedelta(seconds=number), timezone=OSLO),
        lambda number: review.review(ids[number % 3 :], now=EVENING + timedelta(seconds=number)),
    ]
    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(repeat, work) for work in jobs]:
            done.result()
    with app.app_context(), reading():
        names = select(Finding.device_id, Finding.kind, Finding.subject).where(Finding.closed_at.is_(None))
        opened = db.session.execute(names).all()
        marked = set(db.session.scalars(select(DeviceState.device_id).where(DeviceState.has_findings)))
        assert db.session.scalar(select(func.count(Finding.id))) != 0
    assert len(set(opened)) == len(opened)
    assert {row.device_id for row in opened} == marked
    with app.app_context():
        db.engine.dispose()


def test_a_rule_that_fails_at_reports_can_be_changed_meanwhile(waiting_app: Flask) -> None:
    ids = enrolled(waiting_app)
    by = Principal.command_line()
    with waiting_app.app_context(), transaction():
        code = ruling.save(Draft(None, "Tung", "battery.percent < `10`"), by=by, now=MORNING).code
    held = Event()

    def report() -> None:
        states.lock(id_set(ids))
        held.set()
        waits_for_a_lock()
        deciding.note_failed([code], now=EVENING)

    def change() -> int:
        held.wait(timeout=30)
        return ruling.save(Draft(code, "Tung", "battery.percent < `20`"), by=by, now=EVENING).version

    assert together(waiting_app, [report, change]) == [None, 2]
    with waiting_app.app_context(), reading():
        assert db.session.scalar(select(ComplianceRule.failed_at).where(ComplianceRule.code == code)) is None


def test_an_answer_given_while_the_job_looks_holds(waiting_app: Flask) -> None:
    with waiting_app.app_context(), transaction():
        school = factories.school()
        factories.enrolment(factories.device(school, created_at=MORNING), at=MORNING)
    held, friday = Event(), MORNING + timedelta(days=4, hours=5, minutes=40)  # missing from now on
    with waiting_app.app_context(), transaction():
        silence.review(now=EVENING, timezone=OSLO)

    def answer() -> None:
        asked = db.session.scalars(select(Question.id)).one()
        by = Principal.command_line()
        questions.answer(asked, Answer.HERE, by=by, now=friday, timezone=OSLO)
        held.set()
        waits_for_a_lock()

    def look() -> silence.Done:
        held.wait(timeout=30)
        return silence.review(now=friday, timezone=OSLO)

    _, done = together(waiting_app, [answer, look])
    assert isinstance(done, silence.Done)
    assert (done.opened, done.closed) == (0, 0)
    with waiting_app.app_context(), reading():
        assert db.session.scalars(select(Finding.kind)).all() == [FindingKind.SILENT]
