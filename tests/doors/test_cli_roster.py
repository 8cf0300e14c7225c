"""``fleet roster``: dry run, import, brake, undo; what is refused changes nothing and says where the fault is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from fleet.db import transaction
from fleet.devices.models import DeviceLife
from fleet.schools import queries
from tests import factories, rosters
from tests.doors.fleet_command import run


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return rosters.zipped(tmp_path / "roster.zip", rosters.one_roster())


def test_a_dry_run_prints_the_plan_and_changes_nothing(app: Flask, package: Path) -> None:
    before = rosters.dump(without=set())
    shown = run(app, "roster", "import", package, "--dry-run")
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[:7] == [
        "would change:",
        "kind         added  changed  removed",
        "schools      1      0        0",
        "years        1      0        0",
        "classes      10     0        0",
        "people       50     0        0",
        "memberships  50     0        0",
    ]
    assert "municipality: Prøvekommune" in lines
    assert "add classes: s1k1 1A" in lines
    assert "add people: s1k1p0" in lines
    assert "add people: … and 40 more (--json has all)" in lines
    assert "Øvesen" not in shown.output
    assert rosters.dump(without=set()) == before


def test_a_dry_run_as_json_has_every_change(app: Flask, package: Path) -> None:
    shown = json.loads(run(app, "roster", "import", package, "--dry-run", "--json").output)
    assert shown["applied"] is False
    assert shown["braked"] is None
    assert shown["changes"]["people"] == {"added": 50, "changed": 0, "removed": 0}
    assert len(shown["items"]) == 112


def test_an_import_applies_and_the_second_one_plans_nothing(app: Flask, package: Path) -> None:
    first = json.loads(run(app, "roster", "import", package, "--json").output)
    assert first["applied"] is True
    assert isinstance(first["import_id"], int)
    again = run(app, "roster", "import", package, "--dry-run")
    assert again.output.startswith("nothing would change:")
    second = run(app, "roster", "import", package)
    assert (second.exit_code, second.output.splitlines()[0]) == (0, "nothing to change:")
    (line,) = json.loads(run(app, "roster", "history", "--json").output)
    assert (line["file"], line["undone_at"]) == ("roster.zip", None)


def half(files: rosters.Files) -> rosters.Files:
    kept = {row["sourcedId"] for row in files["classes"][:4]}
    return files | {
        "classes": files["classes"][:4],
        "enrollments": [row for row in files["enrollments"] if row["classSourcedId"] in kept],
    }


def test_the_brake_stops_with_its_own_exit_code_unless_told_otherwise(
    app: Flask, package: Path, tmp_path: Path
) -> None:
    run(app, "roster", "import", package)
    before = rosters.dump(without=set())
    broken = rosters.zipped(tmp_path / "half.zip", half(rosters.one_roster()))
    dry = run(app, "roster", "import", broken, "--dry-run")
    assert dry.exit_code == 0
    assert "the brake would stop this: 6 of 10 classes, more than 10 % would leave; --allow-removals" in dry.output
    assert json.loads(run(app, "roster", "import", broken, "--dry-run", "--json").output)["braked"]["removed"] == 6
    stopped = run(app, "roster", "import", broken)
    assert stopped.exit_code == 4
    assert stopped.stderr.startswith(
        "fleet: this import would remove 6 of 10 classes, more than 10 %: look at --dry-run, then repeat with"
    )
    assert "Traceback" not in stopped.stderr
    assert rosters.dump(without=set()) == before
    for words in (["--max-removed", "60"], ["--allow-removals"]):
        assert run(app, "roster", "import", broken, *words).exit_code == 0
        assert run(app, "roster", "undo").exit_code == 0
    assert "brake" not in run(app, "roster", "import", broken, "--dry-run", "--allow-removals").output


def test_tablets_in_classes_that_leave_are_counted(app: Flask, package: Path, tmp_path: Path) -> None:
    run(app, "roster", "import", package)
    with transaction():
        leaving, staying = queries.find_class("s1k7"), queries.find_class("s1k1")
        factories.tablets(leaving.school, 3, of_class=leaving)
        factories.device(leaving.school, serial="UT1", class_id=leaving.id, life=DeviceLife.RETIRED)
        factories.device(leaving.school, serial="INNE1", class_id=staying.id)
    smaller = rosters.zipped(tmp_path / "half.zip", half(rosters.one_roster()))
    words = "3 tablet(s) stand in classes that leave: `scripts/fleet devices list` shows those as ended"
    assert words in run(app, "roster", "import", smaller, "--dry-run").output
    told = json.loads(run(app, "roster", "import", smaller, "--allow-removals", "--json").output)
    assert told["tablets_in_removed_classes"] == 3
    assert "stand in classes" not in run(app, "roster", "import", smaller, "--dry-run").output
    listed = run(app, "devices", "list").output
    assert listed.count("7A (ended)") == 4
    assert listed.count("(ended)") == 4
    assert "fleet: class 7A has ended" in run(app, "devices", "list", "--class", "7A").stderr


def test_an_undo_restores_every_table(app: Flask, package: Path, tmp_path: Path) -> None:
    run(app, "roster", "import", package)
    before = rosters.dump()
    run(app, "roster", "import", rosters.zipped(tmp_path / "half.zip", half(rosters.one_roster())), "--allow-removals")
    assert rosters.dump() != before
    undone = run(app, "roster", "undo")
    assert undone.exit_code == 0
    assert "half.zip) is taken back" in undone.output
    assert rosters.dump() == before
    again = run(app, "roster", "undo", "--json")
    assert again.exit_code == 1
    assert "already undone" in again.stderr


def test_nothing_to_undo_is_not_found(app: Flask) -> None:
    assert run(app, "roster", "undo").exit_code == 3


def test_undo_as_json(app: Flask, package: Path) -> None:
    run(app, "roster", "import", package)
    assert json.loads(run(app, "roster", "undo", "--json").output)["file_name"] == "roster.zip"


def test_one_person_under_a_new_id_is_pointed_out(app: Flask, package: Path, tmp_path: Path) -> None:
    run(app, "roster", "import", package)
    files = rosters.one_roster()
    files["users"][1]["sourcedId"] = files["enrollments"][1]["userSourcedId"] = "ny"
    files["users"][2]["givenName"] = "Åse"
    shown = run(app, "roster", "import", rosters.zipped(tmp_path / "b.zip", files), "--dry-run").output
    assert "suspect: s1k1p1 would leave and come under another id" in shown
    assert "change people: s1k1p2: given_name" in shown


Spoil = Callable[[Path], Path]


def spoilt(name: str, content: bytes) -> Spoil:
    sound = rosters.encoded(rosters.one_roster(classes=12))
    return lambda path: rosters.zipped(path, sound | {name: content})


def bad_row(path: Path) -> Path:
    files = rosters.one_roster(classes=12)
    files["users"][0]["role"] = files["users"][3]["role"] = "wizard"
    return rosters.zipped(path, files)


def zeros(path: Path) -> Path:
    return rosters.zipped(path, {"users.csv": bytes(40 * 2**20)})


def no_zip(path: Path) -> Path:
    path.write_bytes(b"sourcedId\n")
    return path


BAD: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "a bad row": (
        bad_row,
        (
            "users.csv:2 [role]: unknown-role: expected one of",
            "users.csv:5 [role]",
            "2 problem(s); nothing was changed",
        ),
    ),
    "a wrong delimiter": (
        spoilt("users.csv", b"sourcedId;role\n1;2\n"),
        ("users.csv:1: wrong-delimiter: expected columns separated by ,, found ';'",),
    ),
    "a missing column": (
        spoilt("orgs.csv", b"sourcedId,name\ns1,x\n"),
        ("orgs.csv:1 [type]: missing-column: expected a column type",),
    ),
    "Latin-1": (spoilt("orgs.csv", "sourcedId,name,type\ns1,Å,school\n".encode("latin-1")), ("orgs.csv:2: not-utf8",)),
    "a zip bomb": (zeros, ("users.csv: zip-bomb: expected at most 200 times",)),
    "a path": (spoilt("../../orgs.csv", b"a,b\n"), ("a.zip: path-in-zip: expected files at the top",)),
    "no zip": (no_zip, ("a.zip: not-a-zip",)),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_gets_a_clear_error_and_changes_nothing(
    app: Flask, package: Path, tmp_path: Path, kind: str
) -> None:
    spoil, expected = BAD[kind]
    run(app, "roster", "import", package)
    before = rosters.dump(without=set())
    for words in ([], ["--dry-run"]):
        refused = run(app, "roster", "import", spoil(tmp_path / "a.zip"), *words)
        assert refused.exit_code == 5
        assert refused.stdout == ""
        assert "Traceback" not in refused.stderr
        for text in expected:
            assert text in refused.stderr
    assert rosters.dump(without=set()) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".zip") == ["a.zip", "roster.zip"]


def test_of_very_many_problems_the_first_are_shown_and_all_are_counted(app: Flask, tmp_path: Path) -> None:
    files = rosters.one_roster(classes=60)
    for row in files["users"]:
        row["role"] = "wizard"
    refused = run(app, "roster", "import", rosters.zipped(tmp_path / "a.zip", files))
    assert refused.stderr.splitlines()[-1] == "300 problem(s), the first 200 shown; nothing was changed"


def test_a_file_that_is_not_there_is_wrong_use(app: Flask, tmp_path: Path) -> None:
    assert run(app, "roster", "import", tmp_path / "none.zip").exit_code == 2
