"""Waiting requests of many tablets, watched by one thread: a connection each, but no thread each.

Not here: what is sent and what becomes of it.
"""

import contextlib
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable

from agent_protocol import clock
from agent_protocol.transport import HttpTransport

_LOOK_UP_S = 0.5  # how often it is looked for waits whose time is over


class OpenWaits:
    """Requests that were begun, until they are answered or their time is over.

    Args:
        is_over: called with a wait's number when its answer has begun, its connection ended or its time is over:
            finishing it takes no more waiting. Called in the watching thread.
    """

    def __init__(self, is_over: Callable[[int], None]) -> None:
        self._is_over = is_over
        self._new: deque[tuple[int, HttpTransport]] = deque()
        self._stopping = threading.Event()
        self._listener, self._bell = socket.socketpair()
        self._listener.setblocking(False)

    def add(self, number: int, line: HttpTransport) -> None:
        """Watch a request that was begun on ``line``."""
        self._new.append((number, line))
        self._bell.send(b"!")

    def stop(self) -> None:
        """Have :meth:`run` return."""
        self._stopping.set()
        with contextlib.suppress(OSError):  # it has returned by itself
            self._bell.send(b"!")

    def run(self) -> None:
        """Watch until :meth:`stop`."""
        with self._listener, self._bell, selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            next_look_up = 0.0
            while not self._stopping.is_set():
                for key, _ in selector.select(_LOOK_UP_S):
                    if key.data is None:
                        self._listener.recv(4096)
                    elif key.data[1].is_answered():
                        self._end(selector, key)
                while self._new:
                    number, line = self._new.popleft()
                    selector.register(line, selectors.EVENT_READ, (number, line))
                if (now := clock.uptime_s()) >= next_look_up:
                    next_look_up = now + _LOOK_UP_S
                    for key in list(selector.get_map().values()):
                        if key.data is not None and key.data[1].ends_at <= now:
                            self._end(selector, key)

    def _end(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        number, line = key.data
        selector.unregister(line)
        self._is_over(number)
