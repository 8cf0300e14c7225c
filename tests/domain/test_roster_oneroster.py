"""OneRoster 1.1 and 1.2: what is read, what is left out, and every fault with its place."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from fleet.access import Principal
from fleet.db import transaction
from fleet.errors import InvalidFileError, Problem
from fleet.schools.models import ClassKind, MembershipRole, PersonKind
from fleet.schools.roster import apply
from fleet.schools.roster.values import Roster, membership_id
from tests import rosters
from tests.conftest import NOW

SAMPLES = Path(__file__).parents[2].parent / "shared" / "data" / "oneroster"
OAT = SAMPLES / "oat-v1p1" / "data" / "samples" / "OneRosterv1p1BaseCSV"
CATALYST = SAMPLES / "catalyst-minimal" / "Test_minimal_data_set.zip"


@pytest.fixture
def read(tmp_path: Path) -> Callable[[rosters.Files], Roster]:
    """Return a function that reads files from a zip."""

    def run(files: rosters.Files) -> Roster:
        return apply.read(rosters.zipped(tmp_path / "roster.zip", files))

    return run


Read = Callable[[rosters.Files], Roster]


def refused(read: Read, files: rosters.Files) -> list[tuple[str, int | None, str | None, str, str | None]]:
    with pytest.raises(InvalidFileError) as error:
        read(files)
    assert error.value.data["count"] == len(error.value.problems)
    assert all(problem.expected for problem in error.value.problems)
    return [(p.file, p.line, p.column, p.code, p.found) for p in error.value.problems]


def files_with(file: str, line: int, version: str = "1.1", **cells: str) -> rosters.Files:
    """Return a sound package with some cells of one line (2 is the first after the header) changed."""
    files = rosters.one_roster(classes=3, version=version)
    assert cells.keys() <= files[file][line - 2].keys()
    files[file][line - 2] |= cells
    return files


@pytest.mark.parametrize(
    ("file", "line", "cells", "expected"),
    [
        ("orgs", 3, {"sourcedId": ""}, ("orgs.csv", 3, "sourcedId", "empty", None)),
        ("orgs", 3, {"sourcedId": "kommune"}, ("orgs.csv", 3, "sourcedId", "duplicate-id", "kommune")),
        ("orgs", 3, {"name": ""}, ("orgs.csv", 3, "name", "empty", None)),
        ("orgs", 3, {"name": "x" * 121}, ("orgs.csv", 3, "name", "too-long", "x" * 80)),
        ("orgs", 3, {"name": "a\x1b[2Jb"}, ("orgs.csv", 3, "name", "control-character", None)),
        ("orgs", 3, {"name": "a\nb"}, ("orgs.csv", 3, "name", "control-character", None)),
        ("orgs", 2, {"type": "planet"}, ("orgs.csv", 2, "type", "unknown-type", "planet")),
        ("academicSessions", 2, {"title": ""}, ("academicSessions.csv", 2, "title", "empty", None)),
        ("academicSessions", 2, {"startDate": ""}, ("academicSessions.csv", 2, "startDate", "empty", None)),
        ("academicSessions", 2, {"startDate": "17.08.2026"}, ("academicSessions.csv", 2, "startDate", "bad-date", "17.08.2026")),
        ("academicSessions", 2, {"startDate": "2026-02-30"}, ("academicSessions.csv", 2, "startDate", "bad-date", "2026-02-30")),
        ("academicSessions", 2, {"startDate": "20260817"}, ("academicSessions.csv", 2, "startDate", "bad-date", "20260817")),
        ("academicSessions", 2, {"endDate": "2026-07-31"}, ("academicSessions.csv", 2, "endDate", "ends-before-start", "2026-07-31")),
        ("classes", 2, {"title": ""}, ("classes.csv", 2, "title", "empty", None)),
        ("classes", 2, {"classType": "club"}, ("classes.csv", 2, "classType", "unknown-type", "club")),
        ("classes", 2, {"schoolSourcedId": ""}, ("classes.csv", 2, "schoolSourcedId", "empty", None)),
        ("classes", 2, {"schoolSourcedId": "s9"}, ("classes.csv", 2, "schoolSourcedId", "dangling-reference", "s9")),
        ("classes", 2, {"termSourcedIds": "aar,t9"}, ("classes.csv", 2, "termSourcedIds", "dangling-reference", "t9")),
        ("classes", 3, {"sourcedId": "s1k1"}, ("classes.csv", 3, "sourcedId", "duplicate-id", "s1k1")),
        ("users", 2, {"role": ""}, ("users.csv", 2, "role", "empty", None)),
        ("users", 2, {"role": "wizard"}, ("users.csv", 2, "role", "unknown-role", "wizard")),
        ("users", 2, {"givenName": ""}, ("users.csv", 2, "givenName", "empty", None)),
        ("users", 2, {"familyName": "x" * 121}, ("users.csv", 2, "familyName", "too-long", None)),
        ("users", 2, {"username": "x" * 256}, ("users.csv", 2, "username", "too-long", None)),
        ("users", 2, {"givenName": "a\u202eb"}, ("users.csv", 2, "givenName", "control-character", None)),
        ("users", 2, {"orgSourcedIds": "s9"}, ("users.csv", 2, "orgSourcedIds", "dangling-reference", "s9")),
        ("users", 3, {"sourcedId": "s1k1p0"}, ("users.csv", 3, "sourcedId", "duplicate-id", "s1k1p0")),
        ("enrollments", 2, {"role": "wizard"}, ("enrollments.csv", 2, "role", "unknown-role", "wizard")),
        ("enrollments", 2, {"userSourcedId": ""}, ("enrollments.csv", 2, "userSourcedId", "empty", None)),
        ("enrollments", 2, {"userSourcedId": "u9"}, ("enrollments.csv", 2, "userSourcedId", "dangling-reference", "u9")),
        ("enrollments", 2, {"classSourcedId": "k9"}, ("enrollments.csv", 2, "classSourcedId", "dangling-reference", "k9")),
        ("enrollments", 2, {"sourcedId": "e-s1k1p1"}, ("enrollments.csv", 3, "sourcedId", "duplicate-id", "e-s1k1p1")),
        ("enrollments", 2, {"beginDate": "snart"}, ("enrollments.csv", 2, "beginDate", "bad-date", "snart")),
        ("enrollments", 2, {"beginDate": "2026-09-01", "endDate": "2026-08-01"}, ("enrollments.csv", 2, "endDate", "ends-before-start", "2026-08-01")),
        ("manifest", 3, {"value": "delta"}, ("manifest.csv", 3, "value", "delta-package", "orgs: delta")),
    ],
)  # fmt: skip
def test_a_bad_cell_is_told_with_its_place(
    read: Read, file: str, line: int, cells: dict[str, str], expected: tuple[str, int, str, str, str | None]
) -> None:
    assert expected in refused(read, files_with(file, line, **cells))


@pytest.mark.parametrize(
    ("line", "cells", "expected"),
    [
        (2, {"userSourcedId": "u9"}, ("roles.csv", 2, "userSourcedId", "dangling-reference", "u9")),
        (2, {"userSourcedId": "u9"}, ("users.csv", 2, "sourcedId", "no-role", "s1k1p0")),
        (2, {"orgSourcedId": "s9"}, ("roles.csv", 2, "orgSourcedId", "dangling-reference", "s9")),
        (2, {"role": "wizard"}, ("roles.csv", 2, "role", "unknown-role", "wizard")),
        (2, {"role": ""}, ("roles.csv", 2, "role", "empty", None)),
    ],
)
def test_a_bad_role_of_1_2_is_told_with_its_place(
    read: Read, line: int, cells: dict[str, str], expected: tuple[str, int, str, str, str | None]
) -> None:
    assert expected in refused(read, files_with("roles", line, "1.2", **cells))


def test_every_bad_row_is_told_and_each_fault_once(read: Read) -> None:
    files = rosters.one_roster(classes=3)
    files["classes"][0]["classType"] = "club"  # its enrolments are no faults of their own
    files["users"][2]["role"] = "wizard"
    files["users"][4]["familyName"] = ""
    files["enrollments"][6]["classSourcedId"] = "k9"
    assert refused(read, files) == [
        ("classes.csv", 2, "classType", "unknown-type", "club"),
        ("users.csv", 4, "role", "unknown-role", "wizard"),
        ("users.csv", 6, "familyName", "empty", None),
        ("enrollments.csv", 8, "classSourcedId", "dangling-reference", "k9"),
    ]


@pytest.mark.parametrize(
    ("file", "without", "expected"),
    [
        ("users", "role", ("users.csv", 1, "role", "missing-column", None)),
        ("users", "familyName", ("users.csv", 1, "familyName", "missing-column", None)),
        ("classes", "title", ("classes.csv", 1, "title", "missing-column", None)),
        ("orgs", "type", ("orgs.csv", 1, "type", "missing-column", None)),
        ("academicSessions", "endDate", ("academicSessions.csv", 1, "endDate", "missing-column", None)),
    ],
)
def test_a_file_without_a_column_is_one_fault_not_one_for_each_line_that_refers_to_it(
    read: Read, file: str, without: str, expected: tuple[str, int, str, str, str | None]
) -> None:
    files = rosters.one_roster(classes=3)
    for row in files[file]:
        del row[without]
    assert refused(read, files) == [expected]


def test_roles_of_1_2_without_a_column_are_one_fault(read: Read) -> None:
    files = rosters.one_roster(classes=3, version="1.2")
    for row in files["roles"]:
        del row["role"]
    assert refused(read, files) == [("roles.csv", 1, "role", "missing-column", None)]


def test_of_thousands_of_bad_rows_the_first_are_kept_and_all_are_counted(read: Read) -> None:
    files = rosters.one_roster(classes=20, pupils=30)
    for row in files["users"]:
        row["familyName"] = ""
    with pytest.raises(InvalidFileError) as error:
        read(files)
    assert (len(error.value.problems), error.value.data["count"]) == (200, 620)


def test_names_and_other_private_cells_are_never_repeated_in_a_problem(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    for row in files["users"]:
        row |= {"givenName": "HEMMELIG" * 40, "familyName": "HEMMELIG\x07", "username": "HEMMELIG" * 40}
    found = refused(read, files)
    assert len(found) == 15
    assert "HEMMELIG" not in repr(found)


@pytest.mark.parametrize(
    ("file", "column"),
    [("orgs", "type"), ("academicSessions", "endDate"), ("classes", "classType"), ("users", "familyName"),
     ("enrollments", "userSourcedId"), ("enrollments", "sourcedId")],
)  # fmt: skip
def test_a_missing_column_is_named(read: Read, file: str, column: str) -> None:
    files = rosters.one_roster(classes=1)
    for row in files[file]:
        del row[column]
    found = refused(read, files)
    assert (f"{file}.csv", 1, column, "missing-column") in [one[:4] for one in found]


def test_a_misspelt_column_is_shown_beside_what_was_expected(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    files["users"] = [{{"familyName": "familyname"}.get(key, key): row[key] for key in row} for row in files["users"]]
    assert ("users.csv", 1, "familyName", "missing-column", "familyname") in refused(read, files)


def test_an_optional_column_in_other_letters_is_not_silently_left_out(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    files["users"] = [{{"status": "Status"}.get(key, key): row[key] for key in row} for row in files["users"]]
    assert ("users.csv", 1, "status", "misspelt-column", "Status") in refused(read, files)


def test_a_role_column_or_a_roles_file_must_be_there(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    for row in files["users"]:
        del row["role"]
    assert ("users.csv", 1, "role", "missing-column", None) in refused(read, files)


@pytest.mark.parametrize("file", ["orgs", "users", "classes", "enrollments", "academicSessions", "courses"])
def test_a_file_that_the_manifest_promises_must_be_there(read: Read, file: str) -> None:
    files = rosters.one_roster(classes=1)
    del files[file]
    with pytest.raises(InvalidFileError) as error:
        read(files)
    wanted = f"{file.lower() if file == 'academicSessions' else file}.csv"
    assert (
        Problem("roster.zip", None, None, "missing-file", None, f"a file {wanted}", other=wanted)
        in error.value.problems
    )


def test_without_a_manifest_sessions_and_courses_may_be_absent(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    del files["manifest"], files["academicSessions"], files["courses"]
    files["classes"][0]["termSourcedIds"] = ""
    (found,) = read(files).classes.values()
    assert (found.year, found.subject_code) == (None, None)


def test_a_manifest_line_of_a_file_without_purpose_here_says_nothing(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    files["manifest"] += [
        {"propertyName": "file.results", "value": "delta"},
        {"propertyName": "users", "value": "delta"},
        {"propertyName": "file.courses", "value": "absent"},
    ]
    assert read(files).classes


def test_guardians_and_who_is_marked_deleted_are_left_out_with_their_enrolments(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    files["users"][1]["role"] = "guardian"
    files["users"][2]["status"] = "tobedeleted"
    files["classes"].append(files["classes"][0] | {"sourcedId": "borte", "status": "tobedeleted"})
    files["enrollments"].append(files["enrollments"][0] | {"sourcedId": "x", "classSourcedId": "borte"})
    files["academicSessions"].append(files["academicSessions"][0] | {"sourcedId": "i fjor", "status": "tobedeleted"})
    files["orgs"].append(files["orgs"][1] | {"sourcedId": "nedlagt", "status": "tobedeleted"})
    found = read(files)
    assert set(found.people) == {"s1k1p0", "s1k1p3", "s1k1p4"}
    assert {one.person for one in found.memberships.values()} == set(found.people)
    assert (set(found.classes), set(found.years), set(found.schools)) == ({"s1k1"}, {"aar"}, {"s1"})


def test_roles_of_1_2_decide_kind_and_school(read: Read) -> None:
    files = rosters.one_roster(classes=1, pupils=5, schools=2, version="1.2")
    first = files["roles"][1]
    files["roles"] += [
        first | {"sourcedId": "a", "role": "aide", "roleType": "secondary", "orgSourcedId": "s2"},
        files["roles"][2] | {"sourcedId": "b", "role": "student", "roleType": "primary", "orgSourcedId": "s2"},
    ]
    files["roles"][2]["roleType"] = "secondary"
    files["roles"][3]["status"] = "tobedeleted"
    files["roles"][4]["role"] = "parent"
    files["users"][5]["username"] = ""
    for row in files["users"]:
        row |= {"preferredGivenName": "", "preferredFamilyName": "", "primaryOrgSourcedId": ""}
    files["users"][0] |= {"preferredGivenName": "Kalt", "preferredFamilyName": "Navnesen", "primaryOrgSourcedId": "s2"}
    found = read(files).people
    assert (found["s1k1p1"].kind, found["s1k1p1"].school) == (PersonKind.STAFF, "s1")
    assert found["s1k1p2"].school == "s2"
    assert {"s1k1p3", "s1k1p4"}.isdisjoint(found)
    assert found["s1k1p5"].username is None
    teacher = found["s1k1p0"]
    assert (teacher.given_name, teacher.family_name, teacher.school) == ("Kalt", "Navnesen", "s2")


def test_the_municipality_is_the_nearest_above_the_schools(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    files["orgs"].insert(
        0, {"sourcedId": "no", "status": "", "name": "Norge", "type": "national", "parentSourcedId": ""}
    )
    assert read(files).municipality == ("kommune", "Prøvekommune")
    files["orgs"] = [row for row in files["orgs"] if row["type"] == "school"]
    assert read(files).municipality is None


def test_a_department_is_a_school_only_where_classes_hang_on_it(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    for name in ("avd", "tom"):
        files["orgs"].append(
            {"sourcedId": name, "status": "", "name": name, "type": "department", "parentSourcedId": ""}
        )
    files["classes"][0]["schoolSourcedId"] = "avd"
    assert set(read(files).schools) == {"s1", "avd"}


def test_lists_quotes_commas_and_letters_come_through(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    files["classes"][0] |= {
        "title": 'Klasse "A", øst',
        "grades": "9,10",
        "termSourcedIds": " aar , aar",
        "subjectCodes": "NOR,ENG",
    }
    (found,) = read(files).classes.values()
    assert (found.title, found.grade, found.year, found.subject_code) == ('Klasse "A", øst', "9", "aar", "NOR")


def test_of_two_enrolments_in_one_place_the_one_that_lasts_longer_counts(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    first = files["enrollments"][1]
    old = first | {"sourcedId": "old", "beginDate": "2026-01-01", "endDate": "2026-06-30"}
    name = membership_id("s1k1", "s1k1p1", MembershipRole.PUPIL)
    for order in ([old, first], [first, old]):
        files["enrollments"] = order
        assert read(files).memberships[name].ends_on is None


def test_roles_in_a_class_that_have_no_purpose_are_left_out(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    files["enrollments"][1]["role"] = "proctor"
    assert len(read(files).memberships) == 4


def test_dates_may_carry_a_time(read: Read) -> None:
    files = rosters.one_roster(classes=1)
    files["enrollments"][1]["endDate"] = "2026-12-31T00:00:00.000Z"
    found = read(files).memberships[membership_id("s1k1", "s1k1p1", MembershipRole.PUPIL)]
    assert str(found.ends_on) == "2026-12-31"


SENSITIVE = {
    "users": ("password", "phone", "sms", "identifier", "userIds", "middleName", "agentSourcedIds", "userMasterIdentifier",
              "pronouns", "metadata.fnr", "birthDate", "address", "resourceSourcedIds"),
    "orgs": ("identifier", "metadata.address"),
    "classes": ("location", "metadata.note"),
    "enrollments": ("metadata.diagnosis",),
}  # fmt: skip


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_fields_without_a_purpose_never_reach_the_database(app: Flask, tmp_path: Path, version: str) -> None:
    files = rosters.one_roster(classes=2, version=version)
    for file, columns in SENSITIVE.items():
        for row in files[file]:
            row.update(dict.fromkeys(columns, f"MERKE-{file}"))
    for row in files["users"][1:5]:
        row["email"] = "MERKE-pupil@example.test"
    files["demographics"] = [
        {"userSourcedId": row["sourcedId"], "birthDate": "MERKE-2012", "sex": "MERKE-sex", "cityOfBirth": "MERKE-by"}
        for row in files["users"]
    ]
    files["users"].append(files["users"][1] | {"sourcedId": "MERKE-foresatt", "givenName": "MERKE-navn"})
    if version == "1.1":
        files["users"][-1]["role"] = "parent"
    else:
        files["roles"].append(files["roles"][1] | {"userSourcedId": "MERKE-foresatt", "role": "parent"})
    path = rosters.zipped(tmp_path / "a.zip", files)
    with transaction():
        _, done = apply.import_file(path, max_removed_percent=None, by=Principal.command_line(), now=NOW)
    assert done is not None
    for row in files["users"][:-1]:  # and again when rows change, as undo data repeats them
        row["familyName"] = "Nyesen"
    with transaction():
        apply.import_file(rosters.zipped(path, files), max_removed_percent=None, by=Principal.command_line(), now=NOW)
    everything = repr(rosters.dump(without=set()))
    assert "Nyesen" in everything
    assert "MERKE" not in everything


@pytest.mark.skipif(not CATALYST.exists(), reason="the sample is not on this machine")
def test_the_catalyst_sample_imports_and_plans_nothing_again(app: Flask) -> None:
    with transaction():
        plan, done = apply.import_file(CATALYST, max_removed_percent=10, by=Principal.command_line(), now=NOW)
    assert done is not None
    added = {kind: counts["added"] for kind, counts in plan.counts().items()}
    # A department that classes hang on is the school, the parent is left out, the teacher who is enrolled as a student
    # stays a teacher, and every session is a year or term.
    assert added == {"schools": 1, "years": 5, "classes": 2, "people": 5, "memberships": 6}
    assert {one.kind for one in apply.current().classes.values()} == {ClassKind.BASIC, ClassKind.TEACHING}
    before = rosters.dump(without=set())
    with transaction():
        assert apply.import_file(CATALYST, max_removed_percent=10, by=Principal.command_line(), now=NOW)[1] is None
    assert rosters.dump(without=set()) == before
    assert "Password1-" not in repr(before)


@pytest.mark.skipif(not OAT.exists(), reason="the sample is not on this machine")
def test_the_oat_sample_is_told_row_by_row_that_its_sessions_are_empty() -> None:
    with pytest.raises(InvalidFileError) as error:
        apply.read(OAT)
    assert [(p.file, p.line, p.column, p.code, p.found) for p in error.value.problems] == [
        ("classes.csv", line, "termSourcedIds", "dangling-reference", "1") for line in (2, 3, 4)
    ]


@pytest.mark.skipif(not OAT.exists(), reason="the sample is not on this machine")
def test_the_oat_sample_imports_once_its_one_session_is_added(app: Flask, tmp_path: Path) -> None:
    content = {path.name: path.read_bytes() for path in OAT.glob("*.csv")}
    content["academicSessions.csv"] += b"\n1,,,2017,schoolYear,2016-08-01,2017-07-31,\n"
    with transaction():
        plan, done = apply.import_file(
            rosters.zipped(tmp_path / "oat.zip", content), max_removed_percent=10, by=Principal.command_line(), now=NOW
        )
    assert done is not None
    assert plan.counts()["classes"]["added"] == 3
    assert "metadata.value1" not in repr(rosters.dump(without=set()))
