"""What the worker offers the gate beside messages: a whole answer said at once, and a body that is here already."""

import asyncio
import contextlib
import gc
import weakref
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from fleet.app import worker
from fleet.app.worker import LimitedHttp
from fleet.channels.asgi import ANSWER, BODY, CROWDED
from tests.unit.test_worker import GET, serving, until_alone

HEADERS = [(b"etag", b'"7"'), (b"x-request-id", b"1")]


def answers(request: bytes, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> list[tuple[bool, bytes]]:
    """Return what comes back for an answer that is said at once where it can be, and for the same said by messages."""
    were_at_once: list[bool] = []
    given = [*headers, (b"content-length", b"%d" % len(body))] if status not in {204, 304} else headers

    async def answer(scope: Any, _receive: Any, send: Any) -> None:
        at_once = scope["path"] == "/once" and scope[ANSWER](status, given, body)
        were_at_once.append(at_once)
        if not at_once:
            await send({"type": "http.response.start", "status": status, "headers": given})
            await send({"type": "http.response.body", "body": body})

    async def ask(path: bytes) -> tuple[bool, bytes]:
        async with serving(app=answer, timeout_keep_alive=0.05, server_header=False, date_header=False) as (
            port,
            state,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request.replace(b" / ", b" " + path + b" "))
            found = await reader.read()
            writer.close()
            await until_alone(state)
            return were_at_once[-1], found

    async def both() -> list[tuple[bool, bytes]]:
        return [await ask(b"/once"), await ask(b"/by-messages")]

    return asyncio.run(both())


@pytest.mark.parametrize(
    ("request_", "status", "headers", "is_at_once"),
    [
        (GET, 200, HEADERS, True),
        (GET, 304, HEADERS, True),
        (GET, 204, [], True),
        (GET, 503, [*HEADERS, (b"retry-after", b"5")], True),
        (GET * 3, 200, HEADERS, True),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 200, HEADERS, True),
        (GET.replace(b"GET", b"HEAD"), 200, HEADERS, False),
        (GET.replace(b"1.1", b"1.0"), 200, HEADERS, False),
        (GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), 200, HEADERS, False),
        (GET, 408, [*HEADERS, (b"connection", b"close")], False),
    ],
    ids=["200", "304", "204", "503", "pipelined", "post", "head", "http-1.0", "caller-closes", "we-close"],
)
def test_an_answer_said_at_once_is_the_same_as_by_messages(
    request_: bytes, status: int, headers: list[tuple[bytes, bytes]], is_at_once: bool
) -> None:
    body = b"" if status in {204, 304} else b"said"
    (once, found), (_, by_messages) = answers(request_, status, headers, body)
    assert once is is_at_once
    assert found == by_messages
    assert found.startswith(b"HTTP/1.1 %d " % status)
    assert found.count(b"HTTP/1.1") == request_.count(b"Host")


def test_no_header_ends_early_to_begin_another() -> None:
    for sign in (b"\r", b"\n", b"\r\n", b"\0"):
        (once, found), (_, by_messages) = answers(GET, 200, [(b"etag", b"7" + sign + b"x-more: 1")], b"said")
        assert not once
        assert found == by_messages
        assert b"x-more" not in found


def test_a_body_where_there_is_none_is_not_said_at_once() -> None:
    (once, _), (by_messages, _) = answers(GET, 304, HEADERS, b"said")
    assert (once, by_messages) == (False, False)


def test_a_request_is_gone_once_it_is_answered_without_waiting_for_the_collector() -> None:
    known: list[weakref.ref[Any]] = []

    async def answer(scope: Any, _receive: Any, _send: Any) -> None:
        assert scope[BODY]() == b"body"
        assert scope[ANSWER](200, [(b"content-length", b"2")], b"ok")

    class Remembering(LimitedHttp):
        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            known.append(weakref.ref(self.cycle))

    async def ask() -> None:
        config, state = Config(answer, log_config=None, ws="none"), ServerState()
        config.load()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Remembering(config, state, {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for _ in range(3):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        assert [one() is None for one in known] == [True, True, False]  # the last is the connection's until the next
        writer.close()
        server.close()
        await until_alone(state)

    gc.disable()
    try:
        asyncio.run(ask())
    finally:
        gc.enable()


def test_who_does_not_read_is_told_nothing_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "READ_TIMEOUT_S", 0.2)
    said: list[bool] = []

    async def answer(scope: Any, _receive: Any, send: Any) -> None:
        body = b"x" * 8_000_000
        headers = [(b"content-length", b"%d" % len(body))]
        said.append(scope[ANSWER](200, headers, body))
        if not said[-1]:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def ask_twice_and_not_read() -> None:
        async with serving(app=answer) as (port, state):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writer.write(GET + GET)
            await until_alone(state)
            writer.close()

    asyncio.run(ask_twice_and_not_read())
    assert said == [True, False]


def test_a_body_is_at_hand_once_all_of_it_is_here() -> None:
    told: list[tuple[bytes | None, bytes]] = []

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        at_hand = scope[BODY]()
        whole, more = at_hand or b"", at_hand is None
        while more:
            message = await receive()
            whole, more = whole + message["body"], message["more_body"]
        told.append((at_hand, whole))
        assert scope[BODY]() in {b"", None}  # it is had once
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def ask(*parts: bytes) -> None:
        async with serving(app=answer) as (port, state):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.05)
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await until_alone(state)

    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    asyncio.run(ask(head + b"body"))
    asyncio.run(ask(head, b"bo", b"dy"))
    asyncio.run(ask(head.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"4\r\nbody\r\n0\r\n\r\n"))
    asyncio.run(ask(GET))
    assert told == [(b"body", b"body"), (None, b"body"), (b"body", b"body"), (b"", b"")]


def test_the_last_connections_there_is_room_for_are_told_so() -> None:
    told: list[bool] = []

    async def answer(scope: Any, _receive: Any, _send: Any) -> None:
        told.append(CROWDED in scope)
        assert scope[ANSWER](200, [(b"content-length", b"2")], b"ok")

    async def ask() -> list[bytes]:
        async with serving(app=answer, limit_concurrency=16) as (port, state):
            opened = []
            for _ in range(17):
                opened.append(await asyncio.open_connection("127.0.0.1", port))
                opened[-1][1].write(GET)
                await asyncio.sleep(0.02)
            said = [await one.read(12) for one, _ in opened[:16]]
            with contextlib.suppress(ConnectionResetError):
                said.append(await opened[16][0].read())
            for _, writer in opened:
                writer.close()
            await until_alone(state)
            return said

    said = asyncio.run(ask())
    assert said[:16] == [b"HTTP/1.1 200"] * 16
    assert b"".join(said[16:]) == b""  # one too many is hung up on
    assert told == [False] * 14 + [True] * 2


def test_requests_of_callers_who_are_gone_count_among_those_there_is_room_for() -> None:
    async def ask() -> list[bool]:
        told: list[bool] = []
        goes_on = asyncio.Event()

        async def answer(scope: Any, _receive: Any, _send: Any) -> None:
            told.append(CROWDED in scope)
            await goes_on.wait()
            scope[ANSWER](200, [(b"content-length", b"2")], b"ok")

        async with serving(app=answer, limit_concurrency=4) as (port, state):
            for _ in range(6):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(GET)
                await asyncio.sleep(0.02)
                writer.transport.abort()
                await asyncio.sleep(0.02)
            assert not state.connections
            goes_on.set()
            await until_alone(state)
        return told

    assert asyncio.run(ask()) == [False] * 4 + [True] * 2


def test_the_last_connections_are_not_held_by_who_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_CROWDED_HEAD_S", 0.1)

    async def ask() -> list[bytes]:
        async with serving(limit_concurrency=8) as (port, state):
            opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
            said = await asyncio.wait_for(opened[7][0].read(), 10)
            assert len(state.connections) == 7
            for _, writer in opened:
                writer.close()
            await until_alone(state)
            return [said[:12]]

    assert asyncio.run(ask()) == [b"HTTP/1.1 408"]
