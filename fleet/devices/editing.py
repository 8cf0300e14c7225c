"""What people correct about a tablet by hand: its asset tag."""

from datetime import datetime

from sqlalchemy import func, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import db
from fleet.devices.models import Device
from fleet.errors import ConflictError, InvalidError

MAX_TAG = 64


def set_asset_tag(device: Device, told: str, *, by: Principal, now: datetime) -> None:
    """Give a tablet another asset tag, or with an empty text none. The same again changes nothing.

    Raises:
        ForbiddenError: ``by`` may not manage tablets of the school.
        InvalidError: too long, or has signs that cannot be shown.
        ConflictError: another tablet has it. Data: ``kind`` is ``asset tag``.
    """
    require(by, Permission.MANAGE_DEVICES, school_id=device.school_id)
    tag = " ".join(told.split()) or None
    if tag is not None and (len(tag) > MAX_TAG or not tag.isprintable()):
        raise InvalidError(kind="asset tag", field="asset_tag", expected=f"at most {MAX_TAG} printable characters")
    if tag == device.asset_tag:
        return
    if tag is not None:
        others = select(Device.id).where(func.upper(Device.asset_tag) == tag.upper(), Device.id != device.id)
        if db.session.scalar(others.limit(1)) is not None:
            raise ConflictError(kind="asset tag", field="asset_tag")
    device.asset_tag = tag
    audit.record(by, "devices.tag-set", subject=f"device:{device.id}", now=now, serial=device.serial)
    db.session.flush()
