"""Alerts as stored: who wants to hear of what, what happened, and the letters and messages about it.

Invariants: an event is there once (``key``), and a reader is told of it in one letter (:class:`AlertDelivery`); a
letter keeps its ``message_id`` however often it is tried; what is under way is held by one server until
``claimed_until`` and by nobody afterwards. No row has a pupil's name. Passwords and secrets are sealed.
"""

import enum
from datetime import datetime, time
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.access import Role
from fleet.compliance.models import Severity
from fleet.db import Base, text_enum
from fleet.people.models import Account
from fleet.schools.models import School


class AlertTopic(enum.StrEnum):
    """What one may hear of."""

    FINDINGS = "findings"  # findings that are not serious
    SERIOUS = "serious"
    MISSING = "missing"
    INCIDENTS = "incidents"
    QUESTIONS = "questions"  # where is this tablet?
    ESCALATED = "escalated"  # serious, and nobody has acknowledged it within a school day
    JOBS = "jobs"  # that failed
    CERTIFICATES = "certificates"  # and tokens that end
    REPORTS = "reports"  # that somebody has ordered for themselves


class Delivery(enum.StrEnum):
    """How one hears of something."""

    NONE = "none"
    DIGEST = "digest"
    AT_ONCE = "at-once"


class AlertChoice(Base):
    """How a role hears of a topic, at one school or (``school_id`` None) wherever no school has chosen."""

    __tablename__ = "alert_choice"
    __table_args__ = (
        UniqueConstraint("role", "topic", "school_id"),
        Index(
            "uq_alert_choice_everywhere",
            "role",
            "topic",
            unique=True,
            sqlite_where=text("school_id IS NULL"),
            postgresql_where=text("school_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[Role] = mapped_column(text_enum(Role))
    topic: Mapped[AlertTopic] = mapped_column(text_enum(AlertTopic))
    delivery: Mapped[Delivery] = mapped_column(text_enum(Delivery))
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"))


class AlertMute(Base):
    """A topic that somebody does not want to hear of."""

    __tablename__ = "alert_mute"

    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    topic: Mapped[AlertTopic] = mapped_column(text_enum(AlertTopic), primary_key=True)
    muted_at: Mapped[datetime]


class AlertReader(Base):
    """At which local time somebody wants the digest, where it is not the usual one."""

    __tablename__ = "alert_reader"

    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True, autoincrement=False)
    digest_at: Mapped[time]


class AlertEvent(Base):
    """Something that people are told of.

    ``key`` names it, such as ``finding:17``. It is quiet while ``quiet_until`` lies ahead (snoozed), and over at
    ``ended_at`` (closed, acknowledged, answered): what is quiet or over when a letter is written is not in it.
    ``planned_at`` and ``hooked_at`` say that letters and webhooks have been made for it; ``escalated_at`` that it went
    one role up, or (a question) to the school's IT.
    """

    __tablename__ = "alert_event"
    __table_args__ = (
        Index(
            "ix_alert_event_unplanned",
            "id",
            sqlite_where=text("planned_at IS NULL"),
            postgresql_where=text("planned_at IS NULL"),
        ),
        Index(
            "ix_alert_event_unhooked",
            "id",
            sqlite_where=text("hooked_at IS NULL"),
            postgresql_where=text("hooked_at IS NULL"),
        ),
        Index(
            "ix_alert_event_serious",
            "id",
            sqlite_where=text("severity = 'serious' AND ended_at IS NULL AND escalated_at IS NULL"),
            postgresql_where=text("severity = 'serious' AND ended_at IS NULL AND escalated_at IS NULL"),
        ),
        Index("ix_alert_event_raised_at", "raised_at"),
        Index(
            "ix_alert_event_open",
            "device_id",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(160), unique=True)
    topic: Mapped[AlertTopic] = mapped_column(text_enum(AlertTopic))
    kind: Mapped[str] = mapped_column(String(64))  # of finding, incident's cause, job, or what ends
    severity: Mapped[Severity] = mapped_column(text_enum(Severity))
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"))
    class_id: Mapped[int | None] = mapped_column(ForeignKey("school_class.id"))
    device_id: Mapped[int | None] = mapped_column(ForeignKey("device.id"))
    about_id: Mapped[int | None]  # the finding, incident or question
    detail: Mapped[dict[str, Any]]
    raised_at: Mapped[datetime]
    quiet_until: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    escalated_at: Mapped[datetime | None]
    planned_at: Mapped[datetime | None]
    hooked_at: Mapped[datetime | None]
    unhooked_at: Mapped[datetime | None]  # webhooks were told that it is over


class LetterKind(enum.StrEnum):
    """Why a letter is written."""

    DIGEST = "digest"
    AT_ONCE = "at-once"
    REPORT = "report"
    TEST = "test"


class LetterState(enum.StrEnum):
    """Where a letter is in its life."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"  # and it is tried again
    GIVEN_UP = "given-up"
    EMPTY = "empty"  # all it was to tell was over before


class Letter(Base):
    """One mail to one reader. ``key`` names reader and moment, so that it is there once.

    ``contents`` is what is being sent. It stays where a mail server may have taken it and nobody knows: the same goes
    again, under the same ``message_id``. Where it was certainly not taken it is written anew, without what is over.
    ``failure`` is the reason of the last failure, without an address in it.
    """

    __tablename__ = "letter"
    __table_args__ = (
        Index("ix_letter_state_due_at", "state", "due_at"),
        Index("ix_letter_account_id", "account_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(160), unique=True)
    kind: Mapped[LetterKind] = mapped_column(text_enum(LetterKind))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"))
    message_id: Mapped[str] = mapped_column(String(80), unique=True)
    state: Mapped[LetterState] = mapped_column(text_enum(LetterState), default=LetterState.WAITING)
    made_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    claimed_until: Mapped[datetime | None]
    contents: Mapped[dict[str, Any] | None]
    address: Mapped[str | None] = mapped_column(String(255))  # the one it was last sent to
    items: Mapped[int] = mapped_column(default=0)  # how many events it told of
    failing_since: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    failure: Mapped[str | None] = mapped_column(String(200))
    ended_at: Mapped[datetime | None]  # sent, given up or empty since

    account: Mapped[Account] = relationship()
    school: Mapped[School | None] = relationship()


class LetterFile(Base):
    """What a letter brings with it: a report. ``reach`` is what its reader has to be allowed to see, to be sent it."""

    __tablename__ = "letter_file"

    letter_id: Mapped[int] = mapped_column(ForeignKey("letter.id"), primary_key=True, autoincrement=False)
    subject_key: Mapped[str] = mapped_column(String(64))
    file_name: Mapped[str] = mapped_column(String(120))
    media_type: Mapped[str] = mapped_column(String(80))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    reach: Mapped[list[Any]]


class AlertDelivery(Base):
    """A reader is told of an event in this letter, and in no other."""

    __tablename__ = "alert_delivery"

    event_id: Mapped[int] = mapped_column(ForeignKey("alert_event.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    letter_id: Mapped[int] = mapped_column(ForeignKey("letter.id"), index=True)
    is_escalated: Mapped[bool] = mapped_column(default=False)


class MailSecurity(enum.StrEnum):
    """How the way to the mail server is guarded."""

    TLS = "tls"  # from the first byte
    STARTTLS = "starttls"
    NONE = "none"  # only to this machine itself


class MailServer(Base):
    """The mail server that takes our letters: one row, id 1. One that failed is left alone until ``rests_until``."""

    __tablename__ = "mail_server"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    port: Mapped[int]
    security: Mapped[MailSecurity] = mapped_column(text_enum(MailSecurity))
    username: Mapped[str | None] = mapped_column(String(255))
    password_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    authority_pem: Mapped[str | None]  # whom its certificate leads to; None: those this machine trusts
    sender: Mapped[str] = mapped_column(String(255))
    changed_at: Mapped[datetime]
    worked_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    failure: Mapped[str | None] = mapped_column(String(200))
    failures: Mapped[int] = mapped_column(default=0)
    rests_until: Mapped[datetime | None]


class Webhook(Base):
    """Another program that is told of events, at one school or (``school_id`` None) everywhere."""

    __tablename__ = "webhook"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    address: Mapped[str] = mapped_column(String(500))
    topics: Mapped[list[Any]]
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"))
    secret_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    is_private_allowed: Mapped[bool] = mapped_column(default=False)
    is_on: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    worked_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    failure: Mapped[str | None] = mapped_column(String(200))

    school: Mapped[School | None] = relationship()


class HookState(enum.StrEnum):
    """Where a message is in its life."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"  # and it is tried again
    DEAD = "dead"  # given up, until somebody has it sent again


class HookMessage(Base):
    """One message to a webhook; ``uid`` and ``body`` stay the same however often it is tried.

    An event that begins again once its end was told is told of again, so it may have several.
    """

    __tablename__ = "hook_message"
    __table_args__ = (Index("ix_hook_message_state_due_at", "state", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(48), unique=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhook.id"))
    event_id: Mapped[int | None] = mapped_column(ForeignKey("alert_event.id"), index=True)  # None: a test
    what: Mapped[str] = mapped_column(String(32))  # alert.raised, alert.ended, test
    body: Mapped[str]
    state: Mapped[HookState] = mapped_column(text_enum(HookState), default=HookState.WAITING)
    made_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    claimed_until: Mapped[datetime | None]
    status: Mapped[int | None]  # of the last answer
    failed_at: Mapped[datetime | None]
    failure: Mapped[str | None] = mapped_column(String(200))
    ended_at: Mapped[datetime | None]  # sent or dead since

    webhook: Mapped[Webhook] = relationship()
