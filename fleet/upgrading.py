"""Bringing the database to this program's shape: first the shape, in one transaction, then what may take long.

Invariants: after :func:`upgrade` the program is fit for work, and :func:`finish` may come at any time, fail and be done
again, beside everybody; of servers that start together, one does either. Whoever begins to serve waits for the first
only: the second waits for whoever has an older view of the database, a backup for instance.
"""

import time

import alembic.command
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from fleet import large_tables
from fleet.db import (
    LOCK_NOT_AVAILABLE,
    Base,
    db,
    is_behind_pooler,
    knows_revision,
    migrations,
    newest_revision,
    reading,
    schema_revision,
    turn,
)
from fleet.errors import DatabaseNewerError, UpgradeHeldUpError

# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
_DEADLOCK, _QUERY_CANCELED = "40P01", "57014"
# Behind an upgrade that waits for a table all others wait; it gives up before deadlock_timeout (1 s) ends one of them.
LOCK_S, STATEMENT_S = 0.5, 900
TRIES, _AGAIN_S = 30, 1.0


def upgrade() -> None:
    """Bring the database to this program's shape or change nothing, beside others that are at work on it.

    Raises:
        DatabaseNewerError: a newer program has brought it to its own already.
        UpgradeHeldUpError: it would have held up everybody else, again and again.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            _try()
        except UpgradeHeldUpError as error:
            if not tries_left or not error.data["is_lock"]:
                raise
            time.sleep(_AGAIN_S)  # those who waited behind us have their turn
            continue
        return


def _try() -> None:
    settings = migrations()
    try:
        with db.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{STATEMENT_S}s'")
                connection.execute(turn("migrations"))  # as long as another server's upgrade may take
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(1000 * LOCK_S)}")
            if not knows_revision(MigrationContext.configure(connection).get_current_revision()):
                raise DatabaseNewerError
            settings.attributes["connection"] = connection
            alembic.command.upgrade(settings, "head")
    except OperationalError as error:
        sqlstate = getattr(error.orig, "sqlstate", None)
        if sqlstate not in {LOCK_NOT_AVAILABLE, _DEADLOCK, _QUERY_CANCELED}:
            raise
        is_lock, seconds = (True, LOCK_S) if sqlstate != _QUERY_CANCELED else (False, STATEMENT_S)
        raise UpgradeHeldUpError(is_lock=is_lock, seconds=seconds) from error


def finish() -> bool:
    """Do what upgrades have left, of this time and of one that was broken off; False where another is at it.

    Nothing is done to a database of another program's shape, which knows other indexes.

    Raises:
        SQLAlchemyError: the database is away, or stopped it; it may be done again.
    """
    with reading():
        found = schema_revision()
    if found != newest_revision():
        return True
    scripts = ScriptDirectory.from_config(migrations())
    return large_tables.finish(db.engine, Base.metadata, scripts, has_session=not is_behind_pooler())
