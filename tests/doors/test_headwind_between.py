"""What happens to Android tablets between two answers: what is revoked, found, approved or moved while they wait."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import clock
from fleet.db import db
from fleet.devices import life
from fleet.devices.models import DeviceLife, Ticket
from fleet.orders import OrderKind, OrderState, Wish
from tests import factories as make
from tests.doors.test_headwind_door import CLI, COMPLETED, FETCHED, assign, come, device_of, order, order_state, state
from tests.gate import Door, door, ticket
from tests.headwind_gate import Raw


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path, FLEET_PUBLIC_URL="https://fleet.test") as made:
        yield made


@pytest.fixture
def code(gate: Door) -> str:
    return ticket(gate)


def listed(gate: Door) -> None:
    with gate.database():
        make.device(
            db.session.query(Ticket).one().school, serial="BRETT1", life=DeviceLife.EXPECTED, listed_at=clock.now()
        )


def held(tablet: Raw) -> tuple[threading.Thread, list[bool]]:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(tablet.has_news()), daemon=True)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    return thread, found


def test_one_whose_key_was_revoked_does_not_come_back_by_itself(gate: Door, code: str) -> None:
    listed(gate)
    tablet = come(gate, code)
    tablet.configuration()
    with gate.database():
        life.revoke_key(device_of(), by=CLI, now=clock.now())
    assert tablet.configuration()["lock"] is True
    assert state(gate)["life"] is DeviceLife.EXPECTED


@pytest.mark.parametrize("step", ["lost", "retire"])
def test_one_that_is_found_or_in_use_again_is_told_by_its_next_poll(gate: Door, code: str, step: str) -> None:
    listed(gate)
    tablet = come(gate, code)
    with gate.database():
        life.step(device_of(), step, by=CLI, now=clock.now())
    tablet.configuration()
    with gate.database():
        life.step(device_of(), {"lost": "found", "retire": "reinstate"}[step], by=CLI, now=clock.now())
    assert tablet.has_news()


def test_a_message_is_not_done_before_the_update_that_shows_it_is(gate: Door, code: str) -> None:
    assign(gate)
    tablet = come(gate, code)
    tablet.configuration()
    tablet.log(FETCHED, COMPLETED)
    uid = order(gate, Wish(OrderKind.LOCK_MESSAGE, text="Øynene hit"))
    tablet.configuration()
    tablet.log(FETCHED)
    assert order_state(gate, uid) is OrderState.SENT
    tablet.log(COMPLETED)
    assert order_state(gate, uid) is OrderState.DONE


def test_one_that_is_approved_is_told_even_where_no_profile_is_for_it(gate: Door, code: str) -> None:
    with gate.database():
        db.session.query(Ticket).one().asks = True
    tablet = come(gate, code)
    assert state(gate)["life"] is DeviceLife.PENDING
    tablet.configuration()
    with gate.database():
        life.step(device_of(), "approve", by=CLI, now=clock.now())
    assert tablet.has_news()
