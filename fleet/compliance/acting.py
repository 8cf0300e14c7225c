"""What people do about findings: acknowledge, let sleep until a school day, close by hand, open again.

Every kind of finding is acted on alike, those of silence too. Whoever acts has ANSWER_FINDINGS at the tablets' school;
a finding that one may not see is not found. Acting tells ``finding`` (:func:`fleet.db.changed`). Each writes a fixed
number of statements, however many findings are meant.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select, update
from sqlalchemy.orm import contains_eager

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.compliance import ledger
from fleet.compliance.models import Finding, FindingAct, FindingEvent
from fleet.db import carry_out, changed, db, id_set
from fleet.devices import queries as devices
from fleet.devices import states
from fleet.devices.models import Device
from fleet.errors import ConflictError, InvalidError, NotFoundError
from fleet.schools import calendar as calendars
from fleet.schools.calendar import Calendar
from fleet.schools.roster.reader import UNSHOWABLE

MAX_NOTE = 500
MAX_SLEEP = timedelta(days=200)


class SnoozeDayError(InvalidError):
    """A finding cannot sleep until that day.

    Data: ``on``, ``reason`` (past, no-school-day, far), ``school`` its name.
    """

    code = "snooze-day"


class NoteTooLongError(InvalidError):
    """A note is too long. Data: ``length`` and ``most``."""

    code = "note-too-long"


class FindingOverError(ConflictError):
    """The finding cannot be opened again: its reason is over, or nobody closed it by hand. Data: ``name``."""

    code = "finding-over"


def acknowledge(ids: Collection[int], note: str | None, *, by: Principal, now: datetime) -> int:
    """Note that somebody knows of open findings and sees to them; returns how many that is news of.

    Args:
        ids: which findings; those that are closed are passed over.
        note: what is done about them, without anything about a pupil.
        by: who acts.
        now: the instant.

    Raises:
        NotFoundError: there is no such finding, or ``by`` may not see it.
        ForbiddenError: ``by`` may not answer findings at a tablet's school.
        NoteTooLongError: the note is too long.
    """
    kept = _note(note)
    mine = [one for one in _found(ids, by=by) if one.closed_at is None]
    told = [one for one in mine if one.acknowledged_at is None or one.snoozed_until is not None or kept is not None]
    values = {"acknowledged_at": now, "acknowledged_by": by.name, "snoozed_until": None}
    return _act(told, FindingAct.ACKNOWLEDGED, values, {"note": kept}, by=by, now=now)


def snooze(ids: Collection[int], until_on: date, *, by: Principal, now: datetime, timezone: ZoneInfo) -> int:
    """Let open findings sleep until school begins on a day at their tablets' schools; returns how many.

    Args:
        ids: which findings; those that are closed are passed over.
        until_on: the day, one of school at each of the schools.
        by: who acts.
        now: the instant.
        timezone: the schools' local time.

    Raises:
        NotFoundError: there is no such finding, or ``by`` may not see it.
        ForbiddenError: ``by`` may not answer findings at a tablet's school.
        SnoozeDayError: the day is none of school somewhere, is over, or is too far away.
    """
    mine = [one for one in _found(ids, by=by) if one.closed_at is None]
    known = calendars.load(timezone)
    until: dict[datetime, list[Finding]] = {}
    for one in mine:
        until.setdefault(_morning(one.device, known, until_on, now), []).append(one)
    count = 0
    for moment, those in until.items():  # one instant for each beginning of school that there is
        count += _act(those, FindingAct.SNOOZED, {"snoozed_until": moment}, {"until": moment}, by=by, now=now)
    return count


def _morning(device: Device, known: Mapping[int | None, Calendar], on: date, now: datetime) -> datetime:
    calendar = known.get(device.school_id, known[None])
    hours = calendar.hours_on(on)
    school = device.school.name if device.school is not None else None
    if hours is None:
        raise SnoozeDayError(on=on.isoformat(), reason="no-school-day", school=school)
    moment = datetime.combine(on, hours[0], tzinfo=calendar.timezone)
    if moment <= now or moment > now + MAX_SLEEP:
        raise SnoozeDayError(on=on.isoformat(), reason="past" if moment <= now else "far", school=school)
    return moment


def wake(ids: Collection[int], *, by: Principal, now: datetime) -> int:
    """Have findings that sleep or are acknowledged ask for a look again; returns how many.

    Raises:
        NotFoundError: there is no such finding, or ``by`` may not see it.
        ForbiddenError: ``by`` may not answer findings at a tablet's school.
    """
    mine = [
        one
        for one in _found(ids, by=by)
        if one.closed_at is None and (one.acknowledged_at is not None or one.snoozed_until is not None)
    ]
    values = {"acknowledged_at": None, "acknowledged_by": None, "snoozed_until": None}
    return _act(mine, FindingAct.WOKEN, values, {}, by=by, now=now)


def close(ids: Collection[int], note: str | None, *, by: Principal, now: datetime) -> int:
    """Close findings by hand: they do not open again before their reason has been over; returns how many.

    Raises:
        NotFoundError: there is no such finding, or ``by`` may not see it.
        ForbiddenError: ``by`` may not answer findings at a tablet's school.
        NoteTooLongError: the note is too long.
    """
    kept = _note(note)
    mine = [one for one in _found(ids, by=by) if one.closed_at is None]
    values = {"closed_at": now, "closed_by": by.name, "is_mute": True}
    return _act(mine, FindingAct.CLOSED, values, {"note": kept}, by=by, now=now)


def reopen(finding_id: int, *, by: Principal, now: datetime) -> None:
    """Open a finding again that was closed by hand, while its reason stays.

    Raises:
        NotFoundError: there is no such finding, or ``by`` may not see it.
        ForbiddenError: ``by`` may not answer findings at the tablet's school.
        FindingOverError: its reason is over, or nobody closed it by hand.
    """
    found = _found([finding_id], by=by)[0]
    if not found.is_mute:
        raise FindingOverError(name=str(finding_id))
    values = {
        "closed_at": None, "closed_by": None, "is_mute": False, "acknowledged_at": None, "acknowledged_by": None,
        "snoozed_until": None,
    }  # fmt: skip
    _act([found], FindingAct.REOPENED, values, {}, by=by, now=now)


def events(ids: Collection[int], *, by: Principal) -> Sequence[FindingEvent]:
    """Return what was done about findings, the newest first; those of tablets that ``by`` may not see are left out."""
    visible = select(Finding.id).join(Device, Device.id == Finding.device_id)
    visible = visible.where(Finding.id.in_(id_set(ids)), devices.may_see(by))
    query = select(FindingEvent).where(FindingEvent.finding_id.in_(visible))
    return db.session.scalars(query.order_by(FindingEvent.at.desc(), FindingEvent.id.desc())).all()


def _note(told: str | None) -> str | None:
    kept = UNSHOWABLE.sub("", " ".join((told or "").split())).strip() or None
    if kept is not None and len(kept) > MAX_NOTE:
        raise NoteTooLongError(length=len(kept), most=MAX_NOTE)
    return kept


def _found(ids: Collection[int], *, by: Principal) -> Sequence[Finding]:
    """Return findings with their tablets, which stay as they are until the transaction ends.

    Raises:
        NotFoundError: there is none of an id, or ``by`` may not see it.
        ForbiddenError: ``by`` may not answer findings at a tablet's school.
    """
    wanted = set(ids)
    states.lock(select(Finding.device_id).where(Finding.id.in_(id_set(wanted))))
    own = contains_eager(Finding.device)
    query = select(Finding).join(Finding.device).where(Finding.id.in_(id_set(wanted)), devices.may_see(by))
    query = query.options(own, own.joinedload(Device.school)).execution_options(populate_existing=True)
    found = db.session.scalars(query.order_by(Finding.id)).all()
    missing = wanted - {one.id for one in found}
    if missing:
        raise NotFoundError(kind="finding", name=str(min(missing)))
    for school_id in {one.device.school_id for one in found}:
        require(by, Permission.ANSWER_FINDINGS, school_id=school_id)
    return found


def _act(
    mine: Collection[Finding], act: FindingAct, values: Mapping[str, Any], event: Mapping[str, Any], *,
    by: Principal, now: datetime,
) -> int:  # fmt: skip
    """Change findings, keep who did so, and tell it."""
    if not mine:
        return 0
    ids, device_ids = [one.id for one in mine], {one.device_id for one in mine}
    change = update(Finding).where(Finding.id.in_(id_set(ids))).values(**values)
    carry_out(change)
    row = {"act": act, "at": now, "by": by.name, "note": None, "until": None, **event}
    db.session.execute(insert(FindingEvent), [{**row, "finding_id": one} for one in ids])
    if act in {FindingAct.CLOSED, FindingAct.REOPENED}:
        ledger.mark(device_ids)
    db.session.expire_all()
    one = ids[0] if len(ids) == 1 else None
    subject = f"finding:{one}" if one is not None else "findings"
    audit.record(by, f"findings.{act}", subject=subject, now=now, count=len(ids))
    changed("finding", ids, now=now)
    return len(ids)
