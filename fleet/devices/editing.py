"""What people correct about a tablet by hand: its asset tag."""

from datetime import datetime

from sqlalchemy import select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import db, id_set, take_turn
from fleet.devices import states
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
    take_turn("asset tags")
    db.session.refresh(device, ["asset_tag"])
    if tag == device.asset_tag:
        return
    if tag is not None and _is_taken(tag, device):
        raise ConflictError(kind="asset tag", field="asset_tag")
    device.asset_tag = tag
    audit.record(by, "devices.tag-set", subject=f"device:{device.id}", now=now, serial=device.serial)
    db.session.flush()
    states.lock(id_set([device.id]))
    states.have_fetched([device.id])  # some are called after it


def _is_taken(tag: str, device: Device) -> bool:
    # The database finds what is alike but for letters beyond ASCII: it may know no case of those, or another one.
    alike = "".join((f"/{sign}" if sign in "/%_" else sign) if sign.isascii() else "%" for sign in tag)
    others = select(Device.asset_tag).where(Device.asset_tag.ilike(alike, escape="/"), Device.id != device.id)
    return any((other or "").casefold() == tag.casefold() for other in db.session.scalars(others))
