"""Releasing a profile: its draft is published, and whoever has the profile gets the new version in the same moment.

An assignment keeps its number, place and times and only says another version from now on, so that nobody has to move
school after school by hand, and no tablet silently keeps the old policy. An older version comes back as a new one:
what was published is never rewritten.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, or_, select, update

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.assignments import effect, publishing
from fleet.assignments.effect import Change
from fleet.assignments.materialise import materialise, reached
from fleet.assignments.models import Assignment, Profile, ProfileVersion
from fleet.db import db, read_again, take_turn
from fleet.devices.models import Device
from fleet.errors import ConflictError
from profiles import profile as library


@dataclass(frozen=True, slots=True)
class Released:
    """What releasing did: the version, how many tablets get a new schedule, and which assignments moved to it.

    Those are told by their numbers, each with the id of the version that it said before.
    """

    version: ProfileVersion
    moved: Mapping[int, int]
    tablets: int


def change_of(profile: Profile, settings: Mapping[str, Any], *, now: datetime) -> Change:
    """Return what stands before and after ``settings`` take the place of all that is assigned of a profile."""
    return effect.of_settings(profile.name, settings, now=now)


def release(
    profile: Profile,
    *,
    note: str | None = None,
    everywhere: bool = True,
    confirmed: int | None = None,
    based_on: str | None = None,
    by: Principal,
    now: datetime,
) -> Released:
    """Publish a profile's draft and move what is assigned of the profile to it.

    Args:
        profile: whose draft.
        note: what changed and why, in the publisher's words.
        everywhere: whether assignments move; otherwise it is only published.
        confirmed: the number of tablets that may lose the only Wi-Fi they know.
        based_on: how the profile stood when one looked at it; None releases whatever there is.
        by: who releases.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not edit profiles, or not assign in the whole municipality.
        ConflictError: there is no draft, or it says what the published version says already.
        DraftChangedError: the profile stands otherwise than one has seen.
        WifiLostError: tablets would lose the only Wi-Fi they know, and nobody confirmed it.
    """
    require(by, Permission.EDIT_PROFILES)
    if everywhere:
        require(by, Permission.ASSIGN_MUNICIPALITY)
    take_turn("profiles")
    take_turn("assignments")
    version = publishing.publish(profile, note=note, based_on=based_on, by=by, now=now)
    if not everywhere:
        return Released(version, {}, 0)
    effect.require_wifi(change_of(profile, version.settings, now=now), confirmed=confirmed, now=now)
    moved = db.session.scalars(_behind(version, now)).all()
    if not moved:
        return Released(version, {}, 0)
    given = select(Device.id).where(reached(moved))
    before = {one.id: one.profile_version_id for one in moved}
    db.session.execute(
        update(Assignment)
        .where(Assignment.id.in_(_behind(version, now).with_only_columns(Assignment.id)))
        .values(profile_version_id=version.id)
        .execution_options(synchronize_session=False)
    )
    read_again(Assignment)
    audit.record(
        by, "assignments.moved", subject=f"profile:{profile.id}", now=now,
        profile=profile.name, version=version.number, count=len(moved),
    )  # fmt: skip
    return Released(version, before, materialise(given, now=now))


def _behind(version: ProfileVersion, now: datetime) -> Select[Assignment]:
    """Select the assignments that stand and say an older version of the same profile."""
    older = select(ProfileVersion.id).where(
        ProfileVersion.profile_id == version.profile_id, ProfileVersion.number < version.number
    )
    return select(Assignment).where(
        Assignment.profile_version_id.in_(older),
        Assignment.withdrawn_at.is_(None),
        or_(Assignment.ends_at.is_(None), Assignment.ends_at > now),
    )


def restore(profile: Profile, number: int, *, by: Principal, now: datetime) -> ProfileVersion:
    """Make a draft that says what an older version said; returns it.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
        NotFoundError: there is no such published version.
        ConflictError: there is a draft, which would be lost; data has its ``version``.
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("profiles")
    old = publishing.published(profile, number)
    newest = publishing.versions(profile)[0]
    if newest.published_at is None:
        raise ConflictError(kind="draft", name=profile.name, version=newest.number, reason="there is a draft already")
    audit.record(
        by, "profiles.restored", subject=f"profile:{profile.id}", now=now,
        profile=profile.name, version=number, digest=old.digest,
    )  # fmt: skip
    return publishing.save_draft(library.Profile(profile.name, profile.title, old.settings), by=by, now=now)
