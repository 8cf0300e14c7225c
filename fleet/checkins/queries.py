"""Reading the log of check-ins."""

from collections.abc import Sequence

from sqlalchemy import select

from fleet.checkins.models import CheckIn
from fleet.db import db
from fleet.devices.models import Device


def latest(device: Device, *, limit: int) -> Sequence[CheckIn]:
    """Return a tablet's newest check-ins, newest first. Whoever was given the tablet may read them."""
    query = select(CheckIn).where(CheckIn.device_id == device.id).order_by(CheckIn.sequence.desc())
    return db.session.scalars(query.limit(limit)).all()
