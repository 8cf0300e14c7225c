"""Who shall have which profile: assigning and withdrawing, with the effect worked out before the commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import contains_eager, joinedload

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.assignments import effect
from fleet.assignments.effect import Change
from fleet.assignments.materialise import LEVELS, Applicable, devices_at, layer_name, materialise
from fleet.assignments.models import Assignment, ProfileVersion, Scope
from fleet.assignments.timeline import Timed
from fleet.db import db, read_again, take_turn
from fleet.devices.models import Device
from fleet.errors import ConflictError, InvalidError, NotFoundError
from fleet.schools.models import School, SchoolClass
from profiles.layering import Layer

_COLUMNS = {
    Scope.SCHOOL: Assignment.school_id,
    Scope.CLASS: Assignment.class_id,
    Scope.DEVICE: Assignment.device_id,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a profile applies; make one with the functions named after the scopes."""

    scope: Scope
    id: int | None
    school_id: int | None

    @staticmethod
    def municipality() -> "Place":
        """The whole municipality."""
        return Place(Scope.MUNICIPALITY, None, None)

    @staticmethod
    def school(school: School) -> "Place":
        """One school."""
        return Place(Scope.SCHOOL, school.id, school.id)

    @staticmethod
    def school_class(found: SchoolClass) -> "Place":
        """One class: its own tablets and its pupils'."""
        return Place(Scope.CLASS, found.id, found.school_id)

    @staticmethod
    def device(device: Device) -> "Place":
        """One tablet."""
        return Place(Scope.DEVICE, device.id, device.school_id)


def require_to_assign(by: Principal, scope: Scope, school_id: int | None) -> None:
    """Refuse unless ``by`` may assign at places of this kind, at this school.

    Raises:
        ForbiddenError: the permission is missing.
    """
    if scope is Scope.MUNICIPALITY:
        require(by, Permission.ASSIGN_MUNICIPALITY)
    else:
        require(by, Permission.ASSIGN_SCHOOL, school_id=school_id)


def assign(
    version: ProfileVersion,
    place: Place,
    *,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    confirmed: int | None = None,
    by: Principal,
    now: datetime,
) -> tuple[Assignment, int]:
    """Give a published version to a place, from … until …; returns it and how many tablets get a new schedule.

    An open-ended assignment replaces the open-ended one that the same profile has at the same place.

    Args:
        version: the published version.
        place: where.
        starts_at: from when on; None is from now on.
        ends_at: until when; None is open.
        confirmed: the number of tablets that may lose the only Wi-Fi they know.
        by: who assigns.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not assign there.
        InvalidError: the version is a draft, or the times make no sense.
        WifiLostError: tablets would lose the only Wi-Fi they know, and nobody confirmed it.
    """
    require_to_assign(by, place.scope, place.school_id)
    starts_at, ends_at = _checked_times(version, starts_at, ends_at, now)
    take_turn("assignments")
    earlier = _earlier(version, place) if starts_at is None and ends_at is None else []
    told = [one.profile_version.settings for one in earlier]
    if effect.closes_in(version.settings) or any(effect.tells_networks(one) for one in told):
        change = _change(version, place, (starts_at, ends_at), earlier, now)
        effect.require_wifi(change, confirmed=confirmed, now=now)
    _withdraw_replaced(earlier, place.school_id, by=by, now=now)
    assignment = Assignment(
        profile_version_id=version.id,
        scope=place.scope,
        school_id=place.id if place.scope is Scope.SCHOOL else None,
        class_id=place.id if place.scope is Scope.CLASS else None,
        device_id=place.id if place.scope is Scope.DEVICE else None,
        starts_at=starts_at,
        ends_at=ends_at,
        created_at=now,
    )
    db.session.add(assignment)
    db.session.flush()
    audit.record(
        by, "assignments.assigned", subject=f"assignment:{assignment.id}", now=now,
        **public_place(assignment, place.school_id), profile=version.profile.name, version=version.number,
        starts_at=starts_at.isoformat() if starts_at else None, ends_at=ends_at.isoformat() if ends_at else None,
    )  # fmt: skip
    return assignment, materialise(devices_at(assignment), now=now)


def _checked_times(
    version: ProfileVersion, starts_at: datetime | None, ends_at: datetime | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    # In UTC from here on: two local times of one zone compare as clock faces, and an hour of October has two of each.
    starts_at, ends_at = (_in_utc(moment) for moment in (starts_at, ends_at))
    if version.published_at is None:
        raise InvalidError(kind="assignment", reason="a draft cannot be assigned: publish it first")
    if ends_at is not None and (ends_at <= now or (starts_at is not None and ends_at <= starts_at)):
        raise InvalidError(kind="assignment", reason="ends before it starts", ends_at=ends_at.isoformat())
    return starts_at, ends_at


def change_of(
    version: ProfileVersion,
    place: Place,
    *,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    by: Principal,
    now: datetime,
) -> Change:
    """Return what stands before and after an assignment that is only thought of, for :mod:`fleet.assignments.effect`.

    Raises:
        ForbiddenError: ``by`` may not assign there.
        InvalidError: the version is a draft, or the times make no sense.
    """
    require_to_assign(by, place.scope, place.school_id)
    starts_at, ends_at = _checked_times(version, starts_at, ends_at, now)
    earlier = _earlier(version, place) if starts_at is None and ends_at is None else []
    return _change(version, place, (starts_at, ends_at), earlier, now)


def _change(
    version: ProfileVersion,
    place: Place,
    times: tuple[datetime | None, datetime | None],
    earlier: Sequence[Assignment],
    now: datetime,
) -> Change:
    layer = Layer(LEVELS[place.scope], layer_name(effect.NEW), times[0] or now, version.settings)
    thought = Applicable(
        effect.NEW,
        place.scope,
        place.id if place.scope is Scope.SCHOOL else None,
        place.id if place.scope is Scope.CLASS else None,
        place.id if place.scope is Scope.DEVICE else None,
        Timed(layer, *times),
        version.profile.name,
        version.number,
    )
    return effect.of_assigning(thought, [one.id for one in earlier], now=now)


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise ValueError("naive datetime: instants are aware UTC")  # else it would be the machine's local time
    return moment and moment.astimezone(UTC)


def _earlier(version: ProfileVersion, place: Place) -> Sequence[Assignment]:
    """Return the open-ended assignments of the same profile at the same place."""
    same = select(Assignment).join(Assignment.profile_version).where(
        ProfileVersion.profile_id == version.profile_id, Assignment.scope == place.scope,
        Assignment.withdrawn_at.is_(None), Assignment.starts_at.is_(None), Assignment.ends_at.is_(None),
    )  # fmt: skip
    if place.scope is not Scope.MUNICIPALITY:
        same = same.where(_COLUMNS[place.scope] == place.id)
    return db.session.scalars(same.options(contains_eager(Assignment.profile_version))).all()


def _withdraw_replaced(earlier: Sequence[Assignment], school_id: int | None, *, by: Principal, now: datetime) -> None:
    for one in earlier:
        one.withdrawn_at = now
        audit.record(
            by, "assignments.withdrawn", subject=f"assignment:{one.id}", now=now,
            **public_place(one, school_id), profile=one.profile_version.profile.name,
            version=one.profile_version.number, reason="replaced",
        )  # fmt: skip


def public_place(one: Assignment, school_id: int | None) -> dict[str, object]:
    """Return what the audit says of an assignment's place; ``school_id`` is the school of it."""
    device = db.session.get(Device, one.device_id) if one.device_id is not None else None
    told = {"school_id": school_id, "class_id": one.class_id, "serial": device.serial if device is not None else None}
    return {"scope": one.scope.value, **{name: value for name, value in told.items() if value is not None}}


def get(assignment_id: int, *, by: Principal) -> Assignment:
    """Return an assignment.

    Raises:
        NotFoundError: there is none, or ``by`` may not see it.
    """
    found = db.session.get(Assignment, assignment_id)
    school_id = school_of(found) if found is not None else None
    if found is None or not (found.scope is Scope.MUNICIPALITY or by.may(Permission.SEE_SCHOOL, school_id=school_id)):
        raise NotFoundError(kind="assignment", name=str(assignment_id))
    return found


def school_of(assignment: Assignment) -> int | None:
    """Return the school an assignment's place belongs to, None for the municipality."""
    if assignment.class_id is not None:
        return db.session.get_one(SchoolClass, assignment.class_id).school_id
    if assignment.device_id is not None:
        return db.session.get_one(Device, assignment.device_id).school_id
    return assignment.school_id


def standing_one(assignment_id: int, *, by: Principal, now: datetime) -> Assignment:
    """Return an assignment that ``by`` may withdraw.

    Raises:
        NotFoundError: there is none, or ``by`` may not see it.
        ForbiddenError: ``by`` may not assign there.
        ConflictError: it was withdrawn or has ended.
    """
    assignment = get(assignment_id, by=by)
    require_to_assign(by, assignment.scope, school_of(assignment))
    if assignment.withdrawn_at is not None or (assignment.ends_at is not None and assignment.ends_at <= now):
        raise ConflictError(kind="assignment", id=assignment_id, reason="it does not apply any more")
    return assignment


def withdraw(assignment_id: int, *, confirmed: int | None = None, by: Principal, now: datetime) -> int:
    """End an assignment now; returns how many tablets get a new schedule.

    Args:
        assignment_id: which one.
        confirmed: the number of tablets that may lose the only Wi-Fi they know.
        by: who withdraws.
        now: the instant.

    Raises:
        NotFoundError: there is none, or ``by`` may not see it.
        ForbiddenError: ``by`` may not assign there.
        ConflictError: it was withdrawn or has ended.
        WifiLostError: tablets would lose the only Wi-Fi they know, and nobody confirmed it.
    """
    take_turn("assignments")
    read_again(Assignment)  # what the caller looked at while another had the turn
    assignment = standing_one(assignment_id, by=by, now=now)
    if effect.tells_networks(assignment.profile_version.settings):
        effect.require_wifi(effect.of_withdrawing(assignment_id, now=now), confirmed=confirmed, now=now)
    assignment.withdrawn_at = now
    version = assignment.profile_version
    audit.record(
        by, "assignments.withdrawn", subject=f"assignment:{assignment_id}", now=now,
        **public_place(assignment, school_of(assignment)), profile=version.profile.name, version=version.number,
    )  # fmt: skip
    return materialise(devices_at(assignment), now=now)


def listed(*, by: Principal, now: datetime, ended: bool = False) -> Sequence[Assignment]:
    """Return the assignments that ``by`` may see and that apply or will; with ``ended`` also those that are over."""
    query = select(Assignment).options(joinedload(Assignment.profile_version).joinedload(ProfileVersion.profile))
    visible = by.school_ids(Permission.SEE_SCHOOL)
    if visible is not None:
        query = query.where(
            or_(
                Assignment.scope == Scope.MUNICIPALITY,
                Assignment.school_id.in_(visible),
                Assignment.class_id.in_(select(SchoolClass.id).where(SchoolClass.school_id.in_(visible))),
                Assignment.device_id.in_(select(Device.id).where(Device.school_id.in_(visible))),
            )
        )
    if not ended:
        query = query.where(
            Assignment.withdrawn_at.is_(None), or_(Assignment.ends_at.is_(None), Assignment.ends_at > now)
        )
    return db.session.scalars(query.order_by(Assignment.id)).all()
