"""Rings: after the commit and only then, for any number of tablets, over processes on PostgreSQL."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from sqlalchemy import make_url

from fleet import outbox
from fleet.db import transaction
from tests import postgres
from tests.serving import ROOT


class Bell:
    """Remembers who was rung."""

    def __init__(self) -> None:
        self.rung: list[frozenset[int]] = []
        self._heard = threading.Condition()

    def __call__(self, device_ids: frozenset[int]) -> None:
        with self._heard:
            self.rung.append(device_ids)
            self._heard.notify_all()

    def hears(self, *device_ids: int, within_s: float = 20) -> bool:
        """Wait until all of these were rung."""
        with self._heard:
            return self._heard.wait_for(lambda: set(device_ids) <= set().union(*self.rung), within_s)


@pytest.fixture
def bell() -> Iterator[Bell]:
    made = Bell()
    take_back = outbox.add_ring(made)
    yield made
    take_back()


def test_tablets_are_rung_after_the_commit_and_once(app: Flask, bell: Bell) -> None:
    with transaction():
        outbox.wake([3, 1])
        outbox.wake(iter([2]))
        outbox.wake([])
        assert bell.rung == []
    assert bell.rung == [frozenset({1, 3}), frozenset({2})]
    with transaction():
        pass
    assert len(bell.rung) == 2


def test_nobody_is_rung_for_what_was_rolled_back_not_even_by_the_next_transaction(app: Flask, bell: Bell) -> None:
    def fail() -> None:
        with transaction():
            outbox.wake([1])
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with transaction():
        pass
    assert bell.rung == []


def test_a_ring_taken_back_hears_nothing(app: Flask) -> None:
    gone = Bell()
    outbox.add_ring(gone)()
    with transaction():
        outbox.wake([1])
    assert gone.rung == []


def test_one_statement_wakes_any_number(app: Flask, statements: list[str]) -> None:
    with transaction():
        statements.clear()
        outbox.wake(range(1, 7_001))
    assert len(statements) <= 1


# -- over processes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def database(postgres_server: postgres.Server, postgres_template: str) -> str:
    """Return the name of a database of PostgreSQL; the embedded one has no way to call (see the server's look)."""
    return postgres_server.create(template=postgres_template)


@pytest.fixture
def listening(postgres_server: postgres.Server, database: str, bell: Bell) -> Iterator[str]:
    """Listen on the database; return its address as psycopg takes it."""
    conninfo = postgres_server.conninfo(database)
    listener = outbox.Listener(make_url(postgres_server.url(database)))
    listener.start()
    _until(lambda: bool(_listeners(conninfo)))
    yield conninfo
    begun = time.monotonic()
    listener.stop()
    assert time.monotonic() - begun < 2
    _until(lambda: not _listeners(conninfo))


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _listeners(conninfo: str) -> list[int]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^LISTEN'"
        return [row[0] for row in connection.execute(query)]


def _notify(conninfo: str, payload: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_notify(%s, %s)", (outbox.CHANNEL, payload))


_WAKE = """
import sys
from fleet import outbox
from fleet.app import create_app
from fleet.db import transaction
url, folder, number, fails = sys.argv[1:]
app = create_app(environ={"FLEET_DATABASE_URL": url, "FLEET_DATA_DIR": folder})
with app.app_context():
    try:
        with transaction():
            outbox.wake(range(1, int(number) + 1))
            if fails == "fails":
                raise LookupError
    except LookupError:
        pass
"""


def test_another_process_rings_ours_for_thousands_at_once(
    bell: Bell, listening: str, postgres_server: postgres.Server, database: str, tmp_path: Path
) -> None:
    for number, fails in ((1, "fails"), (7_000, "")):
        told = [postgres_server.url(database), str(tmp_path), str(number), fails]
        subprocess.run([sys.executable, "-c", _WAKE, *told], cwd=ROOT, check=True)
    assert bell.hears(*range(1, 7_001))
    assert len(bell.rung) >= 12  # in pieces that PostgreSQL takes: and none for what was rolled back
    assert sum(map(len, bell.rung)) == 7_000


def test_a_connection_that_is_cut_is_made_anew(bell: Bell, listening: str) -> None:
    (pid,) = _listeners(listening)
    with psycopg.connect(listening, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
    _until(lambda: _listeners(listening) not in ([], [pid]))
    _notify(listening, json.dumps([5]))
    assert bell.hears(5)


@pytest.mark.parametrize("payload", ["", "no json", "{}", "7", "null", '["a", null, 1.5, [2]]', "[" * 4_000])
def test_a_notice_that_is_not_ours_rings_nobody_and_does_no_harm(payload: str, bell: Bell, listening: str) -> None:
    _notify(listening, payload)
    _notify(listening, "[6]")
    assert bell.hears(6)
    assert set().union(*bell.rung) == {6}
