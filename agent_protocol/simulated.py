"""Tablets in memory: the real session over a make-believe tablet, thousands in one process.

For tests, demonstrations and load. Invariant: everything a simulated tablet does follows from its seed, its clock and
what the server says, so that a run can be repeated.
"""

import contextlib
import heapq
import json
import random
import resource
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from agent_protocol import clock
from agent_protocol.client import BusyError
from agent_protocol.device import Identity, Inventory
from agent_protocol.errors import Code
from agent_protocol.messages import App, Failure, Order, OrderState
from agent_protocol.session import RefusedError, Session
from agent_protocol.states import AgentState
from agent_protocol.store import MemoryStore, write_whole
from agent_protocol.transport import HttpTransport, Transport, UnreachableError, authority_of
from agent_protocol.waiting import OpenWaits

_GIB = 2**30
_ENROL_RETRY = timedelta(seconds=5)
_IN_USE_RETRY = timedelta(minutes=1)
_OTHER_FILES = 256  # besides the tablets' connections


class SimulatedDevice:
    """A make-believe tablet: apps appear some reports after they are required, the battery runs down and is charged.

    Args:
        serial: its serial.
        seed: what its luck follows from, besides the serial.
        model: its model.
        os_version: its operating system's version.
        apps: what is installed from the start.
        failing: share of settings that it cannot apply, 0 to 1.
    """

    def __init__(
        self,
        serial: str,
        *,
        seed: int = 0,
        model: str = "Demo-nettbrett 11",
        os_version: str = "18.4",
        apps: Iterable[str] = (),
        failing: float = 0.0,
    ) -> None:
        self._identity = Identity(serial, "linux", model)
        self._os_version = os_version
        self._dice = random.Random(f"{seed}/{serial}")  # noqa: S311 (make-believe)
        self._failing = failing
        self._apps = dict.fromkeys(apps, "1.0")
        self._wanted: dict[str, int] = {}
        self._total = self._dice.choice((32, 64, 128)) * _GIB
        self._free = int(self._total * self._dice.uniform(0.09, 0.7))
        self._battery = self._dice.uniform(30, 100)
        self.applied: tuple[str, Mapping[str, Any]] | None = None
        self.messages: list[str] = []
        self.opened: list[str] = []

    def identity(self) -> Identity:
        """Return who the tablet is."""
        return self._identity

    def inventory(self) -> Inventory:
        """Return what the tablet has just now; each look takes it a little on in life."""
        self._battery -= self._dice.uniform(0, 0.4)
        if self._battery < 8:
            self._battery = 100
        for app, rounds in list(self._wanted.items()):
            self._wanted[app] = rounds - 1
            if rounds <= 0:
                self._apps[app] = "1.0"
                del self._wanted[app]
        return Inventory(
            os_version=self._os_version,
            model=self._identity.model,
            battery_percent=round(self._battery),
            storage_total_bytes=self._total,
            storage_free_bytes=self._free,
            apps=[App(app, version) for app, version in sorted(self._apps.items())],
        )

    def apply(self, digest: str, settings: Mapping[str, Any]) -> Sequence[Failure]:
        """Take a profile; required apps arrive later, blocked ones leave at once."""
        self.applied = (digest, dict(settings))
        for app in settings.get("apps.blocked", ()):
            self._apps.pop(app, None)
        for app in settings.get("apps.required", ()):
            if app not in self._apps:
                self._wanted.setdefault(app, self._dice.randint(0, 3))
        return [Failure(key, "rejected") for key in sorted(settings) if self._dice.random() < self._failing]

    def obey(self, order: Order) -> tuple[OrderState, str]:
        """Obey; messages, and what was opened, are kept to be looked at."""
        if order.kind in {"message", "lock-message"}:
            self.messages.append(str(order.payload.get("text", "")))
        elif order.kind in {"open-url", "open-app"}:
            self.opened.append(str(order.payload.get("url" if order.kind == "open-url" else "app", "")))
        return OrderState.DONE, ""


class SimulatedTablet:
    """A simulated tablet with its session.

    Args:
        server: the server's address.
        device: the make-believe tablet.
        code: the ticket to enrol with; None where the store knows the tablet already.
        store: its memory.
    """

    def __init__(
        self, server: str, device: SimulatedDevice, *, code: str | None = None, store: MemoryStore | None = None
    ) -> None:
        self.device = device
        self.store = store or MemoryStore()
        self.code = code
        serial = device.identity().serial
        self.session = Session(authority_of(server), self.store, device, dice=random.Random(serial))  # noqa: S311
        self.refused: str | None = None

    def step(self, transport: Transport, now: datetime) -> datetime | None:
        """Do what is due; return when to come back, None where the server refuses this tablet for good."""
        session = self.session
        if session.memory.state is AgentState.NEW:
            try:
                session.enrol(transport, now, self.code or session.memory.ticket or "")
            except BusyError as busy:
                return now + timedelta(seconds=busy.seconds)
            except UnreachableError:
                return now + _ENROL_RETRY
            except RefusedError as refusal:
                if refusal.code == Code.DEVICE_IN_USE:  # its own earlier life, before it was killed
                    return now + _IN_USE_RETRY
                self.refused = refusal.code
                return None
        session.step(transport, now)
        return self._again(now)

    def _again(self, now: datetime) -> datetime:
        return max(self.session.next_step_at(now), now + timedelta(milliseconds=50))

    def begin_wait(self, line: HttpTransport, now: datetime) -> bool:
        """Send the poll that is due for the server to hold, on a line of the tablet's own; returns whether it was."""
        wait = self.session.waiting(now)
        if wait is None:
            return False
        try:
            line.begin(wait.method, wait.target, wait.headers, None, within_s=wait.within_s)
        except UnreachableError:
            self.session.unanswered(now)
            return False
        return True

    def end_wait(self, line: HttpTransport, transport: Transport, now: datetime) -> datetime:
        """Take what became of the wait that was begun on ``line``; returns when to come back."""
        try:
            response = line.finish()
        except UnreachableError:
            self.session.unanswered(now)
        else:
            self.session.answered(transport, response, now)
        return self._again(now)


class SimulatedFleet:
    """Many simulated tablets against one server, each when it is due.

    A tablet that waits has a connection of its own and no thread; all else goes over the threads' kept connections.

    Args:
        server: the server's address.
        tablets: the tablets.
        threads: how many tablets may do something at once.
        waits: whether polls wait at the server for news; only where time has its real pace.
        now: the clock; give another one to run faster than life.
        first_within_s: the tablets' first steps are spread over this many seconds.
        connect: makes a connection to the server.
    """

    def __init__(
        self,
        server: str,
        tablets: Sequence[SimulatedTablet],
        *,
        threads: int = 8,
        waits: bool = True,
        now: Callable[[], datetime] = clock.now,
        first_within_s: float = 10,
        connect: Callable[[str], HttpTransport] = HttpTransport,
    ) -> None:
        self._connect = partial(connect, server)
        self.tablets = tablets
        for tablet in tablets:
            tablet.session.waits = waits
        self._threads = threads
        self._now = now
        self._lock = threading.Condition()
        self._stopping = False
        self._lines = [self._connect() for _ in tablets]
        self._open: set[int] = set()
        begin = now()
        spread = first_within_s / max(1, len(tablets))
        self._due = [(begin + timedelta(seconds=number * spread), number) for number in range(len(tablets))]
        self.steps = 0

    @property
    def waiting(self) -> int:
        """How many tablets wait at the server."""
        return len(self._open)

    def stop(self) -> None:
        """Have :meth:`run` return after the steps that are under way."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()

    def run(self) -> None:
        """Step each tablet when it is due, until :meth:`stop`.

        Raises:
            Exception: whatever a tablet's step raised that it should not have.
        """
        _allow_files(len(self.tablets) + _OTHER_FILES)
        waits = OpenWaits(lambda number: self._come_back(number, self._now()))
        with ThreadPoolExecutor(self._threads + 1, thread_name_prefix="tablets") as pool:
            watching = pool.submit(self._whole, waits.run)
            working = [pool.submit(self._whole, lambda: self._work(waits)) for _ in range(self._threads)]
            futures.wait(working)
            waits.stop()
        for line in self._lines:
            line.close()
        for future in [watching, *working]:
            future.result()

    def _whole(self, act: Callable[[], None]) -> None:
        """End everything where one part fails."""
        try:
            act()
        except BaseException:
            self.stop()
            raise

    def _work(self, waits: OpenWaits) -> None:
        with contextlib.closing(self._connect()) as transport:
            while (number := self._next()) is not None:
                self._serve(number, transport, waits)

    def _serve(self, number: int, transport: Transport, waits: OpenWaits) -> None:
        tablet, line = self.tablets[number], self._lines[number]
        if number in self._open:
            self._open.remove(number)
            again: datetime | None = tablet.end_wait(line, transport, self._now())
        else:
            again = tablet.step(transport, self._now())
        if again is None:
            return
        if tablet.begin_wait(line, self._now()):
            self._open.add(number)
            waits.add(number, line)
        else:
            self._come_back(number, again)

    def _come_back(self, number: int, at: datetime) -> None:
        with self._lock:
            heapq.heappush(self._due, (at, number))
            self._lock.notify()

    def _next(self) -> int | None:
        with self._lock:
            while not self._stopping:
                pause = (self._due[0][0] - self._now()).total_seconds() if self._due else 1.0
                if self._due and pause <= 0:
                    self.steps += 1
                    return heapq.heappop(self._due)[1]
                self._lock.wait(min(pause, 1.0))
            return None

    def save(self, path: Path) -> None:
        """Keep all tablets' keys and memories in a file, owner-only, so that :func:`restore` can go on with them."""
        content = {tablet.device.identity().serial: tablet.store.export() for tablet in self.tablets}
        write_whole(path, json.dumps(content).encode())


def _allow_files(count: int) -> None:
    """Let this process have that many files open, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (count if hard == resource.RLIM_INFINITY else min(count, hard), hard)
        )


def restore(path: Path) -> dict[str, MemoryStore]:
    """Return the stores that :meth:`SimulatedFleet.save` kept, by serial; none where the file does not exist."""
    if not path.exists():
        return {}
    return {serial: MemoryStore.restored(exported) for serial, exported in json.loads(path.read_bytes()).items()}
