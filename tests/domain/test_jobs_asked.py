"""Runs that people ask for at a door beside the jobs: who may, once each, and that the runner with the lease does them."""

import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from fleet import clock, job_runs
from fleet.access import Grant, Principal, Role
from fleet.config import Config
from fleet.db import reading, transaction
from fleet.errors import ForbiddenError
from fleet.job_runs import BY_HAND, JobOutcome
from fleet.jobs import runner as subject
from fleet.jobs.runner import Runner
from fleet.jobs.timetable import TIMETABLE, Job, scheduled
from fleet.jobs.when import Every
from tests import factories
from tests.conftest import NOW

BY = Principal("account", "7", grants=(Grant(Role.MUNICIPAL_ADMIN, None),))
DAY = timedelta(days=1)


def ask(job: str = "work", *, now: datetime = NOW, by: Principal = BY) -> int:
    with transaction():
        return job_runs.ask(job, by=by, now=now)


def the_run(run_id: int) -> tuple[JobOutcome, dict[str, Any], str | None, int]:
    with reading():
        run = next(run for run in job_runs.runs() if run.id == run_id)
        return run.outcome, run.counts, run.error, run.epoch


def a_runner(app: Flask, *jobs: Job) -> Runner:
    found = Runner(app, jobs, now=lambda: NOW)
    found.beat()
    return found


def work(_now: datetime, _config: Config) -> dict[str, int]:
    return {"things": 3}


def fail(_now: datetime, _config: Config) -> dict[str, int]:
    raise RuntimeError("Elev Prøve 17")


WORK = Job("work", "works", Every(1), work)


def test_what_is_asked_for_is_run_once_by_who_has_the_lease(app: Flask) -> None:
    one = a_runner(app, WORK)
    other = Runner(app, [WORK], now=lambda: NOW)
    other.beat()
    run_id = ask()
    other.run_asked()
    assert the_run(run_id)[0] is JobOutcome.ASKED
    one.run_asked()
    assert the_run(run_id) == (JobOutcome.DONE, {"things": 3}, None, BY_HAND)
    one.run_asked()
    with reading():
        assert len(job_runs.runs()) == 1


def test_who_asks_again_while_it_waits_asks_for_the_same_run(app: Flask) -> None:
    first = ask()
    assert ask(now=NOW + timedelta(seconds=1)) == first
    assert ask("other") != first
    a_runner(app, WORK).run_asked()
    assert ask() != first
    with reading():
        lines = factories.audited(action="jobs.run-by-hand")
    assert [(line.actor_id, line.fields["job"]) for line in lines] == [("7", "work"), ("7", "other"), ("7", "work")]
    assert lines[-1].subject == f"job-run:{first}"


def test_only_who_may_run_jobs_asks(app: Flask) -> None:
    with pytest.raises(ForbiddenError):
        ask(by=Principal("account", "8", grants=(Grant(Role.SCHOOL_IT, None),)))
    with reading():
        assert job_runs.runs() == []


def test_a_run_begins_once(app: Flask) -> None:
    run_id = ask()
    with transaction():
        assert job_runs.begin(run_id, now=NOW)
        assert not job_runs.begin(run_id, now=NOW)


def test_what_fails_is_noted_and_the_next_is_run(app: Flask) -> None:
    failing = ask("fail")
    working = ask()
    a_runner(app, Job("fail", "fails", Every(1), fail), WORK).run_asked()
    assert the_run(failing) == (JobOutcome.FAILED, {}, "RuntimeError", BY_HAND)
    assert the_run(working)[0] is JobOutcome.DONE


def test_what_nobody_runs_within_a_day_is_given_up(app: Flask) -> None:
    run_id = ask("job-of-another-version")
    a_runner(app, WORK).run_asked()
    assert the_run(run_id)[0] is JobOutcome.ASKED
    with transaction():
        assert job_runs.asked(now=NOW + DAY) == []
        assert job_runs.mark_lost(now=NOW + DAY) == 1
    assert the_run(run_id)[0] is JobOutcome.LOST


def test_looking_who_waits_is_one_statement(app: Flask, statements: list[str]) -> None:
    runner = a_runner(app, WORK)
    statements.clear()
    runner.run_asked()
    assert len(statements) == 1


def test_doors_see_each_line_of_the_timetable_with_when_it_is_due(app: Flask) -> None:
    config: Config = app.extensions["fleet_config"]
    told = {one.name: one for one in app.extensions["fleet_timetable"]}
    assert list(told) == [job.name for job in TIMETABLE] == [one.name for one in scheduled()]
    for job in TIMETABLE:
        one = told[job.name]
        assert one.following(NOW, config.timezone) == job.when.following(NOW, config.timezone) > NOW
        assert (one.every_minutes is None) != (one.daily_at is None)


def test_runner_looks_by_itself_within_seconds(own_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "ASKED_EVERY", timedelta(seconds=0.2))
    runner = Runner(own_app, [WORK])
    runner.start()
    try:
        with own_app.app_context():
            with transaction():
                from_now = job_runs.ask("work", by=BY, now=clock.now())
            until = time.monotonic() + 20
            while the_run(from_now)[0] is not JobOutcome.DONE:
                assert time.monotonic() < until
                time.sleep(0.1)
    finally:
        runner.stop()
