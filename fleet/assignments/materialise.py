"""What each tablet shall have, worked out when something changes: set-based.

Invariants: the number of statements does not depend on the number of tablets; each distinct combination of layers is
worked out once; effective profiles and schedules are stored once under their digest; a tablet's row changes, and its
configuration version rises, only where its schedule does. One change at a time (turn ``assignments``).
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, or_, select, text, true

from fleet import outbox
from fleet.assignments import leases, schedules, timeline
from fleet.assignments.kept import Kept
from fleet.assignments.leases import Held
from fleet.assignments.models import Assignment, Profile, ProfileVersion, Scope
from fleet.assignments.timeline import Segment, Timed
from fleet.db import among, changed, db, follow, id_set, read_again, take_turn
from fleet.devices import states
from fleet.devices.models import Device, DeviceLife, DeviceState
from fleet.schools.models import Membership, MembershipRole, School, SchoolClass
from fleet.schools.queries import holding
from profiles.digest import digest
from profiles.layering import Layer, Level

LEVELS = {
    Scope.MUNICIPALITY: Level.MUNICIPALITY,
    Scope.SCHOOL: Level.SCHOOL,
    Scope.CLASS: Level.CLASS,
    Scope.DEVICE: Level.DEVICE,
}

_UPDATE = {
    "sqlite": """
        UPDATE device_state SET schedule_digest = json_extract(j.value, '$.s'),
               desired_at = CASE WHEN desired_digest IS json_extract(j.value, '$.p') THEN desired_at ELSE :now END,
               polls_pending = CASE WHEN desired_digest IS json_extract(j.value, '$.p') THEN polls_pending ELSE 0 END,
               desired_digest = json_extract(j.value, '$.p'), next_switch_at = json_extract(j.value, '$.n'),
               review_key = NULL, config_version = config_version + 1
        FROM json_each(:rows) AS j
        WHERE device_id = json_extract(j.value, '$.d') AND schedule_digest IS NOT json_extract(j.value, '$.s')
        RETURNING device_id
    """,
    "postgresql": """
        UPDATE device_state SET schedule_digest = j.s,
               desired_at = CASE WHEN desired_digest IS NOT DISTINCT FROM j.p THEN desired_at
                            ELSE CAST(:now AS timestamptz) END,
               polls_pending = CASE WHEN desired_digest IS NOT DISTINCT FROM j.p THEN polls_pending ELSE 0 END,
               desired_digest = j.p, next_switch_at = j.n, review_key = NULL, config_version = config_version + 1
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS j(d int, s text, p text, n timestamptz)
        WHERE device_id = j.d AND schedule_digest IS DISTINCT FROM j.s
        RETURNING device_id
    """,
}

# What is there already, under the same digest, is the same.
_KEEP_PROFILES = {
    "sqlite": """
        INSERT INTO effective_profile (digest, body, length, created_at)
        SELECT json_extract(value, '$.d'), json_extract(value, '$.b'), json_extract(value, '$.l'), :now
        FROM json_each(:rows) WHERE true ON CONFLICT (digest) DO NOTHING
    """,
    "postgresql": """
        INSERT INTO effective_profile (digest, body, length, created_at)
        SELECT d, b, l, CAST(:now AS timestamptz)
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(d text, b text, l bigint) ON CONFLICT (digest) DO NOTHING
    """,
}
_KEEP_SCHEDULES = {
    "sqlite": """
        INSERT INTO schedule (digest, entries, created_at)
        SELECT json_extract(value, '$.d'), json_extract(value, '$.e'), :now
        FROM json_each(:rows) WHERE true ON CONFLICT (digest) DO NOTHING
    """,
    "postgresql": """
        INSERT INTO schedule (digest, entries, created_at)
        SELECT d, e, CAST(:now AS timestamptz)
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(d text, e jsonb) ON CONFLICT (digest) DO NOTHING
    """,
}

_known_settings: Kept[Mapping[str, Any]] = Kept(4_096)


@dataclass(frozen=True, slots=True)
class Applicable:
    """An assignment with what layering needs of it and what a reason tells of it."""

    id: int
    scope: Scope
    school_id: int | None
    class_id: int | None
    device_id: int | None
    timed: Timed
    profile: str
    version: int


def layer_name(assignment_id: int) -> str:
    """Return the name by which reasons speak of an assignment's layer."""
    return f"assignment:{assignment_id}"


def standing(now: datetime) -> list[Applicable]:
    """Return all assignments that apply now or will, none of schools and classes that are no more.

    One statement, and another where settings are not known yet.
    """
    one = Assignment
    query = (
        select(
            one.id, one.scope, one.school_id, one.class_id, one.device_id, one.starts_at, one.ends_at, one.created_at,
            Profile.name, ProfileVersion.number, ProfileVersion.digest,
        )
        .join(Assignment.profile_version)
        .join(ProfileVersion.profile)
        .outerjoin(School, School.id == Assignment.school_id)
        .outerjoin(SchoolClass, SchoolClass.id == Assignment.class_id)
        .where(Assignment.withdrawn_at.is_(None), or_(Assignment.ends_at.is_(None), Assignment.ends_at > now))
        .where(School.ended_at.is_(None), SchoolClass.ended_at.is_(None))
        .order_by(Assignment.id)
    )  # fmt: skip
    rows = db.session.execute(query).all()
    settings = _known_settings.load({row.digest for row in rows}, _read_settings)
    found = []
    for row in rows:
        layer = Layer(LEVELS[row.scope], layer_name(row.id), row.starts_at or row.created_at, settings[row.digest])
        timed = Timed(layer, row.starts_at, row.ends_at)
        place = (row.school_id, row.class_id, row.device_id)
        found.append(Applicable(row.id, row.scope, *place, timed, row.name, row.number))
    return found


def _read_settings(digests: Collection[str]) -> Mapping[str, Mapping[str, Any]]:
    query = select(ProfileVersion.digest, ProfileVersion.settings).where(ProfileVersion.digest.in_(digests))
    return {row.digest: row.settings for row in db.session.execute(query)}


def applicable_to(given: Select[Any], assignments: Iterable[Applicable], now: datetime) -> dict[int, tuple[int, ...]]:
    """Return for each tablet of ``given`` the ids of the assignments that concern it; two statements.

    Args:
        given: selects tablets' ids.
        assignments: what stands.
        now: decides which memberships hold (by UTC date: a membership that begins or ends is moved by a job).
    """
    by_place: dict[tuple[Scope, int | None], list[int]] = defaultdict(list)
    for one in assignments:
        place = {Scope.SCHOOL: one.school_id, Scope.CLASS: one.class_id, Scope.DEVICE: one.device_id}.get(one.scope)
        by_place[one.scope, place].append(one.id)
    columns = (Device.id, Device.school_id, Device.class_id, Device.person_id, Device.life)
    rows = db.session.execute(select(*columns).where(Device.id.in_(given))).all()
    classes = _classes_of_pupils(given, [place for scope, place in by_place if scope is Scope.CLASS], now)
    found: dict[int, tuple[int, ...]] = {}
    for device_id, school_id, class_id, person_id, life in rows:
        if life is DeviceLife.PENDING:
            found[device_id] = ()  # nobody has said yet that it belongs here
            continue
        places: set[tuple[Scope, int | None]] = {(Scope.MUNICIPALITY, None), (Scope.DEVICE, device_id)}
        places.add((Scope.SCHOOL, school_id))
        places |= {(Scope.CLASS, one) for one in {class_id, *classes.get(person_id or 0, ())} if one is not None}
        found[device_id] = tuple(sorted(number for place in places for number in by_place.get(place, ())))
    return found


def _classes_of_pupils(given: Select[Any], class_ids: Collection[int | None], now: datetime) -> dict[int, set[int]]:
    """Return the classes with assignments that the tablets' pupils are in."""
    query = (
        select(Membership.person_id, Membership.class_id)
        .join(Device, Device.person_id == Membership.person_id)
        .where(
            Device.id.in_(given),
            Membership.role == MembershipRole.PUPIL,
            among(Membership.class_id, (one for one in class_ids if one is not None)),
            *holding(now.date()),
        )
    )
    found: dict[int, set[int]] = defaultdict(set)
    for person_id, class_id in db.session.execute(query):
        found[person_id].add(class_id)
    return found


def materialise(given: Select[Any], *, now: datetime) -> int:
    """Work out what the tablets of ``given`` shall have; returns how many get a new schedule.

    Args:
        given: selects tablets' ids.
        now: the instant.
    """
    return len(_work_out(given, now))


def settle(device_ids: Collection[int], *, now: datetime) -> frozenset[int]:
    """Work out what tablets shall have after their leases changed, and have those rung that get something new.

    Args:
        device_ids: whose leases changed; the caller holds their rows (``devices.states``).
        now: the instant.
    """
    if not device_ids:
        return frozenset()
    moved = _work_out(id_set(device_ids), now, is_held=True)
    outbox.wake(moved)
    return moved


# What one tablet's plan follows from: the ids of assignments, and the leases in time.
_Combination = tuple[tuple[int, ...], tuple[Held, ...]]


def _work_out(given: Select[Any], now: datetime, *, is_held: bool = False) -> frozenset[int]:
    take_turn("assignments")
    db.session.flush()
    assignments = {one.id: one for one in standing(now)}
    leased, layers = leases.layers(_approved(given), now)
    wanted: dict[int, _Combination] = {
        device_id: (ids, leased.get(device_id, ()))
        for device_id, ids in applicable_to(given, assignments.values(), now).items()
    }
    plans = {
        (ids, held): _plan([*(assignments[one].timed for one in ids), *(layers[one] for one in held)], now)
        for ids, held in set(wanted.values())
    }
    if not plans:
        return frozenset()
    _store(plans.values(), now)
    rows = [
        {"d": device_id, "s": plan.digest, "p": plan.current, "n": plan.next_switch}
        for device_id, plan in ((device_id, plans[combination]) for device_id, combination in wanted.items())
    ]
    if not is_held:
        states.lock(given)
    moved = frozenset(row[0] for row in _run(_UPDATE, rows, now))
    read_again(DeviceState)
    return moved


def _approved(given: Select[Any]) -> Select[Any]:
    """Leave out of ``given`` the tablets that wait for approval: wiped and enrolled anew, one may still be leased."""
    return select(Device.id).where(Device.id.in_(given), Device.life != DeviceLife.PENDING)


@dataclass(frozen=True, slots=True)
class _Plan:
    digest: str
    entries: list[dict[str, Any]]
    segments: list[Segment]
    current: str
    next_switch: str | None


def _plan(timed: Sequence[Timed], now: datetime) -> _Plan:
    found = timeline.segments(timed, now=now)
    entries = timeline.entries(found)
    return _Plan(
        digest=digest(entries),
        entries=entries,
        segments=found,
        current=found[0].digest,
        next_switch=schedules.stored_instant(found[0].ends_at),
    )


def _store(plans: Iterable[_Plan], now: datetime) -> None:
    plans = list(plans)
    profiles = {segment.digest: segment.body for plan in plans for segment in plan.segments}
    unique = {plan.digest: plan.entries for plan in plans}
    # In one order, as two who keep the same wait for each other.
    bodies = [{"d": name, "b": body.decode(), "l": len(body)} for name, body in sorted(profiles.items())]
    _run(_KEEP_PROFILES, bodies, now)
    _run(_KEEP_SCHEDULES, [{"d": name, "e": entries} for name, entries in sorted(unique.items())], now)


def _run(statement: Mapping[str, str], rows: list[dict[str, Any]], now: datetime) -> Sequence[Any]:
    """Run a statement over rows of any number, which travel as one parameter; returns what it gives back."""
    told = {"rows": json.dumps(rows), "now": schedules.stored_instant(now)}
    result = db.session.execute(text(statement[db.session.get_bind().dialect.name]), told)
    return result.all() if result.returns_rows else ()  # type: ignore[attr-defined]


def devices_at(place: Assignment) -> Select[Any]:
    """Select the tablets that an assignment's place concerns."""
    query = select(Device.id)
    if place.scope is Scope.SCHOOL:
        return query.where(Device.school_id == place.school_id)
    if place.scope is Scope.DEVICE:
        return query.where(Device.id == place.device_id)
    if place.scope is Scope.CLASS:
        pupils = select(Membership.person_id).where(
            and_(Membership.class_id == place.class_id, Membership.role == MembershipRole.PUPIL)
        )
        return query.where(or_(Device.class_id == place.class_id, Device.person_id.in_(pupils)))
    return query


def reached(places: Iterable[Assignment | Applicable]) -> ColumnElement[bool]:
    """Return the condition on tablets that any of these places concerns them."""
    ids: dict[Scope, set[int]] = defaultdict(set)
    for one in places:
        ids[one.scope].add(one.school_id or one.class_id or one.device_id or 0)
    if ids[Scope.MUNICIPALITY]:
        return true()
    pupils = select(Membership.person_id).where(
        Membership.class_id.in_(id_set(ids[Scope.CLASS])), Membership.role == MembershipRole.PUPIL
    )
    conditions = {
        Scope.SCHOOL: Device.school_id.in_(id_set(ids[Scope.SCHOOL])),
        Scope.CLASS: or_(Device.class_id.in_(id_set(ids[Scope.CLASS])), Device.person_id.in_(pupils)),
        Scope.DEVICE: Device.id.in_(id_set(ids[Scope.DEVICE])),
    }
    return or_(false(), *(condition for scope, condition in conditions.items() if ids[scope]))


def _follow_devices(ids: frozenset[int], now: datetime) -> None:
    materialise(id_set(ids), now=now)


# Persons, classes and schools become tablets first, so that what changed together is worked out together, once.


def _follow_people(ids: frozenset[int], now: datetime) -> None:
    _tell(select(Device.id).where(Device.person_id.in_(id_set(ids))), now)


def _follow_classes(ids: frozenset[int], now: datetime) -> None:
    pupils = select(Membership.person_id).where(
        Membership.class_id.in_(id_set(ids)), Membership.role == MembershipRole.PUPIL
    )
    _tell(select(Device.id).where(or_(Device.class_id.in_(id_set(ids)), Device.person_id.in_(pupils))), now)


def _follow_schools(ids: frozenset[int], now: datetime) -> None:
    _tell(select(Device.id).where(Device.school_id.in_(id_set(ids))), now)


def _tell(given: Select[Any], now: datetime) -> None:
    changed("device", db.session.scalars(given).all(), now=now)


def follow_changes() -> None:
    """Have schedules follow wherever tablets, persons, classes or schools change; the application calls this once."""
    follow("device", _follow_devices)
    follow("person", _follow_people)
    follow("class", _follow_classes)
    follow("school", _follow_schools)
