"""The school calendar from a file: a municipality's *skolerute* as CSV or iCalendar, days and ranges such as holidays.

Columns of CSV, Norwegian or English, separated by semicolon, comma or tab: the date (or first date), optionally the
last date, a title, optionally whether there is school (no, where it is left out) and the school (all schools, where it
is empty). A range names every date in it. Of an iCalendar file each entry is judged by its words
(:mod:`calendar_words`), and whoever imports may say otherwise; where entries overlap the shorter one is the nearer.
Invariants: one bad line stops all; days the file does not name stay as they are; the same file again changes nothing.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.db import db, take_turn
from fleet.errors import InvalidFileError, Problem
from fleet.schools import calendar_ics, tables
from fleet.schools.calendar_editing import (
    FIRST_YEAR,
    LAST_YEAR,
    MAX_TITLE,
    TURN,
    Answer,
    Days,
    Place,
    is_plausible,
    subject,
    title_of,
)
from fleet.schools.calendar_ics import MAX_RANGE_DAYS, Contents, Event
from fleet.schools.calendar_words import Meaning
from fleet.schools.changes import Change
from fleet.schools.models import CalendarDay, School
from fleet.schools.queries import by_name
from fleet.schools.roster.package import Problems

MAX_BYTES = 2**20
MAX_DAYS = 20_000
_COLUMNS: dict[str, tuple[str, ...]] = {
    "from": ("dato", "fra", "fra dato", "fra og med", "første dag", "date", "from", "start", "start date"),
    "to": ("til", "til dato", "til og med", "siste dag", "to", "until", "end", "end date"),
    "title": ("tittel", "navn", "beskrivelse", "hva", "title", "name", "description"),
    "is_school_day": ("skoledag", "school day"),
    "school": ("skole", "school"),
}
_NEEDED = ("from", "title")
_ANSWERS = {"ja": True, "yes": True, "true": True, "1": True, "nei": False, "no": False, "false": False, "0": False}


@dataclass(slots=True)
class DayPlan:
    """What a file changes: rows to add, rows to change, and how many are as they should be.

    ``contents`` are an iCalendar file's entries, ``meant`` what each is taken as, by its line; None and nothing of CSV.
    """

    added: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    unchanged: int = 0
    former: dict[Place, Answer] = field(default_factory=dict)  # of what is changed
    contents: Contents | None = None
    meant: dict[int, Meaning] = field(default_factory=dict)

    def change(self) -> Days:
        """Return what the file changes as what takes it back."""
        rows = (*self.added, *self.changed)
        return Change(
            self.former, {(row["school_id"], row["on"]): (row["is_school_day"], row["title"]) for row in rows}
        )

    def places(self) -> list[tuple[int | None, date]]:
        """Return where and when something changes."""
        return [(row["school_id"], row["on"]) for row in (*self.added, *self.changed)]

    def counts(self) -> dict[str, int]:
        """Return the numbers."""
        return {"added": len(self.added), "changed": len(self.changed), "unchanged": self.unchanged}


class _Reader:
    """Reads lines into days; collects problems."""

    def __init__(self, file: str, school_id: int | None) -> None:
        self.file = file
        self.problems = Problems()
        self.days: dict[Place, Answer] = {}
        self._school_id = school_id
        living = db.session.scalars(select(School).where(School.ended_at.is_(None))).all()
        self._schools = by_name((name, one.id) for one in living for name in (one.name, one.source_id))
        self._names = [school.name for school in living]

    def fault(self, line: int, column: str | None, code: str, found: str | None, expected: str) -> None:
        """Note a problem."""
        self.problems.add(Problem(self.file, line, column, code, found, expected))

    def row(self, line: int, cells: Mapping[str, str]) -> None:
        """Take a line's days; notes what is wrong."""
        before = self.problems.count
        first = self._date(line, "from", cells["from"])
        last = self._date(line, "to", cells["to"]) if cells.get("to") else first
        title = title_of(cells["title"])
        if title is None:
            self.fault(line, "title", "bad-title", None, f"a title of at most {MAX_TITLE} characters")
        answer = cells.get("is_school_day", "").casefold() or "no"
        if answer not in _ANSWERS:
            self.fault(line, "school day", "bad-answer", answer, "yes or no, ja or nei")
        school_id = self._school(line, cells.get("school", ""))
        if first is not None and last is not None and not 0 <= (last - first).days < MAX_RANGE_DAYS:
            self.fault(line, "to", "bad-range", cells["to"], f"a later date, at most {MAX_RANGE_DAYS} days in all")
        if self.problems.count == before and first is not None and last is not None and title is not None:
            for number in range((last - first).days + 1):
                self._add(line, (school_id, first + timedelta(days=number)), (_ANSWERS[answer], title))

    def _add(self, line: int, place: Place, value: Answer) -> None:
        if place in self.days:
            self.fault(line, "from", "duplicate-day", place[1].isoformat(), "each date once for a school")
        self.days[place] = value

    def _date(self, line: int, column: str, told: str) -> date | None:
        found = tables.local_date(told)
        if found is None:
            self.fault(line, column, "bad-date", told, tables.DATES)
        elif not is_plausible(found):
            self.fault(line, column, "far-date", told, f"a date from {FIRST_YEAR} to {LAST_YEAR}")
        return found

    def _school(self, line: int, told: str) -> int | None:
        if not told:
            return self._school_id
        found = self._schools.get(told.casefold(), [])
        if len(found) > 1:
            self.fault(line, "school", "ambiguous-school", told, "the school's id: several have this name")
        elif not found:
            near = difflib.get_close_matches(told, self._names, n=3, cutoff=0.4)
            self.fault(line, "school", "unknown-school", told, f"a school: {', '.join(near or self._names[:5])}")
        return found[0] if len(found) == 1 else None


def propose_days(
    path: Path, *, school_id: int | None, by: Principal, meant: Mapping[int, Meaning] | None = None
) -> DayPlan:
    """Read a file and return what importing it would change; changes nothing.

    Args:
        path: the file, CSV or iCalendar.
        school_id: whose days lines without a school are; None means all schools'.
        by: who imports.
        meant: what entries of an iCalendar file are taken as, by their lines; the others as they are judged.

    Raises:
        InvalidFileError: with everything that is wrong.
        ForbiddenError: ``by`` may not edit the calendar of a school of the file.
        OSError: the file cannot be read.
    """
    content = tables.content(path, most_bytes=MAX_BYTES)
    if not calendar_ics.is_icalendar(path.name, content):
        days = _days_of_table(path, content, school_id)
        for place in {place for place, _ in days}:
            require(by, Permission.EDIT_CALENDAR, school_id=place)
        return _compare(days)
    require(by, Permission.EDIT_CALENDAR, school_id=school_id)
    contents = calendar_ics.read(path.name, content)
    taken = {one.line: (meant or {}).get(one.line, one.judgement.meaning) for one in contents.events}
    plan = _compare(_days_of_events(path.name, contents.events, taken, school_id))
    plan.contents, plan.meant = contents, taken
    return plan


def _days_of_table(path: Path, content: bytes, school_id: int | None) -> dict[Place, Answer]:
    table = tables.table(path.name, content)
    names = tables.header(table, _COLUMNS, needed=_NEEDED)
    reader = _Reader(path.name, school_id)
    for line, cells in table.rows:
        reader.row(line, {name: cells[title] for name, title in names.items()})
        if len(reader.days) > MAX_DAYS:
            reader.fault(line, None, "too-many-days", None, f"at most {MAX_DAYS} days in all")
            break
    reader.problems.raise_if_any()
    return reader.days


def _days_of_events(
    name: str, events: Sequence[Event], meant: Mapping[int, Meaning], school_id: int | None
) -> dict[Place, Answer]:
    days: dict[Place, Answer] = {}
    for _, event in sorted(((len(list(one.days())), one) for one in events), key=lambda pair: (-pair[0], pair[1].line)):
        if meant[event.line] is Meaning.NEWS:
            continue
        answer = meant[event.line] is Meaning.SCHOOL_DAY, event.title
        days.update(((school_id, on), answer) for on in event.days())
        if len(days) > MAX_DAYS:
            expected = f"at most {MAX_DAYS} days in all"
            raise InvalidFileError([Problem(name, event.line, None, "too-many-days", None, expected)])
    return days


def _compare(days: Mapping[Place, Answer]) -> DayPlan:
    if not days:
        return DayPlan()
    dates = [on for _, on in days]
    query = select(CalendarDay).where(CalendarDay.on.between(min(dates), max(dates)))
    known = {(row.school_id, row.on): row for row in db.session.scalars(query)}
    plan = DayPlan()
    for (school_id, on), (is_school_day, title) in days.items():
        values = {"is_school_day": is_school_day, "title": title}
        row = known.get((school_id, on))
        if row is None:
            plan.added.append({"school_id": school_id, "on": on, **values})
        elif (row.is_school_day, row.title) == (is_school_day, title):
            plan.unchanged += 1
        else:
            plan.changed.append({"id": row.id, "school_id": school_id, "on": on, **values})
            plan.former[school_id, on] = row.is_school_day, row.title
    return plan


def import_days(
    path: Path,
    *,
    school_id: int | None,
    by: Principal,
    now: datetime,
    meant: Mapping[int, Meaning] | None = None,
) -> DayPlan:
    """Import a file; returns what changed. Arguments and refusals are those of :func:`propose_days`."""
    take_turn(TURN)
    plan = propose_days(path, school_id=school_id, by=by, meant=meant)
    if plan.added:
        db.session.execute(insert(CalendarDay), plan.added)
    if plan.changed:
        db.session.execute(update(CalendarDay), plan.changed)
    db.session.expire_all()
    if plan.added or plan.changed:
        counts = plan.counts()
        audit.record(
            by, "calendar.imported", subject=subject(school_id), now=now,
            file_name=path.name[:255], school_id=school_id, added=counts["added"], changed=counts["changed"],
        )  # fmt: skip
    return plan
