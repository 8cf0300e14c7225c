"""A small front door, which does what the list that is made for nginx says: each host name to its own servers."""

import http.client
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class FrontDoor:
    """Listens on all of loopback, so that 127.0.0.2, 127.0.0.3 … are host names of municipalities.

    Attributes:
        turned_away: when somebody was asked to come back, since nobody was behind the name.
    """

    def __init__(self, port: int) -> None:
        self.turned_away: list[float] = []
        self._behind: dict[str, str] = {}
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """Hand on."""
                door.hand_on(self)

            do_POST = do_GET  # noqa: N815 (the base class's name)

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_args: Any) -> None:
                """Say nothing of callers who have gone."""

        self._server = Server(("0.0.0.0", port), Handler)  # noqa: S104 (a test's machine, and addresses of loopback)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def read(self, list_: str) -> None:
        """Take in the list of names, as nginx would when it is told to read it again."""
        servers = dict(re.findall(r"^upstream (\S+) \{ server (\S+);", list_, re.MULTILINE))
        names = re.findall(r"^    (\S+) (fleet_\S+);$", list_, re.MULTILINE)
        self._behind = {name: servers[cell] for name, cell in names}

    def hand_on(self, request: BaseHTTPRequestHandler) -> None:
        """Hand one request on and its answer back; 503 while nobody answers."""
        body = request.rfile.read(int(request.headers.get("content-length", 0))) or None
        host = request.headers["host"].partition(":")[0]
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        headers["X-Forwarded-For"] = request.client_address[0]
        connection = http.client.HTTPConnection(self._behind[host], timeout=75)
        try:
            connection.request(request.command, request.path, body, headers)
            answer = connection.getresponse()
            told, status = answer.read(), answer.status
            back = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
        except (OSError, http.client.HTTPException):
            self.turned_away.append(time.monotonic())
            status, back, told = 503, [("Retry-After", "1")], b""
        finally:
            connection.close()
        request.send_response_only(status)
        for name, value in [*back, ("Content-Length", str(len(told)))]:
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(told)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join(30)
        self._server.server_close()
