"""Pupils who are away: from when until when, entered by a teacher or imported. Why is never asked and never kept.

Whoever enters needs the permission in a class the pupil is in; a pupil of others is not found. Entering the same again
changes nothing. What is over for thirty days is removed (:func:`forget`).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import and_, delete, select

from fleet import audit
from fleet.access import Permission, Principal
from fleet.db import among, carry_out, db, insert_all_new
from fleet.errors import InvalidError, NotFoundError
from fleet.schools import queries
from fleet.schools.models import (
    Absence,
    AbsenceSource,
    Membership,
    MembershipRole,
    Person,
    PersonKind,
    SchoolClass,
)

LONGEST_DAYS = 366
SUBJECT = "absences"
Dates = tuple[date, date]


@dataclass(frozen=True, slots=True)
class ClassPupil:
    """A pupil of a class, with the absence that a date falls in, None where the pupil is expected."""

    person_id: int
    given_name: str
    family_name: str
    absence: Absence | None


def enter(
    person_ids: Collection[int],
    starts_on: date,
    ends_on: date,
    *,
    by: Principal,
    now: datetime,
) -> int:
    """Note that pupils are away on these local dates, both included; returns of how many that is new.

    Args:
        person_ids: the pupils.
        starts_on: the first date.
        ends_on: the last.
        by: who says so.
        now: the instant.

    Raises:
        InvalidError: the last date comes before the first, or is very far from it.
        NotFoundError: no such pupil, or none of a class where ``by`` may enter absence.
    """
    if not 0 <= (ends_on - starts_on).days < LONGEST_DAYS:
        expected = f"a last date on or after the first, at most {LONGEST_DAYS} days in all"
        raise InvalidError(kind="absence", field="ends_on", expected=expected)
    wanted = set(person_ids)
    _require_pupils(wanted, by)
    known = covering(wanted, starts_on, ends_on)
    new = {one for one in wanted if not _covers(known.get(one, ()), starts_on, ends_on)}
    _insert({(starts_on, ends_on): new}, AbsenceSource.TYPED, by, now)
    return len(new)


def enter_all(told: Mapping[Dates, Collection[int]], *, by: Principal, now: datetime) -> None:
    """Note what a file tells, pupils by the dates they are away; as many statements for a long file as for a short one.

    Args:
        told: as was looked through already: only what is new, and dates that can be.
        by: who says so.
        now: the instant.

    Raises:
        NotFoundError: as :func:`enter`.
    """
    _require_pupils({one for pupils in told.values() for one in pupils}, by)
    _insert(told, AbsenceSource.IMPORTED, by, now)


def _insert(told: Mapping[Dates, Collection[int]], source: AbsenceSource, by: Principal, now: datetime) -> None:
    rows = [
        {
            "person_id": one, "starts_on": first, "ends_on": last, "source": source, "entered_by": by.name,
            "created_at": now,
        }
        for (first, last), pupils in told.items()
        for one in sorted(pupils)
    ]  # fmt: skip
    insert_all_new(Absence, rows)
    if rows:
        audit.record(by, "absences.entered", subject=SUBJECT, now=now, count=len(rows))


def remove(absence_ids: Collection[int], *, by: Principal, now: datetime) -> int:
    """Take absences back; returns how many there were.

    Raises:
        NotFoundError: one of them does not exist, or is of a pupil in no class where ``by`` may enter absence.
    """
    wanted = set(absence_ids)
    query = select(Absence.id, Absence.person_id).where(among(Absence.id, wanted))
    found = {row.id: row.person_id for row in db.session.execute(query)}
    if wanted - found.keys():
        raise NotFoundError(kind="absence", name=str(min(wanted - found.keys())))
    _require_pupils(set(found.values()), by)
    if found:
        gone = delete(Absence).where(among(Absence.id, found)).execution_options(synchronize_session=False)
        db.session.execute(gone)
        db.session.expire_all()
        audit.record(by, "absences.removed", subject=SUBJECT, now=now, count=len(found))
    return len(found)


def of_class(class_id: int, on: date, *, by: Principal) -> Sequence[ClassPupil]:
    """Return the pupils of a class by family name, with who is away on a local date; three statements.

    Raises:
        NotFoundError: no such class, or ``by`` may not enter absence there.
    """
    found = db.session.get(SchoolClass, class_id)
    if (
        found is None
        or found.ended_at is not None
        or not by.may(Permission.ENTER_ABSENCE, school_id=found.school_id, class_id=class_id)
    ):
        raise NotFoundError(kind="class", name=str(class_id))
    query = select(Person).join(Membership, Membership.person_id == Person.id)
    is_pupil = (Membership.role == MembershipRole.PUPIL, *queries.holding(on), Person.ended_at.is_(None))
    pupils = db.session.scalars(query.where(Membership.class_id == class_id, *is_pupil)).all()
    away = covering({one.id for one in pupils}, on, on)
    listed = [
        ClassPupil(one.id, one.given_name, one.family_name, next(iter(away.get(one.id, ())), None)) for one in pupils
    ]
    return sorted(listed, key=lambda one: (one.family_name, one.given_name, one.person_id))


def of_school(school_id: int, on: date, *, by: Principal) -> Sequence[tuple[Absence, Person]]:
    """Return who of a school is away on a local date, or later, by first date; one statement.

    Raises:
        NotFoundError: ``by`` may not enter absence for the whole school.
    """
    among_schools = by.school_ids(Permission.ENTER_ABSENCE)
    if among_schools is not None and school_id not in among_schools:
        raise NotFoundError(kind="school", name=str(school_id))
    query = select(Absence, Person).join(Person, Person.id == Absence.person_id)
    query = query.where(Person.school_id == school_id, Absence.ends_on >= on)
    rows = db.session.execute(query.order_by(Absence.starts_on, Absence.id)).all()
    return [(row[0], row[1]) for row in rows]


def covering(person_ids: Collection[int], since: date, until: date) -> Mapping[int, Sequence[Absence]]:
    """Return the absences that touch these local dates, by pupil; one statement, for areas above."""
    found: dict[int, list[Absence]] = defaultdict(list)
    query = select(Absence).where(Absence.starts_on <= until, Absence.ends_on >= since)
    for one in db.session.scalars(query.where(among(Absence.person_id, person_ids)).order_by(Absence.starts_on)):
        found[one.person_id].append(one)
    return found


def days_away(
    since: date, until: date, *, person_ids: Collection[int] | None = None
) -> Mapping[int, Sequence[tuple[date, date]]]:
    """Return first and last dates of absences that touch these local dates, by pupil; one statement.

    Args:
        since: the first date.
        until: the last date.
        person_ids: only of these pupils; None: of all.
    """
    found: dict[int, list[tuple[date, date]]] = defaultdict(list)
    query = select(Absence.person_id, Absence.starts_on, Absence.ends_on)
    query = query.where(Absence.starts_on <= until, Absence.ends_on >= since)
    if person_ids is not None:
        query = query.where(among(Absence.person_id, person_ids))
    for row in db.session.execute(query):
        found[row.person_id].append((row.starts_on, row.ends_on))
    return found


def forget(*, older_than: timedelta, now: datetime, at_most: int = 5_000) -> int:
    """Remove absences that ended longer ago than that, at most so many at once; returns how many."""
    old = select(Absence.id).where(Absence.ends_on < (now - older_than).date()).limit(at_most)
    query = delete(Absence).where(Absence.id.in_(old))
    return carry_out(query)


def _covers(known: Collection[Absence], starts_on: date, ends_on: date) -> bool:
    return any(one.starts_on <= starts_on and ends_on <= one.ends_on for one in known)


def _require_pupils(person_ids: set[int], by: Principal) -> None:
    """Refuse unless each is a pupil in whose school, or in one of whose classes, ``by`` may enter absence.

    Raises:
        NotFoundError: one is not.
    """
    unknown = person_ids - _known_to(by, person_ids)
    if unknown:
        raise NotFoundError(kind="pupil", name=str(min(unknown)))


def may_be_told(person_id: int, *, by: Principal) -> bool:
    """Whether somebody may hear that a pupil is away: who may enter it; one statement."""
    return person_id in _known_to(by, {person_id})


def _known_to(by: Principal, person_ids: set[int]) -> set[int]:
    is_pupil = (Person.kind == PersonKind.PUPIL, Person.ended_at.is_(None))
    holds = (Membership.role == MembershipRole.PUPIL, *queries.holding(by.today))
    query = (
        select(Person.id, Person.school_id, SchoolClass.id.label("class_id"), SchoolClass.school_id.label("class_at"))
        .outerjoin(Membership, and_(Membership.person_id == Person.id, *holds))
        .outerjoin(SchoolClass, (SchoolClass.id == Membership.class_id) & SchoolClass.ended_at.is_(None))
        .where(among(Person.id, person_ids), *is_pupil)
    )
    allowed = set()
    for row in db.session.execute(query):
        of_class = row.class_id is not None and by.may(
            Permission.ENTER_ABSENCE, school_id=row.class_at, class_id=row.class_id
        )
        if of_class or by.may(Permission.ENTER_ABSENCE, school_id=row.school_id):
            allowed.add(row.id)
    return allowed
