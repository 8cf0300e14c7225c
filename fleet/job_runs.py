"""Which job ran when, and who may run jobs now.

Invariants: each (job, slot) runs at most once, however many servers there are; only the holder of the newest epoch may
finish what it started, so a runner that slept through the loss of its lease changes nothing when it wakes.
"""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fleet.db import Base, text_enum


class JobOutcome(enum.StrEnum):
    """How a run ended, or that it has not."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"  # its runner died or lost the lease


class JobLease(Base):
    """Who runs the timetable now: one row, named ``timetable``. ``epoch`` rises whenever the holder changes."""

    __tablename__ = "job_lease"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
    epoch: Mapped[int]
    expires_at: Mapped[datetime]


class JobRun(Base):
    """One run of a job. ``slot`` is the instant it was due; a run that a person asked for has its start there."""

    __tablename__ = "job_run"
    __table_args__ = (UniqueConstraint("job", "slot"), Index("ix_job_run_started_at", "started_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(String(64))
    slot: Mapped[datetime]
    epoch: Mapped[int]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[JobOutcome] = mapped_column(text_enum(JobOutcome))
    counts: Mapped[dict[str, Any]]  # what it did, in numbers by name
    error: Mapped[str | None] = mapped_column(String(200))  # the kind of error, never data of a tablet or pupil
