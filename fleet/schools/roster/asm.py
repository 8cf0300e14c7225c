"""Apple School Manager's CSV set (students, staff, courses, classes, rosters, locations) as values.

Apple's files have no dates and no kind of class: every class is a teaching group unless its title is a basic group's
("8B"), which Norwegian schools write as grade and letter. Source: Apple School Manager User Guide, CSV templates.
"""

import re
from collections.abc import Iterator, Mapping

from fleet.errors import Problem
from fleet.schools.models import ClassKind, MembershipRole, PersonKind
from fleet.schools.roster.package import Problems, Table
from fleet.schools.roster.reader import Row, rows, unique
from fleet.schools.roster.values import ClassValue, MembershipValue, PersonValue, Roster, SchoolValue, membership_id

_NEEDED = ("locations", "students", "staff", "courses", "classes", "rosters")
_BASIC = re.compile(r"(10|[1-9])\s?[A-ZÆØÅ]")
_INSTRUCTORS = ("instructor_id", "instructor_id_2", "instructor_id_3")


def recognises(tables: Mapping[str, Table]) -> bool:
    """Whether the package's columns, or else its files' names, are Apple School Manager's."""
    columns = any({"location_id", "location_name"} <= set(table.columns) for table in tables.values())
    return columns or {"locations", "rosters"} <= tables.keys()


def read(tables: Mapping[str, Table], file: str, problems: Problems) -> Roster:
    """Return what the set says.

    Raises:
        InvalidFileError: with everything that is wrong.
    """
    missing = [name for name in _NEEDED if name not in tables]
    for name in missing:
        wanted = f"{name}.csv"
        problems.add(Problem(file, None, None, "missing-file", None, f"a file {wanted}", other=wanted))
    if missing:
        raise problems.error()
    reading = _Reading(tables, problems)
    reading.locations()
    reading.people()
    reading.classes()
    reading.rosters()
    problems.raise_if_any()
    return reading.roster


class _Reading:
    """Reads one set, file by file in the order of their references; ids of faulty rows may be referred to."""

    def __init__(self, tables: Mapping[str, Table], problems: Problems) -> None:
        self._tables = tables
        self._problems = problems
        self.roster = Roster()
        self._ids: dict[str, dict[str, int]] = {name: {} for name in _NEEDED}

    def _rows(self, file: str, needed: tuple[str, ...], *optional: str) -> Iterator[Row]:
        return rows(self._tables[file], needed, self._problems, optional=optional)

    def _refer(self, row: Row, column: str, file: str) -> str:
        return row.known(column, row.needed(column), self._ids[file], f"{file}.csv")

    def locations(self) -> None:
        """Read schools."""
        for row in self._rows("locations", ("location_id", "location_name")):
            source_id = unique(row, "location_id", self._ids["locations"])
            self.roster.schools[source_id] = SchoolValue(source_id, row.needed("location_name", longest=120))

    def people(self) -> None:
        """Read pupils and staff; an id is one person's in both files."""
        seen: dict[str, int] = {}
        for file, kind in (("students", PersonKind.PUPIL), ("staff", PersonKind.TEACHER)):
            needed = ("person_id", "first_name", "last_name", "location_id")
            for row in self._rows(file, needed, "sis_username", "email_address"):
                source_id = unique(row, "person_id", seen)
                self._ids[file][source_id] = row.line
                # A pupil's address has no purpose here; of staff it is where alerts go.
                email = row.optional("email_address") if kind is not PersonKind.PUPIL else None
                self.roster.people[source_id] = PersonValue(
                    source_id=source_id,
                    kind=kind,
                    given_name=row.needed("first_name", longest=120, show=False),
                    family_name=row.needed("last_name", longest=120, show=False),
                    username=row.optional("sis_username") or email,
                    email=email,
                    school=self._refer(row, "location_id", "locations"),
                )

    def _courses(self) -> dict[str, tuple[str, str]]:
        """Return name and number of courses."""
        found = {}
        for row in self._rows("courses", ("course_id",), "course_name", "course_number"):
            source_id = unique(row, "course_id", self._ids["courses"])
            found[source_id] = (row.optional("course_name", longest=120) or "", row.text("course_number"))
        return found

    def classes(self) -> None:
        """Read classes and their teachers."""
        courses = self._courses()
        for row in self._rows("classes", ("class_id", "course_id", "location_id"), "class_number", *_INSTRUCTORS):
            source_id = unique(row, "class_id", self._ids["classes"])
            row.about = row.text("class_number")[:80] or None
            school = self._refer(row, "location_id", "locations")
            name, number = courses.get(self._refer(row, "course_id", "courses"), ("", ""))
            title = row.optional("class_number", longest=120) or name or row.text("course_id")[:120]
            teachers = [
                row.known(column, row.text(column), self._ids["staff"], "staff.csv")
                for column in _INSTRUCTORS
                if row.text(column)
            ]
            if not row.is_sound:
                continue
            kind = ClassKind.BASIC if _BASIC.fullmatch(title) else ClassKind.TEACHING
            grade = re.match(r"\d{1,2}(?!\d)", title)
            self.roster.classes[source_id] = ClassValue(
                source_id=source_id,
                school=school,
                year=None,
                kind=kind,
                title=title,
                grade=grade[0] if grade else None,
                subject_code=number[:16] or None,
            )
            for teacher in teachers:
                self._join(source_id, teacher, MembershipRole.TEACHER)

    def rosters(self) -> None:
        """Read who is in which class."""
        for row in self._rows("rosters", ("class_id", "student_id")):
            class_, pupil = self._refer(row, "class_id", "classes"), self._refer(row, "student_id", "students")
            if row.is_sound:
                self._join(class_, pupil, MembershipRole.PUPIL)

    def _join(self, class_: str, person: str, role: MembershipRole) -> None:
        name = membership_id(class_, person, role)
        self.roster.memberships[name] = MembershipValue(name, class_, person, role, None, None)
