"""An iPad that shall have an app which needs a licence gets both, without an account, and gives the licence back."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from fleet import clock
from fleet.apps import catalogue, licences
from fleet.apps.catalogue import Told
from fleet.assignments import assigning
from fleet.channels.apple import licence_errand
from fleet.channels.apple.licences import AppsAndBooks
from fleet.channels.apple.steward import Steward
from fleet.crypto import vault_key
from fleet.devices import life
from fleet.devices.models import Platform
from fleet.mdm import errands
from fleet.mdm.licence_token import LicenceTokenKeeper
from tests import apps_and_books
from tests.apps_and_books import Asset, Service
from tests.gate import Door
from tests.ipad_gate import ipad_door, ticket_code
from tests.ipad_school import CLI, assign, come, device_of, due, state_of
from tests.ipads import Ipad

pytestmark = pytest.mark.serves
BOOK, NUMBER = "no.example.book", 123456789
Rounds = Callable[[], None]


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with ipad_door(fresh_url, tmp_path) as made:
        yield made


@pytest.fixture
def service() -> Iterator[Service]:
    with apps_and_books.running() as made:
        made.assets, made.looks = {NUMBER: Asset(1)}, 0
        yield made


@pytest.fixture
def rounds(gate: Door, service: Service, tmp_path: Path) -> Rounds:
    """Return what has the errand done twice, if somebody was in a hurry or not."""
    secrets_dir = tmp_path / "secrets"
    keeper = LicenceTokenKeeper(secrets_dir, vault_key(secrets_dir / "vault.key", may_create=False))
    with gate.database():
        brought = apps_and_books.token_file(expires_at=clock.now() + timedelta(days=300))
        keeper.take(brought, other_organisation=False, by=CLI, now=clock.now())

    def run() -> None:
        one = licence_errand.errand(
            gate.app,
            keeper,
            now=clock.now,
            connect=lambda token: AppsAndBooks(token, base_url=service.base_url, now=clock.now),
        )
        for _ in range(2):
            with gate.database():
                errands.hurry(errands.LICENCES, now=clock.now())
            assert Steward(gate.app, [], now=clock.now).do(one)

    return run


def tablet_with(gate: Door, serial: str = "IPAD1") -> Ipad:
    made = come(gate, ticket_code(gate), serial)
    made.wake()
    return made


def offered(gate: Door) -> None:
    with gate.database():
        told = Told(name="Boka", store=str(NUMBER), is_licensed=True)
        catalogue.add(BOOK, Platform.IPADOS, told, by=CLI, now=clock.now())
    assign(gate, **{"apps.required": [BOOK]})


def held(gate: Door, serial: str = "IPAD1") -> set[int]:
    with gate.database():
        return licences.assigned(device_of(serial).id)


def test_an_app_that_needs_a_licence_comes_once_there_is_one(gate: Door, service: Service, rounds: Rounds) -> None:
    offered(gate)
    tablet = tablet_with(gate)
    assert "InstallApplication" not in tablet.done
    with gate.database():
        standing = errands.standing(errands.LICENCES)
    assert standing is not None
    assert standing.due_at <= clock.now(), "somebody is in a hurry"
    rounds()
    assert service.assets[NUMBER].serials == ["IPAD1"]
    tablet.wake()
    assert tablet.done.count("InstallApplication") == 1
    other = tablet_with(gate, "IPAD2")
    rounds()
    other.wake()
    assert "InstallApplication" not in other.done
    assert state_of(gate, "IPAD2")["facts"]["app_states"] == {BOOK: {"state": "no-licence"}}
    with gate.database():
        life.step(device_of(), "retire", by=CLI, now=clock.now())
    rounds()
    rounds()
    other.wake()
    assert other.done.count("InstallApplication") == 1


def test_a_licence_stays_for_as_long_as_the_app_is_there(gate: Door, service: Service, rounds: Rounds) -> None:
    offered(gate)
    tablet = tablet_with(gate)
    rounds()
    tablet.wake()
    due(gate, ask_at=clock.now(), inventory_at=clock.now() - timedelta(hours=21))
    tablet.wake()
    with gate.database():
        for one in assigning.listed(by=CLI, now=clock.now()):
            assigning.withdraw(one.id, by=CLI, now=clock.now())
    tablet.wake()
    rounds()
    assert (BOOK in tablet.apps, held(gate)) == (True, {NUMBER}), "it would not open without"
    tablet.apps.pop(BOOK)
    due(gate, ask_at=clock.now(), inventory_at=clock.now() - timedelta(hours=21))
    tablet.wake()
    due(gate, ask_at=clock.now())
    tablet.wake()
    rounds()
    assert service.assets[NUMBER].serials == []


def test_a_lost_ipad_in_reach_keeps_its_licences_and_one_that_was_erased_does_not(
    gate: Door, service: Service, rounds: Rounds
) -> None:
    offered(gate)
    tablet = tablet_with(gate)
    rounds()
    with gate.database():
        life.step(device_of(), "lost", by=CLI, now=clock.now())
    rounds()
    assert service.assets[NUMBER].serials == ["IPAD1"]
    with gate.database():
        life.removed(device_of(), now=clock.now())
    rounds()
    assert (service.assets[NUMBER].serials, tablet.serial) == ([], "IPAD1")
