"""Reading schools, classes and people. Rows that left the roster are not found."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import joinedload

from fleet.access import Permission, Principal, require
from fleet.db import db
from fleet.errors import NotFoundError
from fleet.schools.models import (
    Bell,
    CalendarDay,
    ClassKind,
    Membership,
    MembershipRole,
    Municipality,
    Person,
    PersonKind,
    School,
    SchoolClass,
    SchoolHours,
)

_T = TypeVar("_T")


def municipality() -> Municipality | None:
    """Return the municipality, None before the first roster or school."""
    return db.session.get(Municipality, 1)


def ensure_municipality(name: str, *, source_id: str | None = None) -> Municipality:
    """Return the municipality, made with ``name`` where there is none; a name from a roster replaces a made one."""
    found = municipality()
    if found is None:
        found = Municipality(id=1, name=name, source_id=source_id)
        db.session.add(found)
    elif source_id is not None:
        found.name, found.source_id = name, source_id
    return found


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=3, cutoff=0.5)


def find_school(name: str) -> School:
    """Return the school of this name (case does not matter), else of this source id, else of this number.

    Raises:
        NotFoundError: none, or several have this name; data has the nearest names.
    """
    schools = db.session.scalars(select(School).where(School.ended_at.is_(None)).order_by(School.id)).all()
    found = _meant(name, [(one, one.name, one.source_id, one.id) for one in schools])
    if len(found) == 1:
        return found[0]
    reason = "several schools have this name: give the id" if found else "no such school"
    raise NotFoundError(kind="school", name=name, reason=reason, nearest=_nearest(name, [one.name for one in schools]))


def _meant(told: str, known: Iterable[tuple[_T, str, str | None, int]]) -> list[_T]:
    """Return what is called ``told``, else has it as source id, else as number: class "8" is not the one numbered 8."""
    wanted, listed = told.strip().casefold(), list(known)
    for place in (1, 2, 3):
        found = [one[0] for one in listed if str(one[place] or "").casefold() == wanted]
        if found and wanted:
            return found
    return []


def by_name(pairs: Iterable[tuple[str | None, _T]]) -> dict[str, list[_T]]:
    """Return what each name in a file, whatever its case, may mean; each meaning once."""
    found: dict[str, list[_T]] = {}
    for name, meant in pairs:
        known = found.setdefault(name.casefold(), []) if name else []
        if meant not in known:
            known.append(meant)
    return found


def visible_school(school_id: int, *, by: Principal) -> School:
    """Return the school of this number, if ``by`` may see it or teaches a class in it.

    Raises:
        NotFoundError: none, or not for ``by``.
    """
    query = select(School).where(School.id == school_id, School.ended_at.is_(None))
    if not by.may(Permission.SEE_SCHOOL, school_id=school_id):
        own = select(SchoolClass.school_id).where(SchoolClass.id.in_(by.own_class_ids), SchoolClass.ended_at.is_(None))
        query = query.where(School.id.in_(own))
    found = db.session.scalars(query).first()
    if found is None:
        raise NotFoundError(kind="school", name=str(school_id))
    return found


def find_class(title: str, *, school_id: int | None = None) -> SchoolClass:
    """Return the class of this title, else of this source id, else of this number, in one school or anywhere.

    Raises:
        NotFoundError: none, or several have this title; data has the nearest titles.
    """
    query = select(SchoolClass).where(SchoolClass.ended_at.is_(None)).order_by(SchoolClass.id)
    if school_id is not None:
        query = query.where(SchoolClass.school_id == school_id)
    classes = db.session.scalars(query).all()
    found = _meant(title, [(one, one.title, one.source_id, one.id) for one in classes])
    if len(found) == 1:
        return found[0]
    if found:
        is_one_school = len({one.school_id for one in found}) == 1
        reason = "several classes have this title: give the id" if is_one_school else "several schools: say which"
    else:
        reason = "the class has ended" if _has_ended(title, school_id) else "no such class"
    nearest = _nearest(title, sorted({one.title for one in classes}))
    raise NotFoundError(kind="class", name=title, reason=reason, nearest=nearest)


def _has_ended(title: str, school_id: int | None) -> bool:
    query = select(SchoolClass.id, SchoolClass.title, SchoolClass.source_id).where(SchoolClass.ended_at.is_not(None))
    if school_id is not None:
        query = query.where(SchoolClass.school_id == school_id)
    return bool(_meant(title, [(number, name, source_id, 0) for number, name, source_id in db.session.execute(query)]))


def find_pupil(name: str) -> Person:
    """Return the pupil of this user name, else of this id in the roster.

    Raises:
        NotFoundError: none, or several have this user name. Data does not repeat what was typed: it may be a name.
    """
    is_pupil = (Person.ended_at.is_(None), Person.kind == PersonKind.PUPIL)
    # Compared here, as databases differ on what is one letter in two cases.
    pupils = db.session.execute(select(Person.id, Person.username, Person.source_id).where(*is_pupil)).all()
    found = _meant(name, [(number, username or "", source_id, 0) for number, username, source_id in pupils])
    if len(found) == 1:
        return db.session.get_one(Person, found[0])
    raise NotFoundError(kind="pupil", reason="several have this user name" if found else "no such user name or id")


def taught_class(class_id: int, *, by: Principal) -> SchoolClass:
    """Return the class of this number with its school, if ``by`` may teach it.

    Raises:
        NotFoundError: none, or not for ``by``.
    """
    found = next(iter(_with_school([class_id])), None)
    if found is None or not by.may(Permission.TEACH, school_id=found.school_id, class_id=found.id):
        raise NotFoundError(kind="class", name=str(class_id))
    return found


def own_classes(by: Principal) -> Sequence[SchoolClass]:
    """Return the classes that ``by`` teaches itself, with their schools, by title; none is no statement."""
    return _with_school(by.own_class_ids) if by.own_class_ids else []


def _with_school(class_ids: Collection[int]) -> Sequence[SchoolClass]:
    query = select(SchoolClass).where(SchoolClass.id.in_(class_ids), SchoolClass.ended_at.is_(None))
    return db.session.scalars(query.options(joinedload(SchoolClass.school)).order_by(SchoolClass.title)).all()


def schools(by: Principal) -> list[dict[str, Any]]:
    """Return the schools ``by`` may see, with their numbers of classes, pupils and teachers, by name."""
    visible = by.school_ids(Permission.SEE_SCHOOL)
    query = select(School).where(School.ended_at.is_(None)).order_by(School.name)
    if visible is not None:
        query = query.where(School.id.in_(visible))
    found = db.session.scalars(query).all()
    classes = _counts(select(SchoolClass.school_id, func.count()).where(SchoolClass.ended_at.is_(None)))
    people = {
        kind: _counts(select(Person.school_id, func.count()).where(Person.ended_at.is_(None), Person.kind == kind))
        for kind in (PersonKind.PUPIL, PersonKind.TEACHER)
    }
    return [
        {
            "id": school.id,
            "name": school.name,
            "source_id": school.source_id,
            "classes": classes.get(school.id, 0),
            "pupils": people[PersonKind.PUPIL].get(school.id, 0),
            "teachers": people[PersonKind.TEACHER].get(school.id, 0),
        }
        for school in found
    ]


def visible(by: Principal) -> dict[int, str]:
    """Return the names of the schools ``by`` may see, by id and in the order of the names; one statement."""
    query = select(School.id, School.name).where(School.ended_at.is_(None)).order_by(School.name)
    among = by.school_ids(Permission.SEE_SCHOOL)
    if among is not None:
        query = query.where(School.id.in_(among))
    return {row.id: row.name for row in db.session.execute(query)}


def names(school_ids: Collection[int]) -> dict[int, str]:
    """Return what schools are called, living or not, by id; none is no statement. Asks for no permission."""
    if not school_ids:
        return {}
    query = select(School.id, School.name).where(School.id.in_(school_ids))
    return {row.id: row.name for row in db.session.execute(query)}


def class_titles(class_ids: Collection[int]) -> dict[int, str]:
    """Return what classes are called, living or not, by id; none is no statement. Asks for no permission."""
    if not class_ids:
        return {}
    query = select(SchoolClass.id, SchoolClass.title).where(SchoolClass.id.in_(class_ids))
    return {row.id: row.title for row in db.session.execute(query)}


def _counts(query: Any) -> dict[int, int]:
    """Run a query of (group, count) grouped by its first column."""
    grouped = query.group_by(query.selected_columns[0])
    return {group: count for group, count in db.session.execute(grouped) if group is not None}


def classes(by: Principal, *, school_id: int | None = None) -> list[dict[str, Any]]:
    """Return the classes ``by`` may see, with school and numbers of members, by school and title."""
    visible = by.school_ids(Permission.SEE_CLASS)
    query = (
        select(SchoolClass, School.name)
        .join(School)
        .where(SchoolClass.ended_at.is_(None))
        .order_by(School.name, SchoolClass.title)
    )
    if school_id is not None:
        query = query.where(SchoolClass.school_id == school_id)
    if visible is not None:
        query = query.where(or_(SchoolClass.school_id.in_(visible), SchoolClass.id.in_(by.own_class_ids)))
    members = {
        (class_id, role): count
        for class_id, role, count in db.session.execute(
            select(Membership.class_id, Membership.role, func.count())
            .where(*holding(by.today))
            .group_by(Membership.class_id, Membership.role)
        )
    }
    return [
        {
            "id": found.id,
            "school_id": found.school_id,
            "school": school,
            "title": found.title,
            "kind": found.kind.value,
            "grade": found.grade,
            "subject_code": found.subject_code,
            "pupils": members.get((found.id, MembershipRole.PUPIL), 0),
            "teachers": members.get((found.id, MembershipRole.TEACHER), 0),
        }
        for found, school in db.session.execute(query)
    ]


def members(by: Principal, found: SchoolClass) -> list[dict[str, Any]]:
    """Return the members of a class with their names, pupils last.

    Raises:
        ForbiddenError: ``by`` may not see the class.
    """
    require(by, Permission.SEE_CLASS, school_id=found.school_id, class_id=found.id)
    rows = db.session.execute(
        select(Person, Membership.role)
        .join(Membership, Membership.person_id == Person.id)
        .where(Membership.class_id == found.id, *holding(by.today), Person.ended_at.is_(None))
    )
    listed = [
        {"id": p.id, "given_name": p.given_name, "family_name": p.family_name, "username": p.username, "role": r.value}
        for p, r in rows
    ]
    return sorted(listed, key=lambda row: (row["role"] == "pupil", row["family_name"], row["given_name"]))


def holding(on: date | None) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which a membership holds on a date; with None, whatever its dates."""
    conditions: list[ColumnElement[bool]] = [Membership.ended_at.is_(None)]
    if on is not None:
        conditions.append(or_(Membership.starts_on.is_(None), Membership.starts_on <= on))
        conditions.append(or_(Membership.ends_on.is_(None), Membership.ends_on >= on))
    return tuple(conditions)


def classes_of(person_id: int, *, role: MembershipRole, school_ids: Collection[int], today: date) -> frozenset[int]:
    """Return the classes of these schools that a person has ``role`` in on ``today`` (local date)."""
    query = (
        select(Membership.class_id)
        .join(SchoolClass)
        .where(
            Membership.person_id == person_id,
            Membership.role == role,
            *holding(today),
            SchoolClass.ended_at.is_(None),
            SchoolClass.school_id.in_(school_ids),
        )
    )
    return frozenset(db.session.scalars(query))


def decided(by: Principal) -> list[dict[str, Any]]:
    """Return the schools whose calendar ``by`` may edit, and what each has decided itself, by name; four statements.

    Each has its number of own days and own hours, whether it has bell times, its networks and its longest lesson.
    """
    where = by.school_ids(Permission.EDIT_CALENDAR)
    query = select(School).where(School.ended_at.is_(None)).order_by(School.name)
    if where is not None:
        query = query.where(School.id.in_(where))
    found = db.session.scalars(query).all()
    days, hours, bells = (_counts(select(model.school_id, func.count())) for model in (CalendarDay, SchoolHours, Bell))
    return [
        {
            "id": school.id,
            "name": school.name,
            "days": days.get(school.id, 0),
            "hours": hours.get(school.id, 0),
            "bells": bells.get(school.id, 0),
            "networks": len(school.networks) if school.networks is not None else None,
            "longest_lesson_min": school.longest_lesson_min,
        }
        for school in found
    ]


def basic_classes_of_pupils(on: date, *, person_id: int | None = None) -> Mapping[int, tuple[int, str | None]]:
    """Return pupils' basic classes on a local date with their grades, the first by title of several; one statement.

    Args:
        on: the date.
        person_id: only this pupil's.
    """
    holds = (Membership.role == MembershipRole.PUPIL, *holding(on))
    query = (
        select(Membership.person_id, SchoolClass.id, SchoolClass.grade)
        .join(SchoolClass, SchoolClass.id == Membership.class_id)
        .where(SchoolClass.kind == ClassKind.BASIC, SchoolClass.ended_at.is_(None), *holds)
        .order_by(SchoolClass.title.desc(), SchoolClass.id.desc())
    )
    if person_id is not None:
        query = query.where(Membership.person_id == person_id)
    return {row.person_id: (row.id, row.grade) for row in db.session.execute(query)}
