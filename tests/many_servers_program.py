"""The server as one of several: a lease of seconds, and a job that each second says in the audit that it ran.

Takes the command line's own words. While the file that the environment names is there, the job waits in the middle of
its work, and says beside it which process that is. As the next release, it brings the database to a shape that today's
program does not know.
"""

import os
import runpy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest import mock
from zoneinfo import ZoneInfo

import alembic.config

from fleet import audit
from fleet import db as database
from fleet.access import Principal
from fleet.config import Config
from fleet.jobs.runner import Runner
from fleet.jobs.timetable import TIMETABLE, Job

PROGRAM = "tests.many_servers_program"
HOLD, NEXT_RELEASE = "HOLD_JOB", "NEXT_RELEASE"
LIFE, BEAT = timedelta(seconds=4), timedelta(seconds=0.5)
JOB, ACTION = "says-so", "job-wrote"
_TODAYS = database.migrations


@dataclass(frozen=True, slots=True)
class EverySecond:
    """Each whole second."""

    def latest(self, now: datetime, timezone: ZoneInfo) -> datetime:  # noqa: ARG002 (a rule in local time needs it)
        """Return the newest slot that is not after ``now``, in UTC."""
        return now.astimezone(UTC).replace(microsecond=0)

    def following(self, now: datetime, timezone: ZoneInfo) -> datetime:
        """Return the first slot after ``now``, in UTC."""
        return self.latest(now, timezone) + timedelta(seconds=1)


def held_by(hold: Path) -> Path:
    """Return the file that says which process is held by another file."""
    return hold.with_suffix(".held")


def say_so(now: datetime, _config: Config) -> Mapping[str, int]:
    """Write a line, and wait before the work is over where that is wanted."""
    audit.record(Principal.job(JOB), ACTION, subject="s", now=now)
    database.db.session.flush()
    hold = Path(os.environ[HOLD])
    if hold.exists():
        held_by(hold).write_text(str(os.getpid()))
    while hold.exists():
        time.sleep(0.05)
    return {"lines": 1}


def with_next_release() -> alembic.config.Config:
    """Return Alembic's configuration of a program that has one more step than today's."""
    settings = _TODAYS()
    folders = [Path(database.__file__).parent / "migrations" / "versions", Path(__file__).parent / "next_release"]
    settings.set_main_option("path_separator", "os")
    settings.set_main_option("version_locations", os.pathsep.join(map(str, folders)))
    return settings


if __name__ == "__main__":
    jobs = (*TIMETABLE, Job(JOB, "tests count its lines", EverySecond(), say_so))
    with (
        mock.patch("fleet.jobs.runner.Runner", partial(Runner, timetable=jobs, life=LIFE, beat=BEAT)),
        mock.patch("fleet.jobs.runner.IDLE_LIMIT", LIFE),
        mock.patch("fleet.db.migrations", with_next_release if os.environ.get(NEXT_RELEASE) else _TODAYS),
    ):
        runpy.run_module("fleet", run_name="__main__")
