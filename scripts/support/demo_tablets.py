"""The demo's tablets: what each is like, those that live, and the weeks before the first start, which nobody lived.

Tablets were taken in and heard from through the use cases that their door calls, with keys of their own; those that
live go on with theirs over HTTP. Who is quiet, and why, stands in :mod:`demo_silence`.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import demo_data
from cryptography.hazmat.primitives import serialization
from sqlalchemy import select

from agent_protocol import signing
from agent_protocol.device import AGENT_VERSION
from agent_protocol.simulated import SimulatedDevice, SimulatedTablet, restore
from agent_protocol.store import MemoryStore, write_whole
from fleet.checkins.receive import Report, receive
from fleet.db import db, run_followers
from fleet.devices import enrolment
from fleet.devices.enrolment import Enrolled, EnrolmentRequest
from fleet.devices.models import DeviceState, Platform
from fleet.errors import FleetError
from profiles.key import NATIVE

IN_A_DRAWER = 5  # tablets that nobody has taken out of their box
GAME = "com.zhiliaoapp.musically"
_FILE = "tablets.json"


@dataclass(frozen=True, slots=True)
class Made:
    """A tablet: its serial, the name of its class's ticket, and what it is like."""

    serial: str
    ticket: str
    device: SimulatedDevice


def ticket_key(school: demo_data.DemoSchool, title: str) -> str:
    """Return the name of a class's ticket in the notes."""
    return f"{school.slug}/{title}"


def made() -> list[Made]:
    """Return the tablets that are in use: most as they should be, some old, some that fail at a setting."""
    found = []
    for school in demo_data.SCHOOLS:
        for title in school.classes:
            for number in range(1, school.pupils_per_class + 1):
                serial = demo_data.serial(school, title, number)
                device = SimulatedDevice(
                    serial,
                    os_version="16.7" if number % 17 == 0 else "18.4",
                    apps=[GAME] if number % 11 == 0 else [],
                    failing=0.1 if number % 19 == 0 else 0.0,
                )
                found.append(Made(serial, ticket_key(school, title), device))
    return found[:-IN_A_DRAWER]


def living(server: str, folder: Path, codes: Mapping[str, str], quiet: Collection[str]) -> list[SimulatedTablet]:
    """Return the tablets that speak, with the keys and memories they have in ``folder``.

    Args:
        server: the server's address.
        folder: the demo's own.
        codes: of tickets, by their names.
        quiet: serials of those that do not.
    """
    stores = restore(folder / _FILE)
    return [
        SimulatedTablet(server, one.device, code=codes[one.ticket], store=stores.get(one.serial))
        for one in made()
        if one.serial not in quiet
    ]


def saved(folder: Path) -> Path:
    """Return where keys and memories are kept between starts."""
    return folder / _FILE


@dataclass(slots=True)
class _Known:
    """A tablet that was taken in."""

    one: Made
    device_id: int
    key: str
    sequence: int


class Past:
    """The weeks before the first start.

    Args:
        folder: the demo's own, for the tablets' keys.
        codes: of tickets, by their names.
        now: when they are taken in; each a little after the one before.
    """

    def __init__(self, folder: Path, codes: Mapping[str, str], now: datetime) -> None:
        self._known: dict[str, _Known] = {}
        stores = {}
        for number, one in enumerate(made()):
            stores[one.serial] = store = MemoryStore()
            self._known[one.serial] = _take_in(one, store, codes[one.ticket], now + timedelta(seconds=20 * number))
        exported = {serial: store.export() for serial, store in stores.items()}
        write_whole(saved(folder), json.dumps(exported).encode())
        run_followers()

    def id_of(self, serial: str) -> int:
        """Return the number of a tablet."""
        return self._known[serial].device_id

    def hear(self, now: datetime, *, but: Collection[str] = (), only: Collection[str] | None = None) -> None:
        """Have tablets report.

        Args:
            now: the instant.
            but: serials of those that do not.
            only: serials of those that do; None: all others.
        """
        speaking = [
            one for serial, one in self._known.items() if serial not in but and (only is None or serial in only)
        ]
        shall = select(DeviceState.device_id, DeviceState.desired_digest)
        wanted = {row.device_id: row.desired_digest for row in db.session.execute(shall)}
        for outcome in receive([_report(one, wanted[one.device_id]) for one in speaking], now=now):
            if isinstance(outcome, FleetError):
                raise outcome
        run_followers()


def _take_in(one: Made, store: MemoryStore, code: str, now: datetime) -> _Known:
    public = store.key().public_key()
    key = signing.thumbprint(public)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    request = EnrolmentRequest(code, one.serial, Platform.LINUX, one.device.identity().model, NATIVE, key, der)
    taken = enrolment.enrol(request, now=now)
    if not isinstance(taken, Enrolled):
        raise taken.error
    return _Known(one, taken.device_id, key, taken.next_sequence)


def _report(known: _Known, applied: str | None) -> Report:
    """Return what a tablet tells that has its profile."""
    known.sequence += 1
    told = known.one.device.inventory()
    name = f"{known.one.serial}/{known.sequence}"
    return Report(
        device_id=known.device_id, key=known.key, sequence=known.sequence, report_id=name,
        body_digest=hashlib.sha256(name.encode()).hexdigest(), applied=applied,
        facts={
            "os_version": told.os_version, "model": told.model, "agent_version": AGENT_VERSION,
            "storage_total_bytes": told.storage_total_bytes,
            "apps": [{"id": app.id, "version": app.version} for app in told.apps], "attributes": {}, "flags": [],
        },
        battery_percent=told.battery_percent, storage_free_bytes=told.storage_free_bytes,
    )  # fmt: skip


def heard(since: datetime) -> int:
    """Return how many tablets have been heard since an instant."""
    return len(db.session.scalars(select(DeviceState.device_id).where(DeviceState.last_seen_at >= since)).all())
