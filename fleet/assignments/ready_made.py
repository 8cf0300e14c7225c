"""The ready-made profiles put to use: published where nobody has them yet, one for all and one for each school."""

from collections.abc import Mapping
from datetime import datetime

from fleet.access import Permission, Principal, require
from fleet.assignments import assigning, publishing
from fleet.assignments.assigning import Place
from fleet.db import take_turn
from fleet.errors import NotFoundError
from fleet.schools.models import School
from profiles import catalogue

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
    """
    require(by, Permission.EDIT_PROFILES)
    take_turn("profiles")
    known = {one["name"]: one["published"] for one in publishing.listed()}
    ready = catalogue.load()
    for name in by_school.values():
        if name not in FOR_SCHOOLS:
            raise NotFoundError(kind="profile", name=name)
    fresh = [one for one in ready if one.name not in known]  # what somebody has written stays as it is
    for one in fresh:
        publishing.publish(publishing.save_draft(one, by=by, now=now).profile, by=by, now=now)
    wanted = [(FOR_ALL, Place.municipality()), *((name, Place.school(one)) for one, name in by_school.items())]
    for name, place in wanted:
        assigning.assign(publishing.published(publishing.find(name)), place, by=by, now=now)
    return len(fresh)
