"""How the fleet stands, read for who scrapes: a few statements, each by itself, once in some seconds at most.

Of several servers each tells the same, so whoever adds them up counts twice: ``max`` is right, ``sum`` is not.
"""

import platform
import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from fleet import clock, job_runs, metrics
from fleet.access import Principal
from fleet.alerts import troubles
from fleet.compliance import queries as findings
from fleet.config import Config
from fleet.db import newest_revision, reading
from fleet.devices import queries as devices
from fleet.lessons import occupied
from fleet.mdm import queries as clients

if TYPE_CHECKING:
    from prometheus_client import Metric

FRESH_FOR_S = 15.0
_log = structlog.get_logger("standings")


class Standings:
    """What is read of the fleet, kept for some seconds; asked by one at a time.

    Args:
        app: the application.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._config: Config = app.extensions["fleet_config"]
        self._known: list[Metric] = []
        self._read_at: float | None = None
        kind = "sqlite" if self._config.is_sqlite else "postgresql"
        self._build = metrics.BUILD.told({(newest_revision() or "", platform.python_version(), kind): 1})

    def told(self) -> list["Metric"]:
        """Return how the fleet stands; where the database is away only that."""
        if self._read_at is None or time.monotonic() - self._read_at > FRESH_FOR_S:
            self._known, self._read_at = self._read(), time.monotonic()
        return [self._build, *self._known]

    def away(self) -> list["Metric"]:
        """Return what is told where the database does not answer in time."""
        return [self._build, metrics.DATABASE_UP.told({(): 0})]

    def _read(self) -> list["Metric"]:
        try:
            with self._app.app_context():
                found = list(self._all(clock.now()))
        except SQLAlchemyError as error:
            _log.warning("fleet not read", kind=type(error).__name__)
            return [metrics.DATABASE_UP.told({(): 0})]
        return [metrics.DATABASE_UP.told({(): 1}), *found]

    def _all(self, now: datetime) -> Iterator["Metric"]:
        by = Principal.command_line()
        with reading():
            tablets = devices.totals(by=by, now=now)
        states = ("expected", "pending_approval", "lost", "ready", "waiting", "quiet")
        yield metrics.TABLETS.told({(name.replace("_", "-"),): getattr(tablets, name) for name in states})
        with reading():
            severities, silent = findings.open_in_figures()
        yield metrics.FINDINGS.told({(name.value,): number for name, number in severities.items()})
        yield metrics.SILENT.told({(kind.value,): number for kind, number in silent.items()})
        with reading():
            lessons = occupied.in_figures(now)
        yield metrics.LESSONS.told({(): lessons.running})
        told = {("has-it",): lessons.arrived, ("waits",): lessons.tablets - lessons.arrived}
        yield metrics.LESSON_TABLETS.told(told)
        with reading():
            letters, messages = troubles.in_states(now=now)
        yield metrics.LETTERS.told({(state.value,): number for state, number in letters.items()})
        yield metrics.HOOK_MESSAGES.told({(state.value,): number for state, number in messages.items()})
        with reading():
            due = clients.figures(None).behind
        yield metrics.PUSHES_DUE.told({(): due})
        yield from self._jobs()

    def _jobs(self) -> Iterator["Metric"]:
        timetable = {one.name: one for one in self._app.extensions["fleet_timetable"]}
        with reading():
            last = job_runs.last_successes(timetable)
        yield metrics.JOB_SUCCEEDED.told({(name,): ended_at.timestamp() for name, (_, ended_at) in last.items()})
        due = {
            (name,): timetable[name].following(slot, self._config.timezone).timestamp()
            for name, (slot, _) in last.items()
        }
        yield metrics.JOB_DUE.told(due)
