"""Places against profiles: what is assigned where, seen at a glance. Few statements, however many classes there are."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from fleet.access import Permission, Principal
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.assignments.models import Assignment, Scope
from fleet.db import db, id_set
from fleet.devices.models import Device
from fleet.errors import NotFoundError
from fleet.schools.models import School, SchoolClass

CLASSES_SHOWN = 50  # of a school at once


@dataclass(frozen=True, slots=True)
class Class:
    """A class as a row."""

    id: int
    title: str


@dataclass(frozen=True, slots=True)
class OpenSchool:
    """The classes of the school whose rows are open: those of one page, and how many there are in all."""

    id: int
    classes: Sequence[Class]
    count: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """What one may see: schools by name, one of them open, and what stands by place and profile.

    Args:
        schools: names by number.
        opened: the open one, None where none is.
        cells: the standing assignments of a place, by scope and number (0: the municipality), then by profile's number.
        on_tablets: those of single tablets.
    """

    schools: Mapping[int, str]
    opened: OpenSchool | None
    cells: Mapping[tuple[Scope, int], Mapping[int, Sequence[Assignment]]]
    on_tablets: Sequence[Assignment]

    def at(self, scope: Scope, number: int, profile_id: int) -> Sequence[Assignment]:
        """Return what stands at a place of a profile."""
        return self.cells.get((scope, number), {}).get(profile_id, ())


def load(*, school_id: int | None, page: int = 1, by: Principal, now: datetime) -> Matrix:
    """Return the matrix with one school open; at most four statements.

    Args:
        school_id: the school that is open; one that ``by`` may not see opens none.
        page: of its classes.
        by: who looks.
        now: the instant.
    """
    visible = by.school_ids(Permission.SEE_SCHOOL)
    query = select(School.id, School.name).where(School.ended_at.is_(None)).order_by(School.name)
    if visible is not None:
        query = query.where(School.id.in_(visible))
    schools = {row.id: row.name for row in db.session.execute(query)}
    cells: dict[tuple[Scope, int], dict[int, list[Assignment]]] = defaultdict(lambda: defaultdict(list))
    on_tablets = []
    for one in assigning.listed(by=by, now=now):
        if one.scope is Scope.DEVICE:
            on_tablets.append(one)
        else:
            cells[one.scope, one.school_id or one.class_id or 0][one.profile_version.profile_id].append(one)
    opened = _open(school_id, page) if school_id in schools and school_id is not None else None
    return Matrix(schools, opened, cells, on_tablets)


def _open(school_id: int, page: int) -> OpenSchool:
    here = (SchoolClass.school_id == school_id, SchoolClass.ended_at.is_(None))
    count = db.session.scalar(select(func.count()).select_from(SchoolClass).where(*here)) or 0
    query = select(SchoolClass.id, SchoolClass.title).where(*here)
    # Basic groups first; 8A before 10A.
    query = query.order_by(SchoolClass.kind, func.length(SchoolClass.title), SchoolClass.title)
    rows = db.session.execute(query.limit(CLASSES_SHOWN).offset((page - 1) * CLASSES_SHOWN))
    return OpenSchool(school_id, [Class(*row) for row in rows], count)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place that an address names, with its names."""

    place: Place
    name: str | None
    school: str | None


def spot(told: str, *, by: Principal) -> Spot:
    """Return the place that is written as ``m``, ``s3``, ``c17`` or ``d5``; at most one statement.

    Raises:
        NotFoundError: there is none, or ``by`` may not see it.
    """
    kind, number = told[:1], int(told[1:]) if told[1:].isascii() and told[1:].isdecimal() and len(told) < 11 else None
    found: Any = None
    if kind == "m" and not told[1:]:
        return Spot(Place.municipality(), None, None)
    if number is not None and kind == "s":
        found = db.session.scalars(select(School).where(School.id == number, School.ended_at.is_(None))).first()
        made = Spot(Place.school(found), found.name, None) if found is not None else None
    elif number is not None and kind == "c":
        query = select(SchoolClass).options(joinedload(SchoolClass.school))
        query = query.where(SchoolClass.id == number, SchoolClass.ended_at.is_(None))
        found = db.session.scalars(query).first()
        made = Spot(Place.school_class(found), found.title, found.school.name) if found is not None else None
    elif number is not None and kind == "d":
        found = db.session.get(Device, number)
        made = Spot(Place.device(found), found.serial, None) if found is not None else None
    else:
        made = None
    if made is None or not by.may(Permission.SEE_SCHOOL, school_id=made.place.school_id):
        raise NotFoundError(kind="place", name=told[:20])
    return made


def written(scope: Scope, number: int | None) -> str:
    """Return a place as :func:`spot` reads it."""
    return {Scope.MUNICIPALITY: "m", Scope.SCHOOL: "s", Scope.CLASS: "c", Scope.DEVICE: "d"}[scope] + str(number or "")


def school_names(numbers: Collection[int | None]) -> dict[int, str]:
    """Return schools' names by number; one statement."""
    wanted = id_set(one for one in numbers if one is not None)
    return {row.id: row.name for row in db.session.execute(select(School.id, School.name).where(School.id.in_(wanted)))}


def serials(numbers: Collection[int]) -> list[str]:
    """Return tablets' serials; one statement."""
    return list(db.session.scalars(select(Device.serial).where(Device.id.in_(id_set(numbers))).order_by(Device.serial)))
