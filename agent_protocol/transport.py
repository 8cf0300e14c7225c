"""Requests over HTTP/1.1 with a kept connection: the only module of the agent that opens sockets."""

import contextlib
import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from agent_protocol.messages import MAX_BODY_BYTES

MAX_ANSWER_BYTES = 16 * MAX_BODY_BYTES  # effective profiles may be larger than what tablets may send


class UnreachableError(Exception):
    """The server did not answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Sends one request and returns its answer."""

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """Send a request; ``target`` is path and query.

        Raises:
            UnreachableError: no answer came.
        """


class HttpTransport:
    """A kept connection to one server; opened when first needed, opened anew when the server closed it.

    Args:
        server: the server's address, such as ``https://tablets.example.no``.
        timeout_s: how long to wait for connecting and for each read.
    """

    def __init__(self, server: str, *, timeout_s: float = 20) -> None:
        parts = urlsplit(server)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"not a server's address: {server}")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_s)

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """Send a request. A kept connection that the server closed meanwhile is opened anew once.

        Raises:
            UnreachableError: no answer came.
        """
        kept = self._connection.sock is not None
        try:
            return self._send(method, target, headers, body)
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            self.close()
            if not kept:
                raise UnreachableError(str(error) or type(error).__name__) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UnreachableError(str(error) or type(error).__name__) from None
        try:
            return self._send(method, target, headers, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UnreachableError(str(error) or type(error).__name__) from None

    def _send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        self._connection.request(method, target, body=body, headers=dict(headers))
        answer = self._connection.getresponse()
        content = answer.read(MAX_ANSWER_BYTES + 1)
        if len(content) > MAX_ANSWER_BYTES:
            self.close()
            raise UnreachableError("the answer is too large")
        if answer.length:  # what the server said would follow; http.client leaves that to its caller
            self.close()
            raise UnreachableError("the answer was cut off")
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)

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
