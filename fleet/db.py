"""The database: declarative base, column types, engine set-up and the one way to open a transaction.

Invariants: instants are stored in UTC and come back aware; only :func:`transaction` commits, and what reads without one
can change nothing; on SQLite every connection has foreign keys on, WAL journal and a busy timeout, and a writing
transaction takes its lock at the start (BEGIN IMMEDIATE), so that it waits at the door instead of failing half-way.
"""

import enum
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import alembic.config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    DateTime,
    Delete,
    Dialect,
    Engine,
    Enum,
    Integer,
    MetaData,
    Select,
    String,
    TextClause,
    Update,
    any_,
    bindparam,
    cast,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError as OperationalError  # doors may not import the library
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute
from sqlalchemy.types import TypeDecorator, TypeEngine

from fleet import reaching_postgresql

# Named so that migrations can drop and alter them on both databases.
# Source: https://alembic.sqlalchemy.org/en/latest/naming.html
_NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# JSON that PostgreSQL can index and compare; SQLite keeps text.
Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

BUSY_TIMEOUT_MS = 10_000
# What SQLite calls it when others keep the database for too long, or its file cannot be had.
_SQLITE_UNAVAILABLE = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL"})

# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
LOCK_NOT_AVAILABLE = "55P03"


class UTCDateTime(TypeDecorator[datetime]):
    """An instant. Refuses naive datetimes on the way in, gives aware UTC on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the dialect's own type: SQLite has no zone, so it stores UTC without one."""
        return dialect.type_descriptor(DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware instant into what the database stores."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime: instants are aware UTC")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (the base class asks for it)
        """Turn what the database stores into an aware UTC instant."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of every stored class."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UTCDateTime(),
        dict[str, Any]: Document,
        list[Any]: Document,
    }


def is_unavailable(error: BaseException | None) -> bool:
    """Whether the database is away, or others keep it, or its connections, for longer than one waits.

    SQLite says "operational error" to what is wrong with a statement too: that is a fault like any other.
    """
    if isinstance(error, OperationalError):
        name = getattr(error.orig, "sqlite_errorname", None)
        return name is None or name.startswith(tuple(_SQLITE_UNAVAILABLE))
    return isinstance(error, PoolTimeoutError) or reaching_postgresql.is_read_only(getattr(error, "orig", None))


def text_enum(kind: type[enum.StrEnum]) -> Enum:
    """Return a column type that stores ``kind`` by its values, as text of at most 16 characters."""
    return Enum(kind, native_enum=False, length=16, values_callable=lambda members: [m.value for m in members])


db = SQLAlchemy(metadata=Base.metadata)
_BARE = "fleet_bare"  # in a session's notes: it reads without a transaction

# Areas below tell what changed, areas above follow before the commit, set-based and once per transaction. So a
# roster import can lead to new effective profiles although ``schools`` knows nothing of ``assignments``.
Follower = Callable[[frozenset[int], datetime], None]


def engine_options(database_url: str, *, connections: int, behind_pooler: bool) -> dict[str, Any]:
    """Return SQLAlchemy engine options for ``database_url``; parameters stay out of errors, hence out of logs.

    Args:
        database_url: of the database.
        connections: how many to PostgreSQL at most, in this process.
        behind_pooler: whether two transactions on a connection may meet two sessions of PostgreSQL, of which one does
            not know what the other has prepared. All else of a session we keep for a transaction only.
            Source: https://www.psycopg.org/psycopg3/docs/advanced/prepare.html
    """
    if database_url.startswith("sqlite"):
        # isolation_level None: we say BEGIN ourselves, see prepare_sqlite.
        told = {"isolation_level": None, "timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}
        return {"hide_parameters": True, "connect_args": told}
    # All that are opened are kept: teachers who all start at the bell hold theirs while they wait for their turn, and
    # one that is opened for a moment costs more than what it is opened for. The last one given back is the next: its
    # process has at hand what it prepared.
    pool = {"pool_size": connections, "max_overflow": 0, "pool_timeout": 10, "pool_use_lifo": True}
    arguments: dict[str, Any] = {"prepare_threshold": None} if behind_pooler else {}
    return {"hide_parameters": True, **pool, "connect_args": arguments | reaching_postgresql.connecting(database_url)}


def is_behind_pooler() -> bool:
    """Whether the running application reaches PostgreSQL so that nothing may be set for a session."""
    told: dict[str, Any] = current_app.config.get("SQLALCHEMY_ENGINE_OPTIONS", {})
    return "prepare_threshold" in told.get("connect_args", {})


def prepare_sqlite(engine: Engine) -> None:
    """Give each SQLite connection of ``engine`` its pragmas and explicit BEGIN."""

    def connected(dbapi_connection: Any, _record: Any) -> None:
        cursor = dbapi_connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # an acknowledged report survives a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.close()

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("fleet_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begin)


def _followers() -> dict[str, list[Follower]]:
    """Return who follows in the running application: each has its own, with its own time zone."""
    known: dict[str, list[Follower]] = current_app.extensions.setdefault("fleet_followers", {})
    return known


def follow(subject: str, follower: Follower) -> None:
    """Have ``follower`` called before the commit of each of the application's transactions that changed ``subject``.

    Args:
        subject: see :func:`changed`.
        follower: called with the ids that changed and the instant of the change.
    """
    known = _followers().setdefault(subject, [])
    if follower not in known:
        known.append(follower)


def changed(subject: str, ids: Iterable[int], *, now: datetime) -> None:
    """Note what has changed in the transaction, for who follows it.

    Args:
        subject: ``device`` (school, class, pupil or enrolment of tablets), ``person`` (memberships), ``class`` or
            ``school`` (ended, or come back), ``app`` or ``image`` (that profiles name); of tablets also ``report``
            (one that says something new), ``fetched`` (a new configuration was handed out) and ``presence`` (asked for
            the first time in a while, or from elsewhere); ``finding`` (opened, closed, of another severity, or somebody
            has done something); ``incident`` (of silent tablets: begun, wider, over) and ``question`` (about a silent
            tablet: asked, passed on, answered, taken back).
        ids: which ones.
        now: the instant of the change.
    """
    _require_transaction()
    pending: dict[str, tuple[set[int], datetime]] = db.session.info.setdefault("changed", {})
    known = pending.get(subject, (set(), now))[0]
    pending[subject] = (known | set(ids), now)


def _require_transaction() -> None:
    if db.session.info.get(_BARE):
        raise RuntimeError("what reads without a transaction can change nothing")


def run_followers() -> None:
    """Let those who follow do their part now; :func:`transaction` calls this before it commits."""
    while pending := db.session.info.pop("changed", None):
        db.session.flush()
        for subject, (ids, now) in pending.items():
            for follower in _followers().get(subject, []):
                follower(frozenset(ids), now)


def take_turn(name: str, *, shared: bool = False) -> None:
    """Wait until no other transaction has this turn, and keep it until the running one ends.

    Whoever changes what tablets shall have takes the turn ``assignments`` before changing tablets' rows, so that two
    such changes neither miss each other nor deadlock. SQLite's writing transaction is alone anyway.

    Args:
        name: of the turn; one that is held, shared or not, is not asked for again.
        shared: have it together with others who share it, and nobody else: for who then takes the rows it is about,
            and reads after that, so that those who share meet there where they meet at all.
    """
    if db.session.get_bind().dialect.name != "postgresql":
        return
    _require_transaction()
    running = db.session().get_transaction()
    noted, taken = db.session.info.get("turns", (None, frozenset()))
    if noted is not running or name not in taken:
        db.session.execute(turn(name, shared=shared))
        running = db.session().get_transaction()  # which the statement may have begun
        db.session.info["turns"] = (running, (taken if noted is running else frozenset()) | {name})


def turn(name: str, *, shared: bool = False) -> TextClause:
    """Return PostgreSQL's statement that waits for a turn and keeps it until the transaction ends."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    return text(f"SELECT {function}(:key)").bindparams(key=key)


def id_set(ids: Iterable[int]) -> Select[Any]:
    """Return a query that gives ``ids``: one parameter however many they are, for ``column.in_(…)``."""
    told = bindparam(None, json.dumps(sorted(ids)), type_=String)
    if db.session.get_bind().dialect.name == "postgresql":
        return select(cast(func.jsonb_array_elements_text(cast(told, JSONB)), Integer))
    return select(func.json_each(told).table_valued("value").c.value)


def among(
    column: ColumnElement[int] | InstrumentedAttribute[int] | InstrumentedAttribute[int | None], ids: Iterable[int]
) -> ColumnElement[bool]:
    """Whether ``column`` is one of ``ids``: one parameter however many they are, for queries with other conditions too.

    Where those let the planner expect few rows and there are many, PostgreSQL compares each with each of an
    :func:`id_set` (7,000 tablets took 6 s), but looks them up in a hashed array (0.03 s).
    """
    if db.session.get_bind().dialect.name == "postgresql":
        return column == any_(bindparam(None, sorted(ids), type_=ARRAY(Integer)))
    return column.in_(id_set(ids))


def among_texts(
    column: ColumnElement[str] | InstrumentedAttribute[str] | InstrumentedAttribute[str | None], texts: Iterable[str]
) -> ColumnElement[bool]:
    """Whether ``column`` is one of ``texts``: one parameter however many they are."""
    told = sorted(texts)
    if db.session.get_bind().dialect.name == "postgresql":
        return column == any_(bindparam(None, told, type_=ARRAY(String)))
    return column.in_(
        select(func.json_each(bindparam(None, json.dumps(told), type_=String)).table_valued("value").c.value)
    )


def carry_out(query: Update | Delete) -> int:
    """Change or remove many rows by one statement; returns how many. What is loaded of them stays as it was read."""
    result: Any = db.session.execute(query.execution_options(synchronize_session=False))
    return int(result.rowcount)


def insert_new(model: type[Base], row: Mapping[str, Any]) -> bool:
    """Insert a row unless one of its key is there, also one that is being inserted at this moment; returns whether."""
    insert: Any = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[db.session.get_bind().dialect.name]
    result = db.session.execute(insert(model).values(dict(row)).on_conflict_do_nothing())
    return int(result.rowcount) > 0  # type: ignore[attr-defined]


def insert_all_new(model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows but those of whose key one is there; one statement, sent for many rows at once."""
    if rows:
        insert: Any = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[db.session.get_bind().dialect.name]
        statement = insert(model.__table__).on_conflict_do_nothing()
        db.session.connection().execute(statement, [dict(row) for row in rows])


def read_again(*models: type[Base]) -> None:
    """Have what is loaded of these models read again where it is needed: a statement has changed their rows."""
    for one in list(db.session.identity_map.values()):
        if isinstance(one, models):
            db.session.expire(one)


def after_commit(function: Callable[[], None]) -> None:
    """Have ``function`` called once the running transaction is committed; not at all where it is rolled back."""
    db.session.info.setdefault("after_commit", []).append(function)


@contextmanager
def transaction() -> Iterator[None]:
    """Open the unit of work: everything inside is committed together, or nothing is.

    Only doors and job runners call this; the domain adds and flushes. Needs an application context.

    Raises:
        Exception: whatever the body raises, after the rollback.
    """
    db.session.rollback()  # a read before us may hold a snapshot older than the lock we are about to take
    for pending in ("changed", "after_commit"):
        db.session.info.pop(pending, None)
    try:
        db.session.connection(execution_options={"fleet_writes": True})
        yield
        run_followers()
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
    for function in db.session.info.pop("after_commit", ()):
        function()


@contextmanager
def reading(*, is_bare: bool = False) -> Iterator[None]:
    """Open a unit of work that only reads; ``is_bare``: without a transaction, two journeys less to PostgreSQL."""
    try:
        if is_bare and db.session.get_bind().dialect.name == "postgresql":
            db.session.rollback()
            db.session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            db.session.info[_BARE] = True
        yield
    finally:
        db.session.info.pop(_BARE, None)
        db.session.rollback()


@contextmanager
def at_work(app: Flask) -> Iterator[None]:
    """Work in the context of an application that is one of several; its connections are closed afterwards."""
    with app.app_context():
        try:
            yield
        finally:
            db.session.remove()
            db.engine.dispose()


def schema_revision() -> str | None:
    """Return the revision the database stands at, None where it has no tables yet."""
    return MigrationContext.configure(db.session.connection()).get_current_revision()


def migrations() -> alembic.config.Config:
    """Return Alembic's configuration, independent of the folder one stands in."""
    settings = alembic.config.Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return settings


@cache
def newest_revision() -> str | None:
    """Return the revision of the database that this program needs."""
    return ScriptDirectory.from_config(migrations()).get_current_head()


def knows_revision(revision: str | None) -> bool:
    """Whether this program can have made a database of this revision; of one that it cannot know a newer one has."""
    return revision in {None, *(one.revision for one in ScriptDirectory.from_config(migrations()).walk_revisions())}
