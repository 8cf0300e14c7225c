"""iPads that do not do as expected: none is asked the same for ever, none is shut out, nothing on it is taken over."""

import plistlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet import clock, orders
from fleet.access import Principal
from fleet.apps import catalogue
from fleet.apps.catalogue import Told
from fleet.assignments import assigning
from fleet.db import db
from fleet.devices import life
from fleet.devices.models import Platform
from fleet.mdm.models import Client
from fleet.orders import Order, OrderKind, OrderState, Wish
from tests.gate import Door
from tests.ipad_gate import ipad_door, ticket_code
from tests.ipad_school import CLI, assign, come, device_of, due, state_of
from tests.ipads import Ipad

BOOK = "no.example.book"


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with ipad_door(fresh_url, tmp_path) as made:
        yield made


@pytest.fixture
def code(gate: Door) -> str:
    return ticket_code(gate)


def step(gate: Door, name: str) -> None:
    with gate.database():
        life.step(device_of(), name, by=CLI, now=clock.now())


def offer(gate: Door, app: str, store: str) -> None:
    with gate.database():
        catalogue.add(app, Platform.IPADOS, Told(app, store), by=CLI, now=clock.now())


# -- lost mode ---------------------------------------------------------------------------------------------------------


def test_an_ipad_that_cannot_be_closed_is_asked_again_only_after_a_wait(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    tablet.refuses.add("EnableLostMode")
    step(gate, "lost")
    assert tablet.wake() == ["EnableLostMode"]
    assert tablet.wake() == []
    due(gate, ask_at=clock.now())
    assert tablet.wake().count("EnableLostMode") == 1


def test_an_ipad_that_cannot_be_opened_is_asked_again_only_after_a_wait(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    step(gate, "lost")
    tablet.wake()
    tablet.refuses.add("DisableLostMode")
    step(gate, "found")
    assert tablet.wake() == ["DisableLostMode"]
    assert tablet.wake() == []


# -- apps --------------------------------------------------------------------------------------------------------------


def test_an_app_that_an_ipad_brought_with_it_is_left_as_it_is(gate: Door, code: str) -> None:
    offer(gate, BOOK, "123456789")
    assign(gate, **{"apps.required": [BOOK]})
    tablet = come(gate, code, apps={BOOK: "1.0"})
    tablet.wake()
    assert "InstallApplication" not in tablet.done
    assert state_of(gate)["facts"]["app_states"] == {}


def test_an_ipad_that_does_not_list_its_apps_gets_what_is_required(gate: Door, code: str) -> None:
    offer(gate, BOOK, "123456789")
    assign(gate, **{"apps.required": [BOOK]})
    tablet = come(gate, code, refuses={"InstalledApplicationList"})
    tablet.wake()
    assert tablet.done.count("InstallApplication") == 1


def test_an_ipad_without_any_app_gets_what_is_required(gate: Door, code: str) -> None:
    offer(gate, BOOK, "123456789")
    assign(gate, **{"apps.required": [BOOK]})
    tablet = come(gate, code, apps={})
    tablet.wake()
    assert tablet.done.count("InstallApplication") == 1


# -- what was kept -----------------------------------------------------------------------------------------------------

NONSENSE: list[dict[str, Any]] = [
    {"apps_of_ours": {BOOK: {"mark": "store:1", "state": "teleported", "at": "2026-01-01T00:00:00Z"}}},
    {"apps": "none", "tries": "many", "information": 7, "status": None, "security": [], "lacking": [], "refused": 1},
    {"lesson": 1, "settled": 2, "applied": 3, "has_identity": "yes"},
    {"something_new": {"of": "a later server"}},
]


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_what_another_server_kept_of_an_ipad_shuts_it_out_from_nothing(
    gate: Door, code: str, nonsense: dict[str, Any]
) -> None:
    assign(gate, **{"camera.allowed": False})
    tablet = come(gate, code)
    tablet.wake()
    with gate.database():
        client = db.session.query(Client).one()
        client.told = {**(client.told or {}), **nonsense}
        client.ask_at = clock.now()
    tablet.wake()
    tablet.report(is_full=True)
    tablet.wake()
    assert state_of(gate)["applied"] == state_of(gate)["desired"]


# -- what was not heard ------------------------------------------------------------------------------------------------


def test_an_ipad_that_came_back_after_its_last_word_was_lost_is_not_erased_once_more(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    with gate.database():
        wish = Wish(OrderKind.WIPE, reason="Skal til en ny elev", come_back=True)
        (order,) = orders.queue([device_of()], wish, by=CLI, now=clock.now())
        if order.state is OrderState.ASKED:
            orders.approve(order.id, by=Principal.job("test"), now=clock.now())
        number = order.id
    answer = tablet.put({"Status": "Idle"}, "application/x-apple-aspen-mdm")
    tablet.do(plistlib.loads(answer.body)["Command"])
    assert tablet.erased is not None
    tablet.come_back()
    assert "EraseDevice" not in tablet.wake()
    with gate.database():
        assert db.session.get_one(Order, number).state is OrderState.DONE


def test_an_ipad_that_renews_its_certificate_is_erased_all_the_same(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    due(gate, renew_at=clock.now())
    answer = tablet.put({"Status": "Idle"}, "application/x-apple-aspen-mdm")
    with gate.database():
        wish = Wish(OrderKind.WIPE, reason="Skal til en ny elev", come_back=True)
        (order,) = orders.queue([device_of()], wish, by=CLI, now=clock.now())
        if order.state is OrderState.ASKED:
            orders.approve(order.id, by=Principal.job("test"), now=clock.now())
    tablet.install(plistlib.loads(answer.body)["Command"]["Payload"])
    assert "EraseDevice" in tablet.wake()


def wake_and_choke(tablet: Ipad, on: str) -> list[str]:
    """Call, and say nothing any more once this command comes; returns which commands there were."""
    seen: list[str] = []
    message: dict[str, Any] = {"Status": "Idle"}
    while (answer := tablet.put(message, "application/x-apple-aspen-mdm")).body:
        told = plistlib.loads(answer.body)
        seen.append(told["Command"]["RequestType"])
        if seen[-1] == on:
            return seen
        message = {"CommandUUID": told["CommandUUID"], **tablet.carry_out(told["Command"])}
    return seen


def test_a_command_that_an_ipad_cannot_answer_keeps_nothing_else_from_it(gate: Door, code: str) -> None:
    offer(gate, BOOK, "123456789")
    assign(gate, **{"camera.allowed": False, "apps.required": [BOOK]})
    tablet = come(gate, code)
    seen = [kind for _ in range(13) for kind in wake_and_choke(tablet, "InstalledApplicationList")]
    assert seen.count("InstalledApplicationList") == 10
    assert seen.count("DeclarativeManagement") == 1
    assert state_of(gate)["applied"] == state_of(gate)["desired"]
    assert tablet.device_name == "IPAD1"
    due(gate, ask_at=clock.now(), reachable_at=clock.now() - timedelta(days=2))
    assert "InstallApplication" in tablet.wake()


def test_an_app_that_nobody_requires_any_more_is_not_told_as_missing(gate: Door, code: str) -> None:
    offer(gate, BOOK, "123456789")
    assign(gate, **{"apps.required": [BOOK]})
    tablet = come(gate, code, refuses={"InstallApplication"})
    tablet.wake()
    assert state_of(gate)["facts"]["app_states"][BOOK]["state"] == "failed"
    with gate.database():
        for one in assigning.listed(by=CLI, now=clock.now()):
            assigning.withdraw(one.id, by=CLI, now=clock.now())
    tablet.wake()
    due(gate, ask_at=clock.now())
    tablet.wake()
    assert state_of(gate)["facts"]["app_states"] == {}


def test_an_ipad_that_was_closed_unheard_and_is_found_is_opened_as_soon_as_it_says_so(gate: Door, code: str) -> None:
    tablet = come(gate, code)
    tablet.wake()
    step(gate, "lost")
    wake_and_choke(tablet, "EnableLostMode")
    tablet.lost = {"Message": "as it was told"}
    step(gate, "found")
    due(gate, ask_at=clock.now())
    tablet.wake()
    assert tablet.lost is None
