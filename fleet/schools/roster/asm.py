"""Apple School Manager's CSV set (students, staff, courses, classes, rosters, locations) as values.

Apple's files have no dates and no kind of class: every class is a teaching group unless its title is a basic group's
("8B"), which Norwegian schools write as grade and letter. Source: Apple School Manager User Guide, CSV templates.
"""

import re
from collections.abc import Mapping

from fleet.errors import InvalidFileError, Problem
from fleet.schools.models import ClassKind, MembershipRole, PersonKind
from fleet.schools.roster.package import Problems, Table
from fleet.schools.roster.reader import Row, rows, unique
from fleet.schools.roster.values import ClassValue, MembershipValue, PersonValue, Roster, SchoolValue, membership_id

_NEEDED = ("locations", "students", "staff", "classes", "rosters")
_BASIC = re.compile(r"(10|[1-9])\s?[A-ZÆØÅ]")
_INSTRUCTORS = ("instructor_id", "instructor_id_2", "instructor_id_3")


def recognises(tables: Mapping[str, Table]) -> bool:
    """Whether the package's columns are Apple School Manager's."""
    return any({"location_id", "location_name"} <= set(table.columns) for table in tables.values())


def read(tables: Mapping[str, Table], file: str) -> Roster:
    """Return what the set says.

    Raises:
        InvalidFileError: with everything that is wrong.
    """
    missing = [name for name in _NEEDED if name not in tables]
    if missing:
        raise InvalidFileError(
            [Problem(file, None, None, "missing-file", None, f"a file {name}.csv") for name in missing],
            count=len(missing),
        )
    problems, roster = Problems(), Roster()
    seen: dict[str, int] = {}
    for row in rows(tables["locations"], ("location_id", "location_name"), problems):
        source_id = unique(row, "location_id", seen)
        roster.schools[source_id] = SchoolValue(source_id, row.needed("location_name", longest=120))
    seen = {}
    for name, kind in (("students", PersonKind.PUPIL), ("staff", PersonKind.TEACHER)):
        for row in rows(tables[name], ("person_id", "first_name", "last_name", "location_id"), problems):
            _read_person(row, kind, seen, roster)
    _read_classes(tables, roster, problems)
    for row in rows(tables["rosters"], ("class_id", "student_id"), problems):
        class_ = row.known("class_id", row.needed("class_id"), roster.classes, "classes.csv")
        person = row.known("student_id", row.needed("student_id"), roster.people, "students.csv")
        if row.is_sound:
            _join(roster, class_, person, MembershipRole.PUPIL)
    problems.raise_if_any()
    return roster


def _read_person(row: Row, kind: PersonKind, seen: dict[str, int], roster: Roster) -> None:
    source_id = unique(row, "person_id", seen)
    school = row.known("location_id", row.needed("location_id"), roster.schools, "locations.csv")
    roster.people[source_id] = PersonValue(
        source_id=source_id,
        kind=kind,
        given_name=row.needed("first_name", longest=120, show=False),
        family_name=row.needed("last_name", longest=120, show=False),
        username=row.optional("sis_username") or row.optional("email_address"),
        email=row.optional("email_address") if kind is not PersonKind.PUPIL else None,
        school=school,
    )


def _read_classes(tables: Mapping[str, Table], roster: Roster, problems: Problems) -> None:
    courses = {row.get("course_id", ""): row for _, row in tables["courses"].rows} if "courses" in tables else {}
    seen: dict[str, int] = {}
    for row in rows(tables["classes"], ("class_id", "course_id", "location_id"), problems):
        source_id = unique(row, "class_id", seen)
        school = row.known("location_id", row.needed("location_id"), roster.schools, "locations.csv")
        course = courses.get(row.text("course_id"), {})
        title = (row.text("class_number") or course.get("course_name") or row.text("course_id"))[:120]
        if not title:
            row.fault("class_number", "empty", "a class number, or a course with a name")
        if not row.is_sound:
            continue
        kind = ClassKind.BASIC if _BASIC.fullmatch(title) else ClassKind.TEACHING
        grade = re.match(r"\d+", title)
        roster.classes[source_id] = ClassValue(
            source_id,
            school,
            None,
            kind,
            title,
            grade[0] if grade else None,
            course.get("course_number", "")[:16] or None,
        )
        for column in _INSTRUCTORS:
            teacher = row.text(column)
            if teacher and row.known(column, teacher, roster.people, "staff.csv") in roster.people:
                _join(roster, source_id, teacher, MembershipRole.TEACHER)


def _join(roster: Roster, class_: str, person: str, role: MembershipRole) -> None:
    name = membership_id(class_, person, role)
    roster.memberships[name] = MembershipValue(name, class_, person, role, None, None)
