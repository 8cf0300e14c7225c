"""Requests over HTTP/1.1 with a kept connection: the only module of the agent that opens sockets.

Invariant: a request is over when its time is over, whatever the network does meanwhile: looking up the name, each
address, the handshake, every read and write have what is left of it. The time goes on while the machine sleeps.
"""

import contextlib
import functools
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from agent_protocol import clock
from agent_protocol.messages import MAX_BODY_BYTES

MAX_ANSWER_BYTES = 16 * MAX_BODY_BYTES  # effective profiles may be larger than what tablets may send
REQUEST_S = 20.0  # how long a request may take where nobody says otherwise
_LOOK_UP_S = 2.0  # a read looks that often whether its time is over: its timeout stands still while the machine sleeps
_STALE_S = 2.0  # a kept connection that the server has closed shows it at once; later, it was closed on the request


class UnreachableError(Exception):
    """The server did not answer; the text says why."""


class LostError(UnreachableError):
    """The connection ended before the answer came."""


class HurryError(UnreachableError):
    """There is no time left for a request, which was not sent; the server has no part in that."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Sends one request and returns its answer."""

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, within_s: float | None = None
    ) -> Response:
        """Send a request.

        Args:
            method: GET or POST.
            target: path and query.
            headers: as signed.
            body: None where there is none.
            within_s: seconds after which there is no answer; :data:`REQUEST_S` where not given.

        Raises:
            UnreachableError: no answer came.
        """


class HurriedTransport:
    """A transport for a while: all its requests together take no longer than :attr:`within_s` seconds.

    Args:
        transport: what sends them.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._begun_at = clock.uptime_s()
        self.within_s = float("inf")
        self.is_heard = False  # whether an answer came

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, within_s: float | None = None
    ) -> Response:
        """Send a request in what is left of the time.

        Raises:
            HurryError: nothing is left.
            UnreachableError: no answer came.
        """
        left = self._begun_at + self.within_s - clock.uptime_s()
        if left <= 0:
            raise HurryError("something else is due")
        given = REQUEST_S if within_s is None else within_s
        response = self._transport.send(method, target, headers, body, within_s=min(left, given))
        self.is_heard = True
        return response


class _Deadline:
    """When the running request is over, by a clock that nobody can set."""

    def __init__(self) -> None:
        self.ends_at = 0.0
        self.is_cancelled = False

    def left_s(self) -> float:
        left = self.ends_at - clock.uptime_s()
        if left <= 0 or self.is_cancelled:
            raise TimeoutError("cancelled" if self.is_cancelled else "no answer in time")
        return left


class _Socket(socket.socket):
    """A socket whose reads and writes end with the request they belong to."""

    deadline: _Deadline
    early = b""  # read to see whether an answer has begun

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        most = nbytes or len(buffer)
        if self.early:
            size = min(len(self.early), most)
            buffer[:size], self.early = self.early[:size], self.early[size:]
            return size
        while True:
            self.settimeout(min(self.deadline.left_s(), _LOOK_UP_S))
            with contextlib.suppress(TimeoutError):
                return super().recv_into(buffer, most, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        self.settimeout(self.deadline.left_s())
        return super().send(data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.settimeout(self.deadline.left_s())
        super().sendall(data, flags)


class _TlsSocket(_Socket, ssl.SSLSocket):
    """The same over TLS."""


@functools.cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.sslsocket_class = _TlsSocket
    return context


def _addresses(host: str, port: int, within_s: float) -> Sequence[Any]:
    """Look up a name; a look-up cannot be ended, so one that takes too long is left to itself."""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found: Future[Sequence[Any]] = Future()

    def look_up() -> None:
        try:
            found.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.set_exception(OSError(str(error)))

    threading.Thread(target=look_up, name="name look-up", daemon=True).start()
    return found.result(within_s)


class HttpTransport:
    """A kept connection to one server; opened when first needed, opened anew when the server closed it.

    An exchange is :meth:`send`, or in two halves :meth:`begin` and :meth:`finish`, between which others may be served.

    Args:
        server: the server's address, such as ``https://tablets.example.no``.
        timeout_s: how long a request may take that says nothing of its own.
    """

    def __init__(self, server: str, *, timeout_s: float = REQUEST_S) -> None:
        parts = urlsplit(server)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"not a server's address: {server}")
        self._is_tls = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if self._is_tls else 80)
        self._timeout_s = timeout_s
        self._deadline = _Deadline()
        self._connection = http.client.HTTPConnection(self._host, self._port)
        self._connection.auto_open = 0  # sockets are opened here

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, within_s: float | None = None
    ) -> Response:
        """Send a request. A kept connection that the server closed meanwhile is opened anew once.

        Raises:
            UnreachableError: no answer came.
        """
        given, begun_at = self._timeout_s if within_s is None else within_s, clock.uptime_s()
        is_kept = self._connection.sock is not None
        try:
            self.begin(method, target, headers, body, within_s=given)
            return self.finish()
        except LostError:
            taken = clock.uptime_s() - begun_at
            if not is_kept or taken > _STALE_S:
                raise
        self.begin(method, target, headers, body, within_s=given - taken)
        return self.finish()

    def begin(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, within_s: float
    ) -> None:
        """Send a request, and leave its answer to :meth:`finish`.

        Raises:
            UnreachableError: it could not be sent.
        """
        self._deadline.ends_at = clock.uptime_s() + within_s
        with self._failing():
            if self._connection.sock is None:
                self._connection.sock = self._opened()
            self._connection.request(method, target, body=body, headers=dict(headers))

    def finish(self) -> Response:
        """Return the answer to what was begun.

        Raises:
            UnreachableError: none came.
        """
        with self._failing():
            answer = self._connection.getresponse()
            content = answer.read(MAX_ANSWER_BYTES + 1)
            if len(content) > MAX_ANSWER_BYTES:
                raise http.client.HTTPException("the answer is too large")
            if answer.length:  # what the server said would follow; http.client leaves that to its caller
                raise http.client.HTTPException("the answer was cut off")
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)

    @property
    def ends_at(self) -> float:
        """When the exchange that was begun is over, by :func:`clock.uptime_s`."""
        return self._deadline.ends_at

    def fileno(self) -> int:
        """Return the open connection's number, to be watched between :meth:`begin` and :meth:`finish`."""
        return self._socket.fileno()

    def is_answered(self) -> bool:
        """Whether an answer has begun, or the connection ended: bytes of TLS itself, say, are none."""
        sock = self._socket
        sock.setblocking(False)
        try:
            sock.early += sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:  # finish tells why
            return True
        return True

    @property
    def _socket(self) -> _Socket:
        sock = self._connection.sock
        assert isinstance(sock, _Socket)  # noqa: S101 (no other is ever put there)
        return sock

    def _opened(self) -> _Socket:
        failure: OSError = OSError("the name has no address")
        found = _addresses(self._host, self._port, self._deadline.left_s())
        for place, (family, kind, number, _, address) in enumerate(found):
            sock = _Socket(family, kind, number)
            try:
                sock.settimeout(self._deadline.left_s() / (len(found) - place))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._is_tls:
                    sock.settimeout(self._deadline.left_s())
                    sock = self._wrapped(sock)
            except OSError as error:
                sock.close()
                failure = error
            else:
                sock.deadline = self._deadline
                return sock
        raise failure

    def _wrapped(self, sock: _Socket) -> _Socket:
        wrapped = _tls().wrap_socket(sock, server_hostname=self._host)
        assert isinstance(wrapped, _TlsSocket)  # noqa: S101 (the context says so)
        return wrapped

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Close the connection after whatever goes wrong, and say it as this module does."""
        try:
            yield
        except ConnectionError as error:
            self.close()
            raise LostError(str(error) or type(error).__name__) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UnreachableError(str(error) or type(error).__name__) from None

    def cancel(self) -> None:
        """Have the running request end without an answer within seconds, and later ones at once; for signals."""
        self._deadline.is_cancelled = True

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        with contextlib.suppress(OSError):
            self._connection.close()


def authority_of(server: str) -> str:
    """Return the authority that requests to ``server`` are signed with. Source: RFC 9421 section 2.2.3."""
    parts = urlsplit(server)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else str(parts.hostname)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return host if parts.port in (None, default) else f"{host}:{parts.port}"
