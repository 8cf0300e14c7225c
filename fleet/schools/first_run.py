"""The first run of an empty server: which of its steps somebody has put aside, and whether anybody is asked any more.

Whether a step is done is seen from the data, by whoever shows the steps; here is only what the data cannot tell.
"""

import enum
from datetime import datetime

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import db, take_turn
from fleet.schools.models import Municipality
from fleet.schools.queries import ensure_municipality, municipality


class Step(enum.StrEnum):
    """One step, in the order in which they are offered."""

    MUNICIPALITY = "municipality"
    CALENDAR = "calendar"
    SCHOOLS = "schools"
    PROFILE = "profile"
    TICKET = "ticket"
    TABLET = "tablet"


def skipped() -> frozenset[Step]:
    """Return the steps that were put aside."""
    owner = municipality()
    known = {one.value: one for one in Step}
    return frozenset(known[one] for one in (owner.setup_skipped or [] if owner is not None else []) if one in known)


def is_over() -> bool:
    """Whether nobody is asked about the first run any more."""
    owner = municipality()
    return owner is not None and owner.setup_ended_at is not None


def skip(step: Step, *, by: Principal) -> None:
    """Put a step aside.

    Raises:
        ForbiddenError: ``by`` may not edit the municipality.
    """
    owner = _hold(by)
    _keep(owner, skipped() | {step})


def resume(step: Step, *, by: Principal, now: datetime) -> None:
    """Take a step up again, and the first run with it.

    Raises:
        ForbiddenError: ``by`` may not edit the municipality.
    """
    owner = _hold(by)
    if owner.setup_ended_at is not None:
        owner.setup_ended_at = None
        audit.record(by, "setup.resumed", subject="municipality:1", now=now)
    _keep(owner, skipped() - {step})


def end(*, by: Principal, now: datetime) -> None:
    """Ask nobody about the first run any more.

    Raises:
        ForbiddenError: ``by`` may not edit the municipality.
    """
    owner = _hold(by)
    if owner.setup_ended_at is None:
        owner.setup_ended_at = now
        audit.record(by, "setup.ended", subject="municipality:1", now=now)
    db.session.flush()


def _hold(by: Principal) -> Municipality:
    """Return the municipality as it is once nobody else changes its steps; until this transaction ends, nobody does."""
    require(by, Permission.EDIT_MUNICIPALITY)
    take_turn("setup")
    found = db.session.get(Municipality, 1, with_for_update=True, populate_existing=True)
    return found if found is not None else ensure_municipality("")


def _keep(owner: Municipality, steps: frozenset[Step]) -> None:
    owner.setup_skipped = sorted(one.value for one in steps)
    db.session.flush()
