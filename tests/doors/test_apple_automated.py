"""iPads that Apple has sent here: taken in without a ticket where a delivery list has them, and nobody else."""

import asyncio
import base64
import json
import plistlib
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from agent_protocol.transport import Response
from fleet import audit, clock
from fleet.access import Principal
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.channels import desk
from fleet.config import ConfigError
from fleet.crypto import vault_key
from fleet.db import db
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.mdm import automated
from fleet.mdm.models import Identity, Invitation
from fleet.mdm.push_keeper import PushKeeper
from tests import apns, apple_messages, ipads
from tests import factories as make
from tests.apple_devices import Maker, certified, machine_info
from tests.apple_messages import IPAD, SIMULATOR, Shape
from tests.gate import Door, door
from tests.ipads import Ipad, UpdateRequiredError

CLI = Principal.command_line()
MAKER, STRANGER = Maker(), Maker("Stranger")


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    secrets_dir, root = tmp_path / "secrets", tmp_path / "root.pem"
    keeper = PushKeeper(secrets_dir, vault_key(secrets_dir / "vault.key", may_create=True))
    keeper.keep(apns.Authority().push_certificate())
    root.write_bytes(MAKER.pem)
    with door(fresh_url, tmp_path, FLEET_PUBLIC_URL="https://fleet.test", FLEET_APPLE_DEVICE_ROOT=str(root)) as made:
        with made.database():
            school = make.school("Prøveskolen")
            listed: dict[str, Any] = {"life": DeviceLife.EXPECTED, "listed_at": clock.now()}
            klass = make.school_class(school)
            make.device(school, serial="PAD1", class_id=klass.id, **listed)
            make.device(school, serial="LOST", listed_at=clock.now(), life=DeviceLife.LOST)
            make.device(school, serial="RETIRED", listed_at=clock.now(), life=DeviceLife.RETIRED)
            make.device(school, serial="BYTICKET")
            make.device(school, serial="NOWHERE", **listed).school_id = None
        yield made


@pytest.fixture
def address(gate: Door, tmp_path: Path) -> str:
    folder = tmp_path / "secrets"
    return f"/apple/automated/{automated.secret(folder, vault_key(folder / 'vault.key', may_create=False))}"


def post(gate: Door, address: str, body: bytes) -> Response:
    return gate.send("POST", address, {"content-type": "application/pkcs7-signature"}, body)


def lines(gate: Door, action: str) -> list[dict[str, Any]]:
    with gate.database():
        query = select(audit.AuditEntry).where(audit.AuditEntry.action == action).order_by(audit.AuditEntry.id)
        return [{"subject": one.subject, **one.fields} for one in db.session.scalars(query)]


@pytest.mark.parametrize("shape", [IPAD, SIMULATOR, Shape("sha256", has_attributes=True)])
def test_a_listed_ipad_comes_in_without_a_ticket_and_stands_where_it_was_listed(
    gate: Door, address: str, shape: Shape
) -> None:
    tablet = Ipad(gate.send, "PAD1", shape=shape)
    tablet.enrol_automatically(address, MAKER)
    tablet.wake()
    with gate.database():
        device = db.session.query(Device).filter_by(serial="PAD1").one()
        assert device.school_class is not None
        assert (device.life, device.school_class.title) == (DeviceLife.ENROLLED, "8B")
        assert db.session.query(Enrolment).filter_by(device_id=device.id).one().ticket_id is None
    taken = lines(gate, "enrolment.taken-in")
    assert [(one["serial"], one["reason"], "ticket_id" in one) for one in taken] == [("PAD1", "delivery-list", False)]


def test_it_is_configured_before_anybody_holds_it(gate: Door, address: str) -> None:
    tablet = Ipad(gate.send, "PAD1", awaits=True)
    tablet.enrol_automatically(address, MAKER)
    for _round in range(5):
        tablet.wake()
    assert "DeviceConfigured" in tablet.done


@pytest.mark.parametrize(
    ("serial", "code"),
    [
        ("UNKNOWN", "serial-not-listed"),
        ("BYTICKET", "serial-not-listed"),
        ("NOWHERE", "serial-not-listed"),
        ("LOST", "device-lost"),
        ("RETIRED", "device-retired"),
        ("<?>", "serial-not-listed"),
    ],
)
def test_who_is_not_expected_is_turned_away_and_written_down(gate: Door, address: str, serial: str, code: str) -> None:
    answer = post(gate, address, MAKER.sign(machine_info(serial)))
    assert (answer.status, answer.headers["content-type"]) == (403, "text/plain; charset=utf-8")
    assert b"com.apple" not in answer.body
    (line,) = lines(gate, "enrolment.refused")
    assert (line["code"], line["channel"]) == (code, "apple")
    assert line["subject"] == ("serial:?" if serial == "<?>" else f"serial:{serial}")
    with gate.database():
        assert db.session.scalar(select(func.count()).select_from(Invitation)) == 0


def test_an_ipad_in_use_is_not_taken_over(gate: Door, address: str) -> None:
    Ipad(gate.send, "PAD1").enrol_automatically(address, MAKER)
    with gate.database():
        db.session.query(Device).filter_by(serial="PAD1").one().state.last_seen_at = clock.now()
    assert post(gate, address, MAKER.sign(machine_info("PAD1"))).status == 403
    with gate.database():
        db.session.query(Device).filter_by(serial="PAD1").one().state.last_seen_at = clock.now() - timedelta(hours=1)
    again = Ipad(gate.send, "PAD1")  # wiped, and set up again
    again.enrol_automatically(address, MAKER)
    assert [one["from_state"] for one in lines(gate, "enrolment.taken-in")] == ["expected", "enrolled"]


def test_the_older_form_in_a_header_does_as_well(gate: Door, address: str) -> None:
    told = base64.b64encode(MAKER.sign(machine_info("PAD1", os_version=None))).decode()
    answer = gate.send("GET", address, {"x-apple-aspen-deviceinfo": told}, None)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-apple-aspen-config")
    tablet = Ipad(gate.send, "PAD1")
    tablet.install(answer.body)
    assert tablet.is_managed


def test_a_profile_is_for_its_own_ipad_and_for_one_certificate(gate: Door, address: str) -> None:
    profile = post(gate, address, MAKER.sign(machine_info("PAD1"))).body
    with ipads.refused(403):
        Ipad(gate.send, "BYTICKET").install(profile)
    with pytest.raises(ipads.RefusedError):
        Ipad(gate.send, "PAD1").install(profile)
    with gate.database():
        assert [one.listed_serial for one in db.session.query(Identity)] == ["PAD1"]


def test_who_does_not_know_the_address_learns_nothing(gate: Door, address: str) -> None:
    for wrong in ("/apple/automated/", f"{address}x", address[:-1], "/apple/automated/%C3%A5", f"{address}/more"):
        assert post(gate, wrong, MAKER.sign(machine_info("PAD1"))).status == 404
    assert gate.send("PUT", address, {}, b"x").status == 404


def body_of(kind: str) -> bytes:
    info = machine_info("PAD1")
    by_tablet = certified(apple_messages.rsa_key(3), "Forged", MAKER.tablet)  # a tablet is no CA
    made: dict[str, bytes] = {
        "nothing": b"",
        "no message": b"\x30\x03\x02\x01",
        "not signed": info,
        "another maker": STRANGER.sign(info),
        "made by a tablet": MAKER.sign(info, signer=by_tablet),
        "signed by itself": apple_messages.signed_message(info, apple_messages.self_signed(apple_messages.rsa_key(3)), IPAD, attached=True),
        "detached": apple_messages.signed_message(info, MAKER.tablet, IPAD, attached=False),
        "no plist": MAKER.sign(b"hello"),
        "no serial": MAKER.sign(plistlib.dumps({"UDID": "1"})),
        "changed": MAKER.sign(info).replace(b"PAD1", b"PAD2"),
    }  # fmt: skip
    return made[kind]


@pytest.mark.parametrize(
    "kind",
    ["nothing", "no message", "not signed", "another maker", "made by a tablet", "signed by itself", "detached", "no plist", "no serial", "changed"],
)  # fmt: skip
def test_who_cannot_be_believed_gets_nothing(gate: Door, address: str, kind: str) -> None:
    assert post(gate, address, body_of(kind)).status == 400
    assert gate.send("GET", address, {"x-apple-aspen-deviceinfo": "%%%"}, None).status == 400
    assert lines(gate, "enrolment.refused") == []


def test_an_ipad_that_is_too_old_is_told_to_update_first(gate: Door, address: str) -> None:
    with gate.database():
        version = make.published("grunn", **{"os.minimum_version": "17.2", "os.minimum_ipados": "18"})
        assigning.assign(version, Place.municipality(), by=CLI, now=clock.now())
    tablet = Ipad(gate.send, "PAD1", os_version="17.6.1")
    with pytest.raises(UpdateRequiredError) as told:
        tablet.enrol_automatically(address, MAKER)
    assert told.value.version == "18.0"
    for language, word in (("nn-NO", "takast"), ("en-GB", "has to be"), ("nb", "tas i bruk"), ("sv", "tas i bruk")):
        answer = post(gate, address, MAKER.sign(machine_info("PAD1", language=language)))
        found = json.loads(answer.body)
        assert (answer.status, found["code"]) == (403, "com.apple.softwareupdate.required")
        assert word in found["message"]
    # Who cannot be told to update comes in as it is: the server judges it afterwards.
    assert post(gate, address, MAKER.sign(machine_info("PAD1", can_update=False))).status == 200
    assert post(gate, address, MAKER.sign(machine_info("PAD1", os_version=None))).status == 200
    tablet.os_version = "18.0.1"
    tablet.enrol_automatically(address, MAKER)
    assert lines(gate, "enrolment.refused") == []


def test_without_roots_any_signature_will_do_and_without_a_push_certificate_nobody_comes(
    fresh_url: str, tmp_path: Path
) -> None:
    with door(fresh_url, tmp_path, FLEET_PUBLIC_URL="https://fleet.test") as made:
        with made.database():
            make.device(make.school(), serial="PAD1", life=DeviceLife.EXPECTED, listed_at=clock.now())
        folder = tmp_path / "secrets"
        address = f"/apple/automated/{automated.secret(folder, vault_key(folder / 'vault.key', may_create=False))}"
        answer = post(made, address, STRANGER.sign(machine_info("PAD1")))
        assert (answer.status, answer.headers["retry-after"]) == (503, "600")
        keeper = PushKeeper(folder, vault_key(folder / "vault.key", may_create=False))
        keeper.keep(apns.Authority().push_certificate())
        Ipad(made.send, "PAD1").enrol_automatically(address, STRANGER)


def test_a_file_of_roots_that_is_none_stops_the_start(fresh_url: str, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text("nothing")
    with (
        pytest.raises(ConfigError, match="FLEET_APPLE_DEVICE_ROOT"),
        door(fresh_url, tmp_path, FLEET_APPLE_DEVICE_ROOT=str(tmp_path / "root.pem")),
    ):
        pass


def test_those_who_are_set_up_keep_no_enrolled_ipad_waiting(gate: Door, address: str) -> None:
    body = MAKER.sign(machine_info("PAD1"))

    async def ask(number: int) -> int:
        return (await gate.call("POST", address, chunks=[body], client=(f"192.0.2.{number}", 1))).status

    async def crowd() -> list[int]:
        return await asyncio.gather(*(ask(number) for number in range(30)))

    with gate.database():
        db.session.query(Device).filter_by(serial="PAD1").update({"model": "iPad"})  # who comes waits for this
        found = asyncio.run_coroutine_threadsafe(crowd(), gate.loop)
        time.sleep(0.3)
        begun = time.monotonic()
        assert gate.send("GET", f"/apple/files/{'0' * 64}", {}, None).status == 404
        assert time.monotonic() - begun < 2
    assert set(found.result(60)) == {200}


def test_who_is_not_signed_for_has_to_wait_and_who_is_not_listed_has_not(gate: Door, address: str) -> None:
    for _ in range(desk.WRONG_AT_ONCE + 3):
        assert post(gate, address, MAKER.sign(machine_info("UNKNOWN"))).status == 403
    foreign = STRANGER.sign(machine_info("PAD1"))
    found = [post(gate, address, foreign).status for _ in range(desk.WRONG_AT_ONCE + 3)]
    assert (found[0], found[-1]) == (400, 429)
