"""``fleet devices``: delivery list, lists, one tablet, moves and steps of its life."""

import json
from pathlib import Path

import pytest
from flask import Flask

from fleet.access import Principal
from fleet.db import db, transaction
from fleet.devices import codes, queries
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.schools.models import School
from tests import factories, rosters
from tests.conftest import NOW
from tests.doors.fleet_command import run


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        made = factories.school("Kjenn skole")
        klass, pupil = factories.school_class(made), factories.pupil(made)
        pupil.username = "elev.åse"
        factories.membership(pupil, klass)
    return made


@pytest.fixture
def delivery_list(school: School, tmp_path: Path) -> Path:
    path = tmp_path / "levering.csv"
    path.write_text(
        "Serienummer;Modell;Skole;Klasse;Merkelapp;Pris\nab1;iPad 10;Kjenn skole;8B;LK-1;4990\nab2;;Kjenn skole;;;\n"
    )
    return path


def device(serial: str) -> Device:
    db.session.expire_all()
    return queries.find_device(serial, by=Principal.command_line())


def test_a_list_is_proposed_imported_and_imported_again(app: Flask, delivery_list: Path) -> None:
    before = rosters.dump(without=set())
    dry = run(app, "devices", "import", delivery_list, "--dry-run")
    assert dry.output == "2 would be added, 0 would be changed, 0 stay\ncolumns that mean nothing here: Pris\n"
    assert rosters.dump(without=set()) == before
    assert run(app, "devices", "import", delivery_list).output.startswith("2 are added, 0 are changed, 0 stay\n")
    assert json.loads(run(app, "devices", "import", delivery_list, "--json").output) == {
        "applied": True, "added": 0, "changed": 0, "unchanged": 2, "moved": [], "differences": [],
        "ignored_columns": ["Pris"],
    }  # fmt: skip
    (first, second) = json.loads(run(app, "devices", "list", "--json").output)
    assert first == {
        "serial": "AB1", "asset_tag": "LK-1", "model": "iPad 10", "platform": "ipados", "school": "Kjenn skole",
        "school_ended": False, "class": "8B", "class_ended": False, "cart": None, "life": "expected", "last_seen_at": None, "profile": "unknown", "has_findings": False,
    }  # fmt: skip
    assert (second["serial"], second["class"]) == ("AB2", None)


def test_moving_tablets_in_use_is_shown_and_asks_for_a_yes(app: Flask, delivery_list: Path) -> None:
    run(app, "devices", "import", delivery_list)
    with transaction():
        device("AB1").life = DeviceLife.ENROLLED
    run(app, "devices", "move", "AB1", "--school", "Kjenn skole", "--cart", "Vogn 1")
    dry = run(app, "devices", "import", delivery_list, "--dry-run").output
    assert "AB1: class - -> 8B\n" in dry
    assert "1 tablet(s) in use would be moved; the import asks for --allow-moves\n" in dry
    assert run(app, "devices", "import", delivery_list).exit_code == 4
    assert device("AB1").cart == "Vogn 1"
    assert run(app, "devices", "import", delivery_list, "--allow-moves").exit_code == 0
    assert device("AB1").school_class is not None


def test_a_faulty_list_is_told_line_by_line_and_changes_nothing(app: Flask, school: School, tmp_path: Path) -> None:
    path = tmp_path / "levering.csv"
    path.write_text("serial,school,class\nAB1,Kjen skole,\nAB2,Kjenn skole,8X\n")
    before = rosters.dump(without=set())
    refused = run(app, "devices", "import", path)
    assert (refused.exit_code, refused.stdout) == (5, "")
    assert refused.stderr.splitlines() == [
        "fleet: levering.csv:2 [school]: unknown-school: expected a school: Kjenn skole, found 'Kjen skole'",
        "levering.csv:3 [class]: unknown-class: expected a class of Kjenn skole: 8B, found '8X'",
        "2 problem(s); nothing was changed",
    ]
    assert rosters.dump(without=set()) == before
    assert run(app, "devices", "import", tmp_path / "none.csv").exit_code == 2


def test_lists_are_narrowed_by_options(app: Flask, school: School, delivery_list: Path) -> None:
    run(app, "devices", "import", delivery_list)
    with transaction():
        seen, failing = device("AB1"), device("AB2")
        seen.life, seen.state.last_seen_at = DeviceLife.ENROLLED, NOW
        failing.state.has_findings = True

    def serials(*words: str) -> list[str]:
        return [row["serial"] for row in json.loads(run(app, "devices", "list", "--json", *words).output)]

    assert serials() == ["AB1", "AB2"]
    assert serials("--school", "kjenn skole", "--class", "8b") == ["AB1"]
    assert serials("--life", "expected") == ["AB2"]
    assert serials("--text", "lk-") == ["AB1"]
    assert serials("--findings") == ["AB2"]
    assert serials("--not-seen-since", "2026-09-14 10:15:00") == []
    assert serials("--not-seen-since", "14.09.2026 10:16") == ["AB1"]  # local time of the schools
    assert run(app, "devices", "list", "--school", "ukjent").exit_code == 3
    table = run(app, "devices", "list").output.splitlines()
    assert table[0].split() == ["serial", "asset_tag", "model", "school", "class", "life", "last_seen_at", "profile"]
    assert len(table) == 3


def test_one_tablet_is_shown_without_its_pupils_name_unless_asked(
    app: Flask, school: School, delivery_list: Path
) -> None:
    run(app, "devices", "import", delivery_list)
    assert (
        run(app, "devices", "move", "ab1", "--school", "Kjenn skole", "--pupil", "elev.åse").output == "AB1 is moved\n"
    )
    with transaction():
        one = device("AB1")
        db.session.add(Enrolment(device_id=one.id, channel="native", enrolled_at=NOW))
    shown = json.loads(run(app, "devices", "show", "LK-1", "--json").output)
    assert (shown["serial"], shown["pupil"], shown["class"]) == ("AB1", "elev.åse", None)
    assert shown["enrolments"] == [
        {"channel": "native", "enrolled_at": NOW.isoformat(), "ended_at": None, "reason": None}
    ]
    assert "pupil_name" not in shown
    text = run(app, "devices", "show", "AB1").output
    assert "Prøve" not in text
    assert "battery_percent      -" in text
    assert "Prøve" in run(app, "devices", "show", "AB1", "--with-names").output
    assert "pupil_name" not in json.loads(run(app, "devices", "show", "AB2", "--with-names", "--json").output)
    assert run(app, "devices", "show", "NONE").exit_code == 3


def test_a_tablet_is_moved_to_a_class_or_a_cart(app: Flask, school: School, delivery_list: Path) -> None:
    run(app, "devices", "import", delivery_list)
    assert run(app, "devices", "move", "AB2", "--school", "Kjenn skole", "--class", "8B").exit_code == 0
    assert device("AB2").class_id is not None
    assert run(app, "devices", "move", "AB2", "--school", "Kjenn skole", "--cart", "Vogn 1").exit_code == 0
    assert (device("AB2").class_id, device("AB2").cart) == (None, "Vogn 1")
    assert run(app, "devices", "move", "AB2", "--school", "Kjenn skole", "--pupil", "ukjent").exit_code == 3
    assert run(app, "devices", "move", "AB2").exit_code == 2
    for both in (["--class", "8B", "--cart", "Vogn 1"], ["--class", "8B", "--pupil", "elev.åse"]):
        refused = run(app, "devices", "move", "AB2", "--school", "Kjenn skole", *both)
        assert refused.exit_code == 2
        assert "--class, --pupil or --cart: one of them" in refused.stderr
    assert (device("AB2").class_id, device("AB2").cart) == (None, "Vogn 1")


def test_what_a_tablet_says_of_itself_does_not_steer_the_terminal(app: Flask, delivery_list: Path) -> None:
    run(app, "devices", "import", delivery_list)
    with transaction():
        device("AB1").model = "iPad\x1b[2J\u202e"
    shown = run(app, "devices", "show", "AB1").output
    assert "iPad\\x1b[2J\\u202e" in shown
    assert "\x1b" not in shown


def test_times_are_shown_as_the_schools_clocks_show_them(app: Flask, delivery_list: Path) -> None:
    run(app, "devices", "import", delivery_list)
    with transaction():
        device("AB1").state.last_seen_at = NOW
    assert "  2026-09-14 10:15  " in run(app, "devices", "list").output
    assert "last_seen_at         2026-09-14 10:15\n" in run(app, "devices", "show", "AB1").output


def test_the_steps_of_a_tablets_life(app: Flask, school: School, delivery_list: Path) -> None:
    run(app, "devices", "import", delivery_list)
    for step, life, told in (
        ("lost", "lost", "reported lost"),
        ("found", "expected", "found: it is expected, and enrols with a ticket"),
        ("retire", "retired", "retired"),
        ("reinstate", "expected", "back in use: it is expected, and enrols with a ticket"),
    ):
        assert run(app, "devices", step, "lk-1").output == f"AB1 is {told}\n"
        assert device("AB1").life.value == life
    refused = run(app, "devices", "found", "AB1")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "fleet: tablet AB1 is not lost (expected)\n"
    assert run(app, "devices", "revoke", "AB1").exit_code == 1
    with transaction():
        device("AB1").life = DeviceLife.ENROLLED
    assert (
        run(app, "devices", "revoke", "AB1").output
        == "the key of AB1 is revoked: the tablet needs a ticket to enrol again\n"
    )
    assert run(app, "devices", "lost", "NONE").exit_code == 3


def test_a_tablet_that_waits_is_compared_and_let_in(app: Flask, school: School, delivery_list: Path) -> None:
    run(app, "devices", "import", delivery_list)
    with transaction():
        waiting = device("AB1")
        waiting.life, waiting.state.key_thumbprint = DeviceLife.PENDING, "k1"
    assert f"match_code           {codes.match_code('k1')}\n" in run(app, "devices", "show", "AB1").output
    assert run(app, "devices", "approve", "AB1").output == "AB1 is approved: it gets what it shall have\n"
    assert device("AB1").life is DeviceLife.ENROLLED
    assert run(app, "devices", "decline", "AB1").exit_code == 1
