"""What the places of assignments are called, for lists; and which assignments a new version left behind."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from fleet.access import Principal
from fleet.assignments import assigning
from fleet.assignments.models import Assignment, ProfileVersion
from fleet.db import db, id_set
from fleet.devices.models import Device, DeviceLife
from fleet.schools.models import School, SchoolClass


@dataclass(frozen=True, slots=True)
class Named:
    """A place as people know it.

    Args:
        name: of the school or class, or the tablet's serial; None for the municipality.
        school: the school's name where the place is a class.
        is_ended: it left the roster or is out of use: what is assigned there concerns no tablet.
    """

    name: str | None = None
    school: str | None = None
    is_ended: bool = False


def named(assignments: Iterable[Assignment]) -> dict[int, Named]:
    """Return what each assignment's place is called, by the assignment's id; at most three statements."""
    told = list(assignments)
    schools = _rows(School.id, School.name, School.ended_at, ids=(one.school_id for one in told))
    classes = _classes({one.class_id for one in told if one.class_id is not None})
    devices = _rows(Device.id, Device.serial, Device.life, ids=(one.device_id for one in told))
    found = {}
    for one in told:
        if one.school_id is not None:
            school = schools[one.school_id]
            found[one.id] = Named(school.name, is_ended=school.ended_at is not None)
        elif one.class_id is not None:
            row = classes[one.class_id]
            found[one.id] = Named(row.title, row.name, is_ended=row.ended_at is not None)
        elif one.device_id is not None:
            device = devices[one.device_id]
            found[one.id] = Named(device.serial, is_ended=device.life is DeviceLife.RETIRED)
        else:
            found[one.id] = Named()
    return found


def _rows(*columns: Any, ids: Iterable[int | None]) -> Mapping[int, Any]:
    wanted = {number for number in ids if number is not None}
    if not wanted:
        return {}
    return {row.id: row for row in db.session.execute(select(*columns).where(columns[0].in_(id_set(wanted))))}


def _classes(ids: Collection[int]) -> Mapping[int, Any]:
    if not ids:
        return {}
    query = select(SchoolClass.id, SchoolClass.title, SchoolClass.ended_at, School.name).join(SchoolClass.school)
    return {row.id: row for row in db.session.execute(query.where(SchoolClass.id.in_(id_set(ids))))}


def left_behind(version: ProfileVersion, *, by: Principal, now: datetime) -> Sequence[tuple[Assignment, Named]]:
    """Return the assignments ``by`` may see that keep an older version than this one, with their places.

    A version that is assigned stays what it is: publishing a newer one moves nobody. Places that ended are left out.
    """
    older = [
        one
        for one in assigning.listed(by=by, now=now)
        if one.profile_version.profile_id == version.profile_id and one.profile_version.number < version.number
    ]
    names = named(older)
    return [(one, names[one.id]) for one in older if not names[one.id].is_ended]
