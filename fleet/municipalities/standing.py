"""How one municipality stands, as whoever keeps all of them sees it: whether it lives, not what is in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from fleet import job_runs
from fleet.checkup.checks import Grade
from fleet.db import db, newest_revision, schema_revision
from fleet.devices.models import Device, DeviceLife, DeviceState
from fleet.job_runs import Scheduled


@dataclass(frozen=True, slots=True)
class Standing:
    """How a municipality stands.

    Args:
        revision: of its database; None: it has no tables.
        is_current: whether that is this program's.
        tablets: how many are in use; None where the database has another shape.
        last_seen_at: when the last of them was heard from.
        jobs: how its scheduled jobs stand.
    """

    revision: str | None
    is_current: bool
    tablets: int | None = None
    last_seen_at: datetime | None = None
    jobs: Grade | None = None


def look(timetable: Sequence[Scheduled], *, now: datetime, timezone: ZoneInfo) -> Standing:
    """Return how the municipality of the running application stands; five statements.

    Args:
        timetable: the jobs there are.
        now: the instant.
        timezone: the schools'.
    """
    if not is_current():
        return Standing(schema_revision(), is_current=False)
    query = select(func.count(), func.max(DeviceState.last_seen_at)).select_from(Device).join(Device.state)
    tablets, last_seen_at = db.session.execute(query.where(Device.life == DeviceLife.ENROLLED)).one()
    grades = [one.grade for one in job_runs.examine(timetable, now=now, timezone=timezone)]
    return Standing(schema_revision(), is_current=True, tablets=tablets, last_seen_at=last_seen_at, jobs=_worst(grades))


def is_current() -> bool:
    """Whether the database of the running application has this program's shape."""
    return schema_revision() == newest_revision()


def _worst(grades: Sequence[Grade]) -> Grade:
    return max(grades, key=list(Grade).index)
