"""The worker's limits on callers, on real sockets in this process."""

import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from fleet.app import worker
from fleet.app.worker import MAX_PIPELINED, LimitedHttp
from fleet.channels.gate import PEER, STOPPING
from tests.serving import ROOT

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def serving(body: bytes = b"ok", *, app: Any = None, **settings: Any) -> AsyncIterator[tuple[int, ServerState]]:
    """Serve ``body``, or ``app``, to everyone; gives the port and the connections there are."""

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    config, state = Config(app or answer, log_config=None, ws="none", **settings), ServerState()
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: LimitedHttp(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1], state
    finally:
        server.close()


async def until_alone(state: ServerState) -> None:
    async with asyncio.timeout(10):
        while state.connections or state.tasks:  # noqa: ASYNC110 (nobody tells when they are gone)
            await asyncio.sleep(0.01)


def test_who_does_not_read_what_was_asked_for_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "READ_TIMEOUT_S", 0.1)

    async def ask_and_not_read() -> None:
        async with serving(b"x" * 32_000_000) as (port, state):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writer.write(GET)
            await asyncio.sleep(0.05)
            assert state.connections
            await until_alone(state)
            writer.close()

    asyncio.run(ask_and_not_read())


def test_who_reads_slowly_but_does_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "READ_TIMEOUT_S", 2)

    async def read_in_pieces() -> int:
        async with serving(b"x" * 8_000_000) as (port, state):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            size = 0
            while piece := await reader.read(1_000_000):
                size += len(piece)
                await asyncio.sleep(0.01)
            writer.close()
            await until_alone(state)
            return size

    assert asyncio.run(read_in_pieces()) > 8_000_000


@pytest.mark.parametrize(("number", "is_served"), [(MAX_PIPELINED, True), (MAX_PIPELINED + 2, False)])
def test_so_many_requests_may_wait_on_a_connection_and_no_more(number: int, *, is_served: bool) -> None:
    async def ask() -> bytes:
        async with serving(timeout_keep_alive=1) as (port, state):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET * number)
            answer = await reader.read()
            writer.close()
            await until_alone(state)
            return answer

    answer = asyncio.run(ask())
    assert (answer.count(b"200 OK") == number) is is_served
    assert (b" 400 " in answer) is not is_served


@pytest.mark.parametrize(
    "between",
    [
        [b"\r\n"],  # which no parser takes for a request's begin
        [b"\r\n"] * 3,
        [b"G", b"ET / HT"],
        [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"a"],  # answered before its body came
    ],
)
def test_what_comes_between_requests_keeps_no_connection_open(
    between: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "HEAD_TIMEOUT_S", 0.3)

    async def ask() -> bytes:
        async with serving(timeout_keep_alive=5) as (port, state):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await reader.readuntil(b"ok")
            for piece in between:
                writer.write(piece)
                await asyncio.sleep(0.05)
            answer = await reader.read()
            await until_alone(state)
            writer.close()
            return answer

    assert b" 408 " in asyncio.run(ask())


def test_a_head_that_drips_is_given_up_whatever_came_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "HEAD_TIMEOUT_S", 0.4)

    async def drip() -> tuple[bytes, float]:
        async with serving(timeout_keep_alive=5) as (port, state):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await reader.readuntil(b"ok")
            begun, said = asyncio.get_running_loop().time(), asyncio.ensure_future(reader.read())
            writer.write(b"GET / HTTP/1.1\r\nX: ")
            while not said.done():
                writer.write(b"a")
                await asyncio.wait([said], timeout=0.05)
            await until_alone(state)
            writer.close()
            return said.result(), asyncio.get_running_loop().time() - begun

    answer, took_s = asyncio.run(drip())
    assert b" 408 " in answer
    assert took_s >= 0.4


def test_who_began_another_request_while_held_is_answered_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "HEAD_TIMEOUT_S", 0.2)

    async def answer(_scope: Any, _receive: Any, _send: Any) -> None:
        await asyncio.sleep(1)

    async def ask() -> bytes:
        async with serving(app=answer) as (port, state):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET + b"GET")
            said = await reader.read()
            writer.close()
            await until_alone(state)
            return said

    assert asyncio.run(ask()) == b""


def test_a_connection_too_many_is_hung_up_on_and_the_others_are_served() -> None:
    async def ask() -> tuple[bytes, bytes]:
        async with serving(limit_concurrency=3) as (port, state):
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            await asyncio.sleep(0.05)
            first, *rest = held
            first[1].write(GET)
            served = await first[0].readline()
            more = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            try:
                beyond = await more[1][0].read()
            except ConnectionResetError:
                beyond = b""
            for _, writer in (first, *rest, *more):
                writer.close()
            await until_alone(state)
            return served, beyond

    assert asyncio.run(ask()) == (b"HTTP/1.1 200 OK\r\n", b"")


def test_who_holds_requests_is_told_of_a_stop_before_the_server_waits_for_their_answers() -> None:
    told: list[str] = []

    async def answer(_scope: Any, _receive: Any, _send: Any) -> None:
        raise NotImplementedError

    async def stop() -> None:
        config = Config(answer, log_config=None, ws="none")
        config.load()
        state: dict[str, Any] = {}
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: LimitedHttp(config=config, server_state=servers, app_state=state), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0.05)
        for connection in list(servers.connections)[:1]:
            connection.shutdown()  # an application that said nothing is told nothing
        state[STOPPING] = lambda: told.append("stopping")
        for connection in list(servers.connections):
            connection.shutdown()
        for _, writer in clients:
            writer.close()
        server.close()
        await until_alone(servers)

    servers = ServerState()
    asyncio.run(stop())
    assert told
    assert set(told) == {"stopping"}


def test_who_is_at_the_other_end_is_told_beside_what_a_proxy_says() -> None:
    told: list[tuple[str, str]] = []

    async def answer(scope: Any, _receive: Any, send: Any) -> None:
        told.append((scope["client"][0], scope[PEER]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def ask(proxies: str) -> None:
        async with serving(app=answer, forwarded_allow_ips=proxies) as (port, state):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET[:-2] + b"X-Forwarded-For: 192.0.2.7\r\n\r\n")
            assert b" 200 " in await reader.readline()
            writer.close()
            await until_alone(state)

    for proxies in ("127.0.0.1", ""):
        asyncio.run(ask(proxies))
    assert told == [("192.0.2.7", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((300, 1_000), [744, 1_000, 1_000]),
        ((1_000, 1_000), [744, 1_000, 1_000]),
        ((64, 64), [256, 64, 64]),
    ],
)
def test_connections_leave_files_for_the_database(limits: tuple[int, int], expected: list[int]) -> None:
    code = (
        "import json, resource; from fleet.app.worker import room_for_connections as room;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, {limits});"
        "print(json.dumps([room(), *resource.getrlimit(resource.RLIMIT_NOFILE)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stdout) == expected


def test_the_limit_of_files_is_raised_where_the_system_allows_it() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    code = (
        "import json, resource; from fleet.app.worker import room_for_connections as room;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (512, {hard}));"
        "print(json.dumps([room(), *resource.getrlimit(resource.RLIMIT_NOFILE)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    connections, soft, still = json.loads(done.stdout)
    assert still == hard
    assert soft > 512
    assert connections == min(worker.MAX_CONNECTIONS, soft - 256)
