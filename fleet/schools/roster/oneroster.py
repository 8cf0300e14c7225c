"""OneRoster 1.1 and 1.2 CSV bulk packages as values.

Only what has a purpose is read: no birth dates, addresses, telephone numbers, passwords, national identity numbers or
demographics, even where the file has them. Guardians have no purpose here and are left out.
Source: 1EdTech OneRoster 1.1 and 1.2 CSV binding, sections on bulk files.
"""

from collections.abc import Mapping
from datetime import date

from fleet.errors import Problem
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

_ABOVE_SCHOOLS = ("district", "local", "state", "national")  # the nearest is the municipality
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
_READ = {*_NEEDED, "academicsessions", "courses", "roles"}
# A person with several roles is the one that stands first here.
_RANK = (PersonKind.TEACHER, PersonKind.STAFF, PersonKind.PUPIL)


def recognises(tables: Mapping[str, Table]) -> bool:
    """Whether the package's columns, or else its files' names, are OneRoster's."""
    return any("sourcedId" in table.columns for table in tables.values()) or {"orgs", "users"} <= tables.keys()


def read(tables: Mapping[str, Table], file: str, problems: Problems) -> Roster:
    """Return what the package says.

    Raises:
        InvalidFileError: with everything that is wrong, or because it holds changes only (delta).
    """
    before = problems.count
    _check_files(tables, file, problems)
    if problems.count > before:
        raise problems.error()
    reading = _Reading(tables, problems)
    reading.orgs()
    reading.sessions()
    reading.classes()
    reading.people()
    reading.memberships()
    problems.raise_if_any()
    return reading.roster


def _check_files(tables: Mapping[str, Table], file: str, problems: Problems) -> None:
    """Note files that are missing, or that hold changes only."""
    needed = dict.fromkeys(_NEEDED, file)
    for line, row in tables["manifest"].rows if "manifest" in tables else ():
        name = row.get("propertyName", "").lower().removeprefix("file.")
        value, manifest = row.get("value", "").lower(), tables["manifest"].name
        if name not in _READ or not row["propertyName"].lower().startswith("file."):
            continue
        if value == "delta":
            expected = "bulk: a whole roster, not changes only"
            problems.add(Problem(manifest, line, "value", "delta-package", f"{name}: delta", expected))
        elif value == "bulk":  # a package that lost a file on its way looks like this
            needed.setdefault(name, file)
    for name in needed:
        if name not in tables:
            wanted = f"{name}.csv"
            problems.add(Problem(file, None, None, "missing-file", None, f"a file {wanted}", other=wanted))


def _is_gone(row: Row) -> bool:
    return row.text("status").lower() in {"tobedeleted", "inactive"}


class _Reading:
    """Reads one package, file by file in the order of their references.

    ``living`` has the ids that a reference may lead to, those of faulty rows too, so that one fault is told once;
    ``gone`` those that the file marks as deleted or that have no purpose here: what refers to them goes with them.
    """

    def __init__(self, tables: Mapping[str, Table], problems: Problems) -> None:
        self._tables = tables
        self._problems = problems
        self.roster = Roster()
        self._living: dict[str, set[str]] = {name: set() for name in _READ}
        self._gone: dict[str, set[str]] = {name: set() for name in _READ}

    def _note(self, file: str, source_id: str, *, is_gone: bool) -> None:
        (self._gone if is_gone else self._living)[file].add(source_id)

    def orgs(self) -> None:
        """Read schools, and the municipality above them."""
        referred = {row.get("schoolSourcedId", "") for _, row in self._tables["classes"].rows}
        seen: dict[str, int] = {}
        above: dict[str, tuple[str, str]] = {}
        for row in rows(self._tables["orgs"], ("sourcedId", "name", "type"), self._problems, optional=("status",)):
            source_id, kind = unique(row, "sourcedId", seen), row.text("type").lower()
            self._note("orgs", source_id, is_gone=_is_gone(row))
            if _is_gone(row):
                continue
            name = row.needed("name", longest=120)
            if kind == "school" or source_id in referred:  # some packages hang classes on a department
                self.roster.schools[source_id] = SchoolValue(source_id, name)
            elif kind in _ABOVE_SCHOOLS:
                above.setdefault(kind, (source_id, name))
            elif kind != "department":
                row.fault("type", "unknown-type", "school, department, local, district, state or national")
        self.roster.municipality = next((above[kind] for kind in _ABOVE_SCHOOLS if kind in above), None)

    def sessions(self) -> None:
        """Read school years and terms."""
        if "academicsessions" not in self._tables:
            return
        needed = ("sourcedId", "title", "startDate", "endDate")
        seen: dict[str, int] = {}
        for row in rows(self._tables["academicsessions"], needed, self._problems, optional=("status",)):
            source_id = unique(row, "sourcedId", seen)
            self._note("academicsessions", source_id, is_gone=_is_gone(row))
            if _is_gone(row):
                continue
            title = row.needed("title", longest=120)
            starts_on, ends_on = row.period("startDate", "endDate", must=True)
            if starts_on is not None and ends_on is not None:
                self.roster.years[source_id] = YearValue(source_id, title, starts_on, ends_on)

    def classes(self) -> None:
        """Read classes."""
        needed = ("sourcedId", "title", "classType", "schoolSourcedId")
        optional = ("status", "grades", "termSourcedIds", "subjectCodes", "courseSourcedId")
        codes, seen = _subject_codes(self._tables.get("courses")), dict[str, int]()
        for row in rows(self._tables["classes"], needed, self._problems, optional=optional):
            source_id = unique(row, "sourcedId", seen)
            self._note("classes", source_id, is_gone=_is_gone(row))
            row.about = row.text("title")[:80] or None
            if not _is_gone(row):
                self._class(row, source_id, codes)

    def _class(self, row: Row, source_id: str, codes: Mapping[str, str]) -> None:
        kind = _CLASS_KINDS.get(row.text("classType").lower())
        if kind is None:
            row.fault("classType", "unknown-type", "homeroom or scheduled")
        school = row.known("schoolSourcedId", row.needed("schoolSourcedId"), self._living["orgs"], "orgs.csv")
        terms = row.items("termSourcedIds")
        for term in terms:
            row.known("termSourcedIds", term, self._living["academicsessions"], "academicSessions.csv")
        title = row.needed("title", longest=120)
        own_code = (row.items("subjectCodes") or [codes.get(row.text("courseSourcedId"), "")])[0]
        if row.is_sound and kind is not None:
            self.roster.classes[source_id] = ClassValue(
                source_id=source_id,
                school=school,
                year=terms[0] if terms else None,
                kind=kind,
                title=title,
                grade=(row.items("grades") or [""])[0][:16] or None,
                subject_code=own_code[:16] or None,
            )

    def people(self) -> None:
        """Read users, with their roles."""
        table = self._tables["users"]
        roles = self._roles()
        if "role" not in table.columns and roles is None:
            if not table.columns:
                return
            expected = "a column role (1.1) or a file roles.csv (1.2)"
            self._problems.add_structural(Problem(table.name, 1, "role", "missing-column", None, expected))
            return
        needed = ("sourcedId", "givenName", "familyName")
        optional = ("status", "username", "email", "orgSourcedIds", "primaryOrgSourcedId")
        seen: dict[str, int] = {}
        for row in rows(table, needed, self._problems, optional=optional):
            source_id = unique(row, "sourcedId", seen)
            own = [(row.text("role").lower(), org) for org in row.items("orgSourcedIds") or [""]]
            told = own if roles is None else roles.get(source_id, [])
            is_left_out = bool(told) and all(role in _LEFT_OUT for role, _ in told)
            if _is_gone(row) or is_left_out or (not told and source_id in self._gone["roles"]):
                self._gone["users"].add(source_id)
                continue
            self._living["users"].add(source_id)
            if person := self._person(row, source_id, told):
                self.roster.people[source_id] = person

    def _roles(self) -> dict[str, list[tuple[str, str]]] | None:
        """Return (role, org) by user of a 1.2 package, primary roles first; None where it is no 1.2 package."""
        if "roles" not in self._tables:
            return None
        found: dict[str, list[tuple[str, str]]] = {}
        needed, optional = ("userSourcedId", "role", "orgSourcedId"), ("status", "roleType")
        users = {row.get("sourcedId", "") for _, row in self._tables["users"].rows}
        for row in rows(self._tables["roles"], needed, self._problems, optional=optional):
            user = row.known("userSourcedId", row.needed("userSourcedId"), users, "users.csv")
            if _is_gone(row):
                self._gone["roles"].add(user)
                continue
            role, org = row.needed("role").lower(), row.text("orgSourcedId")
            self._require_role(row, role)
            row.known("orgSourcedId", org, self._living["orgs"], "orgs.csv")
            known = found.setdefault(user, [])
            known.insert(0, (role, org)) if row.text("roleType").lower() == "primary" else known.append((role, org))
        return found

    @staticmethod
    def _require_role(row: Row, role: str) -> None:
        if role and role not in _PERSON_KINDS and role not in _LEFT_OUT:
            row.fault("role", "unknown-role", f"one of {', '.join(sorted({*_PERSON_KINDS, *_LEFT_OUT}))}")

    def _person(self, row: Row, source_id: str, told: list[tuple[str, str]]) -> PersonValue | None:
        if "roles" not in self._tables:
            self._require_role(row, row.needed("role").lower())
        elif not told and not self._problems.lacks_lines("roles.csv"):
            row.fault("sourcedId", "no-role", "a line of roles.csv for this user")
        for column in ("orgSourcedIds", "primaryOrgSourcedId"):
            for org in row.items(column):
                row.known(column, org, self._living["orgs"], "orgs.csv")
        given = row.optional("preferredGivenName", longest=120) or row.needed("givenName", longest=120, show=False)
        family = row.optional("preferredFamilyName", longest=120) or row.needed("familyName", longest=120, show=False)
        username, email = row.optional("username"), row.optional("email")
        kinds = {_PERSON_KINDS[role] for role, _ in told if role in _PERSON_KINDS}
        if not kinds or not row.is_sound:
            return None
        kind = next(kind for kind in _RANK if kind in kinds)
        orgs = [row.text("primaryOrgSourcedId"), *(org for _, org in told)]
        return PersonValue(
            source_id=source_id,
            kind=kind,
            given_name=given,
            family_name=family,
            username=username,
            email=email if kind is not PersonKind.PUPIL else None,
            school=next((org for org in orgs if org in self.roster.schools), None),
        )

    def memberships(self) -> None:
        """Read who is in which class."""
        needed = ("sourcedId", "classSourcedId", "userSourcedId", "role")
        optional = ("status", "beginDate", "endDate")
        seen: dict[str, int] = {}
        for row in rows(self._tables["enrollments"], needed, self._problems, optional=optional):
            unique(row, "sourcedId", seen)
            role, person, class_ = row.text("role").lower(), row.needed("userSourcedId"), row.needed("classSourcedId")
            has_left = person in self._gone["users"] or class_ in self._gone["classes"]
            if _is_gone(row) or has_left or role in {*_PERSON_KINDS, *_LEFT_OUT} - _MEMBER_ROLES.keys():
                continue
            if role not in _MEMBER_ROLES:
                row.fault("role", "unknown-role", "student, teacher, administrator, proctor or aide")
            row.known("userSourcedId", person, self._living["users"], "users.csv")
            row.known("classSourcedId", class_, self._living["classes"], "classes.csv")
            starts_on, ends_on = row.period("beginDate", "endDate")
            if row.is_sound:
                name = membership_id(class_, person, _MEMBER_ROLES[role])
                self._join(MembershipValue(name, class_, person, _MEMBER_ROLES[role], starts_on, ends_on))

    def _join(self, told: MembershipValue) -> None:
        """Keep a membership; of two for the same place the one that lasts longer, whatever their order."""
        known = self.roster.memberships.setdefault(told.source_id, told)
        self.roster.memberships[told.source_id] = max(known, told, key=_lasting)


def _lasting(value: MembershipValue) -> tuple[date, date]:
    return value.ends_on or date.max, value.starts_on or date.min


def _subject_codes(courses: Table | None) -> dict[str, str]:
    if courses is None or not {"sourcedId", "subjectCodes"} <= set(courses.columns):
        return {}
    return {row["sourcedId"]: row["subjectCodes"].split(",")[0].strip() for _, row in courses.rows}
