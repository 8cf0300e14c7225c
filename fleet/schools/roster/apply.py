"""Writing a plan to the database, and taking the last one back.

Invariants: one transaction, a bounded number of statements per kind; rows that came from elsewhere (no source id) are
never touched; a row that leaves gets ``ended_at`` and keeps its id, and comes back under it. What an undo needs is kept
with the import until :func:`forget_undo_data` removes it, as it repeats people's data.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import String, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import Base, Document, changed, db, take_turn
from fleet.errors import ConflictError, InvalidFileError, NotFoundError, Problem
from fleet.schools.models import Membership, Person, School, SchoolClass, SchoolYear
from fleet.schools.queries import ensure_municipality
from fleet.schools.roster import asm, oneroster
from fleet.schools.roster.package import read_package
from fleet.schools.roster.plan import Plan, from_plain, plan, require_below_brake, to_plain
from fleet.schools.roster.values import (
    KINDS,
    ClassValue,
    MembershipValue,
    PersonValue,
    Roster,
    SchoolValue,
    Value,
    YearValue,
)

_MODELS: dict[str, Any] = {
    "schools": School,
    "years": SchoolYear,
    "classes": SchoolClass,
    "people": Person,
    "memberships": Membership,
}


class RosterImport(Base):
    """One applied import and, for a while, what takes it back."""

    __tablename__ = "roster_import"

    id: Mapped[int] = mapped_column(primary_key=True)
    file_name: Mapped[str] = mapped_column(String(255))
    applied_at: Mapped[datetime]
    undone_at: Mapped[datetime | None]
    counts: Mapped[dict[str, Any]]
    undo: Mapped[dict[str, Any] | None] = mapped_column(Document)


def read(path: Path) -> Roster:
    """Read a roster file or folder, recognised from its columns.

    Raises:
        InvalidFileError: with everything that is wrong.
        OSError: it cannot be read.
    """
    tables = read_package(path)
    for form in (oneroster, asm):
        if form.recognises(tables):
            roster: Roster = form.read(tables, path.name)
            return roster
    expected = "OneRoster (columns sourcedId …) or Apple School Manager (columns location_id …)"
    raise InvalidFileError([Problem(path.name, None, None, "unknown-format", None, expected)], count=1)


def current() -> Roster:
    """Return the roster as the database has it: rows with a source id that have not ended."""
    schools = {row.id: row for row in _living("schools")}
    years = {row.id: row for row in _living("years")}
    classes = {row.id: row for row in _living("classes")}
    people = {row.id: row for row in _living("people")}
    found = Roster()
    found.schools = {row.source_id: SchoolValue(row.source_id, row.name) for row in schools.values()}
    found.years = {
        row.source_id: YearValue(row.source_id, row.title, row.starts_on, row.ends_on) for row in years.values()
    }
    for row in classes.values():
        year = years[row.school_year_id].source_id if row.school_year_id in years else None
        school = schools[row.school_id].source_id if row.school_id in schools else ""
        found.classes[row.source_id] = ClassValue(
            row.source_id, school, year, row.kind, row.title, row.grade, row.subject_code
        )
    for row in people.values():
        school = schools[row.school_id].source_id if row.school_id in schools else None
        found.people[row.source_id] = PersonValue(
            row.source_id, row.kind, row.given_name, row.family_name, row.username, row.email, school
        )
    for row in _living("memberships"):
        if row.class_id in classes and row.person_id in people:
            class_, person = classes[row.class_id].source_id, people[row.person_id].source_id
            found.memberships[row.source_id] = MembershipValue(
                row.source_id, class_, person, row.role, row.starts_on, row.ends_on
            )
    return found


def _living(kind: str) -> list[Any]:
    model = _MODELS[kind]
    columns = model.__table__.columns
    return list(db.session.execute(select(*columns).where(model.source_id.is_not(None), model.ended_at.is_(None))))


def propose(path: Path, *, by: Principal) -> Plan:
    """Read a file and return what applying it would change; changes nothing.

    Raises:
        ForbiddenError: ``by`` may not import rosters.
        InvalidFileError: the file has faults.
    """
    require(by, Permission.IMPORT_ROSTER)
    return plan(current(), read(path))


def import_file(
    path: Path, *, max_removed_percent: int | None, by: Principal, now: datetime
) -> tuple[Plan, RosterImport | None]:
    """Read a file and apply it.

    Args:
        path: zip or folder.
        max_removed_percent: the brake; None lets everything go.
        by: who imports.
        now: the instant.

    Returns:
        What changed, and the import; None where nothing did.

    Raises:
        ForbiddenError: ``by`` may not import rosters.
        InvalidFileError: the file has faults; nothing was changed.
        BrakedError: too much would go; nothing was changed.
    """
    require(by, Permission.IMPORT_ROSTER)
    wanted = read(path)
    take_turn("roster")
    proposed = plan(current(), wanted)
    if max_removed_percent is not None:
        require_below_brake(proposed, max_removed_percent=max_removed_percent)
    if proposed.municipality is not None:
        ensure_municipality(proposed.municipality[1][:120], source_id=proposed.municipality[0])
    if proposed.is_empty:
        return proposed, None
    _write(proposed, now)
    done = RosterImport(
        file_name=path.name[:255], applied_at=now, counts=proposed.counts(), undo=to_plain(proposed.reversed())
    )
    db.session.add(done)
    db.session.flush()
    total = {part: sum(kind[part] for kind in done.counts.values()) for part in ("added", "changed", "removed")}
    audit.record(by, "roster.applied", subject=f"roster-import:{done.id}", now=now, file_name=done.file_name, **total)
    return proposed, done


def undo(*, by: Principal, now: datetime) -> RosterImport:
    """Take the last import back, exactly.

    Raises:
        ForbiddenError: ``by`` may not import rosters.
        NotFoundError: nothing was imported.
        ConflictError: the last import was taken back already, or what undo needs has been removed.
    """
    require(by, Permission.IMPORT_ROSTER)
    take_turn("roster")
    last = db.session.scalars(select(RosterImport).order_by(RosterImport.id.desc()).limit(1)).first()
    if last is None:
        raise NotFoundError(kind="roster-import", name="last")
    if last.undone_at is not None or last.undo is None:
        reason = "already undone" if last.undone_at is not None else "undo data has been removed"
        raise ConflictError(kind="roster-import", id=last.id, reason=reason)
    _write(from_plain(last.undo, {}), now)
    last.undone_at, last.undo = now, None
    audit.record(by, "roster.undone", subject=f"roster-import:{last.id}", now=now, import_id=last.id)
    return last


def history(limit: int = 50) -> list[RosterImport]:
    """Return the newest imports first."""
    return list(db.session.scalars(select(RosterImport).order_by(RosterImport.id.desc()).limit(limit)))


def forget_undo_data(*, older_than: timedelta, now: datetime) -> int:
    """Remove what undo needs from imports older than that; returns from how many."""
    query = update(RosterImport).where(RosterImport.applied_at < now - older_than, RosterImport.undo.is_not(None))
    return int(db.session.execute(query.values(undo=None)).rowcount)  # type: ignore[attr-defined]


def _write(given: Plan, now: datetime) -> None:
    ids = {kind: _ids(kind) for kind in KINDS}
    for kind in KINDS:
        told, known, model = given.kinds[kind], ids[kind], _MODELS[kind]
        fresh = [value for key, value in told.added.items() if key not in known]
        # Who was here before comes back under the old id.
        back = [value for key, value in told.added.items() if key in known]
        if fresh:
            db.session.execute(insert(model), [{**_columns(value, ids), "ended_at": None} for value in fresh])
            known |= _ids(kind)
        if standing := [*back, *(new for _, new in told.changed.values())]:
            rows = [{"id": known[v.source_id], **_columns(v, ids), "ended_at": None} for v in standing]
            db.session.execute(update(model), rows)
        if told.removed:
            db.session.execute(update(model), [{"id": known[key], "ended_at": now} for key in told.removed])
    db.session.expire_all()
    changed("person", _people_concerned(given, ids["people"]), now=now)


def _ids(kind: str) -> dict[str, int]:
    model = _MODELS[kind]
    rows = db.session.execute(select(model.source_id, model.id).where(model.source_id.is_not(None)))
    return dict(rows.tuples().all())


def _people_concerned(given: Plan, ids: Mapping[str, int]) -> set[int]:
    """Return the persons whose classes or school may have changed."""
    people, memberships, classes = given.kinds["people"], given.kinds["memberships"], given.kinds["classes"]
    named = {*people.added, *people.changed, *people.removed}
    told: list[Value] = [*memberships.added.values(), *memberships.removed.values()]
    told += [new for _, new in memberships.changed.values()]
    named |= {value.person for value in told if isinstance(value, MembershipValue)}
    concerned = {ids[name] for name in named if name in ids}
    if classes.changed or classes.removed:
        class_ids = _ids("classes")
        of = [class_ids[name] for name in (*classes.changed, *classes.removed)]
        concerned |= set(db.session.scalars(select(Membership.person_id).where(Membership.class_id.in_(of))))
    return concerned


def _columns(value: Value, ids: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return a value as the columns of its row, references as ids."""
    if isinstance(value, SchoolValue):
        return {"source_id": value.source_id, "name": value.name}
    if isinstance(value, YearValue):
        return {
            "source_id": value.source_id,
            "title": value.title,
            "starts_on": value.starts_on,
            "ends_on": value.ends_on,
        }
    if isinstance(value, ClassValue):
        return {
            "source_id": value.source_id,
            "school_id": ids["schools"][value.school],
            "school_year_id": ids["years"][value.year] if value.year is not None else None,
            "kind": value.kind,
            "title": value.title,
            "grade": value.grade,
            "subject_code": value.subject_code,
        }
    if isinstance(value, PersonValue):
        return {
            "source_id": value.source_id,
            "kind": value.kind,
            "given_name": value.given_name,
            "family_name": value.family_name,
            "username": value.username,
            "email": value.email,
            "school_id": ids["schools"][value.school] if value.school is not None else None,
        }
    return {
        "source_id": value.source_id,
        "class_id": ids["classes"][value.class_],
        "person_id": ids["people"][value.person],
        "role": value.role,
        "starts_on": value.starts_on,
        "ends_on": value.ends_on,
    }
