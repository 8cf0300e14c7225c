"""The small server behind a real socket, for agents in processes and threads of their own."""

import contextlib
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.unit.protocol.small_server import SmallServer


class Served:
    """The small server behind a real socket."""

    def __init__(self) -> None:
        self.small = SmallServer(datetime.now(UTC))
        lock = threading.Condition()
        newest = [0]  # number of the newest request to be held

        def hold(seconds: int, etag: str) -> None:
            newest[0] += 1
            mine, end = newest[0], time.monotonic() + seconds
            while self.small.etag == etag and newest[0] == mine and time.monotonic() < end:
                lock.wait(0.01)
            self.small.now = datetime.now(UTC)

        self.small.hold_poll = hold

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(handler) -> None:  # noqa: N805 (self is the one outside)
                length = handler.headers.get("Content-Length")
                body = handler.rfile.read(int(length)) if length else None
                with lock:
                    self.small.now = datetime.now(UTC)
                    response = self.small.send(handler.command, handler.path, dict(handler.headers), body)
                with contextlib.suppress(ConnectionError):  # who asked was killed meanwhile
                    handler.send_response(response.status)
                    for name, value in response.headers.items():
                        handler.send_header(name, value)
                    handler.send_header("Content-Length", str(len(response.body)))
                    handler.end_headers()
                    handler.wfile.write(response.body)

            do_GET = do_POST = answer  # noqa: N815 (the library's names)

            def log_message(self, *_given: object) -> None:
                """Stay quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def wait_for(what: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
