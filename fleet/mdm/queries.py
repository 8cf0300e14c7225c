"""How clients stand, in figures."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select

from fleet.checkup.checks import Check, fault, ok
from fleet.db import db
from fleet.devices.models import DeviceState
from fleet.mdm.models import OPEN, Client, Command


@dataclass(frozen=True, slots=True)
class Figures:
    """Clients in figures.

    Args:
        clients: that are enrolled and can be rung, or will be.
        reachable: whose enrolment is complete.
        dead: whose address the push service knows no more.
        other_topic: that are bound to another push certificate than the present one: they hear nothing.
        behind: that have not followed the last change yet.
        waiting: commands that wait.
    """

    clients: int
    reachable: int
    dead: int
    other_topic: int
    behind: int
    waiting: int


def figures(topic: str | None) -> Figures:
    """Return how clients stand; two statements.

    Args:
        topic: of the present push certificate.
    """

    def number(condition: object) -> object:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)  # type: ignore[arg-type]

    lags = DeviceState.config_version.is_distinct_from(Client.followed_version)
    query = (
        select(
            func.count(),
            number(Client.reachable_at.is_not(None)),
            number(Client.push_dead_at.is_not(None)),
            number(Client.topic.is_distinct_from(topic)),
            number(lags),
        )  # type: ignore[call-overload]
        .select_from(Client)
        .join(DeviceState, DeviceState.device_id == Client.device_id)
        .where(DeviceState.key_thumbprint.is_not(None))
    )
    row: tuple[Any, ...] = tuple(db.session.execute(query).one())
    waiting = db.session.scalar(select(func.count()).select_from(Command).where(Command.state.in_(OPEN))) or 0
    return Figures(*(*row, waiting))


def examine(topic: str | None) -> Check:
    """Return whether the iPads that are enrolled can be woken; two statements.

    Args:
        topic: of the present push certificate; None where there is none.
    """
    name, found = "push", figures(topic)
    if not found.clients:
        return ok(name, "no iPads are enrolled")
    if topic is None:
        advice = "bring the push certificate back from the backup; another one's topic would not reach them"
        return fault(name, f"{found.clients} iPads are enrolled, and there is no push certificate", advice)
    if found.other_topic:
        told = f"{found.other_topic} of {found.clients} iPads are bound to another push certificate and hear nothing"
        return fault(name, told, "bring that certificate back, or enrol them anew")
    return ok(name, f"{found.clients} iPads are enrolled, {found.dead} of them cannot be rung at present")
