"""A client comes, becomes reachable, and goes.

Invariants: who speaks is the identity that signed, never the name in the message: the two are compared each time; what
was queued for a tablet before it came anew is dropped, for it was wished of an iPad that has been wiped since.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from fleet import audit
from fleet.access import Principal
from fleet.db import db, take_turn
from fleet.devices import enrolment, life
from fleet.devices.enrolment import Enrolled, EnrolmentRequest, Refused, SerialNotListedError
from fleet.devices.models import Device, DeviceState, Enrolment, Platform
from fleet.errors import FleetError
from fleet.mdm import commands
from fleet.mdm.models import Client, Command, CommandState, Identity, Invitation
from fleet.orders import travelling
from fleet.orders.models import TRAVELLING, Order, OrderKind, OrderState

RENEWED_BEFORE = timedelta(days=120)


class IdentityError(FleetError):
    """The identity may not speak for this client. Data: ``reason``."""

    code = "identity"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a client says of itself when it comes.

    Args:
        name: what it calls itself on the wire.
        serial: of the tablet.
        model: as the tablet says.
        channel: which channel it came through.
        topic: under which it wants to be rung.
    """

    name: str
    serial: str
    model: str
    channel: str
    topic: str | None


@dataclass(frozen=True, slots=True)
class Address:
    """How a client is rung.

    Args:
        topic: names us to the push service.
        token: names the tablet there.
        magic: what the push has to say.
        unlock_token: what clears the passcode, sealed; None: the one we have stays.
        waits_for_set_up: whether it wants to be told that its set-up is over.
    """

    topic: str
    token: bytes
    magic: str
    unlock_token: bytes | None
    waits_for_set_up: bool


def arrive(thumbprint: str, arrival: Arrival, *, now: datetime) -> Enrolled | Refused:
    """Take in a client, or say why not. The caller commits in both cases.

    Raises:
        IdentityError: the certificate is none of ours, or another client's.
    """
    take_turn("assignments")
    identity = db.session.get(Identity, thumbprint, with_for_update=True)
    if identity is None:
        raise IdentityError(reason="unknown")
    if identity.device_id is not None:
        return _again(identity, arrival, now)
    request = EnrolmentRequest(
        code="", ticket_id=identity.ticket_id, by_listing=identity.listed_serial is not None, serial=arrival.serial,
        platform=Platform.IPADOS, model=arrival.model, channel=arrival.channel, key_thumbprint=thumbprint,
        public_key=identity.public_key, says_when_it_leaves=True,
    )  # fmt: skip
    invitation = db.session.get(Invitation, identity.invitation_id) if identity.invitation_id is not None else None
    if invitation is None:  # forgotten, hence long over, and with it for whom it was
        raise IdentityError(reason="over")
    if invitation.serial not in {None, arrival.serial.strip().upper()}:
        error = SerialNotListedError(ticket_id=identity.ticket_id, reason="the invitation is another tablet's")
        return enrolment.refuse(request, error, now=now)
    outcome = enrolment.enrol(request, now=now)
    if isinstance(outcome, Enrolled):
        identity.device_id = outcome.device_id
        _begin(outcome.device_id, identity, arrival, now)
    return outcome


def _again(identity: Identity, arrival: Arrival, now: datetime) -> Enrolled | Refused:
    """Take in a client whose certificate is known: its first answer was lost, or its certificate was renewed."""
    device = db.session.get_one(Device, identity.device_id)
    client = db.session.get(Client, device.id, with_for_update=True)  # before the state, as in a conversation
    if device.serial != arrival.serial.strip().upper() or (client is not None and client.name != arrival.name):
        raise IdentityError(reason="another tablet's")
    _follow(identity, device, now)
    _end_wipe(identity, device.id, now)
    _begin(device.id, identity, arrival, now)
    return Enrolled(device.id, device.uid, device.state.last_sequence + 1, is_new=False)


def _end_wipe(identity: Identity, device_id: int, now: datetime) -> None:
    """Note that a wipe was carried out whose tablet's word was lost: it has come back by the invitation sent with it.

    Else it would be wiped once more.
    """
    query = (
        select(Order.uid)
        .join(Command, Command.order_uid == Order.uid)
        .join(Invitation, Invitation.created_at == Command.sent_at)
        .where(Invitation.id == identity.invitation_id, Command.device_id == device_id)
        .where(Command.state == CommandState.SENT, Order.kind == OrderKind.WIPE, Order.state.in_(TRAVELLING))
    )
    for uid in db.session.scalars(query).all():
        travelling.finish(uid, device_id=device_id, state=OrderState.DONE, detail="", now=now)


def renewal_of(identity: Identity) -> datetime:
    """Return when a certificate is to be renewed: early, as a tablet may lie in a cupboard all summer."""
    return identity.expires_at - RENEWED_BEFORE


def _begin(device_id: int, identity: Identity, arrival: Arrival, now: datetime) -> None:
    """Forget what was known of the client before: it is a new one, on a tablet that may have been wiped."""
    commands.drop_all(device_id, now=now)
    former = db.session.scalars(
        select(Client).where(Client.name == arrival.name, Client.device_id != device_id)
    ).first()
    if former is not None:
        # The same machine under another serial, its mainboard was changed; or somebody who only says so.
        if former.device.state.key_thumbprint is not None:
            raise IdentityError(reason="another tablet's name")
        db.session.delete(former)
        db.session.flush()
    client = db.session.get(Client, device_id) or Client(device_id=device_id)
    client.name, client.thumbprint, client.topic = arrival.name, identity.thumbprint, arrival.topic
    client.push_token = client.push_magic = client.push_dead_at = client.unlock_token = None
    client.reachable_at = client.followed_version = client.followed_profile = client.last_status = None
    client.rung_version = client.rung_profile = client.ring_again_at = client.address_at = None
    client.rings = 0
    client.ask_at = client.inventory_at = client.pause_until = None
    client.declared_token = client.declared_at = client.lesson_file = client.lesson_ends_at = client.told = None
    client.renew_at = renewal_of(identity)
    client.is_set_up = True
    db.session.add(client)
    db.session.flush()


def _follow(identity: Identity, device: Device, now: datetime) -> None:
    """Have the open enrolment name this identity, where it named a former one of the same tablet.

    Raises:
        IdentityError: the tablet's enrolment has ended.
    """
    query = select(Enrolment).where(Enrolment.device_id == device.id, Enrolment.ended_at.is_(None))
    found = db.session.scalars(query.with_for_update()).first()
    if found is None:
        raise IdentityError(reason="ended")
    if found.key_thumbprint == identity.thumbprint:
        return
    former = db.session.get(Identity, found.key_thumbprint) if found.key_thumbprint is not None else None
    # A later one took its place, or the tablet has come in by another way since.
    if former is None or former.issued_at > identity.issued_at or found.enrolled_at > identity.issued_at:
        raise IdentityError(reason="replaced")
    found.key_thumbprint, found.public_key = identity.thumbprint, identity.public_key
    device.state.key_thumbprint = identity.thumbprint
    db.session.execute(
        update(Client)
        .where(Client.device_id == device.id)
        .values(thumbprint=identity.thumbprint, renew_at=renewal_of(identity))
    )
    audit.record(
        Principal("device", device.uid), "enrolment.renewed", subject=f"device:{device.id}", now=now,
        serial=device.serial,
    )  # fmt: skip
    db.session.flush()


def speaker(thumbprint: str, name: str, *, leaves: bool = False, now: datetime) -> Client:
    """Return the client that a message is from, held until the transaction ends: of two messages one comes after.

    Args:
        thumbprint: of the identity that signed.
        name: what the message says of its sender.
        leaves: whether it will leave, which needs the turn, and turns come before rows.
        now: the instant.

    Raises:
        IdentityError: the identity is none of ours, of another client, or its enrolment has ended.
    """
    if leaves:
        take_turn("assignments")
    query = (
        select(Client, DeviceState.key_thumbprint)
        .join(DeviceState, DeviceState.device_id == Client.device_id)
        .where(Client.name == name)
    )
    row = db.session.execute(query).first()
    if row is None:
        raise IdentityError(reason="unknown")
    client, counts = row
    if counts == thumbprint:
        db.session.refresh(client, with_for_update=True)
        return client
    identity = db.session.get(Identity, thumbprint)
    if identity is None or identity.device_id != client.device_id:
        raise IdentityError(reason="another tablet's")
    # A renewed certificate is used at once, often without a word before.
    take_turn("assignments")
    _follow(identity, client.device, now)
    db.session.refresh(client, with_for_update=True)
    return client


def reach(client: Client, address: Address, *, now: datetime) -> bool:
    """Note how a client is rung; returns whether its enrolment is complete only now."""
    is_first = client.reachable_at is None
    client.topic, client.push_token, client.push_magic = address.topic, address.token, address.magic
    client.push_dead_at, client.address_at, client.rings = None, now, 0
    client.ring_again_at = client.pause_until = None
    client.unlock_token = address.unlock_token or client.unlock_token
    client.reachable_at = client.reachable_at or now
    client.is_set_up = not address.waits_for_set_up
    db.session.flush()
    return is_first


def leave(client: Client, *, now: datetime) -> None:
    """Let a client go that says it was removed: its enrolment ends, and what was queued for it is dropped.

    The caller has the turn (:func:`speaker`).
    """
    # Not more of the row than it takes: who queues an order holds the tablet's state, and needs that there is the row.
    device = db.session.get_one(Device, client.device_id, with_for_update={"key_share": True})
    life.removed(device, now=now)
    commands.drop_all(device.id, now=now)
    client.push_token = client.push_magic = client.reachable_at = None
    db.session.flush()


def next_sequence(client: Client) -> int:
    """Return the number of a client's next report: it counts none itself, so that is one above the last."""
    query = select(DeviceState.last_sequence).where(DeviceState.device_id == client.device_id).with_for_update()
    return (db.session.scalar(query) or 0) + 1
