"""Clients that call and have nothing to tell: for most there is nothing to do, and that is found for many at once.

Invariant: a client is quiet only if the full look (the channel's conversation) would find nothing to do or to note.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, or_, select

from fleet.db import among_texts, db
from fleet.devices.models import DeviceState
from fleet.mdm.models import OPEN, Client, Command

IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Call:
    """A client that calls: what it calls itself, and the identity that signed."""

    name: str
    thumbprint: str


def quiet(calls: Sequence[Call], *, now: datetime) -> list[int | None]:
    """Return for each call whose it is, where there is nothing to do for it; None where somebody has to look.

    One statement for any number.
    """
    state = DeviceState
    waits = exists().where(Command.device_id == Client.device_id, Command.state.in_(OPEN))
    query = (
        select(Client.name, state.key_thumbprint, Client.device_id)
        .join(state, state.device_id == Client.device_id)
        .where(
            among_texts(Client.name, [one.name for one in calls]),
            state.config_version == Client.followed_version,
            state.desired_digest.is_not_distinct_from(Client.followed_profile),
            or_(state.next_switch_at.is_(None), state.next_switch_at > now),
            Client.last_status == IDLE,
            Client.ask_at > now,
            or_(Client.renew_at.is_(None), Client.renew_at > now),
            ~waits,
        )
    )
    known = {(name, thumbprint): device_id for name, thumbprint, device_id in db.session.execute(query)}
    return [known.get((one.name, one.thumbprint)) for one in calls]
