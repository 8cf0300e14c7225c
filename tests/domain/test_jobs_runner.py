"""The runner: one of many works, once per slot; failures and lost leases end nothing but the run; stopping is clean."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from structlog.testing import capture_logs

from fleet import audit, clock, job_runs
from fleet.access import Principal
from fleet.app import create_app
from fleet.config import Config
from fleet.db import changed, db, reading, transaction
from fleet.devices.models import DeviceState
from fleet.errors import ForbiddenError, NotFoundError
from fleet.job_runs import JobOutcome, JobRun, StaleEpochError
from fleet.jobs import runner as subject
from fleet.jobs.runner import Runner, run_now
from fleet.jobs.timetable import Job
from fleet.jobs.when import Every
from tests import factories, postgres
from tests.conftest import NOW

CLI = Principal.command_line()
LIFE = timedelta(seconds=60)


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at


def write(now: datetime, _config: Config) -> dict[str, int]:
    audit.record(Principal.job("write"), "job-wrote", subject="s", now=now)
    return {"lines": 1}


def fail(now: datetime, config: Config) -> dict[str, int]:
    write(now, config)
    raise RuntimeError("Elev Prøve 17")  # what a library's error might quote


@dataclass
class Steps:
    """A step that finds so many things, one at a time."""

    left: int
    after_each: Callable[[], None] = lambda: None
    seen: list[datetime] = field(default_factory=list)

    def __call__(self, now: datetime, config: Config) -> dict[str, int]:
        self.seen.append(now)
        if not self.left:
            return {"lines": 0}
        self.left -= 1
        write(now, config)
        self.after_each()
        return {"lines": 1}


WRITE = Job("write", "writes a line", Every(1), write)
FAIL = Job("fail", "fails", Every(1), fail)


def lines() -> int:
    with reading():
        return len(factories.audited(1000, action="job-wrote"))


def last_run() -> JobRun:
    return job_runs.runs(limit=1)[0]


@pytest.fixture
def moved(app: Flask) -> Clock:
    return Clock()


@pytest.fixture
def one(app: Flask, moved: Clock) -> Runner:
    found = Runner(app, [WRITE], now=moved)
    found.beat()
    return found


def test_the_holder_runs_a_slot_once_and_notes_what_it_did(one: Runner, moved: Clock) -> None:
    first, again = one.run(WRITE), one.run(WRITE)
    assert first is not None
    assert (first.outcome, first.counts, again) == (JobOutcome.DONE, {"lines": 1}, None)
    run = last_run()
    assert (run.job, run.slot, run.epoch, run.outcome, run.counts) == ("write", NOW, 1, JobOutcome.DONE, {"lines": 1})
    moved.at = NOW + timedelta(seconds=59)
    assert one.run(WRITE) is None
    moved.at = NOW + timedelta(seconds=60)
    assert one.run(WRITE) is not None
    assert lines() == 2


def test_without_the_lease_nothing_runs(app: Flask, one: Runner, moved: Clock) -> None:
    two = Runner(app, [WRITE], now=moved)
    assert two.run(WRITE) is None
    two.beat()
    assert (two.epoch, two.run(WRITE), lines()) == (None, None, 0)


def test_a_slot_that_the_last_holder_ran_is_not_run_again(app: Flask, one: Runner, moved: Clock) -> None:
    one.run(WRITE)
    two = Runner(app, [WRITE], now=Clock(NOW + LIFE))
    two.beat()
    assert two.epoch == 2
    two._now = moved  # a server whose clock is behind sees the old slot
    assert two.run(WRITE) is None
    assert lines() == 1


def test_a_server_whose_clock_is_ahead_takes_the_lease_and_keeps_it(app: Flask, one: Runner, moved: Clock) -> None:
    ahead = Runner(app, [WRITE], now=Clock(NOW + timedelta(minutes=5)))
    ahead.beat()
    one.beat()
    assert (one.epoch, ahead.epoch) == (None, 2)
    ahead.beat()
    assert ahead.epoch == 2


def test_a_runner_that_slept_past_its_lease_starts_nothing(app: Flask, one: Runner) -> None:
    Runner(app, [WRITE], now=Clock(NOW + LIFE)).beat()
    before = one.epoch  # it does not know yet
    with capture_logs() as logs:
        assert one.run(WRITE) is None
    assert [entry["event"] for entry in logs] == ["lease lost"]
    assert (before, one.epoch, lines(), job_runs.runs()) == (1, None, 0, [])


def test_a_runner_stopped_in_a_run_cannot_write_when_it_wakes(app: Flask, one: Runner, moved: Clock) -> None:
    with transaction():
        run_id = job_runs.claim("write", NOW, epoch=1, now=NOW)
    assert run_id is not None
    two = Runner(app, [WRITE], now=Clock(NOW + LIFE))
    two.beat()  # closes what one left
    woken = subject._Run(WRITE, run_id, 1, app.extensions["fleet_config"], moved, lambda: False)
    with pytest.raises(StaleEpochError):
        subject._perform(woken)
    assert lines() == 0
    assert last_run().outcome is JobOutcome.LOST


def test_a_runner_stopped_between_two_steps_keeps_the_first_and_loses_the_second(app: Flask, one: Runner) -> None:
    two = Runner(app, [WRITE], now=Clock(NOW + LIFE))

    def sleep() -> bool:  # asked between the steps
        two.beat()
        return False

    with transaction():
        run_id = job_runs.claim("write", NOW, epoch=1, now=NOW)
    assert run_id is not None
    job = replace(WRITE, step=Steps(3), repeated=True)
    with pytest.raises(StaleEpochError):
        subject._Run(job, run_id, 1, app.extensions["fleet_config"], Clock(), sleep).work()
    assert lines() == 1


def test_a_job_that_fails_is_noted_without_data_and_undone(one: Runner, moved: Clock) -> None:
    with capture_logs() as logs:
        failed = one.run(FAIL)
    assert failed is not None
    assert (failed.outcome, failed.error) == (JobOutcome.FAILED, "RuntimeError")
    assert failed.where is not None
    assert failed.where.startswith("test_jobs_runner.py:")
    assert (last_run().outcome, last_run().error, last_run().ended_at) == (JobOutcome.FAILED, "RuntimeError", NOW)
    assert lines() == 0
    assert [(entry["log_level"], entry["job"], entry["error"]) for entry in logs] == [("error", "fail", "RuntimeError")]
    assert "Prøve" not in str(logs)
    assert one.run(WRITE) is not None


def test_a_repeated_job_goes_on_until_nothing_is_left_each_time_in_its_own_transaction(one: Runner) -> None:
    steps = Steps(3)
    done = one.run(Job("many", "much to do", Every(1), steps, repeated=True))
    assert done is not None
    assert (done.counts, last_run().counts, len(steps.seen), lines()) == ({"lines": 3}, {"lines": 3}, 4, 3)


def test_what_a_repeated_job_had_done_before_it_failed_is_told(one: Runner) -> None:
    def fail_at_the_second() -> None:
        if steps.left == 1:
            raise ValueError

    steps = Steps(3, fail_at_the_second)
    failed = one.run(Job("many", "much to do", Every(1), steps, repeated=True))
    assert failed is not None
    assert (failed.outcome, failed.counts, last_run().counts, lines()) == (
        JobOutcome.FAILED,
        {"lines": 1},
        {"lines": 1},
        1,
    )


def test_a_job_that_is_not_repeated_has_one_step(one: Runner) -> None:
    steps = Steps(3)
    one.run(Job("once", "a little to do", Every(1), steps))
    assert len(steps.seen) == 1


def test_stopping_ends_a_repeated_job_between_two_steps(one: Runner) -> None:
    steps = Steps(3, one._stopping.set)
    stopped = one.run(Job("many", "much to do", Every(1), steps, repeated=True))
    assert stopped is not None
    assert (stopped.outcome, stopped.error, stopped.counts, lines()) == (JobOutcome.LOST, "stopped", {"lines": 1}, 1)
    assert (last_run().outcome, last_run().error) == (JobOutcome.LOST, "stopped")
    assert one.run(WRITE) is None
    one.beat()
    assert one.epoch == 1  # no beat after the stop


def test_what_follows_a_change_is_part_of_the_run(app: Flask, one: Runner) -> None:
    with transaction():
        tablet = factories.device(factories.school()).id

    def move(now: datetime, _config: Config) -> dict[str, int]:
        changed("device", [tablet], now=now)
        return {"moved": 1}

    one.run(Job("move", "moves", Every(1), move))
    with reading():
        assert db.session.get_one(DeviceState, tablet).schedule_digest is not None


def test_counts_that_are_zero_are_told(one: Runner) -> None:
    done = one.run(Job("idle", "nothing", Every(1), lambda _now, _config: {"things": 0}))
    assert done is not None
    assert done.counts == {"things": 0}


def test_run_by_hand_needs_no_lease_and_leaves_an_audit_line(app: Flask) -> None:
    done = run_now(app, "write", by=CLI, now=Clock(), timetable=(WRITE,))
    assert (done.outcome, done.counts) == (JobOutcome.DONE, {"lines": 1})
    run = last_run()
    assert (run.epoch, run.slot, run.outcome) == (job_runs.BY_HAND, NOW, JobOutcome.DONE)
    (entry,) = factories.audited(action="jobs.run-by-hand")
    assert (entry.subject, entry.fields, entry.actor_kind) == (f"job-run:{run.id}", {"job": "write"}, "cli")


def test_run_by_hand_at_the_very_instant_of_another_run_is_a_run_of_its_own(app: Flask, one: Runner) -> None:
    one.run(WRITE)
    for _ in range(2):
        assert run_now(app, "write", by=CLI, now=Clock(), timetable=(WRITE,)).outcome is JobOutcome.DONE
    assert (lines(), len({run.slot for run in job_runs.runs()})) == (3, 3)


def test_run_by_hand_tells_a_failure(app: Flask) -> None:
    failed = run_now(app, "fail", by=CLI, now=Clock(), timetable=(FAIL,))
    assert (failed.outcome, failed.error, last_run().outcome) == (JobOutcome.FAILED, "RuntimeError", JobOutcome.FAILED)


def test_only_who_may_runs_jobs_by_hand_and_only_jobs_there_are(app: Flask) -> None:
    with pytest.raises(ForbiddenError):
        run_now(app, "write", by=Principal("account", "1"), timetable=(WRITE,))
    with pytest.raises(NotFoundError) as refused:
        run_now(app, "wirte", by=CLI, timetable=(WRITE,))
    assert refused.value.data["known"] == ["write"]
    assert job_runs.runs() == []


# With threads, connections and processes of their own.


@dataclass(frozen=True)
class EachTenth:
    """Due ten times a second."""

    def latest(self, now: datetime, timezone: ZoneInfo) -> datetime:  # noqa: ARG002 (the protocol has it)
        return datetime.fromtimestamp(int(now.timestamp() * 10) / 10, UTC)

    def following(self, now: datetime, timezone: ZoneInfo) -> datetime:
        return self.latest(now, timezone) + timedelta(milliseconds=100)


OFTEN = Job("write", "writes a line", EachTenth(), write)
SHORT: dict[str, Any] = {"life": timedelta(seconds=2), "beat": timedelta(seconds=0.2)}


def until(holds: Callable[[], bool], *, within_s: float = 60) -> None:
    for _ in range(int(within_s / 0.02)):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to hold")


@pytest.fixture
def make_app(fresh_url: str, tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    made: list[Flask] = []

    def make(**environ: str) -> Flask:
        told = {"FLEET_DATABASE_URL": fresh_url, "FLEET_DATA_DIR": str(tmp_path), **environ}
        made.append(create_app(environ=told))
        return made[-1]

    yield make
    for app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def done_runs(app: Flask) -> int:
    with app.app_context(), reading():
        return len([run for run in job_runs.runs(limit=1000) if run.outcome is JobOutcome.DONE])


def test_four_runners_run_each_slot_once_and_the_next_takes_over(make_app: Callable[..., Flask]) -> None:
    apps = [make_app() for _ in range(4)]
    runners = [Runner(app, [OFTEN], **SHORT) for app in apps]
    threads = set(threading.enumerate())
    for runner in runners:
        runner.start()
    until(lambda: done_runs(apps[0]) >= 5)
    (holder,) = [runner for runner in runners if runner.epoch is not None]
    holder.stop()
    before = done_runs(apps[0])
    until(lambda: done_runs(apps[0]) >= before + 5)
    for runner in runners:
        if runner is not holder:
            runner.stop()
    assert set(threading.enumerate()) == threads
    with apps[0].app_context(), reading():
        runs = job_runs.runs(limit=1000)
        assert len({run.slot for run in runs}) == len(runs)
        assert {run.outcome for run in runs} == {JobOutcome.DONE}
        assert {run.epoch for run in runs} >= {1, 2}
        assert len(factories.audited(1000, action="job-wrote")) == len(runs)


def test_jobs_go_on_at_once_where_the_clock_is_set_back(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "_CLOCK_LOOK_S", 0.02)
    app, moved = make_app(), Clock()

    def slots() -> list[datetime]:
        with app.app_context(), reading():
            return [run.slot for run in job_runs.runs() if run.outcome is JobOutcome.DONE]

    runner = Runner(app, [replace(WRITE, when=Every(60 * 24))], now=moved)
    day = runner._timetable[0].when.latest(NOW, ZoneInfo("UTC"))
    runner.start()
    try:
        until(lambda: slots() == [day])
        for days in (-1, -2):
            moved.at = NOW + timedelta(days=days)
            until(lambda day=day + timedelta(days=days): slots() == [day])  # type: ignore[misc]
    finally:
        runner.stop()


def test_a_new_holder_runs_what_another_ran_whose_clock_was_hours_ahead(app: Flask, one: Runner, moved: Clock) -> None:
    moved.at = NOW + timedelta(hours=2)
    one.beat()
    one.run(WRITE)
    two = Runner(app, [WRITE], now=moved)
    moved.at = NOW
    two.beat()
    moved.at = NOW + timedelta(hours=2)
    assert two.epoch == 2
    assert two.run(WRITE) is not None


def test_stopping_waits_for_the_running_job_and_frees_the_lease(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    begun, go_on = threading.Event(), threading.Event()

    def slow(now: datetime, config: Config) -> dict[str, int]:
        begun.set()
        assert go_on.wait(20)
        return write(now, config)

    runner = Runner(app, [Job("slow", "takes its time", Every(1), slow)])
    threads = set(threading.enumerate())
    runner.start()
    assert begun.wait(20)
    stopping = threading.Thread(target=runner.stop)
    stopping.start()
    stopping.join(0.3)
    assert stopping.is_alive()
    go_on.set()
    stopping.join(20)
    assert set(threading.enumerate()) <= threads
    with app.app_context():
        assert (last_run().outcome, lines()) == (JobOutcome.DONE, 1)
        with transaction():
            assert job_runs.take_lease("next", now=clock.now(), life=LIFE) == 2


def test_a_new_holder_catches_up_with_what_is_due_only_tomorrow_again(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    runner = Runner(app, [Job("write", "writes a line", Every(1440), write)])
    runner.start()
    until(lambda: done_runs(app) == 1)
    runner.stop()
    again = Runner(app, [Job("write", "writes a line", Every(1440), write)])
    again.start()
    until(lambda: again.epoch == 2)
    again.stop()
    assert done_runs(app) == 1


def test_a_runner_lives_through_failing_jobs_and_a_database_that_is_away(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    app = make_app()
    runner = Runner(app, [replace(FAIL, when=EachTenth()), OFTEN], **SHORT)
    runner.start()
    until(lambda: done_runs(app) >= 3)
    runner.stop()
    with app.app_context(), reading():
        assert job_runs.latest_by_job(["fail"])["fail"].outcome is JobOutcome.FAILED

    away = make_app(FLEET_DATABASE_URL=f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    without = Runner(away, [OFTEN], **SHORT)
    with capture_logs() as logs:
        without.beat()
    assert [(entry["event"], entry["error"]) for entry in logs] == [("runner failed", "OperationalError")]
    assert without.epoch is None


def test_the_server_starts_the_runner_unless_it_is_told_not_to(make_app: Callable[..., Flask]) -> None:
    threads = set(threading.enumerate())
    off = make_app(FLEET_JOBS="off")
    subject.start(off)()
    on = make_app()
    stop = subject.start(on)
    until(lambda: {*job_names(on)} >= {"ended-assignments", "retention"})
    stop()
    assert set(threading.enumerate()) == threads


def job_names(app: Flask) -> list[str]:
    with app.app_context(), reading():
        return [run.job for run in job_runs.runs(limit=1000) if run.outcome is JobOutcome.DONE]


def test_two_runs_of_a_job_do_not_work_at_once(make_app: Callable[..., Flask]) -> None:
    app, inside = make_app(), []

    def alone(now: datetime, config: Config) -> dict[str, int]:
        inside.append(1)
        assert len(inside) == 1
        time.sleep(0.2)
        inside.pop()
        return {}

    job = Job("alone", "must be alone", Every(1), alone)
    outcomes: list[JobOutcome] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(run_now(app, "alone", by=CLI, timetable=(job,)).outcome))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes == [JobOutcome.DONE] * 3


_SUSPENDED = """
import sys, time
from datetime import timedelta
from pathlib import Path
from fleet import audit, job_runs
from fleet.access import Principal
from fleet.app import create_app
from fleet.jobs.runner import Runner
from fleet.jobs.timetable import Job
from fleet.jobs.when import Every

mark = Path(sys.argv[1])

def slow(now, config):
    audit.record(Principal.job("slow"), "job-wrote", subject="s", now=now)
    mark.touch()
    time.sleep(1)
    return {"lines": 1}

app = create_app()
runner = Runner(app, [])
runner.beat()
print(runner.run(Job("slow", "takes its time", Every(1), slow)), runner.epoch)
"""


def test_a_process_that_was_suspended_past_its_lease_writes_nothing(
    postgres_server: postgres.Server, postgres_template: str, tmp_path: Path
) -> None:
    """SIGSTOP in the middle of a transaction, another takes over, SIGCONT. With SQLite one process has the file."""
    url = postgres_server.url(postgres_server.create(template=postgres_template))
    environ = {"FLEET_DATABASE_URL": url, "FLEET_DATA_DIR": str(tmp_path)}
    mark, root = tmp_path / "in-the-middle", Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", _SUSPENDED, str(mark)], cwd=root, env={**os.environ, **environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(mark.exists)
        process.send_signal(signal.SIGSTOP)
        app = create_app(environ=environ)
        after = Runner(app, [WRITE], now=lambda: clock.now() + timedelta(minutes=2))
        after.beat()
        assert after.epoch == 2
        process.send_signal(signal.SIGCONT)
        told, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert told.splitlines()[-1] == "None None"
    with app.app_context():
        assert (lines(), last_run().job, last_run().outcome) == (0, "slow", JobOutcome.LOST)
        db.session.remove()
        db.engine.dispose()
