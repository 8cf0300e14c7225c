"""The real server as a process of its own, for tests that kill it, restart it, or call it over real sockets."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_WITHIN_S = 60


@dataclass(frozen=True)
class Answer:
    """What the server answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A server on loopback, with its database and data directory; may be stopped, killed and started again.

    ``program`` is the module that runs it, ``root`` the clone that it is of; several servers that share a data
    directory have logs of different names.
    """

    url: str
    data_dir: Path
    environ: Mapping[str, str]
    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None
    program: str = "fleet"
    root: Path = ROOT
    log_name: str = "server.log"

    @property
    def address(self) -> str:
        """The address tablets and browsers use."""
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> str:
        """Everything the server wrote so far, over all its starts."""
        return (self.data_dir / self.log_name).read_text()

    def full_environ(self) -> dict[str, str]:
        """Return the environment its own programs see: the server, and the command line beside it."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("FLEET_")},
            "PYTHONPATH": str(self.root),
            "FLEET_DATABASE_URL": self.url,
            "FLEET_DATA_DIR": str(self.data_dir),
            "FLEET_BIND": f"{self.host}:{self.port}",
            **self.environ,
        }

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it ended, or did not answer in time; with its log.
        """
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.data_dir / self.log_name).open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.program, "server", "run"],
                env=self.full_environ(), cwd=self.root, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.get("/readyz").status == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the server did not start:\n{self.log[-4000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal (to all its processes where it is KILL) and return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            if how is signal.SIGKILL:
                os.killpg(self.process.pid, how)
            else:
                self.process.send_signal(how)
        return self.process.wait(60)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask for a page over a connection of its own.

        Raises:
            OSError: nobody answers.
        """
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def fleet(self, *arguments: str, check: bool = True) -> str:
        """Run the command line beside the server and return what it wrote.

        Raises:
            RuntimeError: it failed, and ``check`` is set; with what it said.
        """
        done = subprocess.run(
            [sys.executable, "-m", "fleet", *arguments],
            env=self.full_environ(), cwd=self.root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"fleet {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
        return done.stdout


@contextmanager
def serving(
    url: str, data_dir: Path, *, jobs: str = "on", port: int | None = None, program: str = "fleet", **environ: str
) -> Iterator[Server]:
    """Run a server on a database; it is killed at the end where it still lives.

    Args:
        url: of a migrated database.
        data_dir: its data directory.
        jobs: whether it runs the timetable.
        port: of loopback; any that is free where none is told.
        program: the module that runs it.
        environ: more settings.
    """
    port = free_port() if port is None else port
    server = Server(url, data_dir, {"FLEET_JOBS": jobs, **environ}, port, program=program)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop(signal.SIGKILL)
