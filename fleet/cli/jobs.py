"""``fleet jobs``: scheduled work."""

import click

from fleet import clock, job_runs
from fleet.access import Principal
from fleet.cli.output import EXIT_REFUSED, ErrorsAsLines, application, json_option, ready_app, show_json, show_table
from fleet.job_runs import JobOutcome, JobRun
from fleet.jobs import runner
from fleet.jobs.timetable import TIMETABLE, find

_LISTED = ["name", "when", "last_run", "outcome", "next", "what_for"]
_HISTORY = ["started_at", "job", "outcome", "seconds", "counts", "error"]


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """See and run scheduled work."""


@group.command("list")
@json_option
def list_jobs(*, as_json: bool) -> None:
    """List the jobs: when they run, how they last did."""
    now = clock.now()
    with application(writes=False) as config:
        last = job_runs.latest_by_job([job.name for job in TIMETABLE])
        rows = [
            {
                "name": job.name,
                "when": str(job.when),
                "last_run": last[job.name].started_at if job.name in last else None,
                "outcome": last[job.name].outcome.value if job.name in last else None,
                "next": job.when.following(now, config.timezone) if config.run_jobs else None,
                "what_for": job.what_for,
            }
            for job in TIMETABLE
        ]
    show_table(rows, _LISTED, as_json=as_json)


@group.command("run-now")
@click.argument("name")
@json_option
def run_now(name: str, *, as_json: bool) -> None:
    """Run a job at once and print what it did, in numbers."""
    result = runner.run_now(ready_app(), name, by=Principal.command_line())
    if as_json:
        show_json({"job": name, "outcome": result.outcome.value, "counts": result.counts, "error": result.error})
    else:
        click.echo(f"{name}: {result.outcome.value}{_numbers(result.counts)}")
        if result.error is not None:
            click.echo(f"fleet: {result.error} at {result.where}", err=True)
    if result.outcome is not JobOutcome.DONE:
        click.get_current_context().exit(EXIT_REFUSED)


def _numbers(counts: dict[str, int]) -> str:
    return "".join(f"\n{label}  {number}" for label, number in counts.items())


@group.command()
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many, newest first.")
@json_option
def history(name: str | None, limit: int, *, as_json: bool) -> None:
    """List the newest runs, of one job or of all."""
    if name is not None:
        find(name)
    with application(writes=False):
        rows = [_row(run, as_json=as_json) for run in job_runs.runs(name, limit=limit)]
    show_table(rows, _HISTORY, as_json=as_json)


def _row(run: JobRun, *, as_json: bool) -> dict[str, object]:
    told = ", ".join(f"{label} {number}" for label, number in run.counts.items() if number)
    return {
        "id": run.id,
        "job": run.job,
        "slot": run.slot,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "seconds": round((run.ended_at - run.started_at).total_seconds(), 3) if run.ended_at is not None else None,
        "outcome": run.outcome.value,
        "by_hand": run.epoch == job_runs.BY_HAND,
        "counts": run.counts if as_json else told,
        "error": run.error,
    }
