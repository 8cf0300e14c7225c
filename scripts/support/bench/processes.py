"""Processor time of process trees, the yardstick server, and what the machine is."""

import contextlib
import http.client
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from tests.serving import ROOT, Server, free_port

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += parents.get(one, [])
    return found


def cpu_s(pid: int) -> float:
    """Return the processor time of a process tree, of children that have ended too, in seconds."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            total += sum(int(value) for value in _stat(one)[11:15])
    return total * _TICK_S


class Meter:
    """Processor time and memory of a server, and processor time of its database.

    Args:
        server: its process.
        database: its database's; None with the embedded one.
    """

    def __init__(self, server: int, database: int | None) -> None:
        self._server, self._database = server, database

    @classmethod
    def of(cls, server: Server, database: int | None) -> "Meter":
        """Return the meter of a server that runs."""
        process = server.process
        assert process is not None  # noqa: S101 (it runs)
        return cls(process.pid, database)

    def memory_mib(self) -> float:
        """Return what the server's processes hold in memory."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in tree(self._server))
        return pages * resource.getpagesize() / 2**20

    def cpu(self) -> tuple[float, float]:
        """Return the processor time of server and database so far."""
        return cpu_s(self._server), cpu_s(self._database) if self._database is not None else 0.0


_HELLO = """
from flask import Flask
app = Flask("hello")

@app.get("/")
def hello():
    return "hello"
"""


@contextlib.contextmanager
def hello(folder: Path) -> Iterator[tuple[int, int]]:
    """Run the yardstick: a bare Flask route under gunicorn, one worker of 8 threads; gives port and process id."""
    (folder / "hello_app.py").write_text(_HELLO)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "8", "-w", "1", "--no-control-socket"]
    process = subprocess.Popen(
        [*command, "--keep-alive", "30", "-b", f"127.0.0.1:{port}", "--log-level", "error", "hello_app:app"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    try:
        _wait(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait(port: int) -> None:
    for _ in range(300):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    raise SystemExit("bench: the yardstick did not start")


def machine() -> dict[str, object]:
    """Return what the numbers were measured on."""
    names = (
        "flask",
        "gunicorn",
        "uvicorn",
        "uvicorn-worker",
        "httptools",
        "uvloop",
        "sqlalchemy",
        "psycopg",
        "cryptography",
    )
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory) / 2**20),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 1),
        "versions": {name: version(name) for name in names},
        "project": subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
    }
