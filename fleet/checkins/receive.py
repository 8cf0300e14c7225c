"""Taking reports: one transaction and a bounded number of statements for a batch of any size.

Invariants: a report is stored once, however often it comes in a row; nothing is answered before it is stored (the door
commits first); whose key a report was signed with is compared with the tablet's present key in the statement that
stores it, so a revoked key is worth nothing from that commit on. Findings are reviewed only where something they
depend on changed. What is kept of a tablet's words can be shown: no control characters, nothing that turns the
direction of what stands after it.
"""

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import delete, select, text, tuple_, update

from fleet.assignments import schedules
from fleet.assignments.schedules import stored_instant
from fleet.checkins import partitions, statements
from fleet.checkins.models import CheckIn
from fleet.compliance.fields import BATTERY_STEPS_PERCENT, CLOCK_STEPS_S
from fleet.db import carry_out, changed, db, id_set
from fleet.devices.models import DeviceState
from fleet.errors import FleetError
from fleet.schools.roster.reader import UNSHOWABLE

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # not where the backslash is itself one of the text
# Whether anything of a report, as JSON, may have to be cleaned: an escaped sign, or one of roster.reader.UNSHOWABLE.
_PERHAPS_ODD = re.compile(rb"\\[bfnrtu]|\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
_PENDING_COUNTED = 5  # polls without the desired profile are told apart up to here


class KeyRevokedError(FleetError):
    """The key is not the tablet's any more."""

    code = "revoked"


class ReplayError(FleetError):
    """The sequence was used before. Data: ``last_sequence``."""

    code = "replay"


class SequenceTooFarError(FleetError):
    """The sequence is too far above the last one. Data: ``last_sequence``."""

    code = "malformed"


class ReportConflictError(FleetError):
    """A report of this id was stored with another content."""

    code = "report-conflict"


class Report(Struct, frozen=True):
    """What a tablet told, in our words.

    Args:
        device_id: the tablet.
        key: thumbprint of the key the report was signed with.
        sequence: its rising number.
        report_id: names the report; the same one may come again.
        body_digest: hex SHA-256 of the content, tells a repeated report from another under the same id.
        applied: digest of the profile in force.
        facts: inventory as plain data: os_version, model, apps, storage_total_bytes, attributes, flags …
        failures: settings that could not be put into force, as {"key", "reason"}.
        battery_percent: charge.
        storage_free_bytes: free storage.
        clock_offset_s: server's clock minus the tablet's.
    """

    device_id: int
    key: str
    sequence: int
    report_id: str
    body_digest: str
    applied: str | None
    facts: Mapping[str, Any]
    failures: Sequence[Mapping[str, str]] = ()
    battery_percent: int | None = None
    storage_free_bytes: int | None = None
    clock_offset_s: int = 0


class Answer(Struct, frozen=True):
    """What the tablet is told: the version of what it shall fetch, and when its schedule moves on by itself."""

    device_id: int
    config_version: int
    next_switch_at: datetime | None = None  # when its schedule moves on by itself


def receive(batch: Sequence[Report], *, now: datetime) -> list[Answer | FleetError]:
    """Store a batch of reports; returns an answer or a refusal for each, in order.

    Refusals are values, so that one tablet's does not undo its neighbours'.
    """
    outcomes: list[Answer | FleetError | None] = [None] * len(batch)
    waiting = list(range(len(batch)))
    while waiting:  # two reports of one tablet cannot share a statement: the second goes into the next round
        first: dict[int, int] = {}
        for place in waiting:
            first.setdefault(batch[place].device_id, place)
        for place, outcome in _round({place: batch[place] for place in first.values()}, now).items():
            outcomes[place] = outcome
        waiting = [place for place in waiting if outcomes[place] is None]
    return [outcome for outcome in outcomes if outcome is not None]


def _round(reports: Mapping[int, Report], now: datetime) -> dict[int, Answer | FleetError]:
    stored = {row.device_id: row for row in _store(list(reports.values()), now)}
    stored |= {row.device_id: row for row in _advance(stored.values(), now)}
    _note_changes([report for report in reports.values() if report.device_id in stored], stored, now)
    outcomes: dict[int, Answer | FleetError] = {
        place: Answer(report.device_id, row.config_version, row.next_switch_at)
        for place, report in reports.items()
        if (row := stored.get(report.device_id)) is not None
    }
    refused = {place: report for place, report in reports.items() if report.device_id not in stored}
    return outcomes | _explain(refused) if refused else outcomes


def _store(reports: Sequence[Report], now: datetime) -> Sequence[Any]:
    rows = {
        report.device_id: {
            "d": report.device_id, "k": report.key, "q": report.sequence, "i": report.report_id,
            "b": report.body_digest, "a": report.applied, "bat": report.battery_percent,
            "sto": report.storage_free_bytes, "clk": report.clock_offset_s,
        }
        for report in reports
    }  # fmt: skip
    moment = stored_instant(now)
    told = {"rows": _json(list(rows.values())), "now": moment}
    if db.session.get_bind().dialect.name == "postgresql":
        return _rows(statements.RECEIVE_POSTGRESQL, told)
    stored = _rows(statements.RECEIVE_SQLITE, told)
    if stored:
        kept = _json([rows[row.device_id] for row in stored])
        db.session.execute(text(statements.LOG_SQLITE), {"rows": kept, "now": moment})
    return stored


def _rows(statement: str, told: Mapping[str, Any]) -> Sequence[Any]:
    return db.session.connection().execute(statements.giving_rows(statement), told).all()


def _advance(stored: Iterable[Any], now: datetime) -> Sequence[Any]:
    """Have rows whose schedule has moved on say what holds now: a job notes that too, but only once a minute.

    The tablet has switched by its own clock; what it reports shall be held against the same entry of its schedule.
    """
    due = [row for row in stored if row.next_switch_at is not None and row.next_switch_at <= now]
    if not due:
        return ()
    entries = schedules.load({row.schedule_digest for row in due})
    rows = [
        {
            "d": row.device_id, "s": row.schedule_digest,
            "p": schedules.entry_at(entries[row.schedule_digest], now)["profile"],
            "n": stored_instant(schedules.next_switch(entries[row.schedule_digest], now)),
        }
        for row in due
        if row.schedule_digest in entries
    ]  # fmt: skip
    statement = statements.ADVANCE[db.session.get_bind().dialect.name]
    return _rows(statement, {"rows": _json(rows), "now": stored_instant(now)})


def _json(value: Any) -> str:
    """Return ``value`` as JSON that PostgreSQL takes: it refuses U+0000, and with it everybody's reports."""
    written = msgspec.json.encode(value).decode()
    return _NUL.sub(r"\1\\ufffd", written) if r"\u0000" in written else written


def _note_changes(reports: Sequence[Report], stored: Mapping[int, Any], now: datetime) -> None:
    """Keep inventories that changed, and tell who follows reports which tablets are to be reviewed."""
    rows: list[dict[str, Any]] = []
    for report in reports:
        row = stored[report.device_id]
        content = msgspec.json.encode([report.facts, report.failures], order="sorted")
        facts_digest = hashlib.sha256(content).hexdigest()
        key = _review_key(report, row, facts_digest)
        if key != row.review_key:
            facts, failures = _showable([report.facts, report.failures], content)
            rows.append({"d": report.device_id, "f": facts, "g": facts_digest, "x": failures or None, "v": key})
    if rows:
        postgresql = db.session.get_bind().dialect.name == "postgresql"
        statement = statements.FACTS_POSTGRESQL if postgresql else statements.FACTS_SQLITE
        db.session.execute(text(statement), {"rows": _json(rows)})
        db.session.expire_all()
        changed("report", [row["d"] for row in rows], now=now)


def _showable(told: Any, content: bytes) -> Any:
    """Return what a tablet told with a mark in place of what no page, letter or file can show."""
    return _cleaned(told) if _PERHAPS_ODD.search(content) else told


def _cleaned(told: Any) -> Any:
    if isinstance(told, str):
        return UNSHOWABLE.sub("\ufffd", told)
    if isinstance(told, Mapping):
        return {_cleaned(name): _cleaned(value) for name, value in told.items()}
    return [_cleaned(one) for one in told] if isinstance(told, list | tuple) else told


def _review_key(report: Report, row: Any, facts_digest: str) -> str:
    """Return a digest of everything that findings depend on, coarse where only thresholds matter."""
    total = report.facts.get("storage_total_bytes") or 0
    free_percent = 100 * (report.storage_free_bytes or 0) // total if total else None
    clock = _step(CLOCK_STEPS_S, abs(report.clock_offset_s))
    battery = _step(BATTERY_STEPS_PERCENT, report.battery_percent) if report.battery_percent is not None else None
    pending = min(row.polls_pending, _PENDING_COUNTED)
    steps = f"{pending}/{free_percent}/{clock}/{battery}"
    told = f"{facts_digest}/{row.applied_digest}/{row.desired_digest}/{steps}"
    return hashlib.sha256(told.encode()).hexdigest()


def _step(steps: Sequence[int], value: int) -> int:
    """Return on which step a value stands: what is at a limit differs from what is above and what is below it."""
    return bisect_left(steps, value) + bisect_right(steps, value)


def _explain(refused: Mapping[int, Report]) -> dict[int, Answer | FleetError]:
    """Say why reports were not stored; the same report again is answered as before."""
    query = select(
        DeviceState.device_id,
        DeviceState.key_thumbprint,
        DeviceState.last_sequence,
        DeviceState.last_report_id,
        DeviceState.last_report_digest,
        DeviceState.config_version,
        DeviceState.next_switch_at,
    ).where(DeviceState.device_id.in_(id_set(report.device_id for report in refused.values())))
    known = {row.device_id: row for row in db.session.execute(query)}
    outcomes: dict[int, Answer | FleetError] = {}
    again = []
    for place, report in refused.items():
        row = known.get(report.device_id)
        if row is None or row.key_thumbprint != report.key:
            outcomes[place] = KeyRevokedError()
        elif report.sequence <= row.last_sequence:
            outcomes[place] = ReplayError(last_sequence=row.last_sequence)
        elif report.sequence - row.last_sequence > statements.MAX_STEP:
            outcomes[place] = SequenceTooFarError(last_sequence=row.last_sequence)
        elif report.body_digest != row.last_report_digest:
            outcomes[place] = ReportConflictError()
        else:
            again.append({"d": report.device_id, "q": report.sequence})
            outcomes[place] = Answer(report.device_id, row.config_version, row.next_switch_at)
    if again:
        statement = text(statements.AGAIN[db.session.get_bind().dialect.name])
        db.session.execute(statement, {"rows": _json(again)})
    return outcomes


def use_sequence(device_id: int, key: str, sequence: int) -> None:
    """Use up a tablet's sequence for something other than a report.

    Raises:
        KeyRevokedError: the key is not the tablet's any more.
        ReplayError: the sequence was used before.
        SequenceTooFarError: the sequence is too far above the last one.
    """
    query = (
        update(DeviceState)
        .where(
            DeviceState.device_id == device_id,
            DeviceState.key_thumbprint == key,
            DeviceState.last_sequence.between(sequence - statements.MAX_STEP, sequence - 1),
        )
        .values(last_sequence=sequence)
        .execution_options(synchronize_session=False)
    )
    if db.session.execute(query).rowcount:  # type: ignore[attr-defined]
        return
    row = db.session.execute(
        select(DeviceState.key_thumbprint, DeviceState.last_sequence).where(DeviceState.device_id == device_id)
    ).first()
    if row is None or row.key_thumbprint != key:
        raise KeyRevokedError
    refusal = ReplayError if sequence <= row.last_sequence else SequenceTooFarError
    raise refusal(last_sequence=row.last_sequence)


def forget(*, older_than: timedelta, now: datetime, at_most: int = 50_000) -> int:
    """Remove check-ins older than that, at most so many at once; returns how many. One statement.

    PostgreSQL drops whole days, up to a day later, and keeps the log until the transaction ends.
    """
    before = now - older_than
    if db.session.get_bind().dialect.name == "postgresql":
        return partitions.forget(before=before, at_most=at_most)
    key = (CheckIn.device_id, CheckIn.received_at, CheckIn.sequence)
    old = select(*key).where(CheckIn.received_at < before).limit(at_most)
    return carry_out(delete(CheckIn).where(tuple_(*key).in_(old)))
