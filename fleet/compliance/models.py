"""Compliance as stored: rules of one's own, findings with their history, silence, incidents.

Invariants: at most one finding of a kind and subject is open for a tablet; a finding that closes keeps its row until
retention removes it; ``DeviceState.has_findings`` says whether any is open. A finding somebody closed by hand is mute
until its reason is over, so that it does not open again the same minute. At most one question about a tablet waits for
an answer, and a tablet is in at most one open incident.
"""

import enum
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, String, or_, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, text_enum
from fleet.devices.models import Device
from fleet.schools.models import School


class FindingKind(enum.StrEnum):
    """What the rules that come with the server, and silence, find about a tablet."""

    PROFILE_MISSING = "profile-missing"  # not applied within some polls
    SETTINGS_FAILED = "settings-failed"  # applied, but some settings could not be put into force
    OS_OUTDATED = "os-outdated"
    APP_MISSING = "app-missing"
    APP_BLOCKED = "app-blocked"
    PASSCODE_MISSING = "passcode-missing"
    NOT_ENCRYPTED = "not-encrypted"
    NOT_SUPERVISED = "not-supervised"  # iPad without supervision, Android tablet without its owner
    TAMPERED = "tampered"  # jailbreak, root, unlocked boot loader, where the tablet tells
    STORAGE_LOW = "storage-low"
    BATTERY_WORN = "battery-worn"
    CLOCK_WRONG = "clock-wrong"
    CERTIFICATE_ENDING = "certificate-ending"
    NOT_ENROLLED = "not-enrolled"  # delivered, and not enrolled within some days
    SILENT = "silent"
    MISSING = "missing"  # silent, and somebody says it is gone, or nobody knows of it for days


# What silence finds, and no rule: the steps open and close it.
OF_SILENCE = frozenset({FindingKind.SILENT, FindingKind.MISSING})


class Severity(enum.StrEnum):
    """How much a finding matters, the least first."""

    NOTE = "note"
    WARNING = "warning"
    SERIOUS = "serious"


class ComplianceRule(Base):
    """A rule of the municipality's own, or what it has decided about one that comes with the server.

    ``code`` is the kind of the findings it opens. Of a shipped rule what is None is as it was shipped.
    """

    __tablename__ = "compliance_rule"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(48), unique=True)
    title: Mapped[str | None] = mapped_column(String(120))
    condition: Mapped[str | None] = mapped_column(String(1000))
    stays: Mapped[str | None] = mapped_column(String(1000))  # an open finding stays while this holds; None: condition
    shows: Mapped[list[Any] | None]  # expressions whose values the finding keeps, for its text
    grace_min: Mapped[int | None]
    severity: Mapped[Severity | None] = mapped_column(text_enum(Severity))
    school_ids: Mapped[list[Any] | None]  # None: all
    platforms: Mapped[list[Any] | None]  # None: all
    is_on: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    changed_at: Mapped[datetime]
    changed_by: Mapped[str] = mapped_column(String(80))
    ended_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]  # when it last took more than its bounds, since it was changed


class Finding(Base):
    """A fact about a tablet, open until ``closed_at``. ``subject`` tells findings of one kind apart (an app's id).

    ``closed_by`` names who closed it by hand; None: its reason was over.
    """

    __tablename__ = "finding"
    __table_args__ = (
        Index(
            "uq_finding_open",
            "device_id",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("ix_finding_closed_at", "closed_at"),
        # As SQLAlchemy asks SQLite for what is true; said otherwise, the index is not looked at.
        Index("ix_finding_mute", "device_id", sqlite_where=text("is_mute = 1"), postgresql_where=text("is_mute")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), index=True)
    kind: Mapped[str] = mapped_column(String(48))  # a FindingKind, or the code of a rule of one's own
    subject: Mapped[str] = mapped_column(String(255), default="")
    severity: Mapped[Severity] = mapped_column(text_enum(Severity), default=Severity.WARNING)
    detail: Mapped[dict[str, Any]]  # what the text needs: found, expected …; never what a pupil wrote
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None] = mapped_column(String(80))
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(80))
    snoozed_until: Mapped[datetime | None]
    is_mute: Mapped[bool] = mapped_column(default=False)  # closed by hand while its reason stays

    device: Mapped[Device] = relationship()
    events: Mapped[list["FindingEvent"]] = relationship(order_by="FindingEvent.id", viewonly=True)

    @classmethod
    def stands(cls) -> ColumnElement[bool]:
        """Whether one is open, or mute: its reason has not gone."""
        return or_(cls.closed_at.is_(None), cls.is_mute)


class FindingAct(enum.StrEnum):
    """What somebody did about a finding."""

    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    WOKEN = "woken"
    CLOSED = "closed"
    REOPENED = "reopened"


class FindingEvent(Base):
    """Somebody did something about a finding; opening and closing by itself stand in the finding."""

    __tablename__ = "finding_event"

    id: Mapped[int] = mapped_column(primary_key=True)
    finding_id: Mapped[int] = mapped_column(ForeignKey("finding.id"), index=True)
    act: Mapped[FindingAct] = mapped_column(text_enum(FindingAct))
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(String(80))
    note: Mapped[str | None] = mapped_column(String(500))
    until: Mapped[datetime | None]


class FindingWait(Base):
    """What a rule has noticed about a tablet, while its grace runs."""

    __tablename__ = "finding_wait"

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(48), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    noticed_at: Mapped[datetime]


class DeviceHabit(Base):
    """On which of the last school days a tablet was heard from: a bit each, the lowest for the newest day counted."""

    __tablename__ = "device_habit"

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), primary_key=True, autoincrement=False)
    counted_on: Mapped[date]
    days: Mapped[int]  # how many of them have been counted, at most 30
    heard: Mapped[int]  # in school hours
    heard_late: Mapped[int]  # in the after-school programme
    heard_away: Mapped[int]  # outside both


class Answer(enum.StrEnum):
    """What a class's teacher says of a silent tablet."""

    HERE = "here"  # it is there, and does not speak: flat, broken, without a network
    HOME = "home"
    GONE = "gone"


class Question(Base):
    """Where is this tablet? Asked of its class's teachers, and of the school's IT where they do not answer.

    It ends with an answer, or by itself when the tablet speaks (``withdrawn_at``). ``excused_until``: until then the
    answer explains the silence.
    """

    __tablename__ = "silence_question"
    __table_args__ = (
        Index(
            "uq_silence_question_open",
            "device_id",
            unique=True,
            sqlite_where=text("answered_at IS NULL AND withdrawn_at IS NULL"),
            postgresql_where=text("answered_at IS NULL AND withdrawn_at IS NULL"),
        ),
        Index("ix_silence_question_class_id", "class_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), index=True)
    class_id: Mapped[int | None] = mapped_column(ForeignKey("school_class.id"))
    asked_at: Mapped[datetime]
    escalated_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None] = mapped_column(String(80))
    answer: Mapped[Answer | None] = mapped_column(text_enum(Answer))
    excused_until: Mapped[datetime | None]

    device: Mapped[Device] = relationship()


class IncidentCause(enum.StrEnum):
    """What silent tablets have in common, the narrowest that explains them."""

    CART = "cart"
    CLASS = "class"
    PROFILE = "profile"  # the version of what they shall have
    NETWORK = "network"  # a part of a school, all gone within minutes: an access point, a switch
    SCHOOL = "school"
    EVERYWHERE = "everywhere"  # the server was not reached, or was down


class Incident(Base):
    """Many tablets silent for one reason. Ends by itself when most of them are back.

    ``about`` has what the cause names: ``cart``, ``class_ids``, ``profile_digest``; never a person.
    """

    __tablename__ = "incident"
    __table_args__ = (Index("ix_incident_school_id_closed_at", "school_id", "closed_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"))
    cause: Mapped[IncidentCause] = mapped_column(text_enum(IncidentCause))
    about: Mapped[dict[str, Any]]
    began_at: Mapped[datetime]  # when the last of them was heard from
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    most: Mapped[int]  # members at its height
    of: Mapped[int]  # tablets it could have hit

    school: Mapped[School | None] = relationship()


class IncidentMember(Base):
    """A tablet in an incident, until it spoke."""

    __tablename__ = "incident_member"

    incident_id: Mapped[int] = mapped_column(ForeignKey("incident.id"), primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), primary_key=True, index=True)
    joined_at: Mapped[datetime]
    left_at: Mapped[datetime | None]

    device: Mapped[Device] = relationship()
