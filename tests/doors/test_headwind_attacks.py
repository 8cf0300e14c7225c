"""Android tablets' door against pupils who have their tablet's word or a ticket's code, and strangers who have none."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import clock
from fleet.android.displacing import PROVES_FOR
from fleet.android.models import AgentClient
from fleet.db import db, take_turn
from fleet.devices.enrolment import IN_USE_FOR
from fleet.devices.models import DeviceLife
from fleet.orders import OrderKind, Wish
from tests import factories as make
from tests.doors.test_headwind_door import come, device_of, order
from tests.extent import on
from tests.gate import Door, door, ticket
from tests.headwind_gate import Raw

pytestmark = on("sqlite")  # mostly refused before a database is asked

STRANGE = ["%00", "BRETT1%00", "A%0AB", "%E2%80%AE1TTERB", "%ED%A0%80"]


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path, FLEET_PUBLIC_URL="https://fleet.test") as made:
        yield made


@pytest.fixture
def code(gate: Door) -> str:
    return ticket(gate)


def client(gate: Door) -> dict[str, Any]:
    with gate.database():
        found = db.session.get_one(AgentClient, device_of().id)
        return {"number": found.number, "told": found.told or {}, "put_off": found.put_off or {}}


@pytest.mark.parametrize("number", STRANGE)
def test_a_tablet_that_calls_itself_something_unreadable_gets_what_is_its_own_and_nobody_else_waits(
    gate: Door, code: str, number: str
) -> None:
    tablet = come(gate, code)
    answer = gate.send("GET", f"/{tablet.project}/rest/public/sync/configuration/{number}", {}, None)
    assert (answer.status, json.loads(answer.body)["status"]) == (200, "OK")
    assert client(gate)["number"].isprintable()


@pytest.mark.parametrize("number", STRANGE)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_number_that_is_no_serial_takes_no_tablet_in(gate: Door, code: str, method: str, number: str) -> None:
    answer = gate.send(method, f"/hw-e{code.lower()}/rest/public/sync/configuration/{number}", {}, b"{}")
    assert answer.status in {400, 403, 404}
    with gate.database():
        assert db.session.query(AgentClient).count() == 0


def test_who_takes_a_tablets_place_by_its_serial_leaves_a_line_that_it_had_not_left(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    with gate.database():
        device_of().state.last_seen_at = clock.now() - IN_USE_FOR  # overnight
    Raw(gate).enrol(code)  # somebody who has photographed the code and read the serial
    assert tablet.ask().status == 404
    with gate.database():
        (line,) = make.audited(action="enrolment.taken-over")
        assert line.fields["serial"] == "BRETT1"


def listed(gate: Door) -> None:
    """Have a delivery list say that it has the tablet."""
    with gate.database():
        device_of().listed_at = clock.now()


@pytest.mark.parametrize("ask", ["poll", "fetch"])
def test_a_tablet_whose_place_was_taken_gets_it_back_as_it_still_knows_its_former_token(
    gate: Door, code: str, ask: str
) -> None:
    tablet = come(gate, code)
    listed(gate)
    with gate.database():
        device_of().state.last_seen_at = clock.now() - IN_USE_FOR
    thief = Raw(gate)
    thief.enrol(code)
    thief.tell(thief.configuration())
    assert thief.ask().status == 200
    assert (tablet.poll() if ask == "poll" else tablet.ask()).status == 200
    assert thief.ask().status == thief.poll().status == 404
    data = tablet.configuration()
    assert data["newServerUrl"].endswith(tablet.project)
    assert tablet.tell(data).status == 200
    with gate.database():
        assert len(list(make.audited(action="android.place-restored"))) == 1
        assert device_of().life is DeviceLife.ENROLLED
    assert thief.ask().status == 404  # nor does it get the place back that way


def test_a_tablet_that_was_wiped_has_left_whatever_its_former_token_says_afterwards(gate: Door, code: str) -> None:
    former = come(gate, code)
    listed(gate)
    order(gate, Wish(OrderKind.WIPE, reason="skal til en annen elev"))
    assert former.confirm("public", factoryReset=True).status == 200
    tablet = come(gate, code)
    assert former.ask().status == former.poll().status == 404
    assert tablet.ask().status == 200


def test_a_former_token_proves_nothing_after_a_fortnight(gate: Door, code: str) -> None:
    former = come(gate, code)
    listed(gate)
    with gate.database():
        device_of().state.last_seen_at = clock.now() - IN_USE_FOR
    Raw(gate).enrol(code)
    with gate.database():
        db.session.query(AgentClient).one().displaced_at = clock.now() - PROVES_FOR
    assert former.ask().status == former.poll().status == 404


def test_a_tablet_that_was_wiped_as_ordered_has_left(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    order(gate, Wish(OrderKind.WIPE, reason="skal til en annen elev"))
    assert tablet.confirm("public", factoryReset=True).status == 200
    Raw(gate).enrol(code)
    with gate.database():
        assert list(make.audited(action="enrolment.taken-over")) == []


def test_a_stranger_has_nobody_wait_and_nothing_written(gate: Door, code: str) -> None:
    """What a token that nobody has says is told apart by reading: here somebody else is writing all the while."""
    ours, stranger = come(gate, code), Raw(gate, project=f"hw-t{'a' * 48}")
    with gate.database():
        take_turn("assignments")
        answers = [stranger.tell(), stranger.log("Update flow completed"), stranger.confirm("public"),
                   stranger.confirm("reboot"), stranger.poll(), stranger.ask()]  # fmt: skip
    assert [one.status for one in answers] == [404] * 6
    assert ours.tell().status == 200


def test_what_a_stranger_tells_is_not_counted_against_anybody(gate: Door, code: str) -> None:
    ours = come(gate, code)
    for number in range(400):
        assert Raw(gate, project=f"hw-t{number:048x}").tell().status == 404
    assert ours.tell().status == 200


def test_a_tablet_that_names_ever_more_apps_it_could_not_have_fills_neither_disk_nor_time(
    gate: Door, code: str
) -> None:
    tablet = come(gate, code)
    for part in range(4):
        words = [f"Failed to download app no.example.x{part}_{number}: x" for number in range(500)]
        assert tablet.log(*words, f"Failed to download app a.{'b' * 1_000}: x").status == 200
    kept = client(gate)
    assert not kept["put_off"]
    assert not kept["told"]["failures"]  # nobody gave it those


def test_a_tablet_that_asks_very_often_at_once_is_worked_for_once(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    path = f"/{tablet.project}/rest/public/sync/configuration/BRETT1"

    async def together() -> list[int]:
        return [one.status for one in await asyncio.gather(*(gate.call("GET", path) for _ in range(300)))]

    assert gate.wait(together()) == [200] * 300
