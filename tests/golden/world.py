"""The real server with everything pinned that would differ from run to run.

That is its clock, keys, ticket codes, names, dice, and the random numbers of ECDSA.
"""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives import serialization
from sqlalchemy import select

from agent_protocol import signing
from agent_protocol.transport import Response
from fleet import clock, orders
from fleet.access import Principal
from fleet.assignments import assigning
from fleet.assignments.models import ProfileVersion
from fleet.channels.native.door import NativeChannel
from fleet.crypto import CODE_ALPHABET
from fleet.db import db
from fleet.devices import codes, enrolment, tickets
from fleet.devices.models import Device
from fleet.schools.models import School
from tests import factories
from tests.conftest import NOW
from tests.gate import Door, door
from tests.golden.examples import Request
from tests.unit.protocol.keys import key, repeatable

DEVICE_ID = "de11ce00000000000000000000000001"
ORDER_ID, LATER_ORDER_ID = "5e1f0000000000000000000000000001", "5e1f0000000000000000000000000002"
ASSIGNMENT_KEY, ROOT_KEYS = 104, (101, 102, 103)


class World:
    """The server of the story: one school, one tablet's worth of profile, tickets by name."""

    def __init__(self, served: Door) -> None:
        self.door = served
        self.now: datetime = NOW
        self.codes: dict[str, str] = {}
        self.by = Principal.command_line()

    @property
    def at(self) -> int:
        """The server's clock, seconds since 1970."""
        return int(self.now.timestamp())

    @property
    def channel(self) -> NativeChannel:
        """The native channel behind the gate."""
        return next(one for one in self.door.gate._channels if isinstance(one, NativeChannel))

    def build(self) -> None:
        """Make the school, its profile and the first ticket."""
        with self.door.database():
            school = factories.school("Kjenn skole")
            settings = {"camera.allowed": False, "lock_screen.message": "Tilhører Kjenn skole"}
            version = factories.published("skole", **settings)
            lesson = factories.published("leksjon", **{"apps.allowed": ["org.geogebra.calculator"]})
            self.lesson_id = lesson.id
            factories.assign(version, assigning.Place.school(school), now=self.now)
        self.ticket("first")

    def school(self) -> School:
        """Return the school, in the running transaction."""
        return db.session.scalars(select(School).order_by(School.id)).first() or factories.school()

    def device(self) -> Device:
        """Return the story's tablet, in the running transaction."""
        return db.session.scalars(select(Device).where(Device.serial == "GOLDEN0001")).one()

    def ticket(self, name: str, **how: Any) -> int:
        """Make a ticket and keep its code."""
        with self.door.database():
            how = {"expires_at": self.now + timedelta(hours=4), "max_enrolments": 1, **how}
            made, code = tickets.create(tickets.Place(self.school()), by=self.by, now=self.now, **how)
            self.codes[name] = code
            return made.id

    def start_lesson(self) -> None:
        """Give the tablet a lesson of 45 minutes, and a message."""
        with self.door.database():
            version = db.session.get_one(ProfileVersion, self.lesson_id)
            place = assigning.Place.device(self.device())
            begin = self.now + timedelta(minutes=15)
            factories.assign(version, place, starts_at=begin, ends_at=begin + timedelta(minutes=45), now=self.now)
            wish = orders.Wish(orders.OrderKind.MESSAGE, text="Ta fram matteboka.")
            (order,) = orders.queue([self.device()], wish, by=self.by, now=self.now)
            order.uid = ORDER_ID

    def open_page(self) -> None:
        """Have the tablet open a page."""
        with self.door.database():
            wish = orders.Wish(orders.OrderKind.OPEN_URL, url="https://ndla.no/")
            (order,) = orders.queue([self.device()], wish, by=self.by, now=self.now)
            order.uid = LATER_ORDER_ID

    def send(self, asked: Request, meanwhile: "Callable[[World], object] | None") -> Response:
        """Send a request; where something happens ``meanwhile``, the server must be holding it."""

        def send() -> Response:
            return self.door.send(asked.method, asked.target, asked.headers, asked.body)

        if meanwhile is None:
            return send()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(send)
            while not self.channel.waiting.held():
                assert not answer.done(), answer.result()
                time.sleep(0.01)
            meanwhile(self)
            return answer.result()


def _key_files(secrets_dir: Path) -> None:
    numbers = {"assignment-key.pem": ASSIGNMENT_KEY}
    numbers |= {f"root-keys/root-{place}.pem": number for place, number in enumerate(ROOT_KEYS, 1)}
    for name, number in numbers.items():
        path = secrets_dir / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(
            key(number).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        path.chmod(0o600)
    (secrets_dir / "nonce.key").write_bytes(b"golden nonce key of 32 bytes....")
    (secrets_dir / "nonce.key").chmod(0o600)


def _fixed_codes() -> Iterator[str]:
    dice = random.Random(9421)  # noqa: S311 (repeatable)
    while True:
        body = "".join(dice.choice(CODE_ALPHABET) for _ in range(codes.LENGTH))
        if (check := codes._check(body)) in CODE_ALPHABET:
            yield body + check


@contextmanager
def pinned(url: str, data_dir: Path) -> Iterator[World]:
    """Run the real gate on a migrated database, with everything pinned."""
    ready = _fixed_codes()
    worlds: list[World] = []

    def now() -> datetime:
        return worlds[0].now if worlds else NOW

    _key_files(data_dir / "secrets")
    with (
        mock.patch.object(clock, "now", now),
        mock.patch.object(codes, "make", side_effect=ready),
        mock.patch.object(enrolment, "secrets", mock.Mock(token_hex=lambda _size: DEVICE_ID)),
        mock.patch.object(random, "SystemRandom", return_value=random.Random(1)),  # noqa: S311 (repeatable)
        repeatable(),
        door(url, data_dir) as served,
    ):
        worlds.append(World(served))
        worlds[0].build()
        yield worlds[0]


def thumbprint(number: int) -> str:
    """Return the name of test key ``number``."""
    return signing.thumbprint(key(number).public_key())
