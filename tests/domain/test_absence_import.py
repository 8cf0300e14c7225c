"""Absence from a file: whose pupils, which dates, and files that are refused whole."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from fleet.access import Grant, Principal, Role
from fleet.db import db
from fleet.errors import ForbiddenError, InvalidFileError
from fleet.schools import absences_import
from fleet.schools.models import Absence, Person, School
from tests import factories
from tests.conftest import NOW

CLI = Principal.command_line()


@pytest.fixture
def school(app: Flask) -> School:
    return factories.school("Kjenn skole")


def pupil(school: School, username: str, source_id: str | None = None) -> Person:
    found = factories.pupil(school)
    found.username, found.source_id = username, source_id
    db.session.flush()
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fravaer.csv"


def school_it(school: School) -> Principal:
    return Principal("account", "2", (Grant(Role.SCHOOL_IT, school.id),))


def test_absence_is_taken_once_by_user_name_or_id_and_why_is_not_read(school: School, file: Path) -> None:
    kari, ola = pupil(school, "Kari@kommune.no"), pupil(school, "ola", "elev-7")
    file.write_text(
        "brukernavn;fra;til;årsak\nkari@kommune.no;05.10.2026;07.10.2026;syk\nELEV-7;2026-10-05;;tannlege\n"
        "ola;2026-10-05;;\n"
    )
    found = absences_import.apply(file, by=school_it(school), now=NOW)
    assert found.counts() == {"new": 2, "known": 0}
    rows = db.session.execute(select(Absence.person_id, Absence.starts_on, Absence.ends_on)).all()
    assert {tuple(row) for row in rows} == {
        (kari.id, date(2026, 10, 5), date(2026, 10, 7)), (ola.id, date(2026, 10, 5), date(2026, 10, 5)),
    }  # fmt: skip
    again = absences_import.apply(file, by=school_it(school), now=NOW)
    assert again.counts() == {"new": 0, "known": 2}
    assert {line.action for line in factories.audited()} == {"absences.entered"}
    assert absences_import.names(found, limit=1)[0][0] == f"{ola.given_name} {ola.family_name}"


def test_a_long_file_takes_no_more_statements_than_a_short_one(
    school: School, file: Path, statements: list[str]
) -> None:
    pupil(school, "ola")
    counts = []
    for days, year in ((2, 2026), (300, 2027)):
        first = date(year, 1, 1)
        file.write_text("elev;fra\n" + "".join(f"ola;{first + timedelta(days=one)}\n" for one in range(days)))
        db.session.flush()
        statements.clear()
        assert absences_import.apply(file, by=school_it(school), now=NOW).counts()["new"] == days
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert sorted(line.fields["count"] for line in factories.audited()) == [2, 300]


def test_ranges_within_longer_ones_of_the_same_file_are_taken_once(school: School, file: Path) -> None:
    pupil(school, "ola")
    first = date(2026, 8, 17)
    starts = [first + timedelta(days=number) for number in range(100)]
    lines = [f"ola;{start};{start + timedelta(days=length)}\n" for start in starts for length in range(50)]
    file.write_text("elev;fra;til\n" + "".join(reversed(lines)))
    found = absences_import.apply(file, by=school_it(school), now=NOW)
    assert found.counts() == {"new": 100, "known": 4_900}
    assert set(found.new) == {(start, start + timedelta(days=49)) for start in starts}
    assert absences_import.apply(file, by=school_it(school), now=NOW).counts() == {"new": 0, "known": 5_000}
    file.write_text(f"elev;fra;til\nola;{first - timedelta(days=1)};{first + timedelta(days=49)}\nola;{first};\n")
    assert absences_import.plan(file, by=school_it(school)).counts() == {"new": 1, "known": 1}


def test_nobody_imports_for_pupils_of_another_school(school: School, file: Path) -> None:
    pupil(factories.school("Rasta skole"), "ola")
    file.write_text("elev;fra\nola;2026-10-05\n")
    with pytest.raises(InvalidFileError) as refused:
        absences_import.plan(file, by=school_it(school))
    assert [(one.code, one.found) for one in refused.value.problems] == [("unknown-pupil", None)]
    teacher = Principal("account", "3", (Grant(Role.TEACHER, school.id),), frozenset({1}))
    with pytest.raises(ForbiddenError):
        absences_import.plan(file, by=teacher)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("elev;fra\nola;i dag\n", "bad-date", 2),
        ("elev;fra\nola;05.10.0202\n", "bad-date", 2),
        ("elev;fra;til\nola;2026-10-05;2026-10-01\n", "bad-absence", 2),
        ("elev;fra;til\nola;2026-10-05;2028-10-01\n", "bad-absence", 2),
        ("elev;fra\nkari;2026-10-05\n", "unknown-pupil", 2),
        ("elev;hei\nola;2026-10-05\n", "missing-column", 1),
        ("elev;brukernavn;fra\nola;ola;2026-10-05\n", "duplicate-column", 1),
        ("elev;fra\n", "empty", None),
        ("x" * 2**20 + "x", "too-large", None),
    ],
)
def test_a_file_with_a_fault_is_refused_whole(
    school: School, file: Path, text: str, code: str, line: int | None
) -> None:
    pupil(school, "ola")
    file.write_text(text)
    with pytest.raises(InvalidFileError) as refused:
        absences_import.apply(file, by=CLI, now=NOW)
    assert [(one.code, one.line) for one in refused.value.problems] == [(code, line)]
    assert db.session.scalar(select(func.count(Absence.id))) == 0
