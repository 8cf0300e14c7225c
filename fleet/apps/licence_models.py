"""Licences of apps as they stand with the store, and how many there are.

Invariants: a tablet has one row at most for each app. ``asked_at`` says that the store was asked for something and that
nobody knows yet what came of it: where ``event_id`` is None too, not even whether it heard.
"""

import enum
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fleet.db import Base, text_enum


class LicenceState(enum.StrEnum):
    """Where a licence is: one that was given back has no row any more."""

    WANTED = "wanted"
    ASSIGNED = "assigned"
    RELEASING = "releasing"
    FAILED = "failed"


class AppLicence(Base):
    """A licence of an app for a tablet.

    ``store_id`` is the app's number in the store. ``is_reversed``: while the store was being asked, the wish turned
    round.
    """

    __tablename__ = "app_licence"
    __table_args__ = (
        UniqueConstraint("store_id", "device_id"),
        Index("ix_app_licence_state", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(BigInteger)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), index=True)
    state: Mapped[LicenceState] = mapped_column(text_enum(LicenceState))
    reason: Mapped[str | None] = mapped_column(String(40))  # none-left | not-bought | not-for-devices | refused
    asked_at: Mapped[datetime | None]
    event_id: Mapped[str | None] = mapped_column(String(64), index=True)  # as the store calls what it does about it
    is_reversed: Mapped[bool] = mapped_column(default=False)
    changed_at: Mapped[datetime]


class AppStock(Base):
    """How many licences of an app were bought, as the store last said."""

    __tablename__ = "app_stock"

    store_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    total: Mapped[int]
    assigned: Mapped[int]
    available: Mapped[int]
    is_for_devices: Mapped[bool]
    pricing: Mapped[str] = mapped_column(String(16))  # what the store calls its quality
    seen_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]  # when who has one was last compared with what stands here
