"""Writing findings down: opening, closing, and what the tablets' rows say of them. A fixed number of statements.

Whoever calls holds the tablets' rows (:func:`fleet.devices.states.lock`), so that two reviews of a tablet follow each
other; the index on open findings is the last word. What somebody closed by hand does not open while it is mute. What
opened, closed, or matters more or less than before is told as ``finding`` (:func:`fleet.db.changed`).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, or_, select, text, update

from fleet.assignments.schedules import stored_instant
from fleet.compliance.models import Finding, FindingEvent, FindingWait
from fleet.compliance.rules import Found, Name
from fleet.db import carry_out, changed, db, id_set
from fleet.devices.models import Device, DeviceState

_OPEN = {
    "postgresql": """
        INSERT INTO finding (device_id, kind, subject, severity, detail, opened_at, is_mute)
        SELECT r.d, r.k, r.s, r.v, r.x, CAST(:now AS timestamptz), false
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(d int, k text, s text, v text, x jsonb)
        WHERE NOT EXISTS (SELECT 1 FROM finding AS m
                          WHERE m.is_mute AND m.device_id = r.d AND m.kind = r.k AND m.subject = r.s)
        ON CONFLICT DO NOTHING RETURNING id
    """,
    "sqlite": """
        INSERT INTO finding (device_id, kind, subject, severity, detail, opened_at, is_mute)
        SELECT json_extract(value, '$.d'), json_extract(value, '$.k'), json_extract(value, '$.s'),
               json_extract(value, '$.v'), json_extract(value, '$.x'), :now, 0
        FROM json_each(:rows)
        WHERE NOT EXISTS (SELECT 1 FROM finding AS m
                          WHERE m.is_mute = 1 AND m.device_id = json_extract(value, '$.d')
                            AND m.kind = json_extract(value, '$.k') AND m.subject = json_extract(value, '$.s'))
        ON CONFLICT DO NOTHING RETURNING id
    """,
}
_TELL = {
    "postgresql": """
        UPDATE finding SET detail = r.x, severity = r.v
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(i int, v text, x jsonb) WHERE finding.id = r.i
    """,
    "sqlite": """
        UPDATE finding SET detail = json_extract(r.value, '$.x'), severity = json_extract(r.value, '$.v')
        FROM json_each(:rows) AS r WHERE finding.id = json_extract(r.value, '$.i')
    """,
}
_NOTICE = {
    "postgresql": """
        INSERT INTO finding_wait (device_id, kind, subject, noticed_at)
        SELECT r.d, r.k, r.s, CAST(:now AS timestamptz)
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(d int, k text, s text) ON CONFLICT DO NOTHING
    """,
    "sqlite": """
        INSERT INTO finding_wait (device_id, kind, subject, noticed_at)
        SELECT json_extract(value, '$.d'), json_extract(value, '$.k'), json_extract(value, '$.s'), :now
        FROM json_each(:rows) WHERE true ON CONFLICT DO NOTHING
    """,
}
_NOTICE_NO_MORE = {
    "postgresql": """
        DELETE FROM finding_wait AS w USING jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(d int, k text, s text)
        WHERE w.device_id = r.d AND w.kind = r.k AND w.subject = r.s
    """,
    "sqlite": """
        DELETE FROM finding_wait WHERE (device_id, kind, subject) IN (
            SELECT json_extract(value, '$.d'), json_extract(value, '$.k'), json_extract(value, '$.s')
            FROM json_each(:rows))
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
    """What is to be written.

    Args:
        opened: findings to open, by tablet.
        closed: open findings to close.
        told: open findings that now say something else, by id.
        regraded: those of them that matter more or less than before.
        unmuted: findings closed by hand whose reason is over.
        noticed: what has been noticed while its grace runs, by tablet.
        unnoticed: what is not any more.
    """

    opened: list[tuple[int, Found]] = field(default_factory=list)
    closed: list[Finding] = field(default_factory=list)
    told: dict[int, Found] = field(default_factory=dict)
    regraded: list[int] = field(default_factory=list)
    unmuted: list[Finding] = field(default_factory=list)
    noticed: list[tuple[int, Name]] = field(default_factory=list)
    unnoticed: list[tuple[int, Name]] = field(default_factory=list)


def is_known() -> ColumnElement[bool]:
    """Whether a finding of a tablet is open or mute, or a grace of one runs; most tablets have none."""
    mine = Finding.device_id == Device.id
    standing_of = (exists().where(mine, is_so) for is_so in (Finding.closed_at.is_(None), Finding.is_mute))
    return or_(*standing_of, exists().where(FindingWait.device_id == Device.id))


def standing(given: Select[Any]) -> Sequence[Finding]:
    """Return the findings of the tablets that ``given`` selects that are open, or mute."""
    return db.session.scalars(select(Finding).where(Finding.device_id.in_(given), Finding.stands())).all()


def noticed(given: Select[Any]) -> Sequence[FindingWait]:
    """Return what has been noticed of the tablets that ``given`` selects, while its grace runs."""
    return db.session.scalars(select(FindingWait).where(FindingWait.device_id.in_(given))).all()


def write(change: Change, *, now: datetime) -> tuple[int, int]:
    """Write a change; returns how many findings it opened and closed. At most seven statements."""
    opened = _open(change.opened, now) if change.opened else []
    closed = _close(change.closed, now) if change.closed else []
    if change.told:
        _run(_TELL, [{"i": i, "v": one.severity, "x": one.detail} for i, one in change.told.items()], None)
    if change.unmuted:
        carry_out(update(Finding).where(Finding.id.in_(id_set(one.id for one in change.unmuted))).values(is_mute=False))
    if change.noticed:
        _run(_NOTICE, [{"d": device_id, "k": kind, "s": about} for device_id, (kind, about) in change.noticed], now)
    if change.unnoticed:
        gone = [{"d": device_id, "k": kind, "s": about} for device_id, (kind, about) in change.unnoticed]
        _run(_NOTICE_NO_MORE, gone, None)
    touched = {device_id for device_id, _ in change.opened} | {one.device_id for one in change.closed}
    if touched:
        mark(touched)
    if opened or closed or change.regraded:
        changed("finding", [*opened, *closed, *change.regraded], now=now)
    if touched or change.told or change.unmuted or change.noticed or change.unnoticed:
        db.session.expire_all()
    return len(opened), len(closed)


def _open(opened: Sequence[tuple[int, Found]], now: datetime) -> list[int]:
    rows = [
        {"d": device_id, "k": one.kind, "s": one.subject, "v": one.severity, "x": one.detail}
        for device_id, one in opened
    ]
    return [row.id for row in _run(_OPEN, rows, now)]


def _close(closing: Collection[Finding], now: datetime) -> list[int]:
    query = update(Finding).where(Finding.id.in_(id_set(one.id for one in closing)), Finding.closed_at.is_(None))
    query = query.values(closed_at=now).returning(Finding.id).execution_options(synchronize_session=False)
    return list(db.session.scalars(query))


def mark(device_ids: Collection[int]) -> None:
    """Have the tablets' rows say whether any finding is open; one statement."""
    has_any = exists().where(Finding.device_id == DeviceState.device_id, Finding.closed_at.is_(None))
    carry_out(
        update(DeviceState)
        .where(DeviceState.device_id.in_(id_set(device_ids)), DeviceState.has_findings != has_any)
        .values(has_findings=has_any)
    )


def _run(statement: Mapping[str, str], rows: list[dict[str, Any]], now: datetime | None) -> Any:
    told = {"rows": json.dumps(rows)} | ({"now": stored_instant(now)} if now is not None else {})
    return db.session.execute(text(statement[db.session.get_bind().dialect.name]), told)


def forget(*, older_than: timedelta, now: datetime, at_most: int = 5_000) -> int:
    """Remove findings closed longer ago than that with what was done about them, at most so many at once.

    Those that are mute stay: they would open again. Returns how many; three statements.
    """
    is_old = (Finding.closed_at < now - older_than, ~Finding.is_mute)
    old = list(db.session.scalars(select(Finding.id).where(*is_old).limit(at_most)))
    if not old:
        return 0
    carry_out(delete(FindingEvent).where(FindingEvent.finding_id.in_(id_set(old))))
    return carry_out(delete(Finding).where(Finding.id.in_(id_set(old))))
