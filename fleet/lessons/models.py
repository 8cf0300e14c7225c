"""Lessons, what they gave, and what became of each tablet.

Invariants: a lesson's tablets are those of the class's pupils when it began, and of those who came to the class since;
what a tablet shall have is told by its lease alone (``assignments.LeasedTablet``), and what is here is who was meant,
why one was left out, and what came back. No pupil's name is stored here: a row points at the person.
"""

import enum
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.ext.hybrid import hybrid_method
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.assignments.models import Lease, Profile
from fleet.db import Base, text_enum
from fleet.devices.models import Device
from fleet.people.models import Account
from fleet.schools.models import Person, SchoolClass


class SetKind(enum.StrEnum):
    """What a set gives: a published profile, or one of the quick ones."""

    PROFILE = "profile"
    APPS = "apps"  # only these apps
    WEB = "web"  # only these web addresses
    EYES = "eyes"  # eyes on me: nothing can be used
    EXAM = "exam"  # one app, no help, no sharing


class Part(enum.StrEnum):
    """Whether a tablet is in a lesson, or why it is not."""

    IN = "in"
    ABSENT = "absent"  # the teacher says so
    UNSEEN = "unseen"  # not heard from today; comes in when it is
    ELSEWHERE = "elsewhere"  # asks from outside the school's networks
    TAKEN = "taken"  # another lesson has it, or will from ``part_since`` on
    RELEASED = "released"  # the teacher let it go
    GONE = "gone"  # not this class's tablet any more, or out of use


class LessonSet(Base):
    """Something to give in lessons; never changed, only withdrawn.

    ``shared`` by a school or (``school_id`` None) by the municipality, else a teacher's own; ``owner_id`` is who made
    it, None whoever has a shell on the server. ``subject_code`` (the beginning of a GREP code) and ``grades`` say for
    which teaching groups it is suggested.
    """

    __tablename__ = "lesson_set"

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"), index=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    shared: Mapped[bool] = mapped_column(default=False)
    title: Mapped[str] = mapped_column(String(80))
    kind: Mapped[SetKind] = mapped_column(text_enum(SetKind))
    profile_id: Mapped[int | None] = mapped_column(ForeignKey("profile.id"))
    params: Mapped[
        dict[str, Any]
    ]  # of a quick set, what was told: {"apps": […], "locked": true, "hosts": […], "text": …}
    subject_code: Mapped[str | None] = mapped_column(String(16))
    grades: Mapped[list[Any] | None]
    created_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]

    profile: Mapped[Profile | None] = relationship()


class LessonPlan(Base):
    """A lesson planned ahead: on one date, or each week on a weekday that has school. Times are local.

    ``skipped`` are the dates (ISO 8601) on which it is left out.
    """

    __tablename__ = "lesson_plan"
    __table_args__ = (
        CheckConstraint('(weekday IS NULL) <> ("on" IS NULL)', name="once_or_weekly"),
        CheckConstraint("starts_at < ends_at", name="starts_before_end"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    class_id: Mapped[int] = mapped_column(ForeignKey("school_class.id"), index=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("lesson_set.id"))
    holder_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    on: Mapped[date | None]
    weekday: Mapped[int | None]  # 0 Monday
    first_on: Mapped[date | None]  # weekly: from this date
    last_on: Mapped[date | None]  # weekly: to this date, included
    starts_at: Mapped[time]
    ends_at: Mapped[time]
    skipped: Mapped[list[Any]]
    created_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]

    set: Mapped[LessonSet] = relationship()
    school_class: Mapped[SchoolClass] = relationship()
    holder: Mapped[Account | None] = relationship()


class Lesson(Base):
    """One lesson of one class. Planned before ``starts_at``, over from ``ends_at`` on.

    The end moves when it is extended or ended early. ``holder_id`` is the teacher who holds it; None: whoever has a
    shell on the server. ``request_id`` names the wish that started it, so that one that is sent twice starts once.
    """

    __tablename__ = "lesson"
    __table_args__ = (
        UniqueConstraint("plan_id", "starts_at"),
        Index("ix_lesson_class_id_ends_at", "class_id", "ends_at"),
        Index("ix_lesson_ends_at", "ends_at"),
        CheckConstraint("ends_at >= starts_at", name="starts_before_end"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    class_id: Mapped[int] = mapped_column(ForeignKey("school_class.id"))
    holder_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("lesson_plan.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # when somebody ended it before its time
    takes_unseen: Mapped[bool]  # tablets not heard from today are in from the start: everybody is here
    request_id: Mapped[str | None] = mapped_column(String(80), unique=True)
    created_at: Mapped[datetime]

    school_class: Mapped[SchoolClass] = relationship()
    holder: Mapped[Account | None] = relationship()
    given: Mapped[list["LessonGift"]] = relationship(order_by="LessonGift.id", back_populates="lesson")


class LessonGift(Base):
    """A set that a lesson gave, since when, and the lease that gives it; the last one holds."""

    __tablename__ = "lesson_gift"

    id: Mapped[int] = mapped_column(primary_key=True)
    lesson_id: Mapped[int] = mapped_column(ForeignKey("lesson.id"), index=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("lesson_set.id"), index=True)
    lease_id: Mapped[int] = mapped_column(ForeignKey("lease.id"), unique=True)
    since: Mapped[datetime]

    lesson: Mapped[Lesson] = relationship(back_populates="given")
    set: Mapped[LessonSet] = relationship()
    lease: Mapped[Lease] = relationship()


class LessonTablet(Base):
    """A tablet that a lesson meant, and what became of it.

    ``part_since`` is in the future where a lesson that is still to come will have the tablet; until then it is in.
    ``granted_at`` is when the lesson last gave it something; ``fetched_at``, ``arrived_at`` and ``failures`` are of
    that. ``touched_at`` is when it first had anything of the lesson, whatever the lesson gave since. ``freed_at`` is
    when the lesson ended for it, or will for another's sake, else None while it is in; ``back_at`` when it
    was seen back at its base since.
    ``forecast_percent`` was told when the lesson began (``lessons.forecast``). ``counted_at`` is when that was compared
    with what came, and ``is_in_time`` what came, None where it says nothing about the forecast.
    """

    __tablename__ = "lesson_tablet"
    __table_args__ = (
        UniqueConstraint("lesson_id", "device_id"),
        Index("ix_lesson_tablet_device_id", "device_id"),
        Index(
            "ix_lesson_tablet_other_lesson_id",  # few, and each lesson that is forgotten is looked for among them
            "other_lesson_id",
            sqlite_where=text("other_lesson_id IS NOT NULL"),
            postgresql_where=text("other_lesson_id IS NOT NULL"),
        ),
        Index(
            "ix_lesson_tablet_sought",  # not seen back yet: few, of all that ever were
            "device_id",
            sqlite_where=text("granted_at IS NOT NULL AND back_at IS NULL"),
            postgresql_where=text("granted_at IS NOT NULL AND back_at IS NULL"),
        ),
        Index(
            "ix_lesson_tablet_uncounted",
            "lesson_id",
            sqlite_where=text("forecast_kind IS NOT NULL AND counted_at IS NULL"),
            postgresql_where=text("forecast_kind IS NOT NULL AND counted_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    lesson_id: Mapped[int] = mapped_column(ForeignKey("lesson.id"))
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), index=True)
    part: Mapped[Part] = mapped_column(text_enum(Part))
    part_since: Mapped[datetime]
    other_lesson_id: Mapped[int | None] = mapped_column(ForeignKey("lesson.id"))  # the one that has it, or had it
    forecast_percent: Mapped[int | None]
    forecast_kind: Mapped[str | None] = mapped_column(String(16))  # what the forecast went by
    counted_at: Mapped[datetime | None]
    is_in_time: Mapped[bool | None]
    granted_at: Mapped[datetime | None]
    fetched_at: Mapped[datetime | None]
    arrived_at: Mapped[datetime | None]
    touched_at: Mapped[datetime | None]
    failures: Mapped[list[Any] | None]
    freed_at: Mapped[datetime | None]
    back_at: Mapped[datetime | None]

    lesson: Mapped[Lesson] = relationship(foreign_keys=[lesson_id])
    device: Mapped[Device] = relationship()
    person: Mapped[Person | None] = relationship()

    @hybrid_method
    def is_in(self, now: datetime) -> bool:
        """Whether the tablet is in the lesson, as long as that runs: a value of a row, and a condition of a query."""
        return (self.part == Part.IN) | ((self.part == Part.TAKEN) & (self.part_since > now))


class ArrivalRecord(Base):
    """How often tablets of a school arrived in time, by how they stood when a lesson began.

    Older outcomes fade (``lessons.calibration``), so both numbers are weights and not whole. ``scores`` say how well
    each of the forecast's weights foretold them: sums of logarithms of the probability that it gave to what came.
    """

    __tablename__ = "arrival_record"

    school_id: Mapped[int] = mapped_column(ForeignKey("school.id"), primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    tried: Mapped[float]
    arrived: Mapped[float]
    scores: Mapped[list[Any]]


class ArrivalHabit(Base):
    """How often one tablet arrived in time, by how it stood when a lesson began; older outcomes fade."""

    __tablename__ = "arrival_habit"

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    tried: Mapped[float]
    arrived: Mapped[float]
