"""PostgreSQL's days of the log of check-ins: one partition per UTC day, made ahead, dropped whole.

Invariants: an insert never fails for want of a day, as what no day takes goes to the default partition; rows are never
moved: those of the default partition age out there, and their day is not made any more. No step waits longer than
:data:`LOCK_WAIT_MS` for a lock, as whoever comes after it waits too; what is not had is tried again by the next run.
SQLite has one plain table, and everything here does nothing there. Why it is so: decision 0019.
"""

import re
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from fleet.db import LOCK_NOT_AVAILABLE, db, turn

DAYS_AHEAD = 14  # so long the job may be away before anything goes to the default partition
LOCK_WAIT_MS = 1_000
_DEFAULT = "check_in_default"
_OURS = re.compile(r"check_in_(\d{8}|default)")
# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
_CHECK_VIOLATION = "23514"

FORGET_IN_DEFAULT = text(f"""
    DELETE FROM {_DEFAULT} WHERE (device_id, received_at, sequence) IN
        (SELECT device_id, received_at, sequence FROM {_DEFAULT} WHERE received_at < :before LIMIT :at_most)
""")  # noqa: S608 (a name of ours)
_DAYS = text("""
    SELECT to_date(right(c.relname, 8), 'YYYYMMDD') FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'check_in'::regclass AND c.relname ~ '^check_in_[0-9]{8}$' ORDER BY 1
""")


def is_partition(table: str) -> bool:
    """Whether a table of this name is a part of the log, of which the models say nothing."""
    return _OURS.fullmatch(table) is not None


def prepare(connection: Connection, *, now: datetime) -> None:
    """Give a database that has just been migrated its default partition and the coming days."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS {_DEFAULT} PARTITION OF check_in DEFAULT"))
        _make_ahead(connection, now)


def make_ahead(*, now: datetime) -> int:
    """Make the days from today on that are missing; returns how many."""
    connection = db.session.connection()
    return _make_ahead(connection, now) if connection.dialect.name == "postgresql" else 0


def _make_ahead(connection: Connection, now: datetime) -> int:
    connection.execute(turn("check-in-days"))  # a migration may run beside the job
    known = set(connection.scalars(_DAYS))
    today = now.astimezone(UTC).date()
    wanted = [today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1)]
    return sum(_make(connection, day) for day in wanted if day not in known)


def _make(connection: Connection, day: date) -> bool:
    """Make a day, unless others keep the log or rows of the day are in the default partition.

    Attaching lets inserts go on; CREATE TABLE … PARTITION OF would hold them up.
    """
    begin, end = _bounds(day)
    return _done(
        connection,
        f"CREATE TABLE {_name(day)} (LIKE check_in INCLUDING DEFAULTS INCLUDING INDEXES)",
        f"ALTER TABLE check_in ATTACH PARTITION {_name(day)} FOR VALUES FROM ('{begin}') TO ('{end}')",
    )


def forget(*, before: datetime, at_most: int) -> int:
    """Drop the days that ended before an instant; returns how many check-ins were removed.

    The log is locked from here to the end of the transaction: nothing long may follow in it.

    Args:
        before: check-ins of a day that was not over by then stay.
        at_most: of the default partition remove so many at once.
    """
    connection = db.session.connection()
    removed = connection.execute(FORGET_IN_DEFAULT, {"before": before, "at_most": at_most}).rowcount
    over = [_name(day) for day in connection.scalars(_DAYS) if _bounds(day)[1] <= before]
    number = sum(connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in over)  # noqa: S608 (names of ours)
    return removed + (number if over and _done(connection, f"DROP TABLE {', '.join(over)}") else 0)


def _done(connection: Connection, *statements: str) -> bool:
    """Run statements that need locks which are had in a moment; else undo them and return False."""
    patience = connection.scalar(text("SELECT current_setting('lock_timeout')"))
    try:
        with connection.begin_nested():
            for one in (f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}", *statements):
                connection.exec_driver_sql(one)
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{patience}'")
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in {LOCK_NOT_AVAILABLE, _CHECK_VIOLATION}:
            raise
        return False
    return True


def _name(day: date) -> str:
    return f"check_in_{day:%Y%m%d}"


def _bounds(day: date) -> tuple[datetime, datetime]:
    begin = datetime.combine(day, time(), UTC)
    return begin, begin + timedelta(days=1)
