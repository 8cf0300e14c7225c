"""Rows of Android tablets are taken in one order by all who take several, so that nobody is given up for a deadlock."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from fleet import clock
from fleet.android import enrolling
from fleet.android.enrolling import Arrival
from fleet.android.models import AgentClient
from fleet.channels.headwind.door import HeadwindChannel
from fleet.channels.headwind.work import Work
from fleet.db import db, transaction
from fleet.devices import life
from tests.doors.test_headwind_door import CLI, assign, device_of
from tests.gate import Door, door, ticket
from tests.headwind_gate import Raw


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path, FLEET_PUBLIC_URL="https://fleet.test") as made:
        yield made


@pytest.fixture
def code(gate: Door) -> str:
    return ticket(gate)


def beside(gate: Door, work: Callable[[], object], first: str, second: str) -> None:
    """Do some work in a thread while another transaction takes one row before it and a second one after it."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 (the test tells it)
            failed.append(error)

    with gate.database():
        is_alone = db.session.get_bind().dialect.name == "sqlite"
    if is_alone:
        run()  # whoever writes is alone there
        assert failed == []
        return
    thread = threading.Thread(target=run)
    with gate.app.app_context(), transaction():
        db.session.execute(text(first))
        thread.start()
        thread.join(1)
        assert thread.is_alive()  # it waits for that row
        db.session.execute(text(second))
    thread.join(20)
    assert failed == []


def held(table: str, device_id: int) -> str:
    return f"SELECT 1 FROM {table} WHERE device_id = {device_id} FOR UPDATE"  # noqa: S608 (only ours go in)


def work_of(gate: Door) -> Work:
    (found,) = [one for one in gate.gate._channels if isinstance(one, HeadwindChannel)]
    work: Work = found._work
    return work


def test_polls_under_new_tokens_take_their_rows_with_those_of_which_more_is_noted(gate: Door, code: str) -> None:
    assign(gate)
    seen, new = Raw(gate, "BRETT1"), Raw(gate, "BRETT2")
    for one in (seen, new):
        one.enrol(code)
    seen.tell(seen.configuration())
    with gate.database():
        clients = {one.number: one for one in db.session.query(AgentClient)}
        clients["BRETT1"].served_version = None  # raised for nothing
        first, second = clients["BRETT1"].device_id, clients["BRETT2"].device_id
        digests = [clients["BRETT1"].token_digest, clients["BRETT2"].token_digest]
        assert first < second
    beside(gate, lambda: work_of(gate).looks(digests), held("android_client", first), held("android_client", second))
    with gate.database():
        assert all(one.seen_at is not None for one in db.session.query(AgentClient))


def test_a_tablet_that_comes_anew_takes_its_agents_row_before_its_state(gate: Door, code: str) -> None:
    tablet = Raw(gate)
    tablet.enrol(code)
    tablet.configuration()
    with gate.database():
        life.revoke_key(device_of(), by=CLI, now=clock.now())
        device_id = device_of().id

    def arrive() -> None:
        with gate.app.app_context(), transaction():
            enrolling.arrive(Arrival(code, "BRETT1", None, b"s" * 32), now=clock.now())

    beside(gate, arrive, held("android_client", device_id), held("device_state", device_id))
    with gate.database():
        assert device_of().state.key_thumbprint == db.session.query(AgentClient).one().key_thumbprint
