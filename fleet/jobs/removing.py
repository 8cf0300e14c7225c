"""What the job ``retention`` does for each kind of data: the table of :mod:`fleet.reports.keeping` with its removers.

Total over the kinds that are not kept for good; a test says so.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from fleet import audit, job_runs, orders
from fleet.alerts import retention as alert_retention
from fleet.assignments import schedules
from fleet.checkins import receive
from fleet.compliance import ledger
from fleet.compliance import retention as silence_retention
from fleet.devices import holders
from fleet.lessons import retention as lesson_retention
from fleet.mdm import retention as mdm_retention
from fleet.orders import locations
from fleet.people import signing_in
from fleet.reports import keeping
from fleet.schools import absences, retention
from fleet.schools.roster import apply

AT_ONCE = 5_000  # rows removed in one transaction, so that reports need not wait

Remove = Callable[[timedelta, datetime], int]

REMOVERS: Mapping[str, Remove] = {
    # Before findings: what was told of one points at it, and goes first.
    "alerts": lambda keep, now: alert_retention.forget(older_than=keep, now=now, at_most=AT_ONCE),
    "findings": lambda keep, now: ledger.forget(older_than=keep, now=now),
    "incidents": lambda keep, now: silence_retention.forget_incidents(older_than=keep, now=now, at_most=AT_ONCE),
    "questions": lambda keep, now: silence_retention.forget_questions(older_than=keep, now=now, at_most=AT_ONCE),
    "orders": lambda keep, now: orders.forget(older_than=keep, now=now),
    "locations": lambda _keep, now: locations.forget(now=now),
    "lessons": lambda keep, now: lesson_retention.forget(older_than=keep, now=now),
    "sign_ins": lambda _keep, now: signing_in.forget(now=now),
    "absences": lambda keep, now: absences.forget(older_than=keep, now=now, at_most=AT_ONCE),
    "people": lambda keep, now: retention.forget_people(older_than=keep, now=now, at_most=AT_ONCE),
    "holders": lambda keep, now: holders.forget(older_than=keep, now=now, at_most=AT_ONCE),
    "undo_data": lambda keep, now: apply.forget_undo_data(older_than=keep, now=now),
    "schedules": lambda keep, now: schedules.forget_unused(older_than=keep, now=now),
    "mdm": lambda keep, now: mdm_retention.forget(older_than=keep, now=now, at_most=AT_ONCE),
    "job_runs": lambda keep, now: job_runs.forget(older_than=keep, now=now),
    "audit_lines": lambda keep, now: audit.forget(older_than=keep, now=now),
    # Last: from here on no tablet's report is stored until the transaction ends.
    "check_ins": lambda keep, now: receive.forget(older_than=keep, now=now, at_most=AT_ONCE),
}


def remove(now: datetime) -> Mapping[str, int]:
    """Remove what has been kept long enough, a bounded number of each kind; returns how many of each."""
    return {kind: remover(keeping.keep(kind), now) for kind, remover in REMOVERS.items()}
