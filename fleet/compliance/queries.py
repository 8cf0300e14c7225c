"""Reading findings: a fixed number of statements however many there are."""

import enum
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import contains_eager, joinedload

from fleet.access import Principal
from fleet.compliance.models import OF_SILENCE, Finding, FindingKind, Severity
from fleet.db import db, id_set
from fleet.devices import queries as devices
from fleet.devices.models import Device, DeviceState
from fleet.devices.search import is_pupil
from fleet.errors import NotFoundError
from fleet.schools.models import ClassKind, Membership, School, SchoolClass


class Attention(enum.StrEnum):
    """What an open finding asks for."""

    NEEDS = "needs"  # a look: nobody has acknowledged it, and it does not sleep
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which findings: of a kind, or of the tablets of a school, of a class and its pupils, or of one tablet.

    Args:
        kind: a kind, or the code of a rule of one's own.
        school_id: of this school's tablets.
        class_id: of the tablets of this class and its pupils.
        device_id: of this tablet.
        attention: only those that ask for this; needs ``now``.
        severity: only those that matter so much.
        is_closed: those that are closed, the last to close first, in place of those that are open.
        now: the instant at which a finding sleeps or does not.
    """

    kind: str | None = None
    school_id: int | None = None
    class_id: int | None = None
    device_id: int | None = None
    attention: Attention | None = None
    severity: Severity | None = None
    is_closed: bool = False
    now: datetime | None = None


_SILENT = Filter(kind=FindingKind.SILENT)


@dataclass(frozen=True, slots=True)
class Count:
    """How many findings are open, and how many tablets they are about."""

    findings: int
    tablets: int


def open_findings(given: Filter, *, by: Principal, limit: int | None = None, offset: int = 0) -> Sequence[Finding]:
    """Return findings of the tablets ``by`` may see, newest first, with tablet, school and class; one statement.

    They are open ones unless ``given`` asks for those that are closed.

    Args:
        given: which of them.
        by: who asks.
        limit: at most so many.
        offset: after so many.
    """
    own = contains_eager(Finding.device)
    query = (
        _open(select(Finding), given, by)
        .join(Finding.device)
        .options(own, own.joinedload(Device.school), own.joinedload(Device.school_class))
        .order_by((Finding.closed_at if given.is_closed else Finding.opened_at).desc(), Finding.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return db.session.scalars(query).all()


def find(finding_id: int, *, by: Principal) -> Finding:
    """Return a finding, open or closed, with its tablet, school and class; one statement.

    Raises:
        NotFoundError: there is none of this number, or ``by`` may not see its tablet.
    """
    own = contains_eager(Finding.device)
    query = select(Finding).join(Finding.device).where(Finding.id == finding_id, devices.may_see(by))
    query = query.options(own, own.joinedload(Device.school), own.joinedload(Device.school_class))
    found = db.session.scalars(query).one_or_none()
    if found is None:
        raise NotFoundError(kind="finding", name=str(finding_id))
    return found


def muted(device_id: int) -> Sequence[Finding]:
    """Return those of a tablet that the caller was given which were closed by hand while their reason stands."""
    query = select(Finding).where(Finding.device_id == device_id, Finding.is_mute)
    return db.session.scalars(query.order_by(Finding.closed_at.desc(), Finding.id.desc())).all()


def count(given: Filter, *, by: Principal) -> Count:
    """Return how many findings :func:`open_findings` would return without a limit, and of how many tablets."""
    query: Any = select(func.count(), func.count(Finding.device_id.distinct())).select_from(Finding)
    return Count(*db.session.execute(_open(query, given, by)).one())


def counts(*, by: Principal, needing_at: datetime | None = None) -> dict[str, int]:
    """Return how many findings of each kind are open at the tablets ``by`` may see; one statement.

    It has every kind that comes with the server, and those of own rules that have any.

    Args:
        by: who asks.
        needing_at: only those that need a look at this instant: neither acknowledged nor asleep.
    """
    query: Any = select(Finding.kind, func.count()).group_by(Finding.kind)
    found = {row[0]: row[1] for row in db.session.execute(_open(query, _needing(Filter(), needing_at), by))}
    return {kind.value: 0 for kind in FindingKind} | found


def open_in_figures() -> tuple[dict[Severity, int], dict[FindingKind, int]]:
    """Return how many findings are open by how much they matter, and how many of silence by kind; one statement."""
    kind = case((Finding.kind.in_(sorted(OF_SILENCE)), Finding.kind))
    query: Any = select(Finding.severity, kind, func.count()).where(Finding.closed_at.is_(None))
    severities, silent = dict.fromkeys(Severity, 0), dict.fromkeys(sorted(OF_SILENCE), 0)
    for severity, of_silence, number in db.session.execute(query.group_by(Finding.severity, kind)):
        severities[severity] += number
        if of_silence is not None:
            silent[FindingKind(of_silence)] += number
    return severities, silent


@dataclass(frozen=True, slots=True)
class Silence:
    """The silent tablets of one class, or of those of a school that are in none.

    ``since`` is when the last of them was heard from, None where none ever was.
    """

    school_id: int | None
    school: str | None
    class_id: int | None
    class_title: str | None
    tablets: int
    since: datetime | None


def _needing(given: Filter, at: datetime | None) -> Filter:
    return replace(given, attention=Attention.NEEDS, now=at) if at is not None else given


def silences(*, by: Principal, limit: int, needing_at: datetime | None = None) -> Sequence[Silence]:
    """Return where the silent tablets are that ``by`` may see, most of them first; one statement.

    A tablet is of the class it stands in, else of its pupil's basic class, the first by title of several.

    Args:
        by: who asks.
        limit: at most so many places.
        needing_at: only those whose finding needs a look at this instant.
    """
    own: Any = Finding.device
    columns_of: Any = select(Device.school_id, class_of_tablet(by.today).label("class_id"), DeviceState.last_seen_at)
    found = _open(columns_of, _needing(_SILENT, needing_at), by)
    one = found.select_from(Finding).join(own).join(Device.state).subquery()
    number, since = func.count(), func.max(one.c.last_seen_at)
    columns: list[Any] = [one.c.school_id, School.name, one.c.class_id, SchoolClass.title, number, since]
    query = select(*columns).select_from(one).outerjoin(School, School.id == one.c.school_id)
    query = query.outerjoin(SchoolClass, SchoolClass.id == one.c.class_id).group_by(*columns[:4])
    ordered = query.order_by(number.desc(), School.name, func.length(SchoolClass.title), SchoolClass.title)
    return [Silence(*row) for row in db.session.execute(ordered.limit(limit))]


def class_of_tablet(on: date | None) -> Any:
    """Return the class of a tablet: where it stands, else its pupil's basic class, the first by title of several."""
    pupils = select(SchoolClass.id).join(Membership, Membership.class_id == SchoolClass.id).correlate(Device)
    basic = pupils.where(Membership.person_id == Device.person_id, SchoolClass.kind == ClassKind.BASIC, *is_pupil(on))
    first = basic.order_by(SchoolClass.title, SchoolClass.id).limit(1)
    return func.coalesce(Device.class_id, first.scalar_subquery())


def kinds_of(device_ids: Collection[int]) -> dict[int, list[str]]:
    """Return the kinds of open findings of tablets that the caller was given, by tablet; one statement, or none."""
    found: dict[int, list[str]] = defaultdict(list)
    if device_ids:
        query = select(Finding.device_id, Finding.kind).distinct().order_by(Finding.kind)
        mine = (Finding.closed_at.is_(None), Finding.device_id.in_(id_set(device_ids)))
        for device_id, kind in db.session.execute(query.where(*mine)):
            found[device_id].append(kind)
    return dict(found)


def history(device_id: int, *, before: datetime, limit: int) -> Sequence[Finding]:
    """Return the findings of a tablet that the caller was given, opened or closed before an instant.

    With what was done about them; one statement.
    """
    query = select(Finding).options(joinedload(Finding.events))
    query = query.where(Finding.device_id == device_id, or_(Finding.opened_at < before, Finding.closed_at < before))
    ordered = query.order_by(Finding.opened_at.desc(), Finding.id.desc()).limit(limit)
    return db.session.scalars(ordered).unique().all()


def _open(query: Select[Any], given: Filter, by: Principal) -> Select[Any]:
    tablets = devices.matching(devices.Filter(school_id=given.school_id, class_id=given.class_id), by=by)
    if given.device_id is not None:  # said here too, so that no list of all tablets is made to find one in
        tablets = tablets.where(Device.id == given.device_id)
    is_meant = Finding.closed_at.is_not(None) if given.is_closed else Finding.closed_at.is_(None)
    query = query.where(is_meant, Finding.device_id.in_(tablets))
    if given.severity is not None:
        query = query.where(Finding.severity == given.severity)
    if given.attention is not None:
        query = query.where(*_asks_for(Attention(given.attention), given.now))
    if given.kind is not None:
        query = query.where(Finding.kind == given.kind)
    if given.device_id is not None:
        query = query.where(Finding.device_id == given.device_id)
    return query


def _asks_for(attention: Attention, now: datetime | None) -> Sequence[ColumnElement[bool]]:
    if now is None:
        raise ValueError("whether a finding sleeps needs an instant")
    until = Finding.snoozed_until
    wakes = or_(until.is_(None), until <= now)
    if attention is Attention.SNOOZED:
        return [until > now]
    is_known = and_(Finding.acknowledged_at.is_not(None), until.is_(None))
    return [is_known] if attention is Attention.ACKNOWLEDGED else [wakes, ~is_known]


def attention(finding: Finding, *, now: datetime) -> Attention:
    """Return what an open finding asks for."""
    if finding.snoozed_until is not None:
        return Attention.SNOOZED if finding.snoozed_until > now else Attention.NEEDS
    return Attention.ACKNOWLEDGED if finding.acknowledged_at is not None else Attention.NEEDS


def attentions(given: Filter, *, by: Principal, now: datetime) -> dict[Attention, int]:
    """Return how many open findings ask for what; one statement. What ``given`` says of that is not looked at."""
    whole = replace(given, attention=None, is_closed=False)
    numbers: list[Any] = [func.count().filter(and_(*_asks_for(one, now))).label(one.name.lower()) for one in Attention]
    query: Any = select(*numbers).select_from(Finding)
    row = db.session.execute(_open(query, whole, by)).one()
    return dict(zip(Attention, row, strict=True))
