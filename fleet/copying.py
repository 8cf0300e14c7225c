"""A whole database copied into another, from SQLite to PostgreSQL or back, and two databases compared.

Invariants: the source is read in one snapshot and never written; the target is filled in one transaction, which ends
in a commit only once every table was read back and is the same, so that whoever kills the copy finds it as empty as
before. Values go through the column types and are compared as what they mean, not as what a database keeps of them.
Nothing is held but a batch. Tables are filled in the order of their references: none refers to itself or in a circle
(a test says so). Files beside the database are not in it (decision 0018).
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    Connection,
    Engine,
    LargeBinary,
    Table,
    create_engine,
    func,
    insert,
    literal,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import DataError, IntegrityError

from fleet.db import Base, engine_options, newest_revision, prepare_sqlite
from fleet.errors import FleetError
from fleet.job_runs import JobLease

# Hears of each batch: what was done (read, copied, verified), of which table, how many rows of all tables so far, and
# how many there are.
Progress = Callable[[str, str, int, int], None]

_BATCH, _BATCH_OF_FILES = 1_000, 8  # rows in memory at once; what is a file may have some 10 MB
_MAX_REASON = 200


class DatabaseMissingError(FleetError):
    """There is no such file. Data: ``database``."""

    code = "copy-missing"


class SameDatabaseError(FleetError):
    """Source and target are one database. Data: ``database``."""

    code = "copy-to-itself"


class OtherRevisionError(FleetError):
    """A database has another shape than this program's. Data: ``database``, ``found``, ``expected``."""

    code = "copy-other-revision"


class SourceInUseError(FleetError):
    """A server works on the source: what it would yet write would be lost. Data: ``until``."""

    code = "copy-source-in-use"


class TargetNotEmptyError(FleetError):
    """The target holds rows. Data: ``database``, ``tables``."""

    code = "copy-target-not-empty"


class RowRefusedError(FleetError):
    """The target cannot keep a row. Data: ``table``, ``key``, ``reason``."""

    code = "copy-row-refused"


class CopyDiffersError(FleetError):
    """What was read back is not what was written. Data: ``tables``."""

    code = "copy-differs"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a table holds: how many rows, and a digest that does not depend on their order."""

    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A table on both sides."""

    table: str
    source: Contents
    target: Contents

    @property
    def is_same(self) -> bool:
        """Whether both sides hold the same rows."""
        return self.source == self.target


class _Sum:
    """The sum of the rows' own digests: in any order the same, and two equal rows do not cancel each other."""

    def __init__(self) -> None:
        self._rows, self._sum = 0, 0

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take rows in."""
        for row in rows:
            written = json.dumps({name: canonical(value) for name, value in row.items()}, sort_keys=True)
            self._sum += int.from_bytes(hashlib.sha256(written.encode()).digest(), "big")
        self._rows += len(rows)

    def contents(self) -> Contents:
        """Return what was taken in."""
        return Contents(self._rows, f"{self._sum % (1 << 256):064x}")


def canonical(value: Any) -> Any:
    """Return a value as JSON has it, one way of writing for each meaning.

    PostgreSQL's JSONB keeps numbers as decimals, so that 1e5 comes back as the whole number 100000.
    """
    if value is None or type(value) in {int, str, bool}:  # most are
        return value
    match value:
        case float():
            written: Any = int(Decimal(repr(value))) if value.is_integer() else value
        case Mapping():
            written = {name: canonical(one) for name, one in value.items()}
        case list():
            written = [canonical(one) for one in value]
        case Enum():
            written = value.value
        case bytes():
            written = hashlib.sha256(value).hexdigest()
        case datetime() | date() | time():
            written = value.isoformat()
        case _:
            raise TypeError(type(value).__name__)
    return written


def tables() -> Sequence[Table]:
    """Return all tables, each after those that it refers to."""
    return Base.metadata.sorted_tables


def shown(url: str) -> str:
    """Return a database's address without its password."""
    return make_url(url).render_as_string(hide_password=True)


def copy(
    source_url: str, target_url: str, *, now: datetime, progress: Progress, rehearses: bool = False
) -> Sequence[Compared]:
    """Copy all rows into an empty database of the same shape, and compare; returns each table on both sides.

    Args:
        source_url: of the database to read, as :func:`fleet.config.database_url` gives it.
        target_url: of the one to fill.
        now: the instant.
        progress: hears how far it is.
        rehearses: do everything, then take it back; allowed beside a running server.

    Raises:
        DatabaseMissingError: one of them is no file.
        SameDatabaseError: they are one.
        OtherRevisionError: one of them is not at this program's revision.
        SourceInUseError: a server works on the source.
        TargetNotEmptyError: the target holds rows.
        RowRefusedError: the target cannot keep a row, such as a text longer than its column.
        CopyDiffersError: what was read back is not what was written; nothing was kept.
    """
    _require_two(source_url, target_url)
    with _reading(source_url) as source, _writing(target_url, keeps=not rehearses) as target:
        if not rehearses:
            _require_idle(source, now)
        _require_empty(target, target_url)
        of = _count(source)
        written = _each(source, "copied", progress, of, target=target)
        _set_sequences(target)
        found = _each(target, "verified", progress, of)
        compared = _compared(written, found)
        if different := [one.table for one in compared if not one.is_same]:
            raise CopyDiffersError(tables=different)
        return compared


def compare(source_url: str, target_url: str, *, progress: Progress) -> Sequence[Compared]:
    """Return each table as it is in two databases of this program's shape.

    Args:
        source_url: of the one, as :func:`fleet.config.database_url` gives it.
        target_url: of the other.
        progress: hears how far it is.

    Raises:
        DatabaseMissingError: one of them is no file.
        SameDatabaseError: they are one.
        OtherRevisionError: one of them is not at this program's revision.
    """
    _require_two(source_url, target_url)
    with _reading(source_url) as source, _reading(target_url) as target:
        of = _count(source) + _count(target)
        here = _each(source, "read", progress, of)
        there = _each(target, "read", progress, of, before=sum(one.rows for one in here.values()))
        return _compared(here, there)


def _compared(source: Mapping[str, Contents], target: Mapping[str, Contents]) -> Sequence[Compared]:
    return [Compared(name, contents, target[name]) for name, contents in source.items()]


def _count(connection: Connection) -> int:
    return sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables())


def _each(
    connection: Connection, step: str, progress: Progress, of: int, *, before: int = 0, target: Connection | None = None
) -> Mapping[str, Contents]:
    """Go through all tables; returns what each holds. Where a target is given it gets the rows."""
    found, done = {}, before
    for table in tables():
        summed = _Sum()
        for rows in _batches(connection, table):
            summed.add(rows)
            if target is not None:
                _insert(target, table, rows)
            done += len(rows)
            progress(step, table.name, done, of)
        found[table.name] = summed.contents()
    return found


def _batches(connection: Connection, table: Table) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Read a table through a cursor that stays in the database."""
    has_files = any(isinstance(column.type, LargeBinary) for column in table.columns)
    size = _BATCH_OF_FILES if has_files else _BATCH
    result = connection.execute(select(table).execution_options(yield_per=size))
    for batch in result.mappings().partitions():
        yield [dict(row) for row in batch]


def _insert(target: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; where some are refused, halve until it is known which.

    Raises:
        RowRefusedError: one cannot be kept.
    """
    try:
        with target.begin_nested():
            target.execute(insert(table), rows)
    except (DataError, IntegrityError) as error:
        if len(rows) == 1:
            key = ", ".join(f"{column.name} {rows[0][column.key]}" for column in table.primary_key)
            reason = str(error.orig).partition("\n")[0][:_MAX_REASON]  # the lines after it tell the row's values
            raise RowRefusedError(table=table.name, key=key, reason=reason) from None
        middle = len(rows) // 2
        _insert(target, table, rows[:middle])
        _insert(target, table, rows[middle:])


def _set_sequences(target: Connection) -> None:
    """Have PostgreSQL count on after the highest number of each table, and know what there is, for its plans.

    ALTER SEQUENCE is taken back with the transaction, setval would not be.
    Source: https://www.postgresql.org/docs/current/sql-altersequence.html
    """
    if target.dialect.name != "postgresql":
        return
    quoted = target.dialect.identifier_preparer.format_table
    for table in tables():
        column = table.autoincrement_column
        if column is None:
            continue
        told = {"table": quoted(table), "column": column.name}
        sequence = target.scalar(text("SELECT pg_get_serial_sequence(:table, :column)"), told)
        highest = target.scalar(select(func.max(column)))
        if sequence is not None and highest is not None:
            target.execute(text(f"ALTER SEQUENCE {sequence} RESTART WITH {max(highest, 0) + 1}"))
    target.execute(text(f"ANALYZE {_all_names(target)}"))


def _all_names(connection: Connection) -> str:
    return ", ".join(connection.dialect.identifier_preparer.format_table(table) for table in tables())


# -- what has to hold before -------------------------------------------------------------------------------------------


def _require_two(source_url: str, target_url: str) -> None:
    source, target = make_url(source_url), make_url(target_url)
    for url in (source, target):
        if url.drivername == "sqlite" and not Path(str(url.database)).is_file():  # opening would make one
            raise DatabaseMissingError(database=str(url.database))
    if source.drivername == "sqlite" == target.drivername:
        is_one = Path(str(source.database)).samefile(str(target.database))
    else:
        is_one = source == target
    if is_one:
        raise SameDatabaseError(database=shown(target_url))


def _require_idle(source: Connection, now: datetime) -> None:
    until = source.scalar(select(func.max(JobLease.expires_at)))
    if until is not None and until > now:
        raise SourceInUseError(until=until)


def _require_empty(target: Connection, url: str) -> None:
    """Refuse a target with rows; nobody writes to it until the transaction ends."""
    if target.dialect.name == "postgresql":
        target.execute(text(f"LOCK TABLE {_all_names(target)} IN SHARE ROW EXCLUSIVE MODE"))
    full = [table.name for table in tables() if target.scalar(select(literal(1)).select_from(table).limit(1))]
    if full:
        raise TargetNotEmptyError(database=shown(url), tables=full)


def _require_revision(connection: Connection, url: str) -> None:
    found, wanted = MigrationContext.configure(connection).get_current_revision(), newest_revision()
    if found != wanted:
        raise OtherRevisionError(database=shown(url), found=found, expected=wanted)


# -- connections -------------------------------------------------------------------------------------------------------


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Open a database as a server has it."""
    engine = create_engine(url, **engine_options(url, connections=2, behind_pooler=True))
    if engine.dialect.name == "sqlite":
        prepare_sqlite(engine)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _reading(url: str) -> Iterator[Connection]:
    """Open one snapshot: what others commit from now on is not in it."""
    with opened(url) as engine, engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            wait_long(connection)
            _require_revision(connection, url)
            yield connection


@contextmanager
def _writing(url: str, *, keeps: bool) -> Iterator[Connection]:
    """Open one transaction that is committed at the end where it ``keeps`` and nothing was raised."""
    with opened(url) as engine, engine.connect() as connection:
        connection.execution_options(fleet_writes=True)
        with connection.begin() as running:
            wait_long(connection)
            _require_revision(connection, url)
            yield connection
            if not keeps:
                running.rollback()


def wait_long(connection: Connection) -> None:
    """Lift the limits that PostgreSQL's keeper sets for ordinary work, for this transaction."""
    if connection.dialect.name == "postgresql":
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(text("SELECT set_config(:name, '0', true)"), {"name": name})
