"""A tablet with the open agent comes: by a ticket's code in its address and the number it calls itself.

Invariants: the agent may ask twice for the same enrolment, as it asks again at once where no answer came; until its
token was seen it is given the same one, whatever has become of the ticket meanwhile. A tablet whose token was seen, and
that asks again, was wiped: it is taken in anew. Where no wipe of ours was agreed to, the audit says that it had not
left: who has a ticket's code and knows a serial can ask as well (:mod:`fleet.android.displacing`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from fleet.android import again, displacing, tokens
from fleet.android.addresses import CHANNEL
from fleet.android.models import AgentClient
from fleet.db import db, id_set, take_turn
from fleet.devices import codes, enrolment, life, tickets
from fleet.devices.codes import TicketCodeError
from fleet.devices.enrolment import Enrolled, EnrolmentRequest, Refused
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment, Platform
from fleet.schools.roster.reader import UNSHOWABLE

_COMES_BACK_AFTER = frozenset(life.ENDS_ENROLMENT.values())  # what ended an enrolment without doubt of its key


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a tablet says when it comes.

    Args:
        code: of a ticket, as it stands in the address.
        number: what the tablet calls itself: its serial.
        cpu: what it runs on, as it says.
        secret: of the server, for tokens.
    """

    code: str = field(repr=False)
    number: str
    cpu: str | None
    secret: bytes = field(repr=False)


def arrive(arrival: Arrival, *, now: datetime) -> int | Refused:
    """Take a tablet in, or say why not; returns which one it is. The caller commits in both cases."""
    take_turn("assignments")
    known = expected(arrival.code, arrival.number)
    if known is not None:
        return known
    former, was_in = _former(arrival.number)
    request = EnrolmentRequest(
        code=arrival.code, serial=arrival.number, platform=Platform.ANDROID, model="", channel=CHANNEL,
        key_thumbprint=again.name(), public_key=b"", says_when_it_leaves=True,
    )  # fmt: skip
    outcome = enrolment.enrol(request, now=now)
    if isinstance(outcome, Refused):
        return outcome
    ticket = tickets.find(codes.normalise(arrival.code))
    if former is not None:  # it was wiped: what was known of its agent is forgotten
        db.session.delete(former)
        db.session.flush()
    made = _begin(outcome, request, arrival, ticket.id if ticket is not None else None)
    if former is not None and was_in:
        displacing.note(made, former, now=now)
        db.session.flush()
    return outcome.device_id


def come_back(client: AgentClient, *, now: datetime) -> bool:
    """Take a tablet in once more that was lost or out of use, and is expected again by a delivery list.

    It still has the token that it had then, which nobody else can have; where its key was revoked, somebody thinks
    otherwise, and where it came in differently since, the token is an old one. The caller has the turn, and commits.
    """
    device = db.session.get_one(Device, client.device_id)
    if client.wiped_at is not None or device.life is not DeviceLife.EXPECTED or device.listed_at is None:
        return False
    query = select(Enrolment.key_thumbprint, Enrolment.end_reason).where(Enrolment.device_id == device.id)
    last = db.session.execute(query.order_by(Enrolment.id.desc()).limit(1)).first()
    if last is None or last.key_thumbprint != client.key_thumbprint or last.end_reason not in _COMES_BACK_AFTER:
        return False
    is_in = again.come_in(client, device, now=now)
    db.session.flush()
    return is_in


def expected(code: str, number: str) -> int | None:
    """Return the tablet that has come in with this ticket and has not used its token yet; None where there is none."""
    try:
        ticket = tickets.find(codes.normalise(code))
    except TicketCodeError:
        return None
    if ticket is None:
        return None
    query = (
        select(AgentClient.device_id)
        .join(Device, Device.id == AgentClient.device_id)
        .join(DeviceState, DeviceState.device_id == AgentClient.device_id)
        .where(AgentClient.ticket_id == ticket.id, Device.serial == number.strip().upper())
        .where(AgentClient.seen_at.is_(None), AgentClient.generation == 1)
        .where(DeviceState.key_thumbprint == AgentClient.key_thumbprint)
    )
    return db.session.scalar(query)


def note_models(models: Mapping[int, str]) -> None:
    """Note which model tablets are, where no delivery list has said so: when they come in they do not tell.

    A unit of work of its own: it takes no other rows.
    """
    query = select(Device).where(Device.id.in_(id_set(models)), Device.model.is_(None)).order_by(Device.id)
    for device in db.session.scalars(query.with_for_update(key_share=True)):
        device.model = UNSHOWABLE.sub("", models[device.id])[:120].strip() or None
    db.session.flush()


def _former(number: str) -> tuple[AgentClient | None, bool]:
    """Return what is kept of the agent that a tablet had before, and whether that is in.

    It is held: others take that before the tablet's state.
    """
    query = (
        select(AgentClient, DeviceState.key_thumbprint)
        .join(Device, Device.id == AgentClient.device_id)
        .join(DeviceState, DeviceState.device_id == AgentClient.device_id)
        .where(Device.serial == number.strip().upper())
    )
    row = db.session.execute(query.with_for_update(of=AgentClient)).first()
    return (row[0], row[1] == row[0].key_thumbprint) if row is not None else (None, False)


def _begin(outcome: Enrolled, request: EnrolmentRequest, arrival: Arrival, ticket_id: int | None) -> AgentClient:
    client = AgentClient(
        device_id=outcome.device_id, key_thumbprint=request.key_thumbprint, ticket_id=ticket_id,
        number=arrival.number.strip()[:64], cpu=(arrival.cpu or "")[:16] or None,
    )  # fmt: skip
    tokens.begin(client, arrival.secret)
    db.session.add(client)
    db.session.flush()
    return client
