"""Reading tablets: one, many, and the fleet in figures. A fixed number of statements whatever the fleet's size."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, func, or_, select
from sqlalchemy.orm import contains_eager, joinedload

from fleet.access import Permission, Principal
from fleet.db import db
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment
from fleet.errors import NotFoundError
from fleet.schools.models import Membership, MembershipRole, School, SchoolClass


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tablets: by school, class, life, free text (serial, tag, model), or not seen since an instant."""

    school_id: int | None = None
    class_id: int | None = None
    life: DeviceLife | None = None
    text: str | None = None
    not_seen_since: datetime | None = None
    has_findings: bool | None = None


def _visible(query: Select[Any], by: Principal) -> Select[Any]:
    """Narrow a query over tablets to what ``by`` may see."""
    schools = by.school_ids(Permission.SEE_SCHOOL)
    if schools is None:
        return query
    return query.where(or_(Device.school_id.in_(schools), Device.class_id.in_(by.own_class_ids)))


def find_device(name: str, *, by: Principal) -> Device:
    """Return the tablet of this serial or asset tag (case does not matter).

    Raises:
        NotFoundError: none, or ``by`` may not see it.
    """
    wanted = name.strip().upper()
    query = select(Device).where(or_(Device.serial == wanted, func.upper(Device.asset_tag) == wanted))
    device: Device | None = db.session.scalars(_visible(query, by).order_by(Device.serial != wanted).limit(1)).first()
    if device is None:
        raise NotFoundError(kind="tablet", name=name)
    return device


def devices(given: Filter, *, by: Principal, limit: int | None = None, offset: int = 0) -> Sequence[Device]:
    """Return tablets with their state, school and class, by school and serial."""
    query = (
        select(Device)
        .join(Device.state)
        .outerjoin(Device.school)
        .options(contains_eager(Device.state), contains_eager(Device.school), joinedload(Device.school_class))
        .order_by(School.name, Device.serial)
    )
    if given.school_id is not None:
        query = query.where(Device.school_id == given.school_id)
    if given.class_id is not None:
        query = query.where(Device.id.in_(_of_class(given.class_id)))
    if given.life is not None:
        query = query.where(Device.life == given.life)
    if given.text:
        pattern = f"%{given.text.strip().replace('%', '')}%"
        query = query.where(or_(*(c.ilike(pattern) for c in (Device.serial, Device.asset_tag, Device.model))))
    if given.not_seen_since is not None:
        seen = DeviceState.last_seen_at
        query = query.where(Device.life == DeviceLife.ENROLLED, or_(seen.is_(None), seen < given.not_seen_since))
    if given.has_findings is not None:
        query = query.where(DeviceState.has_findings == given.has_findings)
    return db.session.scalars(_visible(query, by).limit(limit).offset(offset)).unique().all()


def _of_class(class_id: int) -> Select[Any]:
    """Select the tablets of a class: its own, and those of its pupils."""
    pupils = select(Membership.person_id).where(
        Membership.class_id == class_id, Membership.role == MembershipRole.PUPIL, Membership.ended_at.is_(None)
    )
    return select(Device.id).where(or_(Device.class_id == class_id, Device.person_id.in_(pupils)))


def enrolments(device: Device) -> Sequence[Enrolment]:
    """Return a tablet's enrolments, newest first."""
    return db.session.scalars(
        select(Enrolment).where(Enrolment.device_id == device.id).order_by(Enrolment.id.desc())
    ).all()


def profile_state(state: DeviceState) -> str:
    """Return ``applied``, ``failed`` (some settings), ``pending`` or ``unknown`` (never reported)."""
    if state.last_seen_at is None:
        return "unknown"
    if state.applied_digest != state.desired_digest:
        return "pending"
    return "failed" if state.failures else "applied"


@dataclass(frozen=True, slots=True)
class Figures:
    """A school's or the fleet's tablets in numbers."""

    total: int = 0
    expected: int = 0
    enrolled: int = 0
    lost: int = 0
    seen_last_hour: int = 0
    seen_last_day: int = 0
    applied: int = 0
    pending: int = 0
    with_findings: int = 0


def figures(*, by: Principal, now: datetime, group: str = "school") -> dict[int | None, Figures]:
    """Return the numbers by school, or by class with ``group="class"``; one statement.

    Retired tablets do not count. A tablet without a school (or class) counts under None.
    """
    enrolled = Device.life == DeviceLife.ENROLLED
    seen, hour, day = DeviceState.last_seen_at, now - timedelta(hours=1), now - timedelta(days=1)
    is_applied = DeviceState.applied_digest == DeviceState.desired_digest

    def count(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    key = Device.school_id if group == "school" else Device.class_id
    query = (
        select(
            key,
            func.count(),
            count(Device.life == DeviceLife.EXPECTED),
            count(enrolled),
            count(Device.life == DeviceLife.LOST),
            count(enrolled & (seen >= hour)),
            count(enrolled & (seen >= day)),
            count(enrolled & seen.is_not(None) & is_applied),
            count(enrolled & (seen.is_(None) | DeviceState.applied_digest.is_(None) | ~is_applied)),
            count(enrolled & DeviceState.has_findings),
        )
        .join(Device.state)
        .where(Device.life != DeviceLife.RETIRED)
        .group_by(key)
    )
    return {row[0]: Figures(*row[1:]) for row in db.session.execute(_visible(query, by))}


def class_titles(class_ids: Sequence[int]) -> dict[int, str]:
    """Return the titles of classes by id."""
    query = select(SchoolClass.id, SchoolClass.title).where(SchoolClass.id.in_(class_ids))
    return dict(db.session.execute(query).tuples().all())


def keys(thumbprints: Collection[str]) -> dict[str, tuple[int, bytes]]:
    """Return tablet and public key (DER) by thumbprint, of enrolments past and present; one statement.

    Whether a key still counts is decided where it is used: here it only gets a name.
    """
    query = select(Enrolment.key_thumbprint, Enrolment.device_id, Enrolment.public_key).where(
        Enrolment.key_thumbprint.in_(thumbprints)
    )
    return {name: (device_id, key) for name, device_id, key in db.session.execute(query) if name and key}
