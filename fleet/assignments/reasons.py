"""Why a tablet has what it has: every setting with winner, losers, rule and origin, and what cannot hold on it."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import select

from fleet.apps.catalogue import android_packages
from fleet.assignments import leases
from fleet.assignments.leases import Held
from fleet.assignments.materialise import Applicable, layer_name, standing
from fleet.assignments.models import Lease, Scope
from fleet.assignments.timeline import Timed
from fleet.db import db, id_set
from fleet.devices.models import Device, Enrolment, Platform
from fleet.devices.search import is_pupil
from fleet.errors import NotFoundError
from fleet.schools.models import Membership, School, SchoolClass
from profiles import layering
from profiles.key import APPLE, HEADWIND
from profiles.layering import Effective
from profiles.unmet import Unmet
from profiles.unmet import unmet as not_met
from profiles.vocabulary import VOCABULARY

# How a tablet of a kind speaks to us where it speaks in one way only.
_ONLY_CHANNEL: Mapping[Platform, str] = MappingProxyType({Platform.IPADOS: APPLE, Platform.ANDROID: HEADWIND})


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
class Case:
    """What is asked about a tablet: as it is, or as it would be.

    Args:
        at: the instant; assignments that were withdrawn or have ended by now are not known any more.
        without_leases: as if no lesson held it.
        in_class: as if it stood in this class, and its pupil, if it has one, were in no other.
    """

    at: datetime
    without_leases: bool = False
    in_class: SchoolClass | None = None


@dataclass(frozen=True, slots=True)
class Why:
    """A tablet's effective profile at an instant with reasons; ``sources`` are the layers by their names in reasons."""

    effective: Effective
    sources: Mapping[str, Source]


def why(device: Device, *, at: datetime, key: str | None = None) -> Why:
    """Explain what a tablet shall have.

    Args:
        device: the tablet.
        at: the instant; see :class:`Case`.
        key: only this setting.

    Raises:
        NotFoundError: the vocabulary has no such key, data has the nearest; or no layer says anything about it.
    """
    if key is not None and key not in VOCABULARY:
        nearest = difflib.get_close_matches(key, VOCABULARY, n=3, cutoff=0.5)
        raise NotFoundError(kind="setting", name=key, nearest=nearest)
    (found,) = compare(device, [Case(at)])
    if key is None:
        return found
    if key not in found.effective.reasons:
        raise NotFoundError(kind="setting of this tablet", name=key)
    settings = {name: value for name, value in found.effective.settings.items() if name == key}
    return Why(Effective(settings, {key: found.effective.reasons[key]}), found.sources)


def compare(device: Device, cases: Sequence[Case]) -> list[Why]:
    """Explain what a tablet shall or would have in each case; nothing is stored. At most ten statements for two."""
    since = min(case.at for case in cases)
    known = standing(since)
    held = leases.layers(select(Device.id).where(Device.id == device.id), since)[1]
    days = {case.at.date(): _classes(device, case.at.date()) for case in cases if case.in_class is None}
    told = [(case, *_applying(device, case, known, held, days)) for case in cases]
    names = _names(one for _case, assigned, _leased in told for one in assigned)
    lessons = _lessons({one.lease_id for _case, _assigned, leased in told for one in leased})
    return [
        Why(
            layering.effective([*(one.timed.layer for one in assigned), *(held[one].layer for one in leased)]),
            {layer_name(one.id): _source(one, device, names) for one in assigned}
            | {leases.layer_name(one.lease_id): lessons[one.lease_id] for one in leased},
        )
        for _case, assigned, leased in told
    ]


def unmet(device: Device, settings: Mapping[str, Any]) -> dict[str, list[Unmet]]:
    """Return why a tablet will not have settings as they stand, by setting; one statement, one more for Android.

    What it told of itself counts. One that was never in use is judged where its kind speaks in one way only.
    """
    query = select(Enrolment.channel).where(Enrolment.device_id == device.id).order_by(Enrolment.id.desc()).limit(1)
    channel = db.session.scalar(query) or _ONLY_CHANNEL.get(device.platform)
    if channel is None:
        return {}
    facts = device.state.facts or {}
    is_supervised = (facts.get("flags") or {}).get("supervised")
    found: dict[str, list[Unmet]] = {}
    required = (settings.get("apps.required") or ()) if channel == HEADWIND else ()
    uploaded = android_packages(required)
    for one in not_met(
        settings, channel, facts.get("os_version"), is_supervised=is_supervised, uploaded=uploaded.keys()
    ):
        found.setdefault(one.key, []).append(one)
    return found


def _classes(device: Device, on: date) -> frozenset[int]:
    """Return the classes that a tablet is of on a date: where it stands, and its pupil's."""
    found = {device.class_id} - {None}
    if device.person_id is not None:
        query = select(Membership.class_id).where(Membership.person_id == device.person_id, *is_pupil(on))
        found |= set(db.session.scalars(query))
    return frozenset(one for one in found if one is not None)


def _applying(
    device: Device,
    case: Case,
    known: Collection[Applicable],
    held: Mapping[Held, Timed],
    days: Mapping[date, Collection[int]],
) -> tuple[list[Applicable], list[Held]]:
    """Return the assignments and the leases that count in a case."""
    school_id = device.school_id if case.in_class is None else case.in_class.school_id
    class_ids = days[case.at.date()] if case.in_class is None else {case.in_class.id}

    def concerns(one: Applicable) -> bool:
        return {
            Scope.MUNICIPALITY: True,
            Scope.SCHOOL: one.school_id == school_id,
            Scope.CLASS: one.class_id in class_ids,
            Scope.DEVICE: one.device_id == device.id,
        }[one.scope]

    leased = [] if case.without_leases else [one for one, timed in held.items() if timed.applies_at(case.at)]
    return [one for one in known if concerns(one) and one.timed.applies_at(case.at)], leased


def _names(ones: Iterable[Applicable]) -> dict[tuple[Scope, int], str]:
    """Return what the schools and classes of assignments are called; at most two statements."""
    told = list(ones)
    school_ids = {one.school_id for one in told if one.school_id is not None}
    class_ids = {one.class_id for one in told if one.class_id is not None}
    found: dict[tuple[Scope, int], str] = {}
    if school_ids:
        schools = select(School.id, School.name).where(School.id.in_(id_set(school_ids)))
        found |= {(Scope.SCHOOL, row.id): row.name for row in db.session.execute(schools)}
    if class_ids:
        classes = select(SchoolClass.id, SchoolClass.title).where(SchoolClass.id.in_(id_set(class_ids)))
        found |= {(Scope.CLASS, row.id): row.title for row in db.session.execute(classes)}
    return found


def _lessons(lease_ids: Collection[int]) -> dict[int, Source]:
    if not lease_ids:
        return {}
    columns = (Lease.id, Lease.place, Lease.profile, Lease.version)
    rows = db.session.execute(select(*columns).where(Lease.id.in_(id_set(lease_ids))))
    return {row.id: Source(row.id, "lesson", row.place, row.profile, row.version) for row in rows}


def _source(one: Applicable, device: Device, names: Mapping[tuple[Scope, int], str]) -> Source:
    number = one.school_id or one.class_id or 0
    place = device.serial if one.scope is Scope.DEVICE else names.get((one.scope, number), "municipality")
    return Source(one.id, one.scope.value, place, one.profile, one.version)
