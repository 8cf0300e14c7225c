"""``fleet profiles``: from files to published versions, shown and compared."""

import json
import shlex
from pathlib import Path

import pytest
from flask import Flask

from fleet.db import transaction
from profiles import catalogue
from tests import factories as make
from tests.conftest import NOW
from tests.doors.fleet_command import run

FIRST = 'name = "prove"\ntitle = "Prøve"\n[camera]\nallowed = false\n'
SECOND = 'name = "prove"\ntitle = "Prøve"\n[camera]\nallowed = true\n[passcode]\nmin_length = 6\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (path := tmp_path / "prove.toml").write_text(FIRST)
    return path


def test_a_file_becomes_a_draft_and_the_draft_a_version(app: Flask, file: Path) -> None:
    assert run(app, "profiles", "import", file).output == "prove: draft version 1\n"
    refused = run(app, "profiles", "show", "prove")
    assert refused.exit_code == 3
    assert refused.stderr == (
        "fleet: prove has only a draft: publish it with `scripts/fleet profiles publish prove`, or look at it with "
        "`scripts/fleet profiles show prove --draft`\n"
    )
    shown = json.loads(run(app, "profiles", "show", "prove", "--draft", "--json").output)
    assert (shown["version"], shown["draft"], shown["settings"]) == (1, True, {"camera.allowed": False})
    assert json.loads(run(app, "profiles", "show", "prove", "--version", 1, "--json").output) == shown
    assert json.loads(run(app, "profiles", "list", "--json").output) == [
        {"name": "prove", "title": "Prøve", "published": None, "draft": 1}
    ]
    assert run(app, "profiles", "publish", "prove").output == "prove: published version 1\n"
    assert run(app, "profiles", "publish", "prove").exit_code == 1
    assert json.loads(run(app, "profiles", "show", "prove", "--json").output) == {
        "name": "prove", "title": "Prøve", "version": 1, "draft": False, "settings": {"camera.allowed": False},
    }  # fmt: skip
    assert "camera.allowed  no" in run(app, "profiles", "show", "prove").output
    assert "prove has no draft" in run(app, "profiles", "show", "prove", "--draft").stderr
    missing = run(app, "profiles", "show", "prove", "--version", 7)
    assert (missing.exit_code, missing.stderr) == (3, "fleet: prove has no version 7; it has: 1\n")
    assert run(app, "profiles", "show", "prove", "--version", 1, "--draft").exit_code == 2


def test_a_misspelt_profile_is_told_the_nearest_names(app: Flask, file: Path) -> None:
    run(app, "profiles", "import", file)
    assert run(app, "profiles", "publish", "Prov").stderr == "fleet: no profile is called Prov; nearest: prove\n"
    assert "`scripts/fleet profiles list`" in run(app, "profiles", "publish", "xxxxxxxxx").stderr


def test_publishing_tells_which_assignments_stay_with_an_older_version(app: Flask, file: Path) -> None:
    with transaction():
        made = make.school("Kjenn skole")
        make.school_class(made, "8B")
        ended = make.school_class(made, "7A")
        make.device(made, serial="AB1")
    run(app, "profiles", "import", file, "--publish")
    places = (
        ["--municipality"],
        ["--school", "Kjenn skole"],
        ["--class", "8B"],
        ["--class", "7A"],
        ["--device", "AB1", "--until", "01.12.2036"],
    )
    ids = [json.loads(run(app, "assignments", "create", "prove", *where, "--json").output)["id"] for where in places]
    with transaction():
        ended.ended_at = NOW
    file.write_text(SECOND)
    done = run(app, "profiles", "import", file, "--publish").output.splitlines()
    create = "version 1: scripts/fleet assignments create prove"
    assert done == [
        "prove: published version 2",
        "4 assignment(s) still have an older version; to move them, run:",
        f"  #{ids[0]} municipality, {create} --municipality",
        f"  #{ids[1]} Kjenn skole, {create} --school 'Kjenn skole'",
        f"  #{ids[2]} 8B, {create} --class 8B --school 'Kjenn skole'",
        f"  #{ids[4]} AB1, {create} --device AB1 --until '2036-12-01 00:00' && scripts/fleet assignments withdraw {ids[4]}",
    ]
    for line in done[2:]:  # what is told is what moves them
        for command in line.partition(": ")[2].split(" && "):
            assert run(app, *shlex.split(command)[1:]).exit_code == 0
    file.write_text(FIRST)
    run(app, "profiles", "import", file)
    again = run(app, "profiles", "publish", "prove").output
    assert "4 assignment(s) still have an older version" in again
    assert "version 2: scripts" in again


def test_versions_are_listed_compared_and_written_as_a_file_that_reads_back(app: Flask, file: Path) -> None:
    run(app, "profiles", "import", file, "--publish")
    file.write_text(SECOND)
    assert run(app, "profiles", "import", file, "--publish").output == "prove: published version 2\n"
    history = json.loads(run(app, "profiles", "history", "prove", "--json").output)
    assert [one["version"] for one in history] == [2, 1]
    compared = json.loads(run(app, "profiles", "diff", "prove", 1, 2, "--json").output)
    assert [(one["setting"], one["old"], one["new"], one["direction"]) for one in compared] == [
        ("camera.allowed", False, True, "looser"),
        ("passcode.min_length", None, 6, "tighter"),
    ]
    assert run(app, "profiles", "diff", "prove", 1, 3).exit_code == 2
    file.write_text(run(app, "profiles", "show", "prove", "--version", 1, "--toml").output)
    assert run(app, "profiles", "import", file).output == "prove: draft version 3\n"
    assert json.loads(run(app, "profiles", "diff", "prove", 1, 3, "--json").output) == []


def test_the_catalogue_is_imported_and_published_whole(app: Flask) -> None:
    done = run(app, "profiles", "import", "--catalogue", "--publish")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) == len(catalogue.load()) >= 8
    assert all(row["published"] == 1 for row in json.loads(run(app, "profiles", "list", "--json").output))


def test_nothing_is_said_to_be_published_when_one_of_the_files_undoes_all(
    app: Flask, file: Path, tmp_path: Path
) -> None:
    (same := tmp_path / "same.toml").write_text(FIRST)
    refused = run(app, "profiles", "import", file, same, "--publish")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert json.loads(run(app, "profiles", "list", "--json").output) == []


def test_secrets_are_shown_only_in_the_file_that_can_be_edited(app: Flask, tmp_path: Path) -> None:
    (path := tmp_path / "nett.json").write_text(
        json.dumps({"name": "nett", "title": "Nett", "settings": {"wifi.networks": [{"ssid": "S", "security": "wpa2", "password": "hemmelig1"}]}})
    )  # fmt: skip
    run(app, "profiles", "import", path, "--publish")
    path.write_text(path.read_text().replace("hemmelig1", "hemmelig2"))
    run(app, "profiles", "import", path, "--publish")
    shown = [
        run(app, "profiles", "show", "nett"),
        run(app, "profiles", "show", "nett", "--json"),
        run(app, "profiles", "diff", "nett", 1, 2),
        run(app, "profiles", "diff", "nett", 1, 2, "--json"),
    ]
    assert all("(hidden)" in one.output and "hemmelig" not in one.output for one in shown)
    assert "hemmelig2" in run(app, "profiles", "show", "nett", "--toml").output


def test_faults_are_told_with_file_line_and_key_and_nothing_is_stored(app: Flask, file: Path, tmp_path: Path) -> None:
    (wrong := tmp_path / "feil.toml").write_text(FIRST.replace("allowed", "alowed"))
    refused = run(app, "profiles", "import", file, wrong)
    assert refused.exit_code == 5
    assert "feil.toml:4 [camera.alowed]: unknown-key" in refused.stderr
    assert "camera.allowed" in refused.stderr
    assert json.loads(run(app, "profiles", "list", "--json").output) == []


def test_without_files_or_names_that_exist_nothing_is_done(app: Flask, tmp_path: Path) -> None:
    assert run(app, "profiles", "import").exit_code == 2
    assert run(app, "profiles", "import", tmp_path / "nope.toml").exit_code == 2
    for verb in ("publish", "show", "history"):
        assert run(app, "profiles", verb, "ingen").exit_code == 3
    assert run(app, "profiles", "diff", "ingen", 1, 2).exit_code == 3


def test_effect_is_told_before_a_draft_is_published_everywhere(app: Flask, file: Path) -> None:
    run(app, "profiles", "import", file, "--publish")
    with transaction():
        make.tablets(make.school(), 2)
    run(app, "assignments", "create", "prove", "--municipality")
    file.write_text(SECOND)
    run(app, "profiles", "import", file)
    told = json.loads(run(app, "profiles", "effect", "prove", "--json").output)
    assert told == {
        "tablets": 2, "schools": 1, "without_wifi": 0, "lost_apps": {},
        "settings": [
            {"setting": "camera.allowed", "tablets": 2, "looser": 2},
            {"setting": "passcode.min_length", "tablets": 2, "looser": 0},
        ],
    }  # fmt: skip
    assert "2 tablet(s) at 1 school(s)" in run(app, "profiles", "effect", "prove").output
    assert run(app, "profiles", "publish", "prove", "--everywhere", "--note", "Kamera").output == (
        "prove: published version 2\n1 assignment(s) moved to it; 2 tablet(s) get a new schedule\n"
    )
    assert [one["note"] for one in json.loads(run(app, "profiles", "history", "prove", "--json").output)] == [
        "Kamera", None,
    ]  # fmt: skip
    assert json.loads(run(app, "profiles", "restore", "prove", 1, "--json").output) == {
        "profile": "prove", "restored": 1, "draft": 3,
    }  # fmt: skip
    assert run(app, "profiles", "restore", "prove", 1).stderr == (
        "fleet: prove has a draft already: publish or discard it first\n"
    )
    assert run(app, "profiles", "discard", "prove").output == "prove: the draft is discarded\n"
    assert run(app, "profiles", "discard", "prove").exit_code == 3


def test_only_wifi_is_taken_only_when_the_number_of_tablets_is_said(app: Flask, tmp_path: Path) -> None:
    (path := tmp_path / "nett.toml").write_text(
        'name = "nett"\ntitle = "Nett"\n[[wifi.networks]]\nssid = "skole"\nsecurity = "open"\n'
    )
    run(app, "profiles", "import", path, "--publish")
    with transaction():
        make.tablets(make.school(), 2)
    number = json.loads(run(app, "assignments", "create", "nett", "--municipality", "--json").output)["id"]
    path.write_text('name = "nett"\ntitle = "Nett"\n')
    run(app, "profiles", "import", path)
    assert "2 tablet(s) would lose the only Wi-Fi" in run(app, "profiles", "effect", "nett").output
    for words in (["profiles", "publish", "nett", "--everywhere"], ["assignments", "withdraw", number]):
        refused = run(app, *words)
        assert refused.exit_code == 4
        assert "repeat with --confirm 2" in refused.stderr
    assert run(app, "profiles", "publish", "nett", "--everywhere", "--confirm", 2).exit_code == 0
