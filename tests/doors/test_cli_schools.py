"""``fleet schools`` and ``fleet classes``: lists and single ones."""

import json
from pathlib import Path

import pytest
from flask import Flask

from tests import rosters
from tests.doors.fleet_command import run


@pytest.fixture(autouse=True)
def roster(app: Flask, tmp_path: Path) -> None:
    files = rosters.one_roster(classes=2, pupils=3, schools=2)
    assert run(app, "roster", "import", rosters.zipped(tmp_path / "roster.zip", files)).exit_code == 0


def test_schools_are_listed_with_their_numbers(app: Flask) -> None:
    assert run(app, "schools", "list").output.splitlines()[0].split() == ["id", "name", "classes", "pupils", "teachers"]
    first, second = json.loads(run(app, "schools", "list", "--json").output)
    assert (first["name"], first["source_id"], first["classes"], first["pupils"], first["teachers"]) == (
        "Prøveskole 1", "s1", 2, 6, 2,
    )  # fmt: skip
    assert second["name"] == "Prøveskole 2"


def test_one_school_is_shown_with_its_classes(app: Flask) -> None:
    shown = json.loads(run(app, "schools", "show", "prøveskole 2", "--json").output)
    assert (shown["source_id"], [one["title"] for one in shown["classes"]]) == ("s2", ["1A", "2A"])
    text = run(app, "schools", "show", "s2").output
    assert "Prøveskole 2" in text
    assert "2A" in text
    refused = run(app, "schools", "show", "Prøveskole 9")
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "Prøveskole 1" in refused.stderr


def test_classes_are_listed_for_all_schools_or_one(app: Flask) -> None:
    every = json.loads(run(app, "classes", "list", "--json").output)
    assert [(one["school"], one["title"], one["kind"], one["pupils"]) for one in every] == [
        ("Prøveskole 1", "1A", "basic", 3), ("Prøveskole 1", "2A", "teaching", 3),
        ("Prøveskole 2", "1A", "basic", 3), ("Prøveskole 2", "2A", "teaching", 3),
    ]  # fmt: skip
    assert len(run(app, "classes", "list", "--school", "s1").output.splitlines()) == 3
    assert run(app, "classes", "list", "--school", "ukjent").exit_code == 3


def test_one_class_is_shown_with_its_members(app: Flask) -> None:
    shown = json.loads(run(app, "classes", "show", "1A", "--school", "s1", "--json").output)
    assert [one["role"] for one in shown["members"]] == ["teacher", "pupil", "pupil", "pupil"]
    text = run(app, "classes", "show", "s1k2").output.splitlines()
    assert text[0] == "2A, Prøveskole 1"
    assert len(text) == 6
    refused = run(app, "classes", "show", "1A")
    assert refused.exit_code == 3
    assert "several schools: say which" in refused.stderr


def test_bell_times_are_told_day_by_day_shown_and_forgotten(app: Flask) -> None:
    assert run(app, "schools", "bells", "Prøveskole 1").output == "no bell times are told\n"
    assert run(app, "schools", "bells", "--set", "08:30-09:15", "--set", "09:25-10:10").exit_code == 0
    assert "as the municipality says" in run(app, "schools", "bells", "prøveskole 1").output
    assert run(app, "schools", "bells", "Prøveskole 1", "--set", "09:00-10:00", "--on", "wed").exit_code == 0
    told = json.loads(run(app, "schools", "bells", "Prøveskole 1", "--json").output)
    assert told["own"] is True
    assert [(one["weekday"], one["from"]) for one in told["periods"]] == [
        ("mon", "08:30"), ("mon", "09:25"), ("tue", "08:30"), ("tue", "09:25"), ("wed", "09:00"),
        ("thu", "08:30"), ("thu", "09:25"), ("fri", "08:30"), ("fri", "09:25"),
    ]  # fmt: skip
    assert "as the municipality says" in run(app, "schools", "bells", "Prøveskole 1", "--forget").output
    overlapping = run(app, "schools", "bells", "--set", "08:30-09:15", "--set", "09:00-10:00")
    assert overlapping.exit_code != 0
    assert "these are no bell times: overlap" in overlapping.output
    for words in (["--set", "08:30-09:15", "--forget"], ["--on", "wed"]):
        assert run(app, "schools", "bells", *words).exit_code == 2
