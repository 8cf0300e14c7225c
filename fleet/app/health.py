"""Whether the server lives, and whether it is ready for work.

``/healthz`` looks at the process only, so that a database that is away does not have every server restarted;
``/readyz`` looks at the database, its shape, the queues and the disks. Anybody may ask, so answers are fixed words, and
one look at the database serves all who ask meanwhile; ``fleet doctor`` says more.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from fleet.channels.http import Request, Response
from fleet.checkup import machine
from fleet.config import Config
from fleet.db import is_unavailable, knows_revision, newest_revision, reading, schema_revision

_log = structlog.get_logger("health")
_DATABASE_WAIT_S = 5.0
_HEADERS = {"content-type": "application/json", "cache-control": "no-store"}
ALIVE = b'{"status":"alive"}'
# What is said although the server is fit for work: whoever sees to it has time, and one server less would help nobody.
# "newer": another server has been upgraded; changes of the database's shape leave this program what it works with.
_FIT = frozenset({"ok", "low", "newer"})


async def alive(_request: Request) -> Response:
    """Answer that the process lives."""
    return Response(200, _HEADERS, ALIVE)


class Readiness:
    """Answers whether the server is ready.

    Args:
        app: the application.
        is_full: whether the tablets' queues are full.
        is_stopping: whether the server wants nothing new, as it is about to stop.
    """

    def __init__(self, app: Flask, *, is_full: Callable[[], bool], is_stopping: Callable[[], bool]) -> None:
        self._app = app
        config: Config = app.extensions["fleet_config"]
        self._folders = machine.folders(config)
        self._is_full = is_full
        self._is_stopping = is_stopping
        self._wanted = newest_revision()
        self._looking: asyncio.Future[str] | None = None

    async def __call__(self, _request: Request) -> Response:
        """Answer 200 where everything is ready, 503 where not; the body names each part.

        ``database``: ok, unreachable, no-answer, busy (all connections are in use), failing, empty (no tables yet),
        outdated or newer (than this program). ``queue``: ok or full. ``disk``: ok, low, full or not-writable. Of a
        server that stops nothing else is told or looked at: ``server``: stopping.
        """
        if self._is_stopping():
            return _told({"server": "stopping"})
        checks = {
            "database": await self._database(),
            "queue": "full" if self._is_full() else "ok",
            "disk": await asyncio.to_thread(self._disk),
        }
        return _told(checks)

    async def _database(self) -> str:
        if self._looking is None or self._looking.done():  # one look for all who ask meanwhile: anybody may ask
            self._looking = asyncio.ensure_future(asyncio.to_thread(self._look))
        try:
            return await asyncio.wait_for(asyncio.shield(self._looking), _DATABASE_WAIT_S)
        except TimeoutError:
            return "no-answer"

    def _look(self) -> str:
        try:
            with self._app.app_context(), reading():
                return self._shape(schema_revision())
        except PoolTimeoutError:
            return "busy"
        except SQLAlchemyError as error:
            _log.warning("database not fit", kind=type(error).__name__)
            return "unreachable" if is_unavailable(error) else "failing"

    def _shape(self, found: str | None) -> str:
        if found == self._wanted:
            return "ok"
        if found is None:
            return "empty"
        return "outdated" if knows_revision(found) else "newer"

    def _disk(self) -> str:
        """Return the worst that is to be said of the folders the server writes to."""
        found = [machine.room(folder) for folder in self._folders]
        return next(word for word in ("not-writable", "full", "low", "ok") if word in found)


def _told(checks: Mapping[str, str]) -> Response:
    ready = _FIT.issuperset(checks.values())
    body = msgspec.json.encode({"status": "ready" if ready else "not-ready", "checks": checks})
    return Response(200 if ready else 503, _HEADERS, body)
