"""Who did what, when: lines that are only added, until their time is over.

What was added is sealed within a minute (:mod:`fleet.audit_seals`), so that it can be seen later whether a line was
changed, taken away or put elsewhere. Invariant: a field is kept only if it is named in :data:`PUBLIC_FIELDS`; anything
else is refused, so that no pupil's name, token or secret can slip in by way of a new caller. Not here: technical logs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, String, and_, delete, func, or_, select, text
from sqlalchemy.orm import Mapped, mapped_column

from fleet.access import Permission, Principal, require
from fleet.db import Base, among_texts, carry_out, db

PUBLIC_FIELDS = frozenset(
    {
        "account_id", "added", "app", "assignment_id", "cart", "changed", "channel", "class_id", "code", "count",
        "delivery", "digest", "ends_at", "file_name", "from_cart", "from_class_id", "from_name", "from_school_id",
        "from_state", "host", "import_id", "is_school_day", "job", "max_enrolments", "minutes", "name", "on",
        "order_id", "order_kind", "outcome", "plan_id", "profile", "ranges", "reason", "removed", "role", "rule",
        "school_id", "scope", "serial", "set_id", "starts_at", "ticket_id", "title", "to_state", "topic", "topics",
        "version", "weekday",
    }
)  # fmt: skip


_SEALS_AT_ONCE = 2_000  # looked at to be removed; most have a few lines


class AuditSeal(Base):
    """What lines were there, in which order: their digest, bound to the seal before and signed by the server.

    ``number`` counts from 1 without a gap. A seal stays when the time of its lines is over; it holds nothing of them.
    """

    __tablename__ = "audit_seal"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    lines: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    signature: Mapped[str] = mapped_column(String(96))  # ECDSA, DER (72 bytes at most), base64


class AuditEntry(Base):
    """One line of the audit. ``seal`` and ``place`` say where it stands; None until it is sealed."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("uq_audit_entry_seal_place", "seal", "place", unique=True),
        Index(
            "ix_audit_entry_unsealed",
            "id",
            sqlite_where=text("seal IS NULL"),
            postgresql_where=text("seal IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64), index=True)
    subject: Mapped[str] = mapped_column(String(64), index=True)
    fields: Mapped[dict[str, Any]]
    seal: Mapped[int | None] = mapped_column(ForeignKey("audit_seal.number"))
    place: Mapped[int | None]


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


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines are meant; None narrows nothing, an empty collection leaves none.

    Args:
        action: this one, such as ``tickets.created``, or with a dot at its end all of an area: ``tickets.``.
        subjects: what was acted on is one of these, such as ``ticket:17``.
        actors: who acted is one of these: kind and id, or a kind and None for all of it.
        since: not before.
        until: before.
    """

    action: str | None = None
    subjects: Collection[str] | None = None
    actors: Collection[tuple[str, str | None]] | None = None
    since: datetime | None = None
    until: datetime | None = None


def lines(
    given: Filter | None = None, *, by: Principal, limit: int = 100, before: int | None = None
) -> Sequence[AuditEntry]:
    """Return the newest lines first; one statement.

    Args:
        given: which of them; all where not given.
        by: who reads.
        limit: at most so many.
        before: only lines older than the one of this id, so that the next page begins where this one ended.

    Raises:
        ForbiddenError: ``by`` may not read the audit.
    """
    require(by, Permission.READ_AUDIT)
    given = given or Filter()
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    if given.action is not None:
        is_area = given.action.endswith(".")
        action = AuditEntry.action
        query = query.where(action.startswith(given.action, autoescape=True) if is_area else action == given.action)
    if given.subjects is not None:
        query = query.where(among_texts(AuditEntry.subject, given.subjects))
    if given.actors is not None:
        query = query.where(_acted(given.actors))
    if given.since is not None:
        query = query.where(AuditEntry.at >= given.since)
    if given.until is not None:
        query = query.where(AuditEntry.at < given.until)
    return db.session.scalars(query).all()


def _acted(actors: Collection[tuple[str, str | None]]) -> ColumnElement[bool]:
    """Whether one of these acted; two parameters for each kind, however many there are of it."""
    whole = {kind for kind, of in actors if of is None}
    each = {kind: [of for one, of in actors if one == kind and of is not None] for kind, _of in actors}
    of_kind = among_texts(AuditEntry.actor_kind, whole)
    one_of = [
        and_(AuditEntry.actor_kind == kind, among_texts(AuditEntry.actor_id, ids))
        for kind, ids in each.items()
        if kind not in whole
    ]
    return or_(of_kind, *one_of)


def actions(*, by: Principal) -> Sequence[str]:
    """Return the actions that the audit has lines of.

    Raises:
        ForbiddenError: ``by`` may not read the audit.
    """
    require(by, Permission.READ_AUDIT)
    return db.session.scalars(select(AuditEntry.action).distinct().order_by(AuditEntry.action)).all()


def forget(*, older_than: timedelta, now: datetime, at_most: int = 5_000) -> int:
    """Remove lines that were sealed longer ago than that, about so many at most; returns how many. For a job.

    A seal's lines go together, so that what is left can still be proved to be whole.
    """
    oldest = select(func.min(AuditEntry.seal)).scalar_subquery()
    old = (
        select(AuditSeal.number, AuditSeal.lines)
        .where(AuditSeal.number >= oldest, AuditSeal.at < now - older_than)
        .order_by(AuditSeal.number)
        .limit(_SEALS_AT_ONCE)
    )
    numbers, lines = [], 0
    for number, count in db.session.execute(old):
        numbers.append(number)
        lines += count
        if lines >= at_most:
            break
    return carry_out(delete(AuditEntry).where(AuditEntry.seal.between(numbers[0], numbers[-1]))) if numbers else 0
