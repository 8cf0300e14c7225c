"""Calls to the maker's services, where who answers means harm: over real connections."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fleet.channels.apple import services
from fleet.channels.apple.services import Service
from fleet.channels.apple.steward import ServiceError

pytestmark = pytest.mark.serves


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                try:
                    answer(connection)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(5)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_an_answer_that_trickles_in_is_given_up(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_WHOLE_S", 0.5)

    def trickle(connection: socket.socket) -> None:
        connection.sendall(head)
        for number in range(60):
            connection.sendall(b"x" if b"Length" in head else f"x-{number}: y\r\n".encode())
            time.sleep(0.05)

    begun = time.monotonic()
    with answering(trickle) as url, pytest.raises(ServiceError) as caught:
        Service(url).call("GET", "/", {})
    assert caught.value.reason == "unreachable"
    assert time.monotonic() - begun < 2


def test_an_answer_without_an_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_MAX_ANSWER_BYTES", 100_000)

    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1_000):
            connection.sendall(b"x" * 65_536)

    with answering(pour) as url, pytest.raises(ServiceError) as caught:
        Service(url).call("GET", "/", {})
    assert caught.value.reason == "too long an answer"


def test_a_redirect_is_not_followed() -> None:
    def lead_away(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n")

    with answering(lead_away) as url:
        assert Service(url).call("GET", "/", {"authorization": "Bearer secret"}).status == 302


def test_a_header_that_cannot_be_sent_is_a_fault_of_the_service() -> None:
    def never(_connection: socket.socket) -> None:
        return

    for told in ("a\nb", "☃"):
        with answering(never) as url, pytest.raises(ServiceError) as caught:
            Service(url).call("GET", "/", {"x-adm-auth-session": told})
        assert caught.value.reason == "unreachable"
