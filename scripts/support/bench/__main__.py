"""``scripts/bench``: list the benches, or run one."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from bench import androids, assign, compliance, doors, ipads, lessons, overload, pages, processes, scale, silence

BENCHES = {
    "apple-poll": "an iPad's signed call that has nothing to say and gets nothing (bars: cpu_ratio_to_hello <= 1.0, "
    "statements_per_poll <= 0.2)",
    "assign": "a profile to a municipality of 7,000 tablets (bars: seconds_7000 <= 5, statements = statements_tenth)",
    "compliance": "a change of a rule until 7,000 tablets are reviewed by it (bars: seconds_7000 <= 10, "
    "statements <= 80)",
    "headwind": "1,000 Android tablets that hold a poll, and 100 configurations a second (bars: p99_ms <= 100, "
    "mib_per_1000_waiting <= 50)",
    "lessons": "a teacher's start until the tablets have it, one class and 200 at once (bars: arrival_p95_s_30 <= 2, "
    "arrival_p95_s_5600 <= 10, mib_per_1000_waiting <= 50)",
    "checkin": "a tablet's signed report, stored and committed before it is answered (bar: cpu_ratio_to_hello <= 0.6)",
    "overload": "twice what can be answered arrives by a clock, at --door (bars: timed_out = 0, failed = {}, "
    "shed_without_retry_after = 0, done_share >= 0.8)",
    "pages": "every page in a municipality of 13 schools and 7,000 tablets (bars: p95_ms_worst <= 100, "
    "statements_most <= 15, bytes_most <= 150000)",
    "poll": "a tablet's signed poll that finds nothing new, 304 (bar: cpu_ratio_to_hello <= 0.25)",
    "scale": "a check-in with 1,000, 10,000 and 100,000 tablets there (bar: cpu_ratio_100k_to_1k <= 1.25)",
    "silence": "one look of the silence job at 7,000 tablets: a usual morning, after an outage of everything, nothing "
    "(bars: seconds_worst <= 2, statements_most <= 32)",
}
_RUNS: dict[str, Callable[..., dict[str, Any]]] = {
    "apple-poll": ipads.run, "assign": assign.run, "compliance": compliance.run, "headwind": androids.run,
    "lessons": lessons.run, "pages": pages.run, "scale": scale.run, "silence": silence.run,
}  # fmt: skip


def main() -> int:
    """Run what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure; see README.")
    parser.add_argument("name", nargs="?", choices=sorted(BENCHES))
    parser.add_argument("--quick", action="store_true", help="only so long that one sees that it runs")
    parser.add_argument("--json", action="store_true", help="nothing but the JSON object on the last line")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--metrics", action="store_true", help="checkin and poll: with FLEET_METRICS on")
    parser.add_argument("--door", choices=overload.DOORS, default="checkin", help="of overload: which one")
    parser.add_argument("--rate", type=float, help="of overload: how many arrive in a second; else twice the best")
    given = parser.parse_args()
    if given.name is None:
        for name, text in sorted(BENCHES.items()):
            print(f"{name:<10} {text}")
        return 0
    print(f"bench: {given.name} on {given.database}, {'quick' if given.quick else 'about a minute'} …", file=sys.stderr)
    run = _RUNS.get(given.name)
    if given.name == "overload":
        found = overload.run(kind=given.database, quick=given.quick, door=given.door, rate=given.rate)
    elif run is not None:
        found = run(kind=given.database, quick=given.quick)
    else:
        found = doors.run(given.name, kind=given.database, quick=given.quick, metrics=given.metrics)
    told = {"bench": given.name, "quick": given.quick, **found, "machine": processes.machine()}
    if not given.json:
        for key, value in found.items():
            print(f"{key:<24} {value}")
    print(json.dumps(told, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
