"""How long each kind of data is kept, how old the oldest is, and what the last tidying removed."""

from collections.abc import Mapping
from datetime import date, datetime

from fleet import job_runs
from fleet.access import Permission, require
from fleet.reports import keeping
from fleet.reports.keeping import Kept
from fleet.reports.sheet import Kind
from fleet.web import report_papers, signed_in
from fleet.web.blueprint import web
from fleet.web.pages import show

_JOB = "retention"


@web.get("/jobs/kept-data")
def kept_data() -> str:
    """Show the table."""
    by = signed_in.by()
    require(by, Permission.RUN_JOBS)
    ages, run = keeping.oldest(by=by), job_runs.latest_by_job([_JOB]).get(_JOB)
    removed = run.counts if run is not None else {}
    rows = [(one, _day(one, ages), removed.get(one.kind)) for one in keeping.KEPT]
    return show("kept_data", rows=rows, run=run)


def _day(one: Kept, ages: Mapping[str, datetime | date]) -> str:
    found = ages.get(one.kind)
    on = found.astimezone(signed_in.timezone()).date() if isinstance(found, datetime) else found
    return report_papers.text(Kind.DAY, on)
