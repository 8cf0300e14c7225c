"""What comes of a ticket: who has come in, who waits for approval, who was refused and why, who is still expected.

Reads only, a bounded number of statements whatever the ticket's size. Asks for the ticket's own permission once
(:func:`fleet.devices.tickets.get`); what is done about a tablet asks for itself.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import contains_eager, joinedload

from fleet.access import Permission, Principal, require
from fleet.audit import AuditEntry
from fleet.db import db
from fleet.devices import codes
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment, Ticket
from fleet.schools.models import Membership, MembershipRole, Person, SchoolClass
from fleet.schools.queries import holding

SHOWN = 400  # tablets of one page; a ticket of more is looked at through the list of tablets
_REFUSALS_LOOKED_AT = 200
_REFUSALS_FOR = timedelta(days=14)  # what was refused longer ago is nobody's concern on a live page


@dataclass(frozen=True, slots=True)
class Arrival:
    """A tablet that a ticket took in, and how far it has come: ``enrolled``, ``fetched``, ``applied`` or ``failed``."""

    device: Device
    enrolled_at: datetime
    is_open: bool
    step: str
    match_code: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A tablet that a ticket refused last: its serial (None: it told none), why, when, and how often."""

    serial: str | None
    code: str
    at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A pupil for whom a card is printed, and the asset tag or serial of the tablet that is the pupil's own."""

    name: str
    tablet: str | None


def _step(device: Device, enrolment: Enrolment) -> str:
    state = device.state
    reported = state.last_seen_at is not None and state.last_seen_at >= enrolment.enrolled_at
    if reported and state.applied_digest is not None and state.applied_digest == state.desired_digest:
        return "failed" if state.failures else "applied"
    fetched = state.fetched_at is not None and state.fetched_at >= enrolment.enrolled_at
    return "fetched" if fetched or reported else "enrolled"


def _found(query: Select[Any]) -> list[Arrival]:
    """Run a query over enrolments of tablets; one statement."""
    query = (
        query.join(Device, Device.id == Enrolment.device_id)
        .join(DeviceState, DeviceState.device_id == Device.id)
        .outerjoin(Device.school)
        .outerjoin(Device.school_class)
        .outerjoin(Device.person)
        .add_columns(Device)
        .options(
            *(contains_eager(one) for one in (Device.state, Device.school, Device.school_class, Device.person)),
        )
    )
    return [
        Arrival(
            device,
            enrolment.enrolled_at,
            enrolment.ended_at is None,
            _step(device, enrolment),
            codes.match_code(enrolment.key_thumbprint) if enrolment.key_thumbprint is not None else None,
        )
        for enrolment, device in db.session.execute(query)
    ]


def of_ticket(ticket: Ticket) -> list[Arrival]:
    """Return the tablets that a ticket took in, newest first; one statement."""
    query = select(Enrolment).where(Enrolment.ticket_id == ticket.id).order_by(Enrolment.id.desc()).limit(SHOWN)
    return _found(query)


def waiting(*, by: Principal) -> list[Arrival]:
    """Return the tablets that wait for approval and that ``by`` may approve, the longest waiting first."""
    query = select(Enrolment).where(Enrolment.ended_at.is_(None), Device.life == DeviceLife.PENDING)
    among = by.school_ids(Permission.MANAGE_DEVICES)
    if among is not None:
        query = query.where(Device.school_id.in_(among))
    return _found(query.order_by(Enrolment.id).limit(SHOWN))


def refusals(ticket: Ticket, *, come: Collection[str], now: datetime) -> list[Refusal]:
    """Return whom a ticket refused and who has not come in since, newest first; one statement.

    Args:
        ticket: the ticket.
        come: serials of the tablets that have come in.
        now: the instant.
    """
    query = (
        select(AuditEntry.subject, AuditEntry.at, AuditEntry.fields)
        .where(
            AuditEntry.action == "enrolment.refused",
            AuditEntry.at >= max(ticket.created_at, now - _REFUSALS_FOR),
            AuditEntry.fields["ticket_id"].as_integer() == ticket.id,
        )
        .order_by(AuditEntry.id.desc())
        .limit(_REFUSALS_LOOKED_AT)
    )
    found: dict[str, Refusal] = {}
    for subject, at, fields in db.session.execute(query):
        told = subject.removeprefix("serial:")
        if told in come:
            continue
        known = found.get(told)
        last = known or Refusal(told if told != "?" else None, str(fields.get("code")), at, 0)
        found[told] = Refusal(last.serial, last.code, last.at, last.count + 1)
    return list(found.values())


def expected(ticket: Ticket) -> Sequence[Device]:
    """Return the tablets that the delivery list has at the ticket's place and that have not come yet; one statement."""
    query = select(Device).where(Device.school_id == ticket.school_id, Device.life == DeviceLife.EXPECTED)
    if ticket.class_id is not None:
        pupils = select(Membership.person_id).where(
            Membership.class_id == ticket.class_id,
            Membership.role == MembershipRole.PUPIL,
            Membership.ended_at.is_(None),
        )
        query = query.where((Device.class_id == ticket.class_id) | Device.person_id.in_(pupils))
    if ticket.cart is not None:
        query = query.where(Device.cart == ticket.cart)
    known = (joinedload(Device.school_class), joinedload(Device.person))
    return db.session.scalars(query.options(*known).order_by(Device.serial).limit(SHOWN)).all()


def first_tablet() -> Device | None:
    """Return a tablet that has come in, the newest one; None before the first."""
    query = select(Device).join(Enrolment, Enrolment.device_id == Device.id).where(Enrolment.ended_at.is_(None))
    known = (joinedload(Device.state), joinedload(Device.school))
    return db.session.scalars(query.options(*known).order_by(Enrolment.id.desc()).limit(1)).first()


def carts(school_id: int) -> dict[str, int]:
    """Return the carts of a school's tablets with how many are expected in each, by name; one statement."""
    query = select(Device.cart, func.sum((Device.life == DeviceLife.EXPECTED).cast(db.Integer)))
    query = query.where(Device.school_id == school_id, Device.cart.is_not(None), Device.life != DeviceLife.RETIRED)
    return {row[0]: row[1] or 0 for row in db.session.execute(query.group_by(Device.cart).order_by(Device.cart))}


def pupils(found: SchoolClass, *, by: Principal, today: date) -> list[Holder]:
    """Return a class's pupils by name, each with the tablet that is the pupil's own; one statement.

    Raises:
        ForbiddenError: ``by`` may not see the class.
    """
    require(by, Permission.SEE_CLASS, school_id=found.school_id, class_id=found.id)
    query = (
        select(Person.id, Person.given_name, Person.family_name, Device.asset_tag, Device.serial)
        .join(Membership, Membership.person_id == Person.id)
        .outerjoin(Device, (Device.person_id == Person.id) & (Device.life != DeviceLife.RETIRED))
        .where(
            Membership.class_id == found.id,
            Membership.role == MembershipRole.PUPIL,
            Person.ended_at.is_(None),
            *holding(today),
        )
        .order_by(Person.given_name, Person.family_name, Person.id, Device.serial)
    )
    return [
        Holder(f"{row.given_name} {row.family_name}", row.asset_tag or row.serial) for row in db.session.execute(query)
    ]
