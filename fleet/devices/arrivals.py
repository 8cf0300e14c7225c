"""What comes of a ticket: who has come in, who waits for approval, who was refused and why, who is still expected.

Reads only, a bounded number of statements whatever the ticket's size: lists have an end, and what is counted is counted
in the database. Asks for the ticket's own permission once (:func:`fleet.devices.tickets.get`); what is done about a
tablet asks for itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, select
from sqlalchemy.orm import contains_eager, joinedload

from fleet.access import Permission, Principal, require
from fleet.audit import AuditEntry
from fleet.db import db
from fleet.devices import codes, tickets
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment, Ticket
from fleet.devices.queries import may_see
from fleet.schools.models import Membership, MembershipRole, Person, SchoolClass
from fleet.schools.queries import holding

SHOWN = 50  # that have come in; a ticket of more is looked at through the list of tablets
SHOWN_WAITING = 20  # each with a code to compare: those that are decided make room for the next
SHOWN_EXPECTED = 100
_REFUSALS_LOOKED_AT = 200
_SUBJECT_SIGNS = 50  # of a serial, in the audit
_REFUSALS_FOR = timedelta(days=14)  # what was refused longer ago is nobody's concern on a live page


@dataclass(frozen=True, slots=True)
class Arrival:
    """A tablet that was taken in, and how far it has come.

    Args:
        device: the tablet.
        enrolment_id: names the key it came in with.
        enrolled_at: when it came in.
        step: ``pending``, ``enrolled``, ``fetched``, ``applied``, ``failed``, or ``left``: that enrolment has ended.
        match_code: by which its key is recognised on its screen.
        is_seen: whether the one who asks may see the tablet as it is now: where it has gone since, and whose it is.
    """

    device: Device
    enrolment_id: int
    enrolled_at: datetime
    step: str
    match_code: str | None
    is_seen: bool


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


def _step() -> ColumnElement[str]:
    """Return how far a tablet has come since an enrolment; what it told before says nothing of it."""
    reported = DeviceState.last_seen_at >= Enrolment.enrolled_at
    has_it = and_(reported, DeviceState.applied_digest == DeviceState.desired_digest)
    return case(
        (Enrolment.ended_at.is_not(None), "left"),
        (Device.life == DeviceLife.PENDING, "pending"),
        (and_(has_it, DeviceState.failures.is_(None)), "applied"),
        (has_it, "failed"),
        (reported | (DeviceState.fetched_at >= Enrolment.enrolled_at), "fetched"),
        else_="enrolled",
    )


def _found(query: Select[Any], by: Principal) -> list[Arrival]:
    """Run a query over enrolments of tablets; one statement."""
    query = (
        query.join(Device, Device.id == Enrolment.device_id)
        .join(DeviceState, DeviceState.device_id == Device.id)
        .outerjoin(Device.school)
        .outerjoin(Device.school_class)
        .outerjoin(Device.person)
        .add_columns(Device, _step(), may_see(by))
        .options(
            *(contains_eager(one) for one in (Device.state, Device.school, Device.school_class, Device.person)),
        )
    )
    return [
        Arrival(
            device,
            enrolment.id,
            enrolment.enrolled_at,
            step,
            codes.match_code(enrolment.key_thumbprint) if enrolment.key_thumbprint is not None else None,
            bool(is_seen),
        )
        for enrolment, device, step, is_seen in db.session.execute(query)
    ]


def of_ticket(ticket: Ticket, *, by: Principal) -> list[Arrival]:
    """Return the tablets that a ticket took in and that wait for nobody, the newest first; one statement."""
    query = select(Enrolment).where(Enrolment.ticket_id == ticket.id, _step() != "pending")
    return _found(query.order_by(Enrolment.id.desc()).limit(SHOWN), by)


def steps(ticket: Ticket) -> Mapping[str, int]:
    """Return how many of the tablets that a ticket took in have come how far; one statement."""
    step = _step().label("step")
    query = select(step, func.count()).select_from(Enrolment).where(Enrolment.ticket_id == ticket.id)
    query = query.join(Device, Device.id == Enrolment.device_id)
    query = query.join(DeviceState, DeviceState.device_id == Device.id)
    return {row[0]: row[1] for row in db.session.execute(query.group_by(step))}


def waiting(*, ticket: Ticket | None = None, by: Principal) -> list[Arrival]:
    """Return tablets that wait for approval and that ``by`` may approve, of a ticket or all; the longest waiting first.

    At most :data:`SHOWN_WAITING`.
    """
    query = select(Enrolment).where(*_waits(ticket, by))
    return _found(query.order_by(Enrolment.id).limit(SHOWN_WAITING), by)


def waiting_count(*, ticket: Ticket | None = None, by: Principal) -> int:
    """Return how many tablets :func:`waiting` would return without an end."""
    query = select(func.count(Enrolment.id)).join(Device, Device.id == Enrolment.device_id).where(*_waits(ticket, by))
    return db.session.scalar(query) or 0


def _waits(ticket: Ticket | None, by: Principal) -> list[ColumnElement[bool]]:
    conditions = [Enrolment.ended_at.is_(None), Device.life == DeviceLife.PENDING]
    among = by.school_ids(Permission.MANAGE_DEVICES)
    if among is not None:
        conditions.append(Device.school_id.in_(among))
    if ticket is not None:
        conditions.append(Enrolment.ticket_id == ticket.id)
    return conditions


def refusals(ticket: Ticket, *, now: datetime) -> list[Refusal]:
    """Return whom a ticket refused and who has not come in since, newest first; one statement."""
    subject = literal("serial:") + func.substr(Device.serial, 1, _SUBJECT_SIGNS)
    come = select(subject.label("subject"), func.max(Enrolment.enrolled_at).label("at"))
    come = come.join_from(Device, Enrolment, Enrolment.device_id == Device.id)
    came = come.where(Enrolment.enrolled_at >= ticket.created_at).group_by(subject).subquery()
    query = (
        select(AuditEntry.subject, AuditEntry.at, AuditEntry.fields)
        .outerjoin(came, came.c.subject == AuditEntry.subject)
        .where(
            AuditEntry.action == "enrolment.refused",
            AuditEntry.at >= max(ticket.created_at, now - _REFUSALS_FOR),
            AuditEntry.fields["ticket_id"].as_integer() == ticket.id,
            came.c.at.is_(None) | (came.c.at < AuditEntry.at),  # one that was reset asks again after it came
        )
        .order_by(AuditEntry.id.desc())
        .limit(_REFUSALS_LOOKED_AT)
    )
    found: dict[str, Refusal] = {}
    for subject, at, fields in db.session.execute(query):
        told = subject.removeprefix("serial:")
        known = found.get(told)
        last = known or Refusal(told if told != "?" else None, str(fields.get("code")), at, 0)
        found[told] = Refusal(last.serial, last.code, last.at, last.count + 1)
    return list(found.values())


def expected(ticket: Ticket, *, by: Principal) -> Sequence[Device]:
    """Return tablets that are expected at the ticket's place, at most :data:`SHOWN_EXPECTED`; one statement.

    How many there are, :func:`fleet.devices.tickets.expected_at` says.
    """
    there = tickets.expected_there(ticket.school_id, class_id=ticket.class_id, cart=ticket.cart, on=by.today)
    query = select(Device).where(*there).options(joinedload(Device.school_class), joinedload(Device.person))
    return db.session.scalars(query.order_by(Device.serial).limit(SHOWN_EXPECTED)).all()


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
