"""A whole day over real HTTP: the real server, its database, the tablets' processes, the teachers, and a kill.

Not here: how it is told (:mod:`school_day.telling`) and drawn (:mod:`school_day.picture`).
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, select, text

from bench import municipality, school
from bench.municipality import Municipality
from bench.processes import Meter
from bench.school import Ground
from fleet import clock as machine_clock
from fleet.access import Principal
from fleet.channels.native import authority
from fleet.checkins.models import CheckIn
from fleet.db import db, reading, transaction
from fleet.orders.models import Order
from fleet.schools import deciding
from fleet.schools.models import School
from school_day import wire
from school_day.clock import DayClock
from school_day.crowd import QUARTER, Driver, Expect, Plan, Quarter
from school_day.figures import Tally
from school_day.ledger import Ledger, Verdict, judge
from school_day.teachers import Taught, Teachers
from school_day.world import World, build
from tests.serving import Server, free_port, serving

_SAMPLE_S = 1.0
_LEAD_S = 0.5  # until the clock starts, so that all drivers have it


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for.

    Args:
        tablets: how many.
        speed: how many seconds of the day pass in one of the machine's.
        begins: when the day begins, and so on.
        kill_at: when the server is killed and started again; None: it is not.
        kind: ``sqlite`` or ``postgresql``.
        seed: what chance follows from.
        drivers: how many processes carry the tablets.
    """

    tablets: int
    speed: float
    begins: float
    ends: float
    kill_at: float | None
    kind: str
    seed: int = 1
    drivers: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """What server, database and drivers had used by an instant of the day, and what the server held in memory."""

    at: float
    server_cpu_s: float
    database_cpu_s: float
    memory_mib: float


@dataclass
class Found:
    """The day, as it was seen."""

    wanted: Wanted
    world: World
    workers: int
    quarters: list[Quarter] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    taught: Taught = field(default_factory=Taught)
    ledger: Ledger = field(default_factory=Ledger)
    verdict: Verdict | None = None
    down_s: float | None = None  # of the machine: from the kill until the server was ready again
    driver_cpu_s: float = 0.0
    lag_s: float = 0.0
    checked: int = 0
    forged: int = 0
    stored_bytes: int = 0  # of the database at the end, and what of it the day has added
    grown_bytes: int = 0

    def total(self, begins: float = 0.0, ends: float = 86_400.0) -> Tally:
        """Return all that happened in the quarters that begin in a part of the day."""
        total = Tally()
        for one in self.quarters:
            if begins <= one.number * QUARTER < ends:
                total.take_in(one.tally)
        return total


def run(wanted: Wanted, progress: Callable[[Found, Quarter, float], None]) -> Found:
    """Live through a day.

    Args:
        wanted: which.
        progress: is told each quarter of an hour that is over, and how long it took.
    """
    world = build(wanted.tablets, seed=wanted.seed)
    workers = 1 if wanted.kind == "sqlite" else os.cpu_count() or 1
    found = Found(wanted, world, workers)
    port = free_port()
    with school.ground(wanted.kind, FLEET_BIND=f"127.0.0.1:{port}") as ground:
        town = _filled(ground, world, port)
        size = _size(ground)
        key = authority.load(ground.data_dir / "secrets", now=machine_clock.now()).assignment.public_key()
        with _serving(ground, port, workers) as server, _drivers(found, town, port, key) as drivers:
            asyncio.run(_Day(found, town, ground, server, drivers).live(progress))
            found.stored_bytes = _size(ground)
            found.grown_bytes = found.stored_bytes - size
        found.verdict = _judged(ground, found)
    return found


def _filled(ground: Ground, world: World, port: int) -> Municipality:
    """Fill the database with the world's schools, classes and tablets, and tell the schools' networks."""
    classes = world.tablets[-1].class_number + 1
    town = municipality.fill(
        ground.app, classes=classes, authority=f"127.0.0.1:{port}", of_a_school=world.classes_of_a_school
    )
    by, now = Principal.command_line(), machine_clock.now()
    with ground.app.app_context(), transaction():
        for number, one in enumerate(db.session.scalars(select(School).order_by(School.id)).all()):
            deciding.set_networks(one, wire.networks(number), by=by, now=now)
    with ground.app.app_context():
        db.engine.dispose()  # before processes share its connections
    return town


@contextlib.contextmanager
def _drivers(found: Found, town: Municipality, port: int, key: ec.EllipticCurvePublicKey) -> Iterator[list[Driver]]:
    owned = [one for of in town.classes[1:] for one in of.tablets][: found.wanted.tablets]
    pairs = list(zip(found.world.tablets, owned, strict=True))
    count = found.wanted.drivers
    plans = [
        Plan(found.world, found.wanted.ends, pairs[place::count], port, key, found.wanted.seed)
        for place in range(count)
    ]
    drivers = [Driver(plan) for plan in plans]
    try:
        yield drivers
    finally:
        for one in drivers:
            one.stop()


@contextlib.contextmanager
def _serving(ground: Ground, port: int, workers: int) -> Iterator[Server]:
    with serving(ground.url, ground.data_dir, port=port, FLEET_WORKERS=str(workers)) as server:
        yield server


class _Day:
    """The parent's part: clock, kill, samples, teachers."""

    def __init__(
        self, found: Found, town: Municipality, ground: Ground, server: Server, drivers: Sequence[Driver]
    ) -> None:
        self._found, self._ground, self._server, self._drivers = found, ground, server, drivers
        self._meter = Meter.of(server, ground.database_pid)
        self._before_s = 0.0  # processor time of the server that was killed
        wanted = found.wanted
        known = sum(one.wait_until_known() for one in drivers)
        print(f"school-day: {known} of {wanted.tablets} tablets are known; the day begins", file=sys.stderr, flush=True)
        self._clock = DayClock(wanted.begins, wanted.speed, time.perf_counter() + _LEAD_S)
        self._teachers = Teachers(server.port, town, self._clock, wanted.ends, self._expect, found.taught)
        # Of the loop's own pool: it is not used up by waiting for the drivers.
        self._pool = ThreadPoolExecutor(len(drivers) + 2, thread_name_prefix="day")

    def _expect(self, told: Expect) -> None:
        for one in self._drivers:
            one.expect(told)

    async def live(self, progress: Callable[[Found, Quarter, float], None]) -> None:
        """Live through it."""
        for one in self._drivers:
            one.start(self._clock)
        sampling, killing = asyncio.ensure_future(self._sample()), asyncio.ensure_future(self._kill())
        teaching = asyncio.ensure_future(self._teachers.teach(self._found.world.lessons))
        try:
            await self._gather(progress)
            await teaching
            await killing  # the server is back by the time the database is asked
        finally:
            for task in (sampling, killing, teaching):
                task.cancel()
            self._pool.shutdown(wait=False)  # the drivers' ends let it go

    async def _gather(self, progress: Callable[[Found, Quarter, float], None]) -> None:
        """Take in the drivers' quarters until the last ones."""
        loop, begun, is_last = asyncio.get_running_loop(), time.perf_counter(), False
        ledgers: list[Ledger] = []
        while not is_last:
            parts = await asyncio.gather(*(loop.run_in_executor(self._pool, one.next_quarter) for one in self._drivers))
            tally = Tally()
            for part in parts:
                tally.take_in(part.tally)
            ledgers = [part.ledger for part in parts if part.ledger is not None]
            is_last = len(ledgers) == len(parts)
            quarter = Quarter(parts[0].number, tally)
            self._found.quarters.append(quarter)
            now = time.perf_counter()
            progress(self._found, quarter, now - begun)
            begun = now
        self._note(parts, ledgers)

    def _note(self, parts: Sequence[Quarter], ledgers: Sequence[Ledger]) -> None:
        found = self._found
        found.driver_cpu_s = sum(part.cpu_s for part in parts)
        found.lag_s = max(part.lag_s for part in parts)
        found.checked, found.forged = sum(part.checked for part in parts), sum(part.forged for part in parts)
        for one in ledgers:
            found.ledger.take_in(one)

    async def _sample(self) -> None:
        while True:
            self._take_sample()
            await asyncio.sleep(_SAMPLE_S)

    def _take_sample(self) -> None:
        with contextlib.suppress(OSError):  # between a kill and the next start there is nothing to see
            server, database = self._meter.cpu()
            if (memory := self._meter.memory_mib()) > 0:
                sample = Sample(self._clock.now(), self._before_s + server, database, memory)
                self._found.samples.append(sample)

    async def _kill(self) -> None:
        """Kill the server with all its processes, and start it again at once."""
        kill_at = self._found.wanted.kill_at
        if kill_at is None or not self._clock.begins <= kill_at < self._found.wanted.ends:
            return
        await asyncio.sleep(self._clock.left_s(kill_at))
        self._take_sample()
        used = self._meter.cpu()[0]
        begun = time.perf_counter()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._pool, self._server.stop, signal.SIGKILL)
        await loop.run_in_executor(self._pool, self._server.start)
        self._found.down_s = time.perf_counter() - begun
        self._before_s += used
        self._meter = Meter.of(self._server, self._ground.database_pid)


def _judged(ground: Ground, found: Found) -> Verdict:
    """Hold the tablets' ledger against the database."""
    with ground.app.app_context(), reading():
        stored = db.session.execute(select(CheckIn.report_id, func.count()).group_by(CheckIn.report_id)).all()
        orders = db.session.execute(select(Order.uid, Order.state)).all()
    return judge(found.ledger, [(row[0], row[1]) for row in stored], {row.uid: row.state.value for row in orders})


def _size(ground: Ground) -> int:
    """Return how large the database is."""
    told = {
        "postgresql": "SELECT pg_database_size(current_database())",
        "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    }
    with ground.app.app_context(), reading():
        size = db.session.scalar(text(told[db.engine.dialect.name]))
        db.session.remove()
        db.engine.dispose()
    return int(size or 0)
