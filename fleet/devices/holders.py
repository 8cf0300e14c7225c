"""Whose own a tablet is and was. It follows where tablets go; nobody writes it by hand.

Invariant: of one tablet at most one row is open (``until`` is None), and that is the pupil its row names. Who a pupil
was who has left is forgotten with the person (``schools.retention``), the row then names nobody.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, exists, insert, literal, or_, select, true, update
from sqlalchemy.orm import joinedload

from fleet.access import Permission, Principal
from fleet.db import among, carry_out, db, follow
from fleet.devices.models import Device, DeviceHolder
from fleet.schools.models import Person


def _follow_devices(ids: frozenset[int], now: datetime) -> None:
    """Close what is not true any more and open what is new; two statements however many tablets."""
    is_open = (among(DeviceHolder.device_id, ids), DeviceHolder.until.is_(None))
    still = exists().where(Device.id == DeviceHolder.device_id, Device.person_id == DeviceHolder.person_id)
    closing = update(DeviceHolder).where(*is_open, ~still).values(until=now)
    db.session.execute(closing.execution_options(synchronize_session=False))
    known = exists().where(DeviceHolder.device_id == Device.id, DeviceHolder.until.is_(None))
    since = literal(now, DeviceHolder.since.type)
    fresh = select(Device.id, Device.person_id, since).where(
        among(Device.id, ids), Device.person_id.is_not(None), ~known
    )
    db.session.execute(insert(DeviceHolder).from_select(["device_id", "person_id", "since"], fresh))


def follow_changes() -> None:
    """Have the history follow where tablets go; the application calls this once."""
    follow("device", _follow_devices)


def may_be_told(by: Principal, device: Device) -> ColumnElement[bool]:
    """Whether ``by``, who sees the tablet, may know of a row: whose it is now always, whose it was not always.

    A teacher has the tablet's pupil in class, and nothing to do with the pupils before; who looks after the tablet
    knows those of the schools whose tablets one looks after, not those of the school that it came from.
    """
    is_open: ColumnElement[bool] = DeviceHolder.until.is_(None)
    schools = by.school_ids(Permission.MANAGE_DEVICES)
    if schools is None:
        return true()
    if device.school_id not in schools:
        return is_open
    theirs = select(Person.id).where(or_(Person.school_id.is_(None), Person.school_id.in_(schools)))
    return or_(is_open, DeviceHolder.person_id.in_(theirs))


def listed(device: Device, *, by: Principal, limit: int = 50) -> Sequence[DeviceHolder]:
    """Return whose own a tablet is and was, with their names, newest first, as far as ``by`` may know."""
    query = select(DeviceHolder).where(DeviceHolder.device_id == device.id, may_be_told(by, device))
    query = query.options(joinedload(DeviceHolder.person))
    query = query.order_by(DeviceHolder.since.desc(), DeviceHolder.id.desc())
    return db.session.scalars(query.limit(limit)).all()


def forget(*, older_than: timedelta, now: datetime, at_most: int = 5_000) -> int:
    """Remove what ended longer ago than that, at most so many at once; returns how many. For a job."""
    old = select(DeviceHolder.id).where(DeviceHolder.until < now - older_than).limit(at_most)
    query = delete(DeviceHolder).where(DeviceHolder.id.in_(old))
    return carry_out(query)
