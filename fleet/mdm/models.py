"""Invitations, identities, clients and their commands; and what is known from the maker's services."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, Document, text_enum
from fleet.devices.models import Device, Ticket


class Invitation(Base):
    """A right to fetch one enrolment profile and one certificate with it, for minutes.

    It stands for a ticket whose code was told, for a tablet of a delivery list, or for one that renews its certificate.
    Its token is stored hashed.
    """

    __tablename__ = "mdm_invitation"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    ticket_id: Mapped[int | None] = mapped_column(ForeignKey("ticket.id"), index=True)
    device_id: Mapped[int | None] = mapped_column(ForeignKey("device.id"), index=True)  # of a renewal
    serial: Mapped[str | None] = mapped_column(String(64))  # the only tablet it is for, where that is known
    is_listed: Mapped[bool] = mapped_column(default=False)  # whether that comes because a delivery list has it
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]  # when its certificate was issued

    ticket: Mapped[Ticket | None] = relationship()


class Identity(Base):
    """A certificate that we issued, by the SHA-256 of its DER; ``device_id`` from the first message signed with it."""

    __tablename__ = "mdm_identity"

    thumbprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    invitation_id: Mapped[int | None] = mapped_column(ForeignKey("mdm_invitation.id", ondelete="SET NULL"), index=True)
    ticket_id: Mapped[int | None] = mapped_column(ForeignKey("ticket.id"))
    listed_serial: Mapped[str | None] = mapped_column(String(64))  # of the one tablet that may come with it, no ticket
    device_id: Mapped[int | None] = mapped_column(ForeignKey("device.id"), index=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)  # DER SubjectPublicKeyInfo
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Client(Base):
    """The maker's client on a tablet: what it calls itself, how it is rung, and how far it has followed us.

    Secrets are sealed (``crypto.seal``). ``followed_…`` is the configuration's version, and the effective profile, for
    which commands were last made; ``rung_…`` the same for which it was last rung.
    """

    __tablename__ = "mdm_client"

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(255), unique=True)  # on the wire: its UDID or enrolment id
    thumbprint: Mapped[str] = mapped_column(String(64))
    topic: Mapped[str | None] = mapped_column(String(255))
    push_token: Mapped[bytes | None] = mapped_column(LargeBinary)
    push_magic: Mapped[str | None] = mapped_column(String(255))
    push_dead_at: Mapped[datetime | None]
    unlock_token: Mapped[bytes | None] = mapped_column(LargeBinary)  # sealed
    reachable_at: Mapped[datetime | None]  # since when it can be rung: its enrolment is complete
    is_set_up: Mapped[bool] = mapped_column(default=True)  # False while it waits to be told that set-up is over
    followed_version: Mapped[int | None]
    followed_profile: Mapped[str | None] = mapped_column(String(64))
    rung_version: Mapped[int | None]
    rung_profile: Mapped[str | None] = mapped_column(String(64))
    rings: Mapped[int] = mapped_column(default=0)  # in vain, one after the other
    ring_again_at: Mapped[datetime | None]
    pause_until: Mapped[datetime | None]  # the push service has asked for it
    address_at: Mapped[datetime | None]  # when it last told how it is rung
    ask_at: Mapped[datetime | None]  # when it shall tell next how it is
    inventory_at: Mapped[datetime | None]  # when it was last asked for all that it has
    renew_at: Mapped[datetime | None]  # when its certificate shall be renewed
    last_status: Mapped[str | None] = mapped_column(String(24))
    declared_token: Mapped[str | None] = mapped_column(String(64))  # of the declarations it was last told of
    declared_at: Mapped[datetime | None]
    lesson_file: Mapped[str | None] = mapped_column(String(64))  # what it shall have on top, until …
    lesson_ends_at: Mapped[datetime | None]
    told: Mapped[dict[str, Any] | None] = mapped_column(Document)  # its last report, as the channel keeps it

    device: Mapped[Device] = relationship()


class Declared(Base):
    """What clients were told to fetch, as it was then: by the token that names it, for as long as one may still ask."""

    __tablename__ = "mdm_declared"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    profile: Mapped[str] = mapped_column(String(64))  # digest of the effective profile it stands for
    carried: Mapped[list[Any]]  # which declarations there are, and which settings each carries
    documents: Mapped[dict[str, Any]]  # what to answer, by what is asked
    files: Mapped[list[Any]]  # what these name, by digest
    made_at: Mapped[datetime]


class Enclosure(Base):
    """A file that declarations name by its digest. It may hold a network's password: who knows its name may have it."""

    __tablename__ = "mdm_enclosure"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[datetime]


class CommandState(enum.StrEnum):
    """Where a command is: ``HELD`` was answered "not now" and waits for the tablet's next call."""

    QUEUED = "queued"
    SENT = "sent"
    HELD = "held"
    DONE = "done"
    FAILED = "failed"
    DROPPED = "dropped"


OPEN = (CommandState.QUEUED, CommandState.SENT, CommandState.HELD)


class Command(Base):
    """One command to a client; ``uid`` names it on the wire. What ``kind`` and ``content`` mean is the channel's."""

    __tablename__ = "mdm_command"
    __table_args__ = (Index("ix_mdm_command_open", "device_id", "state", "priority", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"))
    kind: Mapped[str] = mapped_column(String(40))
    content: Mapped[dict[str, Any] | None] = mapped_column(Document)
    order_uid: Mapped[str | None] = mapped_column(String(32), index=True)  # of the wish it carries out
    priority: Mapped[int]  # the lowest first
    state: Mapped[CommandState] = mapped_column(text_enum(CommandState))
    queued_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    sends: Mapped[int] = mapped_column(default=0)  # without an answer, one after the other
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    detail: Mapped[str | None] = mapped_column(String(255))


class Errand(Base):
    """Something that is regularly done with a service of the maker's: when it is due, who is at it, how it went.

    ``held_until`` is whose turn it is, and until when: whoever writes the outcome has to name it, so that one who came
    too late writes nothing. ``memory`` is what the next round has to know of the last.
    """

    __tablename__ = "mdm_errand"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    due_at: Mapped[datetime]
    held_until: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]  # None: the last round went well
    failure: Mapped[str | None] = mapped_column(String(80))
    failures: Mapped[int] = mapped_column(default=0)  # one after the other
    memory: Mapped[dict[str, Any] | None] = mapped_column(Document)


class ListedByMaker(Base):
    """An iPad that Apple School Manager has assigned to this server, or had: what is told of it, and its profile there.

    ``outcome`` is how it last took our profile, in the maker's word; ``again_at`` when it is tried again.
    """

    __tablename__ = "mdm_listed"

    serial: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(String(120))
    description: Mapped[str] = mapped_column(String(255))
    family: Mapped[str] = mapped_column(String(24))  # Macs and others may be on the list too
    profile_uuid: Mapped[str | None] = mapped_column(String(64))
    assigned_at: Mapped[datetime | None]  # when it last took a profile of ours
    outcome: Mapped[str | None] = mapped_column(String(24))
    again_at: Mapped[datetime | None]
    listed_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
