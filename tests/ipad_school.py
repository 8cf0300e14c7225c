"""iPads in a school, behind a gate in the test's own process: profiles, clients, how they stand."""

from typing import Any

from fleet import clock
from fleet.access import Principal
from fleet.assignments import assigning
from fleet.assignments.assigning import Place
from fleet.db import db
from fleet.devices.models import Device
from fleet.mdm.models import Client
from tests import factories as make
from tests.gate import Door
from tests.ipads import Ipad

CLI = Principal.command_line()


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
