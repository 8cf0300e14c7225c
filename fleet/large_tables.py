"""What an upgrade leaves for after its commit on PostgreSQL: indexes of large tables, and rows to be filled in.

A migration is one transaction, and what it locks is locked until its end. On tables of which a tablet has rows an index
takes too long for that, and so does an UPDATE of all rows. So the models' indexes of those tables are made without
keeping anybody out (CONCURRENTLY), and rows are filled in by small transactions, after the schema is there.

Invariants: all of it may be broken off and done again, and what is there already is left alone; one does it at a time,
and nothing else of the program waits for it; code of this release works before it is done, only slower, and so must
read what is not filled in yet.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Index, MetaData, bindparam, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

# Their rows grow with the tablets, and check-ins, polls or jobs that run every minute read or write them.
LARGE = frozenset(
    {
        *("device", "device_state", "device_presence", "device_order", "enrolment", "check_in", "finding"),
        *("mdm_client", "mdm_command", "android_client", "leased_tablet", "lesson_tablet", "audit_entry"),
    }
)
FILLED_AT_ONCE = 5_000
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_KNOWN = text("""
    SELECT c.relname, i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE pg_table_is_visible(i.indrelid)
""")
_PARTS = text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:name AS regclass) ORDER BY 1")
# Its connection may be gone while the database is still at it.
_MAKING = text("SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()")
_TURN = text("SELECT pg_try_advisory_xact_lock(hashtextextended('fleet.large_tables', 0))")
_LIMITS = ("statement_timeout", "lock_timeout")  # an index waits for whoever has an older view, a backup for instance


def lacking(connection: Connection, metadata: MetaData) -> list[str]:
    """Return the names of the models' indexes of large tables that a database lacks, or that were broken off."""
    if connection.dialect.name != "postgresql":
        return []  # a migration makes them: who writes there is alone anyway
    return sorted(_missing(metadata, _known(connection)))


def make_indexes(engine: Engine, metadata: MetaData, *, has_session: bool = True) -> list[str]:
    """Make the models' indexes of large tables that a PostgreSQL database lacks; returns their names.

    Args:
        engine: of the database.
        metadata: the models' tables.
        has_session: whether what is set for a session holds for its statements, which a pooler in front prevents.
    """
    if engine.dialect.name != "postgresql":
        return []
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        known = _known(connection)
        missing = _missing(metadata, known)
        if missing and has_session:
            connection.detach()  # it ends with this, and its limits with it
            for limit in _LIMITS:
                connection.exec_driver_sql(f"SET {limit} = 0")
        for name, index in sorted(missing.items()):
            if index.table is not None and index.table.dialect_options["postgresql"].get("partition_by"):
                _make_in_parts(connection, index, known)
            else:
                _make(connection, name, _statement(index), known)
    return sorted(missing)


def finish(engine: Engine, metadata: MetaData, scripts: ScriptDirectory, *, has_session: bool = True) -> bool:
    """Do what upgrades have left, of this time and of one that was broken off; False where another is at it.

    Args:
        engine: of the database.
        metadata: the models' tables.
        scripts: the migrations; one may name statements for :func:`fill` as ``fills``.
        has_session: see :func:`make_indexes`.
    """
    with _alone(engine) as is_alone:
        if is_alone:
            make_indexes(engine, metadata, has_session=has_session)
            for script in scripts.walk_revisions():
                for statement in getattr(script.module, "fills", ()):
                    fill(engine, statement)
        return is_alone


@contextmanager
def _alone(engine: Engine) -> Iterator[bool]:
    """Whether nobody else is at it, nor will be in the body.

    By a transaction, not a session, so that it also holds behind a pooler. It has no view of the database between its
    statements, so that no index waits for it.
    """
    if engine.dialect.name != "postgresql":
        yield True
        return
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield bool(connection.scalar(_TURN)) and not connection.scalar(_MAKING)


def fill(engine: Engine, statement: str, *, at_most: int = FILLED_AT_ONCE) -> int:
    """Change rows, so many in a transaction, until fewer are left to be changed; returns how many there were.

    Others may go on to write rows that are to be changed: there need not be an end to those.

    Args:
        engine: of the database.
        statement: an UPDATE that leaves out what it has changed, of ``:at_most`` rows at most.
        at_most: rows that are changed, and kept from others, at once.
    """
    query, filled = text(statement).bindparams(bindparam("at_most", at_most)), 0
    while True:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":  # a limit for locks stays: rows are kept from others meanwhile
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            changed = connection.execute(query).rowcount
        filled += changed
        if changed < at_most:
            return filled


def _known(connection: Connection) -> dict[str, bool]:
    """Return the indexes there are, and whether each is of use."""
    return {str(name): bool(is_valid) for name, is_valid in connection.execute(_KNOWN)}


def _missing(metadata: MetaData, known: Mapping[str, bool]) -> dict[str, Index]:
    indexes = [one for table in metadata.sorted_tables if table.name in LARGE for one in table.indexes]
    return {_name(one): one for one in indexes if not known.get(_name(one))}


def _name(index: Index) -> str:
    return str(_DIALECT.identifier_preparer.format_index(index)).strip('"')


def _statement(index: Index) -> str:
    return str(CreateIndex(index, if_not_exists=True).compile(dialect=_DIALECT))


def _make(connection: Connection, name: str, statement: str, known: Mapping[str, bool]) -> None:
    if name in known:  # one that was broken off is worth nothing, and costs each write
        connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    connection.exec_driver_sql(statement.replace(" INDEX IF", " INDEX CONCURRENTLY IF", 1))


def _make_in_parts(connection: Connection, index: Index, known: dict[str, bool]) -> None:
    """Make an index of a partitioned table: empty at first, then each part's, which is valid when all are attached."""
    name, table = _name(index), str(index.table)
    statement = _statement(index)
    connection.exec_driver_sql(statement.replace(f" ON {table} ", f" ON ONLY {table} ", 1))
    broken_off = {own: is_valid for own, is_valid in known.items() if not is_valid}
    for part in connection.scalars(_PARTS, {"name": table}).all():
        own = f"{part}_{name.removeprefix(f'ix_{table}_')}_idx"  # as PostgreSQL itself calls those of a new part
        of_part = statement.replace(f" {name} ON {table} ", f" {own} ON {part} ", 1)
        _make(connection, own, of_part, broken_off)
        connection.exec_driver_sql(f"ALTER INDEX {name} ATTACH PARTITION {own}")
