"""A school with iPads behind the gate in the test's own process: its push certificate, a ticket, profiles, clients."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from fleet import clock
from fleet.access import Principal
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.crypto import vault_key
from fleet.db import db
from fleet.devices import tickets
from fleet.devices.models import Device
from fleet.mdm.models import Client
from fleet.mdm.push_keeper import PushKeeper
from tests import apns
from tests import factories as make
from tests.gate import Door, door
from tests.ipads import Ipad

CLI = Principal.command_line()


@contextmanager
def ipad_gate(url: str, directory: Path, **variables: str) -> Iterator[Door]:
    """Give a gate that takes iPads in, with more variables of the environment."""
    secrets_dir = directory / "secrets"
    keeper = PushKeeper(secrets_dir, vault_key(secrets_dir / "vault.key", may_create=True))
    keeper.keep(apns.Authority().push_certificate())
    with door(url, directory, FLEET_PUBLIC_URL="https://fleet.test", **variables) as made:
        yield made


def ticket_code(gate: Door) -> str:
    """Return the code of a ticket for a new school."""
    with gate.database():
        place = tickets.Place(make.school())
        now = clock.now()
        return tickets.create(place, expires_at=now + timedelta(days=1), max_enrolments=9, by=CLI, now=now)[1]


def come(gate: Door, code: str, serial: str = "IPAD1", **looks: Any) -> Ipad:
    """Return an iPad that has come in."""
    made = Ipad(gate.send, serial, **looks)
    made.enrol(code)
    return made


def device_of(serial: str = "IPAD1") -> Device:
    """Return a tablet's row; in a transaction."""
    found: Device = db.session.query(Device).filter_by(serial=serial).one()
    return found


def state_of(gate: Door, serial: str = "IPAD1") -> dict[str, Any]:
    """Return how a tablet stands."""
    with gate.database():
        device = device_of(serial)
        state = device.state
        return {
            "life": device.life, "applied": state.applied_digest, "desired": state.desired_digest,
            "facts": state.facts, "battery": state.battery_percent, "free": state.storage_free_bytes,
            "failures": state.failures, "id": device.id, "seen": state.last_seen_at,
        }  # fmt: skip


def assign(gate: Door, name: str = "grunn", /, **settings: Any) -> None:
    """Give all tablets a profile."""
    with gate.database():
        version = make.published(name, **settings)
        assigning.assign(version, Place.municipality(), by=CLI, now=clock.now())


def due(gate: Door, **columns: Any) -> None:
    """Change what stands of the clients."""
    with gate.database():
        told: dict[Any, Any] = dict(columns)
        db.session.query(Client).update(told)
