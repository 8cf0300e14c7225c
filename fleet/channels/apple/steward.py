"""Does the errands with Apple's services, in a thread of its own: they are slow, and none is done in a transaction.

When each is due stands in the database (:mod:`fleet.mdm.errands`), so that of several servers one does it, and one that
is killed loses nothing but time.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Flask

from fleet.db import transaction
from fleet.errors import ReasonError
from fleet.mdm import errands
from fleet.mdm.errands import Turn

_LOOK_S = 10.0
_STOP_S = 5.0
_HOLD = timedelta(minutes=10)
_log = structlog.get_logger("apple")
Memory = Mapping[str, Any]


class ServiceError(ReasonError):
    """A service did not do what was asked of it.

    Args:
        reason: a word or two, without anything secret.
        after: how long it asks to wait; None where it does not.
        memory: what the round has come to know nevertheless; None: nothing.
    """

    def __init__(self, reason: str, *, after: timedelta | None = None, memory: Memory | None = None) -> None:
        super().__init__(reason)
        self.after, self.memory = after, memory


@dataclass(frozen=True, slots=True)
class Errand:
    """Something that is regularly done.

    Args:
        name: which.
        every: how long after one round the next is due.
        run: does a round: gets what the last has left, returns what the next has to know. It opens transactions of its
            own where it needs them, and raises :class:`ServiceError` where the service fails it. None: there is nothing
            to do it with (no token), which is no failure.
    """

    name: str
    every: timedelta
    run: Callable[[Memory], Memory | None]


class Steward:
    """Does errands that are due.

    Args:
        app: the application.
        errands: all there are.
        now: the clock.
    """

    def __init__(self, app: Flask, errands: Sequence[Errand], *, now: Callable[[], datetime]) -> None:
        self._app, self._errands, self._now = app, errands, now
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="steward", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End once what is under way is done; what takes longer is done again by whoever comes next."""
        self._ending.set()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        is_failing = False
        while not self._ending.is_set():
            try:
                for one in self._errands:
                    self.do(one)
                is_failing = False
            except Exception as error:  # noqa: BLE001 (most often the database is away; the next look tries again)
                if not is_failing:
                    _log.warning("errands not done", kind=type(error).__name__)
                is_failing = True
            self._ending.wait(_LOOK_S)

    def do(self, one: Errand) -> bool:
        """Do an errand if it is due; returns whether it was."""
        with self._app.app_context(), transaction():
            turn = errands.take(one.name, hold=_HOLD, now=self._now())
        if turn is None:
            return False
        try:
            memory = one.run(turn.memory)
        except ServiceError as error:
            _log.warning("errand failed", errand=one.name, reason=error.reason)
            self._failed(turn, error.reason, memory=error.memory, after=error.after)
            return True
        except Exception as error:
            self._failed(turn, type(error).__name__, memory=None, after=None)
            raise
        with self._app.app_context(), transaction():
            kept = turn.memory if memory is None else memory
            errands.done(turn, kept, again_at=self._now() + one.every, now=self._now())
        return True

    def _failed(self, turn: Turn, reason: str, *, memory: Memory | None, after: timedelta | None) -> None:
        kept = turn.memory if memory is None else memory
        with self._app.app_context(), transaction():
            errands.failed(turn, reason, memory=kept, after=after, now=self._now())
