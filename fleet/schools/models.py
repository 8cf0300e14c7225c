"""What a municipality consists of: schools, school years, classes, persons and who belongs where.

Invariants: rows that came from a roster carry its ``source_id``; a row that left the roster gets ``ended_at`` and
keeps its id, so that an import can be undone and a tablet's history stays readable. Only fields with a purpose are
stored: no birth dates, addresses, telephone numbers or national identity numbers, even where a file has them.
"""

import enum
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, text_enum


class ClassKind(enum.StrEnum):
    """Basic group ("8B", OneRoster homeroom) or teaching group ("MAT 8B", OneRoster scheduled)."""

    BASIC = "basic"
    TEACHING = "teaching"


class PersonKind(enum.StrEnum):
    """What a person is at school."""

    PUPIL = "pupil"
    TEACHER = "teacher"
    STAFF = "staff"


class MembershipRole(enum.StrEnum):
    """What a person is in a class."""

    PUPIL = "pupil"
    TEACHER = "teacher"


class Municipality(Base):
    """The owner of everything in this database: one row, id 1."""

    __tablename__ = "municipality"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    source_id: Mapped[str | None] = mapped_column(String(255))
    second_person: Mapped[bool] = mapped_column(default=True)  # orders that cannot be undone need another's yes
    setup_skipped: Mapped[list[Any] | None]  # steps of the first run that somebody has put aside
    setup_ended_at: Mapped[datetime | None]  # since when nobody is asked about the first run any more


class School(Base):
    """One school, with what it has decided about lessons.

    ``networks`` are the address ranges (CIDR) of its networks; None: nobody has told them, so no tablet can be said to
    be elsewhere.
    """

    __tablename__ = "school"

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    longest_lesson_min: Mapped[int] = mapped_column(default=120)
    networks: Mapped[list[Any] | None]
    ended_at: Mapped[datetime | None]


class SchoolYear(Base):
    """A school year or term as the roster names it; local dates, both included."""

    __tablename__ = "school_year"

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    title: Mapped[str] = mapped_column(String(120))
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    ended_at: Mapped[datetime | None]


class SchoolClass(Base):
    """A class: basic or teaching group."""

    __tablename__ = "school_class"

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"), index=True)
    school_year_id: Mapped[int | None] = mapped_column(ForeignKey("school_year.id"))
    kind: Mapped[ClassKind] = mapped_column(text_enum(ClassKind))
    title: Mapped[str] = mapped_column(String(120))
    grade: Mapped[str | None] = mapped_column(String(16))
    subject_code: Mapped[str | None] = mapped_column(String(16))
    ended_at: Mapped[datetime | None]

    school: Mapped[School] = relationship()


class Person(Base):
    """A pupil, teacher or member of staff from the roster.

    ``username`` finds the person again at sign-in (teachers) and on the delivery list (pupils); ``email`` is kept for
    staff only, for alerts.
    """

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    kind: Mapped[PersonKind] = mapped_column(text_enum(PersonKind))
    given_name: Mapped[str] = mapped_column(String(120))
    family_name: Mapped[str] = mapped_column(String(120))
    username: Mapped[str | None] = mapped_column(String(255), index=True)
    email: Mapped[str | None] = mapped_column(String(255))
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"), index=True)
    ended_at: Mapped[datetime | None]


class Membership(Base):
    """A person in a class, with the dates between which it holds (local, both included)."""

    __tablename__ = "membership"
    __table_args__ = (UniqueConstraint("class_id", "person_id", "role"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[str | None] = mapped_column(String(255))
    class_id: Mapped[int] = mapped_column(ForeignKey("school_class.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    role: Mapped[MembershipRole] = mapped_column(text_enum(MembershipRole))
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    ended_at: Mapped[datetime | None]


class CalendarDay(Base):
    """A day that differs from the ordinary week: for one school, or for all where ``school_id`` is None.

    ``is_school_day`` False is a day off (holiday, planning day), True a school day on an ordinary day off.
    """

    __tablename__ = "calendar_day"
    __table_args__ = (
        UniqueConstraint("school_id", "on"),
        Index(
            "uq_calendar_day_everywhere",
            "on",
            unique=True,
            sqlite_where=text("school_id IS NULL"),
            postgresql_where=text("school_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"))
    on: Mapped[date]
    is_school_day: Mapped[bool]
    title: Mapped[str] = mapped_column(String(120))


class SchoolHours(Base):
    """When a weekday's school begins and ends, local time; for one school, or for all where ``school_id`` is None."""

    __tablename__ = "school_hours"
    __table_args__ = (
        UniqueConstraint("school_id", "weekday"),
        Index(
            "uq_school_hours_everywhere",
            "weekday",
            unique=True,
            sqlite_where=text("school_id IS NULL"),
            postgresql_where=text("school_id IS NULL"),
        ),
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday_of_week"),
        CheckConstraint("starts_at < ends_at", name="starts_before_end"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"))
    weekday: Mapped[int]  # 0 Monday … 6 Sunday, as date.weekday()
    starts_at: Mapped[time]
    ends_at: Mapped[time]


class Bell(Base):
    """A period of a weekday's timetable, local time; for one school, or for all where ``school_id`` is None.

    A school that has any of its own has none of the municipality's.
    """

    __tablename__ = "bell"
    __table_args__ = (
        Index("ix_bell_school_id_weekday", "school_id", "weekday"),
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday_of_week"),
        CheckConstraint("starts_at < ends_at", name="starts_before_end"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"))
    weekday: Mapped[int]  # 0 Monday … 6 Sunday
    starts_at: Mapped[time]
    ends_at: Mapped[time]


class AfterSchool(Base):
    """The hours of a weekday's after-school programme at a school, local time, for pupils up to a grade."""

    __tablename__ = "after_school"
    __table_args__ = (
        UniqueConstraint("school_id", "weekday"),
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday_of_week"),
        CheckConstraint("starts_at < ends_at", name="starts_before_end"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"))
    weekday: Mapped[int]  # 0 Monday … 6 Sunday
    starts_at: Mapped[time]
    ends_at: Mapped[time]
    highest_grade: Mapped[int]


class AbsenceSource(enum.StrEnum):
    """How it became known that a pupil is away."""

    TYPED = "typed"
    IMPORTED = "imported"


class Absence(Base):
    """A pupil is away from school on these local dates, both included. Why is nobody's business here."""

    __tablename__ = "absence"
    __table_args__ = (
        UniqueConstraint("person_id", "starts_on", "ends_on"),
        CheckConstraint("starts_on <= ends_on", name="starts_before_end"),
        Index("ix_absence_ends_on", "ends_on"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    source: Mapped[AbsenceSource] = mapped_column(text_enum(AbsenceSource))
    entered_by: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]
