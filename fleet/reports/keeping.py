"""How long each kind of data is kept: one table, which the job ``retention`` goes by and a page shows.

Invariants: each kind that the job removes stands here once, under the name by which the job counts it. What is kept for
good stands here too, so that it is said. Not here: removing, which each area does itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select

from fleet.access import Permission, Principal, require
from fleet.db import Base, db
from fleet.orders import locations


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind of data.

    Args:
        kind: as the job counts it.
        keep: how long after its end, or after it came to be; None: for good.
        rows: the table and the column that tells its age; None where nothing tells it.
        is_personal: whether it says something of persons.
    """

    kind: str
    keep: timedelta | None
    rows: tuple[str, str] | None
    is_personal: bool = False


def _days(number: int) -> timedelta:
    return timedelta(days=number)


KEPT: Sequence[Kept] = (
    Kept("check_ins", _days(30), ("check_in", "received_at")),
    Kept("findings", _days(365), ("finding", "closed_at")),
    Kept("incidents", _days(365), ("incident", "closed_at")),
    Kept("questions", _days(365), ("silence_question", "asked_at"), is_personal=True),  # where a pupil's tablet was
    Kept("orders", _days(90), ("device_order", "queued_at"), is_personal=True),  # with the texts of messages to pupils
    Kept("alerts", _days(90), ("letter", "made_at"), is_personal=True),  # what was told to whom
    Kept("locations", locations.KEPT_FOR, None, is_personal=True),
    Kept("lessons", _days(90), ("lesson", "ends_at"), is_personal=True),  # who had what in which lesson
    Kept("sign_ins", _days(7), ("sign_in_session", "created_at"), is_personal=True),
    Kept("people", _days(180), ("person", "ended_at"), is_personal=True),  # a summer, and time to find a wrong roster
    Kept("absences", _days(30), ("absence", "ends_on"), is_personal=True),  # after their last day
    Kept("holders", _days(365), ("device_holder", "until"), is_personal=True),  # whose own a tablet was
    Kept(
        "undo_data", _days(30), ("roster_import", "applied_at"), is_personal=True
    ),  # repeats people's data of the import before
    Kept("schedules", _days(30), None),  # a tablet may come back and still report an old one
    Kept("mdm", _days(30), None),  # what iPads were told and asked, once it is over
    Kept("job_runs", _days(30), ("job_run", "started_at")),
    Kept("audit_lines", _days(3 * 366), ("audit_entry", "at"), is_personal=True),
    Kept("figures", None, ("day_figures", "on")),  # numbers without any person or tablet in them
)
BY_KIND: Mapping[str, Kept] = {one.kind: one for one in KEPT}


def keep(kind: str) -> timedelta:
    """Return how long a kind is kept.

    Raises:
        KeyError: there is no such kind, or it is kept for good.
    """
    found = BY_KIND[kind].keep
    if found is None:
        raise KeyError(kind)
    return found


def oldest(*, by: Principal) -> Mapping[str, datetime | date]:
    """Return how old the oldest of each kind is, where there is any and it tells its age; one statement.

    Raises:
        ForbiddenError: ``by`` may not see jobs.
    """
    require(by, Permission.RUN_JOBS)
    ages = []
    for one in KEPT:
        if one.rows is not None:
            told = Base.metadata.tables[one.rows[0]].c[one.rows[1]]
            ages.append(select(func.min(told)).scalar_subquery().label(one.kind))
    found = db.session.execute(select(*ages)).one()
    return {kind: value for kind, value in found._mapping.items() if value is not None}  # noqa: SLF001 (its public way)
