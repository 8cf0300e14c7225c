"""``fleet lessons plan`` and ``fleet lessons sets``: what is planned ahead, and what can be given."""

import json
from typing import Any

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Role
from fleet.db import transaction
from fleet.lessons import timetable
from fleet.schools.models import MembershipRole
from tests import factories as make
from tests import lessons
from tests.conftest import NOW
from tests.doors.fleet_command import run
from tests.lessons import OSLO, Room

MONDAY, NEXT_MONDAY = "2026-09-14", "2026-09-21"


@pytest.fixture
def room(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Make class 8B, a set that all teachers have, and a teacher of the class who can sign in."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    with transaction():
        made = lessons.room()
        person = make.employee("petra", made.school)
        make.membership(person, made.of, role=MembershipRole.TEACHER)
        make.account("petra", (Role.TEACHER, made.school), of=person)
    assert run(app, "lessons", "sets", "share", "Les selv", "--web", "*.nb.no").exit_code == 0
    return made


def told(app: Flask, *words: str | int) -> Any:
    result = run(app, "lessons", *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def planned(app: Flask, *words: str | int) -> Any:
    return told(app, "plan", "create", "8B", "--set", "les selv", "--from", "12:15", "--until", "13:00", *words)


def test_a_weekly_lesson_is_planned_listed_and_withdrawn(app: Flask, room: Room) -> None:
    made = run(
        app, "lessons", "plan", "create", "8b", "--school", "Prøveskolen", "--set", "Les selv", "--weekday", "monday",
        "--from", "12:15", "--until", "13.00", "--first", NEXT_MONDAY, "--last", "21.06.2027", "--holder", "petra",
    )  # fmt: skip
    (row,) = told(app, "plan", "list")
    assert made.output == (
        f"plan {row['id']}: 8B has Les selv each monday from 2026-09-21 to 2027-06-21, 12:15-13:00\n"
    )
    assert (row["holder"], row["weekday"], row["from"], row["until"]) == ("petra", "monday", "12:15", "13:00")
    assert (
        "each monday from 2026-09-21 to 2027-06-21  12:15  13:00  petra" in run(app, "lessons", "plan", "list").output
    )
    assert told(app, "plan", "withdraw", row["id"])["withdrawn_at"] is not None
    assert told(app, "plan", "list") == []
    again = run(app, "lessons", "plan", "withdraw", row["id"])
    assert (again.exit_code, again.stderr) == (1, f"fleet: plan {row['id']} is withdrawn already\n")
    assert run(app, "lessons", "plan", "withdraw", 0).exit_code == 3


def test_a_lesson_on_a_date_is_planned_and_made_when_it_is_due(app: Flask, room: Room) -> None:
    row = planned(app, "--on", "14.09.2026")
    assert (row["on"], row["weekday"]) == (MONDAY, None)
    assert f"plan {row['id'] + 1}: 8B has Les selv on 2026-09-15, 12:15-13:00" in run(
        app, "lessons", "plan", "create", "8B", "--set", "Les selv", "--on", "2026-09-15", "--from", "12:15", "--until",
        "13:00",
    ).output  # fmt: skip
    with transaction():
        assert timetable.begin_due(now=NOW.replace(hour=10), timezone=OSLO) == 1
    (lesson,) = told(app, "list")
    assert (lesson["stage"], lesson["plan"], lesson["starts_at"]) == ("planned", row["id"], "2026-09-14T10:15:00+00:00")


def test_a_date_is_left_out_and_taken_in_again(app: Flask, room: Room) -> None:
    number = planned(app, "--weekday", "monday")["id"]
    assert told(app, "plan", "skip", number, "21.9.2026")["left_out"] == [NEXT_MONDAY]
    assert run(app, "lessons", "plan", "unskip", number, NEXT_MONDAY).output == (
        f"plan {number}: has its lesson on 2026-09-21 after all\n"
    )
    tuesday = run(app, "lessons", "plan", "skip", number, "2026-09-22")
    assert (tuesday.exit_code, tuesday.stderr.split(":")[1]) == (1, " the plan has no lesson on 2026-09-22")
    assert run(app, "lessons", "plan", "unskip", number, NEXT_MONDAY).exit_code == 1
    assert run(app, "lessons", "plan", "skip", number, "monday").exit_code == 2


def test_plans_are_listed_by_class_and_school(app: Flask, room: Room) -> None:
    with transaction():
        other = make.school("Nabo skole")
        lessons.room("9A", school=other)
    first = planned(app, "--weekday", "monday")["id"]
    words = ("--set", "Les selv", "--weekday", "friday", "--from", "09:00", "--until", "09:45")
    second = told(app, "plan", "create", "9A", *words)["id"]
    assert [row["id"] for row in told(app, "plan", "list")] == [first, second]
    assert [row["id"] for row in told(app, "plan", "list", "--school", "nabo skole")] == [second]
    assert [row["id"] for row in told(app, "plan", "list", "--class", "8B")] == [first]


def test_plans_that_meet_or_make_no_lesson_are_refused(app: Flask, room: Room) -> None:
    number = planned(app, "--weekday", "monday")["id"]
    words = ("lessons", "plan", "create", "8B", "--set", "Les selv")
    meets = run(app, *words, "--on", NEXT_MONDAY, "--from", "12:30", "--until", "13:15")
    assert meets.stderr == (
        f"fleet: plan {number} has the class at that time: withdraw it, or leave the date out there\n"
    )
    past = run(app, *words, "--on", "2026-09-11", "--from", "12:30", "--until", "13:15")
    assert (past.exit_code, "would begin in the past (2026-09-11)" in past.stderr) == (1, True)
    assert "120 minutes" in run(app, *words, "--on", "2026-09-15", "--from", "08:15", "--until", "13:15").stderr
    assert run(app, *words, "--on", "2026-09-15", "--from", "13:15", "--until", "12:15").exit_code == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--on", MONDAY, "--weekday", "monday"],
        ["--on", MONDAY, "--first", MONDAY],
        ["--weekday", "funday"],
        ["--on", "10:15"],
    ],
)
def test_when_must_be_said_once(app: Flask, room: Room, words: list[str]) -> None:
    told_all = ("lessons", "plan", "create", "8B", "--set", "Les selv", "--from", "12:15", "--until", "13:00", *words)
    assert run(app, *told_all).exit_code == 2


def test_who_leaves_create_out_is_told_how(app: Flask, room: Room) -> None:
    result = run(app, "lessons", "plan", "8B", "--set", "Les selv", "--on", MONDAY)
    assert result.exit_code == 2
    assert "scripts/fleet lessons plan create CLASS" in result.stderr
    assert "create" in run(app, "lessons", "plan", "--help").output


def test_sets_are_shared_offered_and_withdrawn(app: Flask, room: Room) -> None:
    shared = run(
        app, "lessons", "sets", "share", "Regne", "--apps", "no.kalkulator", "--locked", "--school", "prøveskolen",
        "--subject", "mat", "--grade", "8,9",
    )  # fmt: skip
    rows = told(app, "sets", "list", "8B")
    mine = next(row for row in rows if row["title"] == "Regne")
    assert shared.output == (
        f"set {mine['id']}: Regne (no.kalkulator; locked to it) is shared with the teachers of Prøveskolen\n"
    )
    assert (mine["subject_code"], mine["grades"], mine["shared_by"]) == ("MAT", ["8", "9"], "Prøveskolen")
    again = run(app, "lessons", "sets", "share", "regne", "--web", "nrk.no", "--school", "Prøveskolen")
    assert (again.exit_code, "a set called regne is shared there already" in again.stderr) == (1, True)
    table = run(app, "lessons", "sets", "list", "8B").output
    assert table.splitlines()[0].split() == ["id", "title", "kind", "gives", "offered_as", "shared_by"]
    assert "Les selv  web   *.nb.no                      shared      the municipality" in table
    assert run(app, "lessons", "sets", "withdraw", mine["id"]).output == f"set {mine['id']}: Regne is withdrawn\n"
    assert "Regne" not in run(app, "lessons", "sets", "list", "8B").output
    assert run(app, "lessons", "sets", "withdraw", mine["id"]).exit_code == 1
    assert run(app, "lessons", "sets", "withdraw", 0).exit_code == 3


def test_a_published_profile_is_shared_under_a_title(app: Flask, room: Room) -> None:
    with transaction():
        make.published("prøvetid")
    row = told(app, "sets", "share", "Prøvetid", "--profile", "prøvetid")
    assert (row["kind"], row["profile"], row["school_id"]) == ("profile", "prøvetid", None)
    assert run(app, "lessons", "start", "8B", "--set", "prøvetid", "--minutes", 45).exit_code == 0
    assert run(app, "lessons", "sets", "share", "Annet", "--profile", "finnes-ikke").exit_code == 3
    assert run(app, "lessons", "sets", "share", "Annet").exit_code == 2


def test_the_ready_made_profiles_are_shared_once(app: Flask, room: Room) -> None:
    assert run(app, "profiles", "import", "--catalogue", "--publish").exit_code == 0
    count = told(app, "sets", "ship")["shared"]
    assert count > 2
    assert run(app, "lessons", "sets", "ship").output == (
        "nothing new to share; `scripts/fleet profiles import --catalogue --publish` publishes what there is\n"
    )
    assert sum(row["kind"] == "profile" for row in told(app, "sets", "list", "8B")) == count


def test_a_misspelt_set_is_told_the_nearest(app: Flask, room: Room) -> None:
    result = run(app, "lessons", "start", "8B", "--set", "Les selvv", "--minutes", 45)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "fleet: no set that this class may have is called Les selvv; nearest: Les selv\n"
    far = run(app, "lessons", "start", "8B", "--set", "Xyz", "--minutes", 45)
    assert far.stderr.endswith(": `scripts/fleet lessons sets list CLASS` lists them\n")
