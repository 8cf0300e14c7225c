"""Android tablets at the door, by the simulated agent: what goes wrong on them, and that none is left open by it."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from agent_protocol.transport import Response
from fleet import clock, orders
from fleet.access import Principal
from fleet.android import admin_password, tokens
from fleet.android.addresses import file_name
from fleet.apps import packages
from fleet.apps.files import PackageFiles
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.db import db
from fleet.devices import life
from fleet.devices.models import DeviceLife, Ticket
from fleet.orders import OrderKind, OrderState, Wish
from tests import apks
from tests import factories as make
from tests.agents import eventually
from tests.android_school import GATE, come, come_by
from tests.apks import BOARD
from tests.gate import Door, door, ticket
from tests.headwind_agent import AFTER_4XX_S, HeadwindAgent
from tests.headwind_system import LAUNCHER, Package
from tests.ipad_school import device_of

CLI = Principal.command_line()
SERIAL, REASON = "DROID1", "Mistet på tur i skogen"
CAMERA = "com.sec.android.app.camera"
Publish = Callable[..., str]


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path, **GATE) as made:
        yield made


@pytest.fixture
def code(gate: Door) -> str:
    return ticket(gate)


@pytest.fixture
def agent(gate: Door, code: str) -> HeadwindAgent:
    """Return a tablet that has come in; its pupil has another app in front."""
    assign(gate, "grunn")
    made = come(gate, code, SERIAL)
    made.in_front = False
    return made


@pytest.fixture
def upload(gate: Door, tmp_path: Path) -> Publish:
    """Return what uploads a version of the board app, or of another; that returns what its file is called in its address."""

    def publish(number: int, *, version: str | None = None, package: str = BOARD) -> str:
        files = PackageFiles(gate.app.extensions["fleet_config"].packages_dir)
        path = apks.apk(tmp_path / "Tavla.apk", code=number, version=version or f"1.{number}", package=package)
        received = packages.receive(path, files, by=CLI)
        with gate.database():
            packages.take(received, by=CLI, now=clock.now())
        return file_name(package, received.digest, "apk")

    return publish


def assign(gate: Door, name: str, *, starts_at: datetime | None = None, **settings: Any) -> None:
    """Give all tablets a profile, on top of what they have."""
    with gate.database():
        version = make.published(name, **{key.replace("__", "."): value for key, value in settings.items()})
        assigning.assign(version, Place.municipality(), starts_at=starts_at, by=CLI, now=clock.now())


def withdraw(gate: Door, name: str) -> None:
    """Take a profile back."""
    with gate.database():
        listed = assigning.listed(by=CLI, now=clock.now())
        (found,) = [one.id for one in listed if one.profile_version.profile.name == name]
        assigning.withdraw(found, by=CLI, now=clock.now())


def in_force(gate: Door, serial: str = SERIAL) -> bool:
    """Return whether the server knows that what a tablet shall have is in force."""
    with gate.database():
        found = device_of(serial).state
        return found.applied_digest is not None and found.applied_digest == found.desired_digest


def fetched(agent: HeadwindAgent) -> list[str]:
    """Return the files that it fetched, by their names."""
    return [target.rpartition("/")[2] for _, target in agent.asked if target.startswith("/hw-files/")]


def order(gate: Door, wish: Wish) -> str:
    with gate.database():
        (made,) = orders.queue([device_of(SERIAL)], wish, by=CLI, now=clock.now())
        if made.state is OrderState.ASKED:
            orders.approve(made.id, by=Principal.job("test"), now=clock.now())
        return made.uid


def order_state(gate: Door, uid: str) -> OrderState:
    with gate.database():
        return OrderState(db.session.query(orders.Order).filter_by(uid=uid).one().state)


def test_a_tablet_that_checks_signatures_takes_every_answer(gate: Door, code: str) -> None:
    assign(gate, "grunn", web__blocked=["spill.example"], camera__allowed=False)
    agent = come(gate, code, SERIAL, checks_signatures=True)
    assert ".spill.example" in agent.web_policy["URLBlocklist"]
    assert agent.found(CAMERA) is None
    assert in_force(gate)
    assign(gate, "mer", web__blocked=["æøå.example", "prat.example"])
    agent.poll()
    assert ".prat.example" in agent.web_policy["URLBlocklist"]
    assert in_force(gate)
    assert not agent.is_stranded


def test_news_come_by_the_log_while_another_app_is_in_front(gate: Door, agent: HeadwindAgent) -> None:
    agent.asked.clear()
    assign(gate, "mer", web__blocked=["spill.example"])
    agent.poll()
    assert not [target for _, target in agent.asked if target.endswith("/sync/info")]
    assert in_force(gate)


def test_what_is_planned_while_a_tablet_waits_begins_on_it_to_the_second_and_rings_it_once(
    gate: Door, agent: HeadwindAgent
) -> None:
    agent.update()
    looks: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("SELECT") and "android_client.token_digest" in statement:
            looks.append(statement)

    with gate.app.app_context():
        event.listen(db.engine, "before_cursor_execute", note)
    waits = threading.Thread(target=agent.poll)
    waits.start()
    eventually(lambda: bool(looks), within_s=10)
    starts_at = clock.now() + timedelta(seconds=5)
    assign(gate, "senere", starts_at=starts_at, web__allowed=["bok.example"])
    time.sleep(3)
    assert len(looks) <= 3  # one as it came, one as it was rung, and one that may have come between
    waits.join(30)
    assert agent.changed_at is not None
    assert timedelta() <= agent.changed_at - starts_at < timedelta(seconds=1)
    assert ".bok.example" in agent.web_policy["URLAllowlist"]
    assert in_force(gate)


def test_an_app_is_fetched_once_hidden_and_shown_again_without_being_fetched_anew(
    gate: Door, agent: HeadwindAgent, upload: Publish
) -> None:
    name = upload(7)
    assign(gate, "tavle", apps__required=[BOARD])
    agent.poll()
    assert agent.found(BOARD) == Package("1.7", 7)
    assign(gate, "uten", apps__blocked=[BOARD])
    agent.poll()
    assert agent.found(BOARD) is None
    assert BOARD in agent.hidden
    agent.start_again()
    assert in_force(gate)
    agent.in_front = False
    withdraw(gate, "uten")
    agent.poll()
    assert agent.found(BOARD) == Package("1.7", 7)
    agent.poll()  # now that it is shown, it may be kept up to date again
    newer = upload(8)
    agent.poll()
    assert agent.found(BOARD) == Package("1.8", 8)
    assert fetched(agent) == [name, newer]
    assert in_force(gate)


def test_the_agent_follows_its_own_package_and_one_that_it_refuses_harms_nothing(
    gate: Door, agent: HeadwindAgent, upload: Publish
) -> None:
    upload(16370, version="6.37", package=LAUNCHER)
    agent.update()
    assert agent.found(LAUNCHER) == Package("6.37", 16370)
    assert in_force(gate)
    agent.uninstallable[LAUNCHER] = "CONFLICT"
    upload(16380, version="6.38", package=LAUNCHER)
    agent.in_front = False
    for _again in range(3):
        agent.update()
    assert (agent.stopped_by, agent.found(LAUNCHER)) == ([], Package("6.37", 16370))
    assert agent.restrictions
    assert in_force(gate)


def test_an_app_that_cannot_be_installed_leaves_no_tablet_without_its_restrictions(
    gate: Door, agent: HeadwindAgent, upload: Publish
) -> None:
    name = upload(7)
    agent.uninstallable[BOARD] = "INCOMPATIBLE"
    assign(gate, "tavle", apps__required=[BOARD])
    agent.poll()
    assert agent.failed == {name}
    assign(gate, "mer", web__blocked=["spill.example"])
    for _again in range(3):
        agent.update()
    assert agent.stopped_by == []
    assert agent.restrictions
    assert in_force(gate)
    with gate.database():
        facts = device_of(SERIAL).state.facts or {}
    assert facts["app_states"][BOARD] == {"state": "failed", "reason": "install"}

    agent.uninstallable.clear()
    newer = upload(8)
    agent.update()
    assert agent.found(BOARD) == Package("1.8", 8)
    assert fetched(agent) == [name, newer]


def test_one_that_remembers_an_installation_in_vain_of_which_we_know_nothing_is_helped(
    gate: Door, agent: HeadwindAgent, upload: Publish
) -> None:
    agent.failed.add(upload(7))
    assign(gate, "tavle", apps__required=[BOARD])
    agent.poll()
    assert (agent.stopped_by, agent.restrictions) == ([BOARD], set())
    assert not in_force(gate)
    agent.report()  # what it has cached is not in force
    assert not in_force(gate)
    agent.poll()
    assert agent.stopped_by == [BOARD]
    assert agent.restrictions
    assert in_force(gate)


def test_a_package_that_cannot_even_be_given_to_the_installer_leaves_no_tablet_without_its_restrictions_for_long(
    gate: Door, agent: HeadwindAgent, upload: Publish
) -> None:
    upload(7)
    agent.unpackable[BOARD] = "No space left on device"
    assign(gate, "tavle", apps__required=[BOARD])
    agent.poll()
    assert (agent.stopped_by, agent.restrictions) == ([BOARD], set())
    for _again in range(2):
        agent.update()
    assert agent.stopped_by == [BOARD]
    assert agent.restrictions
    assert in_force(gate)


def test_an_app_that_cannot_be_fetched_leaves_no_tablet_without_its_restrictions_for_long(
    gate: Door, agent: HeadwindAgent, upload: Publish
) -> None:
    upload(7)
    for path in Path(gate.app.extensions["fleet_config"].packages_dir).rglob("*"):
        if path.is_file():
            path.unlink()
    assign(gate, "tavle", apps__required=[BOARD])
    agent.poll()
    assert (agent.stopped_by, agent.restrictions) == ([BOARD], set())
    assert not in_force(gate)
    agent.poll()
    assert agent.restrictions
    assert in_force(gate)


def test_words_of_an_earlier_update_do_not_count_for_a_later_one_that_stopped(
    gate: Door, code: str, upload: Publish
) -> None:
    upload(7)
    lost: list[str] = []

    def losing(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        if "/log/list/" in target and is_losing:
            lost.append(target)
            raise OSError("reset")
        if target.startswith("/hw-files/"):
            raise OSError("cut off")
        return gate.send(method, target, headers, body)

    is_losing = False
    assign(gate, "grunn")
    agent = come_by(losing, code, SERIAL)
    agent.in_front = False
    is_losing = True
    assign(gate, "mer", web__blocked=["spill.example"])
    agent.update()
    assert [one["message"] for one in agent.unsent] == ["Configuration updated", "Update flow completed"]
    is_losing = False
    assign(gate, "tavle", apps__required=[BOARD])
    agent.update()
    assert agent.stopped_by == [BOARD]
    assert not in_force(gate)
    agent.poll()
    assert in_force(gate)


def test_without_a_good_answer_it_keeps_what_it_has_and_is_told_once_it_can_be(gate: Door, code: str) -> None:
    assign(gate, "grunn", web__blocked=["spill.example"])
    ways: list[Any] = [OSError("down"), Response(502, {}, b"<html>"), Response(200, {}, b"<html>")]
    answers: list[Any] = []

    def shaky(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        if not answers or "/log/" in target:
            return gate.send(method, target, headers, body)
        if isinstance(answers[0], Exception):
            raise answers[0]
        return Response(answers[0].status, answers[0].headers, answers[0].body)

    agent = come_by(shaky, code, SERIAL, is_strict=False)
    agent.in_front = False
    had = set(agent.restrictions)
    for number, way in enumerate(ways):
        assign(gate, f"mer{number}", web__blocked=[f"spill{number}.example"])
        answers[:] = [way]
        agent.update()
        assert agent.restrictions == had
        assert not agent.is_stranded
        assert not in_force(gate)
        answers.clear()
        agent.poll()
        assert f".spill{number}.example" in agent.web_policy["URLBlocklist"]
        assert in_force(gate)


@pytest.mark.parametrize("step", ["lost", "retire"])
def test_a_tablet_that_is_lost_or_out_of_use_is_closed_and_not_stranded_and_opens_again(
    gate: Door, code: str, step: str
) -> None:
    assign(gate, "grunn", web__blocked=["spill.example"])
    with gate.database():
        make.device(
            db.session.query(Ticket).one().school, serial=SERIAL, life=DeviceLife.EXPECTED, listed_at=clock.now()
        )
    agent = come(gate, code, SERIAL)
    with gate.database():
        life.step(device_of(SERIAL), step, by=CLI, now=clock.now())
    agent.poll()
    assert agent.notice
    assert agent.restrictions
    assert agent.found("com.android.chrome") is None
    assert not agent.is_stranded
    agent.start_again()
    assert agent.notice
    with gate.database():
        life.step(device_of(SERIAL), {"lost": "found", "retire": "reinstate"}[step], by=CLI, now=clock.now())
    agent.update()
    assert agent.notice is None
    assert agent.found("com.android.chrome") is not None
    agent.update()
    assert in_force(gate)


def test_a_tablet_whose_token_is_rotated_moves_and_one_that_calls_itself_otherwise_is_called_right(
    gate: Door, agent: HeadwindAgent
) -> None:
    former = agent.project
    with gate.database():
        secret = admin_password.secret(gate.app.extensions["fleet_config"].secrets_dir)
        tokens.rotate(device_of(SERIAL), secret=secret, by=CLI, now=clock.now())
    agent.poll()
    assert agent.project != former
    thief = HeadwindAgent(gate.send, SERIAL, number=SERIAL, project=former, polls=True)
    assert thief.poll() == AFTER_4XX_S
    agent.number = "NOE-ANNET"
    agent.update()
    assert agent.number == SERIAL
    agent.update()
    assert in_force(gate)


def test_orders_are_carried_out_once_and_a_wiped_tablet_comes_in_anew(
    gate: Door, agent: HeadwindAgent, code: str
) -> None:
    restart = order(gate, Wish(OrderKind.RESTART))
    agent.poll()
    agent.update()
    assert (agent.reboots, order_state(gate, restart)) == (1, OrderState.DONE)
    clear = order(gate, Wish(OrderKind.CLEAR_PASSCODE, reason=REASON))
    agent.password = "1234"
    agent.poll()
    assert (agent.password, order_state(gate, clear)) == ("", OrderState.DONE)
    wipe = order(gate, Wish(OrderKind.WIPE, reason=REASON))
    former = agent.project
    agent.poll()
    assert (agent.wipes, agent.is_erased, order_state(gate, wipe)) == (1, True, OrderState.DONE)
    again = come(gate, code, SERIAL)
    assert again.project != former
    assert in_force(gate)
