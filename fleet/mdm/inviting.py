"""Invitations: from a ticket's code to an enrolment profile and the one certificate that goes with it.

Anybody can ask with a code, so a wrong one writes nothing. An invitation is used by one key: who lost the answer may
ask again with the same key until a tablet has come in with the certificate; who lost the profile asks with the code.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, delete, select, update

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
        serial: of the only tablet that may come in with it, in capitals, where that is known.
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


def is_open_to(token: str, public_key: bytes, *, now: datetime) -> bool:
    """Whether an invitation can be used with this key: by anybody, or by who used it and lost the answer."""
    return is_open(token, now=now) or db.session.scalar(select(_lost(token, public_key, now).exists())) is True


def use(token: str, issued: Issued, *, now: datetime) -> None:
    """Use an invitation up for a certificate.

    Who asks again with the same key gets a new one, and the former is worth nothing. Source: RFC 8894 section 2.4 (a
    client repeats what was not answered).

    Raises:
        InvitationError: it cannot be used (any more): of two at once, one can.
    """
    using = update(Invitation).where(*_usable(token, now)).values(used_at=now).returning(Invitation.id)
    invitation_id = db.session.scalar(using.execution_options(synchronize_session=False))
    if invitation_id is None:
        invitation_id = _take_back(token, issued.public_key, now)
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


def _take_back(token: str, public_key: bytes, now: datetime) -> int:
    """Remove the certificate that nobody came in with; return its invitation.

    Raises:
        InvitationError: there is none.
    """
    query = select(Identity).where(Identity.thumbprint.in_(_lost(token, public_key, now))).with_for_update()
    former = db.session.scalars(query.execution_options(populate_existing=True)).first()
    if former is None or former.device_id is not None or former.invitation_id is None:
        raise InvitationError(reason="used, over or unknown")
    db.session.delete(former)
    db.session.flush()
    return former.invitation_id


def _lost(token: str, public_key: bytes, now: datetime) -> Select[str]:
    """Return a query for the certificate that an invitation gave this key and that no tablet has come in with."""
    return (
        select(Identity.thumbprint)
        .join(Invitation, Invitation.id == Identity.invitation_id)
        .where(
            Invitation.token_digest == token_digest(token), Invitation.expires_at > now,
            Identity.public_key == public_key, Identity.device_id.is_(None),
        )
    )  # fmt: skip


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
