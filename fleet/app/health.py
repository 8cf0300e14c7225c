"""Whether the server lives, and whether it is ready for work.

``/healthz`` looks at the process only, so that a database that is away does not have every server restarted;
``/readyz`` looks at the database, its shape and the queues.
"""

import asyncio
from collections.abc import Callable

import msgspec
import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from fleet.channels.http import Response
from fleet.db import newest_revision, reading, schema_revision

_log = structlog.get_logger("health")
_DATABASE_WAIT_S = 5.0
_HEADERS = {"content-type": "application/json", "cache-control": "no-store"}


async def alive() -> Response:
    """Answer that the process lives."""
    return Response(200, _HEADERS, b'{"status":"alive"}')


class Readiness:
    """Answers whether the server is ready.

    Args:
        app: the application.
        is_full: whether the tablets' queues are full.
    """

    def __init__(self, app: Flask, *, is_full: Callable[[], bool]) -> None:
        self._app = app
        self._is_full = is_full
        self._wanted = newest_revision()
        self._looking: asyncio.Future[str] | None = None

    async def __call__(self) -> Response:
        """Answer 200 where everything is ready, 503 where not; the body names each part."""
        checks = {"database": await self._database(), "queue": "full" if self._is_full() else "ok"}
        ready = all(found == "ok" for found in checks.values())
        body = msgspec.json.encode({"status": "ready" if ready else "not-ready", "checks": checks})
        return Response(200 if ready else 503, _HEADERS, body)

    async def _database(self) -> str:
        if self._looking is None or self._looking.done():  # one look for all who ask meanwhile: anybody may ask
            self._looking = asyncio.ensure_future(asyncio.to_thread(self._look))
        try:
            return await asyncio.wait_for(asyncio.shield(self._looking), _DATABASE_WAIT_S)
        except TimeoutError:
            return "unreachable"

    def _look(self) -> str:
        try:
            with self._app.app_context(), reading():
                found = schema_revision()
        except SQLAlchemyError as error:
            _log.warning("database unreachable", kind=type(error).__name__)
            return "unreachable"
        return "ok" if found == self._wanted else "outdated"
