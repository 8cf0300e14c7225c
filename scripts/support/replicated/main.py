"""Brings the cluster and two servers up, strikes the leader, and holds what is stored against the ledger."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ledger
import psycopg
from ledger import Ledger

from bench import school
from fleet import upgrading
from fleet.app import create_app
from fleet.db import db
from replicated import cluster as clusters
from replicated.cluster import Cluster, Node, wait_until
from tests.serving import serving

PUBLIC_URL = f"http://{school.AUTHORITY}"
PAUSE_S = 45.0  # longer than a leader stays one, so that it wakes up as one that was
STRIKES = ("kill", "pause", "switch")


@dataclass(frozen=True)
class Struck:
    """What came of one strike: how, whom, who leads now, and for how long nothing was acknowledged."""

    how: str
    leader: str
    then: str
    downtime_s: float


def say(what: str) -> None:
    """Say how far it is."""
    print(f"replicated: {what}", file=sys.stderr)


def fill(url: str, data_dir: Path, tablets: int) -> list[school.Tablet]:
    """Bring the database to shape and put enrolled tablets into it."""
    app = create_app(
        environ={"FLEET_DATABASE_URL": url, "FLEET_DATA_DIR": str(data_dir), "FLEET_PUBLIC_URL": PUBLIC_URL}
    )
    with app.app_context():
        upgrading.upgrade()
        upgrading.finish()
    enrolled = school.enrol(app, tablets)
    with app.app_context():
        db.engine.dispose()
    return enrolled


@contextmanager
def two_servers(url: str, folder: Path) -> Iterator[Sequence[int]]:
    """Run two servers with the same secrets on one database; gives their ports."""
    told = {"FLEET_PUBLIC_URL": PUBLIC_URL, "FLEET_DATABASE_CONNECTIONS": "10"}
    with serving(url, folder / "one", jobs="on", port=None, program="fleet", **told) as one:
        shutil.copytree(folder / "one" / "secrets", folder / "two" / "secrets")
        with serving(url, folder / "two", jobs="on", port=None, program="fleet", **told) as two:
            yield one.port, two.port


def strike(how: str, cluster: Cluster, kept: Ledger) -> Struck:
    """Strike the leader, wait until another one leads and reports are acknowledged, and let it come back to follow."""
    wait_until(cluster.is_whole, "the cluster did not become whole")
    ledger.wait_for(kept, 50)
    leader = cluster.leader()
    if leader is None:
        raise SystemExit("replicated: nobody leads")
    say(f"{how} {leader.name}")
    begun = time.monotonic()
    if how == "kill":
        leader.kill()
    elif how == "pause":
        leader.signal(signal.SIGSTOP)
    else:
        cluster.switch(leader)
    then = another(cluster, leader)
    if how == "pause":
        time.sleep(max(0.0, begun + PAUSE_S - time.monotonic()))
        leader.signal(signal.SIGCONT)
    ledger.wait_for(kept, 50)
    if how == "kill":
        cluster.start(leader)
    wait_until(cluster.is_whole, "the cluster did not become whole again")
    ledger.wait_for(kept, 50)
    return Struck(how, leader.name, then.name, round(kept.gap_s(begun), 1))


def another(cluster: Cluster, before: Node) -> Node:
    """Wait until another node leads, and return it."""
    found: list[Node] = []

    def leads() -> bool:
        now = cluster.leader()
        found[:] = [now] if now is not None and now is not before else []
        return bool(found)

    wait_until(leads, "nobody took over")
    return found[0]


def jobs_go_on(leader: Node) -> bool:
    """Whether a job that began after now comes to its end: the lease is held at the new leader."""
    with psycopg.connect(leader.conninfo, autocommit=True) as connection:
        query = "SELECT count(*) FROM job_run WHERE outcome = 'done' AND started_at > %s"
        row = connection.execute("SELECT now()").fetchone()
        wait_until(lambda: connection.execute(query, row).fetchone() != (0,), "no job ran")
    return True


def run(patroni: Path, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Do all of it; returns what was found."""
    with ExitStack() as stack:
        say(f"{given.nodes} nodes of PostgreSQL under Patroni come up")
        cluster = stack.enter_context(clusters.running(folder, patroni, nodes=given.nodes))
        if given.route == "haproxy":
            hosts = f"127.0.0.1:{stack.enter_context(clusters.haproxy(folder, cluster.nodes))}"
        else:
            hosts = ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes)
        url = f"postgresql://fleet@{hosts}/fleet"
        wait_until(lambda: _answers(url), "the database did not answer")
        tablets = fill(url, folder / "one", given.tablets)
        ports = stack.enter_context(two_servers(url, folder))
        say(f"two servers at {hosts}, {given.tablets} tablets")
        with ledger.reporting(ports, tablets, per_s=given.per_s) as kept:
            struck = [strike(how, cluster, kept) for _ in range(given.rounds) for how in given.strikes.split(",")]
        leader = cluster.leader()
        if leader is None:
            raise SystemExit("replicated: nobody leads")
        verdict = ledger.judge(kept.entries, ledger.stored(leader.conninfo))
        return {
            "right": not (verdict.lost or verdict.doubled),
            **asdict(verdict),
            "strikes": [asdict(one) for one in struck],
            "downtime_s_worst": max(one.downtime_s for one in struck),
            "not_acknowledged": dict(kept.others),
            "jobs_go_on": jobs_go_on(leader),
            "route": given.route,
            "nodes": given.nodes,
            "tablets": given.tablets,
        }


def _answers(url: str) -> bool:
    try:
        psycopg.connect(f"{url}?connect_timeout=5&target_session_attrs=read-write").close()
    except psycopg.OperationalError:
        return False
    return True


def main() -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/replicated", description="Strike the leader of a replicated database."
    )
    parser.add_argument("patroni", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=2, help="how often each strike (default 2)")
    parser.add_argument(
        "--strikes", default=",".join(STRIKES), help="which, in which order (default kill,pause,switch)"
    )
    parser.add_argument("--tablets", type=int, default=200)
    parser.add_argument("--per-s", type=float, default=100.0, help="reports a second at most (default 100)")
    parser.add_argument("--nodes", type=int, default=3, help="of PostgreSQL (default 3)")
    parser.add_argument("--route", choices=["haproxy", "hosts"], default="haproxy", help="how servers find the leader")
    parser.add_argument("--json", action="store_true", help="nothing but the JSON object on the last line")
    given = parser.parse_args()
    if unknown := set(given.strikes.split(",")) - set(STRIKES):
        parser.error(f"no strike is called {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="fleet-replicated-", ignore_cleanup_errors=True) as name:
        found = run(given.patroni, Path(name), given)
    if not given.json:
        for one in found["strikes"]:
            print(f"{one['how']:<7} {one['leader']} -> {one['then']}: nothing acknowledged for {one['downtime_s']} s")
        print(f"acknowledged {found['acknowledged']}, lost {found['lost']}, stored twice {found['doubled']}")
        print(f"not acknowledged at first, and sent again: {found['not_acknowledged']}")
    print(json.dumps(found))
    return 0 if found["right"] else 1


if __name__ == "__main__":
    sys.exit(main())
