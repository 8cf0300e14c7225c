"""What upgrades leave for after their commit: indexes of large tables made beside everybody, rows filled in by parts."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Engine, event, select, text, update

import fleet.db
from fleet import large_tables
from fleet.db import Base, db, transaction
from fleet.devices.models import DeviceState
from tests import factories as make

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
            fleet.db.upgrade()
        assert made
        assert not [one for one in made if not any(word in one for word in ("CONCURRENTLY", "ON ONLY", "ATTACH"))]
        assert [db.session.scalar(VALID, {"name": name}) for name in (BY_SCHOOL, BY_DAY)] == [True, True]
        days = db.session.scalar(PARTS, {"name": "check_in"})
        assert db.session.scalar(PARTS, {"name": BY_DAY}) == days
        db.session.rollback()
        assert large_tables.make_indexes(db.engine, Base.metadata) == []


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
        assert len(commits) == 4  # three with rows, and the one that finds none
        event.remove(db.engine, "commit", note)
        assert set(db.session.scalars(select(DeviceState.config_version))) == {7}
        assert large_tables.fill(db.engine, statement) == 0
        db.session.rollback()


def test_what_a_migration_names_is_filled_in(own_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[str] = []
    with own_app.app_context():
        scripts = ScriptDirectory.from_config(fleet.db.migrations())
        newest = next(iter(scripts.walk_revisions()))
        monkeypatch.setattr(newest.module, "fills", ("UPDATE a",), raising=False)
        monkeypatch.setattr(large_tables, "fill", lambda _engine, statement: filled.append(statement))
        large_tables.finish(db.engine, Base.metadata, scripts)
    assert filled == ["UPDATE a"]
