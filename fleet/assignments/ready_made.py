"""The ready-made profiles put to use: published where nobody has them yet, one for all and one for each school.

What somebody has written stays as it is. A draft that says just what the ready-made profile says was taken in and not
published yet, so it is published; another one may not be meant for tablets yet.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from fleet.access import Permission, Principal, require
from fleet.assignments import assigning, publishing
from fleet.assignments.assigning import Place
from fleet.db import take_turn
from fleet.errors import ConflictError, NotFoundError
from fleet.schools.models import School
from profiles import catalogue
from profiles.digest import digest
from profiles.profile import Profile

FOR_ALL = "kommune-grunn"
FOR_SCHOOLS = ("barneskole", "ungdomsskole")


def use(by_school: Mapping[School, str], *, by: Principal, now: datetime) -> int:
    """Publish the ready-made profiles, assign the common one everywhere and each school its own; returns how many.

    Args:
        by_school: which of :data:`FOR_SCHOOLS` a school gets.
        by: who acts.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not edit profiles, or not assign there.
        NotFoundError: there is no such ready-made profile.
        ConflictError: a wanted one is a draft that says something else; data has its ``name`` and ``title``.
    """
    for name in by_school.values():
        if name not in FOR_SCHOOLS:
            raise NotFoundError(kind="profile", name=name)
    fresh = publish([one.name for one in catalogue.load()], by=by, now=now)
    wanted = [(FOR_ALL, Place.municipality()), *((name, Place.school(one)) for one, name in by_school.items())]
    for name, place in wanted:
        profile = publishing.find(name)
        if publishing.versions(profile)[-1].published_at is None:
            raise ConflictError(kind="profile", name=name, title=profile.title, reason="it is a draft of somebody's")
        assigning.assign(publishing.published(profile), place, by=by, now=now)
    return fresh


def publish(names: Collection[str], *, by: Principal, now: datetime) -> int:
    """Publish ready-made profiles of these names, where nobody has written something else; returns how many.

    Raises:
        ForbiddenError: ``by`` may not edit profiles.
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("profiles")
    known = {one["name"]: one for one in publishing.listed()}
    fresh = 0
    for one in catalogue.load():
        if one.name not in names:
            continue
        if one.name not in known:
            profile = publishing.save_draft(one, by=by, now=now).profile
        elif known[one.name]["published"] is None and _says(one):
            profile = publishing.find(one.name)
        else:
            continue
        publishing.publish(profile, by=by, now=now)
        fresh += 1
    return fresh


def _says(one: Profile) -> bool:
    """Whether the draft of this name says what the ready-made profile says."""
    return publishing.draft_of(publishing.find(one.name)).digest == digest(one.settings)
