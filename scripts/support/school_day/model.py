"""How a day would be without living through it: the same world, measured costs, and queues; up to the whole nation.

Pure but for chance, which follows from a seed. A sample of tablets stands for all: what they ask is counted by the
second for the whole day, and for the rush one server process with its share of the tablets is simulated request by
request. How many processes it takes is sought; the database's cores follow from its busiest second.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from school_day import demand, queueing
from school_day.costs import Costs
from school_day.demand import Ask, Pace, What
from school_day.figures import percentiles
from school_day.queueing import Served, Setting
from school_day.world import CLASS_SIZE, HOUR, MINUTE, SCHOOLS, build

SAMPLE = 7_000  # tablets that stand for all
_SCHOOL_TABLETS = 540
_RUSH_S = 2 * MINUTE
_DATABASE_FULL, _PROCESS_FULL = 0.6, 0.7  # a database is not to be busier; a process that would be is not tried
_MOST_TIMES = 8
_MUNICIPALITIES = 357


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model is asked.

    Args:
        tablets: how many.
        begins: when the day begins, and so on, in seconds since midnight.
        bar_ms: within what 99 % of requests shall be answered in the rush.
        limit: of each process's queues.
        server_faster: how many times as fast as the measured ones the servers' cores are; and the database's.
        seed: what chance follows from.
        sample: how many tablets stand for all.
    """

    tablets: int
    begins: float = 7 * HOUR
    ends: float = 17 * HOUR
    bar_ms: float = 100.0
    limit: int = 2000
    server_faster: float = 1.0
    database_faster: float = 1.0
    seed: int = 1
    sample: int = SAMPLE


def _us(costs: Costs, *, server: bool) -> dict[What, float]:
    """Return what each kind of request takes of the server, or of the database."""
    if server:
        poll, report, change = costs.poll_server_us, costs.report_server_us, costs.change_server_us
    else:
        poll, report, change = costs.poll_database_us, costs.report_database_us, costs.change_database_us
    times = costs.overhead_server if server else costs.overhead_database
    return {
        What.POLL: poll * times,
        What.HELD: poll * times,
        What.REPORT: report * times,
        What.CHANGE: change * times,
    }


@dataclass
class Load:
    """What comes in each second, all tablets together."""

    weight: float  # how many tablets each of the sample stands for
    by_second: dict[What, Counter[int]] = field(default_factory=dict)

    def count(self, what: What) -> float:
        """Return how many of a kind the day has."""
        return self.weight * self.by_second[what].total()

    def busiest(self, costs: Costs, *, server: bool, over_s: int = 1) -> tuple[int, float]:
        """Return in which second, of stretches of some, most processor time is asked for, and how many cores it is.

        Args:
            costs: of a request.
            server: whether the server's are meant, else the database's.
            over_s: how long the stretches are.
        """
        us = _us(costs, server=server)
        cores: dict[int, float] = {}
        for what, seconds in self.by_second.items():
            for second, count in seconds.items():
                place = second // over_s
                cores[place] = cores.get(place, 0.0) + count * us[what]
        place, most = max(cores.items(), key=lambda pair: pair[1], default=(0, 0.0))
        return place * over_s, most * self.weight / 1e6 / over_s

    def cpu_s(self, costs: Costs, *, server: bool) -> float:
        """Return the processor time that the day takes of the server, or of the database."""
        us = _us(costs, server=server)
        return self.weight * sum(seconds.total() * us[what] for what, seconds in self.by_second.items()) / 1e6

    def busiest_requests(self, over_s: int) -> float:
        """Return how many requests a second come in the busiest stretch of so many seconds."""
        total: Counter[int] = Counter()
        for seconds in self.by_second.values():
            for second, count in seconds.items():
                total[second // over_s] += count
        return self.weight * max(total.values(), default=0) / over_s


def load_of(tablets: Sequence[Sequence[Ask]], weight: float) -> Load:
    """Count what tablets ask."""
    found = Load(weight, {what: Counter() for what in What})
    for each in tablets:
        for ask in each:
            found.by_second[ask.what][int(ask.at)] += 1
    return found


def work_out(asked: Asked, costs: Costs) -> dict[str, Any]:
    """Work out a day at its real pace: load, how many processes and cores it takes, disk, memory, the worst morning."""
    costs = costs.on(server=asked.server_faster, database=asked.database_faster)
    sample = min(asked.tablets, asked.sample)
    schools = max(SCHOOLS, math.ceil(sample / _SCHOOL_TABLETS))
    world = build(sample, seed=asked.seed, schools=schools)
    pace = Pace(asked.begins, asked.ends)
    each = demand.of_all(world, pace, seed=asked.seed)
    load = load_of(each, asked.tablets / sample)
    busiest_at, server_cores = load.busiest(costs, server=True, over_s=10)
    _, database_need = load.busiest(costs, server=False, over_s=10)
    database_cores = max(1, math.ceil(database_need / _DATABASE_FULL))
    stretch = 1 / (1 - database_need / database_cores)
    window = (max(0.0, busiest_at - _RUSH_S / 2), busiest_at + _RUSH_S / 2)
    within = [[ask for ask in one if window[0] <= ask.at < window[1]] for one in each]
    rush = Rush(within, load.weight, window[1])
    setting = Setting(costs, stretch, asked.limit, asked.seed)
    processes, served = _fewest(rush, setting, asked.bar_ms, max(1, math.ceil(server_cores / _PROCESS_FULL)))
    reports = load.count(What.REPORT) + load.count(What.CHANGE)
    held = _most_held(each) * load.weight
    return {
        "tablets": asked.tablets,
        "sample": sample,
        "requests_a_day": {what.name.lower(): round(load.count(what)) for what in What},
        "requests_per_s": {f"busiest_{over_s}_s": round(load.busiest_requests(over_s)) for over_s in (10, 60)},
        "busiest_at": _hour(asked.begins + busiest_at),
        "rush": {
            "bar_p99_ms": asked.bar_ms,
            "keeps_the_bar": _keeps(served, asked.bar_ms),
            "server_processes": processes,
            "tablets_a_process": math.ceil(asked.tablets / processes),
            "busy_share": round(served.busy_s / (window[1] - window[0]), 2),
            "shed": served.shed,
            **percentiles(served.latency),
        },
        "database": {
            "cores": database_cores,
            "busy_share": round(database_need / database_cores, 2),
            "municipalities_of_equal_size": max(1, round(_MUNICIPALITIES * min(1.0, asked.tablets / 622_000))),
            "cores_a_municipality": round(database_need / max(1.0, _MUNICIPALITIES * asked.tablets / 622_000), 3),
        },
        "disk_gib_a_day": round(reports * costs.report_bytes / 2**30, 2),
        "memory_gib": round((processes * costs.process_mib + held * costs.held_kib / 1024) / 1024, 1),
        "held_at_once": round(held),
        "cpu_hours_a_day": {
            "server": round(load.cpu_s(costs, server=True) / 3600, 3),
            "database": round(load.cpu_s(costs, server=False) / 3600, 3),
        },
        "all_at_once": storm(math.ceil(asked.tablets / processes), setting),
    }


@dataclass(frozen=True, slots=True)
class Rush:
    """What a sample's tablets ask in the busiest minutes; each stands for ``weight`` tablets."""

    tablets: Sequence[Sequence[Ask]]
    weight: float
    until: float


def _fewest(rush: Rush, setting: Setting, bar_ms: float, least: int) -> tuple[int, Served]:
    """Return the fewest processes with which the rush keeps the bar, and how it went; many where none do.

    Args:
        rush: what comes.
        setting: what a process works with.
        bar_ms: see :class:`Asked`.
        least: fewer would be too busy.
    """
    low = high = least
    while not _keeps(served := _share(rush, setting, high), bar_ms):
        if high > _MOST_TIMES * least:  # a commit alone takes longer than the bar, or the database does
            return high, served
        low, high = high + 1, max(high + 1, math.ceil(high * 1.25))
    while low < high:
        middle = (low + high) // 2
        tried = _share(rush, setting, middle)
        if _keeps(tried, bar_ms):
            high, served = middle, tried
        else:
            low = middle + 1
    return high, served


def _keeps(served: Served, bar_ms: float) -> bool:
    worst = served.latency.at(99)
    return served.shed == 0 and (worst is None or worst * 1000 <= bar_ms)


def _share(rush: Rush, setting: Setting, processes: int) -> Served:
    """Have one process serve its share of the tablets.

    Each of the sample stands for tablets of many classes, which begin their lessons some moments apart; so of one
    class a process has as many as it would have where all processes share it.
    """
    dice = random.Random(f"{setting.seed}/share")  # noqa: S311 (make-believe)
    count, copies = len(rush.tablets), max(1, round(rush.weight))
    wanted = round(count * rush.weight / processes)
    apart: dict[tuple[int, int], float] = {}
    asked: list[Ask] = []
    for place in range(wanted):
        number, copy = (place, 0) if copies == 1 and processes == 1 else (dice.randrange(count), dice.randrange(copies))
        shift = apart.setdefault((number // CLASS_SIZE, copy), dice.uniform(-MINUTE, MINUTE) if copy else 0.0)
        asked += [Ask(ask.at + shift, ask.what) for ask in rush.tablets[number]]
    return queueing.serve(asked, setting, until=rush.until + 2 * MINUTE)


def storm(tablets: int, setting: Setting) -> dict[str, Any]:
    """Work out how one process's tablets come back that all lost it in one moment, with a bounded queue and without.

    Each polls and reports 10 to 15 s after, as agents do whose server went away.
    """
    dice = random.Random(f"{setting.seed}/storm")  # noqa: S311 (make-believe)
    asked = [Ask(dice.uniform(10, 15), what) for _ in range(tablets) for what in (What.POLL, What.REPORT)]
    found: dict[str, Any] = {"tablets_a_process": tablets}
    for words, limit in (("bounded", setting.limit), ("unbounded", None)):
        served = queueing.serve(asked, replace(setting, limit=limit), until=HOUR)
        found[words] = {
            "cleared_after_s": None if served.unanswered else round(served.last_at - 10, 1),
            "unanswered_after_an_hour": served.unanswered,
            "shed": served.shed,
            "given_up": served.given_up,
            "deepest_queue": served.deepest,
        }
    return found


def _most_held(each: Sequence[Sequence[Ask]]) -> int:
    """Return how many tablets wait at the same time at most: as many as have a held poll within its longest time."""
    window = int(demand.HOLD_S)
    slots: Counter[int] = Counter()
    for one in each:
        slots.update({int(ask.at) // window for ask in one if ask.what is What.HELD})
    return max(slots.values(), default=0)


def _hour(instant: float) -> str:
    return f"{int(instant // 3600):02}:{int(instant % 3600 // 60):02}"


@dataclass(frozen=True, slots=True)
class Lived:
    """What was measured over real HTTP, to hold the model against.

    ``down`` is from when to when nobody answered, in seconds of the machine since the day began.
    """

    tablets: int
    speed: float
    begins: float
    ends: float
    seed: int
    workers: int
    measured: dict[str, float]  # by the names of :func:`calibrate`'s result
    down: tuple[float, float] = (0.0, 0.0)


def calibrate(lived: Lived, costs: Costs) -> dict[str, dict[str, float | None]]:
    """Work out the day that was lived through: for each figure the model's, what was seen, how far off the model is."""
    world = build(lived.tablets, seed=lived.seed)
    pace = Pace(lived.begins, lived.ends, lived.speed)
    gone, back = lived.down
    asked = demand.of_all(world, pace, seed=lived.seed)
    each = [[ask for ask in one if not gone <= ask.at < back] for one in asked]
    load = load_of(each, 1.0)
    share = [one for place, one in enumerate(each) if place % lived.workers == 0]
    served = queueing.serve((ask for one in share for ask in one), Setting(costs, seed=lived.seed))
    change = load.count(What.CHANGE)
    modelled = {
        "polls": load.count(What.POLL) + load.count(What.HELD) + change,
        "reports": load.count(What.REPORT) + change,
        "busiest_per_s": load.busiest_requests(max(1, round(15 * MINUTE / lived.speed))),
        "server_cpu_s": load.cpu_s(costs, server=True),
        "database_cpu_s": load.cpu_s(costs, server=False),
        "p50_ms": (served.latency.at(50) or 0.0) * 1000,
        "p99_ms": (served.latency.at(99) or 0.0) * 1000,
    }
    found: dict[str, dict[str, float | None]] = {}
    for name, value in modelled.items():
        seen = lived.measured[name]
        off = round(100 * (value / seen - 1), 1) if seen else None
        found[name] = {"model": round(value, 1), "seen": round(seen, 1), "off_percent": off}
    return found
