"""Makes reports that are files: long ones that people have asked for, and those that go out by mail, one after another.

In a thread of its own. Which is whose turn stands in the database (:mod:`fleet.reports.exports`). The rows are read in
one reading transaction; how far it has come is told beside it in short ones, and no other is open while a file is made.
Reports and letters are areas beside each other, which are joined here: a report is in its letter, and its work is
over, in one transaction.
"""

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from flask import Flask

from fleet.alerts import letters
from fleet.app.repeating import Repeating
from fleet.config import Config
from fleet.db import reading, transaction
from fleet.errors import FleetError, InvalidError
from fleet.people import accounts
from fleet.reports import definitions, exports, parameters
from fleet.reports.exports import Made, Work
from fleet.reports.files import MEDIA_TYPES
from fleet.reports.writing import EXTENSION, Wish, Writer

_LOOK_S = 2.0
_TELL_EVERY = 500  # rows
_log = structlog.get_logger("exports")


class UnwantedError(Exception):
    """Who asked has taken the wish back, or another has taken the work over."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file that is made: where it lies, what it is called, and what of it is told."""

    path: Path
    name: str
    made: Made


class Exporter:
    """Makes files.

    Args:
        app: the application.
        now: the clock.
    """

    def __init__(self, app: Flask, *, now: Callable[[], datetime]) -> None:
        self._app, self._now = app, now
        self._config: Config = app.extensions["fleet_config"]
        self._ending = threading.Event()
        self._repeating = Repeating(app, self.work, every_s=_LOOK_S, name="exports")

    def start(self) -> None:
        """Begin."""
        self._repeating.start()

    def stop(self) -> None:
        """End, once the file that is being made is there; the others wait for whoever comes next."""
        self._ending.set()
        self._repeating.stop()

    def work(self) -> None:
        """Make all files that wait."""
        while not self._ending.is_set() and self.make_one():
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
        try:
            # A folder of its own: what is half made goes with it, also where the disk is full, and is nobody else's.
            with tempfile.TemporaryDirectory(dir=folder) as own:
                self._hand_over(work, self._write(work, Path(own) / "report"))
        except UnwantedError:
            pass
        except FleetError as error:  # its account may not see it any more, or it is too large
            _log.warning("report not made", report=work.report, kind=error.code)
            with self._app.app_context(), transaction():
                exports.fail(work, now=self._now())
        return True

    def _write(self, work: Work, path: Path) -> _File:
        now, timezone = self._now(), self._config.timezone
        write: Writer = self._app.extensions[EXTENSION]
        with self._app.app_context(), reading():
            by = accounts.principal(exports.account_of(work), today=now.astimezone(timezone).date())
            given = parameters.read(work.parameters)
            sheet = definitions.build(work.report, given, by=by, now=now, timezone=timezone)
            name = write(Wish(sheet, work.format, work.language, path, now, lambda rows: self._tell(work, rows)))
            return _File(path, name, Made(sheet.count, path.stat().st_size, definitions.reach(given, by)))

    def _hand_over(self, work: Work, file: _File) -> None:
        """Lay the file where it is fetched from, or put it into its letter."""
        if work.schedule_id is not None:
            self._mail(work, file)
            return
        file.path.chmod(0o600)
        with self._app.app_context(), transaction():
            if exports.finish(work, file.made, now=self._now()):
                file.path.replace(exports.path(self._config.exports_dir, work.token))

    def _mail(self, work: Work, file: _File) -> None:
        if file.made.size_bytes > letters.MAX_FILE_BYTES:
            raise InvalidError(kind="report", reason="size", expected=f"at most {letters.MAX_FILE_BYTES} bytes")
        report = letters.Report(
            f"report.{work.report}", file.name, MEDIA_TYPES[work.format], file.path.read_bytes(), file.made.reach
        )
        with self._app.app_context(), transaction():
            if exports.finish_letter(work, now=self._now()):
                letters.queue_report(work.account_id, report, now=self._now())

    def _tell(self, work: Work, rows: int) -> None:
        """Say how far it has come, now and then; stop where nobody waits any more."""
        if rows % _TELL_EVERY == 0:
            with self._app.app_context(), transaction():
                is_wanted = exports.tell(work, rows, now=self._now())
            if not is_wanted:
                raise UnwantedError
