"""Who did what, when: lines that are only added, until their time is over.

Invariant: a field is kept only if it is named in :data:`PUBLIC_FIELDS`; anything else is refused, so that no
pupil's name, token or secret can slip in by way of a new caller. Not here: technical logs.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from fleet.access import Permission, Principal, require
from fleet.db import Base, db

PUBLIC_FIELDS = frozenset(
    {
        "account_id", "added", "assignment_id", "changed", "channel", "class_id", "code", "count", "digest",
        "ends_at", "file_name", "from_state", "import_id", "is_school_day", "job", "max_enrolments", "minutes",
        "on", "order_id", "order_kind", "outcome", "plan_id", "profile", "ranges", "reason", "removed", "role",
        "rule", "school_id", "scope", "serial", "set_id", "starts_at", "ticket_id", "to_state", "version",
        "weekday",
    }
)  # fmt: skip


class AuditEntry(Base):
    """One line of the audit."""

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64), index=True)
    subject: Mapped[str] = mapped_column(String(64), index=True)
    fields: Mapped[dict[str, Any]]


def record(by: Principal, action: str, *, subject: str, now: datetime, **fields: Any) -> None:
    """Add a line to the audit in the running transaction.

    Args:
        by: who acts.
        action: area and verb, such as ``tickets.created``.
        subject: kind and id of what was acted on, such as ``ticket:17``.
        now: the instant.
        fields: details; each must be in :data:`PUBLIC_FIELDS`.

    Raises:
        ValueError: a field is not declared public.
    """
    private = set(fields) - PUBLIC_FIELDS
    if private:
        raise ValueError(f"not declared public for the audit: {', '.join(sorted(private))}")
    db.session.add(
        AuditEntry(at=now, actor_kind=by.kind, actor_id=by.id, action=action, subject=subject, fields=fields)
    )


def latest(limit: int = 100, *, action: str | None = None, by: Principal) -> Sequence[AuditEntry]:
    """Return the newest lines first, at most ``limit``, optionally of one action.

    Raises:
        ForbiddenError: ``by`` may not read the audit.
    """
    require(by, Permission.READ_AUDIT)
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if action is not None:
        query = query.where(AuditEntry.action == action)
    return db.session.scalars(query).all()


def actions(*, by: Principal) -> Sequence[str]:
    """Return the actions that the audit has lines of.

    Raises:
        ForbiddenError: ``by`` may not read the audit.
    """
    require(by, Permission.READ_AUDIT)
    return db.session.scalars(select(AuditEntry.action).distinct().order_by(AuditEntry.action)).all()


def forget(*, older_than: timedelta, now: datetime, at_most: int = 5_000) -> int:
    """Remove lines older than that, at most so many at once; returns how many. For a job."""
    old = select(AuditEntry.id).where(AuditEntry.at < now - older_than).limit(at_most)
    query = delete(AuditEntry).where(AuditEntry.id.in_(old)).execution_options(synchronize_session=False)
    return int(db.session.execute(query).rowcount)  # type: ignore[attr-defined]
