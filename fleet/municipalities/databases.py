"""Databases of municipalities: made, emptied, removed, and whether somebody works on one."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, inspect, make_url, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from fleet.config import Config
from fleet.copying import opened, shown
from fleet.crypto import vault_key_file
from fleet.errors import FleetError

# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
_OBJECT_IN_USE = "55006"
_KEEPERS = "postgres"  # the database in which its keeper makes others
_LEAVES_WITHIN_S = 20.0  # a server that has ended, and whose connections PostgreSQL has not noticed yet
_CONNECTS_WITHIN_S = 5  # a machine that is off answers nothing at all


_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
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
def alone(config: Config) -> Iterator[None]:
    """Make sure that nobody writes to a municipality's database while the body runs.

    A server keeps its file locked where the database is embedded; PostgreSQL tells who is connected.

    Raises:
        StillInUseError: somebody may.
    """
    if not config.is_sqlite:
        _require_no_other(config.direct_database_url or config.database_url)
        yield
        return
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(config.server_lock, os.O_RDWR | os.O_CREAT, 0o600), "rb+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StillInUseError(database=shown(config.database_url), connections=None) from None
        yield


def _require_no_other(url: str) -> None:
    with opened(soon(url)) as engine:
        deadline = time.monotonic() + _LEAVES_WITHIN_S
        while True:
            with engine.connect() as connection:
                count = connection.scalar(_OTHERS)
            if not count:
                return
            if time.monotonic() > deadline:
                raise StillInUseError(database=shown(url), connections=count)
            time.sleep(0.1)
