"""Absence from a file: CSV with a pupil's user name or roster id, a first and perhaps a last date; no more is read.

Whoever imports may enter absence for a whole school. Invariants: one bad line stops all; what is known already stays as
it is, so that the same file again changes nothing; why somebody is away is never kept, also where a column tells it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from fleet import audit
from fleet.access import Permission, Principal
from fleet.db import among, db, insert_all_new
from fleet.errors import ForbiddenError, InvalidFileError, Problem
from fleet.schools import absences
from fleet.schools.absences import LONGEST_DAYS, SUBJECT
from fleet.schools.calendar_editing import is_plausible
from fleet.schools.models import Absence, AbsenceSource, Person, PersonKind
from fleet.schools.roster.package import Problems, Table, read_table

MAX_BYTES = 2**20
MAX_ROWS = 10_000
_COLUMNS: dict[str, tuple[str, ...]] = {
    "pupil": (
        "brukernavn", "elev", "brukarnamn", "kilde-id", "kjelde-id", "elev-id", "id", "user name", "username", "pupil",
    ),
    "from": ("fra", "frå", "fra dato", "fra og med", "første dag", "dato", "from", "date", "first day"),
    "to": ("til", "til dato", "til og med", "siste dag", "to", "until", "last day"),
}  # fmt: skip
_NEEDED = ("pupil", "from")
_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%d.%m.%y")


@dataclass(slots=True)
class AbsencePlan:
    """What a file adds: pupils with their dates, and how many lines tell nothing new."""

    added: list[tuple[int, date, date]] = field(default_factory=list)
    unchanged: int = 0

    def pupils(self) -> int:
        """Return of how many pupils something is new."""
        return len({person_id for person_id, _, _ in self.added})


def plan(path: Path, *, by: Principal) -> AbsencePlan:
    """Read a file and return what importing it would add; changes nothing.

    Args:
        path: the file.
        by: who imports.

    Raises:
        ForbiddenError: ``by`` may not enter absence for a whole school.
        InvalidFileError: with everything that is wrong.
        OSError: the file cannot be read.
    """
    pupils = _pupils(by)
    table = _table(path)
    names = _header(table)
    problems = Problems()
    spans: dict[tuple[int, date, date], None] = {}
    for line, cells in table.rows:
        found = _span(table.name, line, {name: cells[title] for name, title in names.items()}, pupils, problems)
        if found is not None:
            spans[found] = None
    problems.raise_if_any()
    return _compare(list(spans))


def apply(path: Path, *, by: Principal, now: datetime) -> AbsencePlan:
    """Import a file; returns what is new. Arguments and refusals are those of :func:`plan`."""
    found = plan(path, by=by)
    if found.added:
        rows: list[dict[str, Any]] = [
            {
                "person_id": person_id, "starts_on": first, "ends_on": last, "source": AbsenceSource.IMPORTED,
                "entered_by": by.name, "created_at": now,
            }
            for person_id, first, last in found.added
        ]  # fmt: skip
        insert_all_new(Absence, rows)
        audit.record(
            by, "absences.imported", subject=SUBJECT, now=now, file_name=path.name[:255], added=len(found.added),
        )  # fmt: skip
    return found


def names(found: AbsencePlan, *, limit: int) -> dict[int, str]:
    """Return what the first pupils of a plan are called, by person; one statement."""
    first = {person_id for person_id, _, _ in found.added[:limit]}
    query = select(Person.id, Person.given_name, Person.family_name).where(among(Person.id, first))
    return {row.id: f"{row.given_name} {row.family_name}" for row in db.session.execute(query)}


def _pupils(by: Principal) -> Mapping[str, int]:
    """Return the pupils of whom ``by`` may enter absence, by user name and by roster id in small letters."""
    schools = by.school_ids(Permission.ENTER_ABSENCE)
    if schools == frozenset():
        raise ForbiddenError(permission=Permission.ENTER_ABSENCE.value)
    query = select(Person.id, Person.username, Person.source_id)
    query = query.where(Person.kind == PersonKind.PUPIL, Person.ended_at.is_(None))
    if schools is not None:
        query = query.where(Person.school_id.in_(schools))
    rows = db.session.execute(query).all()
    by_id = {row.source_id.casefold(): row.id for row in rows if row.source_id}
    return by_id | {row.username.casefold(): row.id for row in rows if row.username}


def _table(path: Path) -> Table:
    if path.stat().st_size > MAX_BYTES:
        raise InvalidFileError([Problem(path.name, None, None, "too-large", None, f"at most {MAX_BYTES} bytes")])
    content = path.read_bytes()
    first = content.partition(b"\n")[0]
    problems = Problems()
    delimiter = max(";,\t", key=lambda mark: first.count(mark.encode()))
    table = read_table(path.name, content, problems, most_rows=MAX_ROWS, delimiter=delimiter)
    problems.raise_if_any()
    if table is None or not table.rows:
        raise InvalidFileError([Problem(path.name, None, None, "empty", None, "a header and lines of text")])
    return table


def _header(table: Table) -> dict[str, str]:
    names: dict[str, str] = {}
    for title in table.columns:
        plain = title.casefold().replace("_", " ")
        name = next((name for name, words in _COLUMNS.items() if plain in words), None)
        if name in names:
            raise InvalidFileError([Problem(table.name, 1, title, "duplicate-column", title, "each column once")])
        if name is not None:
            names[name] = title
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise InvalidFileError(
            [
                Problem(
                    table.name, 1, name, "missing-column", None, f"a column called {', '.join(_COLUMNS[name])}"
                )
                for name in missing
            ]
        )  # fmt: skip
    return names


def _span(
    file: str, line: int, cells: Mapping[str, str], pupils: Mapping[str, int], problems: Problems
) -> tuple[int, date, date] | None:
    """Return a line's pupil and dates; None, with what is wrong noted, where it has none."""
    before = problems.count
    person_id = pupils.get(cells["pupil"].casefold())
    if person_id is None:
        problems.add(Problem(file, line, "pupil", "unknown-pupil", None, "user name or roster id of a pupil"))
    first = _date(file, line, "from", cells["from"], problems)
    last = _date(file, line, "to", cells["to"], problems) if cells.get("to") else first
    if first is not None and last is not None and not 0 <= (last - first).days < LONGEST_DAYS:
        expected = f"a date on or after the first, at most {LONGEST_DAYS} days in all"
        problems.add(Problem(file, line, "to", "bad-absence", None, expected))
    if problems.count > before or person_id is None or first is None or last is None:
        return None
    return person_id, first, last


def _date(file: str, line: int, column: str, told: str, problems: Problems) -> date | None:
    for form in _FORMATS:
        try:
            found = datetime.strptime(told, form).date()  # noqa: DTZ007 (a local date has no zone)
        except ValueError:
            continue
        if is_plausible(found):
            return found
    problems.add(Problem(file, line, column, "bad-date", told, "a date such as 2026-10-05 or 05.10.2026"))
    return None


def _compare(spans: list[tuple[int, date, date]]) -> AbsencePlan:
    """Return what of a file is new: no absence that is known covers it."""
    firsts, lasts = [first for _, first, _ in spans], [last for _, _, last in spans]
    known = absences.covering({person_id for person_id, _, _ in spans}, min(firsts), max(lasts))
    found = AbsencePlan()
    for person_id, first, last in spans:
        if any(one.starts_on <= first and last <= one.ends_on for one in known.get(person_id, ())):
            found.unchanged += 1
        else:
            found.added.append((person_id, first, last))
    return found
