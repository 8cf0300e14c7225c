"""What has happened to a tablet, a part at a time: enrolments, pupils, notes and what people did with it.

Each part is one statement and gives the newest first, before an instant. What people did, and who, is for those who
manage the tablet.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload

from fleet.access import Permission, Principal
from fleet.audit import AuditEntry
from fleet.db import db
from fleet.devices.holders import may_be_told
from fleet.devices.models import Device, DeviceHolder, DeviceNote, Enrolment


def enrolments(device: Device, *, before: datetime, limit: int) -> Sequence[Enrolment]:
    """Return the enrolments that began or ended before an instant."""
    query = select(Enrolment).where(
        Enrolment.device_id == device.id, or_(Enrolment.enrolled_at < before, Enrolment.ended_at < before)
    )
    return db.session.scalars(query.order_by(Enrolment.id.desc()).limit(limit)).all()


def holders(device: Device, *, by: Principal, before: datetime, limit: int) -> Sequence[DeviceHolder]:
    """Return whose own the tablet became or ceased to be before an instant, with their names, as far as may be told."""
    query = select(DeviceHolder).where(
        DeviceHolder.device_id == device.id,
        or_(DeviceHolder.since < before, DeviceHolder.until < before),
        may_be_told(by, device),
    )
    query = query.options(joinedload(DeviceHolder.person)).order_by(DeviceHolder.since.desc())
    return db.session.scalars(query.limit(limit)).all()


def notes(device: Device, *, by: Principal, before: datetime, limit: int) -> Sequence[DeviceNote]:
    """Return the notes that were written before an instant; none for who does not manage the tablet."""
    if not by.may(Permission.MANAGE_DEVICES, school_id=device.school_id):
        return ()
    query = select(DeviceNote).where(DeviceNote.device_id == device.id, DeviceNote.written_at < before)
    return db.session.scalars(query.order_by(DeviceNote.id.desc()).limit(limit)).all()


def deeds(device: Device, *, by: Principal, before: datetime, limit: int) -> Sequence[AuditEntry]:
    """Return what people did with the tablet before an instant; nothing for who does not manage it."""
    if not by.may(Permission.MANAGE_DEVICES, school_id=device.school_id):
        return ()
    query = select(AuditEntry).where(AuditEntry.subject == f"device:{device.id}", AuditEntry.at < before)
    return db.session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)).all()
