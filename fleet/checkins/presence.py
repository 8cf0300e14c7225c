"""When a tablet last asked, when it was told to ask next, and whether from its school: set-based, some seconds late.

Invariants: two statements for any number of polls; rows are taken by rising number, and the newest poll of a tablet
holds, whichever server writes it last; an address is looked at and never stored. Who follows ``presence`` hears of
tablets that were away: not yet seen on this local day, silent for longer than they were told to be, or elsewhere.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import select, text

from fleet.assignments.schedules import stored_instant
from fleet.checkins import statements
from fleet.db import changed, db, id_set
from fleet.devices.models import Device, DevicePresence
from fleet.schools import networks
from fleet.schools.models import School

WRITTEN_EVERY = timedelta(seconds=60)
AWAY_AFTER = timedelta(seconds=60)
_CLOCKS_APART = timedelta(seconds=10)  # by more, two servers' clocks do not agree on which poll is the newest


class Poll(Struct, frozen=True):
    """A tablet asked.

    Args:
        device_id: the tablet.
        polled_at: when.
        due_at: when it was told to ask next, or until when it is held.
        waits: whether it is held, so that it hears of a change at once.
        address: where from, None where that is not known.
    """

    device_id: int
    polled_at: datetime
    due_at: datetime
    waits: bool
    address: str | None = None

    def __repr__(self) -> str:
        """Tell no address."""
        return f"Poll({self.device_id}, {self.polled_at})"


def is_worth_writing(poll: Poll, written: Poll | None, now: datetime) -> bool:
    """Whether a poll says something that the row does not: most do not, and a row is written once a minute.

    Args:
        poll: the newest one.
        written: the one that was written last, None where none was.
        now: the instant.
    """
    return (
        written is None
        or abs(now - written.polled_at) > WRITTEN_EVERY  # also of a clock that was set back
        or now > written.due_at
        or (poll.waits, poll.address) != (written.waits, written.address)
    )


def ranges() -> dict[int, networks.Ranges]:
    """Return the networks of the schools that have told theirs; one statement."""
    query = select(School.id, School.networks).where(School.networks.is_not(None), School.ended_at.is_(None))
    return {school_id: networks.read(told) for school_id, told in db.session.execute(query) if told}


def note(polls: Sequence[Poll], *, ranges_of: Mapping[int, networks.Ranges], timezone: ZoneInfo, now: datetime) -> None:
    """Write polls, at most one of each tablet.

    Args:
        polls: what was asked.
        ranges_of: schools' networks.
        timezone: of the local day.
        now: the instant.
    """
    query = (
        select(
            Device.id, Device.school_id, DevicePresence.polled_at, DevicePresence.due_at, DevicePresence.is_at_school
        )
        .outerjoin(DevicePresence, DevicePresence.device_id == Device.id)
        .where(Device.id.in_(id_set(poll.device_id for poll in polls)))
    )
    known = {row.id: row for row in db.session.execute(query)}
    rows, back = [], []
    for poll in sorted(polls, key=lambda poll: poll.device_id):
        before = known.get(poll.device_id)
        if before is None:
            continue
        is_at_school = networks.is_inside(poll.address, ranges_of.get(before.school_id, ()))
        rows.append(
            {
                "d": poll.device_id, "p": stored_instant(poll.polled_at), "u": stored_instant(poll.due_at),
                "w": poll.waits, "s": is_at_school,
            }
        )  # fmt: skip
        if (
            before.polled_at is None
            or poll.polled_at - before.due_at > AWAY_AFTER
            or poll.polled_at.astimezone(timezone).date() != before.polled_at.astimezone(timezone).date()
            or is_at_school is not before.is_at_school
        ):
            back.append(poll.device_id)
    if not rows:
        return
    statement = text(statements.PRESENCE[db.session.get_bind().dialect.name])
    db.session.execute(statement, {"rows": json.dumps(rows), "latest": stored_instant(now + _CLOCKS_APART)})
    db.session.expire_all()
    if back:
        changed("presence", back, now=now)
