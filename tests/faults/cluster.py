"""A PostgreSQL of its own that may be killed, paused, started again: durable, as in production."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from bench.processes import tree
from tests.postgres import INITDB_OPTIONS, SERVER_OPTIONS, as_ordinary_user, programs, run

_SOCKET = ".s.PGSQL.5432"  # in the folder that connections name as their host
# Small files, so that a full disk is soon noticed.
_WAL = ["-c", "min_wal_size=4MB", "-c", "max_wal_size=16MB"]
_STARTS, _STILL_IN_USE = 100, "is still in use"  # the memory of one whose head was killed, for a moment
_READY_WITHIN_S = 120.0


class Cluster:
    """The server.

    Args:
        home: its folder; files in it belong to whom it runs as.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._before, self._how = as_ordinary_user(programs(), home)
        self._environ = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.home / _SOCKET

    @property
    def is_running(self) -> bool:
        """Whether the head of its processes lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What it wrote since it was last started."""
        return (self.home / "log").read_text()

    def make(self) -> None:
        """Make its files."""
        run("initdb", self.home, "-D", str(self.home / "data"), "--wal-segsize=1", *INITDB_OPTIONS)

    def start(self) -> None:
        """Start it and wait until it takes connections: after a crash, once it has recovered.

        Raises:
            RuntimeError: it did not start; the text is the end of its log.
        """
        command = [str(programs() / "postgres"), "-D", str(self.home / "data"), "-k", str(self.home)]
        for _ in range(_STARTS):
            with (self.home / "log").open("wb") as log:
                self._process = subprocess.Popen(
                    [*self._before, *command, *SERVER_OPTIONS, *_WAL],
                    env=self._environ, cwd=self.home, stdout=log, stderr=log, **self._how,
                )  # fmt: skip
            if self._is_ready():
                return
            if _STILL_IN_USE not in self.log:
                break
            time.sleep(0.1)
        raise RuntimeError(self.log[-2000:])

    def _is_ready(self) -> bool:
        deadline = time.monotonic() + _READY_WITHIN_S
        while self.is_running and time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.conninfo("postgres")).close()
                return True
            time.sleep(0.02)
        return False

    def kill(self) -> None:
        """Kill the head of its processes; the others notice that and end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def signal_all(self, what: signal.Signals) -> None:
        """Send a signal to all its processes."""
        assert self._process is not None
        for pid in tree(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, what)

    def stop(self) -> None:
        """End it without waiting for who is connected."""
        if self._process is not None and self.is_running:
            self.signal_all(signal.SIGCONT)
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)

    def conninfo(self, database: str) -> str:
        """Return what psycopg connects with."""
        return f"host={self.home} user=fleet dbname={database}"

    def url(self, database: str, *, at: Path | None = None) -> str:
        """Return the address as ``FLEET_DATABASE_URL`` takes it; ``at`` is another folder with a socket."""
        return f"postgresql://fleet@/{database}?host={at or self.home}"

    def create(self, name: str) -> None:
        """Create a database."""
        self.execute(f'CREATE DATABASE "{name}"')

    def execute(self, *statements: str) -> None:
        """Carry statements out, each by itself."""
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            for one in statements:
                connection.execute(one.encode())


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Run a cluster while the body runs.

    Args:
        folder: where its files are made.
    """
    home = Path(tempfile.mkdtemp(prefix="pg-", dir=folder))
    cluster = Cluster(home)
    try:
        cluster.make()
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)


def proxied(folder: Path) -> Path:
    """Return where in a folder a proxy listens for those who are told that the folder is the server's host."""
    return folder / _SOCKET
