"""``fleet incidents``, ``fleet questions``, ``fleet absences`` and ``fleet schools after-school``."""

import json
from datetime import date, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select

from fleet.cli import main
from fleet.cli.output import Program
from fleet.compliance.models import Finding, FindingKind, Incident, IncidentCause, IncidentMember, Question
from fleet.db import db, transaction
from fleet.schools.models import Absence
from tests import factories
from tests.conftest import NOW


def run(app: Flask, *words: str) -> click.testing.Result:
    return CliRunner().invoke(main, list(words), obj=Program(lambda: app, lambda: None))


def test_incidents_are_listed_and_shown(app: Flask) -> None:
    with transaction():
        school = factories.school("Kjenn skole")
        made = factories.tablets(school, 2)
        found = Incident(
            school_id=school.id, cause=IncidentCause.CART, about={"cart": "Vogn 1"}, began_at=NOW, opened_at=NOW, most=2, of=3
        )  # fmt: skip
        db.session.add(found)
        db.session.flush()
        db.session.add_all(IncidentMember(incident_id=found.id, device_id=one.id, joined_at=NOW) for one in made)
    (told,) = json.loads(run(app, "incidents", "list", "--json").output)
    assert (told["cause"], told["about"], told["members"], told["most"], told["of"]) == ("cart", "Vogn 1", 2, 2, 3)
    shown = json.loads(run(app, "incidents", "show", str(found.id), "--json").output)
    assert [one["serial"] for one in shown["tablets"]] == sorted(one.serial for one in made)
    assert json.loads(run(app, "incidents", "list", "--past", "3", "--json").output) == []
    missing = run(app, "incidents", "show", "99")
    assert (missing.exit_code, "fleet incidents list" in missing.output) == (3, True)


def test_a_question_is_listed_and_answered_once(app: Flask) -> None:
    with transaction():
        tablet = factories.device(factories.school("Kjenn skole"))
        tablet.state.last_seen_at = NOW - timedelta(days=3)
        asked = Question(device_id=tablet.id, asked_at=NOW)
        db.session.add(asked)
    (told,) = json.loads(run(app, "questions", "list", "--json").output)
    assert (told["serial"], told["school"]) == (tablet.serial, "Kjenn skole")
    assert run(app, "questions", "answer", str(asked.id), "gone").exit_code == 0
    assert db.session.scalars(select(Finding.kind)).all() == [FindingKind.MISSING]
    again = run(app, "questions", "answer", str(asked.id), "home")
    assert (again.exit_code, "the first answer holds" in again.output) == (1, True)
    assert run(app, "questions", "answer", "99", "home").exit_code == 3


def test_absences_are_entered_imported_listed_and_removed(app: Flask, tmp_path: Path) -> None:
    with transaction():
        school = factories.school("Kjenn skole")
        one, other = factories.pupil(school), factories.pupil(school)
    assert one.username is not None
    assert other.username is not None
    assert "1 absence(s) entered" in run(app, "absences", "enter", one.username, "--from", "2100-01-04").output
    file = tmp_path / "fravaer.csv"
    file.write_text(
        f"brukernavn;fra;til;grunn\n{one.username};04.01.2100;;x\n{other.username};2100-01-05;2100-01-06;y\n"
    )
    assert json.loads(run(app, "absences", "import", str(file), "--dry-run", "--json").output) == {"new": 1, "known": 1}
    assert run(app, "absences", "import", str(file)).output == "1 new, 1 known\n"
    assert json.loads(run(app, "absences", "import", str(file), "--json").output) == {"new": 0, "known": 2}
    rows = json.loads(run(app, "absences", "list", "Kjenn skole", "--json").output)
    assert [(row["username"], row["source"]) for row in rows] == [(one.username, "typed"), (other.username, "imported")]
    assert run(app, "absences", "remove", str(rows[0]["id"])).exit_code == 0
    assert db.session.scalars(select(Absence.starts_on)).all() == [date(2100, 1, 5)]
    assert run(app, "absences", "remove", "99").exit_code == 3


@pytest.mark.parametrize(
    "lines", ["brukernavn;fra\nukjent;2026-09-14", "brukernavn\nukjent", "brukernavn;fra\nukjent;i går"]
)
def test_a_file_with_a_fault_changes_nothing_and_repeats_no_name(app: Flask, tmp_path: Path, lines: str) -> None:
    file = tmp_path / "fravaer.csv"
    file.write_text(lines)
    refused = run(app, "absences", "import", str(file))
    assert (refused.exit_code, "ukjent" in refused.output) == (5, False)
    assert db.session.scalars(select(Absence)).all() == []


def test_the_after_school_programme_is_set_and_forgotten(app: Flask) -> None:
    with transaction():
        factories.school("Kjenn skole")
    words = ("schools", "after-school", "Kjenn skole")
    assert "no after-school programme" in run(app, *words).output
    rows = json.loads(run(app, *words, "--set", "14:30-16:30", "--on", "mon", "--json").output)
    assert rows == [{"weekday": "mon", "from": "14:30", "to": "16:30", "highest_grade": 4}]
    assert json.loads(run(app, *words, "--forget", "--json").output) == []
    assert run(app, *words, "--forget", "--set", "14:30-16:30").exit_code == 2
