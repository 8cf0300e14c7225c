"""Forgetting people who have left: what the roster told of them goes, the row stays for the tablets' history."""

from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select, update

from fleet.db import db
from fleet.schools.models import Membership, Person


def forget_people(*, older_than: timedelta, now: datetime, at_most: int) -> int:
    """Remove name, user name, address and roster id of people who left longer ago than that; returns of how many.

    Their memberships go with it. Whoever comes back later is a new person, as nothing is left to know them by.

    Args:
        older_than: how long a person who left is kept, so that one left out by mistake comes back whole.
        now: the instant.
        at_most: how many at once.
    """
    still_known = or_(Person.source_id.is_not(None), Person.given_name != "", Person.family_name != "")
    gone = select(Person.id).where(Person.ended_at < now - older_than, still_known).limit(at_most)
    ids = db.session.scalars(gone).all()
    if ids:
        db.session.execute(delete(Membership).where(Membership.person_id.in_(ids)))
        nothing = {"given_name": "", "family_name": "", "username": None, "email": None, "source_id": None}
        db.session.execute(update(Person).where(Person.id.in_(ids)).values(nothing))
        db.session.expire_all()
    return len(ids)
