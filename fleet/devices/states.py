"""The hot rows' one order: who writes many of them takes them by rising number first.

Check-ins arrive in any order while somebody assigns a profile to a whole school. Both write many rows in one
transaction; as both take them in the same order, one waits for the other and neither is given up for a deadlock.
"""

from typing import Any

from sqlalchemy import Select, func, select

from fleet.db import db
from fleet.devices.models import DeviceState


def lock(device_ids: Select[Any]) -> None:
    """Take the rows of these tablets until the running transaction ends. SQLite's writing transaction is alone anyway.

    Args:
        device_ids: selects tablets' ids.
    """
    if db.session.get_bind().dialect.name == "postgresql":
        query = select(DeviceState.device_id).where(DeviceState.device_id.in_(device_ids))
        taken = query.order_by(DeviceState.device_id).with_for_update(key_share=True).subquery()
        db.session.execute(select(func.count()).select_from(taken))
