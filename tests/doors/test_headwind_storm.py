"""A storm: Android tablets that come in all at once, lose calls and answers, cannot fetch or install, and start again.

In the end each is in once, has what it shall have with its restrictions, and was told of it; none was ever left as one
that nobody knows.
"""

import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent_protocol.transport import Response
from fleet import clock, orders
from fleet.access import Principal
from fleet.apps import packages
from fleet.apps.files import PackageFiles
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.db import db
from fleet.devices.models import Device, DeviceState, Enrolment, Ticket
from fleet.orders import Order, OrderKind, OrderState, Wish
from tests import apks
from tests import factories as make
from tests.android_school import GATE, extras
from tests.apks import BOARD
from tests.gate import Door, door, ticket
from tests.headwind_agent import HeadwindAgent, NotTakenInError

COUNT, AT_ONCE, ROUNDS = 24, 8, 4
LOST = 0.08  # of calls, and of answers as many again
CLI = Principal.command_line()


@dataclass
class Line:
    """A tablet's network, on which calls and answers get lost while it is bad."""

    gate: Door
    dice: random.Random
    is_bad: bool = True
    stranded: list[str] = field(default_factory=list)

    def __call__(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """Call, perhaps."""
        if self.is_bad and self.dice.random() < LOST:
            raise OSError("no network")
        answer = self.gate.send(method, target, headers, body)
        if b"error.notfound.device" in answer.body:
            self.stranded.append(target)
        if self.is_bad and self.dice.random() < LOST:
            raise OSError("lost on its way back")
        return answer


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path, **GATE) as made:
        yield made


def give(gate: Door, name: str, **settings: object) -> None:
    with gate.database():
        version = make.published(name, **{key.replace("__", "."): value for key, value in settings.items()})
        assigning.assign(version, Place.municipality(), by=CLI, now=clock.now())


def come(agent: HeadwindAgent, code: str) -> None:
    """Come in; who is shown a dialog tries again."""
    while not agent.completed:
        try:
            if agent.config is None:
                agent.set_up(extras(code))
            agent.open_launcher()
        except (OSError, NotTakenInError):
            continue
    agent.in_front = False


def go_on(agent: HeadwindAgent) -> None:
    """Live on for a while."""
    dice = agent.send.dice  # type: ignore[attr-defined]
    for _turn in range(3):
        agent.uninstallable = {BOARD: "STORAGE"} if dice.random() < 0.3 else {}
        agent.in_front = dice.random() < 0.2
        if dice.random() < 0.2:
            agent.start_again()
        else:
            agent.update()
        if dice.random() < 0.3:
            agent.report()
        agent.send_log()


def test_in_a_storm_every_tablet_ends_with_what_it_shall_have_and_is_known_to(gate: Door, tmp_path: Path) -> None:
    code = ticket(gate, number=COUNT)
    received = packages.receive(
        apks.apk(tmp_path / "Tavla.apk"), PackageFiles(gate.app.extensions["fleet_config"].packages_dir), by=CLI
    )
    with gate.database():
        packages.take(received, by=CLI, now=clock.now())
    give(gate, "grunn", camera__allowed=False)
    lines = [Line(gate, random.Random(number)) for number in range(COUNT)]  # noqa: S311 (repeatable)
    agents = [HeadwindAgent(line, f"STORM{number:03}") for number, line in enumerate(lines)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda one: come(one, code), agents))
        for number in range(ROUNDS):
            give(gate, f"runde{number}", web__blocked=[f"spill{number}.example"], apps__required=[BOARD])
            if number == 1:
                with gate.database():
                    devices = db.session.query(Device).all()
                    orders.queue(devices, Wish(OrderKind.RESTART), by=CLI, now=clock.now())
            list(pool.map(go_on, agents))
        for line in lines:
            line.is_bad = False
        for _again in range(3):
            list(pool.map(lambda one: (one.update(), one.send_log()), agents))
    assert [one.is_stranded for one in agents] == [False] * COUNT
    assert [line.stranded for line in lines] == [[]] * COUNT
    for one in agents:
        assert "no_safe_boot" in one.restrictions
        assert {f".spill{number}.example" for number in range(ROUNDS)} <= set(one.web_policy["URLBlocklist"])
        assert one.found("com.sec.android.app.camera") is None
        assert one.reboots <= 1
    with gate.database():
        states = db.session.query(DeviceState).all()
        assert len(states) == COUNT
        assert [one.device_id for one in states if one.applied_digest != one.desired_digest] == []
        assert db.session.query(Enrolment).filter_by(ended_at=None).count() == COUNT
        assert db.session.query(Ticket).one().used_count == COUNT
        assert {one.state for one in db.session.query(Order)} == {OrderState.DONE}
