"""How long one listens to somebody else: for all of an answer, not only between two pieces of it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def within(connected: Callable[[], socket.socket | None], seconds: float) -> Iterator[None]:
    """Hang up where something is not done within that time.

    Args:
        connected: gives the connection, which may become another meanwhile (STARTTLS); None: there is none yet.
        seconds: how long.

    Raises:
        TimeoutError: it was not; what was read until then may look like the end of an answer.
    """
    is_late = threading.Event()

    def hang_up() -> None:
        is_late.set()
        present = connected()
        if present is not None:
            with suppress(OSError):
                socket.socket.shutdown(present, socket.SHUT_RDWR)  # not TLS's own, which whoever reads would trip over

    clock = threading.Timer(seconds, hang_up)
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        clock.cancel()
        if is_late.is_set():  # whatever else was seen of it
            raise TimeoutError
