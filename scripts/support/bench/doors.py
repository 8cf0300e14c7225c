"""``checkin`` and ``poll``: what a tablet's request costs, against a bare Flask route in the same run."""

import http.client
import statistics
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from bench import load, processes, school
from bench.load import Result
from bench.school import Bench, Tablet
from fleet import clock
from fleet.channels.native.work import etag_of

CONNECTIONS = 64
TABLETS = 512
_HELLO_CONNECTIONS, _HELLO_REQUESTS = 16, 3_200
_TURNS = 7
_POLLS_A_SIGNATURE = 4


def _hello(port: int, pid: int, count: int) -> tuple[float, float]:
    """Return the yardstick's processor time per request in microseconds, and requests a second."""
    wanted = load.request("GET", "/", {"Host": "127.0.0.1"})
    queues = [[wanted] * (count // _HELLO_CONNECTIONS)] * _HELLO_CONNECTIONS
    before = processes.cpu_s(pid)
    result = load.send(port, queues)
    used = processes.cpu_s(pid) - before
    require(result, 200)
    return 1e6 * used / result.count, result.per_s


def require(result: Result, status: int) -> None:
    """End the bench where an answer was another than this."""
    if set(result.statuses) != {status}:
        raise SystemExit(f"bench: expected only {status}, got {dict(result.statuses)}")


def _shares(tablets: Sequence[Tablet]) -> list[Sequence[Tablet]]:
    return [tablets[place::CONNECTIONS] for place in range(CONNECTIONS)]


def reports(bench: Bench, rounds: int) -> list[list[bytes]]:
    """Return reports of all tablets, a queue for each connection."""
    return [[tablet.report() for _ in range(rounds) for tablet in share] for share in _shares(bench.tablets)]


def _etag(bench: Bench, tablet: Tablet) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", bench.server.port)
    head, _, _ = tablet.poll('"none"').partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    connection.request("GET", "/agent/v1/config", headers=headers)
    found = connection.getresponse()
    found.read()
    connection.close()
    if found.status != 200:
        raise SystemExit(f"bench: a poll was answered {found.status}")
    return str(found.headers["etag"])


def _is_steady(tablet: Tablet) -> bool:
    """Whether the tablet's configuration is not renewed within the next minutes, as each is once a week."""
    now = clock.now()
    return etag_of(tablet.device_id, 0, now) == etag_of(tablet.device_id, 0, now + timedelta(minutes=5))


def _polls(bench: Bench, rounds: int) -> list[list[bytes]]:
    """Return polls of all tablets, a queue for each connection; each tablet sends a signature four times.

    That is what agents do that poll once a minute, and less than those do that are held (``signing.AGAIN_S``).
    """
    found: list[list[bytes]] = []
    for share in _shares(bench.tablets):
        told = [(tablet, _etag(bench, tablet)) for tablet in share if _is_steady(tablet)]
        queue: list[bytes] = []
        for number in range(rounds):
            if number % _POLLS_A_SIGNATURE == 0:
                signed_s_ago = number // _POLLS_A_SIGNATURE
                wanted = [tablet.poll(etag, signed_s_ago=signed_s_ago) for tablet, etag in told]
            queue += wanted
        found.append(queue)
    return found


def _statements(bench: Bench) -> float:
    """Return how many statements PostgreSQL has run so far, transaction control left out."""
    if bench.conninfo is None:
        return 0.0
    query = (
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query !~* '^(begin|commit|rollback|select 1$)'"
    )
    with psycopg.connect(bench.conninfo, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        row = connection.execute(query).fetchone()
    return float(row[0]) if row is not None else 0.0


def measure(bench: Bench, queues: Sequence[Sequence[bytes]], status: int) -> dict[str, Any]:
    """Send requests and return what each cost: server's and database's processor time, and statements."""
    server = bench.server.process
    assert server is not None  # noqa: S101 (the context manager started it)
    statements = _statements(bench)  # asked outside of what is measured
    before = (processes.cpu_s(server.pid), _database_cpu(bench))
    result = load.send(bench.server.port, queues)
    used = (processes.cpu_s(server.pid) - before[0], _database_cpu(bench) - before[1])
    require(result, status)
    statements = _statements(bench) - statements
    return {
        "per_s": result.per_s,
        "server_cpu_us": round(1e6 * used[0] / result.count, 1),
        "database_cpu_us": round(1e6 * used[1] / result.count, 1),
        "statements": round(statements / result.count, 4),
    }


def _database_cpu(bench: Bench) -> float:
    return processes.cpu_s(bench.database_pid) if bench.database_pid is not None else 0.0


def compare(
    bench: Bench, prepare: Callable[[int], Sequence[Sequence[bytes]]], rounds: int, status: int, *, quick: bool
) -> dict[str, Any]:
    """Measure requests and the yardstick in turns, then requests at half the pace that goes through; returns medians.

    What else the machine does meanwhile comes and goes within seconds, and so hits both of a turn, or one turn of many.

    Args:
        bench: the server, which knows the tablets.
        prepare: makes so many rounds of requests, a queue for each connection.
        rounds: how many, all turns together.
        status: what each shall be answered.
        quick: only so long that one sees that it runs.
    """
    turns, count = (2, 400) if quick else (_TURNS, _HELLO_REQUESTS)
    found = []
    with tempfile.TemporaryDirectory() as folder, processes.hello(Path(folder)) as (port, pid):
        _hello(port, pid, count)
        for _ in range(turns):
            hello_us, hello_per_s = _hello(port, pid, count)
            busy = measure(bench, prepare(max(1, rounds // turns)), status)
            ratio = (busy["server_cpu_us"] + busy["database_cpu_us"]) / hello_us
            found.append({**busy, "hello_us": hello_us, "hello_per_s": hello_per_s, "ratio": ratio})
    middle = {name: statistics.median(one[name] for one in found) for name in found[0]}
    per_s = middle["per_s"] / 2
    paced = load.send(bench.server.port, prepare(max(1, rounds // 3)), per_s=per_s)
    require(paced, status)
    return {
        "cpu_ratio_to_hello": round(middle["ratio"], 3),
        "cpu_ratios": sorted(round(one["ratio"], 3) for one in found),
        "per_s": round(middle["per_s"]),
        "p50_ms": round(paced.percentile_ms(50), 1),
        "p99_ms": round(paced.percentile_ms(99), 1),
        "server_cpu_us": middle["server_cpu_us"],
        "database_cpu_us": middle["database_cpu_us"],
        "statements": middle["statements"] if bench.conninfo is not None else None,
        "hello_cpu_us": round(middle["hello_us"], 1),
        "hello_per_s": round(middle["hello_per_s"]),
        "load": f"closed, {CONNECTIONS} connections, {turns} turns with the yardstick; latencies open at {round(per_s)}"
        " a second; one generator process",
    }


def run(name: str, *, kind: str, quick: bool, metrics: bool = False) -> dict[str, Any]:
    """Run ``checkin`` or ``poll`` and return its numbers.

    Args:
        name: which.
        kind: ``sqlite`` or ``postgresql``.
        quick: only so long that one sees that it runs.
        metrics: whether the server counts for Prometheus meanwhile.
    """
    told = {"FLEET_METRICS": "loopback" if metrics else "off"}
    prepare, status = (reports, 200) if name == "checkin" else (_polls, 304)
    rounds, tablets = (2, CONNECTIONS * 2) if quick else (42 if name == "checkin" else 84, TABLETS)
    with school.running(kind, tablets, **told) as bench:
        require(load.send(bench.server.port, reports(bench, 1)), 200)  # keys are cached, tablets are known
        load.send(bench.server.port, prepare(bench, 1))
        found = compare(bench, partial(prepare, bench), rounds, status, quick=quick)
    unit = "checkin" if name == "checkin" else "poll"
    found[f"{unit}s_per_s"], found[f"statements_per_{unit}"] = found.pop("per_s"), found.pop("statements")
    return {**found, "database": kind, "metrics": metrics, "tablets": tablets, "requests": tablets * rounds}
