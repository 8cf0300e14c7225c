"""``fleet database upgrade`` gives up before it holds up everybody on PostgreSQL, and where it knows less."""

import time

import pytest
from flask import Flask
from sqlalchemy import text

from fleet import clock, upgrading
from fleet.db import db
from tests.doors.fleet_command import run


def refused_while_somebody_keeps_it(app: Flask) -> str:
    with app.app_context(), db.engine.connect() as other:
        other.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        began = clock.now()
        result = run(app, "database", "upgrade")
        assert (clock.now() - began).total_seconds() < 10
        other.rollback()
    assert result.exit_code == 1
    assert run(app, "database", "upgrade").output == "database is up to date\n"
    return result.output


def test_an_upgrade_does_not_wait_long_for_a_table_that_somebody_keeps(
    waiting_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrading, "LOCK_S", 1)
    monkeypatch.setattr(upgrading, "TRIES", 2)
    told = refused_while_somebody_keeps_it(waiting_app)
    assert "fleet: somebody kept a table for more than 1 s: stop the servers" in told
    assert "nothing was changed; then run `scripts/fleet database upgrade` again" in told


def test_an_upgrade_comes_again_once_those_who_waited_behind_it_had_their_turn(
    waiting_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with waiting_app.app_context(), db.engine.connect() as other:
        other.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        monkeypatch.setattr(time, "sleep", lambda _seconds: other.rollback())
        assert run(waiting_app, "database", "upgrade").output == "database is up to date\n"


def test_an_upgrade_ends_a_step_that_takes_too_long(waiting_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrading, "LOCK_S", 60)
    monkeypatch.setattr(upgrading, "STATEMENT_S", 1)
    told = refused_while_somebody_keeps_it(waiting_app)
    assert "fleet: a step took more than 1 s" in told


def test_an_upgrade_waits_for_another_servers_and_leaves_no_limit_behind(waiting_app: Flask) -> None:
    with waiting_app.app_context():
        upgrading.upgrade()
        with db.engine.connect() as connection:
            limits = connection.execute(
                text("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
            ).one()
    assert tuple(limits) == ("0", "0")


def test_a_database_of_a_newer_program_is_left_as_it_is(own_app: Flask) -> None:
    with own_app.app_context(), db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'next'"))
    for words in (("database", "upgrade"), ("devices", "list")):
        result = run(own_app, *words)
        assert (result.exit_code, result.output.startswith("fleet: the database is of a newer program")) == (1, True)
