"""Databases of municipalities: made, emptied, removed, and whether somebody works on one."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, inspect, make_url, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from fleet.config import Config
from fleet.copying import opened, shown, wait_long
from fleet.crypto import vault_key_file
from fleet.db import LOCK_NOT_AVAILABLE
from fleet.errors import FleetError

# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
_OBJECT_IN_USE = "55006"
_KEEPERS = "postgres"  # the database in which its keeper makes others
_LEAVES_WITHIN_S = 20.0  # a server that has ended, and whose connections PostgreSQL has not noticed yet
_CONNECTS_WITHIN_S = 5  # a machine that is off answers nothing at all

# Of other users one may not be allowed to see what they are, only that they are. Within a transaction PostgreSQL tells
# what it told first, unless it is told to look again:
# https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-STATS-VIEWS
_LOOK_AGAIN = text("SELECT pg_stat_clear_snapshot()")
_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'"
)


class NotMadeError(FleetError):
    """The database is not there and may not be made. Data: ``database``, ``reason``."""

    code = "municipality-database-not-made"


class NotNewError(FleetError):
    """The database holds rows, and the keys that belong to them are not here. Data: ``database``, ``key``."""

    code = "municipality-database-not-new"


class StillInUseError(FleetError):
    """Somebody is connected, and what they write would be lost. Data: ``database``, ``connections``."""

    code = "municipality-database-in-use"


def soon(url: str) -> str:
    """Return an address at which one does not wait long for a machine that is off."""
    told = make_url(url)
    if told.drivername == "sqlite" or "connect_timeout" in told.query:
        return url
    told = told.update_query_dict({"connect_timeout": str(_CONNECTS_WITHIN_S)})
    return told.render_as_string(hide_password=False)


def make(url: str) -> bool:
    """Make a database where there is none; returns whether. A file of SQLite is made by who opens it first.

    Raises:
        NotMadeError: its server does not let us.
    """
    told = make_url(url)
    if told.drivername == "sqlite":
        return False
    try:
        with opened(soon(url)) as engine, engine.connect():
            return False
    except OperationalError:
        if _is_there(told):
            raise
    try:
        with _keeper(told) as (connection, name):
            connection.exec_driver_sql(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    except (OperationalError, ProgrammingError) as error:
        raise NotMadeError(database=shown(url), reason=str(error.orig).partition("\n")[0]) from None
    return True


def _is_there(url: URL) -> bool:
    with _keeper(url) as (connection, _name):
        told = {"name": url.database}
        return connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), told) is not None


@contextmanager
def _keeper(url: URL) -> Iterator[tuple[Connection, str]]:
    """Open the database from which others are made and removed; gives it and the quoted name of the one in question."""
    engine = create_engine(soon(url.set(database=_KEEPERS).render_as_string(hide_password=False)))
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection, engine.dialect.identifier_preparer.quote_identifier(str(url.database))
    finally:
        engine.dispose()


def has_rows(url: str) -> bool:
    """Whether a database of whatever shape holds rows, but for which shape it has."""
    with opened(soon(url)) as engine, engine.connect() as connection:
        names = set(inspect(connection).get_table_names()) - {"alembic_version"}
        quote = connection.dialect.identifier_preparer.quote_identifier
        return any(connection.scalar(text(f"SELECT 1 FROM {quote(name)} LIMIT 1")) for name in sorted(names))  # noqa: S608 (the database's own names)


def require_new_or_ours(config: Config) -> None:
    """Refuse a database with rows without the keys that belong to them: tablets would not know the server.

    Raises:
        NotNewError: it is so.
    """
    key = vault_key_file(config.secrets_dir, config.vault_key_file)
    if not key.is_file() and has_rows(config.database_url):
        raise NotNewError(database=shown(config.database_url), key=str(key))


def empty(url: str) -> None:
    """Take every row out of a database that a move has filled and never switched to."""
    told = make_url(url)
    if told.drivername == "sqlite":
        _unlink(told)
        return
    with opened(soon(url)) as engine, engine.begin() as connection:
        quote = connection.dialect.identifier_preparer.quote_identifier
        names = sorted(set(inspect(connection).get_table_names()) - {"alembic_version"})
        if names:
            connection.execute(text(f"TRUNCATE {', '.join(map(quote, names))} RESTART IDENTITY"))


def drop(url: str) -> None:
    """Remove a database, for good.

    Raises:
        StillInUseError: somebody is connected.
        NotMadeError: its server does not let us.
    """
    told = make_url(url)
    if told.drivername == "sqlite":
        _unlink(told)
        return
    try:
        with _keeper(told) as (connection, name):
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == _OBJECT_IN_USE:
            raise StillInUseError(database=shown(url), connections=None) from None
        raise
    except ProgrammingError as error:
        raise NotMadeError(database=shown(url), reason=str(error.orig).partition("\n")[0]) from None


def _unlink(url: URL) -> None:
    for tail in ("", "-wal", "-shm"):
        Path(f"{url.database}{tail}").unlink(missing_ok=True)


@contextmanager
def alone(config: Config) -> Iterator[Callable[[], None]]:
    """Keep everybody else from writing to a municipality's database while the body runs.

    A server keeps its file locked where the database is embedded, and none starts while we do. In PostgreSQL all tables
    are locked against writes, which ends with our connection, however that ends: who comes meanwhile waits. What is
    given raises where somebody came, or where our connection is gone.

    Raises:
        StillInUseError: somebody is there.
    """
    if not config.is_sqlite:
        with _locked(config.session_database_url) as require_alone:
            yield require_alone
        return
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(config.server_lock, os.O_RDWR | os.O_CREAT, 0o600), "rb+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StillInUseError(database=shown(config.database_url), connections=None) from None
        yield lambda: None


@contextmanager
def _locked(url: str) -> Iterator[Callable[[], None]]:
    """Lock all tables of a PostgreSQL against writes; they can be read.

    Source: https://www.postgresql.org/docs/current/explicit-locking.html (SHARE).
    """
    with opened(soon(url)) as engine, engine.connect() as connection, connection.begin():
        wait_long(connection)
        require_alone = partial(_require_no_other, connection, url)
        require_alone()
        quote = connection.dialect.identifier_preparer.quote_identifier
        names = sorted(inspect(connection).get_table_names())
        connection.execute(text(f"SET LOCAL lock_timeout = '{round(1000 * _LEAVES_WITHIN_S) or 1}ms'"))
        try:
            if names:
                connection.execute(text(f"LOCK TABLE {', '.join(map(quote, names))} IN SHARE MODE"))
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            raise StillInUseError(database=shown(url), connections=None) from None
        yield require_alone


def _require_no_other(connection: Connection, url: str) -> None:
    deadline = time.monotonic() + _LEAVES_WITHIN_S
    while True:
        connection.execute(_LOOK_AGAIN)
        count = connection.scalar(_OTHERS)
        if not count:
            return
        if time.monotonic() > deadline:
            raise StillInUseError(database=shown(url), connections=count)
        time.sleep(0.1)
