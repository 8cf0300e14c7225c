"""PostgreSQL under Patroni on loopback: nodes that may be killed and suspended, etcd, and HAProxy before them.

Everything is ours alone: ports of the moment, files in one folder, every process known by its number. One etcd stands
for the three that production has: it is never struck here.
"""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import yaml

from bench.processes import tree
from tests import postgres
from tests.serving import free_port

TTL_S, LOOP_S = 20, 5  # how long a leader that says nothing stays one; how often each node looks
WITHIN_S = 600  # for anything of the cluster; machines may be slow
Process = subprocess.Popen[bytes]


def wait_until(what: Callable[[], bool], why: str) -> None:
    """Wait until something is so.

    Raises:
        SystemExit: it was not within ten minutes.
    """
    deadline = time.monotonic() + WITHIN_S
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit(f"replicated: {why} within {WITHIN_S} s")
        time.sleep(0.2)


@dataclass
class Node:
    """A machine with a PostgreSQL and the Patroni that looks after it."""

    name: str
    folder: Path
    port: int = field(default_factory=free_port)
    rest_port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def conninfo(self) -> str:
        """What psycopg connects with."""
        return f"host=127.0.0.1 port={self.port} user=fleet dbname=fleet connect_timeout=5"

    def pids(self) -> list[int]:
        """Return all processes of the machine: Patroni does not stay PostgreSQL's parent."""
        heads = [self.process.pid] if self.process is not None else []
        with suppress(OSError, ValueError):
            heads.append(int((self.folder / "data" / "postmaster.pid").read_text().split("\n")[0]))
        return [pid for head in heads for pid in tree(head) if Path(f"/proc/{pid}").exists()]

    def signal(self, what: signal.Signals) -> None:
        """Send a signal to all processes of the machine."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, what)

    def kill(self) -> None:
        """Let the machine lose its power."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
            self.process = None


class Cluster:
    """The nodes, and what they say of each other."""

    def __init__(self, folder: Path, nodes: Sequence[Node], etcd_port: int, patroni: Path) -> None:
        self._folder, self.nodes, self._etcd_port, self._patroni = folder, nodes, etcd_port, patroni

    def start(self, node: Node) -> None:
        """Give a node its power back."""
        path = node.folder / "patroni.yml"
        path.write_text(yaml.safe_dump(self._settings(node)))
        before, how = postgres.as_ordinary_user(postgres.programs(), node.folder, self._patroni.with_name("python"))
        environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(node.folder)}
        with (node.folder / "log").open("ab") as log:
            node.process = subprocess.Popen(
                [*before, str(self._patroni), str(path)], env=environ, cwd=node.folder, stdout=log, stderr=log, **how
            )

    def _settings(self, node: Node) -> dict[str, Any]:
        user = {"username": "fleet", "password": "trusted"}  # on loopback, for this run
        shared = {
            "ttl": TTL_S, "loop_wait": LOOP_S, "retry_timeout": LOOP_S, "maximum_lag_on_failover": 2**24,
            "synchronous_mode": True,
            "postgresql": {
                # A node that was cut off while it was put right is made anew, instead of staying away.
                "use_pg_rewind": True, "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True, "parameters": {"max_connections": 100},
                "pg_hba": [f"host {what} all 127.0.0.1/32 trust" for what in ("all", "replication")],
            },
        }  # fmt: skip
        return {
            "scope": "fleet",
            "name": node.name,
            "restapi": {"listen": f"127.0.0.1:{node.rest_port}", "connect_address": f"127.0.0.1:{node.rest_port}"},
            "etcd3": {"host": f"127.0.0.1:{self._etcd_port}"},
            "bootstrap": {
                "dcs": shared,
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{node.port}",
                "connect_address": f"127.0.0.1:{node.port}",
                "data_dir": str(node.folder / "data"),
                "bin_dir": str(postgres.programs()),
                "pgpass": str(node.folder / "pgpass"),
                "authentication": {"superuser": user, "replication": user, "rewind": user},
                "parameters": {"unix_socket_directories": str(node.folder)},
            },
        }

    def members(self) -> dict[str, dict[str, Any]]:
        """Return what the nodes say of each other, by name; nothing where none answers."""
        for node in self.nodes:
            with (
                suppress(OSError, ValueError),
                urllib.request.urlopen(f"http://127.0.0.1:{node.rest_port}/cluster", timeout=3) as answer,
            ):
                return {one["name"]: one for one in json.load(answer)["members"]}
        return {}

    def leader(self) -> Node | None:
        """Return the node that takes writes, None where none does."""
        led = {name for name, one in self.members().items() if one["role"] == "leader" and one["state"] == "running"}
        return next((node for node in self.nodes if node.name in led), None)

    def is_whole(self) -> bool:
        """Whether one leads, one has all it confirms, and the others follow."""
        found = self.members()
        roles = [one["role"] for one in found.values() if one["state"] in {"running", "streaming"}]
        return len(roles) == len(self.nodes) and {"leader", "sync_standby"} <= set(roles)

    def switch(self, leader: Node) -> None:
        """Have another node lead, in good order."""
        body = json.dumps({"leader": leader.name}).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{leader.rest_port}/switchover", body)
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(asked, timeout=120):  # noqa: S310 (as above)
            pass


@contextmanager
def running(folder: Path, patroni: Path, *, nodes: int) -> Iterator[Cluster]:
    """Run a cluster with an empty database ``fleet`` while the body runs.

    Args:
        folder: where to, of this run alone.
        patroni: the program.
        nodes: how many.
    """
    folder.chmod(0o755)  # PostgreSQL does not run as root: the nodes are another user's
    with ExitStack() as stack:
        etcd_port = stack.enter_context(_etcd(folder / "etcd"))
        made = [Node(f"node{number}", folder / f"node{number}") for number in range(1, nodes + 1)]
        cluster = Cluster(folder, made, etcd_port, patroni)
        for node in made:
            node.folder.mkdir()
            stack.callback(node.kill)
            cluster.start(node)
        wait_until(cluster.is_whole, f"the cluster did not come up (its logs are in {folder})")
        leader = cluster.leader()
        assert leader is not None  # noqa: S101 (it is whole)
        with psycopg.connect(leader.conninfo.replace("dbname=fleet", "dbname=postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE fleet")
        yield cluster


@contextmanager
def _program(command: Sequence[str], log: Path, **environ: str) -> Iterator[None]:
    with log.open("ab") as file:
        process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=file, stderr=file)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _etcd(folder: Path) -> Iterator[int]:
    folder.mkdir()
    port, peers = free_port(), f"http://127.0.0.1:{free_port()}"
    told = f"http://127.0.0.1:{port}"
    command = [
        "etcd", "--name", "etcd1", "--data-dir", str(folder / "data"),
        "--listen-client-urls", told, "--advertise-client-urls", told,
        "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"etcd1={peers}",
    ]  # fmt: skip
    with _program(command, folder / "log"):
        yield port


@contextmanager
def haproxy(folder: Path, nodes: Sequence[Node]) -> Iterator[int]:
    """Run HAProxy before the nodes: it leads to the leader, and hangs up on who is connected to one that was.

    It is that hanging up which ends the waiting for a leader that is suspended: its machine's kernel still answers for
    it, so nobody else can tell (decision 0025).
    """
    port = free_port()
    servers = "\n".join(
        f"    server {one.name} 127.0.0.1:{one.port} check port {one.rest_port}" for one in nodes
    )  # fmt: skip
    (folder / "haproxy.cfg").write_text(f"""
defaults
    mode tcp
    timeout connect 2s
    timeout check 2s
    timeout client 8h
    timeout server 8h
listen postgresql
    bind 127.0.0.1:{port}
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
""")
    libraries = {"LD_LIBRARY_PATH": os.environ.get("FLEET_HAPROXY_LIBRARIES", "")}
    with _program(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")], folder / "haproxy.log", **libraries):
        yield port
