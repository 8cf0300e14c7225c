"""Tablets and their rights to enrol.

Invariants: a tablet is one row for life, found by its serial; wiping and enrolling it again adds an ``Enrolment`` and
keeps the row. At most one enrolment of a tablet is open (``ended_at`` is None). ``DeviceState`` is the narrow hot row
beside it that every check-in updates: none of its columns but the key is indexed, so that PostgreSQL can update in
place.
"""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, Document, text_enum
from fleet.schools.models import Person, School, SchoolClass


class DeviceLife(enum.StrEnum):
    """Where a tablet is in its life. Silent is a finding, not a state.

    ``PENDING``: enrolled by a ticket that asks about tablets nobody listed. It may speak, and has nothing until
    somebody has approved it.
    """

    EXPECTED = "expected"
    PENDING = "pending"
    ENROLLED = "enrolled"
    LOST = "lost"
    RETIRED = "retired"


class Platform(enum.StrEnum):
    """What a tablet runs."""

    IPADOS = "ipados"
    ANDROID = "android"
    LINUX = "linux"


class Device(Base):
    """One managed tablet.

    ``uid`` is its random name on the wire. A tablet belongs to a school; it may stand in a class (class set), in a
    cart, or be a pupil's own. ``lost_message`` and ``lost_phone`` are what the screen of one that is reported lost
    shows to whoever finds it; None: the channel has a text of its own.
    """

    __tablename__ = "device"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(32), unique=True)
    serial: Mapped[str] = mapped_column(String(64), unique=True)
    asset_tag: Mapped[str | None] = mapped_column(String(64), index=True)
    model: Mapped[str | None] = mapped_column(String(120))
    platform: Mapped[Platform] = mapped_column(text_enum(Platform))
    life: Mapped[DeviceLife] = mapped_column(text_enum(DeviceLife))
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"), index=True)
    class_id: Mapped[int | None] = mapped_column(ForeignKey("school_class.id"), index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), index=True)
    cart: Mapped[str | None] = mapped_column(String(64))
    listed_at: Mapped[datetime | None]  # on a delivery list since; None: enrolled without being expected
    created_at: Mapped[datetime]
    lost_message: Mapped[str | None] = mapped_column(String(255))
    lost_phone: Mapped[str | None] = mapped_column(String(40))

    school: Mapped[School | None] = relationship()
    school_class: Mapped[SchoolClass | None] = relationship()
    person: Mapped[Person | None] = relationship()
    state: Mapped["DeviceState"] = relationship(back_populates="device", cascade="all, delete-orphan")


class Ticket(Base):
    """A right to enrol: for a school, class or cart, limited in time and number. Its code is stored hashed.

    ``request_id`` names the wish that made it, so that one that is sent twice makes one ticket.
    """

    __tablename__ = "ticket"
    __table_args__ = (CheckConstraint("used_count >= 0 AND used_count <= max_enrolments", name="used_within_max"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    code_digest: Mapped[str] = mapped_column(String(64), unique=True)
    code_tail: Mapped[str] = mapped_column(String(4))  # shown in lists, so that people can tell sheets apart
    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"), index=True)
    class_id: Mapped[int | None] = mapped_column(ForeignKey("school_class.id"))
    cart: Mapped[str | None] = mapped_column(String(64))
    listed_only: Mapped[bool]
    asks: Mapped[bool] = mapped_column(default=False)  # whether a tablet that nobody listed waits until it is approved
    max_enrolments: Mapped[int]
    used_count: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    request_id: Mapped[str | None] = mapped_column(String(80), unique=True)

    school: Mapped[School] = relationship()
    school_class: Mapped[SchoolClass | None] = relationship()


class Enrolment(Base):
    """One time a tablet was taken in: which channel, ticket and key."""

    __tablename__ = "enrolment"
    __table_args__ = (
        Index(
            "uq_enrolment_open",
            "device_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), index=True)
    ticket_id: Mapped[int | None] = mapped_column(ForeignKey("ticket.id"))
    channel: Mapped[str] = mapped_column(String(16))
    key_thumbprint: Mapped[str | None] = mapped_column(String(64), unique=True)
    public_key: Mapped[bytes | None] = mapped_column(LargeBinary)  # DER SubjectPublicKeyInfo
    enrolled_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None] = mapped_column(String(32))  # wiped | replaced | lost | retired | …


class DeviceState(Base):
    """What a tablet last told and what it shall have: the hot row, one per tablet from the day it is known.

    Written set-based: ``checkins.receive`` writes the report's side, ``assignments`` the desired side. Digests are
    lower-case hex SHA-256. ``config_version`` counts every change of what the tablet shall fetch (schedule, orders).
    """

    __tablename__ = "device_state"

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), primary_key=True, autoincrement=False)
    key_thumbprint: Mapped[str | None] = mapped_column(String(64))  # of the open enrolment; None: nobody may speak
    last_sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    last_report_id: Mapped[str | None] = mapped_column(String(36))
    last_report_digest: Mapped[str | None] = mapped_column(String(64))
    last_seen_at: Mapped[datetime | None]
    applied_digest: Mapped[str | None] = mapped_column(String(64))
    applied_at: Mapped[datetime | None]  # since when the tablet reports this digest
    desired_digest: Mapped[str | None] = mapped_column(String(64))
    desired_at: Mapped[datetime | None]  # since when it shall have it
    schedule_digest: Mapped[str | None] = mapped_column(String(64))
    next_switch_at: Mapped[datetime | None]  # when the schedule next changes the desired profile by itself
    config_version: Mapped[int] = mapped_column(default=1)
    fetched_version: Mapped[int | None]  # of the configuration that was last handed out, and when
    fetched_at: Mapped[datetime | None]
    polls_pending: Mapped[int] = mapped_column(default=0)  # reports since desired_at that did not have it
    facts_digest: Mapped[str | None] = mapped_column(String(64))
    review_key: Mapped[str | None] = mapped_column(String(64))  # of all that findings depend on, as last reviewed
    facts: Mapped[dict[str, Any] | None] = mapped_column(Document)  # inventory: os_version, model, apps, storage …
    battery_percent: Mapped[int | None]
    storage_free_bytes: Mapped[int | None] = mapped_column(BigInteger)
    clock_offset_s: Mapped[int | None]
    failures: Mapped[list[Any] | None] = mapped_column(Document)  # settings the tablet could not apply
    has_findings: Mapped[bool] = mapped_column(Boolean, default=False)
    review_at: Mapped[datetime | None]  # when findings are to be reviewed although nothing changes: a grace is over

    device: Mapped[Device] = relationship(back_populates="state")


class DeviceHolder(Base):
    """A pupil had a tablet as its own, since … until …; ``until`` is None for the one who has it now."""

    __tablename__ = "device_holder"
    __table_args__ = (
        Index(
            "uq_device_holder_now",
            "device_id",
            unique=True,
            sqlite_where=text("until IS NULL"),
            postgresql_where=text("until IS NULL"),
        ),
        Index("ix_device_holder_device_id_since", "device_id", "since"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    since: Mapped[datetime]
    until: Mapped[datetime | None]

    person: Mapped[Person] = relationship()


class DeviceNote(Base):
    """What somebody wrote about a tablet; ``written_by`` names them as ``Principal.name`` does."""

    __tablename__ = "device_note"

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), index=True)
    text: Mapped[str] = mapped_column(String(1000))
    written_by: Mapped[str] = mapped_column(String(80))
    written_at: Mapped[datetime]


class DevicePresence(Base):
    """When a tablet last asked, and when it was told to ask next: noted some seconds late, for many tablets at once.

    ``waits`` is true where it asked to be held until something changes; then it hears of a change at once.
    ``is_at_school`` says whether it asked from its school's networks, None where nobody has told those; the address
    itself is not kept.
    """

    __tablename__ = "device_presence"

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), primary_key=True, autoincrement=False)
    polled_at: Mapped[datetime]
    due_at: Mapped[datetime]
    waits: Mapped[bool]
    is_at_school: Mapped[bool | None]
