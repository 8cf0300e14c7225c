"""The log of check-ins."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from fleet.db import Base


class CheckIn(Base):
    """One stored report, narrow. Tablet and sequence name it for ever, also over re-enrolment.

    On PostgreSQL each UTC day is a partition (:mod:`fleet.checkins.partitions`), so the instant has to be in the key;
    that a report is stored once is kept by ``device_state.last_sequence``. The key's order is that of a tablet's page.
    No foreign key: only who has just changed the tablet's state writes a line, and dropping a day would lock all
    tablets (decision 0019).
    """

    __tablename__ = "check_in"
    __table_args__ = (
        Index("ix_check_in_received_at", "received_at"),
        {"postgresql_partition_by": "RANGE (received_at)"},
    )

    device_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    received_at: Mapped[datetime] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False
    )
    report_id: Mapped[str] = mapped_column(String(36))
    applied_digest: Mapped[str | None] = mapped_column(String(64))
    battery_percent: Mapped[int | None]
    storage_free_bytes: Mapped[int | None] = mapped_column(BigInteger)
    clock_offset_s: Mapped[int | None]
