"""What runs the timetable: in every server process, with one lease that lets one of them work.

Invariants: a job's writes and the note that it is done are one transaction, refused once the lease has gone to another
(see :mod:`fleet.job_runs`); a job that fails is noted with its kind of error and ends nothing but itself; after
``stop`` no thread of the runner is left and the lease is free. Logs name jobs and kinds of errors, never their data.
"""

import os
import secrets
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger
from flask import Flask

from fleet import audit, clock, job_runs, metrics
from fleet.access import Permission, Principal, require
from fleet.config import Config
from fleet.db import reading, run_followers, transaction
from fleet.job_runs import BY_HAND, JobOutcome, StaleEpochError
from fleet.jobs.timetable import TIMETABLE, Job, find
from fleet.jobs.when import When

LEASE_LIFE = timedelta(seconds=60)
BEAT = timedelta(seconds=15)
ASKED_EVERY = timedelta(seconds=3)  # who pressed a button looks at the page
_LEASE = "lease"  # the scheduler's name of the beat
_CLOCK_LOOK_S = 5.0  # how often it is seen whether the clock was set back, by one that nobody can set
# A transaction of a suspended process ends by itself about when its lease does.
IDLE_LIMIT = LEASE_LIFE
_WORKERS = 2  # so that a long job does not hold back the ones due each minute
_GRACE_S = 86_400  # however late a job starts, its slot is claimed once; never earlier ones too (coalesced)

Now = Callable[[], datetime]
_log = structlog.get_logger("jobs")


@contextmanager
def _bounded_transaction() -> Iterator[None]:
    with transaction():
        job_runs.limit_idle(IDLE_LIMIT)
        yield


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended: ``error`` names the kind of error where it did not go well, ``where`` the line that raised."""

    outcome: JobOutcome
    counts: dict[str, int]
    error: str | None = None
    where: str | None = None


@dataclass(slots=True)
class _Run:
    """One claimed run: works in bounded transactions and notes how it ended."""

    job: Job
    run_id: int
    epoch: int
    config: Config
    now: Now
    is_stopping: Callable[[], bool]
    counts: Counter[str] = field(default_factory=Counter)

    def work(self) -> Result:
        """Do the job.

        Raises:
            StaleEpochError: the lease has gone to another; what this step did is undone.
        """
        while self._step():
            if self.is_stopping():
                return self.end(JobOutcome.LOST, "stopped")
        return Result(JobOutcome.DONE, dict(self.counts))

    def _step(self) -> bool:
        with _bounded_transaction():
            job_runs.take_job_turn(self.job.name)
            counts = Counter(self.job.step(self.now(), self.config))
            run_followers()  # part of the work, so before the epoch is held: nothing may wait after that
            again = self.job.repeated and any(counts.values())
            if again:
                job_runs.hold_epoch(self.epoch)
            else:
                total = _sum(self.counts, counts)
                job_runs.finish(
                    self.run_id, epoch=self.epoch, outcome=JobOutcome.DONE, counts=total, now=self.now()
                )  # fmt: skip
        self.counts = _sum(self.counts, counts)
        return again

    def end(self, outcome: JobOutcome, error: str, where: str | None = None) -> Result:
        """Note that the run did not get to its end.

        Raises:
            StaleEpochError: the lease has gone to another.
        """
        with _bounded_transaction():
            job_runs.finish(
                self.run_id, epoch=self.epoch, outcome=outcome, counts=self.counts, error=error, now=self.now()
            )
        return Result(outcome, dict(self.counts), error, where)


def _sum(one: Counter[str], other: Counter[str]) -> Counter[str]:
    """Add counts, keeping the zeros that ``+`` drops."""
    return Counter({name: one[name] + other[name] for name in [*one, *(name for name in other if name not in one)]})


def _perform(run: _Run) -> Result:
    try:
        return run.work()
    except StaleEpochError:
        raise  # the new holder has noted the run as lost
    except Exception as error:  # noqa: BLE001 (whatever a job raises is noted and ends only that job)
        place = traceback.extract_tb(error.__traceback__)[-1]
        return run.end(JobOutcome.FAILED, type(error).__name__, f"{Path(place.filename).name}:{place.lineno}")


def run_now(
    app: Flask, name: str, *, by: Principal, now: Now = clock.now, timetable: tuple[Job, ...] = TIMETABLE
) -> Result:
    """Run a job at once, lease or not; waits for a run of the same job that is going on.

    Args:
        app: the application.
        name: the job.
        by: who wants it.
        now: the clock.
        timetable: the jobs there are.

    Raises:
        ForbiddenError: ``by`` may not run jobs.
        NotFoundError: there is no such job.
    """
    require(by, Permission.RUN_JOBS)
    job, began_at = find(name, timetable), now()
    with app.app_context():
        with _bounded_transaction():
            run_id = job_runs.claim_by_hand(name, now=began_at)
            audit.record(by, "jobs.run-by-hand", subject=f"job-run:{run_id}", now=began_at, job=name)
        return _perform(_Run(job, run_id, BY_HAND, app.extensions["fleet_config"], now, lambda: False))


class _Due(BaseTrigger):  # type: ignore[misc]
    """Our rule for when a job is due, as APScheduler asks for it."""

    def __init__(self, when: When, timezone: ZoneInfo) -> None:
        self._when, self._timezone = when, timezone

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return when the job is due after the last time."""
        return self._when.following(previous_fire_time or now, self._timezone)


class Runner:
    """One process's runner.

    Args:
        app: the application, in whose context jobs run.
        timetable: the jobs.
        now: the clock that leases, slots and jobs go by.
        life: for how long the lease is taken.
        beat: how often it is renewed, or tried for.
    """

    def __init__(
        self,
        app: Flask,
        timetable: Sequence[Job] = TIMETABLE,
        *,
        now: Now = clock.now,
        life: timedelta = LEASE_LIFE,
        beat: timedelta = BEAT,
    ) -> None:
        self._app, self._now, self._life = app, now, life
        self._config: Config = app.extensions["fleet_config"]
        self._timetable = tuple(timetable)
        self.holder = f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(8)}"
        self.epoch: int | None = None
        self._stopping = threading.Event()
        self._watching = threading.Thread(target=self._watch_clock, name="clock", daemon=True)
        self._executors = {"default": ThreadPoolExecutor(_WORKERS), "lease": ThreadPoolExecutor(1)}
        self._scheduler: Any = BackgroundScheduler(
            timezone=self._config.timezone,
            executors=self._executors,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": _GRACE_S},
        )
        for job in timetable:
            self._scheduler.add_job(
                partial(self.run, job), _Due(job.when, self._config.timezone), id=job.name, name=job.name
            )
        self._scheduler.add_job(
            self.beat, IntervalTrigger(seconds=beat.total_seconds(), timezone=self._config.timezone),
            name=_LEASE, executor="lease", next_run_time=clock.now(),
        )  # fmt: skip
        self._scheduler.add_job(
            self.run_asked, IntervalTrigger(seconds=ASKED_EVERY.total_seconds(), timezone=self._config.timezone),
            name="asked",
        )  # fmt: skip

    def start(self) -> None:
        """Begin, in threads of its own."""
        self._scheduler.start()
        self._watching.start()

    def stop(self) -> None:
        """End: waits for the step a job is in, then frees the lease."""
        self._stopping.set()
        self._watching.join()
        self._scheduler.pause()
        self._scheduler.get_jobs()  # takes the scheduler's lock: a round that hands out jobs is over after this
        # Before the scheduler's own end, which would wait for the threads with the lock that a beat may need.
        for executor in self._executors.values():
            executor.shutdown(wait=True)
        self._scheduler.shutdown(wait=True)
        with self._last_resort("release"), self._app.app_context(), _bounded_transaction():
            job_runs.release_lease(self.holder, now=self._now())

    def beat(self) -> None:
        """Take or renew the lease; whoever has come to it closes what the last holder left and catches up."""
        with self._last_resort("lease"):
            if self._stopping.is_set():
                return
            now = self._now()
            with self._app.app_context(), _bounded_transaction():
                epoch = job_runs.take_lease(self.holder, now=now, life=self._life)
                is_new = epoch is not None and epoch != self.epoch
                lost = job_runs.mark_lost(now=now) if is_new else 0
                if is_new:  # another's runs: not such as are only of a clock that is a little ahead
                    job_runs.forget_to_come(now=now + job_runs.CLOCKS_APART)
            self.epoch = epoch
            if is_new:
                _log.info("lease taken", epoch=epoch, lost_runs=lost)
                self._have_run(lambda name: name != _LEASE)

    def _have_run(self, which: Callable[[str], bool]) -> None:
        for due in self._scheduler.get_jobs():
            if which(due.name):
                due.modify(next_run_time=clock.now())

    def _watch_clock(self) -> None:
        """Look whether the clock is set back: the scheduler would do nothing until it shows again what it showed."""
        shown = self._now()
        while not self._stopping.wait(_CLOCK_LOOK_S):
            before, shown = shown, self._now()
            if shown < before:
                _log.warning("clock set back", seconds=round((before - shown).total_seconds()))
                with self._last_resort("clock"):
                    self.set_back()

    def set_back(self) -> None:
        """Begin anew at what the clock shows: the lease, and each job's slots."""
        if self.epoch is not None:
            with self._app.app_context(), _bounded_transaction():
                job_runs.hold_epoch(self.epoch)
                job_runs.forget_to_come(now=self._now())
        self._have_run(lambda _name: True)

    def run(self, job: Job) -> Result | None:
        """Run a job's newest slot, unless this process has no lease or the slot was claimed before."""
        epoch = self.epoch
        if epoch is None or self._stopping.is_set():
            return None
        with self._last_resort(job.name), self._app.app_context():
            now = self._now()
            slot = job.when.latest(now, self._config.timezone)
            with _bounded_transaction():
                run_id = job_runs.claim(job.name, slot, epoch=epoch, now=now)
            if run_id is None:
                return None
            return self._perform(job, run_id, epoch)
        return None

    def run_asked(self) -> None:
        """Run what people have asked for, unless this process has no lease."""
        if self.epoch is None or self._stopping.is_set():
            return
        known = {job.name: job for job in self._timetable}
        with self._last_resort("asked"), self._app.app_context():
            with reading():
                waiting = [(run_id, known[name]) for run_id, name in job_runs.asked(now=self._now()) if name in known]
            for run_id, job in waiting:
                with _bounded_transaction():
                    is_ours = not self._stopping.is_set() and job_runs.begin(run_id, now=self._now())
                if is_ours:
                    self._perform(job, run_id, BY_HAND)

    def _perform(self, job: Job, run_id: int, epoch: int) -> Result:
        begun = time.perf_counter()
        with structlog.contextvars.bound_contextvars(job=job.name):  # one that was asked for has another round it
            result = _perform(_Run(job, run_id, epoch, self._config, self._now, self._stopping.is_set))
        metrics.JOB_RUNS.add(1, job.name, result.outcome.value)
        metrics.JOB_WORK.observe(time.perf_counter() - begun, job.name)
        told = {"job": job.name, "outcome": result.outcome.value, "counts": result.counts}
        if result.error is None:  # most runs find nothing to do; the history has them all
            (_log.info if any(result.counts.values()) else _log.debug)("job done", **told)
        else:
            _log.error("job not done", **told, error=result.error, where=result.where)
        return result

    @contextmanager
    def _last_resort(self, what: str) -> Iterator[None]:
        """Keep the runner alive whatever fails in it; the database away, most often."""
        try:
            with structlog.contextvars.bound_contextvars(job=what):  # for whatever is logged meanwhile
                yield
        except StaleEpochError:
            self.epoch = None
            _log.warning("lease lost", job=what)
        except Exception as error:  # noqa: BLE001 (the next beat or slot tries again)
            _log.error("runner failed", job=what, error=type(error).__name__)  # no traceback: it may hold data


def start(app: Flask) -> Callable[[], None]:
    """Start the runner, unless the configuration says that this server runs no jobs; returns what stops it."""
    config: Config = app.extensions["fleet_config"]
    if not config.run_jobs:
        return lambda: None
    runner = Runner(app)
    runner.start()
    return runner.stop
