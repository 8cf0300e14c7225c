"""A school of enrolled tablets written straight into a database, and requests signed by them."""

import contextlib
import json
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from sqlalchemy import insert, select, update

from agent_protocol import signing
from bench import load
from fleet import clock, upgrading
from fleet.access import Principal
from fleet.app import create_app
from fleet.assignments import assigning, publishing
from fleet.assignments.assigning import Place
from fleet.db import db, transaction
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
    authority: str = AUTHORITY
    desired: str = ""
    sequence: int = 1

    def __post_init__(self) -> None:
        self._keyid = signing.thumbprint(self.key.public_key())
        self._again: tuple[int, str, dict[str, str]] | None = None  # the last GET's: when signed, path, headers

    def poll(self, etag: str, *, signed_s_ago: int = 0) -> bytes:
        """Return a signed poll; good for five minutes from when it was signed, as often as one likes."""
        path = "/agent/v1/config"
        headers = self.signed("GET", path, None, signing.SAFE_NONCE, signed_s_ago=signed_s_ago)
        return load.request("GET", path, {**headers, "If-None-Match": etag})

    def asked(self, path: str) -> dict[str, str]:
        """Return the headers of a request without a body, signed anew once in a while, as agents do."""
        now = int(clock.now().timestamp())
        if self._again is None or self._again[1] != path or now - self._again[0] >= signing.AGAIN_S:
            self._again = now, path, self.signed("GET", path, None, signing.SAFE_NONCE)
        return self._again[2]

    def report(self) -> bytes:
        """Return a signed report of about 600 bytes with the next sequence, which says that what is desired is so."""
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
        return self.post(path, json.dumps(told).encode(), **{"Idempotency-Key": report_id})

    def post(self, path: str, body: bytes, **headers: str) -> bytes:
        """Return something told, signed under the tablet's next number."""
        nonce, self.sequence = str(self.sequence), self.sequence + 1
        signed = self.signed("POST", path, body, nonce)
        return load.request("POST", path, {**signed, "Content-Type": "application/json", **headers}, body)

    def signed(
        self, method: str, path: str, body: bytes | None, nonce: str, *, signed_s_ago: int = 0
    ) -> dict[str, str]:
        """Return the headers of a signed request."""
        created = int(clock.now().timestamp()) - signed_s_ago
        told = signing.sign_request(
            self.key,
            method=method,
            authority=self.authority,
            path=path,
            query="",
            body=body,
            created=created,
            nonce=nonce,
            keyid=self._keyid,
        )
        return {"Host": self.authority, **told}


@dataclass
class Bench:
    """A running server with its tablets; ``database_pid`` is None with the embedded database."""

    server: Server
    tablets: list[Tablet]
    database_pid: int | None
    conninfo: str | None


def insert_tablets(rows: Sequence[Mapping[str, object]], *, authority: str = AUTHORITY) -> list[Tablet]:
    """Write enrolled tablets, one statement a table, and return them with their keys; what they shall have is missing.

    Args:
        rows: columns of each that are not the same for all, with a serial each, in rising order of it.
        authority: the server's host and port, as requests are signed for it.
    """
    now = clock.now()
    same = {"platform": Platform.LINUX, "life": DeviceLife.ENROLLED, "created_at": now}
    db.session.execute(insert(Device), [{"uid": secrets.token_hex(16), **same, **row} for row in rows])
    serials = [row["serial"] for row in rows]
    known = select(Device.id).where(Device.serial.between(serials[0], serials[-1])).order_by(Device.serial)
    tablets = [Tablet(one, ec.generate_private_key(ec.SECP256R1()), authority) for one in db.session.scalars(known)]
    names = [signing.thumbprint(one.key.public_key()) for one in tablets]
    db.session.execute(
        insert(DeviceState),
        [{"device_id": one.device_id, "key_thumbprint": name} for one, name in zip(tablets, names, strict=True)],
    )
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    enrolments = [
        {
            "device_id": one.device_id, "channel": "native", "key_thumbprint": name, "enrolled_at": now,
            "public_key": one.key.public_key().public_bytes(*spki),
        }
        for one, name in zip(tablets, names, strict=True)
    ]  # fmt: skip
    db.session.execute(insert(Enrolment), enrolments)
    return tablets


def give_keys(count: int) -> list[Tablet]:
    """Give tablets that are spread over all there are a key of their own; returns them."""
    ids = db.session.scalars(select(DeviceState.device_id).order_by(DeviceState.device_id)).all()
    spread = [ids[place * len(ids) // count] for place in range(count)]
    found = [Tablet(one, ec.generate_private_key(ec.SECP256R1())) for one in spread]
    numbers = dict(db.session.execute(select(Enrolment.device_id, Enrolment.id)).tuples().all())
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    keys = [(one.key.public_key().public_bytes(*spki), signing.thumbprint(one.key.public_key())) for one in found]
    states = [{"device_id": one.device_id, "key_thumbprint": name} for one, (_, name) in zip(found, keys, strict=True)]
    db.session.execute(update(DeviceState), [{**row, "last_sequence": 0, "last_report_id": None} for row in states])
    enrolments = [
        {"id": numbers[one.device_id], "key_thumbprint": name, "public_key": der}
        for one, (der, name) in zip(found, keys, strict=True)
    ]
    db.session.execute(update(Enrolment), enrolments)
    return found


def enrol(app: Flask, count: int) -> list[Tablet]:
    """Write a school of tablets with a ready-made profile and return them."""
    now, by = clock.now(), Principal.command_line()
    with app.app_context(), transaction():
        school = School(name="Benkeskolen")
        db.session.add(school)
        db.session.flush()
        rows = [{"serial": f"BENCH{number:07}", "school_id": school.id} for number in range(count)]
        tablets = insert_tablets(rows)
        base = next(one for one in catalogue.load() if one.name == "barneskole")
        version = publishing.publish(publishing.save_draft(base, by=by, now=now).profile, by=by, now=now)
        assigning.assign(version, Place.municipality(), by=by, now=now)
    with app.app_context():
        desired = db.session.scalar(select(DeviceState.desired_digest).limit(1)) or ""
        db.engine.dispose()
    for tablet in tablets:
        tablet.desired = desired
    return tablets


@dataclass
class Ground:
    """A migrated durable database of its own and the application on it; see :class:`Bench` for the rest."""

    app: Flask
    url: str
    data_dir: Path
    database_pid: int | None
    conninfo: str | None


@contextlib.contextmanager
def ground(kind: str, **environ: str) -> Iterator[Ground]:
    """Make a database, empty but for its tables.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        environ: settings of the application.
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
        data_dir = folder / "data"
        told = {"FLEET_DATABASE_URL": url, "FLEET_DATA_DIR": str(data_dir), **environ}
        app = create_app(environ=told)
        with app.app_context():
            upgrading.upgrade()
            upgrading.finish()
        yield Ground(app, url, data_dir, pid, conninfo)


@contextlib.contextmanager
def running(kind: str, tablets: int, **environ: str) -> Iterator[Bench]:
    """Run a server on a durable database of its own, with enrolled tablets.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        tablets: how many.
        environ: more settings of the server.
    """
    public = f"http://{AUTHORITY}"
    with ground(kind, FLEET_PUBLIC_URL=public) as made:
        enrolled = enrol(made.app, tablets)
        told = {"FLEET_QUEUE_LIMIT": "5000", "FLEET_PUBLIC_URL": public, **environ}
        with serving(made.url, made.data_dir, jobs="off", port=None, **told) as server:
            yield Bench(server, enrolled, made.database_pid, made.conninfo)
