"""Reading findings: a fixed number of statements however many there are."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import contains_eager

from fleet.access import Principal
from fleet.compliance.models import Finding, FindingKind
from fleet.db import db
from fleet.devices import queries as devices
from fleet.devices.models import Device


def open_findings(
    *,
    by: Principal,
    school_id: int | None = None,
    class_id: int | None = None,
    device_id: int | None = None,
    limit: int | None = None,
) -> Sequence[Finding]:
    """Return open findings of the tablets ``by`` may see, newest first, with tablet, school and class; one statement.

    Args:
        by: who asks.
        school_id: only this school's tablets.
        class_id: only this class's tablets, and those of its pupils.
        device_id: only this tablet's.
        limit: at most so many.
    """
    own = contains_eager(Finding.device)
    query = (
        _open(select(Finding), devices.Filter(school_id=school_id, class_id=class_id), by)
        .join(Finding.device)
        .options(own, own.joinedload(Device.school), own.joinedload(Device.school_class))
        .order_by(Finding.opened_at.desc(), Finding.id.desc())
        .limit(limit)
    )
    if device_id is not None:
        query = query.where(Finding.device_id == device_id)
    return db.session.scalars(query).all()


def counts(*, by: Principal) -> dict[FindingKind, int]:
    """Return how many findings of each kind are open at the tablets ``by`` may see; one statement."""
    query: Any = select(Finding.kind, func.count()).group_by(Finding.kind)
    found = {row[0]: row[1] for row in db.session.execute(_open(query, devices.Filter(), by))}
    return {kind: found.get(kind, 0) for kind in FindingKind}


def _open(query: Select[Any], given: devices.Filter, by: Principal) -> Select[Any]:
    return query.where(Finding.closed_at.is_(None), Finding.device_id.in_(devices.matching(given, by=by)))
