"""Android tablets follow the catalogue: what is known of apps there is closed or shown on all, whoever names it."""

from datetime import datetime

from sqlalchemy import select

from fleet.android.models import AgentClient
from fleet.apps.models import App
from fleet.db import among, db, follow, id_set, take_turn
from fleet.devices import states
from fleet.devices.models import DeviceState, Platform


def _follow_apps(ids: frozenset[int], _now: datetime) -> None:
    """Have tablets look anew; those for which nothing is different are not told to fetch anything."""
    is_ours = select(App.id).where(among(App.id, ids), App.platform == Platform.ANDROID).limit(1)
    if db.session.scalar(is_ours) is None:
        return
    take_turn("assignments")  # so that none comes in unseen
    query = select(AgentClient.device_id).join(DeviceState, DeviceState.device_id == AgentClient.device_id)
    device_ids = db.session.scalars(query.where(DeviceState.key_thumbprint == AgentClient.key_thumbprint)).all()
    if device_ids:
        states.lock(id_set(device_ids))
        states.have_fetched(device_ids)


def follow_changes() -> None:
    """Have tablets hear of what changed in the catalogue; the application calls this once."""
    follow("app", _follow_apps)
