"""Apple School Manager's CSV set: what is read, and every fault with its place."""

from pathlib import Path

import pytest

from fleet.errors import InvalidFileError
from fleet.schools.models import ClassKind, MembershipRole, PersonKind
from fleet.schools.roster import apply
from fleet.schools.roster.values import membership_id
from tests import rosters


def refused(tmp_path: Path, files: rosters.Files) -> list[tuple[str, int | None, str | None, str, str | None]]:
    with pytest.raises(InvalidFileError) as error:
        apply.read(rosters.zipped(tmp_path / "apple.zip", files))
    return [(p.file, p.line, p.column, p.code, p.found) for p in error.value.problems]


def test_a_set_is_recognised_and_read(tmp_path: Path) -> None:
    files = rosters.apple(classes=2, pupils=1)
    files["classes"][1] |= {"class_number": "", "instructor_id_2": "t1"}
    files["students"][0]["sis_username"] = ""
    found = apply.read(rosters.zipped(tmp_path / "apple.zip", files))
    assert found.schools["L1"].name == "Prøveskole 1"
    first, second = found.classes["k1"], found.classes["k2"]
    assert (first.title, first.kind, first.grade, first.subject_code) == ("1B", ClassKind.BASIC, "1", "MAT")
    assert (second.title, second.kind, second.grade) == ("Matematikk", ClassKind.TEACHING, None)
    teacher, pupil = found.people["t1"], found.people["k1p1"]
    assert (teacher.kind, teacher.username, teacher.email) == (PersonKind.TEACHER, "t1@example.test", "t1@example.test")
    assert (pupil.kind, pupil.username, pupil.email, pupil.school) == (PersonKind.PUPIL, None, None, "L1")
    assert found.people["k2p1"].username == "k2p1"
    assert set(found.memberships) == {
        membership_id("k1", "t1", MembershipRole.TEACHER),
        membership_id("k2", "t1", MembershipRole.TEACHER),
        membership_id("k2", "t2", MembershipRole.TEACHER),
        membership_id("k1", "k1p1", MembershipRole.PUPIL),
        membership_id("k2", "k2p1", MembershipRole.PUPIL),
    }


def test_a_class_and_course_without_names_is_called_by_the_course_id(tmp_path: Path) -> None:
    files = rosters.apple(classes=1)
    files["classes"][0]["class_number"] = files["courses"][0]["course_name"] = ""
    assert apply.read(rosters.zipped(tmp_path / "a.zip", files)).classes["k1"].title == "C1"


@pytest.mark.parametrize(
    ("file", "line", "cells", "expected"),
    [
        ("locations", 2, {"location_name": ""}, ("locations.csv", 2, "location_name", "empty", None)),
        ("students", 3, {"person_id": "k1p1"}, ("students.csv", 3, "person_id", "duplicate-id", "k1p1")),
        ("staff", 2, {"person_id": "k1p1"}, ("staff.csv", 2, "person_id", "duplicate-id", "k1p1")),
        ("students", 2, {"location_id": "L9"}, ("students.csv", 2, "location_id", "dangling-reference", "L9")),
        ("students", 2, {"last_name": ""}, ("students.csv", 2, "last_name", "empty", None)),
        ("courses", 2, {"course_id": ""}, ("courses.csv", 2, "course_id", "empty", None)),
        ("classes", 2, {"course_id": "C9"}, ("classes.csv", 2, "course_id", "dangling-reference", "C9")),
        ("classes", 2, {"instructor_id_3": "t9"}, ("classes.csv", 2, "instructor_id_3", "dangling-reference", "t9")),
        ("classes", 2, {"instructor_id": "k1p1"}, ("classes.csv", 2, "instructor_id", "dangling-reference", "k1p1")),
        ("rosters", 2, {"student_id": "t1"}, ("rosters.csv", 2, "student_id", "dangling-reference", "t1")),
        ("rosters", 2, {"class_id": ""}, ("rosters.csv", 2, "class_id", "empty", None)),
    ],
)
def test_a_bad_cell_is_told_with_its_place(
    tmp_path: Path, file: str, line: int, cells: dict[str, str], expected: tuple[str, int, str, str, str | None]
) -> None:
    files = rosters.apple(classes=2)
    files[file][line - 2] |= cells
    assert expected in refused(tmp_path, files)


def test_a_faulty_class_is_one_fault_not_one_for_each_pupil(tmp_path: Path) -> None:
    files = rosters.apple(classes=2)
    files["classes"][0]["location_id"] = "L9"
    assert refused(tmp_path, files) == [("classes.csv", 2, "location_id", "dangling-reference", "L9")]


def test_a_file_without_a_column_is_one_fault_and_others_are_told_too(tmp_path: Path) -> None:
    files = rosters.apple(classes=2)
    for row in files["students"]:
        del row["last_name"]
    files["rosters"][0]["class_id"] = "k9"
    assert refused(tmp_path, files) == [
        ("students.csv", 1, "last_name", "missing-column", "first_name"),
        ("rosters.csv", 2, "class_id", "dangling-reference", "k9"),
    ]


@pytest.mark.parametrize("file", ["locations", "courses", "students", "staff", "classes", "rosters"])
def test_each_file_of_the_set_must_be_there(tmp_path: Path, file: str) -> None:
    files = rosters.apple()
    del files[file]
    found = refused(tmp_path, files)
    assert [one[3] for one in found] == (["unknown-format"] if file == "locations" else ["missing-file"])


def test_a_misspelt_column_in_the_file_that_tells_the_format_is_still_told(tmp_path: Path) -> None:
    files = rosters.apple(classes=1)
    files["locations"] = [{"location_id": "L1", "locationname": "x"}]
    assert ("locations.csv", 1, "location_name", "missing-column", "locationname") in refused(tmp_path, files)
