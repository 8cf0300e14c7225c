"""Instants, transactions, and telling the areas above what changed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from flask import Flask
from sqlalchemy import inspect, text

from fleet import audit
from fleet.access import Principal
from fleet.app import create_app
from fleet.db import changed, db, follow, newest_revision, reading, schema_revision, transaction
from tests import factories
from tests.conftest import NOW
from tests.followers import follows

ONE = Principal.command_line()


@pytest.fixture
def seen(app: Flask) -> Iterator[list[tuple[frozenset[int], datetime]]]:
    """Return what a follower of ``device`` was told; the follower leaves with the test."""
    told: list[tuple[frozenset[int], datetime]] = []

    def remember(ids: frozenset[int], now: datetime) -> None:
        told.append((ids, now))

    with follows("device", remember):
        follow("device", remember)  # who asks twice follows once
        yield told


def test_an_instant_comes_back_aware_and_equal_whatever_zone_it_had(app: Flask) -> None:
    local = datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    with transaction():
        audit.record(ONE, "a", subject="s", now=local)
    stored = factories.audited()[0].at
    assert stored == local
    assert stored.tzinfo is UTC


def test_a_naive_instant_is_refused(app: Flask) -> None:
    with pytest.raises(Exception, match="naive"), transaction():
        audit.record(ONE, "a", subject="s", now=datetime(2026, 1, 1))  # noqa: DTZ001 (the fault under test)


def test_a_transaction_that_fails_leaves_nothing(app: Flask) -> None:
    def fail() -> None:
        with transaction():
            audit.record(ONE, "a", subject="s", now=NOW)
            db.session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert factories.audited() == []


def test_reading_ends_its_snapshot_and_drops_what_was_added(app: Flask) -> None:
    with reading():
        audit.record(ONE, "a", subject="s", now=NOW)
        db.session.flush()
    assert factories.audited() == []


def test_followers_hear_once_per_transaction_of_all_that_changed(
    app: Flask, seen: list[tuple[frozenset[int], datetime]]
) -> None:
    with transaction():
        changed("device", [1, 2], now=NOW)
        changed("device", {2, 3}, now=NOW)
        changed("person", [9], now=NOW)
        assert seen == []
    assert seen == [(frozenset({1, 2, 3}), NOW)]


def test_followers_hear_nothing_of_a_transaction_that_failed(
    app: Flask, seen: list[tuple[frozenset[int], datetime]]
) -> None:
    def fail() -> None:
        with transaction():
            changed("device", [1], now=NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with transaction():
        pass
    assert seen == []


def test_the_database_is_at_the_newest_revision(app: Flask) -> None:
    assert schema_revision() == newest_revision() is not None


def test_sqlite_is_set_up_for_safety(tmp_path: object) -> None:
    app = create_app(environ={"FLEET_DATA_DIR": f"{tmp_path}/new/data"})
    with app.app_context():
        with db.engine.connect() as connection:
            found = {
                name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
                for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
            }
        assert inspect(db.engine).get_table_names() == []
        assert schema_revision() is None
        db.engine.dispose()
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000, "synchronous": 2}
