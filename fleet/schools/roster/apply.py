"""Writing a plan to the database, and taking the last one back.

Invariants: one transaction, a bounded number of statements per kind; rows that came from elsewhere (no source id) are
never touched; a row that leaves gets ``ended_at`` and keeps its id, and comes back under it. An undo gives every row
the import touched its former content and removes the rows it added, so that the tables are what they were; it is
refused where something refers to a row it would remove. What it needs is kept with the import until
:func:`forget_undo_data` removes it, as it repeats people's data.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import String, delete, func, insert, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import Base, Document, UTCDateTime, changed, db, id_set, take_turn
from fleet.errors import ConflictError, InvalidFileError, NotFoundError, Problem
from fleet.schools.models import Membership, Municipality, Person, School, SchoolClass, SchoolYear
from fleet.schools.queries import ensure_municipality, municipality
from fleet.schools.roster import asm, oneroster
from fleet.schools.roster.package import Problems, read_package
from fleet.schools.roster.plan import Plan, over_brake, plan
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
    problems = Problems()
    tables = read_package(path, problems)
    for form in (oneroster, asm):
        if form.recognises(tables):
            roster: Roster = form.read(tables, path.name, problems)
            return roster
    problems.raise_if_any()
    expected = "OneRoster (columns sourcedId …) or Apple School Manager (columns location_id …)"
    raise InvalidFileError([Problem(path.name, None, None, "unknown-format", None, expected)], count=1)


def current() -> Roster:
    """Return the roster as the database has it: rows with a source id that have not ended."""
    schools = {row.id: row for row in _living("schools")}
    years = {row.id: row for row in _living("years")}
    classes = {row.id: row for row in _living("classes")}
    people = {row.id: row for row in _living("people")}
    found = Roster()
    if (owner := municipality()) is not None and owner.source_id is not None:
        found.municipality = (owner.source_id, owner.name)
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


def propose(wanted: Roster, *, by: Principal) -> Plan:
    """Return what applying a roster would change; changes nothing.

    Raises:
        ForbiddenError: ``by`` may not import rosters.
    """
    require(by, Permission.IMPORT_ROSTER)
    return plan(current(), wanted)


def apply(
    wanted: Roster, *, file_name: str, max_removed_percent: int | None, by: Principal, now: datetime
) -> tuple[Plan, RosterImport | None]:
    """Make the database say what a roster says.

    Args:
        wanted: from :func:`read`, which wants to be called before the transaction: it takes a while.
        file_name: where it came from.
        max_removed_percent: the brake; None lets everything go.
        by: who imports.
        now: the instant.

    Returns:
        What changed, and the import; None where nothing did.

    Raises:
        ForbiddenError: ``by`` may not import rosters.
        BrakedError: too much would go; nothing was changed.
    """
    require(by, Permission.IMPORT_ROSTER)
    take_turn("roster")
    proposed = plan(current(), wanted)
    if max_removed_percent is not None:
        braked = over_brake(proposed, max_removed_percent=max_removed_percent)
        if braked is not None:
            raise braked
    if proposed.is_empty:
        return proposed, None
    done = RosterImport(file_name=file_name[:255], applied_at=now, counts=proposed.counts(), undo=_write(proposed, now))
    db.session.add(done)
    db.session.flush()
    total = {part: sum(kind[part] for kind in done.counts.values()) for part in ("added", "changed", "removed")}
    audit.record(by, "roster.applied", subject=f"roster-import:{done.id}", now=now, file_name=done.file_name, **total)
    return proposed, done


def import_file(
    path: Path, *, max_removed_percent: int | None, by: Principal, now: datetime
) -> tuple[Plan, RosterImport | None]:
    """Read a file and apply it; :func:`read` and :func:`apply` say what they raise."""
    return apply(read(path), file_name=path.name, max_removed_percent=max_removed_percent, by=by, now=now)


def undo(import_id: int | None = None, *, by: Principal, now: datetime) -> RosterImport:
    """Take the last import back, exactly.

    Args:
        import_id: which import is meant; another than the last is refused. None: the last, whosever it is.
        by: who takes it back.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not import rosters.
        NotFoundError: nothing was imported.
        ConflictError: another one was imported since (data has ``last``, its file's name), the import was taken back
            already, what undo needs has been removed, or tablets, tickets, assignments … refer to what it added; data
            has ``used_by``, rows by table.
    """
    require(by, Permission.IMPORT_ROSTER)
    take_turn("roster")
    last = db.session.scalars(select(RosterImport).order_by(RosterImport.id.desc()).limit(1)).first()
    if last is None:
        raise NotFoundError(kind="roster-import", name="last")
    if import_id not in {None, last.id}:
        reason = "another one was imported since"
        raise ConflictError(kind="roster-import", id=import_id, reason=reason, last=last.file_name)
    if last.undone_at is not None or last.undo is None:
        reason = "already undone" if last.undone_at is not None else "undo data has been removed"
        raise ConflictError(kind="roster-import", id=last.id, reason=reason)
    take_turn("assignments")  # so that no tablet comes to stand on what is about to go
    added: dict[str, list[int]] = last.undo["added"]
    if used := _used_by(added):
        reason = "what it added is in use; move or end that first"
        raise ConflictError(kind="roster-import", id=last.id, reason=reason, used_by=used)
    _restore(last.undo, now)
    last.undone_at, last.undo = now, None
    audit.record(by, "roster.undone", subject=f"roster-import:{last.id}", now=now, import_id=last.id)
    return last


def history(*, by: Principal, limit: int = 50) -> list[RosterImport]:
    """Return the newest imports first.

    Raises:
        ForbiddenError: ``by`` may not import rosters.
    """
    require(by, Permission.IMPORT_ROSTER)
    return list(db.session.scalars(select(RosterImport).order_by(RosterImport.id.desc()).limit(limit)))


def forget_undo_data(*, older_than: timedelta, now: datetime) -> int:
    """Remove what undo needs from imports older than that; returns from how many."""
    query = update(RosterImport).where(RosterImport.applied_at < now - older_than, RosterImport.undo.is_not(None))
    return int(db.session.execute(query.values(undo=None)).rowcount)  # type: ignore[attr-defined]


def _write(given: Plan, now: datetime) -> dict[str, Any]:
    """Write a plan; returns what takes it back: ids of new rows, and the former content of the others."""
    ids = {kind: _ids(kind) for kind in KINDS}
    added: dict[str, list[int]] = {}
    before: dict[str, list[dict[str, Any]]] = {}
    for kind in KINDS:
        told, known, model = given.kinds[kind], ids[kind], _MODELS[kind]
        fresh = [value for key, value in told.added.items() if key not in known]
        # Who was here before comes back under the old id.
        back = [value for key, value in told.added.items() if key in known]
        before[kind] = _rows_of(
            kind, [known[key] for key in (*told.added, *told.changed, *told.removed) if key in known]
        )
        if fresh:
            rows = [{**_columns(value, ids), "ended_at": None} for value in fresh]
            # Without render_nulls every row whose empty columns differ from the previous one's is a statement.
            db.session.execute(insert(model), rows, execution_options={"render_nulls": True})
            known |= _ids(kind)
        added[kind] = [known[value.source_id] for value in fresh]
        if standing := [*back, *(new for _, new in told.changed.values())]:
            rows = [{"id": known[v.source_id], **_columns(v, ids), "ended_at": None} for v in standing]
            db.session.execute(update(model), rows)
        if told.removed:
            db.session.execute(update(model), [{"id": known[key], "ended_at": now} for key in told.removed])
    former = _name_municipality(given)
    db.session.expire_all()
    made = {"added": added, "before": before, "municipality": former}
    changed("person", _people_concerned(made), now=now)
    _tell_places(made, now)
    return made


def _name_municipality(given: Plan) -> dict[str, Any] | None:
    """Write the municipality's name where the plan has one; returns what stood there, None where nothing is to undo."""
    if given.municipality is None:
        return None
    owner = municipality()
    former = {"name": owner.name, "source_id": owner.source_id} if owner is not None else {"name": None}
    ensure_municipality(given.municipality[1], source_id=given.municipality[0])
    db.session.flush()
    return former


def _restore(made: Mapping[str, Any], now: datetime) -> None:
    """Take back what :func:`_write` did."""
    concerned = _people_concerned(made)
    for kind in KINDS:
        model = _MODELS[kind]
        types = {column.key: _python_type(column.type) for column in model.__table__.columns}
        if rows := [
            {key: msgspec.convert(value, types[key] | None) for key, value in row.items()}
            for row in made["before"][kind]
        ]:
            db.session.execute(update(model), rows)
    for kind in reversed(KINDS):
        gone = delete(_MODELS[kind]).where(_MODELS[kind].id.in_(id_set(made["added"][kind])))
        db.session.execute(gone.execution_options(synchronize_session=False))
    if (former := made["municipality"]) is not None:
        if former["name"] is None:
            db.session.execute(delete(Municipality))
        else:
            db.session.execute(update(Municipality).values(**former))
    db.session.expire_all()
    changed("person", concerned - set(made["added"]["people"]), now=now)
    _tell_places(made, now)


def _tell_places(made: Mapping[str, Any], now: datetime) -> None:
    """Tell which schools and classes ended, began or came back: tablets stand in them without any person."""
    for kind, subject in (("schools", "school"), ("classes", "class")):
        changed(subject, {*made["added"][kind], *(row["id"] for row in made["before"][kind])}, now=now)


def _python_type(kind: Any) -> Any:
    return datetime if isinstance(kind, UTCDateTime) else kind.python_type  # a decorator does not say


def _used_by(added: Mapping[str, Collection[int]]) -> dict[str, int]:
    """Return how many rows of other areas' tables refer to these rows, by table."""
    own = {_MODELS[kind].__table__: added[kind] for kind in KINDS}
    found: dict[str, int] = {}
    for table in Base.metadata.sorted_tables:
        keys = [key for key in table.foreign_keys if own.get(key.column.table)] if table not in own else []
        if keys:
            refers = or_(*(key.parent.in_(id_set(own[key.column.table])) for key in keys))
            if count := db.session.scalar(select(func.count()).select_from(table).where(refers)):
                found[table.name] = count
    return found


def _ids(kind: str) -> dict[str, int]:
    model = _MODELS[kind]
    rows = db.session.execute(select(model.source_id, model.id).where(model.source_id.is_not(None)))
    return {source_id: number for source_id, number in rows}  # noqa: C416 (a Row is no pair to the type checker)


def _rows_of(kind: str, ids: Collection[int]) -> list[dict[str, Any]]:
    """Return rows as plain data that JSON can keep."""
    if not ids:
        return []
    columns = _MODELS[kind].__table__.columns
    rows = db.session.execute(select(*columns).where(columns.id.in_(id_set(ids)))).mappings()
    return [msgspec.to_builtins(dict(row)) for row in rows]


def _people_concerned(made: Mapping[str, Any]) -> set[int]:
    """Return the persons whose classes or school are touched."""
    touched = {kind: {*made["added"][kind], *(row["id"] for row in made["before"][kind])} for kind in KINDS}
    query = select(Membership.person_id).where(
        or_(Membership.id.in_(id_set(touched["memberships"])), Membership.class_id.in_(id_set(touched["classes"])))
    )
    return touched["people"] | set(db.session.scalars(query))


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
