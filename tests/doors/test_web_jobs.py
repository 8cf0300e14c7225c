"""The jobs' pages: the timetable in words, a job's history by the page, and having one run now."""

import re
from collections.abc import Sequence
from datetime import timedelta

import pytest
from flask import Flask

from fleet import audit, clock, job_runs
from fleet.access import Principal
from fleet.db import db, transaction
from fleet.job_runs import BY_HAND, JobOutcome, JobRun
from fleet.jobs.runner import Runner, run_now
from fleet.jobs.timetable import TIMETABLE
from fleet.web import words_jobs
from fleet.web.pages import PAGE_SIZE
from tests import visiting
from tests.doors.test_web_pages import words
from tests.visiting import Visitor, World

CLI = Principal.command_line()


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    assert visitor.sign_in("admin").status_code == 303
    return visitor


def runs(app: Flask, job: str, outcomes: Sequence[JobOutcome], *, epoch: int = 7, **counts: int) -> list[int]:
    """Write runs of a job that began a second after each other, the last one now; returns their ids."""
    now = clock.now().replace(hour=10, minute=0)  # so that all are of one day
    with app.app_context(), transaction():
        made = [
            JobRun(
                job=job, slot=at, epoch=epoch, outcome=outcome, started_at=at,
                ended_at=at + timedelta(seconds=90), counts=counts,
                error="OperationalError" if outcome is JobOutcome.FAILED else None,
            )
            for number, outcome in enumerate(outcomes)
            for at in [now - timedelta(seconds=len(outcomes) - number)]
        ]  # fmt: skip
        for run in made:
            db.session.add(run)
            db.session.flush()
        return [run.id for run in made]


def shown(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'<tr id="run-(\d+)"', page)]


def test_every_job_has_words_and_so_has_every_number_that_it_counts(app: Flask) -> None:
    assert words_jobs.JOBS.keys() == {job.name for job in TIMETABLE}
    counted = {(job.name, count) for job in TIMETABLE for count in run_now(app, job.name, by=CLI).counts}
    assert counted == words_jobs.COUNTS.keys()


def test_timetable_says_of_every_job_what_it_is_for_and_how_it_went(app: Flask, admin: Visitor) -> None:
    runs(app, "expired-orders", [JobOutcome.DONE], orders=3)
    page = admin.get("/jobs").text
    assert re.findall(r'<tr id="job-([\w-]+)">', page) == [job.name for job in TIMETABLE]
    assert "3 ordre lukket" in words(page)
    assert "Alle jobbene gikk bra sist de kjørte." in words(page)
    assert page.count("Har ikke kjørt ennå") == len(TIMETABLE) - 1


def test_job_that_failed_is_told_above_the_timetable_and_leads_to_why(app: Flask, admin: Visitor) -> None:
    runs(app, "retention", [JobOutcome.DONE, JobOutcome.FAILED])
    runs(app, "due-reviews", [JobOutcome.FAILED, JobOutcome.DONE])
    page = admin.get("/jobs").text
    alert = page.partition('data-color="danger" role="status">')[2].partition("</div>")[0]
    assert re.findall(r'href="/jobs/([\w-]+)"', alert) == ["retention"]
    assert "OperationalError" in admin.get("/jobs/retention").text


def test_history_is_paged_by_the_oldest_run_shown_and_loses_none(app: Flask, admin: Visitor) -> None:
    made = runs(app, "silent-tablets", [JobOutcome.DONE] * (PAGE_SIZE + 3), tablets=1)
    page = admin.get("/jobs/silent-tablets").text
    assert shown(page) == made[:2:-1]
    address = re.search(r'rel="next" href="([^"]+)"', page)
    assert address is not None
    rest = admin.get(address[1]).text
    assert shown(rest) == made[2::-1]
    assert 'rel="next"' not in rest
    assert "De nyeste" in words(rest)


def test_runs_that_found_nothing_are_one_line_and_others_stand_alone(app: Flask, admin: Visitor) -> None:
    quiet = runs(app, "due-reviews", [JobOutcome.DONE] * 4, tablets=0)
    loud = runs(app, "due-reviews", [JobOutcome.FAILED])
    by_hand = runs(app, "due-reviews", [JobOutcome.DONE], epoch=BY_HAND)
    page = admin.get("/jobs/due-reviews").text
    assert shown(page) == [*by_hand, *loud, quiet[0]]
    assert "4 kjøringer uten noe å gjøre" in words(page)
    only = admin.get("/jobs/due-reviews?only=trouble").text
    assert shown(only) == loud
    assert "Ingen kjøring gikk galt." in words(admin.get("/jobs/retention?only=trouble").text)


def test_run_now_asks_for_one_run_which_the_runner_does(app: Flask, admin: Visitor) -> None:
    for _twice in range(2):
        answer = admin.post("/jobs/day-figures/run", page="/jobs")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs")
    page = admin.get("/jobs").text
    assert "Dagens tall starter om et øyeblikk." in words(page)
    row = page.partition('<tr id="job-day-figures">')[2].partition("</tr>")[0]
    assert "Venter på å starte" in words(row)
    assert "<button" not in row  # it runs soon as it is
    with app.app_context():
        (line,) = audit.lines(audit.Filter(action="jobs.run-by-hand"), by=CLI)
        assert (line.actor_kind, line.fields) == ("account", {"job": "day-figures"})
    runner = Runner(app)
    runner.beat()
    runner.run_asked()
    with app.app_context():
        (run,) = job_runs.runs("day-figures")
        assert (run.outcome, run.epoch, run.counts["schools"]) == (JobOutcome.DONE, BY_HAND, 2)
    assert "2 skoler telt" in words(admin.get("/jobs").text)
    assert "noen ba om det" in words(admin.get("/jobs/day-figures").text)


def test_run_from_the_history_comes_back_there(admin: Visitor) -> None:
    answer = admin.post("/jobs/retention/run", page="/jobs/retention", **{"from": "history"})
    assert answer.headers["Location"] == "/jobs/retention"


@pytest.mark.parametrize("username", ["it", "teacher", "nobody"])
def test_others_are_refused_and_nothing_is_asked_for(app: Flask, world: World, username: str) -> None:
    visitor = Visitor(app)
    visitor.sign_in(username)
    assert visitor.get("/jobs").status_code == 403
    assert visitor.post("/jobs/retention/run", page="/").status_code == 403
    with app.app_context():
        assert job_runs.runs() == []


def test_pages_ask_the_database_as_often_for_many_runs_as_for_few(
    app: Flask, admin: Visitor, statements: list[str]
) -> None:
    counts = []
    for _round in range(2):
        for path in ("/jobs", "/jobs/retention"):
            statements.clear()
            assert admin.get(path).status_code == 200
            counts.append(len(statements))
        for job in TIMETABLE:
            runs(app, job.name, [JobOutcome.DONE, JobOutcome.FAILED] * 10)
    assert counts[:2] == counts[2:]
    assert max(counts) <= 15
