"""Reading profiles for pages: the shelf of all of them, and on how many tablets each is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, union

from fleet.access import Permission, Principal
from fleet.assignments.models import Assignment, Profile, ProfileVersion, Scope
from fleet.db import db
from fleet.devices.models import Device, DeviceLife
from fleet.errors import ForbiddenError
from fleet.schools.models import Membership, MembershipRole, School, SchoolClass
from fleet.schools.queries import holding

_IN_USE = (DeviceLife.ENROLLED, DeviceLife.LOST)


@dataclass(frozen=True, slots=True)
class OnShelf:
    """A profile among others.

    Args:
        id: its number.
        name: as addresses name it.
        title: as people call it.
        published: its newest published version, None where it has only a draft.
        draft: the number of its draft.
        settings: of the published version, of the draft where there is none.
        places: how many places have it now or will.
        tablets: on how many tablets in use it is now.
    """

    id: int
    name: str
    title: str
    published: int | None
    draft: int | None
    settings: Mapping[str, Any]
    places: int
    tablets: int


def require_reader(by: Principal) -> None:
    """Refuse unless ``by`` may assign profiles anywhere: who may give them may read them.

    Raises:
        ForbiddenError: nowhere.
    """
    if by.school_ids(Permission.ASSIGN_SCHOOL) == frozenset():
        raise ForbiddenError(permission=Permission.ASSIGN_SCHOOL.value)


def shelf(*, by: Principal, now: datetime) -> list[OnShelf]:
    """Return all profiles by title, with their tablets at the schools that ``by`` may see; three statements.

    Raises:
        ForbiddenError: ``by`` may not read profiles.
    """
    require_reader(by)
    is_published = ProfileVersion.published_at.is_not(None)
    newest = (
        select(
            ProfileVersion.profile_id,
            func.max(ProfileVersion.number).filter(is_published).label("published"),
            func.max(ProfileVersion.number).filter(~is_published).label("draft"),
        )
        .group_by(ProfileVersion.profile_id)
        .subquery()
    )
    query = (
        select(Profile.id, Profile.name, Profile.title, newest.c.published, newest.c.draft, ProfileVersion.settings)
        .join(newest, newest.c.profile_id == Profile.id)
        .join(ProfileVersion, ProfileVersion.profile_id == Profile.id)
        .where(ProfileVersion.number == func.coalesce(newest.c.published, newest.c.draft))
    )
    rows = db.session.execute(query).all()
    places, tablets = _places(now), _tablets(by, now)
    found = [
        OnShelf(
            row.id, row.name, row.title, row.published, row.draft, row.settings,
            places=places.get(row.id, 0), tablets=tablets.get(row.id, 0),
        )
        for row in rows
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.title.casefold(), one.name))


def _standing(now: datetime) -> tuple[Any, ...]:
    return Assignment.withdrawn_at.is_(None), or_(Assignment.ends_at.is_(None), Assignment.ends_at > now)


def _places(now: datetime) -> dict[int, int]:
    query = (
        select(ProfileVersion.profile_id, func.count())
        .join(Assignment, Assignment.profile_version_id == ProfileVersion.id)
        .outerjoin(School, School.id == Assignment.school_id)
        .outerjoin(SchoolClass, SchoolClass.id == Assignment.class_id)
        .where(*_standing(now), School.ended_at.is_(None), SchoolClass.ended_at.is_(None))
        .group_by(ProfileVersion.profile_id)
    )
    return {row[0]: row[1] for row in db.session.execute(query)}


def _tablets(by: Principal, now: datetime) -> dict[int, int]:
    """Return on how many tablets in use each profile is now; one statement."""
    visible = by.school_ids(Permission.SEE_SCHOOL)
    counted = [Device.life.in_(_IN_USE)]
    if visible is not None:
        counted.append(Device.school_id.in_(visible))
    applies = (*_standing(now), or_(Assignment.starts_at.is_(None), Assignment.starts_at <= now))

    def of(scope: Scope) -> Any:
        given: Any = select(ProfileVersion.profile_id, Device.id.label("device_id")).select_from(Assignment)
        given = given.join(ProfileVersion, ProfileVersion.id == Assignment.profile_version_id)
        return given.where(Assignment.scope == scope, *applies, *counted)

    pupils = (Membership.role == MembershipRole.PUPIL, *holding(now.date()))
    everywhere = union(
        of(Scope.MUNICIPALITY).join(Device, Device.id.is_not(None)),
        of(Scope.SCHOOL).join(Device, Device.school_id == Assignment.school_id),
        of(Scope.CLASS).join(Device, Device.class_id == Assignment.class_id),
        of(Scope.CLASS)
        .join(Membership, Membership.class_id == Assignment.class_id)
        .join(Device, Device.person_id == Membership.person_id)
        .where(*pupils),
        of(Scope.DEVICE).join(Device, Device.id == Assignment.device_id),
    ).subquery()
    query = select(everywhere.c.profile_id, func.count()).group_by(everywhere.c.profile_id)
    return {row[0]: row[1] for row in db.session.execute(query)}


def titles(names: Collection[str]) -> dict[str, str]:
    """Return what profiles are called, by their names; at most one statement. Asks for no permission."""
    if not names:
        return {}
    query = select(Profile.name, Profile.title).where(Profile.name.in_(names))
    return {row.name: row.title for row in db.session.execute(query)}


def published_shelf(rows: Sequence[OnShelf]) -> list[OnShelf]:
    """Return the profiles that can be assigned, those that are assigned first."""
    return sorted(
        (one for one in rows if one.published is not None), key=lambda one: (not one.places, one.title.casefold())
    )
