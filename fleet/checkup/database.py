"""The database: whether it answers, has this program's shape, and is set as the program relies on.

What is asked of the database and what is made of the answers are apart: the latter is pure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from fleet import large_tables
from fleet.checkup.checks import Check, Grade, fault, ok, warning
from fleet.db import Base, db, is_unavailable, knows_revision, newest_revision, reading, schema_revision

Now = Callable[[], datetime]

_OLDEST = 14  # of PostgreSQL; what is older gets no corrections any more
_APART_WARNING, _APART_FAULT = timedelta(seconds=2), timedelta(seconds=30)  # jobs' leases are for a minute
_SHORTEST_MS = {  # what is cut off sooner fails in ordinary work
    "statement_timeout": 60_000,
    "lock_timeout": 10_000,
    "idle_in_transaction_session_timeout": 60_000,
}
_FACTS = text(
    "SELECT name, setting FROM pg_settings WHERE name IN ('server_version_num', 'server_encoding', 'max_connections', "
    "'superuser_reserved_connections', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', "
    "'default_transaction_isolation', 'transaction_read_only', 'synchronous_commit', 'fsync', 'full_page_writes')"
)
_ARCHIVE = text("SELECT current_setting('archive_mode'), last_archived_time, last_failed_time FROM pg_stat_archiver")


def examine(*, connections: int, now: Now) -> list[Check]:
    """Return how the database of the running application stands.

    Args:
        connections: how many a server's processes may open together.
        now: the clock.
    """
    try:
        with reading():
            shape = schema()
            if db.session.get_bind().dialect.name == "postgresql":
                found = [ok("database", "PostgreSQL answers"), shape, *_postgresql(connections, now)]
                if shape.grade is Grade.OK:  # of another shape other indexes are right
                    found.append(indexes(large_tables.lacking(db.session.connection(), Base.metadata)))
                return found
            return [ok("database", "SQLite answers"), shape, *_sqlite()]
    except SQLAlchemyError as error:
        return [_no_answer(error)]


def _no_answer(error: SQLAlchemyError) -> Check:
    told = str(error.orig).strip().partition("\n")[0] if isinstance(error, DatabaseError) else type(error).__name__
    if is_unavailable(error):
        return fault("database", told, "start the database, and see that FLEET_DATABASE_URL leads to it")
    return fault("database", told, "stop the server and restore the last backup")


def schema() -> Check:
    """Return whether the database has the shape this program needs."""
    found, wanted = schema_revision(), newest_revision()
    if found == wanted:
        return ok("schema", f"revision {found}")
    if found is not None and not knows_revision(found):
        return warning("schema", f"revision {found} is of a newer program", "run the newer program here too")
    advice = "start the server, which upgrades it, or: scripts/fleet database upgrade"
    return fault("schema", f"revision {found or 'none'}, needed is {wanted}", advice)


def _sqlite() -> Iterator[Check]:
    yield journal(str(db.session.scalar(text("PRAGMA journal_mode"))))
    yield integrity(str(db.session.scalar(text("PRAGMA quick_check(1)"))))


def journal(mode: str) -> Check:
    """Return whether SQLite writes so that readers do not wait; it cannot on disks of other machines."""
    if mode.lower() == "wal":
        return ok("sqlite-journal", "write-ahead log")
    return fault("sqlite-journal", f"journal is {mode}, not wal", "keep the database on a disk of this machine")


def integrity(answer: str) -> Check:
    """Return whether SQLite finds its file whole."""
    if answer == "ok":
        return ok("sqlite-integrity", "the file is whole")
    return fault("sqlite-integrity", answer.partition("\n")[0], "stop the server and restore the last backup")


def _postgresql(connections: int, now: Now) -> Iterator[Check]:
    facts = {str(name): str(setting) for name, setting in db.session.execute(_FACTS)}
    yield from settings(facts, connections=connections)
    mode, done, failed = db.session.execute(_ARCHIVE).one()
    if mode != "off":
        yield archive(done, failed)
    before = now()
    there: datetime = db.session.scalars(text("SELECT clock_timestamp()")).one()
    yield clocks(there, before=before, after=now())


def settings(facts: Mapping[str, str], *, connections: int) -> Iterator[Check]:
    """Return how PostgreSQL's settings suit the program.

    Args:
        facts: the settings as ``pg_settings`` has them: times in milliseconds.
        connections: how many a server's processes may open together.
    """
    version = int(facts["server_version_num"]) // 10_000
    if version < _OLDEST:
        yield warning("postgresql-version", f"PostgreSQL {version}", f"upgrade to {_OLDEST} or newer")
    else:
        yield ok("postgresql-version", f"PostgreSQL {version}")
    yield _encoding(facts["server_encoding"])
    yield _connections(facts, connections)
    yield _behaviour(facts)
    yield _durable(facts)
    yield _timeouts(facts)


def _encoding(told: str) -> Check:
    if told == "UTF8":
        return ok("postgresql-encoding", "UTF8")
    advice = "make a database with ENCODING 'UTF8' and restore into it"
    return fault("postgresql-encoding", f"{told}, which has not all letters of names", advice)


def _connections(facts: Mapping[str, str], most: int) -> Check:
    free = int(facts["max_connections"]) - int(facts["superuser_reserved_connections"])
    told = f"{free} for all, this server may need {most}"
    if free < most:
        advice = "raise its max_connections, or lower FLEET_DATABASE_CONNECTIONS; other servers need theirs, too"
        return warning("postgresql-connections", told, advice)
    return ok("postgresql-connections", told)


def _behaviour(facts: Mapping[str, str]) -> Check:
    name = "postgresql-transactions"
    if facts["transaction_read_only"] == "on":
        return fault(name, "takes no writes", "connect to the server that does, not to its copy")
    if facts["default_transaction_isolation"] != "read committed":
        advice = "leave default_transaction_isolation at read committed for this user and database"
        return fault(name, f"default_transaction_isolation is {facts['default_transaction_isolation']}", advice)
    return ok(name, "read committed")


def _durable(facts: Mapping[str, str]) -> Check:
    off = [one for one in ("fsync", "full_page_writes", "synchronous_commit") if facts[one] == "off"]
    if off:
        advice = "turn them on: after a power cut the server would have forgotten what it confirmed"
        return warning("postgresql-durability", f"off: {', '.join(off)}", advice)
    return ok("postgresql-durability", "what is committed stays")


def _timeouts(facts: Mapping[str, str]) -> Check:
    short = [f"{one} {facts[one]} ms" for one, least in _SHORTEST_MS.items() if 0 < int(facts[one]) < least]
    if short:
        least = ", ".join(f"{one} {ms} ms" for one, ms in _SHORTEST_MS.items())
        return warning("postgresql-timeouts", ", ".join(short), f"0 (none), or at least: {least}")
    return ok("postgresql-timeouts", "long enough, or none")


def indexes(lacking: Sequence[str]) -> Check:
    """Return whether PostgreSQL has the indexes of large tables, which are made after an upgrade, beside the servers.

    Args:
        lacking: the names of those that are missing or were broken off.
    """
    if not lacking:
        return ok("postgresql-indexes", "large tables have theirs")
    advice = (
        "wait: a server makes them once older transactions and backups have ended; or: scripts/fleet database upgrade"
    )
    return warning("postgresql-indexes", f"not made yet: {', '.join(lacking)}", advice)


def archive(done: datetime | None, failed: datetime | None) -> Check:
    """Return whether PostgreSQL's archive of all that is written keeps up.

    Args:
        done: when it last took something.
        failed: when it last could not.
    """
    told = f"last taken {done:%Y-%m-%d %H:%M} UTC" if done is not None else "nothing taken yet"
    if failed is not None and (done is None or failed > done):
        advice = "see archive_command and PostgreSQL's log: its disk fills up until the archive works again"
        return warning("postgresql-archive", f"{told}, failed {failed:%Y-%m-%d %H:%M} UTC", advice)
    return ok("postgresql-archive", told)


def clocks(there: datetime, *, before: datetime, after: datetime) -> Check:
    """Return whether the database's clock agrees with ours.

    Args:
        there: what it showed.
        before: what ours showed before it was asked.
        after: and after its answer.
    """
    apart = max(before - there, there - after, timedelta())
    told = f"{apart.total_seconds():.1f} s from the database's"
    advice = "have both machines' clocks follow a time server (NTP)"
    if apart > _APART_FAULT:
        return fault("database-clock", told, advice)
    return warning("database-clock", told, advice) if apart > _APART_WARNING else ok("database-clock", told)
