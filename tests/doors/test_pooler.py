"""Behind a pooler that gives each transaction another session of PostgreSQL, and with few connections."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from psycopg.errors import InvalidSqlStatementName
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from fleet import upgrading
from fleet.access import Principal
from fleet.app import create_app, immediacy
from fleet.channels.presence import Presence
from fleet.checkins import polls, receive
from fleet.checkins.receive import Answer, Report
from fleet.db import db, is_unavailable, transaction
from fleet.jobs.runner import run_now
from fleet.jobs.timetable import TIMETABLE
from tests import factories
from tests.conftest import NOW

CLI = Principal.command_line()
Made = Callable[..., Flask]


@pytest.fixture
def made(fresh_url: str, tmp_path: Path, database_kind: str) -> Iterator[Made]:
    """Return a function that makes an application with more settings, on PostgreSQL."""
    if database_kind == "sqlite":
        pytest.skip("SQLite has no sessions")
    apps: list[Flask] = []

    def make(**settings: str) -> Flask:
        told = {"FLEET_DATABASE_URL": fresh_url, "FLEET_DATA_DIR": str(tmp_path), **settings}
        apps.append(create_app(environ=told))
        return apps[-1]

    yield make
    for app in apps:
        with app.app_context():
            db.engine.dispose()


@contextmanager
def forgetting() -> Iterator[None]:
    """Have PostgreSQL forget all that a session keeps whenever a transaction is over, unknown to the driver."""

    def forget(connection: Any, _record: object) -> None:
        if connection is not None:
            connection.pgconn.exec_(b"DISCARD ALL")

    event.listen(db.engine, "checkin", forget)
    try:
        yield
    finally:
        event.remove(db.engine, "checkin", forget)


def work() -> None:
    """Do one thing more often than the driver does before it prepares it."""
    with transaction():
        tablet = factories.enrolled(factories.school())
        tablet.state.key_thumbprint = "key"
        number = tablet.id
    for sequence in range(1, 13):
        with transaction():
            told = Report(number, "key", sequence, report_id=str(sequence), body_digest="1", applied=None, facts={})
            assert [type(one) for one in receive.receive([told], now=NOW)] == [Answer]
        with transaction():
            polls.standings([number])


def test_reports_polls_jobs_and_upgrades_need_nothing_that_a_session_keeps(made: Made, fresh_url: str) -> None:
    app = made(FLEET_DATABASE_DIRECT_URL=fresh_url)
    with app.app_context(), forgetting():
        work()
        for job in TIMETABLE:
            assert run_now(app, job.name, by=CLI).error is None, job.name
        upgrading.upgrade()
        upgrading.finish()


def test_a_pooler_that_nobody_was_told_of_is_noticed_at_once(made: Made) -> None:
    with made().app_context(), forgetting(), pytest.raises(DBAPIError) as caught:
        work()
    assert isinstance(caught.value.orig, InvalidSqlStatementName)


def test_who_hears_of_changes_goes_around_the_pooler(made: Made, fresh_url: str) -> None:
    app = made(FLEET_DATABASE_DIRECT_URL=f"{fresh_url}&application_name=direct")
    stop = immediacy.start(app, [], Presence())
    with app.app_context(), db.engine.connect() as connection:
        query = text("SELECT application_name FROM pg_stat_activity WHERE query ~ '^LISTEN' AND datname = :name")
        told = {"name": db.engine.url.database}
        try:
            found: list[str] = []
            ends = time.monotonic() + 30
            while not found and time.monotonic() < ends:
                found = list(connection.scalars(query, told))
                connection.rollback()
        finally:
            stop()
    assert found == ["direct"]


def test_a_process_opens_as_many_connections_as_it_was_told_and_no_more(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(FLEET_DATABASE_CONNECTIONS="5").app_context():
        monkeypatch.setattr(db.engine.pool, "_timeout", 0.2)
        held = [db.engine.connect() for _ in range(5)]
        with pytest.raises(PoolTimeoutError) as caught:
            db.engine.connect()
        assert is_unavailable(caught.value)
        held.pop().close()
        with db.engine.connect() as again:
            assert again.scalar(text("SELECT 1")) == 1
        for one in held:
            one.close()
