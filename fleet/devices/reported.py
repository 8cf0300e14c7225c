"""Which tablets said what of themselves: that they are not supervised, or that apps they shall have are not there.

What a tablet never told of counts neither way. Not here: what was found wrong (:mod:`fleet.compliance`).
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from fleet.db import db
from fleet.devices.models import Device, DeviceLife, DeviceState

_NONE = "{}"


def unsupervised() -> Select[Any]:
    """Select the ids of tablets in use that say they are not supervised."""
    return _in_use(DeviceState.facts["flags"]["supervised"].as_boolean().is_(False))


def lacking_apps(app_id: str | None = None) -> Select[Any]:
    """Select the ids of tablets in use that shall have apps which are not there yet.

    Args:
        app_id: only those without this one.
    """
    told = DeviceState.facts["app_states"]
    if app_id is not None:
        return _in_use(told[app_id].as_string().is_not(None))
    return _in_use(told.as_string().is_not(None), told.as_string() != _NONE)


def number(which: Select[Any]) -> int:
    """Return how many tablets are selected."""
    return db.session.scalar(select(func.count()).select_from(which.subquery())) or 0


def _in_use(*conditions: ColumnElement[bool]) -> Select[Any]:
    query = select(DeviceState.device_id).join(Device, Device.id == DeviceState.device_id)
    return query.where(Device.life == DeviceLife.ENROLLED, *conditions)
