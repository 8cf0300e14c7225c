"""``fleet tickets``: made with a sheet, listed, shown and revoked."""

import json
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from fleet import clock
from fleet.db import transaction
from fleet.devices import codes, tickets
from fleet.devices.models import DeviceLife
from tests import factories, rosters
from tests.doors.fleet_command import run


@pytest.fixture(autouse=True)
def school(app: Flask) -> None:
    with transaction():
        made = factories.school("Kjenn skole")
        factories.school_class(made, "8B")
        factories.school("Rasta skole")
        factories.device(made, life=DeviceLife.EXPECTED)


def test_a_ticket_is_made_with_its_code_its_qr_text_and_its_sheet(app: Flask, tmp_path: Path) -> None:
    sheet = tmp_path / "ark.pdf"
    made = run(app, "tickets", "create", "--school", "kjenn skole", "--class", "8b", "--max", 24, "--pdf", sheet)
    assert made.exit_code == 0
    first, code_line, qr_line, pdf_line = made.output.splitlines()
    assert re.fullmatch(r"ticket \d+ for 24 tablet\(s\)", first)
    code = code_line.removeprefix("code ")
    assert tickets.find(codes.normalise(code)) is not None
    assert qr_line == f"qr   http://fleet.test/enrol#{code}"
    assert pdf_line == f"sheet {sheet}"
    assert sheet.read_bytes().startswith(b"%PDF-")
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    assert code not in run(app, "tickets", "list", "--json").output
    assert code.replace("-", "") not in repr(rosters.dump(without=set()))


def test_an_older_sheet_in_the_same_place_stays_unless_forced_and_then_loses_other_readers(
    app: Flask, tmp_path: Path
) -> None:
    sheet = tmp_path / "ark.pdf"
    sheet.write_text("x" * 100_000)
    sheet.chmod(0o644)
    before = rosters.dump(without=set())
    refused = run(app, "tickets", "create", "--school", "Kjenn skole", "--pdf", sheet)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert (
        "ark.pdf is there already, and the code on it would be lost: name another file, or add --force"
        in refused.stderr
    )
    assert rosters.dump(without=set()) == before
    assert sheet.read_text() == "x" * 100_000
    run(app, "tickets", "create", "--school", "Kjenn skole", "--pdf", sheet, "--force")
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    assert sheet.read_bytes().rstrip().endswith(b"%%EOF")


def test_where_the_sheet_cannot_be_written_no_ticket_is_made(app: Flask, tmp_path: Path) -> None:
    before = rosters.dump(without=set())
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "none" / "ark.pdf", tmp_path / "file" / "ark.pdf"):
        refused = run(app, "tickets", "create", "--school", "Kjenn skole", "--pdf", path)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert str(path) in refused.stderr
    assert rosters.dump(without=set()) == before


def test_without_options_a_ticket_takes_the_expected_for_a_week(app: Flask) -> None:
    made = json.loads(run(app, "tickets", "create", "--school", "Kjenn skole", "--json").output)
    assert (made["max"], made["used"], made["state"], made["listed_only"]) == (1, 0, "open", False)
    left = datetime.fromisoformat(made["expires_at"]) - clock.now()
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


def test_an_expiry_is_local_time_of_the_schools(app: Flask) -> None:
    day = (clock.now() + timedelta(days=30)).date()
    words = [
        "tickets",
        "create",
        "--school",
        "Kjenn skole",
        "--cart",
        "Vogn 1",
        "--expires",
        f"{day:%d.%m.%Y} 12:00",
        "--listed-only",
        "--max",
        "3",
    ]
    made = json.loads(run(app, *words, "--json").output)
    expires = datetime.fromisoformat(made["expires_at"]).astimezone(UTC)
    assert expires.date() == day
    assert expires.hour in {10, 11}  # Oslo is ahead by one hour or two
    assert (made["cart"], made["listed_only"]) == ("Vogn 1", True)
    assert f"{day} 12:00" in run(app, "tickets", "list").output


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--school", "Kjen skole"], 3, "no school is called Kjen skole; nearest: Kjenn skole"),
        (["--school", "Kjenn skole", "--class", "9Z"], 3, "no class is called 9Z: `scripts/fleet classes list`"),
        (["--school", "Rasta skole", "--class", "8B"], 3, "no class is called 8B"),
        (["--school", "Rasta skole"], 1, "say how many"),
        (["--school", "Kjenn skole", "--max", "0"], 1, "1 to 5000"),
        (["--school", "Kjenn skole", "--expires", "2020-01-01"], 1, "expiry"),
        (["--school", "Kjenn skole", "--class", "8B", "--cart", "V"], 1, "not both"),
        (["--school", "Kjenn skole", "--days", "0"], 2, "--days"),
        ([], 2, "--school"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_told_in_one_line(app: Flask, words: list[str], code: int, told: str) -> None:
    before = rosters.dump(without=set())
    refused = run(app, "tickets", "create", *words)
    assert (refused.exit_code, refused.stdout) == (code, "")
    assert told in refused.stderr
    assert rosters.dump(without=set()) == before


def test_tickets_are_listed_shown_and_revoked(app: Flask) -> None:
    assert run(app, "tickets", "list").output.split() == [
        "id",
        "code",
        "school",
        "class",
        "cart",
        "used",
        "max",
        "expires_at",
        "state",
    ]
    made = json.loads(
        run(app, "tickets", "create", "--school", "Kjenn skole", "--class", "8B", "--max", "2", "--json").output
    )
    (row,) = json.loads(run(app, "tickets", "list", "--json").output)
    assert (row["id"], row["school"], row["class"], row["code"]) == (
        made["id"],
        "Kjenn skole",
        "8B",
        "…" + made["code"][-4:],
    )
    assert json.loads(run(app, "tickets", "show", made["id"], "--json").output) == row
    assert "8B" in run(app, "tickets", "show", made["id"]).output
    assert run(app, "tickets", "revoke", made["id"]).output == f"ticket {made['id']} is revoked\n"
    assert json.loads(run(app, "tickets", "show", made["id"], "--json").output)["state"] == "revoked"
    assert run(app, "tickets", "revoke", made["id"]).exit_code == 1
    assert run(app, "tickets", "revoke", 9999).exit_code == 3
    assert run(app, "tickets", "show", 9999).exit_code == 3
