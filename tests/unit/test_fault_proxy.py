"""The proxies do the harm that is planned, and nothing else."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.fault_proxy import COMMIT, CommitProxy, Harm, HttpProxy, Seeded, no_harm

pytestmark = pytest.mark.serves


class Site:
    """Answers with how many requests came before; remembers the bodies."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                site.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                told = f"{len(site.bodies):04}".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.shutdown()
    made.thread.join()
    made.server.server_close()


@pytest.fixture
def proxy(site: Site) -> Iterator[HttpProxy]:
    with contextlib.closing(HttpProxy(("127.0.0.1", site.server.server_port), delay_s=0.01)) as made:
        yield made


def send(proxy: HttpProxy, body: str, *, key: str = "a") -> str | None:
    """Send a request; returns the answer's body, None where none came whole."""
    connection = HTTPConnection("127.0.0.1", int(proxy.where[1]), timeout=60)  # type: ignore[index]
    try:
        connection.request("POST", "/", body.encode(), {"Signature-Input": f'sig=();keyid="{key}"'})
        with connection.getresponse() as answer:
            content = answer.read()
            return content.decode() if len(content) == 4 else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def once(harm: Harm) -> Callable[[bytes], Harm | None]:
    return Seeded(1, {harm: 1.0}, of=lambda request: request.endswith(b"harm"))


@pytest.mark.parametrize(
    ("harm", "answer", "arrived"),
    [
        (Harm.CUT_BEFORE, None, []),
        (Harm.CUT_AFTER, None, ["harm"]),
        (Harm.TRUNCATE, None, ["harm"]),
        (Harm.DELAY, "0001", ["harm"]),
        (Harm.TWICE, "0002", ["harm", "harm"]),
    ],
)
def test_each_harm_is_what_it_says(
    proxy: HttpProxy, site: Site, harm: Harm, answer: str | None, arrived: list[str]
) -> None:
    proxy.plan = once(harm)
    assert send(proxy, "harm") == answer
    assert site.bodies == arrived
    proxy.plan = no_harm
    assert send(proxy, "more") == f"{len(arrived) + 1:04}"
    assert proxy.done == {harm: 1}


def test_what_is_late_arrives_after_the_next_of_the_same_caller(proxy: HttpProxy, site: Site) -> None:
    proxy.plan = once(Harm.LATE)
    assert send(proxy, "harm") is None
    assert send(proxy, "another's", key="b") == "0001"
    assert proxy.kept_back == 1
    assert send(proxy, "next") == "0002"
    assert site.bodies == ["another's", "next", "harm"]
    assert proxy.kept_back == 0


def test_a_plan_follows_from_its_seed() -> None:
    shares = {Harm.TWICE: 0.3, Harm.LATE: 0.2}

    def drawn(seed: int) -> list[Harm | None]:
        plan = Seeded(seed, shares, of=lambda request: request != b"other")
        return [plan(b"other" if place % 3 == 0 else b"") for place in range(300)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert set(drawn(1)) == {None, Harm.TWICE, Harm.LATE}
    assert all(found is None for found in drawn(1)[::3])


def test_who_is_behind_may_be_away(proxy: HttpProxy, site: Site) -> None:
    site.server.shutdown()
    site.server.server_close()
    assert send(proxy, "nobody") is None


@pytest.fixture
def commits(tmp_path: Path) -> Iterator[tuple[CommitProxy, list[bytes]]]:
    """Return a proxy before something that answers each piece with its length, and the pieces that arrived."""
    arrived: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "behind"))
    listener.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = listener.accept()
                with one:
                    while piece := one.recv(1000):
                        arrived.append(piece)
                        one.sendall(b"%d" % len(piece))

    thread = threading.Thread(target=serve)
    thread.start()
    with contextlib.closing(CommitProxy(tmp_path / "behind", listen=tmp_path / "before")) as made:
        yield made, arrived
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize(
    ("harm", "answer", "arrives"), [(None, b"12", True), (Harm.CUT_AFTER, b"", True), (Harm.CUT_BEFORE, b"", False)]
)
def test_a_commit_is_cut_before_it_arrives_or_before_it_is_answered(
    commits: tuple[CommitProxy, list[bytes]], *, harm: Harm | None, answer: bytes, arrives: bool
) -> None:
    proxy, arrived = commits
    proxy.plan = lambda _request: harm
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(60)
        caller.connect(str(proxy.where))
        caller.sendall(b"SELECT")
        assert caller.recv(1000) == b"6"
        caller.sendall(COMMIT)
        assert caller.recv(1000) == answer
    assert arrived == [b"SELECT", *([COMMIT] if arrives else [])]
