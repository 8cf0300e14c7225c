"""Findings.

Invariants: at most one finding of a kind and subject is open for a tablet; a finding that closes keeps its row until
retention removes it; ``DeviceState.has_findings`` says whether any is open.
"""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, text_enum
from fleet.devices.models import Device


class FindingKind(enum.StrEnum):
    """What can be found about a tablet."""

    PROFILE_MISSING = "profile-missing"  # not applied within some polls
    SETTINGS_FAILED = "settings-failed"  # applied, but some settings could not be put into force
    OS_OUTDATED = "os-outdated"
    APP_MISSING = "app-missing"
    APP_BLOCKED = "app-blocked"
    STORAGE_LOW = "storage-low"
    CLOCK_WRONG = "clock-wrong"
    SILENT = "silent"


class Finding(Base):
    """A fact about a tablet, open until ``closed_at``. ``subject`` tells findings of one kind apart (an app's id)."""

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
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), index=True)
    kind: Mapped[FindingKind] = mapped_column(text_enum(FindingKind))
    subject: Mapped[str] = mapped_column(String(255), default="")
    detail: Mapped[dict[str, Any]]  # what the text needs: found, expected …; never what a pupil wrote
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]

    device: Mapped[Device] = relationship()
