"""``fleet assignments`` and what tablets are told: giving profiles, and explaining them."""

import json
from pathlib import Path

import pytest
from flask import Flask

from fleet.access import Principal
from fleet.assignments.assigning import Place
from fleet.db import transaction
from fleet.devices import queries
from fleet.devices.models import DeviceLife, Platform
from fleet.schools import queries as schools
from tests import factories as make
from tests.conftest import NOW
from tests.doors.fleet_command import run

KEY = "passcode.min_length"


@pytest.fixture
def school(app: Flask) -> None:
    """Make a school with a class, a pupil with a tablet, and a profile for each level."""
    with transaction():
        made = make.school("Kjenn skole")
        of, pupil = make.school_class(made, "8B"), make.pupil(made)
        make.membership(pupil, of)
        make.device(made, person=pupil, serial="AB1", asset_tag="LK-1")
        make.device(made, serial="AB2")
        for name, length in (("kommune", 6), ("skole", 4), ("klasse", 8), ("brett", 5)):
            make.published(name, **{KEY: length})


def at_four_levels(app: Flask) -> None:
    run(app, "assignments", "create", "kommune", "--municipality")
    run(app, "assignments", "create", "skole", "--school", "kjenn skole")
    run(app, "assignments", "create", "klasse", "--class", "8b", "--school", "Kjenn skole")
    run(app, "assignments", "create", "brett", "--device", "lk-1")


def test_a_profile_is_given_listed_shown_and_withdrawn(app: Flask, school: None) -> None:
    given = run(app, "assignments", "create", "klasse", "--class", "8B")
    assert given.exit_code == 0
    (row,) = json.loads(run(app, "assignments", "list", "--json").output)
    assert given.output == f"assignment {row['id']}: klasse version 1; 1 tablet(s) get a new schedule\n"
    assert (row["scope"], row["profile"], row["from"], row["withdrawn_at"]) == ("class", "klasse", None, None)
    assert json.loads(run(app, "assignments", "show", row["id"], "--json").output) == row
    assert "klasse" in run(app, "assignments", "show", row["id"]).output
    assert run(app, "assignments", "withdraw", row["id"]).output.endswith("1 tablet(s) get a new schedule\n")
    assert json.loads(run(app, "assignments", "list", "--json").output) == []
    assert len(json.loads(run(app, "assignments", "list", "--ended", "--json").output)) == 1
    again = run(app, "assignments", "withdraw", row["id"])
    assert (again.exit_code, again.stderr) == (1, f"fleet: assignment {row['id']} does not apply any more\n")
    assert run(app, "assignments", "withdraw", 0).exit_code == 3
    assert run(app, "assignments", "show", 0).exit_code == 3


def test_times_are_local_unless_they_say_their_zone(app: Flask, school: None) -> None:
    words = ["assignments", "create", "skole", "--school", "Kjenn skole", "--json"]
    local = json.loads(run(app, *words, "--from", "2036-09-14T08:15", "--until", "2036-09-15").output)
    assert (local["from"], local["until"]) == ("2036-09-14T06:15:00+00:00", "2036-09-14T22:00:00+00:00")
    zoned = json.loads(run(app, *words, "--from", "2036-01-14T08:15:00+0200").output)
    assert (zoned["from"], zoned["tablets_changed"]) == ("2036-01-14T06:15:00+00:00", 2)
    assert run(app, *words, "--until", "2020-01-01").exit_code == 1
    assert run(app, *words, "--until", "in an hour").exit_code == 2
    norwegian = json.loads(run(app, *words, "--from", "14.9.2036 kl. 08.15", "--until", "15.09.2036").output)
    assert (norwegian["from"], norwegian["until"]) == (local["from"], local["until"])
    listed = run(app, "assignments", "list").output.splitlines()
    assert "2036-09-14 08:15  2036-09-15 00:00" in listed[1]  # as they were typed
    assert "2036-01-14 07:15" in listed[2]


def test_places_are_listed_by_name_and_ended_ones_are_marked(app: Flask, school: None) -> None:
    at_four_levels(app)
    with transaction():
        queries.find_device("AB1", by=Principal.command_line()).life = DeviceLife.RETIRED
        schools.find_class("8B").ended_at = NOW
    listed = run(app, "assignments", "list").output
    for words in (
        "municipality  -  ",
        "school        Kjenn skole  ",
        "class         8B, Kjenn skole (ended)  ",
        "device        AB1 (ended)  ",
    ):
        assert words in listed
    rows = json.loads(run(app, "assignments", "list", "--json").output)
    assert [(row["place"], row["school"], row["place_ended"]) for row in rows] == [
        (None, None, False), ("Kjenn skole", None, False), ("8B", "Kjenn skole", True), ("AB1", None, True),
    ]  # fmt: skip
    with transaction():
        schools.find_school("Kjenn skole").ended_at = NOW
    assert "Kjenn skole (ended)  " in run(app, "assignments", "list").output


def test_places_are_named_in_as_many_statements_however_many(app: Flask, school: None, statements: list[str]) -> None:
    at_four_levels(app)
    statements.clear()
    run(app, "assignments", "list")
    few = len(statements)
    at_four_levels(app)
    for title in ("9A", "9B"):
        with transaction():
            make.school_class(schools.find_school("Kjenn skole"), title)
        run(app, "assignments", "create", "klasse", "--class", title)
    statements.clear()
    run(app, "assignments", "list")
    assert len(statements) == few


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["skole"], 2),
        (["skole", "--municipality", "--school", "Kjenn skole"], 2),
        (["skole", "--device", "AB1", "--school", "Kjenn skole"], 2),
        (["skole", "--device", "AB1", "--class", "8B"], 2),
        (["ingen", "--municipality"], 3),
        (["skole", "--version", "2", "--municipality"], 3),
        (["skole", "--school", "Kjen skole"], 3),
        (["skole", "--class", "9Z"], 3),
        (["skole", "--device", "AB9"], 3),
    ],
)
def test_a_place_or_profile_that_is_not_clear_or_not_there_is_refused(
    app: Flask, school: None, words: list[str], code: int
) -> None:
    assert run(app, "assignments", "create", *words).exit_code == code
    assert json.loads(run(app, "assignments", "list", "--ended", "--json").output) == []


def test_why_explains_a_key_set_at_four_levels(app: Flask, school: None) -> None:
    at_four_levels(app)
    ids = [row["id"] for row in json.loads(run(app, "assignments", "list", "--json").output)]
    lines = run(app, "devices", "why", "AB1", KEY).output.splitlines()
    assert lines[0] == "passcode.min_length = 8   (strictest: highest wins)"
    assert lines[1] == f"  won   class 8B: klasse version 1 (#{ids[2]})"
    assert sorted(lines[2:]) == [
        f"  lost  device AB1: brett version 1 (#{ids[3]}): 5",
        f"  lost  municipality: kommune version 1 (#{ids[0]}): 6",
        f"  lost  school Kjenn skole: skole version 1 (#{ids[1]}): 4",
    ]
    (row,) = json.loads(run(app, "devices", "why", "LK-1", KEY, "--json").output)
    assert (row["key"], row["value"], row["rule"]) == (KEY, 8, "strictest: highest wins")
    assert row["winners"] == [
        {"assignment": ids[2], "scope": "class", "place": "8B", "profile": "klasse", "version": 1}
    ]
    assert sorted((loser["scope"], loser["value"]) for loser in row["losers"]) == [
        ("device", 5), ("municipality", 6), ("school", 4),
    ]  # fmt: skip
    assert (row["removed"], "native" in row["channels"]) == ([], True)


def test_why_tells_everything_at_another_time_and_hides_secrets(app: Flask, school: None) -> None:
    at_four_levels(app)
    with transaction():
        device = queries.find_device("AB1", by=Principal.command_line())
        network = {"ssid": "Skolenett", "security": "wpa2", "password": "hemmelig1"}
        make.assign(make.published("nett", **{"wifi.networks": [network]}), Place.device(device))
        make.assign(make.published("sperre", **{"apps.blocked": ["no.spill"]}), Place.municipality())
        make.assign(make.published("krav", **{"apps.required": ["no.geo", "no.spill"]}), Place.municipality())
    run(app, "assignments", "create", "kommune", "--device", "AB2", "--from", "2036-09-14T08:15")
    whole = run(app, "devices", "why", "AB1").output
    assert "hemmelig1" not in whole
    assert "wifi.networks = (hidden)" in whole
    assert "taken out because blocked: no.spill" in whole
    assert "hemmelig1" not in run(app, "devices", "why", "AB1", "--json").output
    (then,) = json.loads(run(app, "devices", "why", "AB2", KEY, "--at", "2036-09-14T08:15", "--json").output)
    (now,) = json.loads(run(app, "devices", "why", "AB2", KEY, "--json").output)
    assert (len(now["winners"]), len(then["winners"])) == (1, 2)


def test_why_says_what_stays_open_as_the_tablet_is_locked_to_it(app: Flask, school: None) -> None:
    with transaction():
        device = queries.find_device("AB1", by=Principal.command_line())
        make.assign(make.published("las", **{"kiosk.app": "no.bok"}), Place.municipality())
        make.assign(make.published("sperre", **{"apps.blocked": ["no.bok", "no.spill"]}), Place.device(device))
    told = run(app, "devices", "why", "AB1", "apps.blocked").output
    assert told.startswith("apps.blocked = no.spill   (union)\n")
    assert "stays open because the tablet is locked to it: no.bok" in told


def test_why_says_what_an_ipad_cannot_have(app: Flask, school: None) -> None:
    with transaction():
        device = queries.find_device("AB1", by=Principal.command_line())
        device.platform = Platform.IPADOS
        device.state.facts = {"os_version": "17.6.1", "flags": {"supervised": False}}
        make.assign(make.published("las", **{"kiosk.app": "no.bok", "sound.locked": True}), Place.municipality())
    told = run(app, "devices", "why", "AB1").output
    assert "  does not hold: does not apply on iPads" in told
    assert "  does not hold: needs a supervised iPad" in told
    (row,) = json.loads(run(app, "devices", "why", "AB1", "kiosk.app", "--json").output)
    assert row["unmet"] == ["not-supervised"]


@pytest.mark.parametrize("words", [("AB9",), ("AB1", "kamera.allowed"), ("AB1", "bluetooth.allowed")])
def test_why_of_what_is_not_there_is_not_found(app: Flask, school: None, words: tuple[str, ...]) -> None:
    assert run(app, "devices", "why", *words).exit_code == 3


def test_a_misspelt_setting_or_serial_is_told_the_nearest(app: Flask, school: None) -> None:
    assert run(app, "devices", "why", "AB1", "passcode.min_lenght").stderr.startswith(
        "fleet: no setting is called passcode.min_lenght; nearest: passcode.min_length"
    )
    assert (
        run(app, "devices", "show", "ab7").stderr
        == "fleet: no tablet has the serial or asset tag ab7: `scripts/fleet devices list` lists them\n"
    )
    with transaction():
        make.device(schools.find_school("Kjenn skole"), serial="F9FXK2A7", asset_tag="LK-1007")
    for typed, meant in (
        ("f9fxk2a8", "F9FXK2A7"),
        ("9FXK2A7", "F9FXK2A7"),
        ("F9FXK22A7", "F9FXK2A7"),
        ("LK-1008", "LK-1007, LK-1"),
    ):
        assert f"; nearest: {meant}\n" in run(app, "devices", "show", typed).stderr
    assert "nearest" not in run(app, "devices", "show", "%").stderr


def test_values_are_told_as_text(app: Flask, school: None) -> None:
    with transaction():
        make.assign(
            make.published("alt", **{"camera.allowed": False, "apps.required": ["no.geo", "no.bok"], "web.bookmarks": [{"title": "NRK", "url": "https://nrk.no"}, {"title": "Udir", "url": "https://udir.no"}]}),
            Place.municipality(),
        )  # fmt: skip
    told = run(app, "devices", "why", "AB1").output
    for line in (
        "camera.allowed = no   (",
        "apps.required = no.bok, no.geo   (",
        "web.bookmarks = title NRK, url https://nrk.no; title Udir, url https://udir.no   (",
        "  won   municipality: alt version 1 (#",
    ):
        assert line in told


def test_no_command_needs_more_than_its_words(app: Flask, tmp_path: Path) -> None:
    assert run(app, "assignments", "list").output.split() == [
        "id", "profile", "version", "scope", "place", "from", "until", "withdrawn_at",
    ]  # fmt: skip
