"""Taking tablets in.

Invariants: one tablet is one row for life, by its serial; a tablet comes by a ticket or, where its maker sends it here,
because a delivery list has it; the same key is taken in once, however often it asks; a
refusal of :func:`enrol` leaves an audit line, so the door commits whatever the outcome; nothing of a refused enrolment
is stored besides. By a ticket that asks, a tablet that nobody listed is taken in as pending: it may speak, and has
nothing until somebody has approved it (:func:`fleet.devices.life.step`).
"""

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from fleet import audit
from fleet.access import Principal
from fleet.db import changed, db, id_set, take_turn
from fleet.devices import codes, tickets
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment, Platform, Ticket
from fleet.errors import FleetError
from fleet.schools.roster.reader import UNSHOWABLE

# Wiping a tablet and setting it up again takes about as long; a pupil who works on it is heard from more often.
IN_USE_FOR = timedelta(minutes=15)
_LISTED = "delivery-list"
_SERIAL = re.compile(r"[A-Z0-9][A-Z0-9._/-]{1,63}")


class EnrolmentError(FleetError):
    """An enrolment that is refused."""

    code = "enrolment-refused"


class TicketUnknownError(EnrolmentError):
    """No ticket has this code; data has ``reason`` ``mistyped`` where none can have it."""

    code = "ticket-unknown"


class TicketExpiredError(EnrolmentError):
    """The ticket's time is over."""

    code = "ticket-expired"


class TicketExhaustedError(EnrolmentError):
    """The ticket has taken in as many tablets as it may."""

    code = "ticket-exhausted"


class TicketRevokedError(EnrolmentError):
    """The ticket was revoked."""

    code = "ticket-revoked"


class TicketForeignError(EnrolmentError):
    """The delivery list has this tablet at another school than the ticket's."""

    code = "ticket-foreign"


class SerialNotListedError(EnrolmentError):
    """The ticket takes listed serials only, and this is none; or it is no serial at all."""

    code = "serial-not-listed"


class DeviceLostError(EnrolmentError):
    """The tablet is reported lost: whoever has it cannot enrol it, and the audit says that it showed up."""

    code = "device-lost"


class DeviceRetiredError(EnrolmentError):
    """The tablet is retired; it has to be reinstated first."""

    code = "device-retired"


class KeyEndedError(EnrolmentError):
    """The key is of an enrolment that has ended: a tablet that enrols anew makes a new one."""

    code = "revoked"


class DeviceInUseError(EnrolmentError):
    """The tablet was heard from a moment ago under another key: whoever asks now is hardly the same tablet, wiped."""

    code = "device-in-use"


_ENDED = {"revoked": TicketRevokedError, "expired": TicketExpiredError, "exhausted": TicketExhaustedError}


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """What a channel knows of a tablet that asks to be taken in.

    Args:
        code: the ticket's code as given; or, where the channel has seen it before,
        ticket_id: the ticket.
        serial: as the tablet says.
        platform: what it runs.
        model: as the tablet says.
        channel: which channel it came through.
        key_thumbprint: names its key, whose possession the channel has verified.
        public_key: DER SubjectPublicKeyInfo.
        says_when_it_leaves: whether tablets of this channel do, so that one which has not is taken over.
        by_listing: whether it comes without a ticket, because a delivery list has it; the channel has verified that its
            maker has sent it here.
    """

    code: str
    serial: str
    platform: Platform
    model: str
    channel: str
    key_thumbprint: str
    public_key: bytes
    ticket_id: int | None = None
    says_when_it_leaves: bool = False
    by_listing: bool = False


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The tablet is taken in; ``is_new`` is False where the same key asked again.

    Where it ``awaits_approval``, it has nothing until somebody says yes.
    """

    device_id: int
    device_uid: str
    next_sequence: int
    is_new: bool
    awaits_approval: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The tablet is not taken in; the audit line is in the running transaction, so commit it."""

    error: EnrolmentError


def turn_away(request: EnrolmentRequest, *, now: datetime) -> Refused | None:
    """Refuse a key that has ended or a ticket that is no good, without a line in the audit; reads only.

    For doors that many strangers knock at: each refusal of :func:`enrol` is a write that tablets wait for. None means
    that :func:`enrol` decides.
    """
    try:
        if _known(request) is None:
            _wanted_ticket(request, now)
    except EnrolmentError as error:
        return Refused(error)
    return None


def enrol(request: EnrolmentRequest, *, now: datetime) -> Enrolled | Refused:
    """Take a tablet in, or say why not. The caller commits in both cases."""
    try:
        known = _known(request)
        if known is None:
            ticket = _wanted_ticket(request, now)
            take_turn("assignments")
            known = _known(request)  # the same key may have come in while this one waited
        if known is not None:
            return known
        device = _listed(request.serial, now) if ticket is None else _device(request, ticket, now)
        if ticket is not None and not tickets.burn(ticket, now):
            db.session.refresh(ticket)
            raise _ENDED.get(tickets.state(ticket, now), TicketExhaustedError)(ticket_id=ticket.id)
    except EnrolmentError as error:
        return refuse(request, error, now=now)
    return _take_in(device, ticket, request, now)


def refuse(request: EnrolmentRequest, error: EnrolmentError, *, now: datetime) -> Refused:
    """Refuse to take a tablet in for a reason that only its channel knows, as :func:`enrol` does for others.

    The caller commits.
    """
    return _refuse(error, request.serial, request.channel, now)


def may_come(serial: str, *, channel: str, now: datetime) -> Device | Refused:
    """Return the tablet of a serial that may come without a ticket, or why it may not. The caller commits both.

    Args:
        serial: as the tablet says.
        channel: which channel it asks through.
        now: the instant.
    """
    try:
        return _listed(serial, now)
    except EnrolmentError as error:
        return _refuse(error, serial, channel, now)


def _refuse(error: EnrolmentError, told_serial: str, channel: str, now: datetime) -> Refused:
    serial = _serial(told_serial)
    told = serial if _SERIAL.fullmatch(serial) else "?"  # nothing that is no serial gets into the audit
    audit.record(
        Principal("device"), "enrolment.refused", subject=f"serial:{told[:50]}", now=now, code=error.code,
        ticket_id=error.data.get("ticket_id"), reason=error.data.get("reason"), channel=channel,
    )  # fmt: skip
    return Refused(error)


def _known(request: EnrolmentRequest) -> Enrolled | None:
    """Return the answer for a key that is taken in already (its first answer was lost); None for a new key."""
    query = select(Enrolment).where(Enrolment.key_thumbprint == request.key_thumbprint)
    known = db.session.scalars(query).first()
    if known is None:
        return None
    if known.ended_at is not None:
        raise KeyEndedError(reason=known.end_reason)
    device = db.session.get_one(Device, known.device_id)
    if device.serial != _serial(request.serial):
        raise SerialNotListedError(reason="the key is another tablet's")
    return _taken_in(device, is_new=False)


def _taken_in(device: Device, *, is_new: bool) -> Enrolled:
    awaits_approval = device.life is DeviceLife.PENDING
    return Enrolled(device.id, device.uid, device.state.last_sequence + 1, is_new, awaits_approval)


def _serial(told: str) -> str:
    return told.strip().upper()


def _wanted_ticket(request: EnrolmentRequest, now: datetime) -> Ticket | None:
    """Return the ticket a tablet comes by; None where it comes by the delivery list."""
    if request.by_listing:
        return None
    if request.ticket_id is None:
        return good_ticket(request.code, now)
    return _good(db.session.get_one(Ticket, request.ticket_id), now)


def good_ticket(code: str, now: datetime) -> Ticket:
    """Return the ticket of a code, if it can be used.

    Raises:
        EnrolmentError: there is none, or it is over.
    """
    try:
        ticket = tickets.find(codes.normalise(code))
    except codes.TicketCodeError:
        raise TicketUnknownError(reason="mistyped") from None
    if ticket is None:
        raise TicketUnknownError
    return _good(ticket, now)


def _good(ticket: Ticket, now: datetime) -> Ticket:
    ended = _ENDED.get(tickets.state(ticket, now))
    if ended is not None:
        raise ended(ticket_id=ticket.id)
    return ticket


def _listed(told_serial: str, now: datetime) -> Device:
    """Return the tablet of this serial, which a delivery list must have at a school; refuse what must not enrol."""
    serial = _serial(told_serial)
    device = _found(serial)
    if device is None or device.listed_at is None:
        raise SerialNotListedError(serial=serial[:64])
    _check_life(device)
    if device.school is None or device.school.ended_at is not None:
        raise SerialNotListedError(serial=serial, reason="no-school")
    _check_silence(device, now)
    return device


def _found(serial: str) -> Device | None:
    """Return the tablet of this serial, held until the transaction ends."""
    query = select(Device).where(Device.serial == serial).with_for_update(key_share=True)
    return db.session.scalars(query).first()


def _check_life(device: Device, **told: object) -> None:
    for life, error in ((DeviceLife.LOST, DeviceLostError), (DeviceLife.RETIRED, DeviceRetiredError)):
        if device.life is life:
            raise error(**told, serial=device.serial)


def _check_silence(device: Device, now: datetime, **told: object) -> None:
    seen_at = device.state.last_seen_at
    speaks = device.life in {DeviceLife.ENROLLED, DeviceLife.PENDING}
    if speaks and seen_at is not None and now - seen_at < IN_USE_FOR:
        raise DeviceInUseError(**told, serial=device.serial)


def _device(request: EnrolmentRequest, ticket: Ticket, now: datetime) -> Device:
    """Return the tablet of this serial, new where it may be; refuse what must not enrol."""
    serial = _serial(request.serial)
    if not _SERIAL.fullmatch(serial):
        raise SerialNotListedError(ticket_id=ticket.id, serial=serial[:64])
    device = _found(serial)
    if device is None:
        if ticket.listed_only:
            raise SerialNotListedError(ticket_id=ticket.id, serial=serial)
        return Device(serial=serial, uid=secrets.token_hex(16), platform=request.platform)
    _check_life(device, ticket_id=ticket.id)
    if device.listed_at is None and ticket.listed_only:
        raise SerialNotListedError(ticket_id=ticket.id, serial=serial)
    _check_silence(device, now, ticket_id=ticket.id)
    if device.school_id is not None and device.school_id != ticket.school_id:
        raise TicketForeignError(ticket_id=ticket.id, serial=serial)
    return device


def _take_in(device: Device, ticket: Ticket | None, request: EnrolmentRequest, now: datetime) -> Enrolled:
    if device.id is None:
        device.created_at, device.life = now, DeviceLife.EXPECTED
        device.state = DeviceState()
        db.session.add(device)
    if ticket is not None:
        _place(device, ticket)
    before = device.life
    # One that was approved and wiped since is asked about again: a serial is easily told, and only its key was known.
    is_asked_about = ticket is not None and ticket.asks and device.listed_at is None
    device.life = DeviceLife.PENDING if is_asked_about else DeviceLife.ENROLLED
    device.platform = request.platform
    device.model = UNSHOWABLE.sub("", request.model)[:120].strip() or device.model
    db.session.flush()
    _end_former(device, ticket, request, now)
    db.session.add(
        Enrolment(
            device_id=device.id, ticket_id=ticket.id if ticket is not None else None, channel=request.channel,
            key_thumbprint=request.key_thumbprint, public_key=request.public_key, enrolled_at=now,
        )
    )  # fmt: skip
    state = device.state
    state.key_thumbprint = request.key_thumbprint
    state.config_version += 1
    state.applied_digest = state.applied_at = state.failures = state.review_key = None
    state.polls_pending = 0
    right = {"reason": _LISTED} if ticket is None else {"ticket_id": ticket.id}
    audit.record(
        Principal("device", device.uid), "enrolment.taken-in", subject=f"device:{device.id}", now=now,
        serial=device.serial, **right, channel=request.channel,
        from_state=before.value, to_state=device.life.value,
    )  # fmt: skip
    db.session.flush()
    changed("device", [device.id], now=now)
    return _taken_in(device, is_new=True)


def _end_former(device: Device, ticket: Ticket | None, request: EnrolmentRequest, now: datetime) -> None:
    """End what enrolment is open. A tablet that would have said so if it had left is taken over: that is shown.

    Not of one that its maker has sent here: it was wiped, and comes by itself.
    """
    query = select(Enrolment.channel).where(Enrolment.device_id == device.id, Enrolment.ended_at.is_(None))
    is_left = request.says_when_it_leaves and db.session.scalars(query).first() == request.channel
    if ticket is None or not is_left:
        end_enrolment(device, "wiped", now)
    else:
        end_enrolment(device, "replaced", now)
        audit.record(
            Principal("device", device.uid), "enrolment.taken-over", subject=f"device:{device.id}", now=now,
            serial=device.serial, ticket_id=ticket.id, channel=request.channel,
        )  # fmt: skip


def _place(device: Device, ticket: Ticket) -> None:
    """Put the tablet where the ticket says, unless the delivery list said more. A class that has ended is no place."""
    device.school_id = device.school_id or ticket.school_id
    said_nothing = device.class_id is None and device.person_id is None and device.cart is None
    if said_nothing or (device.listed_at is None and device.person_id is None):
        still_there = ticket.school_class is not None and ticket.school_class.ended_at is None
        device.class_id, device.cart = ticket.class_id if still_there else None, ticket.cart


def end_enrolment(device: Device, reason: str, now: datetime) -> None:
    """End the open enrolment of a tablet, if there is one; its key is worth nothing from the commit on."""
    query = select(Enrolment).where(Enrolment.device_id == device.id, Enrolment.ended_at.is_(None))
    for enrolment in db.session.scalars(query):
        enrolment.ended_at, enrolment.end_reason = now, reason
    device.state.key_thumbprint = None
    db.session.flush()


def open_channels(device_ids: Collection[int]) -> dict[int, str]:
    """Return by which channel each of these tablets may speak; those without an open enrolment are not there."""
    query = select(Enrolment.device_id, Enrolment.channel)
    query = query.where(Enrolment.device_id.in_(id_set(device_ids)), Enrolment.ended_at.is_(None))
    return {row.device_id: row.channel for row in db.session.execute(query)}
