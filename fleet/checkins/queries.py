"""Reading the log of check-ins."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from fleet.checkins.models import CheckIn
from fleet.db import db
from fleet.devices.models import Device


def latest(device: Device, *, limit: int, since: datetime, before: datetime) -> Sequence[CheckIn]:
    """Return a tablet's newest check-ins between two instants, newest first, to whoever was given the tablet.

    With both ends told PostgreSQL leaves out days to come and the default partition, so that it can go from day to day,
    the newest first, and stop where there are enough.
    """
    of_tablet = (CheckIn.device_id == device.id, CheckIn.received_at >= since, CheckIn.received_at < before)
    newest = (CheckIn.received_at.desc(), CheckIn.sequence.desc())  # the order of the key
    return db.session.scalars(select(CheckIn).where(*of_tablet).order_by(*newest).limit(limit)).all()
