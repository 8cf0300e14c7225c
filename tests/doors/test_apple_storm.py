"""A storm: iPads (in the long form two hundred) that are busy, hang up and lose answers, a push service that is away, a dead address.

Every command is carried out once in the end, none is lost, none is offered again to an iPad that has answered for it,
and one that was answered "not now" is not offered again in the same conversation.
"""

import plistlib
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fleet import clock, orders
from fleet.access import Principal
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.channels.apple.push import Pusher
from fleet.channels.apple.ringer import Ringer
from fleet.crypto import vault_key
from fleet.db import db
from fleet.devices.models import Device, DeviceState
from fleet.mdm import authority
from fleet.mdm.models import Client, Command, CommandState
from fleet.mdm.models import Identity as IssuedIdentity
from fleet.mdm.push_keeper import PushKeeper
from fleet.orders import Order, OrderKind, OrderState, Wish
from tests import apns, apple_messages
from tests import factories as make
from tests.agents import eventually
from tests.apns import Reply, Service
from tests.apple_messages import Identity
from tests.extent import extent
from tests.gate import Door, door
from tests.ipads import Ipad

pytestmark = pytest.mark.serves
COUNT, AT_ONCE = extent(60, 200), 8
DEAD = 7
CLI = Principal.command_line()
COMMANDS = frozenset({"DeviceInformation", "DeclarativeManagement", "DeviceLock", "RestartDevice", "Settings"})


@dataclass
class Stormy(Ipad):
    """An iPad with moods, which keeps book of what it is told.

    Args:
        mood: how it answers: ``busy`` to everything, ``moody`` now so, now so, or ``calm``.
    """

    mood: str = "busy"
    dice: random.Random = field(default_factory=random.Random)
    told: Counter[str] = field(default_factory=Counter)  # how often it was offered a command, by its name
    answered: list[str] = field(default_factory=list)  # names of commands that it carried out
    comes_by_itself: bool = False

    def talk(self) -> None:
        """Call as after a push and go on until there is nothing more, or it hangs up."""
        message: dict[str, Any] = {"Status": "Idle"}
        put_off: set[str] = set()
        while True:
            answer = self.put(message, "application/x-apple-aspen-mdm; charset=UTF-8")
            if answer.status == 503:  # others keep the database for too long: it comes again
                self.comes_by_itself = True
                return
            assert answer.status == 200
            self.comes_by_itself = message["Status"] == "NotNow"
            if self.mood == "moody" and self.dice.random() < 0.1:
                self.comes_by_itself = True  # the answer was lost: it never saw it, and tries again
                return
            if not answer.body:
                return
            command = plistlib.loads(answer.body)
            name = command["CommandUUID"]
            assert name not in put_off, "offered again in the same conversation"
            assert name not in self.answered, "offered again though it was answered for"
            self.told[name] += 1
            if self.mood == "busy" or (self.mood == "moody" and self.dice.random() < 0.4):
                put_off.add(name)
                message = {"CommandUUID": name, "Status": "NotNow"}
                continue
            message = {"CommandUUID": name, **self.carry_out(command["Command"])}
            self.answered.append(name)


@pytest.fixture
def service() -> Iterator[Service]:
    with apns.running() as made:
        yield made


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path / "server", FLEET_PUBLIC_URL="https://fleet.test") as made:
        yield made


@pytest.fixture
def ipads(gate: Door, tmp_path: Path) -> list[Stormy]:
    """Return iPads that have come in a while ago, each with a certificate of its own for one key."""
    secrets_dir, key, now = tmp_path / "server" / "secrets", apple_messages.rsa_key(1), clock.now()
    ca = authority.load(secrets_dir, vault_key(secrets_dir / "vault.key", may_create=False), now=now)
    made: list[Stormy] = []
    with gate.database():
        school = make.school()
        for number in range(COUNT):
            identity = Identity(key, ca.issue(key.public_key(), subject_name="tablet", now=now))
            device = make.enrolled(school, channel="apple", serial=f"IPAD{number:03}")
            device.state.key_thumbprint = identity.name
            tablet = Stormy(
                gate.send, device.serial, identity=identity, dice=random.Random(number),  # noqa: S311 (a test's dice)
                mdm={"ServerURL": "https://fleet.test/apple/mdm", "Topic": apns.TOPIC},
            )  # fmt: skip
            db.session.add(
                IssuedIdentity(
                    thumbprint=identity.name, device_id=device.id, public_key=b"", issued_at=now,
                    expires_at=now + timedelta(days=700),
                )
            )  # fmt: skip
            db.session.add(
                Client(
                    device_id=device.id, name=tablet.udid, thumbprint=identity.name, topic=apns.TOPIC,
                    push_token=token_of(number), push_magic=f"magic-{number}", reachable_at=now, address_at=now,
                    inventory_at=now, is_set_up=True, rings=0,
                )
            )  # fmt: skip
            made.append(tablet)
    return made


def token_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


class Weather:
    """Time that passes for who rings, and iPads that come when they are rung."""

    def __init__(self, ipads: Sequence[Stormy], service: Service) -> None:
        self.ipads, self.service = ipads, service
        self.passed = timedelta()
        self._rung = 0

    def now(self) -> Any:
        return clock.now() + self.passed

    def wait_for_rings(self) -> None:
        """Wait until iPads are rung, and then no more are."""
        eventually(lambda: len(self.service.tokens()) > self._rung, why="rings")
        seen = 0
        while seen < len(self.service.tokens()):
            seen = len(self.service.tokens())
            time.sleep(2)

    def let_come(self) -> int:
        """Have those come that were rung since the last time, or that come by themselves; returns how many."""
        fresh = self.service.tokens()[self._rung :]
        self._rung += len(fresh)
        rung = {int(one, 16) for one in fresh if int(one, 16) < COUNT}
        mine = [one for number, one in enumerate(self.ipads) if number in rung - {DEAD} or one.comes_by_itself]
        return self.come(mine)

    def come(self, those: Sequence[Stormy]) -> int:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(Stormy.talk, those))
        return len(those)


@pytest.fixture
def weather(ipads: Sequence[Stormy], service: Service) -> Weather:
    return Weather(ipads, service)


@pytest.fixture
def ringer(gate: Door, service: Service, weather: Weather, tmp_path: Path) -> Iterator[Ringer]:
    keeper = PushKeeper(tmp_path / "secrets", vault_key(tmp_path / "secrets" / "vault.key", may_create=True))
    keeper.keep(service.authority.push_certificate())
    make_pusher = partial(Pusher, base_url=service.base_url, trusted_pem=service.authority.pem)
    made = Ringer(gate.app, keeper, now=weather.now, make=make_pusher)
    made.start()
    yield made
    made.stop()


def wish(gate: Door) -> None:
    """Give all iPads a profile, a message and a restart."""
    with gate.database():
        version = make.published("grunn", **{"camera.allowed": False})
        assigning.assign(version, Place.municipality(), by=CLI, now=clock.now())
        devices = db.session.query(Device).all()
        for wanted in (Wish(OrderKind.LOCK_MESSAGE, text="Lever meg"), Wish(OrderKind.RESTART)):
            orders.queue(devices, wanted, by=CLI, now=clock.now())


def number_of(gate: Door, *conditions: Any) -> int:
    with gate.database():
        return db.session.query(Client).filter(*conditions).count()


def test_no_command_is_lost_and_none_is_carried_out_twice(
    gate: Door, service: Service, ipads: Sequence[Stormy], weather: Weather, ringer: Ringer
) -> None:
    dead_since = int((clock.now() + timedelta(days=99)).timestamp() * 1000)
    service.script(token_of(DEAD), Reply(410, reason="Unregistered", timestamp=dead_since))
    for number in range(20, 30):
        service.script(token_of(number), Reply(503, reason="ServiceUnavailable"))
    service.down()
    wish(gate)
    ringer.ring(frozenset())
    eventually(lambda: number_of(gate, Client.pause_until.is_not(None)) == COUNT, why="the outage noted")
    weather.come(ipads[20:60])  # some are opened meanwhile, and are busy
    assert service.tokens() == []

    service.up()
    for mood in ("busy", "moody", "calm"):
        for one in ipads:
            one.mood = mood
        weather.passed += timedelta(hours=30)  # whatever pause there was is over, and so is an unanswered ring's
        ringer.ring(frozenset())
        weather.wait_for_rings()
        assert weather.let_come() > 0
    assert number_of(gate, Client.push_dead_at.is_not(None)) == 1
    assert not ipads[DEAD].told  # nobody rings it; it comes by itself once it has a new address
    ipads[DEAD].token_update()
    ipads[DEAD].talk()

    every_one_done(gate, ipads)


def every_one_done(gate: Door, ipads: Sequence[Stormy]) -> None:
    with gate.database():
        found = db.session.query(Command).all()
        assert Counter(one.state for one in found) == {CommandState.DONE: COUNT * len(COMMANDS)}
        assert {one.uid for one in found} == {name for tablet in ipads for name in tablet.answered}
        assert {one.state for one in db.session.query(Order)} == {OrderState.DONE}
        assert db.session.query(Order).count() == 2 * COUNT
        assert all(one.applied_digest == one.desired_digest is not None for one in db.session.query(DeviceState))
    for tablet in ipads:
        assert Counter(tablet.done) == dict.fromkeys(COMMANDS, 1)
        assert len(tablet.answered) == len(set(tablet.answered)) == len(COMMANDS)
        assert tablet.settings("com.apple.applicationaccess")["allowCamera"] is False
    assert sum(sum(tablet.told.values()) for tablet in ipads) > 1.5 * COUNT * len(COMMANDS)  # it was a storm
