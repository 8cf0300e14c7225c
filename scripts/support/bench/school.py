"""A school of enrolled tablets written straight into a database, and requests signed by them."""

import contextlib
import json
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import insert, select

from agent_protocol import signing
from bench import load
from fleet import clock
from fleet.access import Principal
from fleet.app import create_app
from fleet.assignments import assigning, publishing
from fleet.assignments.assigning import Place
from fleet.db import db, transaction, upgrade
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment, Platform
from fleet.schools.models import School
from profiles import catalogue
from tests import postgres
from tests.serving import Server, serving

AUTHORITY = "tablets.example"
_APPS = [{"id": f"no.example.app{number}", "version": "1.0"} for number in range(4)]


@dataclass
class Tablet:
    """An enrolled tablet with its key."""

    device_id: int
    key: ec.EllipticCurvePrivateKey
    desired: str
    sequence: int = 1

    def poll(self, etag: str) -> bytes:
        """Return a signed poll; good for five minutes, as often as one likes."""
        path = "/agent/v1/config"
        return load.request("GET", path, {**self._signed("GET", path, None, signing.SAFE_NONCE), "If-None-Match": etag})

    def report(self) -> bytes:
        """Return a signed report of about 600 bytes with the next sequence."""
        path, now = "/agent/v1/reports", clock.now()
        report_id = f"{self.device_id:08x}-0000-4000-8000-{self.sequence:012x}"
        told = {
            "report_id": report_id,
            "reported_at": now.isoformat(),
            "applied": {"profile": self.desired, "since": now.isoformat()},
            "os_version": "18.4",
            "model": "Benchmark 11",
            "agent_version": "1.0",
            "config_version": 1,
            "battery_percent": 50 + self.sequence % 50,
            "storage_total_bytes": 2**36,
            "storage_free_bytes": 2**35,
            "apps": _APPS,
        }
        body = json.dumps(told).encode()
        nonce, self.sequence = str(self.sequence), self.sequence + 1
        headers = self._signed("POST", path, body, nonce)
        return load.request(
            "POST", path, {**headers, "Content-Type": "application/json", "Idempotency-Key": report_id}, body
        )

    def _signed(self, method: str, path: str, body: bytes | None, nonce: str) -> dict[str, str]:
        created = int(clock.now().timestamp())
        told = signing.sign_request(
            self.key, method=method, authority=AUTHORITY, path=path, query="", body=body, created=created, nonce=nonce
        )
        return {"Host": AUTHORITY, **told}


@dataclass
class Bench:
    """A running server with its tablets; ``database_pid`` is None with the embedded database."""

    server: Server
    tablets: list[Tablet]
    database_pid: int | None
    conninfo: str | None


def _enrol(url: str, folder: Path, count: int) -> list[Tablet]:
    environ = {"FLEET_DATABASE_URL": url, "FLEET_DATA_DIR": str(folder), "FLEET_PUBLIC_URL": f"http://{AUTHORITY}"}
    app = create_app(environ=environ)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(count)]
    now, by = clock.now(), Principal.command_line()
    with app.app_context():
        upgrade()
    with app.app_context(), transaction():
        school = School(name="Benkeskolen")
        db.session.add(school)
        db.session.flush()
        db.session.execute(
            insert(Device),
            [
                {
                    "uid": secrets.token_hex(16), "serial": f"BENCH{number:07}", "platform": Platform.LINUX,
                    "life": DeviceLife.ENROLLED, "school_id": school.id, "created_at": now,
                }
                for number in range(count)
            ],
        )  # fmt: skip
        ids = list(db.session.scalars(select(Device.id).order_by(Device.serial)))
        names = [signing.thumbprint(key.public_key()) for key in keys]
        spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        db.session.execute(
            insert(DeviceState), [{"device_id": i, "key_thumbprint": name} for i, name in zip(ids, names, strict=True)]
        )
        db.session.execute(
            insert(Enrolment),
            [
                {
                    "device_id": i, "channel": "native", "key_thumbprint": name, "enrolled_at": now,
                    "public_key": key.public_key().public_bytes(*spki),
                }
                for i, name, key in zip(ids, names, keys, strict=True)
            ],
        )  # fmt: skip
        base = next(one for one in catalogue.load() if one.name == "barneskole")
        version = publishing.publish(publishing.save_draft(base, by=by, now=now).profile, by=by, now=now)
        assigning.assign(version, Place.municipality(), by=by, now=now)
    with app.app_context():
        desired = db.session.scalar(select(DeviceState.desired_digest).limit(1))
        db.engine.dispose()
    return [Tablet(i, key, desired or "") for i, key in zip(ids, keys, strict=True)]


@contextlib.contextmanager
def running(kind: str, tablets: int) -> Iterator[Bench]:
    """Run a server on a durable database of its own, with enrolled tablets.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        tablets: how many.
    """
    with tempfile.TemporaryDirectory(prefix="fleetbench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        pid = conninfo = None
        if kind == "postgresql":
            counting = ["-c", "shared_preload_libraries=pg_stat_statements"]
            database = stack.enter_context(postgres.running(durable=True, options=counting))
            made = database.create(name="bench")
            url, conninfo, pid = database.url(made), database.conninfo(made), database.pid
        else:
            url = f"sqlite:///{folder / 'bench.sqlite3'}"
        enrolled = _enrol(url, folder / "data", tablets)
        server = stack.enter_context(
            serving(url, folder / "data", jobs="off", FLEET_PUBLIC_URL=f"http://{AUTHORITY}", FLEET_QUEUE_LIMIT="5000")
        )
        yield Bench(server, enrolled, pid, conninfo)
