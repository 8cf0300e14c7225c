"""Many tablets against the real server: nothing acknowledged is lost, nothing is stored or taken in twice."""

import http.client
import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent_protocol import clock
from agent_protocol.simulated import SimulatedDevice, SimulatedTablet
from agent_protocol.states import AgentState
from agent_protocol.transport import HttpTransport, UnreachableError
from tests.agents import Recorder
from tests.serving import Server, serving
from tests.small_school import write_delivery_list, write_roster

pytestmark = pytest.mark.serves

DICE = random.Random(7)  # noqa: S311 (when to kill)


def ask(server: Server, query: str) -> list[tuple[object, ...]]:
    engine = sa.create_engine(server.url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]
    finally:
        engine.dispose()


def ticket(server: Server, folder: Path, serials: list[str], places: int) -> str:
    """Fill the server with a school and these tablets; return a ticket's code."""
    write_roster(folder / "roster.zip")
    write_delivery_list(folder / "levering.csv", serials)
    server.fleet("roster", "import", str(folder / "roster.zip"))
    server.fleet("devices", "import", str(folder / "levering.csv"))
    told = server.fleet("tickets", "create", "--school", "Prøveskolen", "--class", "8B", "--max", str(places), "--json")
    return str(json.loads(told)["code"])


@contextmanager
def threads(*targets: threading.Thread) -> Iterator[None]:
    for one in targets:
        one.start()
    try:
        yield
    finally:
        for one in targets:
            one.join(60)


def test_what_was_acknowledged_survives_kill_9_of_the_server(fresh_url: str, tmp_path: Path) -> None:
    serials = [f"MANY{number:03}" for number in range(12)]
    with serving(fresh_url, tmp_path / "data", FLEET_POLL_S="1", FLEET_REPORT_S="1") as server:
        code = ticket(server, tmp_path, serials, len(serials))
        recorders = {serial: Recorder(server.address, timeout_s=5) for serial in serials}
        stopping = threading.Event()

        def live(serial: str) -> None:
            tablet = SimulatedTablet(server.address, SimulatedDevice(serial), code=code)
            while not stopping.wait(0.05):
                if tablet.session.timing.report_at is not None:
                    tablet.session.timing.at_once(clock.now())  # restless, so that each kill hits many of them
                try:
                    tablet.step(recorders[serial], clock.now())
                except UnreachableError:  # the server is down just now
                    continue
            recorders[serial].close()

        with threads(*(threading.Thread(target=live, args=(serial,)) for serial in serials)):
            for _ in range(2):  # the first while most are being taken in; see also test_faults
                time.sleep(DICE.uniform(0.8, 2.0))
                server.stop(signal.SIGKILL)
                server.start()
            deadline = time.monotonic() + 300
            while time.monotonic() < deadline and any(len(one.acknowledged) < 6 for one in recorders.values()):
                time.sleep(0.1)
            stopping.set()
        acknowledged = [one for recorder in recorders.values() for one in recorder.acknowledged]
        stored = Counter(row[0] for row in ask(server, "SELECT report_id FROM check_in"))
        assert len(acknowledged) > 5 * len(serials)
        assert set(acknowledged) <= set(stored)
        assert max(stored.values()) == 1
        enrolments = ask(server, "SELECT device_id, count(*) FROM enrolment GROUP BY device_id")
        assert [count for _, count in enrolments] == [1] * len(serials)
        assert ask(server, "SELECT used_count FROM ticket") == [(len(serials),)]


def replay(server: Server, sent: tuple[str, dict[str, str], bytes]) -> int:
    target, headers, body = sent
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    try:
        connection.request("POST", target, body=body, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_replayed_report_is_stored_once_whatever_worker_gets_it(fresh_url: str, tmp_path: Path) -> None:
    workers = "1" if fresh_url.startswith("sqlite") else "3"
    with serving(fresh_url, tmp_path / "data", jobs="off", FLEET_WORKERS=workers) as server:
        code = ticket(server, tmp_path, ["REPLAY01"], 1)
        recorder = Recorder(server.address, timeout_s=5)
        tablet = SimulatedTablet(server.address, SimulatedDevice("REPLAY01"), code=code)
        while not recorder.acknowledged:
            tablet.step(recorder, clock.now())
        recorder.close()
        assert recorder.sent is not None
        before = ask(server, "SELECT count(*) FROM check_in")
        with ThreadPoolExecutor(20) as pool:
            statuses = Counter(pool.map(lambda _: replay(server, recorder.sent or ("", {}, b"")), range(100)))
        assert statuses == {409: 100}
        assert ask(server, "SELECT count(*) FROM check_in") == before


def test_fifty_tablets_with_one_photographed_ticket_take_its_places_and_no_more(fresh_url: str, tmp_path: Path) -> None:
    places, serials = 7, [f"PHOTO{number:03}" for number in range(50)]
    workers = "1" if fresh_url.startswith("sqlite") else "3"
    with serving(fresh_url, tmp_path / "data", jobs="off", FLEET_WORKERS=workers) as server:
        code = ticket(server, tmp_path, serials, places)
        begin = threading.Barrier(25)

        def enrol(serial: str) -> str:
            tablet = SimulatedTablet(server.address, SimulatedDevice(serial), code=code)
            begin.wait(30)
            transport = HttpTransport(server.address)
            try:
                while tablet.session.memory.state is AgentState.NEW and tablet.refused is None:
                    tablet.step(transport, clock.now())
            finally:
                transport.close()
            return tablet.refused or "enrolled"

        with ThreadPoolExecutor(25) as pool:
            outcomes = Counter(pool.map(enrol, serials))
        assert outcomes == {"enrolled": places, "ticket-exhausted": len(serials) - places}
        assert ask(server, "SELECT used_count FROM ticket") == [(places,)]
        assert ask(server, "SELECT count(*) FROM enrolment") == [(places,)]
        refusals = "SELECT count(*) FROM audit_entry WHERE action = 'enrolment.refused'"
        assert ask(server, refusals) == [(len(serials) - places,)]
