"""Whether any school has school now, for the tablets' rhythm: answered from memory, read again now and then."""

import threading
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from fleet.config import Config
from fleet.db import reading
from fleet.schools import calendar
from fleet.schools.calendar import Calendar

_FRESH_FOR = timedelta(minutes=5)
_SOON = timedelta(minutes=45)  # tablets are taken out of their cupboards before the bell
_log = structlog.get_logger("school-time")


class SchoolTime:
    """Says for an instant whether some school has school; asked at each request, so it never waits for the database.

    Until the calendars are read for the first time every hour counts as a school's: better a poll too many.

    Args:
        app: the application.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        config: Config = app.extensions["fleet_config"]
        self._timezone = config.timezone
        self._calendars: Mapping[int | None, Calendar] | None = None
        self._read_at: datetime | None = None
        self._answers: dict[timedelta, tuple[int, bool]] = {}  # how soon: the last one, and for which second
        self._lock = threading.Lock()

    def __call__(self, now: datetime) -> bool:
        """Return whether some school has school at ``now``; may set off a reading of the calendars elsewhere."""
        return self._is_school_time(now, timedelta(0))

    def is_near(self, now: datetime) -> bool:
        """Return whether some school has school at ``now``, or within three quarters of an hour."""
        return self._is_school_time(now, _SOON)

    def _is_school_time(self, now: datetime, within: timedelta) -> bool:
        second = int(now.timestamp())  # calendars count by it, and thousands ask within one
        known = self._answers.get(within)
        if known is None or known[0] != second:
            calendars = self._fresh(now)
            if calendars is None:
                return True
            known = second, calendar.is_any_school_time(calendars, now, until=now + within)
            self._answers[within] = known
        return known[1]

    def _fresh(self, now: datetime) -> Collection[Calendar] | None:
        if (self._read_at is None or abs(now - self._read_at) > _FRESH_FOR) and self._lock.acquire(blocking=False):
            self._read_at = now
            threading.Thread(target=self._read, name="school-time", daemon=True).start()
        return None if self._calendars is None else self._calendars.values()

    def finish(self) -> None:
        """Wait for a reading that is under way, so that its connection is given back."""
        with self._lock:
            pass

    def _read(self) -> None:
        try:
            with self._app.app_context(), reading():
                self._calendars = calendar.load(self._timezone)
            self._answers = {}
        except SQLAlchemyError as error:  # what was read before still holds, or the next time finds it
            _log.warning("calendars not read", kind=type(error).__name__)
        finally:
            self._lock.release()
