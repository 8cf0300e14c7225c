"""The faults, by name. Each happens once, under load, and is over when its function returns."""

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from sqlalchemy import make_url, select

from fleet.db import db, reading
from fleet.job_runs import JobLease
from tests.fault_proxy import Harm, Seeded, no_harm
from tests.faults.checks import all_is_well, jobs_run
from tests.faults.world import FaultError, World

BOTH = frozenset({"sqlite", "postgresql"})
_SEED = 8
_TWO_HOURS = timedelta(hours=2)
_STALLS, _STALL_S = 3, 0.3
_NET = {
    Harm.CUT_BEFORE: 0.08, Harm.CUT_AFTER: 0.12, Harm.TRUNCATE: 0.08, Harm.DELAY: 0.05, Harm.TWICE: 0.12,
    Harm.LATE: 0.12,
}  # fmt: skip
_COMMITS = {Harm.CUT_AFTER: 0.25, Harm.CUT_BEFORE: 0.1}
_AT_ONCE = 6  # times that each tablet's last report is sent again
_EACH = 2  # times that each harm is done at least


@dataclass(frozen=True)
class Fault:
    """One of the faults.

    Args:
        what: happens, in words.
        make: has it happen.
        on: which databases it is of.
        on_disk: whether it takes a disk of its own.
    """

    what: str
    make: Callable[[World], None]
    on: frozenset[str] = BOTH
    on_disk: bool = False

    def why_not(self, world: World) -> str | None:
        """Return why it cannot be made in a world, None where it can."""
        if world.kind not in self.on:
            return f"not of {world.kind}"
        if self.on_disk and world.disk is None:
            return "needs the right to mount a file system of its own (root)"
        return None


def run(world: World, name: str) -> None:
    """Have a fault happen once, with orders before and after it, and see that all is well.

    Raises:
        FaultError: it is not.
    """
    world.queue_orders()
    FAULTS[name].make(world)
    world.queue_orders()
    all_is_well(world)


# -- processes ---------------------------------------------------------------------------------------------------


def _kill_worker(world: World) -> None:
    os.kill(world.workers()[0], signal.SIGKILL)


def _kill_server(world: World) -> None:
    world.server.stop(signal.SIGKILL)
    world.server.start()


def _kill_postgresql(world: World) -> None:
    assert world.cluster is not None
    world.cluster.kill()
    world.cluster.start()


def _lease(world: World) -> tuple[int, int]:
    """Return the epoch of the jobs' lease, and the process that has it; zeros while none has."""
    with world.app.app_context(), reading():
        row = db.session.execute(select(JobLease.epoch, JobLease.holder)).first()
    return (row.epoch, int(row.holder.split(":")[1])) if row is not None else (0, 0)


def _held(world: World) -> tuple[int, int]:
    """Wait until one of the processes that serve has the lease; returns its epoch and the process."""
    world.wait("somebody has the jobs' lease", lambda: _lease(world)[1] in world.workers())
    return _lease(world)


def _kill_holder(world: World) -> None:
    epoch, pid = _held(world)
    os.kill(pid, signal.SIGKILL)
    world.wait("another has the jobs' lease", lambda: _lease(world)[0] > epoch)
    jobs_run(world)


def _pause_holder(world: World) -> None:
    epoch, pid = _held(world)
    os.kill(pid, signal.SIGSTOP)
    try:
        if world.kind == "postgresql":
            world.wait("another has the jobs' lease", lambda: _lease(world)[0] > epoch)
            jobs_run(world)
        else:
            time.sleep(1)  # nobody else is there
    finally:
        with suppress(ProcessLookupError):  # gunicorn kills what stands still for a minute
            os.kill(pid, signal.SIGCONT)
    jobs_run(world)


# -- the database's disk -----------------------------------------------------------------------------------------


def _fill_disk(world: World) -> None:
    assert world.disk is not None
    before = world.answers(500) + world.answers(503)  # tablets shall come back later
    world.disk.fill()
    try:
        world.wait("reports fail", lambda: world.answers(500) + world.answers(503) > before)
    finally:
        world.disk.free()
    if world.cluster is not None:
        world.wait("PostgreSQL takes connections", lambda: _is_back(world))


def _is_back(world: World) -> bool:
    """Whether PostgreSQL takes connections; where it has ended, it is started, as its service would be."""
    assert world.cluster is not None
    if not world.cluster.is_running:
        world.cluster.start()
    try:
        psycopg.connect(world.cluster.conninfo("fleet")).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def _stalled(world: World) -> Iterator[None]:
    """Have the database do nothing: its processes stopped, or its one lock held."""
    if world.cluster is not None:
        world.cluster.signal_all(signal.SIGSTOP)
        try:
            yield
        finally:
            world.cluster.signal_all(signal.SIGCONT)
        return
    path = make_url(world.server.url).database or ""
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def _slow_disk(world: World) -> None:
    if world.cluster is not None:
        slow = ("ALTER SYSTEM SET commit_delay = 100000", "ALTER SYSTEM SET commit_siblings = 0")
        world.cluster.execute(*slow, "SELECT pg_reload_conf()")
    for _ in range(_STALLS):
        with _stalled(world):
            time.sleep(_STALL_S)
        world.go_on()
    if world.cluster is not None:
        world.cluster.execute("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")


def _fill_queue(world: World) -> None:
    """Have tablets' last reports sent again, many at once: they are known, but nobody knows that before their turn.

    Raises:
        FaultError: one was not answered as it must be.
    """
    with ThreadPoolExecutor(_AT_ONCE * len(world.tablets)) as pool:
        with _stalled(world):
            told = [pool.submit(tablet.send_again, world.server.address) for tablet in world.tablets * _AT_ONCE]
            world.wait("some are told to come back later", lambda: _statuses(told)[503] > 0)
        world.wait("all are answered", lambda: all(one.done() for one in told))
    found = _statuses(told)
    if found.keys() - {409, 503}:  # replayed, or busy; 200 would have stored a report twice
        raise FaultError(f"known reports were answered {dict(found)}")


def _statuses(told: Sequence[Future[int]]) -> Counter[int]:
    return Counter(one.result() for one in told if one.done())


# -- between -----------------------------------------------------------------------------------------------------


def _harm_requests(world: World) -> None:
    before = world.net.done.copy()
    world.net.plan = Seeded(_SEED, _NET)
    world.queue_orders()
    world.wait("each harm is done", lambda: all(world.net.done[one] >= before[one] + _EACH for one in _NET))
    world.net.plan = no_harm


def _cut_commits(world: World) -> None:
    assert world.commits is not None
    proxy, before = world.commits, world.commits.done.copy()
    proxy.plan = Seeded(_SEED, _COMMITS)
    world.queue_orders()
    world.wait("each harm is done", lambda: all(proxy.done[one] >= before[one] + _EACH for one in _COMMITS))
    proxy.plan = no_harm


def _set_clock(world: World) -> None:
    for ahead in (_TWO_HOURS, -_TWO_HOURS, timedelta(0)):
        world.set_clock(ahead)
        world.queue_orders()
        world.go_on()
        jobs_run(world)
        all_is_well(world)


FAULTS: Mapping[str, Fault] = {
    "worker-killed": Fault("kill -9 of a process that serves", _kill_worker),
    "server-killed": Fault("kill -9 of all of the server's processes, then a start", _kill_server),
    "postgresql-killed": Fault(
        "kill -9 of PostgreSQL's postmaster, then a start, which recovers", _kill_postgresql, frozenset({"postgresql"})
    ),
    "holder-killed": Fault("kill -9 of the process that has the jobs' lease", _kill_holder),
    "holder-paused": Fault(
        "SIGSTOP of the process that has the jobs' lease, SIGCONT once it is another's", _pause_holder
    ),
    "disk-full": Fault("no room on the database's disk", _fill_disk, on_disk=True),
    "disk-slow": Fault("commits that take long, and a database that stands still for moments", _slow_disk),
    "queue-full": Fault("a database that stands still until tablets are turned away", _fill_queue),
    "commits-cut": Fault(
        "connections to PostgreSQL cut at a COMMIT, before it and between it and its answer",
        _cut_commits,
        frozenset({"postgresql"}),
    ),
    "requests-harmed": Fault(
        "tablets' requests cut off, answered by half or not at all, late, twice and out of order", _harm_requests
    ),
    "clock-set": Fault("the server's clock set two hours ahead, then two hours behind, then right", _set_clock),
}
