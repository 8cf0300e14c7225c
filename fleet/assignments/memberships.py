"""Memberships that begin or end by their date: their pupils' tablets follow, although nobody changed anything."""

from datetime import date, datetime, timedelta

from sqlalchemy import and_, or_, select

from fleet.assignments.materialise import materialise
from fleet.db import db
from fleet.devices.models import Device
from fleet.schools.models import Membership, MembershipRole


def follow_dates(*, since: date, now: datetime) -> int:
    """Give the tablets of pupils who came to a class or left it what they shall have; returns how many change.

    A bounded number of statements, none that writes where no membership began or ended. For a job.

    Args:
        since: the day of the last time this was done; what began or ended later is followed.
        now: the instant. Days are UTC days, as :func:`fleet.assignments.materialise.applicable_to` counts them: a
            class changes some hours after local midnight, when no school is open.
    """
    today = now.date()
    begins = and_(Membership.starts_on > since, Membership.starts_on <= today)
    # The last day is included, so what changes is the day after it.
    over = and_(Membership.ends_on >= since, Membership.ends_on <= today - timedelta(days=1))
    persons = select(Membership.person_id).where(
        Membership.role == MembershipRole.PUPIL, Membership.ended_at.is_(None), or_(begins, over)
    )
    given = select(Device.id).where(Device.person_id.in_(persons))
    if db.session.scalar(given.limit(1)) is None:
        return 0
    return materialise(given, now=now)
