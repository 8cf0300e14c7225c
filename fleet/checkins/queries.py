"""Reading the log of check-ins."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from fleet.checkins.models import CheckIn
from fleet.db import db
from fleet.devices.models import Device


def latest(device: Device, *, limit: int, before: datetime | None = None) -> Sequence[CheckIn]:
    """Return a tablet's newest check-ins (before an instant), newest first, to whoever was given the tablet."""
    query = select(CheckIn).where(CheckIn.device_id == device.id).order_by(CheckIn.sequence.desc())
    if before is not None:
        query = query.where(CheckIn.received_at < before)
    return db.session.scalars(query.limit(limit)).all()
