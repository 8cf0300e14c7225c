"""Reading tablets: one, many, and the fleet in figures. A fixed number of statements whatever the fleet's size."""

import difflib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, null, or_, select, true, union
from sqlalchemy.orm import aliased, contains_eager, joinedload

from fleet.access import Permission, Principal
from fleet.db import db, id_set
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment, Platform
from fleet.devices.search import is_pupil, matches
from fleet.errors import NotFoundError
from fleet.schools.models import ClassKind, Membership, Person, School, SchoolClass


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tablets: by school, class, life, free text (see :mod:`fleet.devices.search`), or when they were heard from.

    ``is_pending`` asks for enrolled tablets that do not have their profile yet, ``is_failed`` for those that have it
    without all settings. Without ``with_retired`` those that are out of use are left out, as they are in
    :class:`Figures`. ``within`` selects ids: only tablets among them, for areas that know more of tablets than this.
    """

    school_id: int | None = None
    class_id: int | None = None
    life: DeviceLife | None = None
    text: str | None = None
    not_seen_since: datetime | None = None
    has_findings: bool | None = None
    is_pending: bool = False
    with_retired: bool = True
    platform: Platform | None = None
    seen_since: datetime | None = None
    is_failed: bool = False
    within: Select[Any] | None = None


_LOOKED_AT = 2_000  # tablets among which what was meant is sought
_IS_APPLIED = DeviceState.applied_digest == DeviceState.desired_digest
_IS_PENDING = DeviceState.last_seen_at.is_(None) | DeviceState.applied_digest.is_(None) | ~_IS_APPLIED


def may_see(by: Principal) -> ColumnElement[bool]:
    """Whether ``by`` may see a tablet: those of the own schools, and of the own classes."""
    schools = by.school_ids(Permission.SEE_SCHOOL)
    if schools is None:
        return true()
    at_school = Device.school_id.in_(schools)
    return or_(at_school, Device.id.in_(_of_classes(by.own_class_ids, by.today))) if by.own_class_ids else at_school


def _visible(query: Select[Any], by: Principal) -> Select[Any]:
    """Narrow a query over tablets to what ``by`` may see."""
    return query.where(may_see(by))


def _of_classes(class_ids: Collection[int], on: date | None) -> Select[Any]:
    """Select the tablets of classes: their own, and those of who is their pupil on a date."""
    pupils = select(Membership.person_id).where(Membership.class_id.in_(class_ids), *is_pupil(on))
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
    known = (Device.state, Device.school, Device.school_class, Device.person)
    query = select(Device).options(*(joinedload(one) for one in known))
    query = _visible(query.where(or_(Device.serial == told.upper(), has_tag)), by)
    found = db.session.scalars(query.order_by(Device.serial != told.upper()).limit(2)).all()
    if len(found) > 1 and found[0].serial != told.upper():
        raise NotFoundError(kind="tablet", name=name, reason="several have this asset tag: say the serial")
    if not found:
        raise NotFoundError(kind="tablet", name=name, nearest=_nearest(told.upper(), by))
    device: Device = found[0]
    return device


def exactly(told: str, *, by: Principal) -> str | None:
    """Return the serial of the one visible tablet that has this very serial or asset tag; None where it is not one."""
    tag = or_(Device.asset_tag == told, func.upper(Device.asset_tag) == told.upper())
    query = _visible(select(Device.serial).where(or_(Device.serial == told.upper(), tag)), by)
    found = db.session.scalars(query.order_by(Device.serial != told.upper()).limit(2)).all()
    is_one = len(found) == 1 or (len(found) > 1 and found[0] == told.upper())
    return found[0] if is_one else None


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


def devices(
    given: Filter, *, by: Principal, limit: int | None = None, offset: int = 0, sort: str = "school"
) -> Sequence[Device]:
    """Return tablets with their state, school, class and pupil; one statement.

    Args:
        given: which of them.
        by: who asks.
        limit: at most so many.
        offset: after so many.
        sort: one of :data:`SORTS`, with a hyphen before it the other way round; within it by serial.
    """
    known = (Device.state, Device.school, Device.school_class, Device.person)
    query = _in_order(select(Device).join(Device.state), sort, by).options(*(contains_eager(one) for one in known))
    return db.session.scalars(_matching(query, given, by).limit(limit).offset(offset)).unique().all()


def ids(given: Filter, *, by: Principal, sort: str = "school") -> Sequence[int]:
    """Return the ids of the tablets :func:`devices` would return, in its order: for who reads very many in parts."""
    query = _in_order(select(Device.id).join(Device.state), sort, by)
    return db.session.scalars(_matching(query, given, by)).all()


def _in_order(query: Select[Any], sort: str, by: Principal) -> Select[Any]:
    """Put a query over tablets in one of :data:`SORTS`; it then has their schools, classes and pupils beside them."""
    for one in (Device.school, Device.school_class, Device.person):
        query = query.outerjoin(one)
    told = sort.removeprefix("-")
    titles = _titles(by.today).subquery() if told == "class" else None
    if titles is not None:
        query = query.outerjoin(titles, titles.c.person_id == Device.person_id)
    missing, columns = _order(told, titles)
    ordered = [missing, *((column.desc() for column in columns) if sort.startswith("-") else columns)]
    return query.order_by(*ordered, Device.serial)


SORTS = ("serial", "tag", "school", "class", "pupil", "model", "seen")


def _order(sort: str, titles: Any) -> tuple[Any, list[Any]]:
    """Return what puts those last of which nothing is told, and the columns of an order."""
    own: dict[str, list[Any]] = {
        "serial": [Device.serial],
        "tag": [Device.asset_tag],
        "pupil": [Person.family_name, Person.given_name],
        "model": [Device.model],
        "seen": [DeviceState.last_seen_at],
        "school": [School.name],
    }
    if titles is not None:  # 8A before 10A: the shorter title first
        title = func.coalesce(SchoolClass.title, titles.c.title)
        return title.is_(None), [func.length(title), title]
    columns = own.get(sort, own["school"])
    return columns[0].is_(None), columns


def _titles(on: date | None) -> Select[Any]:
    """Select the basic class of each pupil, the first of several by its title."""
    of = aliased(SchoolClass)
    columns: list[Any] = [Membership.person_id, func.min(of.title).label("title")]
    query = select(*columns).join(of, of.id == Membership.class_id)
    return query.where(of.kind == ClassKind.BASIC, *is_pupil(on)).group_by(Membership.person_id)


def class_titles(found: Collection[Device], *, on: date | None) -> dict[int, list[str]]:
    """Return the basic classes of the pupils whose own these tablets are, by tablet; one statement."""
    persons = {one.person_id for one in found} - {None}
    columns = (Membership.person_id, SchoolClass.title)
    query = select(*columns).join(SchoolClass, SchoolClass.id == Membership.class_id)
    query = query.where(Membership.person_id.in_(id_set(one for one in persons if one is not None)), *is_pupil(on))
    titles: dict[int, list[str]] = defaultdict(list)
    is_basic = (SchoolClass.kind == ClassKind.BASIC, SchoolClass.ended_at.is_(None))
    for person_id, title in db.session.execute(query.where(*is_basic).order_by(SchoolClass.title)):
        titles[person_id].append(title)
    return {one.id: titles[one.person_id] for one in found if one.person_id in titles}


def own_tablets(person_ids: Collection[int], *, by: Principal) -> dict[int, list[Device]]:
    """Return the tablets that are people's own, by person and with their state; not the retired. One statement."""
    query = select(Device).where(Device.person_id.in_(id_set(person_ids)), Device.life != DeviceLife.RETIRED)
    found: dict[int, list[Device]] = defaultdict(list)
    for one in db.session.scalars(_visible(query.options(joinedload(Device.state)).order_by(Device.serial), by)):
        if one.person_id is not None:
            found[one.person_id].append(one)
    return dict(found)


def count(given: Filter, *, by: Principal) -> int:
    """Return how many tablets :func:`devices` would return without a limit."""
    query = select(func.count()).select_from(Device).join(Device.state)
    return db.session.scalar(_matching(query, given, by)) or 0


def matching(given: Filter, *, by: Principal) -> Select[Any]:
    """Select the ids of the tablets :func:`devices` would return, for other areas' queries."""
    return _matching(select(Device.id).join(Device.state), given, by)


def _matching(query: Select[Any], given: Filter, by: Principal) -> Select[Any]:
    exact = {
        Device.school_id: given.school_id, Device.life: given.life, Device.platform: given.platform,
        DeviceState.has_findings: given.has_findings,
    }  # fmt: skip
    conditions = [column == value for column, value in exact.items() if value is not None]
    if given.class_id is not None:
        conditions.append(Device.id.in_(_of_classes([given.class_id], by.today)))
    if given.text:
        conditions.append(matches(given.text, on=by.today))
    if given.within is not None:
        conditions.append(Device.id.in_(given.within))
    if not given.with_retired:
        conditions.append(Device.life != DeviceLife.RETIRED)
    of_enrolled = _of_enrolled(given)
    if of_enrolled:
        conditions += [Device.life == DeviceLife.ENROLLED, *of_enrolled]
    return _visible(query.where(*conditions), by)


def _of_enrolled(given: Filter) -> list[ColumnElement[bool]]:
    """Return the conditions that make sense of tablets in use only."""
    seen = DeviceState.last_seen_at
    conditions: list[ColumnElement[bool]] = []
    if given.not_seen_since is not None:
        conditions.append(or_(seen.is_(None), seen < given.not_seen_since))
    if given.seen_since is not None:
        conditions.append(seen >= given.seen_since)
    if given.is_pending:
        conditions.append(_IS_PENDING)
    if given.is_failed:
        conditions += [seen.is_not(None), _IS_APPLIED, DeviceState.failures.is_not(None)]
    return conditions


def any_known() -> bool:
    """Whether any tablet has ever come in; asks for no permission."""
    return db.session.scalar(select(Device.id).where(Device.life != DeviceLife.EXPECTED).limit(1)) is not None


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
    heard from but without it, and not heard from within a day. Those that wait for approval count apart.
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
    pending_approval: int = 0

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
        places = class_places(by.today).subquery()
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
        number(Device.life == DeviceLife.PENDING),
    ]


def class_places(on: date | None) -> Any:
    """Select (device_id, class_id): each tablet once for every class it counts in, with None where it is in none."""
    of_pupils = select(Device.id, Membership.class_id).join(Membership, Membership.person_id == Device.person_id)
    has_class = select(Membership.id).where(Membership.person_id == Device.person_id, *is_pupil(on)).exists()
    return union(
        select(Device.id.label("device_id"), Device.class_id.label("class_id")).where(Device.class_id.is_not(None)),
        of_pupils.where(*is_pupil(on)),
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
