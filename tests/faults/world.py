"""A server, its database and restless tablets, with proxies between them."""

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from bench.processes import tree
from fleet import clock, orders, upgrading
from fleet.access import Principal
from fleet.app import create_app
from fleet.assignments.assigning import Place
from fleet.db import changed, db, transaction
from fleet.devices import tickets
from fleet.devices.models import Device, DeviceLife, Platform
from fleet.orders import OrderKind, Wish
from tests import factories as make
from tests.fault_proxy import CommitProxy, HttpProxy
from tests.faults import cluster
from tests.faults.cluster import Cluster
from tests.faults.disk import Disk, mounted
from tests.faults.server import CLOCK
from tests.faults.tablets import RestlessTablet, living
from tests.serving import Server, free_port

BY = Principal.command_line()
PATIENCE_S = 300.0  # for what comes by itself; a busy machine is no fault
_QUEUE_LIMIT = 10
_DISK_BYTES = 192 * 2**20  # enough for /readyz to call it fit


class FaultError(Exception):
    """Something that must be so after a fault is not."""


@dataclass
class World:
    """Everything there is.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        server: the server.
        app: the application on the same database, past all proxies.
        net: between tablets and server.
        commits: between server and PostgreSQL.
        cluster: the PostgreSQL.
        disk: that the database is on; None where none of a size of its own can be made here.
        clock: the file that says how far ahead the server's clock is.
        tablets: the tablets.
        queued: names of orders that were taken in, by serial.
    """

    kind: str
    server: Server
    app: Flask
    net: HttpProxy
    commits: CommitProxy | None
    cluster: Cluster | None
    disk: Disk | None
    clock: Path
    tablets: list[RestlessTablet] = field(default_factory=list)
    queued: dict[str, set[str]] = field(default_factory=dict)
    _texts: Iterator[int] = field(default_factory=itertools.count, init=False)

    def queue_orders(self) -> None:
        """Queue a message for every tablet; what the database refuses is not taken in, or may be."""
        wish = Wish(OrderKind.MESSAGE, text=f"Prøvemelding {next(self._texts)}")
        try:
            with self.app.app_context(), transaction():
                devices = db.session.scalars(select(Device).order_by(Device.id)).all()
                serials = {device.id: device.serial for device in devices}
                fresh = orders.queue(devices, wish, by=BY, now=self.now())
                changed("device", serials, now=self.now())  # as a roster would, at that moment
                taken = [(serials[order.device_id], order.uid) for order in fresh]
        except SQLAlchemyError:
            return
        for serial, uid in taken:
            self.queued.setdefault(serial, set()).add(uid)

    def set_clock(self, ahead: timedelta) -> None:
        """Set the server's clock."""
        draft = self.clock.with_suffix(".new")
        draft.write_text(str(ahead.total_seconds()))
        draft.replace(self.clock)

    def now(self) -> datetime:
        """Return what the server's clock shows."""
        return clock.now() + timedelta(seconds=float(self.clock.read_text()))

    def workers(self) -> list[int]:
        """Return the processes that serve."""
        head = self.server.process
        assert head is not None
        return [pid for pid in tree(head.pid) if pid != head.pid]

    def acknowledged(self) -> int:
        """Return how many reports were acknowledged."""
        return sum(len(tablet.ledger.acknowledged) for tablet in self.tablets)

    def answers(self, status: int) -> int:
        """Return how many answers had this status."""
        return sum(tablet.ledger.statuses[status] for tablet in self.tablets)

    def is_ready(self) -> bool:
        """Whether the server says that it is ready."""
        try:
            return self.server.get("/readyz").status == 200
        except OSError:
            return False

    def wait(self, what: str, is_so: Callable[[], bool]) -> None:
        """Wait for something.

        Raises:
            FaultError: it was not to be, or a tablet broke.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            broken = [tablet for tablet in self.tablets if tablet.failure is not None]
            if broken:
                raise FaultError(f"{broken[0].serial} broke: {broken[0].failure!r}")
            if time.monotonic() > deadline:
                raise FaultError(f"not within {PATIENCE_S:.0f} s: {what}\n{self.server.log[-3000:]}")
            time.sleep(0.05)

    def go_on(self) -> None:
        """Wait until about every tablet has had a report acknowledged once more."""
        before = self.acknowledged()
        self.wait("reports are acknowledged", lambda: self.acknowledged() >= before + len(self.tablets))


def _school(app: Flask, serials: list[str]) -> str:
    """Make a school that expects these tablets, with a profile for them; returns a ticket's code."""
    now = clock.now()
    with app.app_context(), transaction():
        school = make.school()
        for serial in serials:
            make.device(school, serial=serial, platform=Platform.LINUX, life=DeviceLife.EXPECTED)
        make.assign(make.published(), Place.municipality(), now=now)
        place, until = tickets.Place(school), now + timedelta(days=1)
        return tickets.create(place, expires_at=until, max_enrolments=len(serials), by=BY, now=now)[1]


@contextmanager
def world(kind: str, *, tablets: int = 10, pause_s: float = 0.25) -> Iterator[World]:
    """Make a world, with its tablets enrolled, while the body runs.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        tablets: how many.
        pause_s: how long each rests between.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleetfaults-")))
        folder.chmod(0o755)  # PostgreSQL's user has to come through
        made = _ground(kind, folder, stack)
        code = _school(made.app, serials := [f"FAULT{number:04}" for number in range(tablets)])
        made.server.start()
        stack.callback(_end, made)
        authority = f"{made.server.host}:{made.server.port}"
        host, port = made.net.where  # type: ignore[misc]  # one that listens over TCP
        made.tablets = [
            RestlessTablet(f"http://{host}:{port}", authority, serial, code=code, pause_s=pause_s) for serial in serials
        ]
        stack.enter_context(living(made.tablets))
        made.wait("all are enrolled and heard", lambda: all(one.ledger.acknowledged for one in made.tablets))
        yield made


def _ground(kind: str, folder: Path, stack: ExitStack) -> World:
    """Make everything but the tablets, and start all but the server."""
    disk = stack.enter_context(mounted(folder / "disk", _DISK_BYTES))
    own, commits = None, None
    url = direct = f"sqlite:///{folder / 'disk' / 'fleet.sqlite3'}"
    if kind == "postgresql":
        own = stack.enter_context(cluster.running(folder / "disk"))
        own.create("fleet")
        commits = CommitProxy(own.socket, listen=cluster.proxied(folder))
        stack.callback(commits.close)
        direct, url = own.url("fleet"), own.url("fleet", at=folder)
    port = free_port()
    net = HttpProxy(("127.0.0.1", port))
    stack.callback(net.close)
    (moved := folder / "clock").write_text("0")
    environ = {
        "FLEET_POLL_S": "1", "FLEET_REPORT_S": "1", "FLEET_QUEUE_LIMIT": str(_QUEUE_LIMIT), CLOCK: str(moved),
        "FLEET_WORKERS": "1" if kind == "sqlite" else "2",
    }  # fmt: skip
    server = Server(url, folder / "data", environ, port, program="tests.faults.server")
    app = create_app(environ={"FLEET_DATABASE_URL": direct, "FLEET_DATA_DIR": str(folder / "data")})
    with app.app_context():
        upgrading.upgrade()
        upgrading.finish()
        db.engine.dispose()
    stack.callback(_forget, app)
    return World(kind, server, app, net, commits, own, disk, moved)


def _forget(app: Flask) -> None:
    with app.app_context():
        db.engine.dispose()


def _end(made: World) -> None:
    head = made.server.process
    if head is not None and head.poll() is None:
        os.killpg(head.pid, 9)
        head.wait()
