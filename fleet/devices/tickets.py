"""Tickets: rights to enrol, for a school, class or cart, limited in time and number.

Invariants: the code exists in clear text only in the answer of :func:`create`; what is stored is its digest; using a
ticket is one conditional update, so that the allowed number wins however many try at once.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, cast, exists, func, literal, or_, select, update
from sqlalchemy.orm import joinedload

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.crypto import token_digest
from fleet.db import carry_out, db, take_turn
from fleet.devices import codes
from fleet.devices.models import Device, DeviceLife, Ticket
from fleet.devices.search import is_pupil
from fleet.errors import ConflictError, InvalidError, NotFoundError
from fleet.schools.models import Membership, School, SchoolClass
from fleet.schools.roster.reader import UNSHOWABLE

MAX_ENROLMENTS = 5_000
MAX_LIFE = timedelta(days=366)
MAX_CART = 64
EXPIRES_SOON = timedelta(days=3)
_LONG_ENOUGH = timedelta(days=2)
_EXPIRED = "tickets.expired"
_LOOKED_BACK = timedelta(days=90)


class MadeAlreadyError(ConflictError):
    """The same wish has made a ticket before, whose code was shown then. Data: ``ticket_id``."""

    code = "ticket-made-already"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a ticket takes tablets in: a school, and in it a class or a cart, or neither."""

    school: School
    school_class: SchoolClass | None = None
    cart: str | None = None


def sound_cart(cart: str | None) -> str | None:
    """Return a cart's name without spaces around it, None where nothing is left.

    Raises:
        InvalidError: longer than 64 characters, or of more than one line.
    """
    name = (cart or "").strip() or None
    if name is not None and (len(name) > MAX_CART or UNSHOWABLE.search(name)):
        raise InvalidError(kind="cart", reason="name", expected=f"one line of at most {MAX_CART} characters")
    return name


def expected_there(
    school_id: int, *, class_id: int | None, cart: str | None, on: date | None
) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which a tablet is expected at a place: of a class, its own and its pupils' own.

    Args:
        school_id: the school.
        class_id: the class, where the place is one.
        cart: the cart, where the place is one.
        on: the local date on which memberships count; None: all that the roster has not ended.
    """
    conditions: list[ColumnElement[bool]] = [Device.school_id == school_id, Device.life == DeviceLife.EXPECTED]
    if class_id is not None:
        pupils = select(Membership.person_id).where(Membership.class_id == class_id, *is_pupil(on))
        conditions.append(or_(Device.class_id == class_id, Device.person_id.in_(pupils)))
    if cart is not None:
        conditions.append(Device.cart == cart)
    return tuple(conditions)


def create(
    place: Place,
    *,
    expires_at: datetime,
    max_enrolments: int | None = None,
    listed_only: bool = False,
    asks: bool = False,
    request_id: str | None = None,
    by: Principal,
    now: datetime,
) -> tuple[Ticket, str]:
    """Make a ticket and return it with its code, which is not kept.

    Args:
        place: where tablets go that use it.
        expires_at: until when it is good.
        max_enrolments: how many tablets it takes in; as many as are expected there where not given.
        listed_only: whether only serials of the delivery list may use it.
        asks: whether a tablet that is not on the delivery list waits until somebody approves it.
        request_id: names this wish among those of ``by``; one that comes again makes no second ticket.
        by: who makes it.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not make tickets for the school.
        InvalidError: expiry or number out of range, no number given and no tablet expected there, a class of another
            school, or a class and a cart at once.
        MadeAlreadyError: the wish came again. The code of its ticket is not known any more.
    """
    require(by, Permission.MANAGE_TICKETS, school_id=place.school.id)
    wish = _new_wish(request_id, by)
    place = _sound(place)
    if not now < expires_at <= now + MAX_LIFE:
        raise InvalidError(kind="ticket", reason="expiry", expected=f"after now, within {MAX_LIFE.days} days")
    number = max_enrolments if max_enrolments is not None else expected_at(place, by=by)
    if not 1 <= number <= MAX_ENROLMENTS:
        expected = f"1 to {MAX_ENROLMENTS}; say how many, as no tablet is expected there" if number == 0 else None
        raise InvalidError(kind="ticket", reason="number", found=number, expected=expected or f"1 to {MAX_ENROLMENTS}")
    code = codes.make()
    ticket = Ticket(
        code_digest=token_digest(code),
        code_tail=code[-4:],
        school_id=place.school.id,
        class_id=place.school_class.id if place.school_class is not None else None,
        cart=place.cart,
        listed_only=listed_only,
        asks=asks and not listed_only,  # which leaves nobody to ask about
        max_enrolments=number,
        expires_at=expires_at,
        created_at=now,
        request_id=wish,
    )
    db.session.add(ticket)
    db.session.flush()
    audit.record(
        by, "tickets.created", subject=f"ticket:{ticket.id}", now=now,
        school_id=ticket.school_id, class_id=ticket.class_id, max_enrolments=number,
        ends_at=expires_at.isoformat(),
    )  # fmt: skip
    return ticket, code


def _new_wish(request_id: str | None, by: Principal) -> str | None:
    """Return how a wish is stored; nobody else makes a ticket of the same wish until the transaction ends."""
    if request_id is None:
        return None
    wish = f"{by.name}:{request_id}"
    take_turn(f"ticket-wish-{wish}")
    known = db.session.scalar(select(Ticket.id).where(Ticket.request_id == wish))
    if known is not None:
        raise MadeAlreadyError(kind="ticket", ticket_id=known)
    return wish


def _sound(place: Place) -> Place:
    if place.school_class is not None and place.school_class.school_id != place.school.id:
        raise InvalidError(kind="ticket", reason="the class is of another school")
    if place.school_class is not None and place.cart is not None:
        raise InvalidError(kind="ticket", reason="a class or a cart, not both")
    return replace(place, cart=sound_cart(place.cart))


def get(ticket_id: int, *, by: Principal) -> Ticket:
    """Return a ticket.

    Raises:
        NotFoundError: there is none, or ``by`` may not see it.
    """
    query = select(Ticket).where(Ticket.id == ticket_id)
    query = query.options(joinedload(Ticket.school), joinedload(Ticket.school_class))
    ticket = db.session.scalars(query).one_or_none()
    if ticket is None or not by.may(Permission.MANAGE_TICKETS, school_id=ticket.school_id):
        raise NotFoundError(kind="ticket", name=str(ticket_id))
    return ticket


def with_code(ticket_id: int, typed: str, *, by: Principal) -> tuple[Ticket, str]:
    """Return a ticket and its code, where ``typed`` is the ticket's code: for sheets, as the code itself is not kept.

    Raises:
        NotFoundError: there is none, or ``by`` may not see it.
        InvalidError: it is another code, or none.
    """
    ticket, code = get(ticket_id, by=by), codes.normalise(typed)
    if not hmac.compare_digest(token_digest(code), ticket.code_digest):
        raise InvalidError(kind="ticket", reason="another code")
    return ticket, code


def expected_at(place: Place, *, by: Principal) -> int:
    """Return how many tablets the delivery list has at a place that have not come yet; ``by`` tells on which date."""
    class_id = place.school_class.id if place.school_class is not None else None
    there = expected_there(place.school.id, class_id=class_id, cart=place.cart, on=by.today)
    return db.session.scalar(select(func.count(Device.id)).where(*there)) or 0


def listed(*, by: Principal) -> Sequence[Ticket]:
    """Return the tickets ``by`` may see with school and class, newest first; one statement."""
    query = (
        select(Ticket).options(joinedload(Ticket.school), joinedload(Ticket.school_class)).order_by(Ticket.id.desc())
    )
    visible = by.school_ids(Permission.MANAGE_TICKETS)
    if visible is not None:
        query = query.where(Ticket.school_id.in_(visible))
    return db.session.scalars(query).all()


def revoke(ticket_id: int, *, by: Principal, now: datetime) -> Ticket:
    """End a ticket; tablets already taken in stay.

    Raises:
        NotFoundError: there is none, or ``by`` may not see it.
        ConflictError: it was revoked before.
    """
    ticket = get(ticket_id, by=by)
    if ticket.revoked_at is not None:
        raise ConflictError(kind="ticket", id=ticket_id, reason="already revoked")
    ticket.revoked_at = now
    audit.record(by, "tickets.revoked", subject=f"ticket:{ticket_id}", now=now, school_id=ticket.school_id)
    return ticket


def find(code: str) -> Ticket | None:
    """Return the ticket of a normalised code, None where there is none."""
    return db.session.scalars(select(Ticket).where(Ticket.code_digest == token_digest(code))).first()


def burn(ticket: Ticket, now: datetime) -> bool:
    """Use a ticket once; False where it cannot be used any more, whoever else tries at the same time."""
    query = (
        update(Ticket)
        .where(
            Ticket.id == ticket.id,
            Ticket.revoked_at.is_(None),
            Ticket.expires_at > now,
            Ticket.used_count < Ticket.max_enrolments,
        )
        .values(used_count=Ticket.used_count + 1)
    )
    return bool(carry_out(query))


def state(ticket: Ticket, now: datetime) -> str:
    """Return ``open``, ``revoked``, ``expired`` or ``exhausted``."""
    if ticket.revoked_at is not None:
        return "revoked"
    if ticket.expires_at <= now:
        return "expired"
    return "exhausted" if ticket.used_count >= ticket.max_enrolments else "open"


def expiring(within: timedelta = EXPIRES_SOON, *, by: Principal, now: datetime) -> Sequence[Ticket]:
    """Return the open tickets ``by`` may see that end within that time and have places left, soonest first.

    Not those that were made for so short a time that their end is no news to whoever made them.
    """
    query = (
        select(Ticket)
        .where(
            Ticket.revoked_at.is_(None),
            Ticket.expires_at > now,
            Ticket.expires_at <= now + within,
            Ticket.used_count < Ticket.max_enrolments,
        )
        .order_by(Ticket.expires_at, Ticket.id)
    )
    visible = by.school_ids(Permission.MANAGE_TICKETS)
    if visible is not None:
        query = query.where(Ticket.school_id.in_(visible))
    return [one for one in db.session.scalars(query) if one.expires_at - one.created_at >= _LONG_ENOUGH]


def note_expired(*, by: Principal, now: datetime) -> int:
    """Write an audit line for each ticket that has come to its end unrevoked; returns how many. For a job.

    The line is its own mark: a ticket has one at most. It tells how many places were left.
    """
    # The audit is kept far longer than this looks back, so no line is written again once the old one is gone.
    noted = exists().where(
        audit.AuditEntry.action == _EXPIRED, audit.AuditEntry.subject == literal("ticket:") + cast(Ticket.id, String)
    )
    query = select(Ticket).where(
        Ticket.revoked_at.is_(None), Ticket.expires_at <= now, Ticket.expires_at > now - _LOOKED_BACK, ~noted
    )
    over = db.session.scalars(query.order_by(Ticket.expires_at, Ticket.id)).all()
    for ticket in over:
        audit.record(
            by, _EXPIRED, subject=f"ticket:{ticket.id}", now=now, school_id=ticket.school_id,
            class_id=ticket.class_id, ends_at=ticket.expires_at.isoformat(),
            count=ticket.max_enrolments - ticket.used_count,
        )  # fmt: skip
    return len(over)


def plain(ticket: Ticket, now: datetime) -> dict[str, Any]:
    """Return a ticket as plain data for lists; the code itself is not known any more."""
    return {
        "id": ticket.id,
        "code": f"…{ticket.code_tail}",
        "school": ticket.school.name,
        "class": ticket.school_class.title if ticket.school_class is not None else None,
        "cart": ticket.cart,
        "used": ticket.used_count,
        "max": ticket.max_enrolments,
        "listed_only": ticket.listed_only,
        "asks": ticket.asks,
        "expires_at": ticket.expires_at,
        "state": state(ticket, now),
    }
