"""What people write about a tablet: a cracked glass, a charger that is missing. It is about the tablet, not the pupil.

The text stays out of audit and logs: somebody may have written a name all the same.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import db
from fleet.devices.models import Device, DeviceNote
from fleet.errors import InvalidError, NotFoundError

MAX_TEXT = 1_000


def listed(device: Device, *, by: Principal, limit: int = 50) -> Sequence[DeviceNote]:
    """Return a tablet's notes, newest first; none for those who do not manage it."""
    if not by.may(Permission.MANAGE_DEVICES, school_id=device.school_id):
        return ()
    query = select(DeviceNote).where(DeviceNote.device_id == device.id)
    return db.session.scalars(query.order_by(DeviceNote.id.desc()).limit(limit)).all()


def add(device: Device, text: str, *, by: Principal, now: datetime) -> DeviceNote:
    """Write a note.

    Raises:
        ForbiddenError: ``by`` may not manage tablets of the school.
        InvalidError: the text is empty, too long or has signs that cannot be shown.
    """
    require(by, Permission.MANAGE_DEVICES, school_id=device.school_id)
    told = text.replace("\r\n", "\n").strip()
    if not 1 <= len(told) <= MAX_TEXT or not told.replace("\n", "").isprintable():
        raise InvalidError(kind="note", field="text", expected=f"1 to {MAX_TEXT} printable characters")
    made = DeviceNote(device_id=device.id, text=told, written_by=by.name, written_at=now)
    db.session.add(made)
    db.session.flush()
    audit.record(by, "devices.note-added", subject=f"device:{device.id}", now=now, serial=device.serial)
    return made


def remove(device: Device, note_id: int, *, by: Principal, now: datetime) -> str:
    """Remove a note; returns its text, so that it can be written again.

    Raises:
        ForbiddenError: ``by`` may not manage tablets of the school.
        NotFoundError: the tablet has no such note.
    """
    require(by, Permission.MANAGE_DEVICES, school_id=device.school_id)
    found = db.session.get(DeviceNote, note_id)
    if found is None or found.device_id != device.id:
        raise NotFoundError(kind="note", name=str(note_id))
    text = found.text
    db.session.delete(found)
    audit.record(by, "devices.note-removed", subject=f"device:{device.id}", now=now, serial=device.serial)
    db.session.flush()
    return text
