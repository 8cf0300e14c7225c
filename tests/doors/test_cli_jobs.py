"""``fleet jobs``: list, run-now and history, as text and as JSON."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import click.testing
import pytest
from click.testing import CliRunner
from flask import Flask

from fleet import clock, job_runs
from fleet.app import create_app
from fleet.cli import main
from fleet.cli.output import Program
from fleet.config import Config
from fleet.db import reading, transaction
from fleet.job_runs import BY_HAND, JobOutcome
from fleet.jobs import runner
from fleet.jobs.timetable import TIMETABLE, Job
from fleet.jobs.when import Every
from tests import factories
from tests.conftest import NOW


def run(app: Flask, *words: str) -> click.testing.Result:
    return CliRunner().invoke(main, ["jobs", *words], obj=Program(lambda: app, lambda: None))


def remember(job: str, *, outcome: JobOutcome = JobOutcome.DONE, at: datetime = NOW, error: str | None = None) -> None:
    with transaction():
        run_id = job_runs.claim(job, at, epoch=BY_HAND, now=at)
        assert run_id is not None
        if outcome is not JobOutcome.RUNNING:
            job_runs.finish(
                run_id, epoch=BY_HAND, outcome=outcome, counts={"tablets": 3, "none": 0}, error=error,
                now=at + timedelta(milliseconds=1250),
            )  # fmt: skip


def test_the_list_says_when_each_job_ran_and_runs_next(app: Flask) -> None:
    remember("ended-assignments")
    remember("expired-orders", outcome=JobOutcome.FAILED, error="RuntimeError")
    before = clock.now()
    rows = {row["name"]: row for row in json.loads(run(app, "list", "--json").output)}
    assert list(rows) == [job.name for job in TIMETABLE]
    row = rows["ended-assignments"]
    assert (row["when"], row["last_run"], row["outcome"]) == ("every minute", NOW.isoformat(), "done")
    assert before < datetime.fromisoformat(row["next"]) <= clock.now().astimezone(UTC) + timedelta(minutes=1)
    assert rows["expired-orders"]["outcome"] == "failed"
    assert (rows["retention"]["last_run"], rows["retention"]["outcome"]) == (None, None)
    assert all(row["what_for"] for row in rows.values())
    shown = run(app, "list").output
    assert "retention" in shown
    assert "daily at 03:30" in shown


def test_a_server_that_runs_no_jobs_names_no_next_time(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    config: Config = app.extensions["fleet_config"]
    off = create_app(environ={"FLEET_DATA_DIR": str(config.data_dir), "FLEET_JOBS": "off"}).extensions["fleet_config"]
    monkeypatch.setitem(app.extensions, "fleet_config", off)
    assert {row["next"] for row in json.loads(run(app, "list", "--json").output)} == {None}


def test_run_now_runs_the_job_and_prints_its_counts(app: Flask) -> None:
    shown = run(app, "run-now", "expired-orders")
    assert (shown.exit_code, shown.output) == (0, "expired-orders: done\norders  0\n")
    told = run(app, "run-now", "expired-orders", "--json")
    assert json.loads(told.output) == {
        "job": "expired-orders", "outcome": "done", "counts": {"orders": 0}, "error": None,
    }  # fmt: skip
    with reading():
        assert [entry.action for entry in factories.audited()] == ["jobs.run-by-hand"] * 2


def test_run_now_of_a_job_that_fails_exits_1_with_one_line(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_now: datetime, _config: Config) -> dict[str, int]:
        raise RuntimeError("Elev Prøve 17")

    failing = Job("failing", "fails", Every(1), fail)
    monkeypatch.setattr(runner, "run_now", partial(runner.run_now, timetable=(failing,)))
    failed = run(app, "run-now", "failing")
    assert (failed.exit_code, failed.stdout) == (1, "failing: failed\n")
    assert failed.stderr.startswith("fleet: RuntimeError at test_cli_jobs.py:")
    assert "Prøve" not in failed.output
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("run-now", "retentoin"), ("history", "retentoin")])
def test_an_unknown_job_is_said_so_with_the_names_there_are(app: Flask, words: tuple[str, ...]) -> None:
    refused = run(app, *words)
    assert refused.exit_code == 3
    assert "retention" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_history_lists_runs_of_one_job_or_all_newest_first(app: Flask) -> None:
    remember("retention")
    remember("expired-orders", outcome=JobOutcome.FAILED, error="RuntimeError", at=NOW + timedelta(minutes=1))
    remember("retention", outcome=JobOutcome.RUNNING, at=NOW + timedelta(minutes=2))
    rows = json.loads(run(app, "history", "--json").output)
    assert [(row["job"], row["outcome"], row["seconds"]) for row in rows] == [
        ("retention", "running", None), ("expired-orders", "failed", 1.25), ("retention", "done", 1.25),
    ]  # fmt: skip
    assert rows[2]["counts"] == {"tablets": 3, "none": 0}
    assert (rows[2]["by_hand"], rows[2]["started_at"]) == (True, NOW.isoformat())
    assert [row["job"] for row in json.loads(run(app, "history", "retention", "--limit", "1", "--json").output)] == [
        "retention"
    ]
    shown = run(app, "history").output
    assert "RuntimeError" in shown
    assert f"{NOW:%Y-%m-%d} 10:15" in shown
    assert "tablets 3" in shown
    assert "none 0" not in shown
