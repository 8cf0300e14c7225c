"""Servers that hang or drip, names that are not found, and agents that are told to stop: everything ends in time."""

import contextlib
import datetime as dt
import ipaddress
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from agent_protocol import transport as transport_module
from agent_protocol.agent import Agent
from agent_protocol.session import Session
from agent_protocol.store import MemoryStore
from agent_protocol.transport import HttpTransport, LostError, UnreachableError
from tests.unit.protocol.keys import key
from tests.unit.protocol.served import Served, wait_for
from tests.unit.protocol.small_server import AUTHORITY, SmallServer
from tests.unit.protocol.test_session import Tablet

pytestmark = pytest.mark.serves

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[socket.socket, threading.Event], None]


def silent(_connection: socket.socket, stopping: threading.Event) -> None:
    """Take the request, and never answer."""
    stopping.wait(60)


def dripping(connection: socket.socket, stopping: threading.Event) -> None:
    """Answer a byte a second."""
    for byte in OK:
        connection.sendall(bytes([byte]))
        if stopping.wait(1):
            return


def dripping_body(connection: socket.socket, stopping: threading.Event) -> None:
    """Answer a byte of an endless body a second."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not stopping.wait(1):
        connection.sendall(b"x")


def deaf(connection: socket.socket, stopping: threading.Event) -> None:
    """Not even take the request."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    stopping.wait(60)


class Odd:
    """A server that does something odd with each connection."""

    def __init__(self, serve: Serve, context: ssl.SSLContext | None = None) -> None:
        self._serve, self._context = serve, context
        self.stopping = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        kind = "http" if context is None else "https"
        self.address = f"{kind}://127.0.0.1:{self._socket.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self.stopping.is_set():
                connection.close()
                return
            self._threads.append(threading.Thread(target=self._one, args=(connection,)))
            self._threads[-1].start()

    def _one(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                if self._serve is not deaf:
                    connection.recv(65_536)
                self._serve(connection, self.stopping)

    def stop(self) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError), socket.create_connection(self._socket.getsockname()):
            pass
        for thread in self._threads:
            thread.join()
        self._socket.close()


@contextlib.contextmanager
def odd(serve: Serve, context: ssl.SSLContext | None = None) -> Iterator[Odd]:
    server = Odd(serve, context)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def ends_within(seconds: float, *, after: float = 0) -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert after <= time.monotonic() - begin <= seconds


# -- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serve", [silent, dripping, dripping_body])
def test_a_request_is_over_when_its_time_is_over(serve: Serve) -> None:
    with odd(serve) as server, contextlib.closing(HttpTransport(server.address)) as transport:
        for seconds in (0.4, 2.5):
            with ends_within(seconds + 2, after=seconds), pytest.raises(UnreachableError, match="time"):
                transport.send("GET", "/", {}, None, within_s=seconds)


def test_a_request_that_nobody_reads_is_over_when_its_time_is_over() -> None:
    with odd(deaf) as server, ends_within(3, after=0.5), pytest.raises(UnreachableError):
        HttpTransport(server.address, timeout_s=0.5).send("POST", "/", {}, b"x" * 2**24)


def test_a_name_that_nobody_finds_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_named: found.wait(10))
    with ends_within(3, after=0.3), pytest.raises(UnreachableError):
        HttpTransport("http://tablets.example.no").send("GET", "/", {}, None, within_s=0.3)
    found.set()


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_is_none_is_unreachable(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(UnreachableError, match=str(error.args[-1])):
        HttpTransport("http://tablets.example.no").send("GET", "/", {}, None)


def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = served.http.server_port
    with socket.create_server(("127.0.0.2", 0), backlog=0) as full:
        first = full.getsockname()
        filling = [socket.socket() for _ in range(3)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(first)
        both = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", where) for where in (first, ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_named: both)
        with contextlib.closing(HttpTransport("http://two.test", timeout_s=4)) as transport, ends_within(3.5, after=2):
            assert transport.send("GET", "/agent/v1/nonce", {}, None).status == 200
        for one in filling:
            one.close()


def test_a_connection_that_ends_while_its_request_waits_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_STALE_S", 0.1)
    asked = []

    def serve(connection: socket.socket, _stopping: threading.Event) -> None:
        connection.sendall(OK)
        asked.append(connection.recv(65_536))
        time.sleep(0.3)

    with odd(serve) as server, contextlib.closing(HttpTransport(server.address)) as transport:
        assert transport.send("GET", "/", {}, None).body == b"ok"
        with pytest.raises(LostError):
            transport.send("GET", "/", {}, None)
        assert len(asked) == 1


def test_a_cancelled_transport_ends_soon_and_sends_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_LOOK_UP_S", 0.1)
    with odd(silent) as server, contextlib.closing(HttpTransport(server.address)) as transport:
        timer = threading.Timer(0.3, transport.cancel)
        timer.start()
        with ends_within(3, after=0.3), pytest.raises(UnreachableError, match="cancelled"):
            transport.send("GET", "/", {}, None)
        with ends_within(2), pytest.raises(UnreachableError, match="cancelled"):
            transport.send("GET", "/", {}, None)
        timer.join()


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server's context, which transports trust."""
    private, now = key(7), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate, secret = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    transport_module._tls.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)
    return context


def late(connection: socket.socket, stopping: threading.Event) -> None:
    """Answer after a second; before, TLS 1.3 itself has sent something."""
    stopping.wait(1)
    connection.sendall(OK)


def test_a_request_over_tls_is_answered_and_over_when_its_time_is_over(tls: ssl.SSLContext) -> None:
    with odd(late, tls) as server, contextlib.closing(HttpTransport(server.address)) as transport:
        assert transport.send("GET", "/", {}, None, within_s=3).body == b"ok"
    for serve in (silent, dripping, dripping_body):
        with odd(serve, tls) as server, ends_within(4, after=1.5), pytest.raises(UnreachableError, match="time"):
            HttpTransport(server.address).send("GET", "/", {}, None, within_s=1.5)


def test_a_handshake_that_hangs_is_over_when_its_time_is_over() -> None:
    with odd(silent) as server:
        address = server.address.replace("http:", "https:")
        with ends_within(3, after=0.5), pytest.raises(UnreachableError):
            HttpTransport(address).send("GET", "/", {}, None, within_s=0.5)


@pytest.mark.parametrize("is_tls", [False, True])
def test_whether_an_answer_has_begun_can_be_asked(is_tls: bool, tls: ssl.SSLContext) -> None:
    with odd(late, tls if is_tls else None) as server, contextlib.closing(HttpTransport(server.address)) as transport:
        transport.begin("GET", "/", {}, None, within_s=5)
        time.sleep(0.3)
        assert not transport.is_answered()
        time.sleep(1.2)
        assert transport.is_answered()
        assert transport.finish().body == b"ok"


def test_a_certificate_that_nobody_vouches_for_is_refused(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    transport_module._tls.cache_clear()
    with odd(late, tls) as server, pytest.raises(UnreachableError, match="certificate"):
        HttpTransport(server.address).send("GET", "/", {}, None)


# -- agents -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serve", [silent, dripping, dripping_body])
def test_a_lesson_ends_in_time_while_the_agent_waits_on_a_server_that_hangs(serve: Serve) -> None:
    begin = datetime.now(UTC)
    small = SmallServer(begin)
    end = begin + timedelta(seconds=4)
    small.hold({"camera.allowed": False}, (end, {}))
    tablet = Tablet()
    session = Session(AUTHORITY, MemoryStore(), tablet, dice=random.Random(1))  # noqa: S311 (repeatable)
    session.enrol(small, begin, "GOOD")
    session.step(small, begin)
    session.timing.poll_at = begin
    assert tablet.applied == [{"camera.allowed": False}]
    with odd(serve) as server, contextlib.closing(HttpTransport(server.address)) as transport:
        agent = Agent(session, transport, "S1")
        thread = threading.Thread(target=agent.run)
        thread.start()
        try:
            wait_for(lambda: len(tablet.applied) == 2, 10)
            late_s = (datetime.now(UTC) - end).total_seconds()
        finally:
            agent.stop()
            transport.cancel()
            thread.join(10)
    assert tablet.applied[1] == {}
    assert 0 <= late_s <= 5
    assert not thread.is_alive()


def test_a_real_agent_waits_has_news_within_a_second_and_stops_when_told(served: Served, tmp_path: Path) -> None:
    served.small.holds_s = 60
    camera = tmp_path / "agent" / "applied" / "camera.json"
    words = [sys.executable, "-m", "agent_protocol", "--state", str(tmp_path / "agent"), "--serial", "S1"]
    words += ["--server", served.address, "--code", "GOOD"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[3])
    try:
        wait_for(lambda: len(served.small.waits) == 2)
        time.sleep(0.5)
        served.small.hold({"camera.allowed": False})
        wait_for(camera.exists, 3)
        wait_for(lambda: served.small.reports[-1].config_version == served.small.version, 3)
        wait_for(lambda: len(served.small.waits) == 3)
        process.send_signal(signal.SIGTERM)
        with ends_within(5):
            assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
