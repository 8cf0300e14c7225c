"""Leases: layers on named tablets for a while, above all assignments.

Invariant: of one tablet no two leases overlap, so that there are never two locks on top of each other. Whoever grants
or moves one holds the turn ``assignments`` and has decided before which of two that meet goes on; here only rows move.
:func:`fleet.assignments.materialise.settle` then works out what the tablets shall have.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, insert, select, update

from fleet.assignments.models import Lease, LeasedTablet
from fleet.assignments.timeline import Timed
from fleet.db import db, id_set, read_again
from profiles.layering import Layer, Level


@dataclass(frozen=True, slots=True)
class Held:
    """A tablet under a lease, from ``starts_at`` (included) until ``ends_at`` (not included)."""

    device_id: int
    lease_id: int
    starts_at: datetime
    ends_at: datetime


def layer_name(lease_id: int) -> str:
    """Return the name by which reasons speak of a lease's layer."""
    return f"lease:{lease_id}"


def create(*, profile: str, version: int | None, place: str, settings: Mapping[str, Any], now: datetime) -> Lease:
    """Make a lease that no tablet is under yet.

    Args:
        profile: what reasons call it: the profile's name, or the quick set's kind.
        version: of the profile; None for a quick set.
        place: whom it is for, such as the class's title.
        settings: validated settings.
        now: the instant.
    """
    made = Lease(profile=profile, version=version, place=place, settings=dict(settings), created_at=now)
    db.session.add(made)
    db.session.flush()
    return made


def held(device_ids: Collection[int] | Select[Any], *, since: datetime) -> dict[int, list[Held]]:
    """Return what tablets are or will be under after ``since``, by tablet and in order; one statement."""
    wanted = device_ids if isinstance(device_ids, Select) else id_set(device_ids)
    columns = (LeasedTablet.device_id, LeasedTablet.lease_id, LeasedTablet.starts_at, LeasedTablet.ends_at)
    query = select(*columns).where(LeasedTablet.device_id.in_(wanted), LeasedTablet.ends_at > since)
    found: dict[int, list[Held]] = defaultdict(list)
    for row in db.session.execute(query.order_by(LeasedTablet.device_id, LeasedTablet.starts_at)):
        found[row.device_id].append(Held(*row))
    return dict(found)


def history(device_id: int, *, before: datetime, limit: int) -> Sequence[tuple[LeasedTablet, Lease]]:
    """Return what a tablet was or is under since before an instant, newest first; one statement."""
    query = select(LeasedTablet, Lease).join(Lease, Lease.id == LeasedTablet.lease_id)
    query = query.where(LeasedTablet.device_id == device_id, LeasedTablet.starts_at < before)
    rows = db.session.execute(query.order_by(LeasedTablet.starts_at.desc()).limit(limit))
    return [(row.LeasedTablet, row.Lease) for row in rows]


def grant(told: Iterable[Held]) -> None:
    """Put tablets under leases; the caller has cleared the way (:func:`cut`)."""
    rows = [
        {"lease_id": one.lease_id, "device_id": one.device_id, "starts_at": one.starts_at, "ends_at": one.ends_at}
        for one in told
        if one.ends_at > one.starts_at
    ]
    if rows:
        db.session.execute(insert(LeasedTablet).returning(LeasedTablet.id), rows)  # so that all go in one statement


def cut(device_ids: Collection[int], *, at: datetime, lease_ids: Collection[int]) -> None:
    """End what tablets are under at an instant, and take away what would begin later.

    Args:
        device_ids: the tablets.
        at: from when on they are free.
        lease_ids: of these leases.
    """
    mine = (
        LeasedTablet.device_id.in_(id_set(device_ids)),
        LeasedTablet.lease_id.in_(id_set(lease_ids)),
        LeasedTablet.ends_at > at,
    )
    later = delete(LeasedTablet).where(*mine, LeasedTablet.starts_at >= at)
    running = update(LeasedTablet).where(*mine).values(ends_at=at)
    for statement in (later, running):
        db.session.execute(statement.execution_options(synchronize_session=False))
    read_again(LeasedTablet)


def layers(given: Select[Any], now: datetime) -> tuple[dict[int, tuple[Held, ...]], dict[Held, Timed]]:
    """Return what tablets are and will be under, by tablet, and each as a layer in time; at most two statements.

    Tablets that share a lease and its times share the value: it is named by tablet 0.
    """
    mine = {
        device_id: tuple(Held(0, one.lease_id, one.starts_at, one.ends_at) for one in ones)
        for device_id, ones in held(given, since=now).items()
    }
    stretches = {one for ones in mine.values() for one in ones}
    if not stretches:
        return {}, {}
    wanted = select(Lease.id, Lease.settings).where(Lease.id.in_(id_set({one.lease_id for one in stretches})))
    settings = {row.id: row.settings for row in db.session.execute(wanted)}
    return mine, {
        one: Timed(
            Layer(Level.LESSON, layer_name(one.lease_id), one.starts_at, settings[one.lease_id]),
            one.starts_at,
            one.ends_at,
        )
        for one in stretches
    }
