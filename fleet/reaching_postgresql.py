"""How PostgreSQL is reached: addresses of several servers, how soon one that is gone is noticed, who takes writes.

Invariants: of several hosts only the one that takes writes is used, whichever it is just now; a connection to one that
does not any more is closed, not given to the next who asks. Not here: the engine and its pool (:mod:`fleet.db`).

Sources: https://www.postgresql.org/docs/current/libpq-connect.html (several hosts, target_session_attrs, time limits).
"""

import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import URL, Engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

SCHEME = "postgresql+psycopg://"
READ_ONLY = "25006"  # the state "read only SQL transaction": what was the leader follows another one now
# A machine that vanished without a word is noticed within half a minute, whether we wait for it to take what we sent
# (tcp_user_timeout, in milliseconds) or to answer (keepalives, in seconds). What only this machine sees of it counts:
# a database that is suspended on a machine that lives is told apart by none of them (decision 0025).
CONNECTION: Mapping[str, str] = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
_TRUSTED_S = 1.0  # so long after its last use a connection is taken to live
_GIVEN_BACK = "fleet_given_back"
_HOST = r"\[[0-9a-fA-F:.]+\]|[\w.-]+"
_SEVERAL = re.compile(rf"(?P<user>[^@/?]*@)?(?P<hosts>(?:{_HOST})(?::\d+)?(?:,(?:{_HOST})(?::\d+)?)+)/(?P<rest>.*)")


def address(told: str) -> str:
    """Return an address as SQLAlchemy takes it: of several hosts as parameters, and then of the one that takes writes.

    Args:
        told: ``postgresql+psycopg://USER@HOST:PORT,HOST:PORT/DATABASE``, with ``:PORT`` or without, or with one host;
            what is none of these is returned as it is.
    """
    found = _SEVERAL.fullmatch(told.removeprefix(SCHEME))
    if found is not None and told.startswith(SCHEME):
        name, _, parameters = found["rest"].partition("?")
        each = [re.fullmatch(rf"({_HOST})(?::(\d+))?", one) for one in found["hosts"].split(",")]
        hosts = ",".join(one[1].strip("[]") for one in each if one)
        ports = ",".join(one[2] or "5432" for one in each if one)
        more = urlencode({"host": hosts, "port": ports}, safe=",:")
        told = f"{SCHEME}{found['user'] or '@'}/{name}?{more}{'&' if parameters else ''}{parameters}"
    parameters = told.partition("?")[2]
    query = dict(parse_qsl(parameters))
    if told.startswith(SCHEME) and "," in query.get("host", "") and "target_session_attrs" not in query:
        told = f"{told}&target_session_attrs=read-write"
    return told


def connecting(url: URL | str) -> dict[str, str]:
    """Return how connections are made so that a broken one is noticed; what the address itself says holds."""
    query = make_url(url).query
    return {name: value for name, value in CONNECTION.items() if name not in query}


def prepare(engine: Engine) -> None:
    """Have the engine ask connections that have rested whether they live, and close those that take no writes.

    Asking is a journey to the database. Under load, where it would be one for each batch, a connection rests for
    milliseconds; one that breaks in those fails who has it, and then all that are as old are opened anew.
    """

    def failed(context: ExceptionContext) -> None:
        if is_read_only(context.original_exception):
            context.is_disconnect = True

    def given_back(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_GIVEN_BACK] = time.monotonic()

    def taken(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        if time.monotonic() - record.info.get(_GIVEN_BACK, time.monotonic()) <= _TRUSTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error  # all that are as old are opened anew

    event.listen(engine, "handle_error", failed)
    event.listen(engine, "checkin", given_back)
    event.listen(engine, "checkout", taken)


def is_read_only(error: BaseException | None) -> bool:
    """Whether the server said that it takes no writes: it was the leader once, or never."""
    return getattr(error, "sqlstate", None) == READ_ONLY
