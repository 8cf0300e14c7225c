"""The log of check-ins."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from fleet.db import Base


class CheckIn(Base):
    """One stored report, narrow. Tablet and sequence name it for ever, also over re-enrolment."""

    __tablename__ = "check_in"
    __table_args__ = (Index("ix_check_in_received_at", "received_at"),)

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), primary_key=True, autoincrement=False)
    sequence: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False
    )
    received_at: Mapped[datetime]
    report_id: Mapped[str] = mapped_column(String(36))
    applied_digest: Mapped[str | None] = mapped_column(String(64))
    battery_percent: Mapped[int | None]
    storage_free_bytes: Mapped[int | None] = mapped_column(BigInteger)
    clock_offset_s: Mapped[int | None]
