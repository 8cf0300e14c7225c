"""Stored profiles, their versions and who shall have them.

Invariants: a published version never changes; effective profiles and schedules are stored once, under the SHA-256 of
their canonical form; an assignment names exactly one place (municipality, school, class or tablet).
"""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, Document, text_enum


class Scope(enum.StrEnum):
    """Where an assignment applies, from far to near; a lesson lies above them all."""

    MUNICIPALITY = "municipality"
    SCHOOL = "school"
    CLASS = "class"
    DEVICE = "device"


class Profile(Base):
    """A named set of apps, restrictions and settings; its content is in the versions."""

    __tablename__ = "profile"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)  # a slug: lower case, digits, hyphens
    title: Mapped[str] = mapped_column(String(120))
    created_at: Mapped[datetime]


class ProfileVersion(Base):
    """One version: a draft (``published_at`` is None, at most one per profile) or published and immutable."""

    __tablename__ = "profile_version"
    __table_args__ = (UniqueConstraint("profile_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id"))
    number: Mapped[int]
    settings: Mapped[dict[str, Any]]
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None]
    published_by: Mapped[str | None] = mapped_column(String(80))  # as Principal.name tells
    title: Mapped[str | None] = mapped_column(String(120))  # what the profile is called once it is published
    note: Mapped[str | None] = mapped_column(String(300))  # what changed and why, in the words of who published it

    profile: Mapped[Profile] = relationship()

    @property
    def called(self) -> str:
        """What the profile is called where this version is shown: a draft has a title of its own until then."""
        return self.title if self.published_at is None and self.title is not None else self.profile.title


class Assignment(Base):
    """Profile version X applies to a place, from … until … (instants; None is open)."""

    __tablename__ = "assignment"
    __table_args__ = (
        CheckConstraint(
            "(scope = 'municipality' AND school_id IS NULL AND class_id IS NULL AND device_id IS NULL)"
            " OR (scope = 'school' AND school_id IS NOT NULL AND class_id IS NULL AND device_id IS NULL)"
            " OR (scope = 'class' AND school_id IS NULL AND class_id IS NOT NULL AND device_id IS NULL)"
            " OR (scope = 'device' AND school_id IS NULL AND class_id IS NULL AND device_id IS NOT NULL)",
            name="one_place",
        ),
        CheckConstraint("ends_at IS NULL OR starts_at IS NULL OR ends_at > starts_at", name="ends_after_start"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    profile_version_id: Mapped[int] = mapped_column(ForeignKey("profile_version.id"))
    scope: Mapped[Scope] = mapped_column(text_enum(Scope))
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"), index=True)
    class_id: Mapped[int | None] = mapped_column(ForeignKey("school_class.id"), index=True)
    device_id: Mapped[int | None] = mapped_column(ForeignKey("device.id"), index=True)
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None] = mapped_column(index=True)
    created_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]

    profile_version: Mapped[ProfileVersion] = relationship()


class Lease(Base):
    """A layer on named tablets for a while: what a lesson gives. Which tablet from when until when: LeasedTablet.

    It lies above all assignments and can only tighten what they say. ``profile``, ``version`` and ``place`` are what
    reasons tell of it.
    """

    __tablename__ = "lease"

    id: Mapped[int] = mapped_column(primary_key=True)
    profile: Mapped[str] = mapped_column(String(64))  # the profile's name, or the quick set's kind
    version: Mapped[int | None]
    place: Mapped[str] = mapped_column(String(120))
    settings: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class LeasedTablet(Base):
    """A tablet under a lease, from … until …. Of one tablet no two overlap: never two locks on top of each other."""

    __tablename__ = "leased_tablet"
    __table_args__ = (
        Index("ix_leased_tablet_device_id_ends_at", "device_id", "ends_at"),
        Index("ix_leased_tablet_ends_at", "ends_at"),
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    lease_id: Mapped[int] = mapped_column(ForeignKey("lease.id"), index=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]


class EffectiveProfile(Base):
    """What some tablets shall have: the canonical bytes that tablets fetch, stored once by digest."""

    __tablename__ = "effective_profile"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    body: Mapped[str] = mapped_column(Text)
    length: Mapped[int] = mapped_column(BigInteger)  # bytes of the UTF-8 body
    created_at: Mapped[datetime]


class Schedule(Base):
    """Which effective profile applies when, for some tablets; stored once by digest.

    ``entries`` is a list of ``{"from": ISO 8601 or null, "until": ISO 8601 or null, "profile": digest, "length":
    bytes}`` in order, without gaps; the first ``from`` and last ``until`` are null.
    """

    __tablename__ = "schedule"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    entries: Mapped[list[Any]] = mapped_column(Document)
    created_at: Mapped[datetime]
