"""The first school, with an Android tablet: a ticket, the open agent, profiles that change and end, orders.

The same story as with an agent of ours; only the tablet is another one. Server and command line are processes of their
own, the tablet is simulated over real HTTP. What it promises less: without a network nothing ends on it
(``NO_CLOCK_OF_ITS_OWN`` in tests/journeys/test_lessons_android.py).
"""

import json
import signal
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_protocol.transport import Response
from tests import headwind_reader
from tests.android_school import come_by, extras
from tests.conftest import MakeUrl
from tests.extent import on
from tests.headwind_agent import AFTER_NETWORK_ERROR_S, HeadwindAgent, NotTakenInError
from tests.lesson_ipads import sender
from tests.serving import Server, serving
from tests.small_school import publish, shown, write_delivery_list, write_roster

pytestmark = [pytest.mark.serves, on("sqlite")]

FOLLOWS, SURVIVES, COMES, WAITS, LOSES = (f"JOURNEYDROID{number}" for number in range(1, 6))


@pytest.fixture(scope="module")
def school(make_database: MakeUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server with a small school; each test has a tablet of its own there."""
    folder = tmp_path_factory.mktemp("school")
    write_roster(folder / "roster.zip")
    write_delivery_list(folder / "levering.csv", [FOLLOWS, SURVIVES, COMES, WAITS, LOSES])
    with serving(make_database(folder), folder / "data") as running:
        running.fleet("roster", "import", str(folder / "roster.zip"))
        running.fleet("devices", "import", str(folder / "levering.csv"))
        yield running


@pytest.fixture
def server(school: Server) -> Server:
    """Return the school's server, which runs, whatever has become of it in another test."""
    if school.process is None or school.process.poll() is not None:
        school.start()
    return school


def ticket(server: Server) -> dict[str, Any]:
    """Make a ticket for one tablet of the class."""
    words = ("tickets", "create", "--school", "Prøveskolen", "--class", "8B", "--max", "1", "--json")
    return dict(json.loads(server.fleet(*words)))


def code(server: Server) -> str:
    return str(ticket(server)["code"])


def used(server: Server, ticket_id: int) -> int:
    """Return how many tablets have come in with a ticket."""
    listed = json.loads(server.fleet("tickets", "list", "--json"))
    return next(int(one["used"]) for one in listed if one["id"] == ticket_id)


def give(server: Server, folder: Path, name: str, **areas: dict[str, Any]) -> None:
    publish(server, folder, name, **areas)
    server.fleet("assignments", "create", name, "--class", "8B")


def blocked(agent: HeadwindAgent) -> str:
    return json.dumps(agent.web_policy.get("URLBlocklist"))


def test_a_tablet_enrols_follows_its_class_and_ends_an_assignment_once_it_can_ask(
    server: Server, tmp_path: Path
) -> None:
    give(server, tmp_path, "trinn", web={"blocked": ["games.example"]}, camera={"allowed": False})
    agent = come_by(sender(server), code(server), FOLLOWS)
    assert "games.example" in blocked(agent)
    assert agent.project.startswith("hw-t")
    restrictions = set(agent.restrictions)
    assert restrictions
    assert shown(server, FOLLOWS)["profile"] == "applied"
    assert shown(server, FOLLOWS)["facts"]["model"] == "SM-X210"

    agent.in_front = False  # from here on only its log tells
    give(server, tmp_path, "trinn", web={"blocked": ["games.example", "videos.example"]}, camera={"allowed": False})
    agent.poll()
    assert "videos.example" in blocked(agent)
    assert shown(server, FOLLOWS)["profile"] == "applied"

    started_at = time.monotonic()
    publish(server, tmp_path, "time", web={"allowed": ["nb.no"]})
    a_command_s = time.monotonic() - started_at  # on a busy machine several times as long
    until = datetime.now(UTC) + timedelta(seconds=8 + 4 * a_command_s)
    server.fleet("assignments", "create", "time", "--class", "8B", "--until", until.isoformat(timespec="seconds"))
    agent.poll()
    assert blocked(agent).startswith('["*"')
    assert server.stop(signal.SIGTERM) == 0
    assert datetime.now(UTC) < until, "the server took too long for this test to show anything"
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))
    assert agent.poll() == AFTER_NETWORK_ERROR_S
    agent.start_again()
    assert blocked(agent).startswith('["*"')
    assert agent.restrictions == restrictions

    server.start()
    agent.poll()
    assert "videos.example" in blocked(agent)
    assert '"*"' not in blocked(agent)
    assert agent.restrictions == restrictions
    assert shown(server, FOLLOWS)["profile"] == "applied"


def test_killing_the_server_again_and_again_enrols_once_and_carries_each_order_out_once(
    server: Server, tmp_path: Path
) -> None:
    give(server, tmp_path, "trinn", web={"blocked": ["games.example"]})
    told = ticket(server)
    agent = come_by(sender(server), told["code"], SURVIVES)
    server.fleet("orders", "queue", "lock-message", "--device", SURVIVES, "--text", "Lever meg", "--json")
    server.fleet("orders", "queue", "restart", "--device", SURVIVES, "--json")
    for _round in range(3):
        server.stop(signal.SIGKILL)
        assert agent.poll() == AFTER_NETWORK_ERROR_S
        agent.update()
        server.start()
        agent.update()
    assert agent.reboots == 1
    assert agent.notice == "Lever meg"
    assert {one["state"] for one in json.loads(server.fleet("orders", "list", "--json"))} == {"done"}
    assert shown(server, SURVIVES)["profile"] == "applied"
    assert [one["ended_at"] for one in shown(server, SURVIVES)["enrolments"]] == [None]
    assert used(server, told["id"]) == 1


def test_a_ticket_that_is_used_up_or_revoked_or_of_another_school_takes_no_tablet(server: Server) -> None:
    send = sender(server)

    def turned_away(told: str) -> str:
        said: list[bytes] = []

        def listening(*request: Any) -> Response:
            answer: Response = send(*request)
            said.append(answer.body)
            return answer

        another = HeadwindAgent(listening, WAITS, retries=0)
        with pytest.raises(NotTakenInError) as refused:
            another.enrol(extras(told))
        assert refused.value.status == 403
        assert another.config is None
        return headwind_reader.read_refusal(said[0])

    used_up, revoked = code(server), ticket(server)
    come_by(send, used_up, COMES)
    assert turned_away(used_up) == "error.ticket-exhausted"
    server.fleet("tickets", "revoke", str(revoked["id"]))
    assert turned_away(revoked["code"]) == "error.ticket-revoked"
    server.fleet("schools", "create", "Naboskolen")
    elsewhere = json.loads(server.fleet("tickets", "create", "--school", "Naboskolen", "--max", "1", "--json"))["code"]
    assert turned_away(elsewhere) == "error.ticket-foreign"
    come_by(send, code(server), WAITS)
    assert shown(server, WAITS)["enrolments"][0]["ended_at"] is None


def test_an_enrolment_whose_answer_is_lost_is_asked_for_twice_and_made_once(server: Server) -> None:
    real = sender(server)
    lost: list[str] = []

    def lossy(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        answer: Response = real(method, target, headers, body)
        if method == "POST" and not lost:
            lost.append(target)
            raise OSError("reset")
        return answer

    told = ticket(server)
    agent = come_by(lossy, told["code"], LOSES)
    assert lost
    assert [method for method, target in agent.asked if "configuration" in target][:2] == ["POST", "POST"]
    assert agent.completed
    assert len(shown(server, LOSES)["enrolments"]) == 1
    assert used(server, told["id"]) == 1
