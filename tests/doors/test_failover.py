"""The database's leader dies and its copy takes over: the server goes on, and nothing it acknowledged is lost."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from fleet import outbox, upgrading
from fleet.app import create_app
from fleet.db import db, is_unavailable, transaction
from tests import postgres
from tests.agents import eventually
from tests.conftest import _environ
from tests.gate import Door, Tablet, door, ticket

SYNCHRONOUS = ["ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()"]
NOT_ON_DISK = ["-c", "fsync=off"]  # a process that is killed leaves what it has written to its machine


class Reporting(threading.Thread):
    """A tablet that reports, one report after the other, until it is told to end."""

    def __init__(self, tablet: Tablet) -> None:
        super().__init__()
        self._tablet = tablet
        self._ending = threading.Event()
        self.acknowledged: list[int] = []
        self.statuses: Counter[int] = Counter()

    def run(self) -> None:
        """Report; a report that is not acknowledged is left, and the next one has a higher number."""
        while not self._ending.is_set():
            status = self._tablet.report().status
            self.statuses[status] += 1
            if status == 200:
                self.acknowledged.append(self._tablet.sequence)

    def end(self) -> None:
        """Send nothing more."""
        self._ending.set()
        self.join()


@pytest.fixture
def pair() -> Iterator[tuple[postgres.Server, postgres.Server]]:
    """Return a leader that confirms nothing before its copy has it, with a database ``fleet``, and the copy."""
    with postgres.running(durable=True, options=NOT_ON_DISK) as leader:
        leader.create(name="fleet")
        with postgres.following(leader, options=NOT_ON_DISK) as standby:
            with psycopg.connect(leader.conninfo(), autocommit=True) as connection:
                for statement in SYNCHRONOUS:
                    connection.execute(statement)
                query = "SELECT sync_state FROM pg_stat_replication"
                eventually(lambda: connection.execute(query).fetchall() == [("sync",)], why="no synchronous copy")
            yield leader, standby


def two_hosts(first: postgres.Server, second: postgres.Server) -> str:
    return f"postgresql://fleet@/fleet?host={first.home},{second.home}"


def count(server: Door) -> Counter[int]:
    with server.app.app_context():
        rows = db.session.execute(sa.text("SELECT device_id, sequence FROM check_in"))
        return Counter(sequence for _device, sequence in rows)


def test_a_copy_takes_over_and_nothing_acknowledged_is_lost(
    pair: tuple[postgres.Server, postgres.Server], tmp_path: Path
) -> None:
    leader, standby = pair
    url = two_hosts(standby, leader)  # the one that takes writes is not the first
    app = create_app(environ=_environ(url, tmp_path))
    with app.app_context():
        upgrading.upgrade()
        upgrading.finish()
        db.engine.dispose()
    with door(url, tmp_path) as server:
        tablet = Tablet(server)
        assert tablet.enrol(ticket(server), "SN1").status == 201
        rung: list[frozenset[int]] = []
        take_back = outbox.add_ring(rung.append)
        reporting = Reporting(tablet)
        reporting.start()
        try:
            eventually(lambda: len(reporting.acknowledged) > 20)
            leader.kill()
            eventually(lambda: reporting.statuses[503] > 0, why="nobody was told to come back")
            postgres.promote(standby)
            before = len(reporting.acknowledged)
            eventually(lambda: len(reporting.acknowledged) > before + 20, why="reports are not taken again")
        finally:
            reporting.end()
        assert set(reporting.statuses) == {200, 503}
        stored = count(server)
        assert set(reporting.acknowledged) - set(stored) == set(), "acknowledged and lost"
        assert {number for number, times in stored.items() if times > 1} == set(), "stored twice"

        def another_process_rings() -> bool:
            with psycopg.connect(standby.conninfo("fleet"), autocommit=True) as connection:
                connection.execute("SELECT pg_notify('fleet_wake', '[4711]')")
            return frozenset([4711]) in rung

        eventually(another_process_rings, why="nobody listens at the new leader")
        take_back()


def test_a_connection_to_who_takes_no_writes_any_more_is_not_used_again(
    postgres_server: postgres.Server, postgres_template: str, tmp_path: Path
) -> None:
    name = postgres_server.create(template=postgres_template)
    app = create_app(environ=_environ(postgres_server.url(name), tmp_path))
    with app.app_context():

        def session() -> int:
            return int(db.session.scalars(sa.text("SELECT pg_backend_pid()")).one())

        with transaction():
            before = session()
        with transaction():
            db.session.execute(sa.text("SET TRANSACTION READ ONLY"))
            with pytest.raises(sa.exc.DBAPIError) as caught:
                db.session.execute(sa.text("DELETE FROM school"))
            db.session.rollback()
        assert is_unavailable(caught.value)
        with transaction():
            assert session() != before
        db.engine.dispose()
