"""Reading tablets: one, many, and the fleet in figures. A fixed number of statements whatever the fleet's size."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, null, or_, select, union
from sqlalchemy.orm import contains_eager, joinedload

from fleet.access import Permission, Principal
from fleet.db import db
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment
from fleet.errors import NotFoundError
from fleet.schools.models import Membership, MembershipRole, School, SchoolClass
from fleet.schools.queries import holding


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tablets: by school, class, life, free text (serial, tag, model), or not seen since an instant.

    ``is_pending`` asks for enrolled tablets that do not have their profile yet. Without ``with_retired`` those that are
    out of use are left out, as they are in :class:`Figures`.
    """

    school_id: int | None = None
    class_id: int | None = None
    life: DeviceLife | None = None
    text: str | None = None
    not_seen_since: datetime | None = None
    has_findings: bool | None = None
    is_pending: bool = False
    with_retired: bool = True


_LOOKED_AT = 2_000  # tablets among which what was meant is sought
_IS_APPLIED = DeviceState.applied_digest == DeviceState.desired_digest
_IS_PENDING = DeviceState.last_seen_at.is_(None) | DeviceState.applied_digest.is_(None) | ~_IS_APPLIED


def _visible(query: Select[Any], by: Principal) -> Select[Any]:
    """Narrow a query over tablets to what ``by`` may see."""
    schools = by.school_ids(Permission.SEE_SCHOOL)
    if schools is None:
        return query
    own = Device.id.in_(_of_classes(by.own_class_ids, by.today))
    return query.where(or_(Device.school_id.in_(schools), own) if by.own_class_ids else Device.school_id.in_(schools))


def _is_pupil(on: date | None) -> tuple[ColumnElement[bool], ...]:
    return Membership.role == MembershipRole.PUPIL, *holding(on)


def _of_classes(class_ids: Collection[int], on: date | None) -> Select[Any]:
    """Select the tablets of classes: their own, and those of who is their pupil on a date."""
    pupils = select(Membership.person_id).where(Membership.class_id.in_(class_ids), *_is_pupil(on))
    return select(Device.id).where(or_(Device.class_id.in_(class_ids), Device.person_id.in_(pupils)))


def find_device(name: str, *, by: Principal) -> Device:
    """Return the tablet of this serial or asset tag (case does not matter).

    Raises:
        NotFoundError: none, or ``by`` may not see it, data has the nearest serials and tags; or several have this asset
            tag, data then has ``reason``.
    """
    told = name.strip()
    # SQLite's upper() knows ASCII only, so a tag with Norwegian letters is also compared as it is.
    has_tag = or_(Device.asset_tag == told, func.upper(Device.asset_tag) == told.upper())
    query = _visible(select(Device).where(or_(Device.serial == told.upper(), has_tag)), by)
    found = db.session.scalars(query.order_by(Device.serial != told.upper()).limit(2)).all()
    if len(found) > 1 and found[0].serial != told.upper():
        raise NotFoundError(kind="tablet", name=name, reason="several have this asset tag: say the serial")
    if not found:
        raise NotFoundError(kind="tablet", name=name, nearest=_nearest(told.upper(), by))
    device: Device = found[0]
    return device


def _nearest(told: str, by: Principal) -> list[str]:
    """Return what a mistyped serial or tag may have meant: one slip leaves one of its halves as it is."""
    half = len(told) // 2
    if not half:
        return []
    names: list[Any] = [Device.serial, Device.asset_tag]
    halves = [name.startswith(told[:half], autoescape=True) for name in names]
    halves += [name.endswith(told[-half:], autoescape=True) for name in names]
    rows = db.session.execute(_visible(select(*names).where(or_(*halves)), by).limit(_LOOKED_AT))
    known = {name for row in rows for name in row if name is not None}
    return difflib.get_close_matches(told, sorted(known), n=3, cutoff=0.7)


def devices(given: Filter, *, by: Principal, limit: int | None = None, offset: int = 0) -> Sequence[Device]:
    """Return tablets with their state, school and class, by school and serial."""
    query = (
        select(Device)
        .join(Device.state)
        .outerjoin(Device.school)
        .options(contains_eager(Device.state), contains_eager(Device.school), joinedload(Device.school_class))
        .order_by(School.name, Device.serial)
    )
    return db.session.scalars(_matching(query, given, by).limit(limit).offset(offset)).unique().all()


def count(given: Filter, *, by: Principal) -> int:
    """Return how many tablets :func:`devices` would return without a limit."""
    query = select(func.count()).select_from(Device).join(Device.state)
    return db.session.scalar(_matching(query, given, by)) or 0


def matching(given: Filter, *, by: Principal) -> Select[Any]:
    """Select the ids of the tablets :func:`devices` would return, for other areas' queries."""
    return _matching(select(Device.id).join(Device.state), given, by)


def _matching(query: Select[Any], given: Filter, by: Principal) -> Select[Any]:
    if given.school_id is not None:
        query = query.where(Device.school_id == given.school_id)
    if given.class_id is not None:
        query = query.where(Device.id.in_(_of_classes([given.class_id], by.today)))
    if given.life is not None:
        query = query.where(Device.life == given.life)
    if given.text:
        told = given.text.strip()
        columns = (Device.serial, Device.asset_tag, Device.model)
        query = query.where(or_(*(column.icontains(told, autoescape=True) for column in columns)))
    if given.not_seen_since is not None:
        seen = DeviceState.last_seen_at
        query = query.where(Device.life == DeviceLife.ENROLLED, or_(seen.is_(None), seen < given.not_seen_since))
    if given.has_findings is not None:
        query = query.where(DeviceState.has_findings == given.has_findings)
    if given.is_pending:
        query = query.where(Device.life == DeviceLife.ENROLLED, _IS_PENDING)
    if not given.with_retired:
        query = query.where(Device.life != DeviceLife.RETIRED)
    return _visible(query, by)


def enrolments(device: Device) -> Sequence[Enrolment]:
    """Return a tablet's enrolments, newest first."""
    return db.session.scalars(
        select(Enrolment).where(Enrolment.device_id == device.id).order_by(Enrolment.id.desc())
    ).all()


def profile_state(state: DeviceState) -> str:
    """Return ``applied``, ``failed`` (some settings), ``pending`` or ``unknown`` (never reported)."""
    if state.last_seen_at is None:
        return "unknown"
    if state.applied_digest != state.desired_digest:
        return "pending"
    return "failed" if state.failures else "applied"


@dataclass(frozen=True, slots=True)
class Figures:
    """A school's, a class's or the fleet's tablets in numbers.

    ``ready``, ``waiting`` and ``quiet`` share out the enrolled ones: heard from within a day and with their profile,
    heard from but without it, and not heard from within a day.
    """

    total: int = 0
    expected: int = 0
    enrolled: int = 0
    lost: int = 0
    seen_last_hour: int = 0
    seen_last_day: int = 0
    applied: int = 0
    pending: int = 0
    with_findings: int = 0
    ready: int = 0
    last_seen_at: datetime | None = None

    @property
    def waiting(self) -> int:
        """Heard from within a day, and without their profile."""
        return self.seen_last_day - self.ready

    @property
    def quiet(self) -> int:
        """Enrolled, and not heard from within a day."""
        return self.enrolled - self.seen_last_day


def figures(
    *, by: Principal, now: datetime, group: str = "school", school_id: int | None = None
) -> dict[int | None, Figures]:
    """Return the numbers by school, or by class with ``group="class"``; one statement.

    A pupil's own tablet counts in every class the pupil is in. A tablet without a school (or class) counts under None;
    retired ones do not count.

    Args:
        by: who asks; only visible tablets count.
        now: the instant.
        group: ``school`` or ``class``.
        school_id: only this school's tablets.
    """
    query = select(*_measures(now)).join(Device.state).where(Device.life != DeviceLife.RETIRED)
    if school_id is not None:
        query = query.where(Device.school_id == school_id)
    if group == "class":
        places = _class_places(by.today).subquery()
        query = query.join(places, places.c.device_id == Device.id)
        key = places.c.class_id
    else:
        key = Device.school_id
    rows = db.session.execute(_visible(query, by).add_columns(key.label("key")).group_by(key))
    return {row.key: Figures(*row[:-1]) for row in rows}


def totals(*, by: Principal, now: datetime, school_id: int | None = None) -> Figures:
    """Return the numbers of all visible tablets, or of one school's; each tablet counts once."""
    query = select(*_measures(now)).join(Device.state).where(Device.life != DeviceLife.RETIRED)
    if school_id is not None:
        query = query.where(Device.school_id == school_id)
    return Figures(*db.session.execute(_visible(query, by)).one())


def counts_by_class_source(*, by: Principal) -> dict[str, int]:
    """Return how many tablets stand in each class, ended ones too, by the class's id in the roster; not the retired."""
    columns: list[Any] = [SchoolClass.source_id, func.count()]
    query = select(*columns).join(Device, Device.class_id == SchoolClass.id)
    query = query.where(SchoolClass.source_id.is_not(None), Device.life != DeviceLife.RETIRED)
    rows = db.session.execute(_visible(query, by).group_by(SchoolClass.source_id))
    return {row[0]: row[1] for row in rows}


def _measures(now: datetime) -> list[Any]:
    """Return the columns that :class:`Figures` takes, in its order."""
    enrolled = Device.life == DeviceLife.ENROLLED
    seen, hour, day = DeviceState.last_seen_at, now - timedelta(hours=1), now - timedelta(days=1)

    def number(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    return [
        func.count(Device.id),
        number(Device.life == DeviceLife.EXPECTED),
        number(enrolled),
        number(Device.life == DeviceLife.LOST),
        number(enrolled & (seen >= hour)),
        number(enrolled & (seen >= day)),
        number(enrolled & seen.is_not(None) & _IS_APPLIED),
        number(enrolled & _IS_PENDING),
        number(enrolled & DeviceState.has_findings),
        number(enrolled & (seen >= day) & _IS_APPLIED),
        func.max(seen),
    ]


def _class_places(on: date | None) -> Any:
    """Select (device_id, class_id): each tablet once for every class it counts in, with None where it is in none."""
    of_pupils = select(Device.id, Membership.class_id).join(Membership, Membership.person_id == Device.person_id)
    has_class = select(Membership.id).where(Membership.person_id == Device.person_id, *_is_pupil(on)).exists()
    return union(
        select(Device.id.label("device_id"), Device.class_id.label("class_id")).where(Device.class_id.is_not(None)),
        of_pupils.where(*_is_pupil(on)),
        select(Device.id, null()).where(Device.class_id.is_(None), ~has_class),
    )


def keys(thumbprints: Collection[str]) -> dict[str, tuple[int, bytes]]:
    """Return tablet and public key (DER) by thumbprint, of enrolments past and present; one statement.

    Whether a key still counts is decided where it is used: here it only gets a name.
    """
    query = select(Enrolment.key_thumbprint, Enrolment.device_id, Enrolment.public_key).where(
        Enrolment.key_thumbprint.in_(thumbprints)
    )
    return {name: (device_id, key) for name, device_id, key in db.session.execute(query) if name and key}
