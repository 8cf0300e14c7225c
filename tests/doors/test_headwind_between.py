"""What happens to Android tablets between two answers: what is revoked, found, approved or moved while they wait."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from fleet import clock
from fleet.android.models import AgentClient
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.channels.headwind.door import HeadwindChannel
from fleet.db import db
from fleet.devices import life, states
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


def test_one_that_comes_back_has_nothing_in_force_until_it_says_so(gate: Door, code: str) -> None:
    assign(gate)
    listed(gate)
    tablet = come(gate, code)
    tablet.configuration()
    tablet.log(FETCHED, COMPLETED)
    with gate.database():
        life.step(device_of(), "lost", by=CLI, now=clock.now())
    tablet.configuration()
    tablet.log(FETCHED, COMPLETED)
    with gate.database():
        life.step(device_of(), "found", by=CLI, now=clock.now())
    tablet.configuration()
    tablet.log(FETCHED)
    assert state(gate)["applied"] is None
    tablet.log(COMPLETED)
    assert state(gate)["applied"] == state(gate)["desired"] is not None


def test_a_poll_that_waits_hears_of_what_begins_while_it_does(gate: Door, code: str) -> None:
    assign(gate)
    tablet = come(gate, code)
    tablet.configuration()
    thread, found = held(tablet)
    with gate.database():
        version, now = make.published("time", **{"web.blocked": ["spill.example"]}), clock.now()
        starts_at = now + timedelta(seconds=3)
        assigning.assign(version, Place.municipality(), starts_at=starts_at, by=CLI, now=now)
    thread.join(8)
    assert found == [True]
    assert timedelta(0) < clock.now() - starts_at < timedelta(seconds=4)


def test_one_that_is_approved_is_told_even_where_no_profile_is_for_it(gate: Door, code: str) -> None:
    with gate.database():
        db.session.query(Ticket).one().asks = True
    tablet = come(gate, code)
    assert state(gate)["life"] is DeviceLife.PENDING
    tablet.configuration()
    with gate.database():
        life.step(device_of(), "approve", by=CLI, now=clock.now())
    assert tablet.has_news()


def test_a_number_that_cannot_be_shown_is_no_fault_of_ours(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.number = "BRETT1\x00\x1b"
    assert tablet.ask().status == 200
    other = Raw(gate, "BRETT\x00")
    other.project = f"hw-e{code.lower().replace('-', '')}"
    assert other.ask("POST").status == 400


def test_a_passcode_that_could_not_be_changed_is_said_though_the_tablets_log_comes_later(gate: Door, code: str) -> None:
    assign(gate)
    tablet = come(gate, code)
    tablet.configuration()
    uid = order(gate, Wish(OrderKind.CLEAR_PASSCODE, reason="Glemt kode på tur"))
    tablet.configuration()
    assert tablet.confirm("password").status == 200
    tablet.log("Failed to reset password")
    assert order_state(gate, uid) is OrderState.FAILED


def test_apps_that_nobody_has_uploaded_and_a_tablet_names_are_not_kept(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.configuration()
    tablet.log(*(f"Failed to download app no.made.up{n}: x" for n in range(400)))
    with gate.database():
        client = db.session.query(AgentClient).one()
        assert len(client.put_off or {}) == 0


def test_a_version_that_was_raised_for_nothing_is_looked_at_once(gate: Door, code: str) -> None:
    assign(gate)
    tablet = come(gate, code)
    tablet.configuration()
    held(tablet)
    with gate.database():
        states.have_fetched([device_of().id])
    time.sleep(1)  # others look several times a second who waits with a version that is not theirs
    with gate.database():
        version = device_of().state.config_version
    (channel,) = [one for one in gate.gate._channels if isinstance(one, HeadwindChannel)]
    assert list(channel.waiting.held().values()) == [version]


def test_a_message_that_never_arrived_is_not_done_by_the_end_of_an_update_without_it(gate: Door, code: str) -> None:
    assign(gate)
    tablet = come(gate, code)
    data = tablet.configuration()
    tablet.log(FETCHED, COMPLETED)
    uid = order(gate, Wish(OrderKind.LOCK_MESSAGE, text="Øynene hit"))
    tablet.configuration()  # the answer is lost
    tablet.log("Failed to update config: network error", COMPLETED)
    tablet.tell(data)
    assert order_state(gate, uid) is OrderState.SENT
    assert tablet.configuration()["lock"] is True
    tablet.log(FETCHED, COMPLETED)
    assert order_state(gate, uid) is OrderState.DONE


def test_a_profile_that_is_not_there_opens_no_tablet(gate: Door, code: str) -> None:
    assign(gate, web__blocked=["spill.example"])
    tablet = come(gate, code)
    tablet.configuration()
    with gate.database():
        found = device_of()
        found.state.desired_digest = "0" * 64
        states.have_fetched([found.id])
    assert tablet.ask().status == 500


def test_a_restart_that_a_tablet_may_not_do_is_not_done(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.configuration()
    uid = order(gate, Wish(OrderKind.RESTART))
    tablet.configuration()
    assert tablet.confirm("reboot", mdmMode=False).status == 409
    assert order_state(gate, uid) is OrderState.FAILED
