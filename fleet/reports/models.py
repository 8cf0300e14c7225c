"""Figures of a day.

Invariants: one row a school and local date, written once the day is over or while it runs, the last word counting; no
row says anything of one tablet or person. ``school_id`` is None for tablets without a school.
"""

from datetime import date

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from fleet.db import Base


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
