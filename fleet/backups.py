"""Backups: the database and the files beside it in one folder that says what it holds, and such a folder put back.

Invariants: a backup is made while the server works, and holds the database as it was at one instant; a folder of its
final name is whole and on the disk; only its owner can read it, for it holds the secrets. It is put back only where
there is nothing, after every byte was found to be what was written, and all of it or nothing. Files are taken after the
database, so that what the database refers to is there. Not here: PostgreSQL's own archive of all that is written, which
loses nothing between two backups (``fleet/docs/operating.md``); exports, which are made again.

Sources: https://www.sqlite.org/lang_vacuum.html (VACUUM INTO is one snapshot, and is not flushed),
https://www.postgresql.org/docs/current/app-pgdump.html, https://www.postgresql.org/docs/current/app-pgrestore.html.
"""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import URL, func, inspect, make_url, select

from fleet import audit
from fleet.access import Principal
from fleet.checkup.checks import Check, ok, warning
from fleet.copying import DatabaseMissingError, opened
from fleet.db import BUSY_TIMEOUT_MS, db, knows_revision
from fleet.errors import FleetError

MANIFEST, FILES = "backup.json", "files.tar"
DATABASES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}
OLD = timedelta(hours=26)  # a daily timer may be late, and its run may take a while
_ACTION = "database.backed-up"
_NAME = re.compile(r"fleet-\d{8}T\d{6}Z")
_LEFT_OUT = frozenset({"exports", "server.lock", "server.json", "server.log"})
_RESTORING = ".restoring"
_MAX_REASON = 200


class BackupMissingError(FleetError):
    """There is no whole backup in a folder. Data: ``folder``."""

    code = "backup-missing"


class BackupDamagedError(FleetError):
    """A file of a backup is not what was written. Data: ``file``."""

    code = "backup-damaged"


class OtherKindError(FleetError):
    """A backup is of another kind of database than the settings name. Data: ``found``, ``expected``."""

    code = "backup-other-kind"


class NewerBackupError(FleetError):
    """A backup was made by a newer program. Data: ``revision``."""

    code = "backup-newer"


class PlaceTakenError(FleetError):
    """Something is where a backup would be put back. Data: ``place``."""

    code = "backup-place-taken"


class ProgramFailedError(FleetError):
    """A program of PostgreSQL did not do its work. Data: ``program``, ``reason`` (None where it is not there)."""

    code = "backup-program-failed"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server's data is.

    Args:
        data_dir: its folder.
        database_url: as :func:`fleet.config.database_url` gives it; of PostgreSQL itself, not of a pooler.
        programs: the folder of PostgreSQL's programs; None where they are on the path.
    """

    data_dir: Path
    database_url: str
    programs: Path | None = None

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return make_url(self.database_url).get_backend_name()

    @property
    def file(self) -> Path:
        """The file of an embedded database."""
        return Path(make_url(self.database_url).database or "")


@dataclass(frozen=True, slots=True)
class Backup:
    """A whole backup.

    Args:
        folder: where it lies.
        made_at: the instant before which everything that was committed is in it.
        kind: of the database.
        revision: of its shape.
        sizes: bytes of each file.
    """

    folder: Path
    made_at: datetime
    kind: str
    revision: str
    sizes: dict[str, int]


# -- making ------------------------------------------------------------------------------------------------------------


def make(place: Place, to: Path, *, revision: str, now: datetime) -> Backup:
    """Make a backup in a new folder inside ``to``; the server may work meanwhile.

    Args:
        place: what to take.
        to: where backups are kept; made where it is missing.
        revision: the shape of the database.
        now: the instant.

    Raises:
        DatabaseMissingError: there is no such file.
        ProgramFailedError: PostgreSQL's program is not there, or refused.
        OSError: it cannot be written; nothing is left of it.
    """
    if place.kind == "sqlite" and not place.file.is_file():
        raise DatabaseMissingError(database=str(place.file))
    name = f"fleet-{now:%Y%m%dT%H%M%SZ}"
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in to.glob(".fleet-*"):  # of one that was killed; not of one that runs beside us
        if now - datetime.fromtimestamp(left.stat().st_mtime, UTC) > timedelta(days=1):
            shutil.rmtree(left)
    draft = to / f".{name}"
    draft.mkdir(mode=0o700)
    try:
        _take_database(place, draft / DATABASES[place.kind])
        _pack(place, draft / FILES, without=to)
        names = (DATABASES[place.kind], FILES)
        told = {name: {"bytes": (draft / name).stat().st_size, "sha256": _digest(draft / name)} for name in names}
        manifest = {"made_at": now.isoformat(), "kind": place.kind, "revision": revision, "files": told}
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        for path in (*draft.iterdir(), draft):
            _flush(path)
        draft.rename(to / name)
        _flush(to)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return read(to / name)


def _take_database(place: Place, target: Path) -> None:
    if place.kind == "sqlite":
        target.touch(mode=0o600)  # an empty file is as good as none, and has its rights from the first byte
        with closing(sqlite3.connect(place.file, timeout=BUSY_TIMEOUT_MS / 1000)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
        return
    told = ["--format=custom", "--no-owner", "--no-privileges", f"--file={target}"]
    _run(place, "pg_dump", *told)
    target.chmod(0o600)


def _pack(place: Place, target: Path, *, without: Path) -> None:
    """Pack the data directory, but for the database, what is of this moment only, and where backups are kept."""
    left_out = {place.data_dir / name for name in _LEFT_OUT} | {without.absolute()}
    if place.kind == "sqlite":
        left_out |= _files_of(place)
    with target.open("xb") as file, tarfile.open(fileobj=file, mode="w", dereference=True) as packed:
        for path in _walk(place.data_dir, left_out):
            try:
                packed.add(path, arcname=path.relative_to(place.data_dir).as_posix(), recursive=False)
            except FileNotFoundError:  # of this moment only, such as an upload that was taken or thrown away
                continue


def _files_of(place: Place) -> set[Path]:
    """Return the files of an embedded database: its own, and those it keeps beside it."""
    return {place.file.with_name(place.file.name + one) for one in ("", "-wal", "-shm", "-journal")}


def _draft_of(place: Place) -> Path:
    """Return where an embedded database is written before it has its name."""
    return place.file.with_name(f".{place.file.name}{_RESTORING}")


def _walk(folder: Path, left_out: set[Path]) -> Iterator[Path]:
    for here, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if Path(here, name) not in left_out)
        yield from (Path(here, name) for name in (*folders, *sorted(names)) if Path(here, name) not in left_out)


def keep_newest(to: Path, number: int) -> Sequence[Path]:
    """Remove all whole backups in a folder but the newest ``number``; returns what was removed."""
    found = sorted(path for path in to.iterdir() if _NAME.fullmatch(path.name) and (path / MANIFEST).is_file())
    old = found[:-number]
    for path in old:
        shutil.rmtree(path)
    return old


# -- putting back ------------------------------------------------------------------------------------------------------


def read(folder: Path) -> Backup:
    """Return what a backup says of itself.

    Raises:
        BackupMissingError: there is none.
    """
    try:
        told = json.loads((folder / MANIFEST).read_text())
        sizes = {name: int(one["bytes"]) for name, one in told["files"].items()}
        return Backup(folder, datetime.fromisoformat(told["made_at"]), told["kind"], told["revision"], sizes)
    except (OSError, ValueError, KeyError, TypeError):
        raise BackupMissingError(folder=str(folder)) from None


def restore(folder: Path, place: Place, *, only_files: bool = False) -> Backup:
    """Put a backup back where there is nothing: an empty data directory, and no database or an empty one.

    Args:
        folder: of the backup.
        place: where to.
        only_files: leave the database alone, where it comes back by its own means.

    Raises:
        BackupMissingError: there is no whole backup in the folder.
        BackupDamagedError: a file of it is not what was written.
        OtherKindError: the settings name another kind of database.
        NewerBackupError: a newer program made it.
        PlaceTakenError: something is there.
        ProgramFailedError: PostgreSQL's program is not there, or refused.
        OSError: it cannot be read or written.
    """
    backup = read(folder)
    if backup.kind != place.kind:
        raise OtherKindError(found=place.kind, expected=backup.kind)
    if not knows_revision(backup.revision):
        raise NewerBackupError(revision=backup.revision)
    _require_nothing(place, only_files=only_files)
    _require_whole(folder)
    draft = place.data_dir / _RESTORING
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    try:
        _unpack(folder / FILES, draft)
        if not only_files:
            _put_database(place, folder / DATABASES[backup.kind])
        for path in draft.iterdir():
            path.rename(place.data_dir / path.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _flush(place.data_dir)
    return backup


def _require_nothing(place: Place, *, only_files: bool) -> None:
    beside = {_RESTORING, "lost+found"}
    if place.kind == "sqlite":
        beside.add(_draft_of(place).name)  # of a restore that was killed
    if only_files and place.kind == "sqlite":
        beside |= {path.name for path in _files_of(place)}
    there = place.data_dir.iterdir() if place.data_dir.is_dir() else ()
    if any(path.name not in beside for path in there):
        raise PlaceTakenError(place=str(place.data_dir))
    if only_files:
        return
    if place.kind == "sqlite":
        for path in sorted(_files_of(place)):  # a log of writes that is left would be played into what is put back
            if path.exists():
                raise PlaceTakenError(place=str(path))
        return
    with opened(place.database_url) as engine:
        if inspect(engine).get_table_names():
            raise PlaceTakenError(place=make_url(place.database_url).render_as_string())


def _require_whole(folder: Path) -> None:
    for name, one in json.loads((folder / MANIFEST).read_text())["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != one["bytes"] or _digest(path) != one["sha256"]:
            raise BackupDamagedError(file=str(path))


def _put_database(place: Place, source: Path) -> None:
    if place.kind == "postgresql":
        _run(
            place, "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(source)
        )
        return
    place.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft_of(place)
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    shutil.copyfile(source, draft)
    _flush(draft)
    draft.rename(place.file)
    _flush(place.file.parent)


def _unpack(source: Path, target: Path) -> None:
    """Write what was packed, for the owner only.

    Raises:
        BackupDamagedError: something in it would be written elsewhere.
    """
    with tarfile.open(source) as packed:
        for member in packed:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or not (member.isdir() or member.isfile()):
                raise BackupDamagedError(file=str(source))
            path = target / name
            if member.isdir():
                path.mkdir(mode=0o700)
                continue
            content = packed.extractfile(member)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                if content is not None:
                    shutil.copyfileobj(content, file)
                file.flush()
                os.fsync(handle)


# -- knowing -----------------------------------------------------------------------------------------------------------


def note(name: str, *, by: Principal, now: datetime) -> None:
    """Note in the running transaction that there is a backup.

    Args:
        name: its name, or what has made it.
        by: who had it made.
        now: the instant.
    """
    audit.record(by, _ACTION, subject=f"backup:{name[:50]}", now=now, name=name)


def examine(*, now: datetime) -> Check:
    """Return whether a backup was made in time, of those that were noted."""
    query = select(func.max(audit.AuditEntry.at)).where(audit.AuditEntry.action == _ACTION)
    newest: datetime | None = db.session.scalar(query)
    advice = "have a timer make one each day: scripts/fleet database backup FOLDER; see fleet/docs/operating.md"
    if newest is None:
        return warning("backup", "none was noted", advice)
    told = f"the last one is of {newest:%Y-%m-%d %H:%M} UTC"
    return ok("backup", told) if now - newest <= OLD else warning("backup", told, advice)


# -- files and programs ------------------------------------------------------------------------------------------------


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _run(place: Place, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on the database; the password is not seen in the list of processes."""
    url = make_url(place.database_url)
    address = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    environ: dict[str, Any] = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    path = str(place.programs / program) if place.programs is not None else program
    command = [path, f"--dbname={address.render_as_string(hide_password=False)}", *arguments]
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    except FileNotFoundError:
        raise ProgramFailedError(program=path, reason=None) from None
    if done.returncode:
        first = next(iter(done.stderr.splitlines()), f"exit {done.returncode}")
        raise ProgramFailedError(program=path, reason=first[:_MAX_REASON])
