"""The silence job and what happens in the same moment: an answer, a report, a closing hand, a second job.

Each pair meets twice: one has done its part and not yet committed when the other comes to it, and the other way. On
PostgreSQL the later one has read before it waits; on SQLite it waits before it reads.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select, text

from fleet.access import Principal
from fleet.checkins import receive
from fleet.checkins.receive import Report
from fleet.compliance import acting, questions, silence
from fleet.compliance.models import OF_SILENCE, Answer, Finding, FindingKind, Question
from fleet.compliance.silence import Done
from fleet.db import db, reading, transaction
from tests import factories

OSLO = ZoneInfo("Europe/Oslo")
CLI = Principal.command_line()
MORNING = datetime(2026, 9, 14, 8, 0, tzinfo=OSLO)
NOON = MORNING.replace(hour=12, minute=20)
FRIDAY = MORNING.replace(day=18, hour=13, minute=30)  # nobody has answered: missing
LATER = FRIDAY + timedelta(minutes=15)
SILENT, MISSING = FindingKind.SILENT, FindingKind.MISSING
T = TypeVar("T")
LEADS_TO = {Answer.HERE: [SILENT], Answer.HOME: [], Answer.GONE: [MISSING]}


def meets(app: Flask, first: Callable[[], object], then: Callable[[], T]) -> T:
    """Do the one, and before it is committed let the other begin; returns what that comes to."""

    def run() -> T:
        with app.app_context(), transaction():
            return then()

    with ThreadPoolExecutor(1) as pool, app.app_context():
        with transaction():
            first()
            other = pool.submit(run)
            _until_it_waits()
            assert not other.done()
        return other.result()


def _until_it_waits() -> None:
    if db.session.get_bind().dialect.name != "postgresql":
        time.sleep(0.3)
        return
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with db.engine.connect() as connection:
        for _ in range(600):
            if connection.scalar(waits):
                return
            connection.rollback()
            time.sleep(0.05)
    pytest.fail("nobody waits")


def look(now: datetime) -> Done:
    return silence.review(now=now, timezone=OSLO)


def say(answer: Answer) -> Callable[[], object]:
    def run() -> None:
        asked = db.session.scalars(select(Question.id)).one()
        questions.answer(asked, answer, by=CLI, now=FRIDAY, timezone=OSLO)

    return run


def close_by_hand() -> None:
    """Close the silence that the page has shown."""
    found = db.session.scalars(select(Finding.id).where(Finding.kind == SILENT)).one()
    acting.close([found], None, by=CLI, now=FRIDAY)


def report(device_id: int, now: datetime) -> Callable[[], object]:
    told = Report(device_id, "k", 1, "1", "b", applied=None, facts={})
    return lambda: receive.receive([told], now=now)


@pytest.fixture
def quiet(own_app: Flask) -> int:
    """Return a tablet that has been quiet since Monday morning."""
    with own_app.app_context(), transaction():
        made = factories.device(factories.school(), created_at=MORNING)
        factories.enrolment(made, at=MORNING, key="k")
        made.state.last_seen_at = MORNING
        return made.id


@pytest.fixture
def asked(own_app: Flask, quiet: int) -> int:
    """Return one that has been asked about too."""
    with own_app.app_context(), transaction():
        assert look(NOON) == Done(tablets=1, opened=1, asked=1)
    return quiet


def standing(app: Flask) -> tuple[list[str], list[str], int]:
    """Return the kinds of findings that are open and that ever were, and how many questions wait."""
    with app.app_context(), reading():
        mine = select(Finding.kind).where(Finding.kind.in_(OF_SILENCE)).order_by(Finding.id)
        waits = select(Question.id).where(Question.answered_at.is_(None), Question.withdrawn_at.is_(None))
        return (
            list(db.session.scalars(mine.where(Finding.closed_at.is_(None)))),
            list(db.session.scalars(mine)),
            len(db.session.scalars(waits).all()),
        )


def settled(app: Flask, now: datetime) -> Done:
    """Look once more, and see that another look changes nothing."""
    with app.app_context():
        with transaction():
            done = look(now)
        with transaction():
            assert look(now) == Done()
    return done


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("answer", list(Answer))
def test_an_answer_given_while_the_job_decides_holds(own_app: Flask, answer: Answer) -> None:
    done = meets(own_app, say(answer), lambda: look(FRIDAY))
    assert (done.opened, done.closed, done.withdrawn, done.escalated) == (0, 0, 0, 0)
    ever = [SILENT, MISSING] if answer is Answer.GONE else [SILENT]  # nothing was called missing in between
    assert standing(own_app) == (LEADS_TO[answer], ever, 0)
    assert settled(own_app, LATER) == Done()


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("answer", list(Answer))
def test_an_answer_that_comes_to_what_the_job_has_decided_holds(own_app: Flask, answer: Answer) -> None:
    meets(own_app, lambda: look(FRIDAY), say(answer))
    assert standing(own_app)[0] == LEADS_TO[answer]
    assert settled(own_app, LATER) == Done()


@pytest.mark.usefixtures("asked")
def test_a_silence_closed_by_hand_while_the_job_decides_is_not_called_missing(own_app: Flask) -> None:
    done = meets(own_app, close_by_hand, lambda: look(FRIDAY))
    assert (done.opened, done.closed) == (0, 0)
    assert settled(own_app, LATER) == Done(withdrawn=done.withdrawn ^ 1)
    assert standing(own_app) == ([], [SILENT], 0)


@pytest.mark.usefixtures("asked")
def test_a_hand_that_comes_as_the_job_has_called_it_missing_closes_nothing(own_app: Flask) -> None:
    meets(own_app, lambda: look(FRIDAY), close_by_hand)
    assert settled(own_app, LATER) == Done()
    assert standing(own_app) == ([MISSING], [SILENT, MISSING], 1)


def test_a_tablet_heard_while_the_job_looks_is_left_alone(own_app: Flask, quiet: int) -> None:
    done = meets(own_app, report(quiet, NOON), lambda: look(NOON))
    assert (done.opened, done.asked) == (0, 0)
    assert standing(own_app) == ([], [], 0)
    assert settled(own_app, NOON + timedelta(minutes=1)) == Done()


def test_a_tablet_heard_as_the_job_has_found_it_ends_the_finding_itself(own_app: Flask, quiet: int) -> None:
    meets(own_app, lambda: look(NOON), report(quiet, NOON + timedelta(seconds=1)))
    assert standing(own_app) == ([], [SILENT], 1)
    with own_app.app_context(), reading():
        assert questions.waiting(by=CLI) == []  # not shown any more
    assert settled(own_app, NOON + timedelta(minutes=1)).withdrawn == 1


@pytest.mark.usefixtures("quiet")
def test_a_second_job_that_comes_meanwhile_finds_nothing_to_do(own_app: Flask) -> None:
    assert meets(own_app, lambda: look(NOON), lambda: look(NOON)) == Done()
    assert standing(own_app) == ([SILENT], [SILENT], 1)
