"""Schools and classes made, named and ended by hand: where no roster has them, or has them otherwise.

Invariants: what a roster brought keeps the name the roster gives it, so it is renamed there; a row made by hand has no
source id, so that no import touches it. Names are one line and, among the living of one place, each only once.
"""

from datetime import datetime

from sqlalchemy import select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import changed, db, take_turn
from fleet.errors import ConflictError, InvalidError, NotFoundError
from fleet.schools.models import ClassKind, School, SchoolClass

MAX_NAME = 120


def _name(told: str) -> str | None:
    """Return a name without needless space, None where it is none."""
    name = " ".join(told.split())
    return name if 1 <= len(name) <= MAX_NAME and name.isprintable() else None


def create_school(name: str, *, by: Principal, now: datetime) -> School:
    """Make a school.

    Raises:
        ForbiddenError: ``by`` may not edit the municipality.
        InvalidError: that is no name.
        ConflictError: a school has this name.
    """
    require(by, Permission.EDIT_MUNICIPALITY)
    take_turn("roster")
    made = School(name=_free_school_name(name))
    db.session.add(made)
    db.session.flush()
    audit.record(by, "schools.created", subject=f"school:{made.id}", now=now, school_id=made.id)
    changed("school", [made.id], now=now)
    return made


def rename_school(school: School, name: str, *, by: Principal, now: datetime) -> None:
    """Give a school that was made by hand another name.

    Raises:
        ForbiddenError: ``by`` may not edit the municipality.
        InvalidError: that is no name.
        ConflictError: the roster names the school, or another one has this name.
    """
    require(by, Permission.EDIT_MUNICIPALITY)
    take_turn("roster")
    if school.source_id is not None:
        raise ConflictError(kind="school", name=school.name, reason="the roster names it")
    before, school.name = school.name, _free_school_name(name, but=school.id)
    audit.record(
        by, "schools.renamed", subject=f"school:{school.id}", now=now,
        school_id=school.id, from_name=before, name=school.name,
    )  # fmt: skip
    db.session.flush()


def _free_school_name(told: str, *, but: int | None = None) -> str:
    name = _name(told)
    if name is None:
        raise InvalidError(kind="school", reason="name", expected=f"1 to {MAX_NAME} characters")
    living = db.session.execute(select(School.id, School.name).where(School.ended_at.is_(None)))
    if any(row.name.casefold() == name.casefold() and row.id != but for row in living):
        raise ConflictError(kind="school", name=name, reason="the name is taken")
    return name


def create_class(
    school: School, title: str, *, kind: ClassKind = ClassKind.BASIC, by: Principal, now: datetime
) -> SchoolClass:
    """Make a class of a school.

    Raises:
        ForbiddenError: ``by`` may not edit the school.
        InvalidError: that is no title.
        ConflictError: a class of the school has this title.
    """
    require(by, Permission.EDIT_SCHOOL, school_id=school.id)
    take_turn("roster")
    made = SchoolClass(school_id=school.id, kind=kind, title=_free_title(school.id, title))
    db.session.add(made)
    db.session.flush()
    audit.record(by, "classes.created", subject=f"class:{made.id}", now=now, school_id=school.id, class_id=made.id)
    changed("class", [made.id], now=now)
    return made


def rename_class(found: SchoolClass, title: str, *, by: Principal, now: datetime) -> None:
    """Give a class that was made by hand another title.

    Raises:
        ForbiddenError: ``by`` may not edit the school.
        InvalidError: that is no title.
        ConflictError: the roster names the class, or another one has this title.
    """
    require(by, Permission.EDIT_SCHOOL, school_id=found.school_id)
    take_turn("roster")
    if found.source_id is not None:
        raise ConflictError(kind="class", name=found.title, reason="the roster names it")
    before, found.title = found.title, _free_title(found.school_id, title, but=found.id)
    audit.record(
        by, "classes.renamed", subject=f"class:{found.id}", now=now, school_id=found.school_id, class_id=found.id,
        from_name=before, name=found.title,
    )  # fmt: skip
    db.session.flush()


def end_class(found: SchoolClass, *, by: Principal, now: datetime) -> None:
    """End a class that was made by hand: its tablets stay at the school, without what was given to the class.

    Raises:
        ForbiddenError: ``by`` may not edit the school.
        ConflictError: the class is the roster's.
    """
    require(by, Permission.EDIT_SCHOOL, school_id=found.school_id)
    take_turn("roster")
    if found.source_id is not None:
        raise ConflictError(kind="class", name=found.title, reason="the roster names it")
    if found.ended_at is None:
        found.ended_at = now
        audit.record(
            by, "classes.ended", subject=f"class:{found.id}", now=now, school_id=found.school_id, class_id=found.id,
            name=found.title,
        )  # fmt: skip
        db.session.flush()
        changed("class", [found.id], now=now)


def restore_class(class_id: int, *, by: Principal, now: datetime) -> SchoolClass:
    """Take a class that was ended by hand up again; one that lives stays as it is.

    Raises:
        NotFoundError: there is none that ``by`` may edit, or it is the roster's.
        ConflictError: another class of the school has its title by now.
    """
    take_turn("roster")
    found = db.session.get(SchoolClass, class_id, populate_existing=True)
    may = found is not None and by.may(Permission.EDIT_SCHOOL, school_id=found.school_id)
    if found is None or not may or found.source_id is not None or found.school.ended_at is not None:
        raise NotFoundError(kind="class", name=str(class_id))
    if found.ended_at is not None:
        _free_title(found.school_id, found.title, but=found.id)
        found.ended_at = None
        audit.record(
            by, "classes.restored", subject=f"class:{found.id}", now=now, school_id=found.school_id, class_id=found.id,
            name=found.title,
        )  # fmt: skip
        db.session.flush()
        changed("class", [found.id], now=now)
    return found


def _free_title(school_id: int, told: str, *, but: int | None = None) -> str:
    title = _name(told)
    if title is None:
        raise InvalidError(kind="class", reason="name", expected=f"1 to {MAX_NAME} characters")
    of_school = SchoolClass.school_id == school_id, SchoolClass.ended_at.is_(None)
    living = db.session.execute(select(SchoolClass.id, SchoolClass.title).where(*of_school))
    if any(row.title.casefold() == title.casefold() and row.id != but for row in living):
        raise ConflictError(kind="class", name=title, reason="the title is taken")
    return title
