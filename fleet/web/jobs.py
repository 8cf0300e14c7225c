"""Jobs: each line of the timetable in plain words, what it did last, its history, and having it run now.

A page may not know the jobs themselves: it is given the timetable (``fleet_timetable``) and asks for a run, which the
runner begins within seconds (:func:`fleet.job_runs.ask`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from flask import current_app, redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock, job_runs
from fleet.access import Permission, require
from fleet.db import transaction
from fleet.errors import NotFoundError
from fleet.job_runs import JobOutcome, JobRun, Scheduled
from fleet.web import notices, signed_in, words_jobs
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE, show
from fleet.web.texts import translated as _
from fleet.web.values import whole

_TROUBLE = frozenset({JobOutcome.FAILED, JobOutcome.LOST})
_OPEN = frozenset({JobOutcome.ASKED, JobOutcome.RUNNING})


@dataclass(frozen=True, slots=True)
class Row:
    """One job: its line of the timetable, its newest run, and when it is due next."""

    job: Scheduled
    run: JobRun | None
    due_at: datetime

    @property
    def is_open(self) -> bool:
        """Whether a run waits or is at work."""
        return self.run is not None and self.run.outcome in _OPEN


@dataclass(frozen=True, slots=True)
class Stretch:
    """One run that is worth a line, or several of one local day after each other that found nothing to do."""

    runs: Sequence[JobRun]
    on: date

    @property
    def newest(self) -> JobRun:
        """The newest of them."""
        return self.runs[0]

    @property
    def oldest(self) -> JobRun:
        """The oldest of them."""
        return self.runs[-1]


@web.get("/jobs")
def jobs() -> str:
    """Show the timetable."""
    by, now = signed_in.by(), clock.now()
    require(by, Permission.RUN_JOBS)
    timetable = _timetable()
    last = job_runs.latest_by_job([one.name for one in timetable])
    zone = signed_in.timezone()
    rows = [Row(one, last.get(one.name), one.following(now, zone)) for one in timetable]
    trouble = [row for row in rows if row.run is not None and row.run.outcome in _TROUBLE]
    return show("jobs", rows=rows, trouble=trouble, took=took)


@web.get("/jobs/<name>")
def job(name: str) -> str:
    """Show the history of one job."""
    require(signed_in.by(), Permission.RUN_JOBS)
    found, now = _find(name), clock.now()
    only_trouble = request.args.get("only") == "trouble"
    outcomes = _TROUBLE if only_trouble else None
    before = whole(request.args.get("before"))
    runs = job_runs.runs(name, limit=PAGE_SIZE + 1, before=before, outcomes=outcomes)
    shown = runs[:PAGE_SIZE]
    return show(
        "job",
        row=Row(found, runs[0] if runs and before is None else None, found.following(now, signed_in.timezone())),
        stretches=list(_stretches(shown)),
        only_trouble=only_trouble,
        before=before,
        older=shown[-1].id if len(runs) > PAGE_SIZE else None,
        took=took,
    )


@web.post("/jobs/<name>/run")
def job_run(name: str) -> Response:
    """Have a job run now."""
    by, now = signed_in.by(), clock.now()
    require(by, Permission.RUN_JOBS)
    _find(name)
    with transaction():
        job_runs.ask(name, by=by, now=now)
    notices.tell(_("%(job)s begins in a moment.", job=words_jobs.name(name)))
    is_history = request.form.get("from") == "history"
    return redirect(url_for("web.job", name=name) if is_history else url_for("web.jobs"), 303)


def took(run: JobRun) -> timedelta | None:
    """Return how long a run took; None while it is not over, and where it never began."""
    return run.ended_at - run.started_at if run.ended_at is not None else None


def _timetable() -> Sequence[Scheduled]:
    found: Sequence[Scheduled] = current_app.extensions["fleet_timetable"]
    return found


def _find(name: str) -> Scheduled:
    found = next((one for one in _timetable() if one.name == name), None)
    if found is None:
        raise NotFoundError(kind="job", name=name)
    return found


def _stretches(runs: Sequence[JobRun]) -> Iterator[Stretch]:
    """Put runs that found nothing to do together with their neighbours: most of a minute's job do."""
    zone = signed_in.timezone()

    def kind(run: JobRun) -> tuple[date, int]:
        is_quiet = run.outcome is JobOutcome.DONE and run.epoch != job_runs.BY_HAND and not any(run.counts.values())
        return run.started_at.astimezone(zone).date(), 0 if is_quiet else run.id

    for (on, _id), group in groupby(runs, key=kind):
        yield Stretch(list(group), on)
