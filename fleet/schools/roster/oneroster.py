"""OneRoster 1.1 and 1.2 CSV bulk packages as values.

Only what has a purpose is read: no birth dates, addresses, telephone numbers, passwords, national identity numbers or
demographics, even where the file has them. Guardians have no purpose here and are left out.
Source: 1EdTech OneRoster 1.1 and 1.2 CSV binding, sections on bulk files.
"""

from collections.abc import Mapping

from fleet.errors import InvalidFileError, Problem
from fleet.schools.models import ClassKind, MembershipRole, PersonKind
from fleet.schools.roster.package import Problems, Table
from fleet.schools.roster.reader import Row, rows, unique
from fleet.schools.roster.values import (
    ClassValue,
    MembershipValue,
    PersonValue,
    Roster,
    SchoolValue,
    YearValue,
    membership_id,
)

_ABOVE_SCHOOLS = {"district", "local", "state", "national"}
_CLASS_KINDS = {"homeroom": ClassKind.BASIC, "scheduled": ClassKind.TEACHING}
_PERSON_KINDS = {
    "student": PersonKind.PUPIL,
    "teacher": PersonKind.TEACHER,
    "aide": PersonKind.STAFF,
    "administrator": PersonKind.STAFF,
    "proctor": PersonKind.STAFF,
    "counselor": PersonKind.STAFF,
    "principal": PersonKind.STAFF,
    "siteadministrator": PersonKind.STAFF,
    "districtadministrator": PersonKind.STAFF,
    "systemadministrator": PersonKind.STAFF,
}
_LEFT_OUT = {"parent", "guardian", "relative"}
_MEMBER_ROLES = {"student": MembershipRole.PUPIL, "teacher": MembershipRole.TEACHER}
_NEEDED = ("orgs", "users", "classes", "enrollments")
# A person with several roles is the one that stands first here.
_RANK = (PersonKind.TEACHER, PersonKind.STAFF, PersonKind.PUPIL)


def recognises(tables: Mapping[str, Table]) -> bool:
    """Whether the package's columns are OneRoster's."""
    return any("sourcedId" in table.columns for table in tables.values())


def read(tables: Mapping[str, Table], file: str) -> Roster:
    """Return what the package says.

    Raises:
        InvalidFileError: with everything that is wrong, or because it holds changes only (delta).
    """
    _refuse_delta(tables)
    missing = [name for name in _NEEDED if name not in tables]
    if missing:
        raise InvalidFileError(
            [Problem(file, None, None, "missing-file", None, f"a file {name}.csv") for name in missing],
            count=len(missing),
        )
    problems, roster = Problems(), Roster()
    referred = {row.get("schoolSourcedId", "") for _, row in tables["classes"].rows}
    _read_orgs(tables["orgs"], referred, roster, problems)
    if "academicsessions" in tables:
        _read_sessions(tables["academicsessions"], roster, problems)
    _read_classes(tables["classes"], tables.get("courses"), roster, problems)
    left_out = _read_people(tables["users"], tables.get("roles"), roster, problems)
    _read_memberships(tables["enrollments"], left_out, roster, problems)
    problems.raise_if_any()
    return roster


def _refuse_delta(tables: Mapping[str, Table]) -> None:
    for line, row in tables["manifest"].rows if "manifest" in tables else ():
        if row.get("propertyName", "").startswith("file.") and row.get("value", "").lower() == "delta":
            expected = "bulk: a whole roster, not changes only"
            raise InvalidFileError(
                [Problem(tables["manifest"].name, line, "value", "delta-package", "delta", expected)], count=1
            )


def _is_gone(row: Row) -> bool:
    return row.text("status").lower() in {"tobedeleted", "inactive"}


def _read_orgs(table: Table, referred: set[str], roster: Roster, problems: Problems) -> None:
    seen: dict[str, int] = {}
    for row in rows(table, ("sourcedId", "name", "type"), problems):
        source_id, kind = unique(row, "sourcedId", seen), row.text("type").lower()
        if _is_gone(row):
            continue
        name = row.needed("name", longest=120)
        if kind == "school" or source_id in referred:
            roster.schools[source_id] = SchoolValue(source_id, name)
        elif kind in _ABOVE_SCHOOLS:
            roster.municipality = roster.municipality or (source_id, name)
        elif kind != "department":
            row.fault("type", "unknown-type", "school, department, local, district, state or national")


def _read_sessions(table: Table, roster: Roster, problems: Problems) -> None:
    seen: dict[str, int] = {}
    for row in rows(table, ("sourcedId", "title", "startDate", "endDate"), problems):
        source_id = unique(row, "sourcedId", seen)
        starts_on, ends_on = row.day("startDate", must=True), row.day("endDate", must=True)
        title = row.needed("title", longest=120)
        if starts_on is not None and ends_on is not None:
            if ends_on < starts_on:
                row.fault("endDate", "ends-before-start", "a date after startDate")
            elif not _is_gone(row):
                roster.years[source_id] = YearValue(source_id, title, starts_on, ends_on)


def _subject_codes(courses: Table | None) -> dict[str, str]:
    if courses is None or not {"sourcedId", "subjectCodes"} <= set(courses.columns):
        return {}
    return {row["sourcedId"]: row["subjectCodes"].split(",")[0].strip() for _, row in courses.rows}


def _read_classes(table: Table, courses: Table | None, roster: Roster, problems: Problems) -> None:
    codes, seen = _subject_codes(courses), dict[str, int]()
    for row in rows(table, ("sourcedId", "title", "classType", "schoolSourcedId"), problems):
        source_id = unique(row, "sourcedId", seen)
        if _is_gone(row):
            continue
        kind = _CLASS_KINDS.get(row.text("classType").lower())
        if kind is None:
            row.fault("classType", "unknown-type", "homeroom or scheduled")
        school = row.known("schoolSourcedId", row.needed("schoolSourcedId"), roster.schools, "orgs.csv")
        terms = row.items("termSourcedIds")
        for term in terms:
            row.known("termSourcedIds", term, roster.years, "academicSessions.csv")
        title = row.needed("title", longest=120)
        own_code = (row.items("subjectCodes") or [codes.get(row.text("courseSourcedId"), "")])[0]
        if row.is_sound and kind is not None:
            roster.classes[source_id] = ClassValue(
                source_id=source_id,
                school=school,
                year=terms[0] if terms else None,
                kind=kind,
                title=title,
                grade=(row.items("grades") or [""])[0][:16] or None,
                subject_code=own_code[:16] or None,
            )


def _roles(table: Table | None, problems: Problems) -> dict[str, list[tuple[str, str]]]:
    """Return (role, org) by user of a 1.2 package, primary roles first."""
    found: dict[str, list[tuple[str, str]]] = {}
    if table is None:
        return found
    for row in rows(table, ("userSourcedId", "role", "orgSourcedId"), problems):
        if not _is_gone(row):
            entry = (row.needed("role").lower(), row.text("orgSourcedId"))
            known = found.setdefault(row.needed("userSourcedId"), [])
            known.insert(0, entry) if row.text("roleType").lower() == "primary" else known.append(entry)
    return found


def _read_people(table: Table, roles: Table | None, roster: Roster, problems: Problems) -> set[str]:
    """Read users; return the ids of those who have no purpose here."""
    by_user, seen, left_out = _roles(roles, problems), dict[str, int](), set[str]()
    has_own_role = "role" in table.columns
    if not has_own_role and roles is None:
        problems.add(
            Problem(table.name, 1, "role", "missing-column", None, "a column role (1.1) or a file roles.csv (1.2)")
        )
        return left_out
    for row in rows(table, ("sourcedId", "givenName", "familyName"), problems):
        source_id = unique(row, "sourcedId", seen)
        own = [(row.text("role").lower(), org) for org in row.items("orgSourcedIds") or [""]]
        told = own if has_own_role else by_user.get(source_id, [])
        if _is_gone(row) or not told or all(role in _LEFT_OUT for role, _ in told):
            left_out.add(source_id)
            continue
        person = _person(row, source_id, told, roster)
        if person is not None:
            roster.people[source_id] = person
    return left_out


def _person(row: Row, source_id: str, told: list[tuple[str, str]], roster: Roster) -> PersonValue | None:
    for role, _ in told:
        if role not in _PERSON_KINDS and role not in _LEFT_OUT:
            row.fault("role", "unknown-role", f"one of {', '.join(sorted({*_PERSON_KINDS, *_LEFT_OUT}))}")
            return None
    kinds = {_PERSON_KINDS[role] for role, _ in told if role in _PERSON_KINDS}
    kind = next(kind for kind in _RANK if kind in kinds)
    preferred = row.text("primaryOrgSourcedId")
    orgs = [preferred, *(org for _, org in told)]
    given = row.optional("preferredGivenName", longest=120) or row.needed("givenName", longest=120, show=False)
    family = row.optional("preferredFamilyName", longest=120) or row.needed("familyName", longest=120, show=False)
    return PersonValue(
        source_id=source_id,
        kind=kind,
        given_name=given,
        family_name=family,
        username=row.optional("username"),
        email=row.optional("email") if kind is not PersonKind.PUPIL else None,
        school=next((org for org in orgs if org in roster.schools), None),
    )


def _read_memberships(table: Table, left_out: set[str], roster: Roster, problems: Problems) -> None:
    for row in rows(table, ("classSourcedId", "userSourcedId", "role"), problems):
        role, person = row.text("role").lower(), row.needed("userSourcedId")
        if _is_gone(row) or person in left_out or role in {*_PERSON_KINDS, *_LEFT_OUT} - _MEMBER_ROLES.keys():
            continue
        if role not in _MEMBER_ROLES:
            row.fault("role", "unknown-role", "student, teacher, administrator, proctor or aide")
            continue
        row.known("userSourcedId", person, roster.people, "users.csv")
        class_ = row.known("classSourcedId", row.needed("classSourcedId"), roster.classes, "classes.csv")
        starts_on, ends_on = row.day("beginDate"), row.day("endDate")
        if row.is_sound:
            name = membership_id(class_, person, _MEMBER_ROLES[role])
            roster.memberships[name] = MembershipValue(name, class_, person, _MEMBER_ROLES[role], starts_on, ends_on)
