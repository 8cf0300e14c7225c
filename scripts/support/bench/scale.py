"""``scale``: what a check-in costs with 1,000, 10,000 and 100,000 tablets in the database.

The tablets that report are spread over all there are. The others are copies, with a check-in each, made by a statement
a table. Each size is measured twice and the cheaper one counts: what else the machine does only makes it dearer.
"""

import sys
from typing import Any

from bench import copies, doors, load, pages, school
from bench.school import Bench
from fleet.checkins.models import CheckIn
from fleet.db import db, transaction
from fleet.devices.models import DevicePresence, DeviceState, Enrolment
from tests.serving import serving

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (200, 400, 2_000)
_PUBLIC = f"http://{school.AUTHORITY}"


def run(*, kind: str, quick: bool) -> dict[str, Any]:
    """Measure check-ins at growing numbers of tablets.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        quick: small numbers, only so that one sees that it runs.
    """
    sizes, rounds, reporting = (QUICK_SIZES, 2, 64) if quick else (SIZES, 12, 512)
    costs: dict[int, dict[str, Any]] = {}
    with school.ground(kind, FLEET_PUBLIC_URL=_PUBLIC) as made:
        (first,) = school.enrol(made.app, 1)
        with serving(made.url, made.data_dir, jobs="off", FLEET_PUBLIC_URL=_PUBLIC) as server:
            bench = Bench(server, [first], made.database_pid, made.conninfo)
            doors.require(load.send(server.port, [[first.report()]]), 200)
            there = 1
            for size in sizes:
                print(f"bench: {size} tablets", file=sys.stderr, flush=True)
                with made.app.app_context():
                    with transaction():
                        copies.copy(first.device_id, size - there, DeviceState, Enrolment, DevicePresence, CheckIn)
                        bench.tablets = school.give_keys(reporting)
                    db.engine.dispose()
                for one in bench.tablets:
                    one.desired = first.desired
                there = size
                if kind == "postgresql":
                    pages.analyse(made.app)
                costs[size] = _cheaper(bench, rounds)
    least, most = (sum(_cpu(costs[size])) for size in (sizes[0], sizes[-1]))
    return {
        "cpu_ratio_100k_to_1k": round(most / least, 3),
        **{f"server_cpu_us_{size}": _cpu(told)[0] for size, told in costs.items()},
        **{f"database_cpu_us_{size}": _cpu(told)[1] for size, told in costs.items()},
        **{f"statements_{size}": told["statements"] for size, told in costs.items()},
        "tablets": sizes[-1],
        "reporting": reporting,
        "database": kind,
    }


def _cpu(told: dict[str, Any]) -> tuple[float, float]:
    return told["server_cpu_us"], told["database_cpu_us"]


def _cheaper(bench: Bench, rounds: int) -> dict[str, Any]:
    """Return what a check-in costs, after a round in which keys are read and inventories stored."""
    doors.require(load.send(bench.server.port, doors.reports(bench, 1)), 200)
    found = [doors.measure(bench, doors.reports(bench, rounds), 200) for _ in range(2)]
    return min(found, key=lambda told: sum(_cpu(told)))
