"""Silent tablets: enrolled, and not heard from for longer than expected in school hours.

A tablet that lies in a bag over the summer is not silent; one that misses a whole school day is. Counted is school time
at the tablet's own school since it was last heard from, or since it enrolled. A second review changes nothing. The
first report after a silence ends it at once (:mod:`fleet.compliance.review`), so a tablet found silent is reviewed at
its next report even if that tells nothing new.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, or_, select, update

from fleet.compliance import ledger
from fleet.compliance.ledger import Change, Reviewed
from fleet.compliance.models import Finding, FindingKind
from fleet.compliance.rules import Found
from fleet.db import db, id_set
from fleet.devices import states
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment
from fleet.schools import calendar as calendars
from fleet.schools.calendar import Calendar

THRESHOLD = timedelta(hours=6)  # of school: about a school day


def is_silent(last_heard_at: datetime, calendar: Calendar, now: datetime, threshold: timedelta = THRESHOLD) -> bool:
    """Whether more school time than ``threshold`` has passed since a tablet was heard from."""
    return calendar.school_seconds_between(last_heard_at, now) > threshold.total_seconds()


def review(*, now: datetime, timezone: ZoneInfo, threshold: timedelta = THRESHOLD) -> Reviewed:
    """Open and close findings of silence; a fixed number of statements.

    Args:
        now: the instant.
        timezone: the schools' local time.
        threshold: how much school time may pass without a word.
    """
    db.session.flush()
    known = calendars.load(timezone)
    # The municipality's own calendar is for tablets without a school alone; those are always looked at.
    window = _window([known[place] for place in known if place is not None] or [known[None]], now, threshold)
    rows = _candidates(window)
    changing = _changing(_decide(rows, known, now, threshold))
    if not changing:
        return Reviewed(len(rows))
    states.lock(id_set(changing))  # a tablet may have spoken meanwhile: what holds now decides
    change = _decide(_candidates(window, among=changing), known, now, threshold)
    opened, closed = ledger.write(change, now=now)
    if change.opened:
        listening = update(DeviceState).where(DeviceState.device_id.in_(id_set(one for one, _ in change.opened)))
        db.session.execute(listening.values(review_key=None).execution_options(synchronize_session=False))
    return Reviewed(len(rows), opened, closed)


def _window(known: Collection[Calendar], now: datetime, threshold: timedelta) -> tuple[datetime, datetime]:
    """Return since when no tablet heard from can be silent at any school, and before when none can be anything else.

    So the query leaves out whoever neither falls silent nor comes back, be it most of the fleet over the summer.
    """
    seconds = int(threshold.total_seconds())
    latest = max(calendar.subtract_school_seconds(now, seconds) for calendar in set(known))
    earliest = min(calendar.subtract_school_seconds(now, seconds + 1) for calendar in set(known))
    return earliest, latest + timedelta(seconds=1)  # instants count by their whole second


def _candidates(window: tuple[datetime, datetime], *, among: Collection[int] | None = None) -> Sequence[Any]:
    """Return the enrolled tablets that may have fallen silent, or may be silent no more; one statement."""
    earliest, latest = window
    silent = and_(Finding.device_id == Device.id, Finding.kind == FindingKind.SILENT, Finding.closed_at.is_(None))
    enrolled = and_(Enrolment.device_id == Device.id, Enrolment.ended_at.is_(None))
    heard = (DeviceState.last_seen_at, Enrolment.enrolled_at)
    is_back = or_(*(moment >= earliest for moment in heard), and_(*(moment.is_(None) for moment in heard)))
    is_late = and_(*(or_(moment.is_(None), moment < latest) for moment in heard))
    query = (
        select(Device.id, Device.school_id, Device.created_at, Enrolment.enrolled_at, DeviceState.last_seen_at, Finding)
        .join(DeviceState, DeviceState.device_id == Device.id)
        .outerjoin(Enrolment, enrolled)
        .outerjoin(Finding, silent)
        .where(
            Device.life == DeviceLife.ENROLLED,
            or_(
                and_(Finding.id.is_not(None), is_back), and_(Finding.id.is_(None), is_late), Device.school_id.is_(None)
            ),
        )
    )
    return db.session.execute(query.where(Device.id.in_(id_set(among))) if among is not None else query).all()


def _decide(rows: Sequence[Any], known: Mapping[int | None, Calendar], now: datetime, threshold: timedelta) -> Change:
    change = Change()
    for row in rows:
        heard = [moment for moment in (row.last_seen_at, row.enrolled_at) if moment is not None]
        since = max(heard, default=row.created_at)
        calendar = known.get(row.school_id, known[None])
        silent = is_silent(since, calendar, now, threshold)
        if silent and row.Finding is None:
            change.opened.append((row.id, Found(FindingKind.SILENT, "", {"since": since.isoformat()})))
        elif not silent and row.Finding is not None:
            change.closed.append(row.Finding)
    return change


def _changing(change: Change) -> set[int]:
    return {device_id for device_id, _ in change.opened} | {finding.device_id for finding in change.closed}
