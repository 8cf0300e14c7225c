"""Connections to PostgreSQL that have rested are asked whether they live; what reads without a transaction changes nothing."""

import time
from collections.abc import Iterable

import pytest
from flask import Flask
from sqlalchemy import NullPool, create_engine, text

from fleet import reaching_postgresql
from fleet.db import changed, db, reading, take_turn, transaction
from tests.conftest import NOW
from tests.extent import on

pytestmark = on("postgresql")


def own_process() -> int:
    return int(db.session.scalar(text("SELECT pg_backend_pid()")) or 0)


def end(url: str, processes: Iterable[int]) -> None:
    """End the database's side of connections, as a server that restarts does."""
    with create_engine(url, poolclass=NullPool).connect() as other:
        for process in processes:
            other.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})


def test_connections_that_died_while_they_rested_are_replaced_unseen(
    own_app: Flask, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching_postgresql, "_TRUSTED_S", 0.05)
    with own_app.app_context():
        with db.engine.connect() as one, db.engine.connect() as two:
            query = text("SELECT pg_backend_pid()")
            dead = {int(one.scalar(query) or 0), int(two.scalar(query) or 0)}
        end(fresh_url, dead)
        time.sleep(0.1)
        with db.engine.connect() as one, db.engine.connect() as two:
            assert not dead & {one.scalar(query), two.scalar(query)}


def test_one_that_died_just_now_fails_who_has_it_and_nobody_after(own_app: Flask, fresh_url: str) -> None:
    with own_app.app_context():
        with reading():
            process = own_process()
        end(fresh_url, [process])
        with pytest.raises(Exception, match="terminat"), reading():
            own_process()
        with reading():
            assert own_process() != process


def test_what_reads_without_a_transaction_sees_what_is_committed_and_can_change_nothing(own_app: Flask) -> None:
    query = text("SELECT now()")
    with own_app.app_context():
        with reading(is_bare=True):
            first = db.session.scalar(query)
            assert db.session.scalar(query) != first  # no transaction holds the time
            with pytest.raises(RuntimeError):
                changed("device", [1], now=NOW)
            with pytest.raises(RuntimeError):
                take_turn("assignments")
        with transaction():  # on the same connection
            take_turn("assignments")
            assert db.session.scalar(query) == db.session.scalar(query)
            changed("device", [], now=NOW)
