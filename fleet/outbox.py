"""What is to be told after the commit: which tablets have something new to fetch, and are to be rung at once.

Invariants: nobody is rung for a change that was rolled back; a ring carries no content, so that one that is lost costs
time and nothing else: whoever waits also looks by itself now and then. On PostgreSQL a ring crosses processes and
servers (NOTIFY, which is sent at the commit), so it comes from what people do, never from check-ins: transactions that
notify commit one after the other.

Source: https://www.postgresql.org/docs/current/sql-notify.html (payloads under 8,000 bytes).
"""

import json
import threading
from collections.abc import Callable, Iterable

import msgspec
import psycopg
import structlog
from sqlalchemy import URL, text

from fleet import reaching_postgresql
from fleet.db import after_commit, db

Ring = Callable[[frozenset[int]], None]

CHANNEL = "fleet_wake"
_IDS_AT_ONCE = 600  # of up to 11 digits and a comma each: under 8,000 bytes
_NOTIFY = text(
    "SELECT count(pg_notify(:channel, payload)) FROM json_array_elements_text(CAST(:payloads AS json)) AS payload"
)
_RETRY_S = 2.0
_LOOK_S = 0.2  # how often the listening thread looks whether it shall end
_log = structlog.get_logger("outbox")
_rings: list[Ring] = []


def wake(device_ids: Iterable[int]) -> None:
    """Have these tablets rung once the running transaction is committed: in this process, and on PostgreSQL in all."""
    told = frozenset(device_ids)
    if not told:
        return
    if db.session.get_bind().dialect.name == "postgresql":
        ordered = sorted(told)
        payloads = [ordered[start : start + _IDS_AT_ONCE] for start in range(0, len(ordered), _IDS_AT_ONCE)]
        told_at_once = json.dumps(payloads, separators=(",", ":"))
        db.session.execute(_NOTIFY, {"channel": CHANNEL, "payloads": told_at_once})
    after_commit(lambda: ring(told))


def ring(device_ids: frozenset[int]) -> None:
    """Tell those of this process who ring tablets."""
    for one in tuple(_rings):
        one(device_ids)


def add_ring(one: Ring) -> Callable[[], None]:
    """Have ``one`` called with the tablets to be rung, from any thread; returns what takes that back."""
    _rings.append(one)
    return lambda: _rings.remove(one)


class Listener:
    """Hears what other processes and servers ring, on a connection of its own; PostgreSQL only.

    Args:
        url: the database.
    """

    def __init__(self, url: URL) -> None:
        limits = reaching_postgresql.connecting(url)
        told = url.set(drivername="postgresql", query={**limits, **url.query})
        self._conninfo = told.render_as_string(hide_password=False)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End, at once; only where the database does not answer is the thread left behind, to end by itself."""
        self._ending.set()
        self._thread.join(5 * _LOOK_S)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._hear(connection)
            except psycopg.Error as error:  # who waits looks by itself meanwhile
                _log.warning("not listening", kind=type(error).__name__)
                self._ending.wait(_RETRY_S)

    def _hear(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        while not self._ending.is_set():
            for notice in connection.notifies(timeout=_LOOK_S):
                ring(_read(notice.payload))


def _read(payload: str) -> frozenset[int]:
    """Return the tablets that a notice names; none where it is not one of ours: others may use the channel too."""
    try:
        return msgspec.json.decode(payload, type=frozenset[int])
    except msgspec.MsgspecError:
        return frozenset()
