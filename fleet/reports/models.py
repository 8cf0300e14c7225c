"""Figures of days, files that are made in a while, and reports that go out by mail.

Invariants: figures have one row a place, kind and local date, written once the day is over or while it runs, the last
word counting; they are kept for good, so no row says anything of one tablet or person, and none of a class in which
there are fewer than :data:`SMALL_GROUP`. ``school_id`` is None for tablets without a school.
"""

import enum
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, text_enum
from fleet.devices.models import Platform
from fleet.people.models import Account
from fleet.schools.models import SchoolClass

SMALL_GROUP = 3  # tablets or pupils: a figure about fewer could be traced to one child


class DayFigures(Base):
    """A school's tablets on a local date, as numbers.

    ``seen`` were heard from that day, ``applied`` have their profile, ``compliant`` are enrolled without open findings,
    ``lessons`` began that day.
    """

    __tablename__ = "day_figures"
    __table_args__ = (
        Index("uq_day_figures_school_id_on", "school_id", "on", unique=True),
        Index(
            "uq_day_figures_nowhere",
            "on",
            unique=True,
            sqlite_where=text("school_id IS NULL"),
            postgresql_where=text("school_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"))
    on: Mapped[date]
    tablets: Mapped[int]
    enrolled: Mapped[int]
    seen: Mapped[int]
    applied: Mapped[int]
    compliant: Mapped[int]
    lessons: Mapped[int]


class DayFindings(Base):
    """A school's findings of one kind on a local date, as numbers.

    ``open`` were so at the end of the day, on so many ``tablets``; ``opened`` and ``closed`` did so that day.
    """

    __tablename__ = "day_findings"
    __table_args__ = (Index("ix_day_findings_on", "on", "school_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"))
    on: Mapped[date]
    kind: Mapped[str] = mapped_column(String(48))
    open: Mapped[int]
    opened: Mapped[int]
    closed: Mapped[int]
    tablets: Mapped[int]


class DayLessons(Base):
    """A class's lessons that began on a local date.

    ``class_id`` is None for the lessons of all small classes of a school together. ``tablets`` were meant by the
    largest of them, or by the largest of each small class together.
    """

    __tablename__ = "day_lessons"
    __table_args__ = (Index("ix_day_lessons_on", "on", "school_id"), Index("ix_day_lessons_class_id", "class_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"))
    class_id: Mapped[int | None] = mapped_column(ForeignKey("school_class.id"))
    on: Mapped[date]
    lessons: Mapped[int]
    minutes: Mapped[int]
    tablets: Mapped[int]

    school_class: Mapped[SchoolClass | None] = relationship()


class DayClasses(Base):
    """The tablets of a class that is not small, on a local date, as :class:`DayFigures` has those of a school."""

    __tablename__ = "day_classes"
    __table_args__ = (
        Index("uq_day_classes_class_id_on", "class_id", "on", unique=True),
        Index("ix_day_classes_on", "on"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    class_id: Mapped[int] = mapped_column(ForeignKey("school_class.id"))
    on: Mapped[date]
    tablets: Mapped[int]
    enrolled: Mapped[int]
    seen: Mapped[int]
    applied: Mapped[int]
    compliant: Mapped[int]


class AppUse(Base):
    """On how many tablets in use at a school an app is, as it was counted last; not kept day by day."""

    __tablename__ = "app_use"

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"), index=True)
    platform: Mapped[Platform] = mapped_column(text_enum(Platform))
    app_id: Mapped[str] = mapped_column(String(255))
    tablets: Mapped[int]


class Format(enum.StrEnum):
    """As what a report is written."""

    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"


class ExportState(enum.StrEnum):
    """Where a file is that is made in a while."""

    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


class Export(Base):
    """A report that is written to a file beside the pages: a long one, or (``schedule_id``) one that goes out by mail.

    A long one is removed a day after it was asked for, one that is mailed once it is in its letter. ``token`` names its
    file. ``claimed_until``: who writes it keeps it until then, and says so again while it writes; one that is claimed
    no more is begun anew by another. ``reach`` is what one has to be allowed to see, to see what is in the file.
    """

    __tablename__ = "report_export"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    report: Mapped[str] = mapped_column(String(48))
    parameters: Mapped[dict[str, Any]]
    format: Mapped[Format] = mapped_column(text_enum(Format))
    language: Mapped[str] = mapped_column(String(8))
    state: Mapped[ExportState] = mapped_column(text_enum(ExportState), default=ExportState.WAITING)
    done: Mapped[int] = mapped_column(default=0)  # rows
    of: Mapped[int]
    tries: Mapped[int] = mapped_column(default=0)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    file_name: Mapped[str] = mapped_column(String(120))
    schedule_id: Mapped[int | None] = mapped_column(ForeignKey("report_schedule.id"), index=True)
    reach: Mapped[list[Any] | None]
    size_bytes: Mapped[int | None]
    asked_at: Mapped[datetime] = mapped_column(index=True)
    claimed_until: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    account: Mapped[Account] = relationship()


class Rhythm(enum.StrEnum):
    """How often a report goes out: on Monday mornings, or on the first of each month."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"


class ReportSchedule(Base):
    """A report that somebody has asked to be mailed, and when it goes out next.

    ``failed_at`` is when it could not be made, most often because its account may not see it any more or is shut.
    """

    __tablename__ = "report_schedule"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    report: Mapped[str] = mapped_column(String(48))
    parameters: Mapped[dict[str, Any]]
    format: Mapped[Format] = mapped_column(text_enum(Format))
    rhythm: Mapped[Rhythm] = mapped_column(text_enum(Rhythm))
    next_at: Mapped[datetime] = mapped_column(index=True)
    last_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    account: Mapped[Account] = relationship()
