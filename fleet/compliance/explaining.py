"""Why a tablet counts as silent, as data for a sentence: what was expected, what was heard, how others do.

Invariant: nothing of a person; whoever may see the tablet may read all of it.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import and_, func, or_, select

from fleet.access import Principal
from fleet.compliance import looking
from fleet.compliance.models import FindingKind, Incident
from fleet.compliance.quiet import Asked, Tablet
from fleet.compliance.steps import FEWEST_DAYS
from fleet.db import db
from fleet.devices import queries as devices
from fleet.devices.models import Device, DeviceLife, DevicePresence, DeviceState
from fleet.schools import absences
from fleet.schools.models import SchoolClass


@dataclass(frozen=True, slots=True)
class Habit:
    """On how many of the last school days a tablet was heard from in school hours."""

    heard: int
    days: int


@dataclass(frozen=True, slots=True)
class Others:
    """How many of the other tablets of a class have been heard from on this local day."""

    class_title: str
    heard: int
    of: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a tablet's quiet.

    Args:
        heard_at: when it was last heard from; None: never since it enrolled.
        enrolled_at: when it enrolled, None where nobody knows.
        missed_s: expected seconds since then; days on which its pupil is away do not count.
        others: the other tablets of its class today; None where it is in none, or alone there.
        habit: None before ten school days have been counted.
        battery_percent: when last heard.
        was_at_school: whether it was at its school when it last asked; None where that is not known.
        is_absent: whether its pupil is away today; False where that is not theirs to know, as of other classes' pupils.
        kind: of its open finding of silence, None where it is not silent.
        class_id: the class it stands in, else its pupil's.
        question: the newest question about this quiet, open or answered.
        incident: the open incident it is in.
    """

    heard_at: datetime | None
    enrolled_at: datetime | None
    missed_s: int
    others: Others | None
    habit: Habit | None
    battery_percent: int | None
    was_at_school: bool | None
    is_absent: bool
    kind: FindingKind | None
    class_id: int | None
    question: Asked | None
    incident: Incident | None


def explain(device: Device, *, by: Principal, now: datetime, timezone: ZoneInfo) -> Explanation | None:
    """Return why a tablet is, or will be, silent; None for one that is not expected to speak. At most 20 statements.

    Args:
        device: a tablet that ``by`` was given.
        by: who asks.
        now: the instant.
        timezone: the schools' local time.
    """
    if device.life is not DeviceLife.ENROLLED:
        return None
    found = looking.one(device.id, now=now, timezone=timezone)
    row, tablet = found.row, found.tablet
    heard = [moment for moment in (row.last_seen_at, row.polled_at) if moment is not None]
    kind = FindingKind.MISSING if tablet.missing_id is not None else FindingKind.SILENT
    return Explanation(
        heard_at=max(heard, default=None),
        enrolled_at=row.enrolled_at,
        missed_s=tablet.missed_s,
        others=_others(tablet, by, now, timezone),
        habit=Habit(row.heard.bit_count(), row.days) if row.days is not None and row.days >= FEWEST_DAYS else None,
        battery_percent=row.battery_percent,
        was_at_school=row.is_at_school,
        is_absent=_is_told_absent(found, by),
        kind=kind if tablet.is_single and (tablet.missing_id or tablet.silent_id) is not None else None,
        class_id=tablet.class_id,
        question=tablet.asked,
        incident=found.incident,
    )


def _is_told_absent(found: looking.One, by: Principal) -> bool:
    person_id = found.row.person_id
    return found.is_absent and person_id is not None and absences.may_be_told(person_id, by=by)


def _others(tablet: Tablet, by: Principal, now: datetime, timezone: ZoneInfo) -> Others | None:
    """Count the other tablets of a class; one statement, or none."""
    if tablet.class_id is None:
        return None
    since = now.astimezone(timezone).replace(hour=0, minute=0, second=0, microsecond=0)
    is_heard = or_(DeviceState.last_seen_at >= since, DevicePresence.polled_at >= since)
    given = devices.matching(devices.Filter(class_id=tablet.class_id, life=DeviceLife.ENROLLED), by=by)
    title = select(SchoolClass.title).where(SchoolClass.id == tablet.class_id)
    query = (
        select(func.count(), func.count().filter(is_heard), title.scalar_subquery())
        .select_from(Device)
        .join(DeviceState, DeviceState.device_id == Device.id)
        .outerjoin(DevicePresence, DevicePresence.device_id == Device.id)
        .where(and_(Device.id.in_(given), Device.id != tablet.id))
    )
    of, heard, named = db.session.execute(query).one()
    return Others(named, heard, of) if of and named is not None else None
