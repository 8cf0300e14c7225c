"""Why a tablet has what it has: every setting with winner, losers and rule, and where each layer comes from."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from fleet.assignments import leases
from fleet.assignments.materialise import Applicable, applicable_to, layer_name, standing
from fleet.assignments.models import Lease, Scope
from fleet.db import db
from fleet.devices.models import Device
from fleet.errors import NotFoundError
from fleet.schools.models import School, SchoolClass
from profiles import layering
from profiles.layering import Effective
from profiles.vocabulary import VOCABULARY


@dataclass(frozen=True, slots=True)
class Source:
    """Where a layer comes from.

    Args:
        id: of the assignment, or of the lease where the scope is ``lesson``.
        scope: municipality, school, class, device, or lesson.
        place: the school's or class's name, or the tablet's serial.
        profile: the profile's name, or the kind of a lesson's quick set.
        version: of the profile; None for a quick set.
    """

    id: int
    scope: str
    place: str
    profile: str
    version: int | None


@dataclass(frozen=True, slots=True)
class Why:
    """A tablet's effective profile at an instant with reasons; ``sources`` are the layers by their names in reasons."""

    effective: Effective
    sources: Mapping[str, Source]


def why(device: Device, *, at: datetime, key: str | None = None) -> Why:
    """Explain what a tablet shall have.

    Args:
        device: the tablet.
        at: the instant; assignments that were withdrawn or have ended by now are not known any more.
        key: only this setting.

    Raises:
        NotFoundError: the vocabulary has no such key, data has the nearest; or no layer says anything about it.
    """
    if key is not None and key not in VOCABULARY:
        nearest = difflib.get_close_matches(key, VOCABULARY, n=3, cutoff=0.5)
        raise NotFoundError(kind="setting", name=key, nearest=nearest)
    only = select(Device.id).where(Device.id == device.id)
    known = {one.id: one for one in standing(at)}
    ids = applicable_to(only, known.values(), at)[device.id]
    applying = [known[number] for number in ids if known[number].timed.applies_at(at)]
    leased = {one: timed for one, timed in leases.layers(only, at)[1].items() if timed.applies_at(at)}
    effective = layering.effective([*(one.timed.layer for one in applying), *(one.layer for one in leased.values())])
    if key is not None:
        if key not in effective.reasons:
            raise NotFoundError(kind="setting of this tablet", name=key)
        effective = Effective(
            {name: value for name, value in effective.settings.items() if name == key},
            {key: effective.reasons[key]},
        )
    sources = {layer_name(one.id): _source(one, device) for one in applying}
    return Why(effective, sources | {leases.layer_name(one.lease_id): _lesson(one.lease_id) for one in leased})


def _lesson(lease_id: int) -> Source:
    lease = db.session.get_one(Lease, lease_id)
    return Source(lease.id, "lesson", lease.place, lease.profile, lease.version)


def _source(one: Applicable, device: Device) -> Source:
    if one.scope is Scope.SCHOOL:
        place = db.session.get_one(School, one.school_id).name
    elif one.scope is Scope.CLASS:
        place = db.session.get_one(SchoolClass, one.class_id).title
    else:
        place = device.serial if one.scope is Scope.DEVICE else "municipality"
    return Source(one.id, one.scope.value, place, one.profile, one.version)
