"""One server process and its database, request by request: a discrete-event simulation. Pure.

The process is one core that does one thing after the other. A request is read and checked there (:data:`_BEFORE` of
its cost), then waits in its kind's queue for the next batch: what waits while a batch is under way becomes the next
one, at most :data:`_BATCH` of them (``fleet.channels.batching``). A batch takes the rest of its processor time on the
same core, then the database: a commit for reports, and its own processor time, both longer the busier it is. A full
queue turns a request away; it comes again after a Retry-After that is spread wide (``native.pace.retry_s``).
"""

import heapq
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from school_day.costs import Costs
from school_day.demand import Ask, What
from school_day.figures import Spread

_BEFORE = 0.6
_BATCH = 256
_RETRY_S = (2.0, 62.0)
_PATIENCE_S = 20.0  # how long an agent waits for an answer
_READ_S = 0.001  # what a batch that commits nothing waits for the database at least


@dataclass(frozen=True, slots=True)
class Setting:
    """What the process works with.

    Args:
        costs: of a request.
        stretch: by how much the database takes longer than its own time, because it is busy.
        limit: how many may wait in a queue (``FLEET_QUEUE_LIMIT``); None: as many as come.
        seed: what chance follows from.
    """

    costs: Costs
    stretch: float = 1.0
    limit: int | None = 2000
    seed: int = 1


@dataclass
class Served:
    """What came of it: latencies from the first asking to the answer, who was turned away, gave up, or still waits."""

    latency: Spread = field(default_factory=Spread)
    shed: int = 0
    given_up: int = 0
    busy_s: float = 0.0
    deepest: int = 0
    last_at: float = 0.0
    unanswered: int = 0


@dataclass(slots=True)
class _Request:
    first_at: float
    asked_at: float
    what: What


class _Process:
    """The process while it runs: a heap of what is to come, the core's own time, a queue for each kind of batch."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.dice = random.Random(setting.seed)  # noqa: S311 (make-believe)
        self.served = Served()
        self.free_at = 0.0  # when the core has done all it was given
        self.queues: tuple[deque[_Request], deque[_Request]] = (deque(), deque())
        self.is_under_way = [False, False]
        self.coming: list[tuple[float, int, str, object]] = []
        self._number = 0

    def at(self, instant: float, what: str, about: object) -> None:
        """Have something happen."""
        self._number += 1
        heapq.heappush(self.coming, (instant, self._number, what, about))

    def works(self, now: float, seconds: float) -> float:
        """Give the core work; returns when it is done."""
        self.free_at = max(self.free_at, now) + seconds
        self.served.busy_s += seconds
        return self.free_at

    def cost_s(self, what: What) -> tuple[float, float]:
        """Return what a request takes of the core and of the database."""
        costs = self.setting.costs
        server, database = (
            (costs.report_server_us, costs.report_database_us) if what is What.REPORT
            else (costs.change_server_us, costs.change_database_us) if what is What.CHANGE
            else (costs.poll_server_us, costs.poll_database_us)
        )  # fmt: skip
        return server * costs.overhead_server / 1e6, database * costs.overhead_database / 1e6

    def ask(self, now: float, request: _Request) -> None:
        """Read a request and see whose it is."""
        self.at(self.works(now, self.cost_s(request.what)[0] * _BEFORE), "ready", request)

    def ready(self, now: float, request: _Request) -> None:
        """Have a request wait for the next batch, or turn it away where too many do."""
        kind = _kind(request.what)
        if self.setting.limit is not None and len(self.queues[kind]) >= self.setting.limit:
            self.served.shed += 1
            again_at = now + self.dice.uniform(*_RETRY_S) * self.dice.uniform(1, 1.5)
            self.at(again_at, "ask", _Request(request.first_at, again_at, request.what))
            return
        self.queues[kind].append(request)
        self.served.deepest = max(self.served.deepest, len(self.queues[kind]))
        self.begin(now, kind)

    def begin(self, now: float, kind: int) -> None:
        """Begin a batch, where none is under way and somebody waits."""
        queue = self.queues[kind]
        if self.is_under_way[kind] or not queue:
            return
        self.is_under_way[kind] = True
        batch = [queue.popleft() for _ in range(min(len(queue), _BATCH))]
        costs = [self.cost_s(one.what) for one in batch]
        done_at = self.works(now, sum(server for server, _ in costs) * (1 - _BEFORE))
        waits_s = self.setting.costs.commit_ms / 1000 if kind else _READ_S
        database_s = (waits_s + sum(database for _, database in costs)) * self.setting.stretch
        self.at(done_at + database_s, "answer", (kind, batch))

    def answer(self, now: float, told: tuple[int, list[_Request]]) -> None:
        """Answer a batch; who waited too long has gone, and asks again."""
        kind, batch = told
        self.is_under_way[kind] = False
        for one in batch:
            if now - one.asked_at > _PATIENCE_S:
                self.served.given_up += 1
                again_at = now + self.dice.uniform(10, 15)
                self.at(again_at, "ask", _Request(one.first_at, again_at, one.what))
            else:
                self.served.latency.add(now - one.first_at)
                self.served.last_at = now
        self.begin(now, kind)


def _kind(what: What) -> int:
    """Return which queue: reports commit, polls only read."""
    return int(what is What.REPORT or what is What.CHANGE)


def serve(asked: Iterable[Ask], setting: Setting, *, until: float = float("inf")) -> Served:
    """Have a process serve requests.

    Args:
        asked: what comes, in any order.
        setting: what it works with.
        until: when it ends, however much is left.
    """
    process, count = _Process(setting), 0
    for number, one in enumerate(sorted(asked, key=lambda ask: ask.at)):
        count = number + 1
        process.coming.append((one.at, -1_000_000_000 + number, "ask", _Request(one.at, one.at, one.what)))
    while process.coming and process.coming[0][0] < until:
        now, _, what, about = heapq.heappop(process.coming)
        if isinstance(about, _Request):
            (process.ask if what == "ask" else process.ready)(now, about)
        elif isinstance(about, tuple):
            process.answer(now, about)
    process.served.unanswered = count - len(process.served.latency)
    return process.served
