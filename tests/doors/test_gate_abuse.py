"""The gate under callers who mean harm: slow senders, many at once, names that could pass for ours, secrets in logs."""

import asyncio
import logging
import secrets
import signal
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import func, select

from agent_protocol.messages import BASE_PATH
from fleet import audit, clock
from fleet.channels import bodies
from fleet.channels.native import door as native_door
from fleet.db import db, reading
from fleet.devices import codes
from tests.extent import on
from tests.gate import Door, Tablet, door, problem, ticket
from tests.serving import serving

pytestmark = on("sqlite")  # nearly all of it is refused before a database is asked

_FORM = [(b"content-type", b"application/x-www-form-urlencoded")]


class Sender:
    """A request whose body comes piece by piece, when the test says so."""

    def __init__(self, server: Door, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        self.pieces: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.scope: dict[str, Any] = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": headers, "http_version": "1.1", "scheme": "http", "server": ("fleet.test", 80),
            "client": ("192.0.2.7", 1), "root_path": "",
        }  # fmt: skip
        self.served = asyncio.ensure_future(server.gate(self.scope, self.pieces.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def tell(self, piece: bytes, *, more: bool = True) -> None:
        await self.pieces.put({"type": "http.request", "body": piece, "more_body": more})
        await asyncio.sleep(0.05)

    async def status(self) -> int:
        await self.served
        return int(self.sent[0]["status"])


def test_who_sends_a_form_slowly_holds_no_thread_of_the_pages(fresh_url: str, tmp_path: Path) -> None:
    with serving(fresh_url, tmp_path / "data", jobs="off") as server:
        held = [socket.create_connection((server.host, server.port)) for _ in range(30)]
        for connection in held:
            connection.sendall(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\na=")
        assert server.get("/sign-in").status == 200
        for connection in held:
            connection.close()


@pytest.mark.parametrize("path", ["/agent/v1/reports", "/sign-in"])
def test_who_sends_half_a_body_keeps_no_server_from_stopping(fresh_url: str, tmp_path: Path, path: str) -> None:
    with serving(fresh_url, tmp_path / "data", jobs="off") as server:
        with socket.create_connection((server.host, server.port), timeout=30) as half:
            half.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\na=".encode())
            time.sleep(0.5)
            begun = time.monotonic()
            assert server.stop(signal.SIGTERM) == 0
            assert time.monotonic() - begun < bodies.STOPPING_TIMEOUT_S + 8
            assert half.recv(100).startswith(b"HTTP/1.1 408")
        assert "Traceback" not in server.log


def test_a_form_that_does_not_come_is_given_up(fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.1)

    async def slow(server: Door) -> int:
        sender = Sender(server, "/sign-in", _FORM)
        await sender.tell(b"username=")
        return await sender.status()

    with door(fresh_url, tmp_path) as server:
        assert server.wait(slow(server)) == 408


@pytest.mark.parametrize(("size", "status"), [(64 * 1024, 400), (64 * 1024 + 1, 413)])
def test_a_form_without_a_length_is_read_up_to_the_limit(
    fresh_url: str, tmp_path: Path, size: int, status: int
) -> None:
    with door(fresh_url, tmp_path) as server:
        assert server.wait(server.call("POST", "/sign-in", _FORM, chunks=[b"x" * size])).status == status


def test_a_form_that_is_said_to_be_too_large_is_refused_in_words(fresh_url: str, tmp_path: Path) -> None:
    with door(fresh_url, tmp_path) as server:
        answer = server.wait(server.call("POST", "/sign-in", [*_FORM, (b"content-length", b"70000")]))
    assert answer.status == 413
    assert "For stort" in answer.body.decode()


def test_all_bodies_together_have_a_limit_and_what_was_held_is_given_back(
    fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MAX_HELD_BYTES", 10_000)
    body = b"x" * 6_000
    reports = f"{BASE_PATH}/reports"

    async def crowd(server: Door) -> tuple[str, int, list[int]]:
        first = Sender(server, reports, [])
        await first.tell(body)
        tablet = await server.call("POST", reports, [(b"content-type", b"application/json")], chunks=[body])
        staff = await server.call("POST", "/sign-in", _FORM, chunks=[body])
        await first.tell(b"", more=False)
        later = [await server.call("POST", path, _FORM, chunks=[body]) for path in (reports, "/sign-in") * 3]
        assert await first.status() == 415
        return problem(tablet), staff.status, [answer.status for answer in later]

    with door(fresh_url, tmp_path) as server:
        assert server.wait(crowd(server)) == ("busy", 503, [415, 400] * 3)


def test_a_header_that_could_pass_for_the_requests_id_does_not_get_through(fresh_url: str, tmp_path: Path) -> None:
    with door(fresh_url, tmp_path) as server:
        for name in (b"x_request_id", b"x-request_id", b"x_request-id", b"x-request-id"):
            answer = server.wait(server.call("GET", "/no-such-page", [(name, b"told-by-the-caller")]))
            assert "told-by-the-caller" not in answer.body.decode()
            assert answer.headers["x-request-id"] in answer.body.decode()


def test_no_redirect_names_the_host_the_caller_says(fresh_url: str, tmp_path: Path) -> None:
    with door(fresh_url, tmp_path) as server:
        for path in ("/", "//", "/schools//1", "//sign-in", "/static/x//etc/passwd", "/schools/1/"):
            answer = server.wait(server.call("GET", path, [(b"host", b"elsewhere.example")]))
            assert "elsewhere" not in answer.headers.get("location", "")


def test_a_fault_does_not_log_the_one_time_link_that_was_asked_for(
    fresh_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = secrets.token_urlsafe(32)
    with door(fresh_url, tmp_path) as server:
        with server.database():
            db.session.execute(db.text("DROP TABLE password_link"))
        with caplog.at_level(logging.INFO):
            answer = server.wait(server.call("GET", f"/password/{token}"))
    assert answer.status == 500
    assert "web.choose_password" in caplog.text
    assert token not in caplog.text


def test_many_who_ask_whether_it_is_ready_cost_one_look(
    fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    with door(fresh_url, tmp_path) as server:
        ready = server.gate._probes["/readyz"]
        look = ready._look  # type: ignore[attr-defined]

        def counted() -> str:
            looks.append(look())
            return looks[-1]

        monkeypatch.setattr(ready, "_look", counted)

        async def ask() -> list[int]:
            return [
                answer.status for answer in await asyncio.gather(*(server.call("GET", "/readyz") for _ in range(50)))
            ]

        assert server.wait(ask()) == [200] * 50
        assert len(looks) == 1
        assert server.wait(server.call("GET", "/readyz")).status == 200
        assert len(looks) == 2


def test_strangers_who_try_tickets_fill_neither_the_audit_nor_the_way_of_others(
    fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with door(fresh_url, tmp_path) as server:
        stranger, code = Tablet(server), ticket(server)
        answers = [problem(stranger.enrol(codes.make(), f"SN{number:04}")) for number in range(65)]
        assert answers == ["ticket-unknown"] * 65
        assert noted(server) == 60
        tablet = Tablet(server)
        assert tablet.enrol(code, "SN9999").status == 201
        assert tablet.enrol(codes.make(), "SN9999").status == 200  # its key is known: asked again
        assert problem(Tablet(server).enrol(code, "no serial")) == "serial-not-listed"
        assert noted(server) == 61
        later = clock.now() + timedelta(minutes=2)
        monkeypatch.setattr(server.gate._channels[0]._work, "_now", lambda: later)  # type: ignore[attr-defined]
        assert problem(stranger.enrol(codes.make(), "SN0001")) == "ticket-unknown"
        assert noted(server) == 62


def noted(server: Door) -> int:
    """Return how many refused enrolments the audit has."""
    query = select(func.count()).where(audit.AuditEntry.action == "enrolment.refused")
    with server.app.app_context(), reading():
        return db.session.scalar(query) or 0


def test_a_tablet_that_writes_without_end_is_turned_away_and_its_neighbour_is_not(
    fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_door, "_WRITES_AT_ONCE", 5)
    with door(fresh_url, tmp_path) as server:
        code = ticket(server)
        tablet, neighbour = Tablet(server), Tablet(server)
        assert [one.enrol(code, f"SN{number}").status for number, one in enumerate((tablet, neighbour))] == [201] * 2
        with structlog.testing.capture_logs() as lines:
            assert [tablet.report().status for _ in range(7)] == [200] * 5 + [503] * 2
        told = [(line["event"], line.get("status"), line.get("path")) for line in lines]
        assert told == [("refused", 503, f"{BASE_PATH}/reports")] * 2  # not counted among those there is no room for
        answer = tablet.post(f"{BASE_PATH}/orders/{'0' * 32}/result", b'{"state":"done"}')
        assert problem(answer) == "busy"
        assert int(answer.headers["retry-after"]) >= 2
        assert tablet.get(f"{BASE_PATH}/config").status == 200
        assert neighbour.report().status == 200
        forged = neighbour.headers("POST", f"{BASE_PATH}/reports", b"{}") | {"Content-Digest": "sha-256=:x:"}
        for _ in range(9):  # what others send in a tablet's name does not count against it
            assert server.send("POST", f"{BASE_PATH}/reports", forged, b"{}").status == 401
        assert neighbour.report().status == 200


def test_an_enrolment_is_short(fresh_url: str, tmp_path: Path) -> None:
    with door(fresh_url, tmp_path) as server:
        for size, said in ((8 * 1024 + 1, "too-large"), (8 * 1024, "malformed")):
            tablet, body = Tablet(server), b"[" * size
            path = f"{BASE_PATH}/enrolments"
            assert problem(tablet.post(path, body)) == said


def test_who_sends_long_bodies_slowly_stops_no_poll_and_no_page(
    fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MAX_HELD_BYTES", 1024 * 1024)
    monkeypatch.setattr(bodies, "KEPT_FOR_SMALL_BYTES", 512 * 1024)
    path = "/apple/mdm"

    async def crowd(server: Door) -> list[int]:
        long = [Sender(server, path, []) for _ in range(12)]
        for one in long:
            await one.tell(b"x" * 60_000)
            await one.tell(b"x" * 60_000)
        poll = await server.call("PUT", path, [], chunks=[b"x" * 2_000])
        staff = await server.call("POST", "/sign-in", _FORM, chunks=[b"x" * 6_000])
        for one in long:
            await one.tell(b"", more=False)
        found = [await one.status() for one in long]
        return [poll.status, staff.status, found.count(503)]

    with door(fresh_url, tmp_path) as server:
        poll, staff, crowded = server.wait(crowd(server))
    assert (poll, staff) == (400, 400)  # read, and found to be nothing
    assert crowded > 0
