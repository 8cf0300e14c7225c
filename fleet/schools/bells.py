"""When lessons ring in and out: a school's own bell times, else the municipality's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time

from sqlalchemy import or_, select

from fleet.db import db
from fleet.schools.models import Bell


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One period of a weekday (0 Monday … 6 Sunday), local times."""

    weekday: int
    starts_at: time
    ends_at: time


def periods(school_id: int | None) -> Sequence[Period]:
    """Return the periods that hold at a school, or (None) the municipality's own, in their order; one statement.

    A school that has told any has only its own.
    """
    where = (
        Bell.school_id.is_(None) if school_id is None else or_(Bell.school_id == school_id, Bell.school_id.is_(None))
    )
    rows = db.session.execute(select(Bell.school_id, Bell.weekday, Bell.starts_at, Bell.ends_at).where(where)).all()
    own = [row for row in rows if row.school_id is not None]
    return sorted(Period(row.weekday, row.starts_at, row.ends_at) for row in own or rows)


def on_weekday(school_id: int, weekday: int) -> Sequence[Period]:
    """Return a school's periods of a weekday (0 Monday … 6 Sunday)."""
    return [one for one in periods(school_id) if one.weekday == weekday]
