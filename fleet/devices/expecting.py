"""Tablets that are expected without a delivery list of the supplier's: somebody else has named them, by their serials.

Invariant: they are listed as by a delivery list; one that is listed already, retired, or at another school stays as it
is.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from fleet.access import Permission, Principal, require
from fleet.db import among_texts, db, take_turn
from fleet.devices import delivery
from fleet.devices.delivery_plan import DeliveryPlan
from fleet.devices.models import Device, DeviceLife, Platform
from fleet.schools.models import School

_PLACES = ("class_id", "person_id", "asset_tag", "cart")


def expect(models: Mapping[str, str], at: School, source: str, *, by: Principal, now: datetime) -> DeliveryPlan:
    """Expect tablets at a school; returns what changed.

    Args:
        models: their models by their serials.
        at: the school.
        source: who named them, as the audit calls it.
        by: who says so.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not import tablets for the school.
    """
    require(by, Permission.IMPORT_DEVICES, school_id=at.id)
    take_turn("assignments")
    known = {one.serial: one for one in db.session.scalars(select(Device).where(among_texts(Device.serial, models)))}
    plan = DeliveryPlan()
    for serial, model in models.items():
        device = known.get(serial)
        if device is None and delivery.is_serial(serial):
            row = {"serial": serial, "model": model[:120] or None, "platform": Platform.IPADOS, "school_id": at.id}
            plan.added.append({**row, **dict.fromkeys(_PLACES)})
        elif device is not None and _may_be_listed(device, at):
            plan.changed.append({"id": device.id, "listed_at": None, "school_id": at.id})
        else:
            plan.unchanged += 1
    delivery.carry_out(plan, source, by=by, now=now)
    return plan


def _may_be_listed(device: Device, at: School) -> bool:
    return device.listed_at is None and device.life is not DeviceLife.RETIRED and device.school_id in {None, at.id}
