"""``fleet database backup`` and ``restore``: what was committed comes back, and nothing is ever written over."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from fleet import clock, copying
from fleet.access import Principal
from fleet.alerts import mail_server
from fleet.alerts.mail_server import Settings
from fleet.alerts.models import MailSecurity
from fleet.app import create_app
from fleet.config import Config, database_url
from fleet.crypto import vault_key_of
from fleet.db import db, reading, transaction
from tests import factories, postgres
from tests.conftest import _environ
from tests.doors.fleet_command import run

CLI = Principal.command_line()
CLIENTS: list[str | Path] = ["--programs", postgres.programs()]
PASSWORD = "hemmelig-passord"


@pytest.fixture
def server(fresh_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Return the application of a server that has been used: tablets, a package, a sealed password."""
    app = create_app(environ=_environ(fresh_url, tmp_path / "data"))
    config: Config = app.extensions["fleet_config"]
    config.packages_dir.mkdir()
    (config.packages_dir / "no.example.app").write_bytes(bytes(range(256)) * 40)
    config.exports_dir.mkdir()
    (config.exports_dir / "report.csv").write_text("made again when somebody asks")
    with app.app_context():
        with transaction():
            factories.tablets(factories.school(), 3)
        settings = Settings("mail.prove.example", 587, MailSecurity.STARTTLS, "fleet@prove.example", "fleet", PASSWORD)
        with transaction():
            key = vault_key_of(config.secrets_dir, None)
            mail_server.save(settings, vault_key=key, by=CLI, now=clock.now())
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def elsewhere(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Return the settings of a place where there is nothing, which are the environment's too."""
    url = f"sqlite:///{tmp_path / 'new' / 'fleet.sqlite3'}"
    if database_kind == "postgresql":
        running: postgres.Server = request.getfixturevalue("postgres_server")
        url = running.url(running.create())
    environ = _environ(url, tmp_path / "new")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


def backed_up(server: Flask, to: Path, *words: str) -> Path:
    done = run(server, "database", "backup", to, *CLIENTS, "--json", *words)
    assert done.exit_code == 0, done.output
    return Path(json.loads(done.stdout)["folder"])


def put_back(server: Flask, folder: Path) -> Result:
    return run(server, "database", "restore", folder, *CLIENTS)


def doctor_of_backups(server: Flask) -> dict[str, tuple[str, str]]:
    told = json.loads(run(server, "doctor", "--json").stdout)
    return {one["name"]: (one["grade"], one["seen"]) for one in told}


def test_what_was_committed_comes_back_and_what_is_sealed_opens(
    server: Flask, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    assert doctor_of_backups(server)["backup"] == ("warning", "none was noted")
    # Beside the database, as careless people do: no backup holds the ones before it.
    folder = backed_up(server, tmp_path / "data" / "backups")
    assert doctor_of_backups(server)["backup"][0] == "ok"
    assert [path for path in folder.parent.rglob("*") if path.is_dir() and path.stat().st_mode & 0o077] == []
    done = put_back(server, folder)
    assert done.exit_code == 0, done.output
    compared = copying.compare(
        server.extensions["fleet_config"].database_url,
        database_url(elsewhere["FLEET_DATABASE_URL"]),
        progress=lambda *_told: None,
    )
    assert {one.table for one in compared if not one.is_same} == {"audit_entry"}, "the backup is noted once it is made"
    again = create_app(environ=elsewhere)
    config: Config = again.extensions["fleet_config"]
    assert (config.packages_dir / "no.example.app").read_bytes() == bytes(range(256)) * 40
    assert not config.exports_dir.exists()
    assert [path for path in config.data_dir.rglob("*") if path.stat().st_mode & 0o077] == []
    assert not (config.data_dir / "backups").exists()
    with again.app_context():
        with reading():
            found = mail_server.settings(vault_key=vault_key_of(config.secrets_dir, None), now=clock.now())
        db.engine.dispose()
    assert found is not None
    assert found.password == PASSWORD
    assert doctor_of_backups(again)["vault-key"][0] == "ok"


def test_nothing_is_written_over(server: Flask, elsewhere: dict[str, str], tmp_path: Path) -> None:
    folder = backed_up(server, tmp_path / "backups")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "somebody's").touch()
    taken = put_back(server, folder)
    assert taken.exit_code == 1
    assert f"there is something at {tmp_path / 'new'} already" in taken.stderr
    (tmp_path / "new" / "somebody's").unlink()
    assert put_back(server, folder).exit_code == 0
    shutil.rmtree(tmp_path / "new" / "secrets")
    shutil.rmtree(tmp_path / "new" / "packages")
    twice = put_back(server, folder)  # the database is there still
    assert (twice.exit_code, "there is something at" in twice.stderr) == (1, True)
    assert not (tmp_path / "new" / "secrets").exists()
    assert run(server, "database", "restore", folder, "--only-files").exit_code == 0
    assert (tmp_path / "new" / "secrets").is_dir()


def test_what_is_left_beside_a_database_is_not_played_into_what_comes_back(
    server: Flask, elsewhere: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_kind: str
) -> None:
    if database_kind == "postgresql":
        pytest.skip("has no files of its own beside it")
    folder = backed_up(server, tmp_path / "backups")
    apart = tmp_path / "apart"
    apart.mkdir()
    monkeypatch.setenv("FLEET_DATABASE_URL", f"sqlite:///{apart / 'fleet.sqlite3'}")
    for tail in ("-wal", "-shm", "-journal"):
        left = apart / f"fleet.sqlite3{tail}"
        left.touch()
        assert f"there is something at {left} already" in put_back(server, folder).stderr
        left.unlink()
    monkeypatch.setenv("FLEET_DATABASE_URL", elsewhere["FLEET_DATABASE_URL"])
    (tmp_path / "new").mkdir(exist_ok=True)
    (tmp_path / "new" / ".fleet.sqlite3.restoring").write_text("half")  # of a restore that was killed
    assert put_back(server, folder).exit_code == 0
    assert not (tmp_path / "new" / ".fleet.sqlite3.restoring").exists()


@pytest.mark.parametrize("kind", ["files.tar", "database.*"])
def test_a_damaged_backup_is_not_put_back(kind: str, server: Flask, elsewhere: dict[str, str], tmp_path: Path) -> None:
    folder = backed_up(server, tmp_path / "backups")
    (damaged,) = folder.glob(kind)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    done = put_back(server, folder)
    assert (done.exit_code, "is not what was written" in done.stderr) == (1, True)
    assert list((tmp_path / "new").glob("*")) == []
    (folder / "backup.json").unlink()
    assert "there is no whole backup in" in put_back(server, folder).stderr


def test_the_oldest_go_once_the_new_one_is_there(
    server: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to, begun = tmp_path / "backups", clock.now()
    for day in range(3):
        monkeypatch.setattr(clock, "now", lambda day=day: begun + timedelta(days=day))
        newest = backed_up(server, to, "--keep", "2")
    assert len(list(to.iterdir())) == 2
    assert newest in list(to.iterdir())
    (to / "not-ours").mkdir()
    (to / ".fleet-20260914T020000Z").mkdir()  # of a backup that was killed, by the clock of these days long ago
    monkeypatch.setattr(clock, "now", lambda: begun + timedelta(days=5))
    assert doctor_of_backups(server)["backup"][0] == "warning"
    assert run(server, "database", "backup-made", "another tool").exit_code == 0
    assert doctor_of_backups(server)["backup"][0] == "ok"
    newest = backed_up(server, to, "--keep", "1")
    assert {path.name for path in to.iterdir()} == {"not-ours", newest.name}


def test_a_backup_that_fails_leaves_nothing(server: Flask, tmp_path: Path, database_kind: str) -> None:
    if database_kind == "sqlite":
        pytest.skip("needs no program")
    done = run(server, "database", "backup", tmp_path / "backups", "--programs", tmp_path)
    assert (done.exit_code, "there is no program" in done.stderr) == (1, True)
    assert list((tmp_path / "backups").iterdir()) == []
