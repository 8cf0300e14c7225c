"""Others' device simulators work with this server unchanged: over real HTTP, with what they send and expect."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.doors.test_cli_apple import portal
from tests.extent import on
from tests.serving import Server, serving
from tests.small_school import publish, shown, write_delivery_list, write_roster
from tests.third_party import Simulator

pytestmark = [pytest.mark.serves, on("postgresql")]

SERIALS = ("THIRDPARTY1", "THIRDPARTY2", "THIRDPARTY3")


@pytest.fixture
def server(fresh_url: str, tmp_path: Path) -> Iterator[Server]:
    with serving(fresh_url, tmp_path / "data", FLEET_SIGN_PROFILES="off") as running:
        write_roster(tmp_path / "roster.zip")
        write_delivery_list(tmp_path / "levering.csv", SERIALS)
        running.fleet("roster", "import", str(tmp_path / "roster.zip"))
        running.fleet("devices", "import", str(tmp_path / "levering.csv"))
        request = running.fleet("apple", "push-request", "--email", "it@kommune.example")
        (tmp_path / "push.pem").write_bytes(portal(request.encode()))
        running.fleet("apple", "push-upload", str(tmp_path / "push.pem"))
        yield running


def code(server: Server) -> str:
    told = json.loads(
        server.fleet("tickets", "create", "--school", "Prøveskolen", "--class", "8B", "--max", "3", "--json")
    )
    return str(told["code"])


def test_simulators_of_every_kind_enrol_and_are_handed_commands(server: Server, tmp_path: Path) -> None:
    publish(server, tmp_path, "trinn", web={"blocked": ["games.example"]})
    server.fleet("assignments", "create", "trinn", "--class", "8B")
    ticket = code(server)
    one, two, three = SERIALS
    kinds = (
        Simulator(server.address, one),  # no content type on commands
        Simulator(server.address, two, method="POST", command_type=""),
        Simulator(server.address, three, in_pieces=True),
    )
    for device in kinds:
        with closing(device):
            device.enrol(ticket)
            assert 6_000 < device.longest_line < 8_192
            device.connect()
            assert set(device.carried_out) == {
                "DeviceInformation", "SecurityInfo", "InstalledApplicationList", "DeclarativeManagement",
                "CertificateList", "Settings",
            }  # fmt: skip
            assert len(device.carried_out) == 6
            lock = ("lock-message", "--device", device.serial, "--text", "Lever meg", "--json")
            server.fleet("orders", "queue", *lock)
            device.connect()
            device.connect()
            assert device.carried_out[6:] == ["DeviceLock"]
        found = shown(server, device.serial)
        assert (found["life"], found["profile"]) == ("enrolled", "applied")
        assert found["facts"]["model"] == "iPad13,18"
        assert found["facts"]["os_version"] == "17.6.1"
    orders = json.loads(server.fleet("orders", "list", "--json"))
    assert [one["state"] for one in orders] == ["done"] * 3


def test_a_request_line_of_eight_thousand_characters_is_read(server: Server) -> None:
    target = "/apple/scep?operation=GetCACaps&message="
    target += "A" * (8_190 - len(f"GET {target} HTTP/1.1"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nMdm-Signature: {'B' * 8_000}\r\n\r\n".encode())
        assert line.recv(64).startswith(b"HTTP/1.1 200 ")
