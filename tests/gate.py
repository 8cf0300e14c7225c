"""The tablets' door in the test's own process: real code behind the ASGI callable, without sockets.

The gate lives on an event loop in a thread of its own, as in a server; :class:`Door` calls it as a server would, and is
the transport for real sessions of the agent.
"""

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask

from agent_protocol.transport import Response
from fleet.app import create_app
from fleet.app.server import create_gate
from fleet.channels.gate import Gate
from fleet.db import db, transaction
from tests.conftest import _environ

T = TypeVar("T")
Headers = Iterable[tuple[bytes, bytes]]
AUTHORITY = "fleet.test"


class Door:
    """One server process: an application, its gate, and the loop the gate runs on."""

    def __init__(self, app: Flask, gate: Gate) -> None:
        self.app = app
        self.gate = gate
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._to_life: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_life: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the gate's loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def start(self) -> None:
        """Begin to serve."""
        self.wait(self._lifespan("startup"))

    def stop(self) -> None:
        """Drain, and end the loop."""
        self.wait(self._lifespan("shutdown"))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _lifespan(self, event: str) -> None:
        if event == "startup":
            self._life = asyncio.ensure_future(self.gate({"type": "lifespan"}, self._to_life.get, self._from_life.put))
        await self._to_life.put({"type": f"lifespan.{event}"})
        assert (await self._from_life.get())["type"] == f"lifespan.{event}.complete"
        if event == "shutdown":
            await self._life

    async def call(
        self, method: str, path: str, headers: Headers = (), *, chunks: Iterable[bytes] = (b"",), **scope: Any
    ) -> Response:
        """Call the gate as a server does; ``path`` may have a query, and goes in raw and decoded."""
        pieces = list(chunks)
        messages = [
            {"type": "http.request", "body": piece, "more_body": place + 1 < len(pieces)}
            for place, piece in enumerate(pieces)
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        raw, _, query = path.partition("?")
        whole: dict[str, Any] = {
            "type": "http", "method": method, "path": raw, "raw_path": raw.encode("latin-1"), "query_string": query.encode("latin-1"),
            "headers": list(headers), "http_version": "1.1", "scheme": "http", "server": ("fleet.test", 80), "client": ("192.0.2.7", 1), "root_path": "",
        } | scope  # fmt: skip
        await self.gate(whole, receive, send)
        begin, *rest = sent
        told = {name.decode(): value.decode() for name, value in begin["headers"]}
        return Response(begin["status"], told, b"".join(message.get("body", b"") for message in rest))

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """Be the agent's transport."""
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if body is not None:
            pairs.append((b"content-length", str(len(body)).encode()))
        return self.wait(self.call(method, target, pairs, chunks=(body or b"",)))

    @contextmanager
    def database(self) -> Iterator[None]:
        """Open a transaction of the application, for builders and use cases."""
        with self.app.app_context(), transaction():
            yield


def problem(response: Response) -> str:
    """Return the code of a refusal, after checking that it has the form of one (RFC 9457)."""
    told = json.loads(response.body)
    assert response.headers["content-type"] == "application/problem+json"
    assert told["status"] == response.status
    assert told["type"].startswith("urn:fleet:problem:")
    return str(told["type"].removeprefix("urn:fleet:problem:"))


@contextmanager
def door(url: str, data_dir: Path, **environ: str) -> Iterator[Door]:
    """Run a gate on a migrated database; several with one directory are several processes of one server."""
    app = create_app(environ={**_environ(url, data_dir), **environ})
    made = Door(app, create_gate(app))
    made.start()
    try:
        yield made
    finally:
        made.stop()
        with app.app_context():
            db.engine.dispose()
