"""``fleet schools calendar``."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from flask import Flask

from fleet.cli import main
from fleet.cli.output import Program
from fleet.db import db, transaction
from fleet.schools.models import School


@pytest.fixture
def school(app: Flask) -> None:
    with transaction():
        db.session.add(School(name="Kjenn skole"))


def run(app: Flask, *words: str) -> click.testing.Result:
    return CliRunner().invoke(main, ["schools", "calendar", *words], obj=Program(lambda: app, lambda: None))


def days(app: Flask, *words: str) -> list[str]:
    shown = run(app, "show", "--from", "2026-10-01", "--to", "31.10.2026", "--json", *words)
    return [f"{day['on']} {day['decided_by']} {day['school_day']}" for day in json.loads(shown.output)["days"]]


def test_a_day_is_set_shown_and_removed(app: Flask, school: None) -> None:
    assert run(app, "set", "05.10.2026", "Høstferie").output == "2026-10-05 is a day off\n"
    set_here = run(app, "set", "2026-10-05", "Vi er her", "--school-day", "--school", "kjenn skole")
    assert set_here.output == "2026-10-05 is a school day\n"
    assert days(app) == ["2026-10-05 municipality False"]
    assert days(app, "--school", "Kjenn skole") == ["2026-10-05 school True"]
    assert run(app, "remove", "2026-10-05").exit_code == 0
    again = run(app, "remove", "2026-10-05")
    assert (again.exit_code, again.stdout) == (3, "")
    assert days(app) == []


def test_hours_are_set_for_weekdays_and_removed(app: Flask, school: None) -> None:
    def hours() -> dict[str, str]:
        shown = json.loads(run(app, "show", "--json").output)["hours"]
        return {row["weekday"]: f"{row['from']}-{row['to']}" for row in shown}

    assert run(app, "hours", "08:30-14:00").exit_code == 0
    assert run(app, "hours", "8.30-12:00", "--on", "wed", "--on", "sat").exit_code == 0
    told = hours()
    assert (told["mon"], told["wed"], told["sat"], told["sun"]) == (
        "08:30-14:00", "08:30-12:00", "08:30-12:00", "08:15-14:30",
    )  # fmt: skip
    assert run(app, "hours", "--remove", "--on", "mon").output == "school hours are as they were\n"
    assert hours()["mon"] == "08:15-14:30"


@pytest.mark.parametrize(
    "words", [["hours"], ["hours", "08:00-09:00", "--remove"], ["hours", "8-9"], ["set", "x", "y"]]
)
def test_wrong_use_is_said_so(app: Flask, words: list[str]) -> None:
    assert run(app, *words).exit_code == 2


def test_hours_that_end_before_they_begin_are_refused(app: Flask) -> None:
    refused = run(app, "hours", "14:00-08:00")
    assert refused.exit_code == 1
    assert "the end after the beginning" in refused.stderr


def test_the_table_shows_hours_and_holidays(app: Flask) -> None:
    shown = run(app, "show").output
    assert shown.splitlines()[5:8] == ["fri      08:15      14:30", "sat      no school  -", "sun      no school  -"]
    assert "Grunnlovsdag" in shown


def test_hours_of_a_weekend_are_told_for_what_they_are(app: Flask) -> None:
    run(app, "hours", "10:00-12:00", "--on", "sat")
    told = run(app, "show").output.splitlines()
    assert told[6].split(maxsplit=2) == ["sat", "10:00", "12:00 (on dates that are set to be school days)"]
    rows = {row["weekday"]: row for row in json.loads(run(app, "show", "--json").output)["hours"]}
    assert [(rows[day]["school"], rows[day]["decided"]) for day in ("fri", "sat", "sun")] == [
        (True, False), (False, True), (False, False),
    ]  # fmt: skip


def test_a_file_is_tried_and_imported(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "skolerute.csv"
    file.write_text("fra;til;tittel\n05.10.2026;09.10.2026;Høstferie\n")
    assert "5 would be added" in run(app, "import", str(file), "--dry-run").output
    assert days(app) == []
    told = json.loads(run(app, "import", str(file), "--json").output)
    assert told == {"applied": True, "added": 5, "changed": 0, "unchanged": 0}
    assert len(days(app)) == 5
    file.write_text("fra;til\n05.10.2026;09.10.2026\n")
    refused = run(app, "import", str(file))
    assert refused.exit_code == 5
    assert "[title]: missing-column" in refused.stderr


def test_entries_of_an_icalendar_file_are_judged_and_decided_by_line(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "skolerute.ics"
    file.write_text(
        "BEGIN:VCALENDAR\n"
        "BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261005\nDTEND;VALUE=DATE:20261010\nSUMMARY:Høstferie\nEND:VEVENT\n"
        "BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261012\nSUMMARY:Temadag\nEND:VEVENT\n"
        "BEGIN:VEVENT\nDTSTART:20261012T180000\nSUMMARY:Foreldremøte\nEND:VEVENT\n"
        "END:VCALENDAR\n"
    )
    tried = run(app, "import", str(file), "--dry-run")
    assert "5 would be added" in tried.output
    assert "news (words not known)" in tried.output
    assert "left out: time" in tried.output
    told = json.loads(run(app, "import", str(file), "--day-off", "7", "--json").output)
    assert (told["added"], [entry["taken_as"] for entry in told["entries"]][:2]) == (
        6, ["day-off", "day-off (words not known)"],
    )  # fmt: skip
    assert len(days(app)) == 6
    file.write_text("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:5\nEND:VEVENT\nEND:VCALENDAR\n")
    refused = run(app, "import", str(file))
    assert refused.exit_code == 5
    assert "skolerute.ics:3 [DTSTART]: bad-date" in refused.stderr
