"""The tablets' door in the test's own process: real code behind the ASGI callable, without sockets.

The gate lives on an event loop in a thread of its own, as in a server; :class:`Door` calls it as a server would, and is
the transport for real sessions of the agent.
"""

import asyncio
import functools
import json
import tempfile
import threading
import uuid
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask

from agent_protocol import signing
from agent_protocol.messages import BASE_PATH, EnrolmentAnswer, EnrolmentRequest, NonceAnswer, decode, encode
from agent_protocol.transport import Response
from fleet import clock
from fleet.access import Principal
from fleet.app import create_app
from fleet.app.server import create_gate
from fleet.channels import asgi
from fleet.channels.gate import Gate
from fleet.crypto import read_or_create, vault_key
from fleet.db import db, transaction
from fleet.devices import tickets
from fleet.mdm import authority as device_authority
from tests import factories as make
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
        self,
        method: str,
        target: str,
        headers: Headers = (),
        *,
        chunks: Iterable[bytes] = (b"",),
        gone: asyncio.Event | None = None,
        **scope: Any,
    ) -> Response:
        """Call the gate as our server does; ``target`` may have a query, and goes in raw and as path.

        A body of one chunk is at hand, and an answer may be said at once. Set ``gone`` and the caller has hung up.
        """
        pieces = list(chunks)
        messages = [
            {"type": "http.request", "body": piece, "more_body": place + 1 < len(pieces)}
            for place, piece in enumerate(pieces)
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not messages:  # the caller stays until told otherwise
                await (gone or asyncio.Event()).wait()
                return {"type": "http.disconnect"}
            return messages.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        def at_hand() -> bytes | None:
            if len(pieces) != 1 or not messages:
                return None
            messages.clear()
            return pieces[0]

        def at_once(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
            if method == "HEAD" or any(name == b"connection" for name, _ in headers):
                return False
            sent.extend(({"status": status, "headers": headers}, {"body": body}))
            return True

        raw, _, query = target.partition("?")
        whole: dict[str, Any] = {
            "type": "http", "method": method, "path": raw, "raw_path": raw.encode("latin-1"), "query_string": query.encode("latin-1"),
            "headers": list(headers), "http_version": "1.1", "scheme": "http", "server": ("fleet.test", 80), "client": ("192.0.2.7", 1), "root_path": "",
            asgi.BODY: at_hand, asgi.ANSWER: at_once,
        } | scope  # fmt: skip
        await self.gate(whole, receive, send)
        begin, *rest = sent
        told = {name.decode(): value.decode() for name, value in begin["headers"]}
        return Response(begin["status"], told, b"".join(message.get("body", b"") for message in rest))

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        within_s: float | None = None,  # noqa: ARG002 (a transport's; here nothing hangs)
        **scope: Any,
    ) -> Response:
        """Be the agent's transport."""
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if body is not None:
            pairs.append((b"content-length", str(len(body)).encode()))
        return self.wait(self.call(method, target, pairs, chunks=(body or b"",), **scope))

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


@functools.cache
def _authority() -> dict[str, bytes]:
    """Return what a server keeps of its authority for iPads, by the files' names."""
    with tempfile.TemporaryDirectory() as folder:
        secrets_dir = Path(folder)
        device_authority.load(secrets_dir, vault_key(secrets_dir / "vault.key", may_create=True), now=clock.now())
        return {
            str(path.relative_to(secrets_dir)): path.read_bytes() for path in secrets_dir.rglob("*") if path.is_file()
        }


@contextmanager
def door(url: str, data_dir: Path, **environ: str) -> Iterator[Door]:
    """Run a gate on a migrated database; several with one directory are several processes of one server.

    Its authority for iPads is the same in all tests: one takes longer to make than all else of a server.
    """
    if not (data_dir / "secrets").exists() and "FLEET_VAULT_KEY" not in environ:
        for name, content in _authority().items():
            read_or_create(data_dir / "secrets" / name, content)
    app = create_app(environ={**_environ(url, data_dir), **environ})
    made = Door(app, create_gate(app))
    made.start()
    try:
        yield made
    finally:
        made.stop()
        for thread in threading.enumerate():  # reads calendars in the background, on a connection of its own
            if thread.name == "school-time":
                thread.join()
        with app.app_context():
            db.engine.dispose()


class Tablet:
    """A tablet that says exactly what a test wants: signs by hand, where :class:`agent_protocol.session` would refuse.

    Args:
        door: the server it speaks to.
        key: its key; a new one where not given.
    """

    def __init__(self, door: Door, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self.door = door
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.keyid = signing.thumbprint(self.key.public_key())
        self.sequence = 0
        self.uid = ""

    def headers(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        nonce: str | None = None,
        age_s: float = 0,
        authority: str = AUTHORITY,
    ) -> dict[str, str]:
        """Return the headers of a signed request; one with a body takes the next number where no nonce is given."""
        if nonce is None:
            self.sequence += body is not None
            nonce = signing.SAFE_NONCE if body is None else str(self.sequence)
        target, _, query = path.partition("?")
        signed = signing.sign_request(
            self.key, method=method, authority=authority, path=target, query=query, body=body,
            created=int(clock.now().timestamp() - age_s), nonce=nonce,
        )  # fmt: skip
        return {**signed, "Content-Type": "application/json"} if body is not None else signed

    def get(self, path: str, **more: str) -> Response:
        """Ask for something."""
        return self.door.send("GET", path, self.headers("GET", path) | more, None)

    def post(self, path: str, body: bytes, **more: str) -> Response:
        """Tell something."""
        return self.door.send("POST", path, self.headers("POST", path, body) | more, body)

    def enrol(self, code: str, serial: str) -> Response:
        """Ask to be taken in; remembers what the server said."""
        nonce = decode(NonceAnswer, self.door.send("GET", f"{BASE_PATH}/nonce", {}, None).body).nonce
        jwk = signing.to_jwk(self.key.public_key())
        body = encode(EnrolmentRequest(code, jwk, serial, "linux", "Prøvebrett", "18.4", "1.0"))
        path = f"{BASE_PATH}/enrolments"
        answer = self.door.send("POST", path, self.headers("POST", path, body, nonce=nonce), body)
        if answer.status in {200, 201}:
            told = decode(EnrolmentAnswer, answer.body)
            self.uid, self.sequence = told.device_id, told.next_sequence - 1
        return answer

    def report(self, **changes: Any) -> Response:
        """Report."""
        return self.report_body(report_body(**changes))

    def report_body(self, body: bytes) -> Response:
        """Report with exactly this body."""
        report_id = json.loads(body).get("report_id", "") if body.startswith(b"{") else ""
        return self.post(f"{BASE_PATH}/reports", body, **{"Idempotency-Key": report_id})


def report_body(**changes: Any) -> bytes:
    """Return a report's body, any of its members replaced."""
    plain = {
        "report_id": str(uuid.uuid4()), "reported_at": "2026-09-14T08:15:00Z", "applied": {"profile": None},
        "os_version": "18.4", "model": "Prøvebrett", "agent_version": "1.0", "battery_percent": 50,
    }  # fmt: skip
    return json.dumps(plain | changes).encode()


def ticket(door: Door, *, name: str = "Prøveskolen", number: int = 50) -> str:
    """Make a school and a ticket for it; returns the code."""
    with door.database():
        by, now = Principal.command_line(), clock.now()
        place = tickets.Place(make.school(name))
        return tickets.create(place, expires_at=now + timedelta(days=1), max_enrolments=number, by=by, now=now)[1]
