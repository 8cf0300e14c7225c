"""The first school, whole: a roster, a delivery list, a ticket, a real agent process, profiles that change and end.

Everything is a process of its own as in life: the server, the command line, the agent. Times are short, nothing is faked.
"""

import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.agents import AgentProcess, eventually
from tests.extent import on
from tests.serving import Server, serving
from tests.small_school import publish, shown, write_delivery_list, write_roster

pytestmark = [pytest.mark.serves, on("sqlite")]

SERIAL = "JOURNEY001"


@pytest.fixture
def server(fresh_url: str, tmp_path: Path) -> Iterator[Server]:
    with serving(fresh_url, tmp_path / "data", FLEET_POLL_S="1", FLEET_REPORT_S="2") as running:
        yield running


@pytest.fixture
def agent(server: Server, tmp_path: Path) -> Iterator[AgentProcess]:
    """Return an agent whose ticket was read off the sheet; not started yet."""
    write_roster(tmp_path / "roster.zip")
    write_delivery_list(tmp_path / "levering.csv", [SERIAL])
    server.fleet("roster", "import", str(tmp_path / "roster.zip"), "--dry-run")
    server.fleet("roster", "import", str(tmp_path / "roster.zip"))
    server.fleet("devices", "import", str(tmp_path / "levering.csv"))
    ticket = json.loads(
        server.fleet(
            "tickets", "create", "--school", "Prøveskolen", "--class", "8B", "--max", "1",
            "--pdf", str(tmp_path / "ticket.pdf"), "--json",
        )
    )  # fmt: skip
    assert (tmp_path / "ticket.pdf").read_bytes().startswith(b"%PDF")
    made = AgentProcess(tmp_path / "state", "--qr", ticket["qr"], "--serial", SERIAL)
    yield made
    if made.is_running:
        made.stop(signal.SIGKILL)


def test_a_tablet_enrols_follows_its_class_and_ends_an_assignment_without_the_server(
    server: Server, agent: AgentProcess, tmp_path: Path
) -> None:
    publish(server, tmp_path, "trinn", web={"blocked": ["games.example"]})
    server.fleet("assignments", "create", "trinn", "--class", "8B")
    agent.start()
    eventually(lambda: agent.applied("web").get("web.blocked") == ["games.example"], why="the class profile")
    eventually(lambda: shown(server, SERIAL)["profile"] == "applied", why="the report of it")

    publish(server, tmp_path, "trinn", web={"blocked": ["games.example", "videos.example"]})
    server.fleet("assignments", "create", "trinn", "--class", "8B")
    changed = ["games.example", "videos.example"]
    eventually(lambda: agent.applied("web").get("web.blocked") == changed, why="the changed class profile")

    publish(server, tmp_path, "time", kiosk={"app": "no.example.reader"})
    until = datetime.now(UTC) + timedelta(seconds=40)
    server.fleet("assignments", "create", "time", "--class", "8B", "--until", until.isoformat(timespec="seconds"))
    agent.stop()
    agent.start()  # polls at once; where this runs outside school hours, its next poll might come after the end
    eventually(lambda: "kiosk.app" in agent.applied("kiosk"), why="the assignment for a while")
    assert server.stop(signal.SIGTERM) == 0
    assert datetime.now(UTC) < until, "the server took too long for this test to show anything"
    eventually(lambda: agent.applied("kiosk") == {}, why="its end, with the server stopped")
    assert datetime.now(UTC) >= until - timedelta(seconds=1)
    assert agent.applied("web")["web.blocked"] == changed

    server.start()
    eventually(lambda: shown(server, SERIAL)["profile"] == "applied", why="catching up")
    assert agent.stop() == 0


def test_killing_agent_and_server_again_and_again_enrols_once_and_keeps_the_key(
    server: Server, agent: AgentProcess, tmp_path: Path
) -> None:
    publish(server, tmp_path, "trinn", web={"blocked": ["games.example"]})
    server.fleet("assignments", "create", "trinn", "--class", "8B")
    for round_ in range(6):
        agent.start()
        time.sleep(0.35 + 0.23 * round_)
        agent.stop(signal.SIGKILL)
        if round_ % 2:
            server.stop(signal.SIGKILL)
            server.start()
    agent.start()
    eventually(lambda: agent.applied("web").get("web.blocked") == ["games.example"], why="after all that")
    eventually(lambda: shown(server, SERIAL)["profile"] == "applied", why="the report of it")
    found = shown(server, SERIAL)
    assert [one["ended_at"] for one in found["enrolments"]] == [None]
    assert json.loads(server.fleet("tickets", "list", "--json"))[0]["used"] == 1
    assert agent.stop() == 0
