"""The server with a clock that can be set and leases that are short; takes the command line's own words.

The clock is the machine's and as many seconds as the file says that ``FAULTS_CLOCK`` names. What goes by it is all of the
server, APScheduler too: what a process of its own would see if somebody set the machine's clock. Waits are by the clock
that nobody can set, as they are there.
"""

import os
import runpy
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path

from apscheduler.executors import base as executors
from apscheduler.schedulers import base as schedulers
from apscheduler.triggers import interval

from fleet import clock

CLOCK = "FAULTS_CLOCK"
LIFE, BEAT = timedelta(seconds=3), timedelta(seconds=1)  # of the jobs' lease


def _ahead() -> timedelta:
    return timedelta(seconds=float(Path(os.environ[CLOCK]).read_text() or 0))


class _Datetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_Datetime":
        return super().now(tz) + _ahead()


def _set_clocks() -> None:
    """Have everything go by the clock that can be set; before anything else takes hold of the real one."""
    real = clock.now
    clock.now = lambda: real() + _ahead()
    for module in (executors, schedulers, interval):
        module.datetime = _Datetime


def _shorten_leases() -> None:
    from fleet.jobs import runner  # noqa: PLC0415 (after the clocks are set)

    runner.IDLE_LIMIT = LIFE
    runner.Runner = partial(runner.Runner, life=LIFE, beat=BEAT)  # type: ignore[misc,assignment]


if __name__ == "__main__":
    _set_clocks()
    _shorten_leases()
    runpy.run_module("fleet", run_name="__main__")
