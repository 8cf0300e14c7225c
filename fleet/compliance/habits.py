"""What a tablet is used to: on which of the last thirty school days it was heard from, and where.

Looked at every half hour, as a tablet's row knows only when it was heard last. A day begins a new bit; who is heard in
it sets that. Days on which a tablet was not expected say nothing of its habit and are left out: without school, with
its pupil away, in an incident, or when it has been silent for days. A second look changes nothing. A fixed number of
statements.
"""

import json
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select, text

from fleet.compliance import looking
from fleet.compliance.models import OF_SILENCE, DeviceHabit, Finding, FindingKind
from fleet.db import db, take_turn
from fleet.devices.models import Device, DeviceLife
from fleet.schools import absences

MOST_DAYS = 30
SAYS_SOMETHING = timedelta(days=3)  # a silence that lasts longer is no habit
_MASK = 2**MOST_DAYS - 1
_WRITE = {
    "postgresql": """
        INSERT INTO device_habit (device_id, counted_on, days, heard, heard_late, heard_away)
        SELECT r.d, r.o, r.n, r.h, r.l, r.a
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(d int, o date, n int, h int, l int, a int)
        WHERE true
        ON CONFLICT (device_id) DO UPDATE SET counted_on = excluded.counted_on, days = excluded.days,
            heard = excluded.heard, heard_late = excluded.heard_late, heard_away = excluded.heard_away
    """,
    "sqlite": """
        INSERT INTO device_habit (device_id, counted_on, days, heard, heard_late, heard_away)
        SELECT json_extract(value, '$.d'), json_extract(value, '$.o'), json_extract(value, '$.n'),
               json_extract(value, '$.h'), json_extract(value, '$.l'), json_extract(value, '$.a')
        FROM json_each(:rows) WHERE true
        ON CONFLICT (device_id) DO UPDATE SET counted_on = excluded.counted_on, days = excluded.days,
            heard = excluded.heard, heard_late = excluded.heard_late, heard_away = excluded.heard_away
    """,
}


def count(*, now: datetime, timezone: ZoneInfo) -> int:
    """Count the running local day; returns of how many tablets something is new.

    Args:
        now: the instant.
        timezone: the schools' local time.
    """
    db.session.flush()
    take_turn("habits")
    on = now.astimezone(timezone).date()
    week = looking.Week.load(timezone)
    begun = {
        place for place in week.calendars if (hours := week.of(place).hours_on(on)) is not None
        and now.astimezone(timezone).time() >= hours[0]
    }  # fmt: skip
    if not begun:
        return 0
    known = {one.device_id: one for one in db.session.scalars(select(DeviceHabit))}
    away = set(absences.days_away(on, on))
    excused = _excused(now)
    rows = []
    for row in looking.states_of(None, Device.life == DeviceLife.ENROLLED):
        place = row.school_id if row.school_id in week.calendars else None
        if place not in begun:
            continue
        told = known.get(row.id)
        heard, late, elsewhere = _heard(row, week, on)
        if not heard and (row.person_id in away or row.id in excused) and (told is None or told.counted_on != on):
            continue
        new = _counted(told, on, (heard, late, elsewhere))
        if told is None or new != (told.counted_on, told.days, told.heard, told.heard_late, told.heard_away):
            names = ("o", "n", "h", "l", "a")
            rows.append({"d": row.id} | dict(zip(names, (new[0].isoformat(), *new[1:]), strict=True)))
    if rows:
        statement = text(_WRITE[db.session.get_bind().dialect.name])
        db.session.execute(statement, {"rows": json.dumps(rows)})
        db.session.expire_all()
    return len(rows)


def _excused(now: datetime) -> set[int]:
    """Return the tablets whose quiet has been found for some days, or is explained; two statements."""
    silent = select(Finding.device_id).where(Finding.kind.in_(OF_SILENCE), Finding.closed_at.is_(None))
    silent = silent.where(or_(Finding.opened_at < now - SAYS_SOMETHING, Finding.kind == FindingKind.MISSING))
    return {*db.session.scalars(silent), *db.session.scalars(looking.inside())}


def _heard(row: Any, week: looking.Week, on: date) -> tuple[bool, bool, bool]:
    """Return whether a tablet was last heard on a local day in school hours, in the programme, outside both."""
    calendar = week.of(row.school_id)
    heard = late = elsewhere = False
    for moment in (row.last_seen_at, row.polled_at):
        if moment is None or moment.astimezone(calendar.timezone).date() != on:
            continue
        programme = looking.programme(week, row.school_id)
        if calendar.is_school_time(moment):
            heard = True
        elif programme is not None and programme.is_school_time(moment):
            late = True
        else:
            elsewhere = True
    return heard, late, elsewhere


def _counted(told: DeviceHabit | None, on: date, heard: Iterable[bool]) -> tuple[date, int, int, int, int]:
    """Return a habit with a day's bits: those of a new day beside the others, those of the same day added."""
    bits = [int(one) for one in heard]
    if told is None:
        return on, 1, bits[0], bits[1], bits[2]
    before = (told.heard, told.heard_late, told.heard_away)
    if told.counted_on == on:
        added = [old | bit for old, bit in zip(before, bits, strict=True)]
        return on, told.days, added[0], added[1], added[2]
    moved = [(old << 1 | bit) & _MASK for old, bit in zip(before, bits, strict=True)]
    return on, min(MOST_DAYS, told.days + 1), moved[0], moved[1], moved[2]
