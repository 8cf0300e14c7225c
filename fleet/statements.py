"""What is noticed of statements to the database: those that take long, and those that it answers with an error.

Invariant: of a statement its text alone is told, never what was filled in: that is data of people. Where one came from
is told by what the log's context has (``route``, ``job``) and by the thread, whose name is a queue's on the tablets'
side.
"""

import threading
import time
from typing import Any

import structlog
from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import IntegrityError

from fleet import metrics
from fleet.db import LOCK_NOT_AVAILABLE, is_unavailable

_log = structlog.get_logger("database")
_BEGUN = "fleet_begun"
_MOST_SIGNS = 2_000
_CONFLICTS = "40"  # the class of SQLSTATEs that says: try again (PostgreSQL's appendix A)


def watch(engine: Engine, *, slow_ms: int) -> None:
    """Begin to notice.

    Args:
        engine: whose statements.
        slow_ms: what takes longer is logged and counted; 0: nothing is.
    """

    def begins(connection: Connection, *_rest: Any) -> None:
        connection.info[_BEGUN] = time.perf_counter()

    def ended(connection: Connection, statement: str) -> None:
        took_ms = 1000 * (time.perf_counter() - connection.info.pop(_BEGUN, time.perf_counter()))
        if took_ms > slow_ms:
            metrics.SLOW_STATEMENTS.add(1)
            _log.warning("slow statement", took_ms=round(took_ms), statement=_shown(statement), thread=_thread())

    def ends(connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        ended(connection, statement)

    def fails(context: ExceptionContext) -> None:
        metrics.DATABASE_ERRORS.add(1, _kind(context))
        if slow_ms and context.connection is not None and context.statement is not None:
            ended(context.connection, context.statement)

    if slow_ms:
        event.listen(engine, "before_cursor_execute", begins)
        event.listen(engine, "after_cursor_execute", ends)
    event.listen(engine, "handle_error", fails)


def _kind(context: ExceptionContext) -> str:
    """Return what kind of error it is: integrity (often expected: two did the same), conflict, unavailable, fault."""
    error = context.sqlalchemy_exception
    state = getattr(context.original_exception, "sqlstate", None) or ""
    if isinstance(error, IntegrityError):
        return "integrity"
    if state.startswith(_CONFLICTS) or state == LOCK_NOT_AVAILABLE:
        return "conflict"
    return "unavailable" if context.is_disconnect or is_unavailable(error) else "fault"


def _shown(statement: str) -> str:
    return " ".join(statement.split())[:_MOST_SIGNS]


def _thread() -> str:
    """Return the thread's name without its number among its like."""
    name, _, number = threading.current_thread().name.rpartition("_")
    return name if number.isdecimal() else threading.current_thread().name
