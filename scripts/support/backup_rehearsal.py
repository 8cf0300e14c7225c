"""``scripts/backup-rehearsal``: a backup is worth what comes back from it, so this makes one and loses the rest.

A real server with tablets that report all the time; a backup by ``fleet database backup``, with PostgreSQL also a base
backup and an archive of all that is written; then everything is killed at once and its files removed. What comes back
is held against the ledger of what the server had acknowledged.
"""

import argparse
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ledger
import psycopg
from flask import Flask
from ledger import Ledger

from bench import school
from fleet import clock, upgrading
from fleet.access import Principal
from fleet.alerts import mail_server
from fleet.alerts.mail_server import Settings
from fleet.alerts.models import MailSecurity
from fleet.app import create_app
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.db import db, reading, transaction
from tests import postgres
from tests.serving import Server, serving

PUBLIC_URL = f"http://{school.AUTHORITY}"
PUBLIC = {"FLEET_PUBLIC_URL": PUBLIC_URL}
PER_S = 150.0
_PASSWORD = "known-to-nobody-else"  # noqa: S105 (guards nothing: no such mail server is there)
_PACKAGE = os.urandom(2**20)
_SOUND = {"database", "schema", "vault-key", "signing-keys", "file-rights"}


@dataclass
class Found:
    """What came back one way.

    Args:
        way: which.
        bytes: how much was kept for it.
        backup_s: how long making it took, while the server worked.
        restore_s: from nothing to a database that takes writes.
        start_s: from then to a server that is ready.
        acknowledged: reports that were before its moment.
        lost: of those; must be 0.
        doubled: reports that are there twice; must be 0.
        lost_after: reports acknowledged after its moment that did not come back.
        window_s: from its moment to the disaster.
        doctor: what the doctor says of what secrets and database need, "ok" each.
        is_sealed_readable: whether what was sealed opens again.
        is_package_same: whether a package of an app is the same.
        goes_on: reports that the restored server took.
    """

    way: str
    bytes: int
    backup_s: float
    restore_s: float
    start_s: float = 0.0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    lost_after: int = 0
    window_s: float = 0.0
    doctor: Mapping[str, str] | None = None
    is_sealed_readable: bool = False
    is_package_same: bool = False
    goes_on: int = 0

    @property
    def is_right(self) -> bool:
        """Whether nothing is missing."""
        sound = self.doctor is not None and set(self.doctor.values()) == {"ok"}
        return not (self.lost or self.doubled) and sound and self.is_sealed_readable and self.is_package_same


def say(what: str) -> None:
    """Say how far it is."""
    print(f"rehearsal: {what}", file=sys.stderr)


def furnish(app: Flask) -> None:
    """Give a server what a restored one has to have as well: a sealed password, and a package."""
    config: Config = app.extensions["fleet_config"]
    config.packages_dir.mkdir(mode=0o700, exist_ok=True)
    (config.packages_dir / "example.package").write_bytes(_PACKAGE)
    told = Settings("mail.example", 587, MailSecurity.STARTTLS, "fleet@mail.example", "fleet", _PASSWORD)
    key = vault_key_of(config.secrets_dir, None)
    with app.app_context(), transaction():
        mail_server.save(told, vault_key=key, by=Principal.command_line(), now=clock.now())


def look(server: Server, found: Found) -> None:
    """Look at a restored server: its doctor, its secrets, its files."""
    told = json.loads(server.fleet("doctor", "--json", check=False))
    found.doctor = {one["name"]: one["grade"] for one in told if one["name"] in _SOUND}
    app = create_app(environ={"FLEET_DATABASE_URL": server.url, "FLEET_DATA_DIR": str(server.data_dir), **PUBLIC})
    config: Config = app.extensions["fleet_config"]
    with app.app_context():
        with reading():
            kept = mail_server.settings(vault_key=vault_key_of(config.secrets_dir, None), now=clock.now())
        db.engine.dispose()
    found.is_sealed_readable = kept is not None and kept.password == _PASSWORD
    found.is_package_same = (config.packages_dir / "example.package").read_bytes() == _PACKAGE


def stored_in(url: str) -> Counter[str]:
    """Return how often an embedded database has each report."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return Counter(str(one) for (one,) in connection.execute(ledger.QUERY))


@dataclass
class Day:
    """The day up to the disaster: the ledger, the tablets, and when it was."""

    kept: Ledger
    tablets: list[school.Tablet]
    ended_at: float


def return_from(way: Found, moment: float, day: Day, server: Server, database: postgres.Server | None) -> Found:
    """Start a server on what came back, count, and have the tablets go on.

    Args:
        way: what is known so far.
        moment: up to when nothing may be lost, on the monotonic clock.
        day: what was before.
        server: not started yet, on the restored data.
        database: its PostgreSQL, where it has one.
    """
    found = ledger.stored(database.conninfo("fleet")) if database is not None else stored_in(server.url)
    before = day.kept.until(moment)
    verdict = ledger.judge(before, found)
    way.acknowledged, way.lost, way.doubled = verdict.acknowledged, verdict.lost, verdict.doubled
    way.lost_after = ledger.judge(day.kept.entries, found).lost - verdict.lost
    way.window_s = round(day.ended_at - moment, 1)
    begun = time.monotonic()
    server.start()
    way.start_s = round(time.monotonic() - begun, 1)
    try:
        look(server, way)
        with ledger.reporting([server.port], day.tablets, per_s=PER_S) as again:
            ledger.wait_for(again, len(day.tablets))
        way.goes_on = len(again.entries)
    finally:
        server.stop(signal.SIGKILL)
    return way


def elsewhere(folder: Path, name: str, url: str) -> Server:
    """Return a server that is not started, on a place where nothing is yet."""
    return Server(url, folder / name, PUBLIC)


def restore(server: Server, backup: Path, *words: str | Path) -> float:
    """Put a backup back by the command; returns how long it took."""
    begun = time.monotonic()
    server.fleet("database", "restore", str(backup), *map(str, words))
    return round(time.monotonic() - begun, 1)


def make(server: Server, to: Path, *words: str | Path) -> dict[str, Any]:
    """Make a backup by the command while the server works; returns what it said."""
    told: dict[str, Any] = json.loads(server.fleet("database", "backup", str(to), "--json", *map(str, words)))
    return told


def on_sqlite(folder: Path, tablets: int) -> list[Found]:
    """Rehearse with the embedded database: zero loss up to the last backup."""
    url = f"sqlite:///{folder / 'first' / 'fleet.sqlite3'}"
    app = create_app(environ={"FLEET_DATABASE_URL": url, "FLEET_DATA_DIR": str(folder / "first"), **PUBLIC})
    enrolled = prepare(app, tablets)
    with ExitStack() as running:
        server = running.enter_context(serving(url, folder / "first", FLEET_PUBLIC_URL=PUBLIC_URL))
        kept = running.enter_context(ledger.reporting([server.port], enrolled, per_s=PER_S))
        ledger.wait_for(kept, 2 * tablets)
        say("a backup while tablets report")
        moment = time.monotonic()
        told = make(server, folder / "backups")
        ledger.wait_for(kept, tablets)
        say("everything is killed, and its disk is lost")
        server.stop(signal.SIGKILL)
        ended_at = time.monotonic()
    shutil.rmtree(folder / "first")
    day = Day(kept, enrolled, ended_at)
    back = elsewhere(folder, "second", f"sqlite:///{folder / 'second' / 'fleet.sqlite3'}")
    way = Found("fleet database backup", told["bytes"], told["seconds"], restore(back, Path(told["folder"])))
    return [return_from(way, moment, day, back, None)]


def prepare(app: Flask, tablets: int) -> list[school.Tablet]:
    """Bring a new database to shape and fill it."""
    with app.app_context():
        upgrading.upgrade()
        upgrading.finish()
    enrolled = school.enrol(app, tablets)
    furnish(app)
    with app.app_context():
        db.engine.dispose()
    return enrolled


def on_postgresql(folder: Path, tablets: int) -> list[Found]:
    """Rehearse with PostgreSQL: the backup command, and a base backup with an archive of all that is written."""
    clients: list[str | Path] = ["--programs", postgres.programs()]
    archive, base = (Path(tempfile.mkdtemp(dir=folder)) for _ in range(2))
    for one in (folder, archive, base):
        postgres.give_away(one)
        one.chmod(0o777)  # PostgreSQL runs as another user, in a folder that only this run knows
    piece, part = f"{archive}/%f", f"{archive}/%f.part"
    command = f"if test -f {piece}; then cmp -s %p {piece}; else cp %p {part} && mv {part} {piece}; fi"
    options = ["-c", "archive_mode=on", "-c", "archive_timeout=60", "-c", f"archive_command={command}"]
    with ExitStack() as running:
        database = running.enter_context(postgres.running(durable=True, options=options))
        url = database.url(database.create(name="fleet"))
        app = create_app(environ={"FLEET_DATABASE_URL": url, "FLEET_DATA_DIR": str(folder / "first"), **PUBLIC})
        enrolled = prepare(app, tablets)
        server = running.enter_context(serving(url, folder / "first", FLEET_PUBLIC_URL=PUBLIC_URL))
        with ledger.reporting([server.port], enrolled, per_s=PER_S) as kept:
            ledger.wait_for(kept, 2 * tablets)
            say("a backup, and a base backup, while tablets report")
            dumped_at = time.monotonic()
            told = make(server, folder / "backups", *clients)
            begun = time.monotonic()
            postgres.base_backup(database, base)
            base_s = round(time.monotonic() - begun, 1)
            ledger.wait_for(kept, tablets)
            archived_at = archive_all(database)
            ledger.wait_for(kept, tablets)
            say("everything is killed, and its disk is lost")
            database.kill()
            server.stop(signal.SIGKILL)
            ended_at = time.monotonic()
    shutil.rmtree(folder / "first")
    day = Day(kept, enrolled, ended_at)
    say("the base backup and the archive are put back")
    size = sum(path.stat().st_size for place in (base, archive) for path in place.rglob("*") if path.is_file())
    begun = time.monotonic()
    with postgres.restored(base, options=["-c", f"restore_command=cp {archive}/%f %p"]) as database:
        wait_until_it_takes_writes(database)
        way = Found("base backup and archive", size, base_s, round(time.monotonic() - begun, 1))
        back = elsewhere(folder, "second", database.url("fleet"))
        restore(back, Path(told["folder"]), "--only-files")
        archived = return_from(way, archived_at, day, back, database)
    say("the backup is put back into a new PostgreSQL")
    with postgres.running(durable=True) as database:
        back = elsewhere(folder, "third", database.url(database.create(name="fleet")))
        seconds = restore(back, Path(told["folder"]), *clients)
        way = Found("fleet database backup", told["bytes"], told["seconds"], seconds)
        return [archived, return_from(way, dumped_at, day, back, database)]


def archive_all(database: postgres.Server) -> float:
    """Have PostgreSQL archive what it has written so far, and wait for it; returns up to when that was."""
    with psycopg.connect(database.conninfo(), autocommit=True) as connection:
        moment = time.monotonic()
        row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        wanted = str(row[0]) if row is not None else ""
        query = "SELECT last_archived_wal >= %s FROM pg_stat_archiver"
        while connection.execute(query, [wanted]).fetchone() != (True,):
            time.sleep(0.1)
    return moment


def wait_until_it_takes_writes(database: postgres.Server) -> None:
    """Wait until all of the archive is read."""
    with psycopg.connect(database.conninfo(), autocommit=True) as connection:
        while connection.execute("SELECT pg_is_in_recovery()").fetchone() != (False,):
            time.sleep(0.1)


def main() -> int:
    """Rehearse; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/backup-rehearsal", description="Make a backup, lose the rest, count."
    )
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--tablets", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="nothing but the JSON object on the last line")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleet-rehearsal-") as name:
        run = on_sqlite if given.database == "sqlite" else on_postgresql
        found = run(Path(name), given.tablets)
    is_right = all(one.is_right for one in found)
    if not given.json:
        for one in found:
            print(f"\n{one.way}")
            for key, value in list(asdict(one).items())[1:]:
                print(f"  {key:<20} {value}")
        print("\nnothing that was acknowledged before its moment is lost" if is_right else "\nNOT RIGHT")
    told = {
        "database": given.database,
        "tablets": given.tablets,
        "right": is_right,
        "ways": [asdict(one) for one in found],
    }
    print(json.dumps(told))
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
