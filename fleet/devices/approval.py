"""Letting in or turning away tablets that nobody listed: those whose match codes somebody has compared, and no others.

Invariant: what is decided about is an enrolment, not a tablet. One that has enrolled anew since has another key, whose
match code nobody has seen, so nothing is decided about it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from fleet.access import Permission, Principal
from fleet.db import db, id_set, take_turn
from fleet.devices import bulk
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.errors import InvalidError

DEEDS = ("approve", "decline")


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of it: how many tablets it was decided about, and how many wait with another key now."""

    count: int
    anew: int


def decide(enrolment_ids: Collection[int], deed: str, *, by: Principal, now: datetime) -> Decided:
    """Let in or turn away the tablets of these enrolments, as far as they still wait with the key they had.

    Args:
        enrolment_ids: as they were shown; those that ``by`` may not decide about are left alone.
        deed: one of :data:`DEEDS`.
        by: who decides.
        now: the instant.

    Raises:
        InvalidError: another deed.
    """
    if deed not in DEEDS:
        raise InvalidError(kind="form", field="act", found=deed[:20])
    take_turn("assignments")  # as enrolling does: no key is replaced from here on
    query = select(Enrolment.device_id, Enrolment.ended_at, Device.school_id).join(
        Device, Device.id == Enrolment.device_id
    )
    waits = (Enrolment.id.in_(id_set(enrolment_ids)), Device.life == DeviceLife.PENDING)
    rows = [
        row
        for row in db.session.execute(query.where(*waits))
        if by.may(Permission.MANAGE_DEVICES, school_id=row.school_id)
    ]
    as_seen = {row.device_id for row in rows if row.ended_at is None}
    anew = {row.device_id for row in rows} - as_seen
    found = bulk.step(as_seen, deed, by=by, now=now)
    return Decided(len(found.going), len(anew))
