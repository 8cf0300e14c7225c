"""Whose tablets a lesson means: those in use now by the class's pupils, and those that stand in the class."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, select, union

from fleet.db import among, db, id_set
from fleet.devices.models import Device, DeviceLife, DevicePresence, Enrolment
from fleet.lessons.rules import Presence
from fleet.schools.models import Membership, MembershipRole, Person
from fleet.schools.queries import holding


@dataclass(frozen=True, slots=True)
class Member:
    """A tablet that a lesson of a class means; ``person_id`` is None where it stands in the class for whoever comes.

    ``pupil`` is that person's name; ``channel`` is how the tablet speaks to us, None where it does not now.
    ``due_at`` is when it was told to ask next, ``waits`` whether it is held until then.
    """

    device_id: int
    serial: str
    asset_tag: str | None
    person_id: int | None
    pupil: str | None
    presence: Presence
    channel: str | None = None
    due_at: datetime | None = None
    waits: bool = False


def tablets(class_id: int, *, on: date, device_ids: Collection[int] | None = None) -> list[Member]:
    """Return the class's tablets: of its pupils on a local date, own, borrowed or from a cart, and its own set.

    One statement.

    Args:
        class_id: the class.
        on: the date.
        device_ids: only those of these.
    """
    query = (
        select(
            Device.id,
            Device.serial,
            Device.asset_tag,
            Device.person_id,
            Person.given_name,
            Person.family_name,
            DevicePresence.polled_at,
            DevicePresence.is_at_school,
            DevicePresence.due_at,
            DevicePresence.waits,
            Enrolment.channel,
        )
        .outerjoin(Person, Person.id == Device.person_id)
        .outerjoin(DevicePresence, DevicePresence.device_id == Device.id)
        .outerjoin(Enrolment, (Enrolment.device_id == Device.id) & Enrolment.ended_at.is_(None))
        .where(Device.life == DeviceLife.ENROLLED, Device.id.in_(_of([class_id], *holding(on))))
        .order_by(Device.id)
    )
    if device_ids is not None:
        query = query.where(Device.id.in_(id_set(device_ids)))
    return [
        Member(
            row.id, row.serial, row.asset_tag, row.person_id,
            f"{row.given_name} {row.family_name}" if row.given_name is not None else None,
            Presence(row.polled_at, row.is_at_school), row.channel, row.due_at, bool(row.waits),
        )
        for row in db.session.execute(query)
    ]  # fmt: skip


def ever(class_ids: Collection[int]) -> Select[Any]:
    """Select the tablets that a lesson of these classes could mean, on whatever day and in whatever state."""
    return _of(class_ids)


def _of(class_ids: Collection[int], *conditions: ColumnElement[bool]) -> Select[Any]:
    """Select the tablets that stand in classes or belong to their pupils, as far as a membership meets conditions."""
    # Not an id_set: PostgreSQL takes one for a hundred classes, and then looks at all tablets there are.
    standing = select(Device.id).where(among(Device.class_id, class_ids))
    mine = (among(Membership.class_id, class_ids), Membership.role == MembershipRole.PUPIL, *conditions)
    of_pupils = select(Device.id).join(Membership, Membership.person_id == Device.person_id).where(*mine)
    # With OR instead, all tablets there are would be looked at.
    return select(union(standing, of_pupils).subquery().c.id)


def presences(device_ids: Collection[int]) -> dict[int, Presence]:
    """Return what is known of where tablets are; one statement."""
    columns = (DevicePresence.device_id, DevicePresence.polled_at, DevicePresence.is_at_school)
    query = select(*columns).where(DevicePresence.device_id.in_(id_set(device_ids)))
    return {row.device_id: Presence(row.polled_at, row.is_at_school) for row in db.session.execute(query)}


def day_began_at(now: datetime, timezone: ZoneInfo) -> datetime:
    """Return the local midnight that began the day."""
    local = now.astimezone(timezone)
    return datetime.combine(local.date(), datetime.min.time(), timezone)
