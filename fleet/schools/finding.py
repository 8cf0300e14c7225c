"""Finding schools, classes and pupils by what somebody types, and classes as places for tablets.

Each a fixed number of statements; only what the one who asks may see.
"""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, contains_eager

from fleet.access import Permission, Principal
from fleet.db import db, id_set
from fleet.errors import NotFoundError
from fleet.schools.models import ClassKind, Membership, MembershipRole, Person, PersonKind, School, SchoolClass
from fleet.schools.queries import holding

_MOST_WORDS = 6
_MOST_LETTERS = 12  # beyond ASCII in one word; Sámi, Norwegian and Swedish together have no more
Column = InstrumentedAttribute[str] | InstrumentedAttribute[str | None]


def has(column: Column, word: str) -> ColumnElement[bool]:
    """Whether a column contains a word, whatever their case.

    SQLite's ``lower`` knows ASCII only: the other letters of the word are made small one by one. Each is one
    function around the last, and they can lie only so deep.
    """
    small = word.casefold()
    folded: Any = func.lower(column)
    others = (letter for letter in sorted(set(small)) if not letter.isascii() and letter.upper() != letter)
    for letter in itertools.islice((letter for letter in others if len(letter.upper()) == 1), _MOST_LETTERS):
        folded = func.replace(folded, letter.upper(), letter)
    found: ColumnElement[bool] = folded.contains(small, autoescape=True)
    return found


def words(told: str) -> list[str]:
    """Return the words of what was typed; those beyond the sixth do not count."""
    return told.split()[:_MOST_WORDS]


def person_has(word: str) -> ColumnElement[bool]:
    """Whether a word stands in a person's name or user name."""
    return or_(*(has(column, word) for column in (Person.given_name, Person.family_name, Person.username)))


def seen_class(class_id: int, *, by: Principal) -> SchoolClass:
    """Return the class of this number with its school, if ``by`` may see it.

    Raises:
        NotFoundError: none, or not for ``by``.
    """
    found: SchoolClass | None = db.session.scalars(_classes(by).where(SchoolClass.id == class_id)).first()
    if found is None:
        raise NotFoundError(kind="class", name=str(class_id))
    return found


def managed_schools(by: Principal) -> dict[int, str]:
    """Return the names of the schools whose tablets ``by`` may manage, by id and in the order of the names."""
    return {school.id: school.name for school in db.session.scalars(_managed(by).order_by(School.name))}


def managed_school(school_id: int, *, by: Principal) -> School:
    """Return the school of this number, if ``by`` may manage its tablets.

    Raises:
        NotFoundError: none, or not for ``by``.
    """
    found: School | None = db.session.scalars(_managed(by).where(School.id == school_id)).first()
    if found is None:
        raise NotFoundError(kind="school", name=str(school_id))
    return found


def _managed(by: Principal) -> Select[Any]:
    visible = by.school_ids(Permission.MANAGE_DEVICES)
    query = select(School).where(School.ended_at.is_(None))
    return query if visible is None else query.where(School.id.in_(visible))


def basic_classes(by: Principal, permission: Permission, *, school_id: int | None = None) -> Sequence[SchoolClass]:
    """Return the basic classes, with their schools, where ``by`` has a permission for everything; one statement."""
    visible = by.school_ids(permission)
    query = _living().where(SchoolClass.kind == ClassKind.BASIC)
    if visible is not None:
        query = query.where(School.id.in_(visible))
    if school_id is not None:
        query = query.where(School.id == school_id)
    return db.session.scalars(query).all()


@dataclass(frozen=True, slots=True)
class Found:
    """Some of the rows that were found, from a place on, and how many there are in all."""

    rows: Sequence[Any]
    count: int


def _found(query: Select[Any], limit: int, offset: int) -> Found:
    """Read some rows; only where they are not all does it take a second statement to count them."""
    rows = db.session.scalars(query.limit(limit).offset(offset)).all()
    if len(rows) < limit and (rows or not offset):
        return Found(rows, offset + len(rows))
    counted = select(func.count()).select_from(query.order_by(None).subquery())
    return Found(rows, db.session.scalar(counted) or 0)


def classes_called(told: str, *, by: Principal, limit: int, offset: int = 0) -> Found:
    """Return the classes in whose title or school's name every word stands, one in the title; 1-2 statements."""
    typed = words(told)
    found = (or_(has(SchoolClass.title, word), has(School.name, word)) for word in typed)
    in_title = or_(*(has(SchoolClass.title, word) for word in typed))
    return _found(_classes(by).where(and_(*found), in_title), limit, offset)


def schools_called(told: str, *, by: Principal, limit: int, offset: int = 0) -> Found:
    """Return the schools in whose name every word stands; at most two statements."""
    visible = by.school_ids(Permission.SEE_SCHOOL)
    query = select(School).where(School.ended_at.is_(None), *(has(School.name, word) for word in words(told)))
    if visible is not None:
        query = query.where(School.id.in_(visible))
    return _found(query.order_by(School.name), limit, offset)


def pupils_called(told: str, *, by: Principal, limit: int, offset: int = 0) -> Found:
    """Return the pupils in whose name or user name every word stands, by name; at most two statements.

    A teacher finds the pupils of the own classes only.
    """
    visible = by.school_ids(Permission.SEE_CLASS)
    query = select(Person).where(Person.ended_at.is_(None), Person.kind == PersonKind.PUPIL)
    query = query.where(*(person_has(word) for word in words(told)))
    if visible is not None:
        own = select(Membership.person_id).where(
            Membership.class_id.in_(by.own_class_ids), Membership.role == MembershipRole.PUPIL, *holding(by.today)
        )
        query = query.where(or_(Person.school_id.in_(visible), Person.id.in_(own)))
    return _found(query.order_by(Person.family_name, Person.given_name, Person.id), limit, offset)


def classes_of_pupils(person_ids: Collection[int], *, by: Principal) -> dict[int, SchoolClass]:
    """Return a class of each of these pupils that ``by`` may see, the basic one first, by person; one statement."""
    if not person_ids:
        return {}
    query = _classes(by).join(Membership, Membership.class_id == SchoolClass.id).add_columns(Membership.person_id)
    query = query.where(
        Membership.person_id.in_(id_set(person_ids)), Membership.role == MembershipRole.PUPIL, *holding(by.today)
    )
    found: dict[int, SchoolClass] = {}
    for school_class, person_id in db.session.execute(query):
        known = found.setdefault(person_id, school_class)
        if known.kind is not ClassKind.BASIC and school_class.kind is ClassKind.BASIC:
            found[person_id] = school_class
    return found


def pupil(person_id: int, *, by: Principal) -> Person:
    """Return the pupil of this number, if ``by`` may manage the tablets of the pupil's school.

    Raises:
        NotFoundError: none, or not for ``by``.
    """
    found = db.session.get(Person, person_id)
    is_one = found is not None and found.kind is PersonKind.PUPIL and found.ended_at is None
    if found is None or not is_one or not by.may(Permission.MANAGE_DEVICES, school_id=found.school_id):
        raise NotFoundError(kind="pupil")
    return found


def _living() -> Select[Any]:
    return (
        select(SchoolClass)
        .join(SchoolClass.school)
        .where(SchoolClass.ended_at.is_(None), School.ended_at.is_(None))
        .options(contains_eager(SchoolClass.school))
        .order_by(School.name, func.length(SchoolClass.title), SchoolClass.title)
    )


def _classes(by: Principal) -> Select[Any]:
    visible = by.school_ids(Permission.SEE_CLASS)
    query = _living()
    if visible is not None:
        query = query.where(or_(School.id.in_(visible), SchoolClass.id.in_(by.own_class_ids)))
    return query
