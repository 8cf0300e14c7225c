"""The life of a tablet after enrolment: approved or declined, moved, lost, found, retired, reinstated, its key revoked.

A lost tablet whose channel can close it stays enrolled, so that it can be told to (:mod:`fleet.devices.losing`).
Each step takes the turn first and looks at the tablet anew, so that of two steps at once the second sees the first.
"""

from datetime import datetime

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import changed, db, id_set, take_turn
from fleet.devices import losing, states
from fleet.devices.enrolment import end_enrolment, open_channels
from fleet.devices.losing import KEPT_WHEN_LOST
from fleet.devices.models import Device, DeviceLife
from fleet.devices.tickets import sound_cart
from fleet.errors import ConflictError, InvalidError
from fleet.schools.models import Person, School, SchoolClass

# From which states each step may be taken, and where it leads (see :func:`leads_to`).
STEPS: dict[str, tuple[frozenset[DeviceLife], DeviceLife]] = {
    "approve": (frozenset({DeviceLife.PENDING}), DeviceLife.ENROLLED),
    # Out of use, so that it cannot simply ask again with the same code; reinstating it lets it.
    "decline": (frozenset({DeviceLife.PENDING}), DeviceLife.RETIRED),
    "lost": (frozenset({DeviceLife.EXPECTED, DeviceLife.ENROLLED}), DeviceLife.LOST),
    "found": (frozenset({DeviceLife.LOST}), DeviceLife.EXPECTED),
    "retire": (frozenset({DeviceLife.EXPECTED, DeviceLife.ENROLLED, DeviceLife.LOST}), DeviceLife.RETIRED),
    "reinstate": (frozenset({DeviceLife.RETIRED}), DeviceLife.EXPECTED),
}
ENDS_ENROLMENT = {"decline": "declined", "lost": "lost", "retire": "retired"}


def _look_anew(device: Device) -> None:
    take_turn("assignments")
    db.session.refresh(device)


def leads_to(name: str, channel: str | None) -> DeviceLife:
    """Return where a step leads a tablet.

    Args:
        name: the step.
        channel: of its open enrolment; None: it has none, so that one that is found enrols anew.
    """
    return DeviceLife.ENROLLED if name == "found" and channel is not None else STEPS[name][1]


def ends_enrolment(name: str, channel: str | None) -> bool:
    """Whether a step ends the enrolment of a tablet on this channel."""
    return name in ENDS_ENROLMENT and not stays_in_reach(name, channel)


def stays_in_reach(name: str, channel: str | None) -> bool:
    """Whether a tablet on this channel hears of the step: it is to be closed, or opened again."""
    return (name == "lost" and channel in KEPT_WHEN_LOST) or (name == "found" and channel is not None)


def step(
    device: Device, name: str, *, message: str | None = None, phone: str | None = None, by: Principal, now: datetime
) -> None:
    """Take a step in a tablet's life: ``approve``, ``decline``, ``lost``, ``found``, ``retire`` or ``reinstate``.

    A tablet that is declined, lost or retired may not speak any more; found or reinstated it is expected, and enrols
    anew. A lost one whose channel can close it (:data:`fleet.devices.losing.KEPT_WHEN_LOST`) may, and is enrolled
    again when it is found; it fetches both at once. One that is approved gets what it shall have at once.

    Args:
        device: the tablet.
        name: the step.
        message: what the screen of a lost tablet shows; None: the channel's own text.
        phone: whom to call from there.
        by: who acts.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not manage tablets of the school.
        ConflictError: the step cannot be taken from where the tablet is.
        InvalidError: the message or the telephone number is not sound.
    """
    losing.require_sound(message, phone)
    _look_anew(device)
    require(by, Permission.MANAGE_DEVICES, school_id=device.school_id)
    if device.life not in STEPS[name][0]:
        raise ConflictError(kind="tablet", serial=device.serial, state=device.life.value, step=name)
    channel = open_channels([device.id]).get(device.id)
    before, device.life = device.life, leads_to(name, channel)
    device.lost_message, device.lost_phone = (message, phone) if name == "lost" else (None, None)
    if ends_enrolment(name, channel):
        end_enrolment(device, ENDS_ENROLMENT[name], now)
    audit.record(
        by, f"devices.{name}", subject=f"device:{device.id}", now=now,
        serial=device.serial, from_state=before.value, to_state=device.life.value,
    )  # fmt: skip
    changed("device", [device.id], now=now)
    if stays_in_reach(name, channel):
        db.session.flush()
        states.lock(id_set([device.id]))
        states.have_fetched([device.id])


def revoke_key(device: Device, *, by: Principal, now: datetime) -> None:
    """Take a tablet's key back: it is expected again and needs a ticket.

    Raises:
        ForbiddenError: ``by`` may not manage tablets of the school.
        ConflictError: the tablet is not enrolled.
    """
    _look_anew(device)
    require(by, Permission.MANAGE_DEVICES, school_id=device.school_id)
    if device.life is not DeviceLife.ENROLLED:
        raise ConflictError(kind="tablet", serial=device.serial, state=device.life.value, step="revoke")
    end_enrolment(device, "revoked", now)
    device.life = DeviceLife.EXPECTED
    audit.record(by, "devices.revoked", subject=f"device:{device.id}", now=now, serial=device.serial)
    changed("device", [device.id], now=now)


def removed(device: Device, *, now: datetime) -> None:
    """Note that a tablet's own client was removed from it, as it says itself: it is expected again.

    The caller has the turn. One that is out of use stays so.
    """
    before = device.life
    end_enrolment(device, "removed", now)
    if before in {DeviceLife.ENROLLED, DeviceLife.PENDING}:
        device.life = DeviceLife.EXPECTED
    audit.record(
        Principal("device", device.uid), "enrolment.removed", subject=f"device:{device.id}", now=now,
        serial=device.serial, from_state=before.value, to_state=device.life.value,
    )  # fmt: skip
    changed("device", [device.id], now=now)


def was_at(device: Device) -> dict[str, int | str | None]:
    """Return what the audit says of where a tablet is that is about to be moved."""
    return {"from_school_id": device.school_id, "from_class_id": device.class_id, "from_cart": device.cart}


def move(
    device: Device,
    *,
    school: School,
    school_class: SchoolClass | None = None,
    person: Person | None = None,
    cart: str | None = None,
    by: Principal,
    now: datetime,
) -> None:
    """Move a tablet to a school, and there to a class, a pupil, a cart or none of them.

    Raises:
        ForbiddenError: ``by`` may not manage tablets of both schools.
        InvalidError: the class or the pupil is of another school, or the cart has no sensible name.
        ConflictError: the tablet is retired.
    """
    _look_anew(device)
    for school_id in {device.school_id, school.id}:
        require(by, Permission.MANAGE_DEVICES, school_id=school_id)
    if school_class is not None and school_class.school_id != school.id:
        raise InvalidError(kind="tablet", serial=device.serial, reason="the class is of another school")
    if person is not None and person.school_id not in {school.id, None}:
        raise InvalidError(kind="tablet", serial=device.serial, reason="the pupil is of another school")
    if device.life is DeviceLife.RETIRED:
        raise ConflictError(kind="tablet", serial=device.serial, state=device.life.value, step="move")
    cart = sound_cart(cart)
    before = was_at(device)
    device.school_id = school.id
    device.class_id = school_class.id if school_class is not None else None
    device.person_id = person.id if person is not None else None
    device.cart = cart
    audit.record(
        by, "devices.moved", subject=f"device:{device.id}", now=now,
        serial=device.serial, school_id=school.id, class_id=device.class_id, cart=cart, **before,
    )  # fmt: skip
    changed("device", [device.id], now=now)
