"""What all tests share: both databases, an application in a transaction that is rolled back, and fresh databases.

``app`` (and so every test that uses it) runs twice, on SQLite and on PostgreSQL; each test's work is undone by one
outer transaction. ``fresh_url`` is for tests that start servers or threads of their own: a new, migrated database.
"""

import itertools
import secrets
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import alembic.command
import pytest
from flask import Flask
from hypothesis import settings
from sqlalchemy import event

from fleet.access import Principal
from fleet.app import create_app
from fleet.db import db, migrations
from tests import postgres

settings.register_profile("fleet", deadline=None)  # a busy machine is no fault
settings.load_profile("fleet")

NOW = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)  # a Monday of an ordinary school week, 10:15 in Oslo


@pytest.hookimpl(trylast=True)  # after tests of one database are put together
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the journeys among the rest, which compute while they wait: each process takes a stretch of the list."""
    blocks = [(is_journey, list(of)) for is_journey, of in itertools.groupby(items, _is_journey)]
    journeys = [list(of) for is_journey, all_of in blocks if is_journey for _, of in itertools.groupby(all_of, _module)]
    rest = [one for is_journey, of in blocks if not is_journey for one in of]
    ends = [len(rest) * number // max(len(journeys), 1) for number in range(len(journeys) + 1)]
    spread = (journey + rest[begins:end] for journey, begins, end in zip(journeys, ends, ends[1:], strict=False))
    if journeys:
        items[:] = itertools.chain.from_iterable(spread)


def _is_journey(item: pytest.Item) -> bool:
    return item.path.parent.name == "journeys"


def _module(item: pytest.Item) -> Path:
    return item.path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    with postgres.running() as server:
        yield server


def _environ(url: str, data_dir: Path) -> dict[str, str]:
    return {"FLEET_DATABASE_URL": url, "FLEET_DATA_DIR": str(data_dir), "FLEET_PUBLIC_URL": "http://fleet.test"}


def _migrate(url: str, data_dir: Path) -> None:
    app = create_app(environ=_environ(url, data_dir))
    settings = migrations()
    with app.app_context():
        with db.engine.begin() as connection:
            settings.attributes["connection"] = connection
            alembic.command.upgrade(settings, "head")
        db.engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated, empty SQLite file to copy."""
    folder = tmp_path_factory.mktemp("sqlite-template")
    _migrate(f"sqlite:///{folder / 'fleet.sqlite3'}", folder)
    return folder / "fleet.sqlite3"


@pytest.fixture(scope="session")
def postgres_template(postgres_server: postgres.Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the name of a migrated, empty PostgreSQL database to copy."""
    name = postgres_server.create(name=f"template_{secrets.token_hex(4)}")
    _migrate(postgres_server.url(name), tmp_path_factory.mktemp("postgres-template"))
    return name


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Run whatever asks for it on both databases."""
    return str(request.param)


MakeUrl = Callable[[Path], str]


@pytest.fixture(scope="session")
def make_database(database_kind: str, request: pytest.FixtureRequest) -> MakeUrl:
    """Return a function that makes a new migrated database and returns its URL; it takes a folder to use."""

    def make(folder: Path) -> str:
        if database_kind == "sqlite":
            target = folder / f"{secrets.token_hex(4)}.sqlite3"
            shutil.copyfile(request.getfixturevalue("sqlite_template"), target)
            return f"sqlite:///{target}"
        server: postgres.Server = request.getfixturevalue("postgres_server")
        return server.url(server.create(template=request.getfixturevalue("postgres_template")))

    return make


@pytest.fixture
def fresh_url(make_database: MakeUrl, tmp_path: Path) -> str:
    """Return the URL of a new migrated database, for tests with servers, threads or processes of their own."""
    return make_database(tmp_path)


@pytest.fixture
def own_app(fresh_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Return an application on a database of its own, so that threads really meet there (see ``tests.races``)."""
    made = create_app(environ=_environ(fresh_url, tmp_path))
    yield made
    with made.app_context():
        db.engine.dispose()


@pytest.fixture
def waiting_app(own_app: Flask, database_kind: str) -> Flask:
    """Return an application in whose database one transaction waits for another's rows."""
    if database_kind == "sqlite":
        pytest.skip("who writes on SQLite is alone")
    return own_app


@pytest.fixture(scope="session")
def shared_app(make_database: MakeUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Return one application per database kind; tests use ``app``, which undoes their work."""
    folder = tmp_path_factory.mktemp("shared")
    app = create_app(environ=_environ(make_database(folder), folder))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(shared_app: Flask) -> Iterator[Flask]:
    """Return the application inside a context and an outer transaction that is rolled back after the test."""
    shared_app.extensions["fleet_forms"].clear()  # accounts of other tests had the same numbers
    with shared_app.app_context():
        engine = db.engine
        connection = engine.connect()
        outer = connection.begin()
        engines = cast("dict[str | None, Any]", db.engines)  # a connection in the engine's place: the outer transaction
        engines[None] = connection
        db.session.configure(join_transaction_mode="create_savepoint")
        try:
            yield shared_app
        finally:
            db.session.remove()
            db.session.configure(join_transaction_mode="conditional_savepoint")
            engines[None] = engine
            outer.rollback()
            connection.close()


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """Return the SQL statements run so far in the test; clear it to start counting."""
    seen: list[str] = []

    def remember(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT", "BEGIN")):
            seen.append(statement)

    engine = db.engine.engine  # the engine also where the test put a connection in its place
    event.listen(engine, "before_cursor_execute", remember)
    yield seen
    event.remove(engine, "before_cursor_execute", remember)


@pytest.fixture
def cli_principal() -> Principal:
    """Return the one with a shell on the server."""
    return Principal.command_line()
