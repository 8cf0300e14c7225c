"""Absences from a file: CSV with the pupil's user name or roster id, the first and optionally the last date.

Columns, Norwegian or English, separated by semicolon, comma or tab. Invariants: one bad line stops all; what stands in
the pupil's column is never repeated, as it may be a name; other columns, such as a reason, are not read; the same file
again changes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import select

from fleet.access import Permission, Principal
from fleet.db import among, db
from fleet.errors import ForbiddenError, Problem
from fleet.schools import absences, tables
from fleet.schools.absences import Dates
from fleet.schools.calendar_editing import is_plausible
from fleet.schools.models import Person, PersonKind
from fleet.schools.queries import by_name
from fleet.schools.roster.package import Problems

MAX_BYTES = 2**20
_COLUMNS: dict[str, tuple[str, ...]] = {
    "pupil": ("brukernavn", "kilde id", "elev", "username", "source id", "pupil"),
    "from": ("fra", "dato", "fra og med", "første dag", "from", "date", "start"),
    "to": ("til", "til og med", "siste dag", "to", "until", "end"),
}


@dataclass(slots=True)
class AbsencePlan:
    """What a file tells that is new: pupils by the dates they are away, and how many lines were known."""

    new: Mapping[Dates, frozenset[int]] = field(default_factory=dict)
    known: int = 0

    def counts(self) -> dict[str, int]:
        """Return the numbers."""
        return {"new": sum(map(len, self.new.values())), "known": self.known}


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
    table = tables.table(path.name, tables.content(path, most_bytes=MAX_BYTES))
    names = tables.header(table, _COLUMNS, needed=("pupil", "from"), joints="_-")
    problems = Problems()
    pupils = _pupils(by)
    told: dict[Dates, set[int]] = defaultdict(set)
    for line, cells in table.rows:
        dates = _dates(path.name, line, {name: cells[title] for name, title in names.items()}, problems)
        found = pupils.get(cells[names["pupil"]].casefold(), [])
        if len(found) != 1:
            code = "ambiguous-pupil" if found else "unknown-pupil"
            problems.add(Problem(path.name, line, "pupil", code, None, "a pupil's user name or id from the roster"))
        elif dates is not None:
            told[dates].add(found[0])
    problems.raise_if_any()
    return _compare(told)


def apply(path: Path, *, by: Principal, now: datetime) -> AbsencePlan:
    """Import a file; returns what was new. Arguments and refusals are those of :func:`plan`."""
    found = plan(path, by=by)
    absences.enter_all(found.new, by=by, now=now)
    return found


def names(found: AbsencePlan, *, limit: int) -> list[tuple[str, Dates]]:
    """Return what pupils of a plan are called with their dates, the first by date; one statement."""
    rows = [(one, dates) for dates in sorted(found.new) for one in sorted(found.new[dates])][:limit]
    query = select(Person.id, Person.given_name, Person.family_name).where(among(Person.id, {one for one, _ in rows}))
    called = {row.id: f"{row.given_name} {row.family_name}" for row in db.session.execute(query)}
    return [(called[one], dates) for one, dates in rows]


def _compare(told: Mapping[Dates, set[int]]) -> AbsencePlan:
    if not told:
        return AbsencePlan()
    since, until = min(first for first, _ in told), max(last for _, last in told)
    away = absences.days_away(since, until)
    of_pupil: dict[int, list[Dates]] = defaultdict(list)
    for dates, pupils in told.items():
        for one in pupils:
            of_pupil[one].append(dates)
    new: dict[Dates, set[int]] = defaultdict(set)
    for one, theirs in of_pupil.items():
        for dates in _uncovered(theirs, away.get(one, ())):
            new[dates].add(one)
    count = sum(map(len, told.values()))
    return AbsencePlan({dates: frozenset(pupils) for dates, pupils in new.items()}, count - sum(map(len, new.values())))


def _uncovered(told: Iterable[Dates], known: Iterable[Dates]) -> Iterator[Dates]:
    """Return the ranges of dates that lie in no known one, nor in a longer one of themselves.

    One pass in the order of first dates, as a file may have tens of thousands about one pupil.
    """
    rows = [(first, -last.toordinal(), False) for first, last in known]
    rows += [(first, -last.toordinal(), True) for first, last in told]
    reached = 0
    for first, ends, is_told in sorted(rows):
        if is_told and -ends > reached:
            yield first, date.fromordinal(-ends)
        reached = max(reached, -ends)


def _pupils(by: Principal) -> Mapping[str, list[int]]:
    """Return the pupils for whose whole school ``by`` may enter absence, by user name and roster id; one statement."""
    whole = by.school_ids(Permission.ENTER_ABSENCE)
    if whole == frozenset():
        raise ForbiddenError(permission=Permission.ENTER_ABSENCE.value)
    query = select(Person.id, Person.username, Person.source_id)
    query = query.where(Person.kind == PersonKind.PUPIL, Person.ended_at.is_(None))
    if whole is not None:
        query = query.where(Person.school_id.in_(whole))
    rows = db.session.execute(query).all()
    return by_name((name, row.id) for row in rows for name in (row.username, row.source_id))


def _dates(file: str, line: int, cells: Mapping[str, str], problems: Problems) -> Dates | None:
    first = _date(cells["from"])
    last = _date(cells["to"]) if cells.get("to") else first
    for column, found in (("from", first), ("to", last)):
        if found is None and (column == "from" or cells.get("to")):  # one that is not told is the first
            problems.add(Problem(file, line, column, "bad-date", cells.get(column), tables.DATES))
    if first is None or last is None:
        return None
    if not 0 <= (last - first).days < absences.LONGEST_DAYS:
        expected = f"a later date, at most {absences.LONGEST_DAYS} days in all"
        problems.add(Problem(file, line, "to", "bad-absence", cells.get("to"), expected))
        return None
    return first, last


def _date(told: str) -> date | None:
    found = tables.local_date(told.strip())
    return found if found is not None and is_plausible(found) else None
