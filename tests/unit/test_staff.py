"""The staff's application behind the gate: handed over whole, long answers by pieces, and no thread waits for the loop."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from fleet.channels import asgi
from fleet.channels.staff import WHOLE_BYTES, Application, Staff

SCOPE = {
    "type": "http", "method": "POST", "path": "/skjema", "query_string": b"a=1", "http_version": "1.1",
    "headers": [(b"content-length", b"3"), (b"x-request-id", b"abc")], "client": ("192.0.2.7", 1),
}  # fmt: skip
Begin = Callable[..., Callable[[bytes], None]]


def asked(
    app: Application, body: bytes = b"b=2", *, meanwhile: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """Return what is said to one request."""
    said: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    async def run() -> None:
        asyncio.get_running_loop().call_later(0.05, meanwhile)
        await Staff(app, threads=2)(dict(SCOPE), asgi.told(body), send)

    asyncio.run(run())
    return said


def test_an_answer_is_said_whole_with_what_was_written_before_it() -> None:
    def app(environ: dict[str, Any], begin: Begin) -> Iterable[bytes]:
        told = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        write = begin("201 CREATED", [("Content-Type", "text/plain"), ("X-Navn", "blåbær")])
        write(b"first ")
        return [told, b" ", environ["HTTP_X_REQUEST_ID"].encode(), environ["QUERY_STRING"].encode()]

    start, body = asked(app)
    assert start["status"] == 201
    assert start["headers"] == [(b"content-type", b"text/plain"), (b"x-navn", "blåbær".encode("latin-1"))]
    assert body == {"type": "http.response.body", "body": b"first b=2 abca=1"}


def test_a_long_answer_is_said_as_it_comes_and_closed() -> None:
    closed = threading.Event()

    class Long:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x" * 1000] * (WHOLE_BYTES // 1000 + 10))

        def close(self) -> None:
            closed.set()

    def app(_environ: dict[str, Any], begin: Begin) -> Iterable[bytes]:
        begin("200 OK", [])
        return Long()

    start, *pieces, end = asked(app)
    assert start["type"] == "http.response.start"
    assert sum(len(one["body"]) for one in pieces) == 1000 * (WHOLE_BYTES // 1000 + 10)
    assert {one["more_body"] for one in pieces} == {True}
    assert end == {"type": "http.response.body", "body": b""}
    assert closed.is_set()


def test_no_thread_waits_for_a_loop_that_is_busy() -> None:
    done = threading.Event()

    def app(environ: dict[str, Any], begin: Begin) -> Iterable[bytes]:
        time.sleep(0.1)  # until the loop is busy
        begin("200 OK", [])
        yield environ["wsgi.input"].read()
        done.set()

    def busy() -> None:
        assert done.wait(10)  # the page is made although nothing else is done here

    assert asked(app, meanwhile=busy)[1]["body"] == b"b=2"


def test_those_who_read_slowly_hold_a_third_of_the_threads() -> None:
    reading, done = asyncio.Event(), list[int]()

    def app(environ: dict[str, Any], begin: Begin) -> Iterable[bytes]:
        begin("200 OK", [])
        return [b"x" * (WHOLE_BYTES + 1)] if environ["PATH_INFO"] == "/lang" else [b"short"]

    async def run() -> None:
        staff = Staff(app, threads=6)

        async def one(path: str, *, slowly: bool) -> None:
            async def send(message: dict[str, Any]) -> None:
                if slowly:
                    await reading.wait()
                if message["type"] == "http.response.start":
                    done.append(message["status"])

            await staff({**SCOPE, "path": path}, asgi.told(b""), send)

        slow = [asyncio.create_task(one("/lang", slowly=True)) for _ in range(2)]
        await asyncio.sleep(0.2)
        await one("/lang", slowly=False)
        await one("/kort", slowly=False)
        assert done == [503, 200]
        reading.set()
        await asyncio.gather(*slow)
        await one("/lang", slowly=False)
        assert done == [503, 200, 200, 200, 200]

    asyncio.run(run())


def test_a_fault_in_the_middle_of_a_long_answer_ends_it_unfinished() -> None:
    def app(_environ: dict[str, Any], begin: Begin) -> Iterator[bytes]:
        begin("200 OK", [])
        yield b"x" * (WHOLE_BYTES + 1)
        fault = LookupError("a fault")
        begin("500 FAULT", [], (type(fault), fault, None))

    with pytest.raises(LookupError, match="a fault"):
        asked(app)


def test_an_answer_that_was_not_begun_is_a_fault() -> None:
    with pytest.raises(RuntimeError):
        asked(lambda _environ, _begin: [])


def test_what_an_application_raises_is_raised() -> None:
    def app(_environ: dict[str, Any], _begin: Begin) -> Iterable[bytes]:
        raise LookupError("a fault")

    with pytest.raises(LookupError, match="a fault"):
        asked(app)
