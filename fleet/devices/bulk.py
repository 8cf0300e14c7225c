"""The same for many tablets: what it would come to, tablet by tablet, before it happens; and doing it, all or nothing.

What a preview leaves out is left out when it is done, too: both ask the same questions of the tablets as they are then.
A number of statements that does not grow with the tablets.
"""

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import changed, db, id_set, take_turn
from fleet.devices import losing, queries, states
from fleet.devices.enrolment import open_channels
from fleet.devices.life import ENDS_ENROLMENT, STEPS, ends_enrolment, leads_to, stays_in_reach, was_at
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.devices.queries import Filter
from fleet.devices.tickets import sound_cart
from fleet.errors import ForbiddenError, InvalidError
from fleet.schools.models import Person, School, SchoolClass

MOST = 10_000


class LeftOut(enum.StrEnum):
    """Why something cannot be done with a tablet."""

    FORBIDDEN = "forbidden"  # not at its school
    STATE = "state"  # not from where the tablet is in its life
    NOT_CARRIED = "not-carried"  # it cannot do that
    WAITING = "waiting"  # the same waits for it already
    SAME = "same"  # it is there already


@dataclass(frozen=True, slots=True)
class Sorted:
    """Tablets that something is meant for: those that get it, and the others by why not."""

    going: Sequence[Device]
    left_out: Mapping[LeftOut, Sequence[Device]]

    @property
    def left_count(self) -> int:
        """How many are left out."""
        return sum(len(ones) for ones in self.left_out.values())


@dataclass(frozen=True, slots=True)
class Where:
    """Where a tablet is, in numbers."""

    school_id: int | None
    class_id: int | None
    person_id: int | None
    cart: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """Where tablets go: a school, and there a class, a cart or neither."""

    school: School
    school_class: SchoolClass | None = None
    cart: str | None = None

    @property
    def where(self) -> Where:
        """The place in numbers; no pupil has the tablets there."""
        class_id = self.school_class.id if self.school_class is not None else None
        return Where(self.school.id, class_id, None, self.cart)

    def holds(self, device: Device) -> bool:
        """Whether a tablet is there already."""
        return _where(device) == self.where


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move has done: where each tablet was before, and where all of them are since."""

    before: Mapping[int, Where]
    to: Where


def require_anywhere(by: Principal, permission: Permission) -> None:
    """Refuse who may do something nowhere, before one is asked what it would come to.

    Raises:
        ForbiddenError: ``by`` has the permission at no school.
    """
    if by.school_ids(permission) == frozenset():
        raise ForbiddenError(permission=permission.value)


def chosen(ids: Collection[int], *, by: Principal, sort: str = "serial") -> Sequence[Device]:
    """Return those of these tablets that ``by`` may see, with state, school, class and pupil, as a list sorts them.

    Raises:
        InvalidError: there are more than :data:`MOST`.
    """
    _require_not_too_many(ids)
    return queries.devices(Filter(within=_ids(ids)), by=by, sort=sort)


def _ids(ids: Collection[int]) -> Select[tuple[int]]:
    found: Select[tuple[int]] = id_set(ids)
    return found


def ids_of(given: Filter, *, by: Principal) -> Sequence[int]:
    """Return the ids of all tablets that match.

    Raises:
        InvalidError: there are more than :data:`MOST`.
    """
    found = db.session.scalars(queries.matching(given, by=by).limit(MOST + 1)).all()
    _require_not_too_many(found)
    return found


def _require_not_too_many(ids: Collection[int]) -> None:
    if len(ids) > MOST:
        raise InvalidError(kind="choice", most=MOST)


def sort(devices: Collection[Device], why_not: Callable[[Device], LeftOut | None]) -> Sorted:
    """Tell those that something can be done with from the others."""
    left: dict[LeftOut, list[Device]] = {}
    going = []
    for device in devices:
        reason = why_not(device)
        if reason is None:
            going.append(device)
        else:
            left.setdefault(reason, []).append(device)
    return Sorted(going, left)


def sort_step(devices: Collection[Device], name: str, *, by: Principal) -> Sorted:
    """Sort tablets for a step in their life; see :func:`fleet.devices.life.step`."""
    allowed, _to = STEPS[name]

    def why_not(device: Device) -> LeftOut | None:
        if not by.may(Permission.MANAGE_DEVICES, school_id=device.school_id):
            return LeftOut.FORBIDDEN
        return None if device.life in allowed else LeftOut.STATE

    return sort(devices, why_not)


def sort_leaving(devices: Collection[Device], *, by: Principal) -> Sorted:
    """Sort tablets for leaving where they are, wherever they go."""

    def why_not(device: Device) -> LeftOut | None:
        if not by.may(Permission.MANAGE_DEVICES, school_id=device.school_id):
            return LeftOut.FORBIDDEN
        return LeftOut.STATE if device.life is DeviceLife.RETIRED else None

    return sort(devices, why_not)


def sort_move(devices: Collection[Device], target: Target, *, by: Principal) -> Sorted:
    """Sort tablets for moving to a place.

    Raises:
        ForbiddenError: ``by`` may not manage tablets of the school they would go to.
    """
    require(by, Permission.MANAGE_DEVICES, school_id=target.school.id)
    leaving = sort_leaving(devices, by=by)
    there = [device for device in leaving.going if target.holds(device)]
    going = [device for device in leaving.going if not target.holds(device)]
    return Sorted(going, {**leaving.left_out, **({LeftOut.SAME: there} if there else {})})


def _anew(ids: Collection[int]) -> Sequence[Device]:
    """Return tablets as they are now, after having waited for others who move any, or write to their rows."""
    _require_not_too_many(ids)
    take_turn("assignments")
    query = select(Device).where(Device.id.in_(id_set(ids))).order_by(Device.id).options(joinedload(Device.state))
    query = query.with_for_update(key_share=True, of=Device)  # before the states' rows, as whoever writes to one tablet
    return db.session.scalars(query.execution_options(populate_existing=True)).all()


def step(
    ids: Collection[int],
    name: str,
    *,
    message: str | None = None,
    phone: str | None = None,
    by: Principal,
    now: datetime,
) -> Sorted:
    """Take a step in the life of each of these tablets where it can be taken; returns which were.

    Args:
        ids: the tablets.
        name: one of :data:`fleet.devices.life.STEPS`.
        message: what the screens of lost tablets show; None: their channel's own text.
        phone: whom to call from there.
        by: who acts.
        now: the instant.

    Raises:
        InvalidError: the message or the telephone number is not sound.
    """
    losing.require_sound(message, phone)
    found = sort_step(_anew(ids), name, by=by)
    moved = [device.id for device in found.going]
    if not moved:
        return found
    states.lock(id_set(moved))
    channels = open_channels(moved)
    ending = {device_id for device_id in moved if ends_enrolment(name, channels.get(device_id))}
    open_ones = select(Enrolment).where(Enrolment.device_id.in_(id_set(ending)), Enrolment.ended_at.is_(None))
    for enrolment in db.session.scalars(open_ones) if ending else ():
        enrolment.ended_at, enrolment.end_reason = now, ENDS_ENROLMENT[name]
    for device in found.going:
        before, device.life = device.life, leads_to(name, channels.get(device.id))
        device.lost_message, device.lost_phone = (message, phone) if name == "lost" else (None, None)
        if device.id in ending:
            device.state.key_thumbprint = None
        audit.record(
            by, f"devices.{name}", subject=f"device:{device.id}", now=now,
            serial=device.serial, from_state=before.value, to_state=device.life.value,
        )  # fmt: skip
    changed("device", moved, now=now)
    db.session.flush()
    hearing = [device_id for device_id in moved if stays_in_reach(name, channels.get(device_id))]
    if hearing:
        states.have_fetched(hearing)
    return found


def move(ids: Collection[int], target: Target, *, by: Principal, now: datetime) -> tuple[Sorted, Moved]:
    """Move tablets to a place; returns which were moved, and where they were. They are no pupil's own any more.

    Raises:
        ForbiddenError: ``by`` may not manage tablets of the school they would go to.
        InvalidError: the class is of another school, or the cart has no sensible name.
    """
    if target.school_class is not None and target.school_class.school_id != target.school.id:
        raise InvalidError(kind="tablet", reason="the class is of another school")
    target = Target(target.school, target.school_class, sound_cart(target.cart))
    found = sort_move(_anew(ids), target, by=by)
    moved = Moved({device.id: _where(device) for device in found.going}, target.where)
    for device in found.going:
        _put(device, moved.to, by=by, now=now)
    _tell(found.going, now)
    return found, moved


def put_back(moved: Moved, *, by: Principal, now: datetime) -> int:
    """Put tablets where they were before a move; returns how many.

    One stays that somebody has moved since, or put out of use, whose former place is no more, or that ``by`` may not
    move.
    """
    known = moved.before
    standing = _anew(known)
    schools = set(db.session.scalars(select(School.id).where(School.ended_at.is_(None))))
    classes = set(db.session.scalars(select(SchoolClass.id).where(SchoolClass.ended_at.is_(None))))
    persons = id_set(one.person_id for one in known.values() if one.person_id is not None)
    people = set(db.session.scalars(select(Person.id).where(Person.id.in_(persons), Person.ended_at.is_(None))))

    def is_there(one: Where) -> bool:
        return (
            (one.school_id is None or one.school_id in schools)
            and (one.class_id is None or one.class_id in classes)
            and (one.person_id is None or one.person_id in people)
            and by.may(Permission.MANAGE_DEVICES, school_id=one.school_id)
        )

    going = [
        device
        for device in standing
        if _where(device) == moved.to
        and device.life is not DeviceLife.RETIRED
        and by.may(Permission.MANAGE_DEVICES, school_id=device.school_id)
        and is_there(known[device.id])
    ]
    for device in going:
        _put(device, known[device.id], by=by, now=now)
    _tell(going, now)
    return len(going)


def _where(device: Device) -> Where:
    return Where(device.school_id, device.class_id, device.person_id, device.cart)


def _put(device: Device, to: Where, *, by: Principal, now: datetime) -> None:
    before = was_at(device)
    device.school_id, device.class_id, device.person_id, device.cart = (
        to.school_id, to.class_id, to.person_id, to.cart,
    )  # fmt: skip
    audit.record(
        by, "devices.moved", subject=f"device:{device.id}", now=now,
        serial=device.serial, school_id=to.school_id, class_id=to.class_id, cart=to.cart, **before,
    )  # fmt: skip


def _tell(moved: Sequence[Device], now: datetime) -> None:
    db.session.flush()
    if moved:
        changed("device", [device.id for device in moved], now=now)
