"""Makes the long reports that people have asked for, one after another in a thread of its own.

Which is whose turn stands in the database (:mod:`fleet.reports.exports`). The rows are read in one reading
transaction; how far it has come is told beside it in short ones.
"""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog
from flask import Flask

from fleet.app.repeating import Repeating
from fleet.config import Config
from fleet.db import reading, transaction
from fleet.errors import FleetError
from fleet.people import accounts
from fleet.reports import definitions, exports, parameters
from fleet.reports.exports import Work
from fleet.reports.writing import EXTENSION, Wish, Writer

_LOOK_S = 2.0
_TELL_EVERY = 500  # rows
_log = structlog.get_logger("exports")


class UnwantedError(Exception):
    """Who asked has taken the wish back, or another has taken the work over."""


class Exporter:
    """Makes files.

    Args:
        app: the application.
        now: the clock.
    """

    def __init__(self, app: Flask, *, now: Callable[[], datetime]) -> None:
        self._app, self._now = app, now
        self._config: Config = app.extensions["fleet_config"]
        self._repeating = Repeating(app, self.work, every_s=_LOOK_S, name="exports")

    def start(self) -> None:
        """Begin."""
        self._repeating.start()

    def stop(self) -> None:
        """End, once the file that is being made is there."""
        self._repeating.stop()

    def work(self) -> None:
        """Make all files that wait."""
        while self.make_one():
            pass

    def make_one(self) -> bool:
        """Make the file that waits longest; whether there was one."""
        with self._app.app_context(), reading():
            is_due = exports.is_due(now=self._now())
        if not is_due:
            return False
        with self._app.app_context(), transaction():
            work = exports.claim(now=self._now())
        if work is None:
            return False
        folder = self._config.exports_dir
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft, path = folder / f"{work.token}.draft", exports.path(folder, work.token)
        try:
            rows = self._write(work, draft)
            size_bytes = draft.stat().st_size
            draft.replace(path)
        except UnwantedError:
            draft.unlink(missing_ok=True)
        except FleetError as error:  # its account may not see it any more
            draft.unlink(missing_ok=True)
            _log.warning("export not made", report=work.report, kind=error.code)
            with self._app.app_context(), transaction():
                exports.fail(work, now=self._now())
        else:
            with self._app.app_context(), transaction():
                is_wanted = exports.finish(work, rows=rows, size_bytes=size_bytes, now=self._now())
            if not is_wanted:
                path.unlink(missing_ok=True)
        return True

    def _write(self, work: Work, draft: Path) -> int:
        """Write the file; returns how many rows it has."""
        now, timezone = self._now(), self._config.timezone
        write: Writer = self._app.extensions[EXTENSION]
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        with self._app.app_context(), reading():
            by = accounts.principal(exports.account_of(work), today=now.astimezone(timezone).date())
            given = parameters.read(work.parameters)
            sheet = definitions.build(work.report, given, by=by, now=now, timezone=timezone)
            write(Wish(sheet, work.format, work.language, draft, now, lambda rows: self._tell(work, rows)))
            return sheet.count

    def _tell(self, work: Work, rows: int) -> None:
        """Say how far it has come, now and then; stop where nobody waits any more."""
        if rows % _TELL_EVERY == 0:
            with self._app.app_context(), transaction():
                is_wanted = exports.tell(work, rows, now=self._now())
            if not is_wanted:
                raise UnwantedError
