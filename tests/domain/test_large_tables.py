"""What upgrades leave for after their commit: indexes of large tables made beside everybody, rows filled in by parts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Engine, event, select, text, update
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from fleet import large_tables, upgrading
from fleet.app import finishing
from fleet.db import Base, db, migrations, transaction
from fleet.devices.models import DeviceState
from tests import factories as make
from tests.agents import eventually

BY_SCHOOL, BY_DAY = "ix_device_school_id", "ix_check_in_received_at"
VALID = text("""
    SELECT i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE c.relname = :name
""")
PARTS = text("""
    SELECT count(*) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhparent WHERE c.relname = :name
""")


@contextmanager
def changing(engine: Engine) -> Iterator[list[str]]:
    """Give the statements of the body that change a schema."""
    seen: list[str] = []

    def remember(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith(("CREATE", "ALTER", "DROP")):
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", remember)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", remember)


def lacking(*statements: str) -> None:
    with transaction():
        for one in statements:
            db.session.execute(text(one))


def test_an_index_that_is_missing_is_made_beside_everybody_after_an_upgrade(waiting_app: Flask) -> None:
    with waiting_app.app_context():
        lacking(f"DROP INDEX {BY_SCHOOL}", f"DROP INDEX {BY_DAY}")
        with changing(db.engine) as made:
            upgrading.upgrade()
            assert made == []  # whoever starts does not wait for it
            assert upgrading.finish()
        assert made
        assert not [one for one in made if not any(word in one for word in ("CONCURRENTLY", "ON ONLY", "ATTACH"))]
        assert [db.session.scalar(VALID, {"name": name}) for name in (BY_SCHOOL, BY_DAY)] == [True, True]
        days = db.session.scalar(PARTS, {"name": "check_in"})
        assert db.session.scalar(PARTS, {"name": BY_DAY}) == days
        db.session.rollback()
        assert large_tables.make_indexes(db.engine, Base.metadata) == []


def test_an_index_waits_for_an_older_view_beside_the_server_and_one_makes_it(waiting_app: Flask) -> None:
    with waiting_app.app_context():
        short = f"ALTER DATABASE \"{db.engine.url.database}\" SET statement_timeout = '300ms'"
        lacking(f"DROP INDEX {BY_SCHOOL}", short)
        db.session.remove()
        db.engine.dispose()
        view = db.engine.connect().execution_options(isolation_level="REPEATABLE READ")
        with view as other:
            other.execute(text("SELECT count(*) FROM device"))  # and from here on sees what was there, as a backup does
            end = finishing.start(waiting_app, again_s=60)
            with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as here:
                eventually(lambda: here.scalar(text("SELECT count(*) FROM pg_stat_progress_create_index")) == 1)
                time.sleep(0.6)
                upgrading.upgrade()
                assert not upgrading.finish()
                assert large_tables.lacking(here, Base.metadata) == [BY_SCHOOL]
                other.rollback()
                eventually(lambda: large_tables.lacking(here, Base.metadata) == [])
            end()
        eventually(upgrading.finish)


def test_a_database_of_a_newer_program_is_not_finished(waiting_app: Flask) -> None:
    with waiting_app.app_context():
        lacking(f"DROP INDEX {BY_SCHOOL}", "UPDATE alembic_version SET version_num = 'next'")
        with changing(db.engine) as made:
            assert upgrading.finish()
    assert made == []


def test_what_stops_it_is_for_the_next_time(waiting_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []

    def finish() -> bool:
        found.append("tried")
        if len(found) == 1:
            raise OperationalError("CREATE INDEX", {}, Exception("deadlock detected"))
        return True

    monkeypatch.setattr(upgrading, "finish", finish)
    with capture_logs() as logs:
        end = finishing.start(waiting_app, again_s=0.01)
        eventually(lambda: len(found) == 2)
        end()
    assert [(one["event"], one["log_level"]) for one in logs] == [("upgrade not finished", "warning")]


def test_an_index_that_was_broken_off_is_made_anew(waiting_app: Flask) -> None:
    with waiting_app.app_context():
        with transaction():
            broken_off = text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = CAST(:name AS regclass)")
            db.session.execute(broken_off, {"name": BY_SCHOOL})
        assert large_tables.make_indexes(db.engine, Base.metadata) == [BY_SCHOOL]
        assert db.session.scalar(VALID, {"name": BY_SCHOOL}) is True
        db.session.rollback()


def test_rows_are_filled_in_by_small_transactions_until_none_is_left(own_app: Flask) -> None:
    statement = """
        UPDATE device_state SET config_version = 7 WHERE device_id IN
            (SELECT device_id FROM device_state WHERE config_version <> 7 LIMIT :at_most)
    """
    with own_app.app_context():
        with transaction():
            school = make.school()
            for _ in range(7):
                make.device(school)
            db.session.flush()
            db.session.execute(update(DeviceState).values(config_version=1))
        commits: list[object] = []

        def note(connection: object) -> None:
            commits.append(connection)

        event.listen(db.engine, "commit", note)
        assert large_tables.fill(db.engine, statement, at_most=3) == 7
        assert len(commits) == 3  # the last one finds fewer, so nothing is said of those that others write meanwhile
        event.remove(db.engine, "commit", note)
        assert set(db.session.scalars(select(DeviceState.config_version))) == {7}
        assert large_tables.fill(db.engine, statement) == 0
        db.session.rollback()


def test_what_a_migration_names_is_filled_in(own_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[str] = []
    with own_app.app_context():
        scripts = ScriptDirectory.from_config(migrations())
        newest = next(iter(scripts.walk_revisions()))
        monkeypatch.setattr(newest.module, "fills", ("UPDATE a",), raising=False)
        monkeypatch.setattr(large_tables, "fill", lambda _engine, statement: filled.append(statement))
        large_tables.finish(db.engine, Base.metadata, scripts)
    assert filled == ["UPDATE a"]
