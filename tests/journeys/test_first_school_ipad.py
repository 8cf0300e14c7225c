"""The first school, with an iPad: the push certificate, a ticket, its built-in client, profiles that change and end.

The same story as with an agent of ours; only the tablet is another one. Server and command line are processes of their
own, the iPad is simulated over real HTTP.
"""

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.agents import eventually
from tests.apple_messages import IPAD, SIMULATOR, Shape
from tests.doors.test_cli_apple import portal
from tests.extent import on
from tests.ipads import Ipad, RefusedError, TurnedAwayError, refused
from tests.lesson_ipads import sender
from tests.serving import Server, serving
from tests.small_school import publish, shown, write_delivery_list, write_roster

pytestmark = [pytest.mark.serves, on("postgresql")]

SERIAL = "JOURNEYPAD1"
RESTRICTIONS, FILTER, LOCK = "com.apple.applicationaccess", "com.apple.webcontent-filter", "com.apple.app.lock"


@pytest.fixture
def server(fresh_url: str, tmp_path: Path) -> Iterator[Server]:
    with serving(fresh_url, tmp_path / "data") as running:
        yield running


@pytest.fixture
def ipad(server: Server, tmp_path: Path) -> Ipad:
    """Return an iPad in a school that is ready for it; it has not come in yet."""
    write_roster(tmp_path / "roster.zip")
    write_delivery_list(tmp_path / "levering.csv", [SERIAL])
    server.fleet("roster", "import", str(tmp_path / "roster.zip"))
    server.fleet("devices", "import", str(tmp_path / "levering.csv"))
    request = server.fleet("apple", "push-request", "--email", "it@kommune.example")
    (tmp_path / "push.pem").write_bytes(portal(request.encode()))
    server.fleet("apple", "push-upload", str(tmp_path / "push.pem"))

    return Ipad(sender(server), SERIAL)


def code(server: Server) -> str:
    told = json.loads(
        server.fleet("tickets", "create", "--school", "Prøveskolen", "--class", "8B", "--max", "1", "--json")
    )
    return str(told["code"])


@pytest.mark.parametrize("shape", [IPAD, SIMULATOR], ids=["as-ipads-sign", "with-attributes"])
def test_an_ipad_enrols_follows_its_class_and_ends_an_assignment_without_the_server(
    server: Server, ipad: Ipad, tmp_path: Path, shape: Shape
) -> None:
    ipad.shape = shape
    publish(server, tmp_path, "trinn", web={"blocked": ["games.example"]})
    server.fleet("assignments", "create", "trinn", "--class", "8B")
    ipad.enrol(code(server))
    ipad.wake()
    before = ipad.settings(FILTER)
    assert "games.example" in json.dumps(before)
    assert shown(server, SERIAL)["profile"] == "applied"
    assert shown(server, SERIAL)["facts"]["model"] == "iPad13,18"

    publish(server, tmp_path, "trinn", web={"blocked": ["games.example", "videos.example"]})
    server.fleet("assignments", "create", "trinn", "--class", "8B")
    ipad.wake()
    changed = ipad.settings(FILTER)
    assert "videos.example" in json.dumps(changed)

    publish(server, tmp_path, "time", kiosk={"app": "no.example.reader"})
    until = datetime.now(UTC) + timedelta(seconds=20)
    server.fleet("assignments", "create", "time", "--class", "8B", "--until", until.isoformat(timespec="seconds"))
    ipad.wake()
    assert ipad.settings(LOCK)["App"]["Identifier"] == "no.example.reader"
    assert shown(server, SERIAL)["profile"] == "applied"
    assert server.stop(signal.SIGTERM) == 0
    assert datetime.now(UTC) < until, "the server took too long for this test to show anything"
    eventually(lambda: not ipad.settings(LOCK), why="its end, with the server stopped")
    assert datetime.now(UTC) >= until - timedelta(seconds=1)
    assert ipad.settings(FILTER) == changed

    server.start()

    def has_caught_up() -> bool:
        ipad.wake()
        return bool(shown(server, SERIAL)["profile"] == "applied")

    eventually(has_caught_up, why="catching up")


def test_killing_the_server_again_and_again_enrols_once_and_loses_no_command(
    server: Server, ipad: Ipad, tmp_path: Path
) -> None:
    publish(server, tmp_path, "trinn", web={"blocked": ["games.example"]})
    server.fleet("assignments", "create", "trinn", "--class", "8B")
    ipad.enrol(code(server))
    order = json.loads(
        server.fleet("orders", "queue", "lock-message", "--device", SERIAL, "--text", "Lever meg", "--json")
    )
    for _round in range(4):
        server.stop(signal.SIGKILL)
        with pytest.raises((OSError, RefusedError)):
            ipad.wake()
        server.start()
        ipad.wake()
    assert ipad.done.count("DeviceLock") == 1
    found = json.loads(server.fleet("orders", "list", "--json"))
    assert [one["state"] for one in found] == ["done"]
    assert order
    assert shown(server, SERIAL)["profile"] == "applied"
    assert [one["ended_at"] for one in shown(server, SERIAL)["enrolments"]] == [None]
    assert json.loads(server.fleet("tickets", "list", "--json"))[0]["used"] == 1


def test_a_ticket_that_is_used_up_or_revoked_or_of_another_school_takes_no_ipad(
    server: Server, ipad: Ipad, tmp_path: Path
) -> None:
    used_up = code(server)
    ipad.enrol(used_up)
    another = Ipad(ipad.send, "JOURNEYPAD2")
    with pytest.raises(TurnedAwayError) as turned_away:
        another.enrol(used_up)
    assert turned_away.value.reason == "ticket-exhausted"

    revoked = code(server)
    number = next(one["id"] for one in json.loads(server.fleet("tickets", "list", "--json")) if not one["used"])
    server.fleet("tickets", "revoke", str(number))
    with pytest.raises(TurnedAwayError) as turned_away:
        another.enrol(revoked)
    assert turned_away.value.reason == "ticket-revoked"

    server.fleet("schools", "create", "Naboskolen")
    elsewhere = json.loads(server.fleet("tickets", "create", "--school", "Naboskolen", "--max", "1", "--json"))["code"]
    write_delivery_list(tmp_path / "mer.csv", ["JOURNEYPAD2"])
    server.fleet("devices", "import", str(tmp_path / "mer.csv"))
    with refused(403):
        another.enrol(elsewhere)
    assert not another.is_managed
    another.enrol(code(server))
    assert shown(server, "JOURNEYPAD2")["enrolments"][0]["ended_at"] is None


def test_a_busy_ipad_does_later_what_it_was_asked_and_each_order_once(
    server: Server, ipad: Ipad, tmp_path: Path
) -> None:
    publish(server, tmp_path, "trinn", web={"blocked": ["games.example"]})
    server.fleet("assignments", "create", "trinn", "--class", "8B")
    ipad.enrol(code(server))
    ipad.is_busy = True
    server.fleet("orders", "queue", "restart", "--device", SERIAL)
    ipad.wake()
    assert ipad.calls_by_itself  # its last word was "not now"
    assert "RestartDevice" not in ipad.done
    assert "games.example" in json.dumps(ipad.settings(FILTER))  # declarations disturb nobody
    ipad.is_busy = False
    ipad.wake()
    ipad.wake()
    assert ipad.done.count("RestartDevice") == 1
    assert [one["state"] for one in json.loads(server.fleet("orders", "list", "--json"))] == ["done"]
