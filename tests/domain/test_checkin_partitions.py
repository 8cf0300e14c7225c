"""PostgreSQL keeps the log of check-ins by days: made ahead, dropped whole, and none is needed to store a report."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import alembic.command
import pytest
from flask import Flask
from sqlalchemy import event, inspect, text

from fleet import clock
from fleet.checkins import partitions, queries, receive
from fleet.checkins.models import CheckIn
from fleet.checkins.receive import Answer, Report
from fleet.db import db, migrations, reading, transaction
from fleet.devices.models import Device
from fleet.jobs.removing import remove
from tests import factories
from tests.conftest import NOW

DAY = timedelta(days=1)
TODAY = datetime(2026, 9, 14, tzinfo=UTC)


@pytest.fixture
def parted(waiting_app: Flask) -> Iterator[Flask]:
    """Return an application whose database has the days around :data:`NOW`, those of the month before too."""
    with waiting_app.app_context():
        with transaction():
            partitions.make_ahead(now=NOW - 40 * DAY)
            partitions.make_ahead(now=NOW - 25 * DAY)
            partitions.make_ahead(now=NOW - 10 * DAY)
            partitions.make_ahead(now=NOW)
        yield waiting_app


@pytest.fixture
def tablet(parted: Flask) -> Device:
    with transaction():
        made = factories.enrolled(factories.school())
        made.id  # noqa: B018 (loaded while there is a transaction)
    return made


def log(device: Device, *instants: datetime) -> None:
    with transaction():
        for number, at in enumerate(instants):
            db.session.add(CheckIn(device_id=device.id, sequence=number + 1, received_at=at, report_id=str(number)))


def rows(table: str) -> int:
    with reading():
        return int(db.session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608 (a name of ours)


def tables() -> set[str]:
    return {name for name in inspect(db.engine).get_table_names() if partitions.is_partition(name)}


@contextmanager
def planned() -> Iterator[list[str]]:
    """Give how PostgreSQL carries out the last statement of the body; in the body's transaction, so that it may write."""
    asked: list[tuple[str, Any]] = []

    def remember(_connection: object, _cursor: object, statement: str, told: Any, *_rest: object) -> None:
        asked.append((statement, told))

    shown: list[str] = []
    event.listen(db.engine, "before_cursor_execute", remember)
    try:
        yield shown
    finally:
        event.remove(db.engine, "before_cursor_execute", remember)
    statement, told = asked[-1]
    db.session.execute(text("SET LOCAL enable_seqscan = off"))  # by which small tables would be read
    rows = db.session.connection().exec_driver_sql(f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {statement}", told)
    shown += rows.scalars()


def locked() -> set[str]:
    """Return which parts of the log, and the log, the running transaction has locked."""
    told = db.session.scalars(
        text("""
            SELECT c.relname FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
            WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p') AND c.relname LIKE 'check_in%'
        """)
    )
    return set(told)


@contextmanager
def held(statement: str) -> Iterator[None]:
    """Have another transaction keep what a statement takes."""
    with db.engine.connect() as other:
        other.execute(text(statement))
        yield
        other.rollback()


def test_a_migrated_database_has_the_coming_days_and_one_table_for_what_no_day_takes(waiting_app: Flask) -> None:
    with waiting_app.app_context():
        today = clock.now().astimezone(UTC).date()
        wanted = {f"check_in_{today + number * DAY:%Y%m%d}" for number in range(partitions.DAYS_AHEAD)}
        assert wanted | {"check_in_default"} <= tables()


def test_alembic_takes_no_day_for_a_change_of_the_models(own_app: Flask) -> None:
    settings = migrations()
    with own_app.app_context(), db.engine.begin() as connection:
        settings.attributes["connection"] = connection
        alembic.command.check(settings)


def test_downgrade_to_nothing_takes_the_days_along(waiting_app: Flask) -> None:
    settings = migrations()
    with waiting_app.app_context():
        with db.engine.begin() as connection:
            settings.attributes["connection"] = connection
            alembic.command.downgrade(settings, "base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]


def test_days_are_made_once_and_only_those_that_are_missing(waiting_app: Flask) -> None:
    def made(at: datetime) -> int:
        with transaction():
            return partitions.make_ahead(now=at)

    with waiting_app.app_context():
        assert [made(NOW), made(NOW), made(NOW + 2 * DAY)] == [partitions.DAYS_AHEAD + 1, 0, 2]


def test_sqlite_has_no_days(app: Flask) -> None:
    with transaction():
        made = partitions.make_ahead(now=NOW)
    assert (made == 0) == (db.engine.dialect.name == "sqlite")


def test_a_check_in_lies_with_its_utc_day(tablet: Device) -> None:
    log(tablet, TODAY - timedelta(microseconds=1), TODAY, TODAY + DAY - timedelta(microseconds=1), TODAY + DAY)
    assert [rows(f"check_in_202609{day}") for day in (13, 14, 15)] == [1, 2, 1]


def test_what_no_day_takes_is_stored_and_its_day_is_not_made_any_more(tablet: Device) -> None:
    later = TODAY + 30 * DAY
    log(tablet, later + timedelta(hours=1))
    assert rows("check_in_default") == 1
    with transaction():
        made = partitions.make_ahead(now=later)
    assert made == partitions.DAYS_AHEAD
    assert f"check_in_{later:%Y%m%d}" not in tables()
    log(tablet, later + timedelta(hours=2), later + DAY)
    assert (rows("check_in_default"), rows(f"check_in_{later + DAY:%Y%m%d}"), rows("check_in")) == (2, 1, 3)


def test_retention_drops_days_that_are_over_and_counts_their_check_ins(tablet: Device) -> None:
    old = TODAY - 31 * DAY
    log(tablet, old, old + DAY - timedelta(seconds=1), old + DAY, NOW)
    with transaction():
        done = remove(NOW)["check_ins"]
    assert done == 2
    assert rows("check_in") == 2
    assert min(tables()) == f"check_in_{old + DAY:%Y%m%d}"
    with transaction():
        assert remove(NOW)["check_ins"] == 0


def test_what_is_in_the_default_partition_is_forgotten_row_by_row(tablet: Device) -> None:
    log(tablet, *(NOW - 100 * DAY + number * timedelta(minutes=1) for number in range(5)), NOW)
    done = []
    for _ in range(3):
        with transaction():
            done.append(receive.forget(older_than=30 * DAY, now=NOW, at_most=3))
    assert (done, rows("check_in")) == ([3, 2, 0], 1)


def test_a_day_that_somebody_reads_is_dropped_the_next_time_and_the_rest_is_done(tablet: Device) -> None:
    log(tablet, NOW - 31 * DAY, NOW - 100 * DAY)
    with held("SELECT count(*) FROM check_in"), transaction():
        began = clock.now()
        done = receive.forget(older_than=30 * DAY, now=NOW)
    assert clock.now() - began < timedelta(seconds=5)
    assert (done, rows("check_in")) == (1, 1)
    with transaction():
        assert receive.forget(older_than=30 * DAY, now=NOW) == 1


def test_days_are_made_while_reports_are_stored_and_wait_briefly_for_who_keeps_the_log(parted: Flask) -> None:
    with held("INSERT INTO check_in VALUES (1, '2026-09-14T08:15Z', 1, 'x')"), transaction():
        assert partitions.make_ahead(now=NOW + DAY) == 1
    with held("LOCK TABLE ONLY check_in IN SHARE UPDATE EXCLUSIVE MODE"), transaction():
        assert partitions.make_ahead(now=NOW + 2 * DAY) == 0
        patience = db.session.scalar(text("SELECT current_setting('lock_timeout')"))
    assert patience == "0"
    with transaction():
        assert partitions.make_ahead(now=NOW + 2 * DAY) == 1


def test_a_tablets_newest_check_ins_are_read_by_the_key_of_the_newest_days_only(tablet: Device) -> None:
    log(tablet, *(NOW - number * timedelta(hours=7) for number in range(40)))
    with reading():
        with planned() as shown:
            newest = queries.latest(tablet, limit=5, since=NOW - 30 * DAY, before=NOW)
        assert [one.received_at for one in newest] == [NOW - number * timedelta(hours=7) for number in range(1, 6)]
        scans = [line for line in shown if "Scan" in line]
        assert all("_pkey on check_in_2026" in line for line in scans)
        assert len(scans) == 31
        assert [line for line in scans if "never executed" not in line] == scans[:3]  # 14, 13 and 12 September
        assert not [line for line in shown if "Sort" in line]


def test_a_report_that_is_stored_locks_its_day_and_no_other(tablet: Device) -> None:
    with transaction():
        tablet.state.key_thumbprint = "key"
        db.session.flush()
        told = Report(tablet.id, "key", 1, report_id="1", body_digest="1", applied=None, facts={})
        assert [type(one) for one in receive.receive([told], now=NOW)] == [Answer]
        assert locked() == {"check_in", "check_in_20260914"}


def test_what_is_to_be_forgotten_in_the_default_partition_is_found_by_its_instant(tablet: Device) -> None:
    log(tablet, NOW - 100 * DAY)
    with transaction():
        with planned() as shown:
            db.session.connection().execute(partitions.FORGET_IN_DEFAULT, {"before": NOW, "at_most": 5})
        assert [line for line in shown if "check_in_default_received_at_idx" in line]
        assert not [line for line in shown if "Seq Scan" in line]
