"""How the open agents of Android tablets stand, in figures, and which tablets have one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from fleet.android.models import AgentClient
from fleet.db import db
from fleet.devices.models import Device, DeviceLife, DeviceState


@dataclass(frozen=True, slots=True)
class Figures:
    """Agents in figures.

    Args:
        agents: tablets that are enrolled with it.
        coming: that have not used the address of their own yet.
        moving: that are to move to a newer address, and have not yet.
        not_owner: whose agent does not own the tablet, so that it can enforce next to nothing.
        behind: that have not fetched the last change yet.
        versions: how many have which version of the agent, by version; empty where they did not say.
    """

    agents: int
    coming: int
    moving: int
    not_owner: int
    behind: int
    versions: Mapping[str, int]

    def older_than(self, version: str) -> int:
        """Return how many have an older agent than this version."""
        wanted = _parts(version)
        return sum(count for told, count in self.versions.items() if told and _parts(told) < wanted)


def _parts(version: str) -> tuple[int, ...]:
    """Return a version in numbers: what stands between its digits does not count."""
    return tuple(int(one) for one in re.findall(r"\d{1,9}", version))


def figures() -> Figures:
    """Return how agents stand; one statement."""

    def number(condition: ColumnElement[bool]) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    client, state = AgentClient, DeviceState
    version = func.coalesce(state.facts["agent_version"].as_string(), "")
    is_used = Device.life != DeviceLife.PENDING  # what such a one is given has no version
    query = (
        select(
            version.label("version"),
            func.count().label("agents"),
            number(client.seen_at.is_(None) & client.former_digest.is_(None)).label("coming"),
            number(client.former_digest.is_not(None)).label("moving"),
            number(state.facts["flags"]["device_owner"].as_boolean().is_(False)).label("not_owner"),
            number(is_used & state.config_version.is_distinct_from(client.served_version)).label("behind"),
        )
        .select_from(client)
        .join(state, state.device_id == client.device_id)
        .join(Device, Device.id == client.device_id)
        .where(state.key_thumbprint == client.key_thumbprint)
        .group_by(version)
    )
    rows = db.session.execute(query).all()
    names = ("agents", "coming", "moving", "not_owner", "behind")
    return Figures(
        **{name: sum(int(getattr(row, name)) for row in rows) for name in names},
        versions={row.version: int(row.agents) for row in sorted(rows, key=lambda one: _parts(one.version))},
    )


def with_agent() -> Sequence[Device]:
    """Return the tablets that are enrolled with it, by serial; one statement."""
    query = (
        select(Device)
        .join(AgentClient, AgentClient.device_id == Device.id)
        .join(DeviceState, DeviceState.device_id == Device.id)
        .where(DeviceState.key_thumbprint == AgentClient.key_thumbprint)
    )
    return db.session.scalars(query.order_by(Device.serial)).all()
