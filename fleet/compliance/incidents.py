"""Reading incidents: a fixed number of statements.

Whoever looks after a school sees its incidents, and those everywhere that its tablets are in. How they begin and end
is decided in :mod:`fleet.compliance.clusters`.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.orm import contains_eager, joinedload

from fleet.access import Permission, Principal
from fleet.compliance.models import Incident, IncidentMember
from fleet.db import among, db
from fleet.devices import queries as devices
from fleet.devices.models import Device, DevicePresence, DeviceState
from fleet.errors import NotFoundError
from fleet.schools import queries as schools


@dataclass(frozen=True, slots=True)
class Told:
    """An incident with what its text needs: how many are still quiet, and the titles of the classes it names."""

    incident: Incident
    members: int
    classes: Mapping[int, str]


def open_incidents(*, by: Principal, school_id: int | None = None, is_short: bool = False) -> Sequence[Told]:
    """Return the open incidents ``by`` may see, the newest first; three statements.

    Args:
        by: who asks.
        school_id: only this school's, and those everywhere.
        is_short: without titles of classes, and without counting who is still quiet; one statement.
    """
    query = _seen(by).where(Incident.closed_at.is_(None))
    if school_id is not None:
        query = query.where(or_(Incident.school_id == school_id, Incident.school_id.is_(None)))
    found = db.session.scalars(query.order_by(Incident.opened_at.desc(), Incident.id.desc())).all()
    return [Told(one, one.most, {}) for one in found] if is_short else _told(found)


def past(*, by: Principal, since: datetime, limit: int | None = None) -> Sequence[Told]:
    """Return the incidents ``by`` may see that ended since an instant, the newest first; three statements."""
    query = _seen(by).where(Incident.closed_at >= since).order_by(Incident.closed_at.desc(), Incident.id.desc())
    return _told(db.session.scalars(query.limit(limit)).all())


def incident(incident_id: int, *, by: Principal) -> Told:
    """Return an incident.

    Raises:
        NotFoundError: there is none of this number, or ``by`` may not see it.
    """
    found = db.session.scalars(_seen(by).where(Incident.id == incident_id)).first()
    if found is None:
        raise NotFoundError(kind="incident", name=str(incident_id))
    return _told([found])[0]


def members(incident_id: int, *, by: Principal, limit: int | None = None, offset: int = 0) -> Sequence[IncidentMember]:
    """Return the tablets of an incident that ``by`` may see, those still quiet first, with their places; one statement.

    Args:
        incident_id: the incident.
        by: who asks.
        limit: at most so many.
        offset: after so many.
    """
    own = contains_eager(IncidentMember.device)
    query = (
        select(IncidentMember)
        .join(IncidentMember.device)
        .options(own, own.joinedload(Device.school), own.joinedload(Device.school_class), own.joinedload(Device.state))
        .where(IncidentMember.incident_id == incident_id, Device.id.in_(devices.matching(devices.Filter(), by=by)))
        .order_by(IncidentMember.left_at.is_not(None), Device.serial)
    )
    return db.session.scalars(query.limit(limit).offset(offset)).all()


def schools_of(incident_ids: Collection[int]) -> Mapping[int, frozenset[int]]:
    """Return the schools whose tablets are or were in some incidents, by incident; one statement, or none."""
    found: dict[int, set[int]] = defaultdict(set)
    if incident_ids:
        query = select(IncidentMember.incident_id, Device.school_id).distinct().join(IncidentMember.device)
        rows = db.session.execute(query.where(among(IncidentMember.incident_id, incident_ids)))
        for incident_id, school_id in rows:
            if school_id is not None:
                found[incident_id].add(school_id)
    return {number: frozenset(schools) for number, schools in found.items()}


def of_tablet(device_id: int) -> Incident | None:
    """Return the open incident that a tablet, which the caller was given, is in; None where it is in none."""
    query = select(Incident).join(IncidentMember, IncidentMember.incident_id == Incident.id)
    mine = (IncidentMember.device_id == device_id, IncidentMember.left_at.is_(None), Incident.closed_at.is_(None))
    return db.session.scalars(query.where(*mine)).first()


def _seen(by: Principal) -> Select[Any]:
    visible = by.school_ids(Permission.SEE_SCHOOL)
    query = select(Incident).options(joinedload(Incident.school))
    if visible is None:
        return query
    if not visible:
        return query.where(Incident.id.is_(None))
    mine = select(Device.id).where(Device.school_id.in_(visible))
    member = exists().where(IncidentMember.incident_id == Incident.id, IncidentMember.device_id.in_(mine))
    return query.where(or_(Incident.school_id.in_(visible), and_(Incident.school_id.is_(None), member)))


def _told(found: Sequence[Incident]) -> list[Told]:
    """Return incidents with their texts' needs; who has been heard since joining is quiet no more."""
    if not found:
        return []
    is_back = or_(
        DeviceState.last_seen_at >= IncidentMember.joined_at, DevicePresence.polled_at >= IncidentMember.joined_at
    )
    counted = (
        select(IncidentMember.incident_id, func.count())
        .join(DeviceState, DeviceState.device_id == IncidentMember.device_id)
        .outerjoin(DevicePresence, DevicePresence.device_id == IncidentMember.device_id)
        .where(IncidentMember.incident_id.in_([one.id for one in found]), IncidentMember.left_at.is_(None))
        .where(func.coalesce(is_back, False).is_(False))
        .group_by(IncidentMember.incident_id)
    )
    numbers = {row[0]: row[1] for row in db.session.execute(counted)}
    named = {int(number) for one in found for number in one.about.get("class_ids", ())}
    titles = schools.class_titles(named)
    return [
        Told(
            one, numbers.get(one.id, 0),
            {number: titles[number] for number in one.about.get("class_ids", ()) if number in titles},
        )
        for one in found
    ]  # fmt: skip
