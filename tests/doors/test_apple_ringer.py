"""iPads are rung through the push service: a change reaches all, an outage loses none, a dead token is left."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from fleet import clock
from fleet.access import Principal
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.channels.apple.push import Pusher
from fleet.channels.apple.ringer import Ringer
from fleet.crypto import vault_key
from fleet.db import db
from fleet.mdm.models import Client
from fleet.mdm.push_keeper import PushKeeper
from tests import apns
from tests import factories as make
from tests.apns import Reply, Service
from tests.gate import Door, door

pytestmark = pytest.mark.serves
COUNT = 200
CLI = Principal.command_line()


@pytest.fixture
def service() -> Iterator[Service]:
    with apns.running() as made:
        yield made


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path, service: Service) -> Iterator[Door]:
    with door(fresh_url, tmp_path / "server", FLEET_PUBLIC_URL="https://fleet.test") as made:
        with made.database():
            school = make.school()
            for number in range(COUNT):
                device = make.enrolled(school, channel="apple", serial=f"IPAD{number:03}")
                device.state.key_thumbprint = "0" * 64
                db.session.add(
                    Client(
                        device_id=device.id, name=f"udid-{number}", thumbprint="0" * 64, topic=apns.TOPIC,
                        push_token=number.to_bytes(32, "big"), push_magic=f"magic-{number}", reachable_at=clock.now(),
                        address_at=clock.now(), followed_version=device.state.config_version, is_set_up=True, rings=0,
                    )
                )  # fmt: skip
        yield made


@pytest.fixture
def ringer(gate: Door, service: Service, tmp_path: Path) -> Iterator[Ringer]:
    keeper = PushKeeper(tmp_path / "secrets", vault_key(tmp_path / "secrets" / "vault.key", may_create=True))
    keeper.keep(service.authority.push_certificate())
    make_pusher = partial(Pusher, base_url=service.base_url, trusted_pem=service.authority.pem)
    made = Ringer(gate.app, keeper, now=clock.now, make=make_pusher)
    made.start()
    yield made
    made.stop()


def assign(gate: Door) -> None:
    with gate.database():
        version = make.published("grunn")
        assigning.assign(version, Place.municipality(), by=CLI, now=clock.now())


def until(holds: Callable[[], bool], *, within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def test_a_change_rings_every_ipad_once(gate: Door, service: Service, ringer: Ringer) -> None:
    assign(gate)
    ringer.ring(frozenset())
    until(lambda: len(service.tokens()) >= COUNT)
    time.sleep(0.3)
    assert len(service.tokens()) == len(set(service.tokens())) == COUNT


def test_an_outage_loses_no_ring_and_a_dead_token_is_left(gate: Door, service: Service, ringer: Ringer) -> None:
    dead = (7).to_bytes(32, "big")
    since = int((clock.now() + timedelta(hours=1)).timestamp() * 1000)
    service.script(dead, Reply(410, reason="Unregistered", timestamp=since))
    service.down()
    assign(gate)
    ringer.ring(frozenset())

    def put_off() -> bool:
        with gate.database():
            return db.session.query(Client).filter(Client.pause_until.is_not(None)).count() == COUNT

    until(put_off)
    assert service.tokens() == []
    service.up()
    with gate.database():  # the pause is over
        db.session.query(Client).update({"pause_until": None, "ring_again_at": clock.now()})
    ringer.ring(frozenset())
    until(lambda: len(set(service.tokens())) >= COUNT)

    def is_left() -> bool:
        with gate.database():
            return db.session.query(Client).filter(Client.push_dead_at.is_not(None)).count() == 1

    until(is_left)
    assert len(service.tokens()) == COUNT
