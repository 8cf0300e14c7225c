"""Invitations: from a ticket's code to an enrolment profile and the one certificate that goes with it.

Anybody can ask with a code, so a wrong one writes nothing. An invitation is used once: who fetched a profile and lost
it asks again with the code.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, update

from fleet.crypto import random_token, token_digest
from fleet.db import db
from fleet.devices import enrolment
from fleet.devices.models import Device, Enrolment
from fleet.errors import FleetError
from fleet.mdm.models import Identity, Invitation

# From the page with the code to the certificate: a person reads two screens in between, or a class of thirty is helped.
LIFE = timedelta(hours=1)
# An iPad that is set up asks for its certificate as soon as it has the profile.
EXPECTED_LIFE = timedelta(minutes=15)
# A renewal is answered when the tablet is next used: after the summer, perhaps.
RENEWAL_LIFE = timedelta(days=90)


class InvitationError(FleetError):
    """There is no such invitation, or it is used up or over. Data: ``reason``."""

    code = "invitation"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was issued.

    Args:
        thumbprint: lower-case hex SHA-256 of its DER.
        public_key: DER SubjectPublicKeyInfo.
        expires_at: its end.
    """

    thumbprint: str
    public_key: bytes
    expires_at: datetime


def invite(code: str, *, serial: str | None = None, now: datetime) -> str:
    """Return the token of a new invitation for a ticket's code.

    Args:
        code: as somebody typed it.
        serial: the only tablet that may use it, where that is known.
        now: the instant.

    Raises:
        EnrolmentError: the ticket is none, or no good any more.
    """
    ticket = enrolment.good_ticket(code, now)
    return _make(Invitation(ticket_id=ticket.id, serial=serial, created_at=now, expires_at=now + LIFE))


def expect(device: Device, *, now: datetime) -> str:
    """Return the token of a new invitation for a tablet that comes because a delivery list has it, and for it alone."""
    invitation = Invitation(serial=device.serial, is_listed=True, created_at=now, expires_at=now + EXPECTED_LIFE)
    return _make(invitation)


def renew(device: Device, *, now: datetime) -> str:
    """Return the token of an invitation for a tablet that is enrolled, in the place of those it has not used."""
    db.session.execute(delete(Invitation).where(Invitation.device_id == device.id, Invitation.used_at.is_(None)))
    return _make(Invitation(device_id=device.id, serial=device.serial, created_at=now, expires_at=now + RENEWAL_LIFE))


def _make(invitation: Invitation) -> str:
    token = random_token()
    invitation.token_digest = token_digest(token)
    db.session.add(invitation)
    db.session.flush()
    return token


def is_open(token: str, *, now: datetime) -> bool:
    """Whether an invitation can be used."""
    return db.session.scalar(select(Invitation.id).where(*_usable(token, now))) is not None


def use(token: str, issued: Issued, *, now: datetime) -> None:
    """Use an invitation up for a certificate.

    Raises:
        InvitationError: it cannot be used (any more): of two at once, one can.
    """
    using = update(Invitation).where(*_usable(token, now)).values(used_at=now).returning(Invitation.id)
    invitation_id = db.session.scalar(using.execution_options(synchronize_session=False))
    if invitation_id is None:
        raise InvitationError(reason="used, over or unknown")
    found = db.session.get_one(Invitation, invitation_id, populate_existing=True)
    if found.device_id is not None and not _still_stands(found):
        raise InvitationError(reason="the enrolment it renews has ended")
    db.session.add(
        Identity(
            thumbprint=issued.thumbprint, invitation_id=found.id, ticket_id=found.ticket_id, device_id=found.device_id,
            listed_serial=found.serial if found.is_listed else None,
            public_key=issued.public_key, issued_at=now, expires_at=issued.expires_at,
        )
    )  # fmt: skip
    db.session.flush()


def _still_stands(renewal: Invitation) -> bool:
    """Whether the enrolment that was open when a renewal was offered still is."""
    query = select(Enrolment.id).where(
        Enrolment.device_id == renewal.device_id, Enrolment.ended_at.is_(None),
        Enrolment.enrolled_at <= renewal.created_at,
    )  # fmt: skip
    return db.session.scalar(query) is not None


def _usable(token: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Invitation.token_digest == token_digest(token), Invitation.used_at.is_(None), Invitation.expires_at > now
    )  # fmt: skip
