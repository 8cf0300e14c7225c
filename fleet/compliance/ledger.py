"""Writing findings down: opening, closing, and what the tablets' rows say of them. A fixed number of statements.

Whoever calls holds the tablets' rows (:func:`fleet.devices.states.lock`), so that two reviews of a tablet follow each
other; the index on open findings is the last word.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, exists, select, text, update

from fleet.assignments.schedules import stored_instant
from fleet.compliance.models import Finding
from fleet.compliance.rules import Found
from fleet.db import db, id_set
from fleet.devices.models import DeviceState

_OPEN = {
    "postgresql": """
        INSERT INTO finding (device_id, kind, subject, detail, opened_at)
        SELECT r.d, r.k, r.s, r.x, CAST(:now AS timestamptz)
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(d int, k text, s text, x jsonb)
        ON CONFLICT DO NOTHING
    """,
    "sqlite": """
        INSERT INTO finding (device_id, kind, subject, detail, opened_at)
        SELECT json_extract(value, '$.d'), json_extract(value, '$.k'), json_extract(value, '$.s'),
               json_extract(value, '$.x'), :now
        FROM json_each(:rows) WHERE true
        ON CONFLICT DO NOTHING
    """,
}
_TELL = {
    "postgresql": """
        UPDATE finding SET detail = r.x FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(i int, x jsonb)
        WHERE finding.id = r.i
    """,
    "sqlite": """
        UPDATE finding SET detail = json_extract(r.value, '$.x') FROM json_each(:rows) AS r
        WHERE finding.id = json_extract(r.value, '$.i')
    """,
}


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a review did, in numbers."""

    tablets: int = 0
    opened: int = 0
    closed: int = 0


@dataclass(slots=True)
class Change:
    """What is to be written: findings to open by tablet, findings to close, details that changed by finding."""

    opened: list[tuple[int, Found]] = field(default_factory=list)
    closed: list[Finding] = field(default_factory=list)
    details: dict[int, Mapping[str, Any]] = field(default_factory=dict)


def standing(given: Select[Any]) -> Sequence[Finding]:
    """Return the open findings of the tablets that ``given`` selects."""
    return db.session.scalars(select(Finding).where(Finding.device_id.in_(given), Finding.closed_at.is_(None))).all()


def write(change: Change, *, now: datetime) -> tuple[int, int]:
    """Write a change; returns how many findings it opened and closed. At most four statements."""
    opened = closed = 0
    if change.opened:
        rows = [
            {"d": device_id, "k": one.kind.value, "s": one.subject, "x": one.detail} for device_id, one in change.opened
        ]
        opened = _run(_OPEN, rows, now)
    if change.closed:
        closing = update(Finding).where(Finding.id.in_(id_set(one.id for one in change.closed)))
        closed = _rows(closing.where(Finding.closed_at.is_(None)).values(closed_at=now))
    if change.details:
        _run(_TELL, [{"i": finding_id, "x": detail} for finding_id, detail in change.details.items()], None)
    touched = {device_id for device_id, _ in change.opened} | {one.device_id for one in change.closed}
    if touched:
        _mark(touched)
    if touched or change.details:
        db.session.expire_all()
    return opened, closed


def _mark(device_ids: Collection[int]) -> None:
    """Have the tablets' rows say whether any finding is open."""
    has_any = exists().where(Finding.device_id == DeviceState.device_id, Finding.closed_at.is_(None))
    _rows(
        update(DeviceState)
        .where(DeviceState.device_id.in_(id_set(device_ids)), DeviceState.has_findings != has_any)
        .values(has_findings=has_any)
    )


def _run(statement: Mapping[str, str], rows: list[dict[str, Any]], now: datetime | None) -> int:
    told = {"rows": json.dumps(rows)} | ({"now": stored_instant(now)} if now is not None else {})
    result = db.session.execute(text(statement[db.session.get_bind().dialect.name]), told)
    return int(result.rowcount)  # type: ignore[attr-defined]


def _rows(query: Any) -> int:
    return int(db.session.execute(query.execution_options(synchronize_session=False)).rowcount)  # type: ignore[attr-defined]


def forget(*, older_than: timedelta, now: datetime, at_most: int = 5_000) -> int:
    """Remove findings closed longer ago than that, at most so many at once; returns how many. One statement."""
    old = select(Finding.id).where(Finding.closed_at < now - older_than).limit(at_most)
    return _rows(delete(Finding).where(Finding.id.in_(old)))
