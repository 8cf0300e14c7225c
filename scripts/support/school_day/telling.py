"""What a day's figures are in words and as JSON, and whether the bars held. Not here: the picture."""

import sys
import time
from collections import deque
from typing import Any, TextIO

from school_day.clock import shown
from school_day.crowd import QUARTER, Quarter
from school_day.day import Found, Sample
from school_day.figures import Spread, percentiles
from school_day.model import Lived
from school_day.tablet import BAR_S
from school_day.world import HOUR

RUSH = (8 * HOUR, 8.75 * HOUR)  # in which the day's first lessons begin
BAR_SHARE = 0.95
FLAT_SHARE = 0.05  # by so much the server's memory may grow over the hours in which it is warm
RETRIES_S = 12.0  # after a server that was away is back, until its tablets are
_BAR_SIGNS = 24


class Progress:
    """One line for each quarter of an hour; on a terminal the last line is a bar."""

    def __init__(self, begins: float, ends: float, out: TextIO = sys.stderr) -> None:
        self._begins, self._ends, self._out = begins, ends, out
        self._begun = time.perf_counter()

    def told(self, found: Found, quarter: Quarter, took_s: float) -> None:
        """Tell of a quarter that is over."""
        tally = quarter.tally
        latency = tally.all_latencies()
        at = (quarter.number + 1) * QUARTER
        per_s = tally.answered.total() / took_s if took_s else 0.0
        worst = latency.at(99)
        memory = found.samples[-1].memory_mib if found.samples else 0.0
        starts, missed = tally.arrivals.get("start"), tally.missed["start"]
        lesson = f"  lesson on 95 % in {starts.at(95):.1f} s" if starts is not None and len(starts) else ""
        lesson += f" ({missed} never)" if missed else ""
        odd = ", ".join(f"{count} {what}" for what, count in sorted(tally.met.items()))
        line = (
            f"{shown(min(at, self._ends))}  {tally.awake:5} open {tally.held:5} held  {per_s:6.0f} requests/s  "
            f"p99 {'-' if worst is None else f'{1000 * worst:.0f} ms':>8}  {memory:5.0f} MiB{lesson}"
            f"{'  ' + odd if odd else ''}"
        )
        is_terminal = self._out.isatty()
        print(f"\r\x1b[K{line}" if is_terminal else line, file=self._out, flush=True)
        if is_terminal:
            self._bar(min(1.0, (at - self._begins) / (self._ends - self._begins)))

    def _bar(self, share: float) -> None:
        full = round(_BAR_SIGNS * share)
        passed = time.perf_counter() - self._begun
        left = passed / share - passed if share else 0.0
        bar = "█" * full + "·" * (_BAR_SIGNS - full)
        end = "\n" if share >= 1 else ""
        print(f"\r{bar} {100 * share:3.0f} %, {left:.0f} s left", end=end, file=self._out, flush=True)


def summary(found: Found) -> dict[str, Any]:
    """Return a day's figures."""
    wanted, verdict = found.wanted, found.verdict
    total, rush = found.total(), found.total(*RUSH)
    seconds = (wanted.ends - wanted.begins) / wanted.speed
    assert verdict is not None  # noqa: S101 (the day is over)
    told = {
        "tablets": wanted.tablets,
        "speed": wanted.speed,
        "day": f"{shown(wanted.begins)}-{shown(wanted.ends)}",
        "database": wanted.kind,
        "workers": found.workers,
        "seed": wanted.seed,
        "requests": dict(sorted(total.answered.items())),
        "requests_per_s": _per_s(found),
        "latency_ms": {
            what: percentiles(spread) for what, spread in sorted(total.latency.items()) if what != "held-poll"
        },
        "rush_latency_ms": percentiles(rush.all_latencies()),
        "met": dict(sorted(total.met.items())),
        "unexpected_answers": {str(status): count for status, count in total.unexpected.items()},
        "ledger": {name: getattr(verdict, name) for name in verdict.__slots__},
        "lessons": {
            "rush": {what: _arrival(rush.arrivals.get(what), rush.missed[what]) for what in ("start", "end")},
            "day": {what: _arrival(total.arrivals.get(what), total.missed[what]) for what in ("start", "end")},
        },
        "teachers": {
            "done": dict(found.taught.done),
            "failed": dict(found.taught.failed),
            "tried_again": found.taught.tried_again,
            "page_ms": percentiles(found.taught.pages),
            "form_ms": percentiles(found.taught.forms),
        },
        "cpu": _cpu(found, seconds),
        "memory": _memory(found),
        "database_bytes": {"end": found.stored_bytes, "grown": found.grown_bytes},
        "server_down_s": None if found.down_s is None else round(found.down_s, 2),
        "signatures": {"checked": found.checked, "forged": found.forged},
        "driver": {
            "processes": wanted.drivers,
            "cpu_s": round(found.driver_cpu_s, 1),
            "late_ms": round(1000 * found.lag_s),
        },
    }
    return {**told, "bars": bars(found, told)}


def bars(found: Found, told: dict[str, Any]) -> dict[str, bool]:
    """Return which bars held; nothing lost and nothing doubled is what the exit code says."""
    start = told["lessons"]["rush"]["start"]
    grown = told["memory"]["grown_share"]
    verdict = found.verdict
    return {
        "nothing lost, doubled or made up": verdict is not None and verdict.is_clean,
        "only answers that were expected": not told["unexpected_answers"] and not found.forged,
        "no teacher gave up": not told["teachers"]["failed"],
        f"rush: a lesson on {BAR_SHARE:.0%} of present tablets within {BAR_S:.0f} s": start["share_within_bar"] is None
        or start["share_within_bar"] >= BAR_SHARE,
        f"memory flat: at most {FLAT_SHARE:.0%} more over its warm hours": grown is None or grown <= FLAT_SHARE,
    }


def _arrival(spread: Spread | None, missed: int) -> dict[str, Any]:
    spread = spread or Spread()
    count = len(spread) + missed
    within = round(spread.within(BAR_S) * len(spread) / count, 4) if count else None
    return {
        "changes": count, "never": missed, "share_within_bar": within,
        **{f"{name}_s": value for name, value in percentiles(spread, (50, 95, 100), times=1.0).items()},
    }  # fmt: skip


def _per_s(found: Found) -> dict[str, float]:
    quarter_s = QUARTER / found.wanted.speed
    rates = [one.tally.answered.total() / quarter_s for one in found.quarters]
    return {"mean": round(sum(rates) / max(1, len(rates)), 1), "most_in_a_quarter": round(max(rates, default=0.0), 1)}


def _cpu(found: Found, seconds: float) -> dict[str, Any]:
    """Return how many cores server and database used, over the day and in the busiest time between two samples."""
    samples = found.samples
    if len(samples) < 2:
        return {}
    first, last = samples[0], samples[-1]
    requests = found.total().answered.total()

    def busiest(of: str) -> float:
        window: deque[Sample] = deque()
        most = 0.0
        for one in samples:
            window.append(one)
            while window[0].at < one.at - 5 * found.wanted.speed:
                window.popleft()
            passed = (one.at - window[0].at) / found.wanted.speed
            if passed > 2:
                most = max(most, (getattr(one, of) - getattr(window[0], of)) / passed)
        return round(most, 2)

    return {
        "server_cpu_s": round(last.server_cpu_s - first.server_cpu_s, 1),
        "database_cpu_s": round(last.database_cpu_s - first.database_cpu_s, 1),
        "server_cores": round((last.server_cpu_s - first.server_cpu_s) / seconds, 3),
        "database_cores": round((last.database_cpu_s - first.database_cpu_s) / seconds, 3),
        "server_cores_busiest_5_s": busiest("server_cpu_s"),
        "database_cores_busiest_5_s": busiest("database_cpu_s"),
        "server_us_a_request": round(1e6 * (last.server_cpu_s - first.server_cpu_s) / max(1, requests)),
        "database_us_a_request": round(1e6 * (last.database_cpu_s - first.database_cpu_s) / max(1, requests)),
    }


def _memory(found: Found) -> dict[str, Any]:
    """Return the server's memory in the first and the last hour that it was warm, and its slope between.

    The slope is the least squares' over the school day from an hour after the last start on: before, caches fill.
    """
    wanted = found.wanted
    starts = [wanted.begins + 2 * HOUR]
    if found.down_s is not None and wanted.kill_at is not None:
        starts.append(wanted.kill_at + HOUR)
    warm = [one for one in found.samples if one.at >= max(starts)]
    if not warm or warm[-1].at - warm[0].at < 2 * HOUR:
        highest = max((one.memory_mib for one in found.samples), default=0.0)
        return {"highest_mib": round(highest), "slope_mib_an_hour": None, "grown_share": None}
    slope = _slope([(one.at / HOUR, one.memory_mib) for one in warm])
    return {
        "first_hour_mib": round(_mean([one.memory_mib for one in found.samples if one.at < wanted.begins + HOUR])),
        "warm_first_hour_mib": round(_mean([one.memory_mib for one in warm if one.at < warm[0].at + HOUR])),
        "warm_last_hour_mib": round(_mean([one.memory_mib for one in warm if one.at > warm[-1].at - HOUR])),
        "highest_mib": round(max(one.memory_mib for one in found.samples)),
        "slope_mib_an_hour": round(slope, 2),
        "grown_share": round(slope * (warm[-1].at - warm[0].at) / HOUR / _mean([one.memory_mib for one in warm]), 4),
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _slope(points: list[tuple[float, float]]) -> float:
    x, y = _mean([point[0] for point in points]), _mean([point[1] for point in points])
    width = sum((one - x) ** 2 for one, _ in points)
    return sum((one - x) * (other - y) for one, other in points) / width if width else 0.0


def lines(told: dict[str, Any], indent: str = "") -> list[str]:
    """Return figures as lines to read."""
    found: list[str] = []
    for name, value in told.items():
        words = name.replace("_", " ")
        if isinstance(value, dict) and any(isinstance(one, dict) for one in value.values()):
            found += [f"{indent}{words}:", *lines(value, indent + "  ")]
        elif isinstance(value, dict):
            each = ", ".join(f"{inner.replace('_', ' ')} {'-' if one is None else one}" for inner, one in value.items())
            found.append(f"{indent}{words:<20} {each or '-'}")
        else:
            found.append(f"{indent}{words:<20} {'-' if value is None else value}")
    return found


def lived(found: Found, told: dict[str, Any]) -> Lived:
    """Return what the model is held against."""
    wanted, requests, cpu = found.wanted, told["requests"], told["cpu"]
    spread = found.total().all_latencies()
    measured = {
        "polls": float(requests.get("poll", 0) + requests.get("held-poll", 0)),
        "reports": float(requests.get("report", 0)),
        "busiest_per_s": told["requests_per_s"]["most_in_a_quarter"],
        "server_cpu_s": cpu.get("server_cpu_s", 0.0),
        "database_cpu_s": cpu.get("database_cpu_s", 0.0),
        "p50_ms": 1000 * (spread.at(50) or 0.0),
        "p99_ms": 1000 * (spread.at(99) or 0.0),
    }
    down = (0.0, 0.0)
    if found.down_s is not None and wanted.kill_at is not None:
        gone = (wanted.kill_at - wanted.begins) / wanted.speed
        down = (gone, gone + found.down_s + RETRIES_S)
    return Lived(wanted.tablets, wanted.speed, wanted.begins, wanted.ends, wanted.seed, found.workers, measured, down)


def costs_seen(found: Found, told: dict[str, Any]) -> dict[str, float]:
    """Return what this day says of the model's costs: how much more a whole day costs, and a report's bytes."""
    seen: dict[str, float] = {}
    for name, figure in (("overhead_server", "server_cpu_s"), ("overhead_database", "database_cpu_s")):
        one = told["model"][figure]
        if one["model"] and one["seen"]:
            seen[name] = round(one["seen"] / one["model"], 3)
    verdict = found.verdict
    if verdict is not None and verdict.reports_acknowledged > 0 and found.grown_bytes > 0:
        seen["report_bytes"] = round(found.grown_bytes / verdict.reports_acknowledged)
    return seen
