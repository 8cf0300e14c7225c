"""The process that carries the tablets: their day by the day's clock, and what came of it.

One process carries some thousand; several share a larger number. The parent tells it which lesson changes are under
way, and is told a tally each quarter of an hour of the day and the ledger at its end.
"""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import uvloop
from cryptography.hazmat.primitives.asymmetric import ec

from agent_protocol.messages import ConfigAnswer
from bench.school import Tablet as Credentials
from bench.waiting import OTHER_FILES, allow_files
from school_day import wire
from school_day.clock import DayClock
from school_day.figures import Tally
from school_day.ledger import Ledger
from school_day.tablet import Tablet
from school_day.world import HOUR, MINUTE, Place, Span, TabletDay, World

QUARTER = 15 * MINUTE
_LOOK_UP_S = 0.25
_AT_ONCE = 48
_WIND_DOWN_S = 60.0  # of the machine: for how long answers are waited for when the day is over
_CHECK_EACH = 50
_UPDATE_S = 4 * MINUTE
OLD_SYSTEM, NEW_SYSTEM = "18.4", "18.5"


@dataclass(frozen=True, slots=True)
class Expect:
    """A teacher's form was sent at ``since`` (the machine's monotonic clock): a class shall apply ``digests``."""

    class_number: int
    what: str
    digest: str
    since: float


@dataclass(frozen=True, slots=True)
class Quarter:
    """What happened in a quarter of an hour; the last one brings the ledger, and what was odd about the driver."""

    number: int
    tally: Tally
    ledger: Ledger | None = None
    cpu_s: float = 0.0
    lag_s: float = 0.0
    checked: int = 0
    forged: int = 0


@dataclass
class Plan:
    """What a driver needs to know.

    Args:
        world: the day.
        until: when it ends.
        share: which of the tablets this driver carries, with their keys.
        port: of the server.
        key: the one that configurations are signed with.
        seed: what chance follows from.
    """

    world: World
    until: float
    share: Sequence[tuple[TabletDay, Credentials]]
    port: int
    key: ec.EllipticCurvePublicKey
    seed: int


@dataclass
class Crowd:
    """The tablets of this process; what :class:`school_day.around.Around` asks for."""

    plan: Plan
    clock: DayClock
    pipe: Connection
    tally: Tally = field(default_factory=Tally)
    ledger: Ledger = field(default_factory=Ledger)
    checked: int = 0
    forged: int = 0
    lag_s: float = 0.0
    _seen: int = 0

    def __post_init__(self) -> None:
        self.port = self.plan.port
        self.tablets = [Tablet(day, own, self, seed=self.plan.seed) for day, own in self.plan.share]
        self._of_class: dict[int, list[Tablet]] = defaultdict(list)
        for one in self.tablets:
            self._of_class[one.day.class_number].append(one)

    def school_of(self, class_number: int) -> int:
        """Return a class's school."""
        return self.plan.world.school_of(class_number)

    def is_open(self, class_number: int, instant: float) -> bool:
        """Whether its school is open."""
        return self.plan.world.is_open(class_number, instant)

    def checks(self, answer: ConfigAnswer) -> None:
        """Verify some of the configurations."""
        self._seen += 1
        if self._seen % _CHECK_EACH == 1:
            self.checked += 1
            self.forged += not wire.is_signed(answer, self.plan.key)

    async def come_to_be_known(self) -> None:
        """Have each tablet ask and report once, some at a time, as they have on every day before this one."""
        waiting = iter(self.tablets)
        span = Span(0.0, 24 * HOUR, Place.HOME)

        async def some() -> None:
            for tablet in waiting:
                tablet.open(span)
                gives_up_at = time.perf_counter() + _WIND_DOWN_S
                while not tablet.is_known and time.perf_counter() < gives_up_at:  # noqa: ASYNC110 (its own events are many)
                    await asyncio.sleep(0.01)
                tablet.shut()

        looking = asyncio.ensure_future(self._look_up())
        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
        looking.cancel()
        self.tally, self.lag_s = Tally(), 0.0

    async def live(self) -> None:
        """Live through the day."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.pipe.fileno(), self._hear)
        os.set_blocking(self.pipe.fileno(), True)  # uvloop has changed that: the ledger is larger than a pipe holds
        for tablet in self.tablets:
            tablet.wake_up()
            self._arrange(loop, tablet)
        gc.collect()
        gc.freeze()  # else the collector walks over all of this while tablets are answered
        looking = asyncio.ensure_future(self._look_up())
        number = int(self.clock.begins // QUARTER)
        while (ends := (number + 1) * QUARTER) < self.plan.until:
            await asyncio.sleep(self.clock.left_s(ends))
            self._hand_over(number)
            number += 1
        await asyncio.sleep(self.clock.left_s(self.plan.until))
        await self._wind_down()
        looking.cancel()
        loop.remove_reader(self.pipe.fileno())
        for tablet in self.tablets:
            tablet.finish()
        self._hand_over(number, is_last=True)

    async def _wind_down(self) -> None:
        """Let what is under way be answered."""
        for tablet in self.tablets:
            tablet.wind_down()
        gives_up_at = time.perf_counter() + _WIND_DOWN_S
        while any(one.is_asking for one in self.tablets) and time.perf_counter() < gives_up_at:  # noqa: ASYNC110 (many)
            await asyncio.sleep(0.05)

    def _arrange(self, loop: asyncio.AbstractEventLoop, tablet: Tablet) -> None:
        """Set the alarms of a tablet's day; what was to begin before the day does begins with it."""
        day, outage = tablet.day, self.plan.world.outage
        for span in _cut(day.spans, day.updates_at):
            if span.ends <= self.clock.begins:
                continue
            begins = span.begins
            if span.place is Place.SCHOOL and outage.hits(day, begins):
                begins = outage.ends
            if begins < span.ends:
                self._at(loop, begins, tablet.open, span)
                self._at(loop, span.ends, tablet.shut)
            if span.place is Place.SCHOOL and begins < outage.begins < span.ends and outage.hits(day, outage.begins):
                self._at(loop, outage.begins, tablet.mute)
                self._at(loop, outage.ends, tablet.unmute)
        if day.updates_at is not None:
            self._at(loop, day.updates_at, tablet.update, NEW_SYSTEM)

    def _at(self, loop: asyncio.AbstractEventLoop, instant: float, act: object, *told: object) -> None:
        if instant < self.plan.until:
            loop.call_later(self.clock.left_s(instant), act, *told)  # type: ignore[arg-type]

    def _hear(self) -> None:
        while self.pipe.poll():
            told: Expect = self.pipe.recv()
            for tablet in self._of_class[told.class_number]:
                tablet.expect(told.what, told.digest, told.since)

    async def _look_up(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_LOOK_UP_S)
            now = time.perf_counter()
            self.lag_s = max(self.lag_s, now - before - _LOOK_UP_S)
            for tablet in self.tablets:
                tablet.look_up(now)

    def _hand_over(self, number: int, *, is_last: bool = False) -> None:
        tally, self.tally = self.tally, Tally()
        tally.held = sum(one.is_held for one in self.tablets)
        tally.awake = sum(one.span is not None for one in self.tablets)
        ledger = self.ledger if is_last else None
        cpu_s = sum(os.times()[:2])
        self.pipe.send(Quarter(number, tally, ledger, cpu_s, self.lag_s, self.checked, self.forged))


def _cut(spans: Sequence[Span], updates_at: float | None) -> list[Span]:
    """Return spans with the minutes left out in which a tablet starts anew into another system."""
    found: list[Span] = []
    for span in spans:
        if updates_at is None or not span.begins < updates_at < span.ends:
            found.append(span)
            continue
        found.append(Span(span.begins, updates_at, span.place))
        if updates_at + _UPDATE_S < span.ends:
            found.append(Span(updates_at + _UPDATE_S, span.ends, span.place))
    return found


def _child(pipe: Connection, plan: Plan) -> None:
    allow_files(len(plan.share) + OTHER_FILES)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it

    async def live() -> None:
        crowd = Crowd(plan, DayClock(0.0, 1.0, time.perf_counter()), pipe)
        await crowd.come_to_be_known()
        pipe.send(len(crowd.ledger.acknowledged))
        crowd.clock = pipe.recv()
        await crowd.live()

    uvloop.run(live())


class Driver:
    """A process with some of the tablets."""

    def __init__(self, plan: Plan) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_child, args=(theirs, plan), daemon=True)
        self._process.start()
        theirs.close()

    def wait_until_known(self) -> int:
        """Wait until its tablets are known to the server; returns how many are."""
        return int(self.pipe.recv())

    def start(self, clock: DayClock) -> None:
        """Begin the day."""
        self.pipe.send(clock)

    def expect(self, told: Expect) -> None:
        """Tell that a lesson's change is under way; a driver whose day is over need not know."""
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(told)

    def next_quarter(self) -> Quarter:
        """Return the next quarter's figures once they are there.

        Raises:
            RuntimeError: the driver ended instead.
        """
        try:
            found = self.pipe.recv()
        except EOFError:
            raise RuntimeError("a driver of tablets has ended") from None
        assert isinstance(found, Quarter)  # noqa: S101 (nothing else is sent)
        return found

    def stop(self) -> None:
        """End it."""
        self._process.join(2)  # it has ended by itself, or shall not go on
        self._process.kill()
        self._process.join()
