"""Taking back what was done with assignments: one that was given, one that was withdrawn, a version that was released.

Invariant: only what still stands as the undone act left it is put back, and exactly as it was, with its number and its
age; else nothing is, and :class:`ConflictError` says so with the reason :data:`CHANGED`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select, update
from sqlalchemy.orm import contains_eager

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.assignments import assigning, effect, publishing
from fleet.assignments.materialise import LEVELS, Applicable, devices_at, layer_name, materialise, reached
from fleet.assignments.models import Assignment, ProfileVersion
from fleet.assignments.timeline import Timed
from fleet.db import db, id_set, read_again, take_turn
from fleet.devices.models import Device
from fleet.errors import ConflictError
from profiles.layering import Layer

CHANGED = "something has changed since"


@dataclass(frozen=True, slots=True)
class Undone:
    """What undoing did: the assignment, which others stand again for it, how many tablets get a new schedule."""

    assignment: Assignment
    back: Sequence[Assignment]
    tablets: int


def undo_assigning(assignment_id: int, *, version: int, by: Principal, now: datetime) -> Undone:
    """Withdraw an assignment that was just given, and give back what it took the place of.

    Args:
        assignment_id: which one.
        version: the number of the version that was given.
        by: who undoes it.
        now: the instant.

    Raises:
        NotFoundError: there is none, or ``by`` may not see it.
        ForbiddenError: ``by`` may not assign there.
        ConflictError: it was withdrawn or has ended, or says another version by now.
        WifiLostError: tablets would lose the only Wi-Fi they know.
    """
    take_turn("assignments")
    read_again(Assignment)  # what the caller looked at while another had the turn
    one = assigning.standing_one(assignment_id, by=by, now=now)
    if one.profile_version.number != version:
        raise ConflictError(kind="assignment", id=assignment_id, reason=CHANGED)
    back = _replaced(one)
    effect.require_wifi(effect.of_undoing(map(_applicable, back), {one.id}, now=now), confirmed=None, now=now)
    one.withdrawn_at = now
    audit.record(by, "assignments.withdrawn", subject=f"assignment:{one.id}", now=now, **_public(one), reason="undone")
    for former in back:
        _give_back(former, by=by, now=now)
    return Undone(one, back, materialise(devices_at(one), now=now))


def undo_withdrawing(assignment_id: int, *, by: Principal, now: datetime) -> Undone:
    """Give back an assignment that was withdrawn.

    Args:
        assignment_id: which one.
        by: who undoes it.
        now: the instant.

    Raises:
        NotFoundError: there is none, or ``by`` may not see it.
        ForbiddenError: ``by`` may not assign there.
        ConflictError: it was not withdrawn, would have ended, or the profile has been given there or published since.
        WifiLostError: tablets would lose the only Wi-Fi they know.
    """
    take_turn("assignments")
    read_again(Assignment)  # what the caller looked at while another had the turn
    one = assigning.get(assignment_id, by=by)
    assigning.require_to_assign(by, one.scope, assigning.school_of(one))
    if one.ends_at is not None and one.ends_at <= now:
        raise ConflictError(kind="assignment", id=assignment_id, reason="it does not apply any more")
    if one.withdrawn_at is None or _has_successor(one, one.withdrawn_at, now):
        raise ConflictError(kind="assignment", id=assignment_id, reason=CHANGED)
    effect.require_wifi(effect.of_undoing([_applicable(one)], (), now=now), confirmed=None, now=now)
    _give_back(one, by=by, now=now)
    return Undone(one, (), materialise(devices_at(one), now=now))


def _beside(one: Assignment) -> Select[Assignment]:
    """Select what else the same profile has or had at the same place."""
    return (
        select(Assignment)
        .join(Assignment.profile_version)
        .where(
            ProfileVersion.profile_id == one.profile_version.profile_id,
            Assignment.id != one.id,
            Assignment.scope == one.scope,
            Assignment.school_id.is_not_distinct_from(one.school_id),
            Assignment.class_id.is_not_distinct_from(one.class_id),
            Assignment.device_id.is_not_distinct_from(one.device_id),
        )
        .options(contains_eager(Assignment.profile_version))
        .execution_options(populate_existing=True)
    )


def _is_open_ended() -> ColumnElement[bool]:
    return and_(Assignment.starts_at.is_(None), Assignment.ends_at.is_(None))


def _replaced(one: Assignment) -> Sequence[Assignment]:
    """Return what an assignment took the place of: it was withdrawn at the very instant at which this one was made."""
    if one.starts_at is not None or one.ends_at is not None:
        return ()
    query = _beside(one).where(Assignment.withdrawn_at == one.created_at, _is_open_ended())
    return db.session.scalars(query.order_by(Assignment.id)).all()


def _has_successor(one: Assignment, withdrawn_at: datetime, now: datetime) -> bool:
    """Whether the profile was published or given at the place since, or stands there as the withdrawn one would."""
    published = select(ProfileVersion.id).where(
        ProfileVersion.profile_id == one.profile_version.profile_id, ProfileVersion.published_at > withdrawn_at
    )
    given = _beside(one).where(
        Assignment.withdrawn_at.is_(None), or_(Assignment.ends_at.is_(None), Assignment.ends_at > now)
    )
    since = Assignment.created_at >= withdrawn_at
    is_open = one.starts_at is None and one.ends_at is None
    given = given.where(or_(since, _is_open_ended()) if is_open else since)
    told = or_(exists(published), exists(given.with_only_columns(Assignment.id)))
    return bool(db.session.scalar(select(told)))


def _applicable(one: Assignment) -> Applicable:
    version = one.profile_version
    layer = Layer(LEVELS[one.scope], layer_name(one.id), one.starts_at or one.created_at, version.settings)
    place = (one.school_id, one.class_id, one.device_id)
    timed = Timed(layer, one.starts_at, one.ends_at)
    return Applicable(one.id, one.scope, *place, timed, version.profile.name, version.number)


def _give_back(one: Assignment, *, by: Principal, now: datetime) -> None:
    one.withdrawn_at = None
    audit.record(by, "assignments.given-back", subject=f"assignment:{one.id}", now=now, **_public(one))


def _public(one: Assignment) -> dict[str, object]:
    version = one.profile_version
    place = assigning.public_place(one, assigning.school_of(one))
    return {**place, "profile": version.profile.name, "version": version.number}


def undo_release(version_id: int, moved: Mapping[int, int], *, by: Principal, now: datetime) -> int:
    """Give each place back the version it had before a release; returns how many tablets get a new schedule.

    What was published stays published.

    Args:
        version_id: the version that was released.
        moved: the assignments that moved to it, as :class:`fleet.assignments.releasing.Released` tells.
        by: who undoes it.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not edit profiles, or not assign in the whole municipality.
        ConflictError: a newer version was published, or one of those assignments was withdrawn, or another one came.
        WifiLostError: tablets would lose the only Wi-Fi they know.
    """
    require(by, Permission.EDIT_PROFILES)
    require(by, Permission.ASSIGN_MUNICIPALITY)
    take_turn("profiles")
    take_turn("assignments")
    version = db.session.get_one(ProfileVersion, version_id)
    query = select(Assignment).where(Assignment.profile_version_id == version_id, Assignment.withdrawn_at.is_(None))
    standing = db.session.scalars(query.execution_options(populate_existing=True)).all()
    if publishing.published(version.profile).id != version_id or {one.id for one in standing} != moved.keys():
        raise ConflictError(kind="assignment", profile=version.profile.name, reason=CHANGED)
    former = _versions(moved.values())
    change = effect.of_saying({number: former[of].settings for number, of in moved.items()}, now=now)
    effect.require_wifi(change, confirmed=None, now=now)
    given = select(Device.id).where(reached(standing))
    for one in former.values():
        ids = id_set(number for number, of in moved.items() if of == one.id)
        db.session.execute(
            update(Assignment)
            .where(Assignment.id.in_(ids))
            .values(profile_version_id=one.id)
            .execution_options(synchronize_session=False)
        )
    read_again(Assignment)
    audit.record(
        by, "assignments.moved-back", subject=f"profile:{version.profile_id}", now=now,
        profile=version.profile.name, version=version.number, count=len(moved),
    )  # fmt: skip
    return materialise(given, now=now)


def _versions(numbers: Collection[int]) -> dict[int, ProfileVersion]:
    return {
        one.id: one for one in db.session.scalars(select(ProfileVersion).where(ProfileVersion.id.in_(id_set(numbers))))
    }
