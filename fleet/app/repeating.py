"""Small work that is done again and again in a thread of its own, the database away or not."""

import threading
from collections.abc import Callable

import structlog
from flask import Flask

_log = structlog.get_logger("repeating")


class Repeating:
    """Does something every so many seconds, and a last time at the end.

    Args:
        app: the application, in whose context it is done.
        work: what to do; where that fails, the next time tries again.
        every_s: how often.
        name: of the thread, and for the log.
    """

    def __init__(self, app: Flask, work: Callable[[], None], *, every_s: float, name: str) -> None:
        self._app, self._work, self._every_s, self._name = app, work, every_s, name
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._is_failing = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once what is being done is done and was done a last time."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._ending.wait(self._every_s)
            try:
                with self._app.app_context():
                    self._work()
                self._is_failing = False
            except Exception as error:  # noqa: BLE001 (most often the database is away; whatever it is, all depend on us)
                if not self._is_failing:  # said once, not several times a second
                    _log.warning("not done", work=self._name, kind=type(error).__name__)
                self._is_failing = True
