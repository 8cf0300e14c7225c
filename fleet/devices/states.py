"""The hot rows' one order: who writes many of them takes them by rising number first.

Check-ins arrive in any order while somebody assigns a profile to a whole school. Both write many rows in one
transaction; as both take them in the same order, one waits for the other and neither is given up for a deadlock.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm.util import identity_key

from fleet import outbox
from fleet.db import db, id_set
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


def raise_version(device_ids: Collection[int]) -> None:
    """Have tablets fetch their configuration anew; the caller holds their rows."""
    db.session.execute(
        update(DeviceState)
        .where(DeviceState.device_id.in_(id_set(device_ids)))
        .values(config_version=DeviceState.config_version + 1)
        .execution_options(synchronize_session=False)
    )
    for device_id in device_ids:
        known = db.session.identity_map.get(identity_key(DeviceState, device_id))
        if known is not None:
            db.session.expire(known, ["config_version"])


def have_fetched(device_ids: Collection[int]) -> None:
    """Have tablets fetch their configuration anew, at once where they wait; the caller holds their rows."""
    raise_version(device_ids)
    outbox.wake(device_ids)
