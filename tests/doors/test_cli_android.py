"""``fleet android``: what new tablets are told, the admin password, new addresses, and how all stand."""

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Principal
from fleet.android import admin_password, coming, enrolling, provisioning, tokens
from fleet.android.enrolling import Arrival
from fleet.android.models import AgentClient
from fleet.assignments.assigning import Place
from fleet.crypto import token_digest
from fleet.db import db, transaction
from fleet.devices import codes, queries, tickets
from fleet.devices.models import Device
from tests import factories as make
from tests.android import DIGEST, SIGNER, agent_package
from tests.doors.fleet_command import run

CLI = Principal.command_line()
URL = "http://fleet.test"
WHY = "innstillinger må rettes for hånd"
WIFI = {"ssid": "skole-elev", "security": "wpa2", "password": "meget hemmelig"}


@pytest.fixture
def code(app: Flask) -> str:
    """Return the code of a ticket for a class whose school has a network."""
    now = clock.now()
    with transaction():
        school = make.school("Kjenn skole")
        place = tickets.Place(school, make.school_class(school))
        made = tickets.create(place, expires_at=now + timedelta(days=7), max_enrolments=9, by=CLI, now=now)[1]
        make.assign(make.published("nett", **{"wifi.networks": [WIFI]}), Place.school(school))
    return codes.shown(made)


@pytest.fixture
def _package(app: Flask) -> None:
    with transaction():
        agent_package()


def secret(app: Flask) -> bytes:
    return admin_password.secret(app.extensions["fleet_config"].secrets_dir)


def come(
    app: Flask, code: str, serial: str, *, is_seen: bool = True, version: str = "6.36", owner: bool = True
) -> None:
    """Have a tablet come, speak under its own address, and tell how it is."""
    with transaction():
        device_id = enrolling.arrive(Arrival(code, serial, "arm64-v8a", secret(app)), now=clock.now())
        assert isinstance(device_id, int)
        if is_seen:
            client = db.session.get_one(AgentClient, device_id)
            tokens.use(client, client.token_digest, now=clock.now())
            facts = {"agent_version": version, "flags": {"device_owner": owner}}
            db.session.get_one(Device, device_id).state.facts = facts


# -- coming in ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_package")
def test_the_code_to_scan_is_written_for_its_owner_and_says_what_the_page_says(
    app: Flask, code: str, tmp_path: Path
) -> None:
    for name, begins in (("brett.svg", b"<?xml"), ("brett.png", b"\x89PNG")):
        file = tmp_path / name
        done = run(app, "android", "qr", "--ticket", code, "--output", file)
        assert done.exit_code == 0, done.output
        assert file.read_bytes().startswith(begins)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "has no TLS" in done.stderr
        again = run(app, "android", "qr", "--ticket", code, "--output", file)
        assert (again.exit_code, again.stdout) == (1, "")
        assert run(app, "android", "qr", "--ticket", code, "--output", file, "--force").exit_code == 0
    said = json.loads(run(app, "android", "qr", "--ticket", code, "--json").stdout)
    agent = coming.agent(URL)
    assert agent is not None
    assert said == provisioning.extras(agent, URL, code)


@pytest.mark.usefixtures("_package")
def test_a_network_of_the_place_is_put_in_and_no_other(app: Flask, code: str) -> None:
    said = json.loads(run(app, "android", "qr", "--ticket", code, "--wifi", "skole-elev", "--json").stdout)
    assert said["android.app.extra.PROVISIONING_WIFI_PASSWORD"] == "meget hemmelig"
    none = run(app, "android", "qr", "--ticket", code, "--wifi", "naboen", "--json")
    assert (none.exit_code, none.stdout) == (3, "")
    assert "have no network naboen; it has: skole-elev" in none.stderr


@pytest.mark.usefixtures("_package")
def test_what_cannot_be_scanned_is_not_written(app: Flask, code: str, tmp_path: Path) -> None:
    pdf = run(app, "android", "qr", "--ticket", code, "--output", tmp_path / "brett.pdf")
    assert (pdf.exit_code, "written as .svg or .png" in pdf.stderr) == (1, True)
    assert run(app, "android", "qr", "--ticket", code).exit_code == 2
    with transaction():
        tickets.revoke(tickets.listed(by=CLI)[0].id, by=CLI, now=clock.now())
    for given, words in (
        (code, "was revoked"),
        (codes.make(), "no ticket has this code"),
        ("ABCD", "no ticket has this"),
    ):
        for command in ("qr", "init-json"):
            refused = run(app, "android", command, "--ticket", given, *(["--json"] if command == "qr" else []))
            assert (refused.exit_code, refused.stdout) == (1, "")
            assert words in refused.stderr


def test_without_the_agents_package_one_is_told_where_to_get_it(app: Flask, code: str) -> None:
    refused = run(app, "android", "qr", "--ticket", code, "--json")
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "`scripts/fleet apps upload FILE`" in refused.stderr
    assert "package  none: download the agent from h-mdm.com" in run(app, "android", "status").output


def test_the_file_for_tablets_by_cable_is_written(app: Flask, code: str, tmp_path: Path) -> None:
    said = run(app, "android", "init-json", "--ticket", code).stdout
    assert json.loads(said) == provisioning.bundle(URL, code)
    file = tmp_path / "init.json"
    done = run(app, "android", "init-json", "--ticket", code, "--output", file)
    assert "/sdcard/Android/data/com.hmdm.launcher/files" in done.output
    assert file.read_text() == said


@pytest.mark.usefixtures("_package")
def test_a_sheet_gets_a_page_for_android(app: Flask, tmp_path: Path, code: str) -> None:
    sheet = tmp_path / "ark.pdf"
    made = run(app, "tickets", "create", "--school", "Kjenn skole", "--max", 1, "--pdf", sheet)
    assert made.exit_code == 0, made.output
    assert sheet.read_bytes().count(b"/Type /Page\n") == 2


# -- how they stand ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_package")
def test_status_counts_who_has_an_old_agent_or_one_that_owns_nothing(app: Flask, code: str) -> None:
    come(app, code, "NY1", version="6.36")
    come(app, code, "GAMMEL1", version="6.9", owner=False)
    come(app, code, "GAMMEL2", version="6.30", owner=True)
    come(app, code, "PAAVEI1", is_seen=False)
    told = json.loads(run(app, "android", "status", "--json").output)
    assert told["package"]["version"] == "6.36"
    assert (told["package"]["digest"], told["package"]["signer"]) == (DIGEST, SIGNER)
    assert told["tablets"] == {
        "agents": 4, "coming": 1, "moving": 0, "not_owner": 1, "behind": 4, "old_agent": 2,
        "versions": {"": 1, "6.9": 1, "6.30": 1, "6.36": 1},
    }  # fmt: skip
    said = run(app, "android", "status").output
    assert f"package  6.36, SHA-256 {DIGEST}" in said
    assert f"signer   {SIGNER}" in said
    assert f"address  {URL} has no TLS" in said
    for words in ("4 enrolled", "2 have an older agent", "1 have an agent that does not own", "1 are still coming in"):
        assert words in said
    with transaction():
        make.enrolments_end(queries.find_device("NY1", by=CLI))
        queries.find_device("NY1", by=CLI).state.key_thumbprint = None
    assert json.loads(run(app, "android", "status", "--json").output)["tablets"]["agents"] == 3


def test_status_of_a_server_without_android_tablets_is_quiet(app: Flask) -> None:
    assert run(app, "android", "status").output.splitlines()[-1] == "tablets  0 enrolled"


# -- the admin password ------------------------------------------------------------------------------------------------


def test_the_admin_password_is_shown_for_a_reason_and_noted(app: Flask, code: str) -> None:
    come(app, code, "NY1")
    own = admin_password.admin_password(secret(app), "NY1")
    assert run(app, "android", "password", "NY1", "--reason", WHY).output == f"{own}\n"
    told = json.loads(run(app, "android", "password", "NY1", "--reason", WHY, "--json").output)
    assert told == {"serial": "NY1", "password": own}
    assert [line.fields["reason"] for line in make.audited(action="android.password-shown")] == [WHY, WHY]


def test_without_a_reason_or_an_agent_no_password_is_shown(app: Flask, code: str) -> None:
    come(app, code, "NY1")
    with transaction():
        make.enrolled(make.school("Der"), serial="IPAD1", channel="apple")
    for words, status, told in (
        (("NY1", "--reason", "fordi"), 1, "give a reason of 10 to 500 printable characters: --reason"),
        (("NY1",), 2, "--reason"),
        (("IPAD1", "--reason", WHY), 3, "did not come with the Android agent"),
        (("NONE1", "--reason", WHY), 3, "no tablet has the serial"),
    ):
        refused = run(app, "android", "password", *words)
        assert (refused.exit_code, refused.stdout) == (status, "")
        assert told in refused.stderr
    assert not make.audited(action="android.password-shown")


# -- new addresses -----------------------------------------------------------------------------------------------------


def test_a_tablet_moves_and_the_old_address_is_good_until_it_did(app: Flask, code: str) -> None:
    come(app, code, "NY1")
    device = queries.find_device("NY1", by=CLI)
    client = db.session.get_one(AgentClient, device.id)
    before = client.token_digest
    done = run(app, "android", "rotate", "NY1")
    assert done.output == "1 tablet(s) move to a new address when they fetch next\n"
    db.session.refresh(client)
    assert client.former_digest == before
    assert client.token_digest == token_digest(tokens.token(secret(app), client.seed, 2))
    assert "1 are to move to a new address" in run(app, "android", "status").output


def test_all_move_but_those_that_are_still_coming_in(app: Flask, code: str) -> None:
    for serial in ("NY1", "NY2"):
        come(app, code, serial)
    come(app, code, "PAAVEI1", is_seen=False)
    told = json.loads(run(app, "android", "rotate", "--all", "--json").output)
    assert told == {"rotated": ["NY1", "NY2"], "left_out": ["PAAVEI1"]}
    assert "1 are still coming in" in run(app, "android", "rotate", "--all").output
    alone = run(app, "android", "rotate", "PAAVEI1")
    assert (alone.exit_code, alone.stdout) == (1, "")
    assert "still coming in" in alone.stderr


def test_who_moves_has_to_be_said_and_to_have_an_agent(app: Flask) -> None:
    with transaction():
        make.enrolled(make.school(), serial="IPAD1", channel="apple")
    assert run(app, "android", "rotate").exit_code == 2
    assert run(app, "android", "rotate", "IPAD1", "--all").exit_code == 2
    refused = run(app, "android", "rotate", "IPAD1")
    assert (refused.exit_code, "has no open agent" in refused.stderr) == (3, True)
