"""``fleet municipalities``: created, moved and upgraded, also where somebody was interrupted, and what is refused."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import OperationalError

from fleet import clock
from fleet.alerts.models import MailSecurity, MailServer
from fleet.config import database_url
from fleet.copying import opened
from fleet.db import newest_revision
from fleet.job_runs import JobLease
from fleet.municipalities import databases, moving, registry
from fleet.municipalities.registry import FORMER, MOVING_TO, UPGRADING, Cell
from fleet.municipalities.service import Service
from fleet.schools.models import School
from tests import postgres
from tests.conftest import NOW
from tests.many_servers_program import with_next_release
from tests.nation import Nation, fit_for_work

pytestmark = pytest.mark.serves

OTHER_KIND = {"sqlite": "postgresql", "postgresql": "sqlite"}


@pytest.fixture
def nation(
    tmp_path: Path, postgres_server: postgres.Server, sqlite_template: Path, postgres_template: str
) -> Iterator[Nation]:
    made = Nation(tmp_path / "cells", postgres_server, (sqlite_template, postgres_template))
    yield made
    made.drop()


def add_school(cell: Cell, name: str) -> None:
    with opened(cell.config.database_url) as engine, engine.begin() as connection:
        connection.execute(insert(School), [{"name": name}])


def schools(url: str) -> set[str]:
    with opened(database_url(url)) as engine, engine.connect() as connection:
        return set(connection.scalars(select(School.name)))


def test_one_is_created_once_however_often_it_is_typed(nation: Nation, database_kind: str) -> None:
    url = nation.new(database_kind, "kjenn")
    words = ["create", "kjenn", "--database", url, "--address", "kjenn.tablets.example"]
    with registry.held(nation.root):  # interrupted after its row: there is no database yet
        address = "kjenn.tablets.example"
        registry.reserve(nation.root, "kjenn", database=url, address=address, bind=None, proxies="127.0.0.1")
    assert nation.run("status", code=1).stdout.splitlines()[1].split()[:2] == ["kjenn", "no"]
    first = nation.run(*words)
    assert (" (made)" in first.stdout) is (database_kind == "postgresql")
    cell = nation.cell("kjenn")
    key = (cell.config.secrets_dir / "vault.key").read_bytes()
    add_school(cell, "Prøveskolen")
    nation.run(*words)
    assert (cell.config.secrets_dir / "vault.key").read_bytes() == key
    assert nation.cell("kjenn") == cell
    (row,) = nation.told("list")
    assert (row["address"], row["servers"]) == ("https://kjenn.tablets.example", "127.0.0.1:8101")
    assert Path(row["program"]).joinpath("fleet", "__main__.py").is_file()
    assert {
        one.stat().st_mode & 0o077
        for one in (nation.root, cell.folder, cell.folder / "fleet.env", cell.config.data_dir)
    } == {0}
    with fit_for_work([cell]):
        (stands,) = nation.told("status")
    assert stands["ready"] is stands["reachable"] is True
    assert (stands["schema"], stands["tablets"], stands["last_check_in_at"], stands["jobs"]) == (
        "current",
        0,
        None,
        "warning",
    )


def test_what_would_mix_two_municipalities_is_refused(nation: Nation, tmp_path: Path) -> None:
    nation.create("kjenn", "sqlite")
    taken = f"sqlite:///{tmp_path / 'kjenn.sqlite3'}"

    def refused(name: str, database: str, address: str, *more: str) -> str:
        told = nation.run("create", name, "--database", database, "--address", address, *more, code=1).stderr
        assert [one["name"] for one in nation.told("list")] == ["kjenn"]
        return told

    assert "cannot be a name" in refused("../kjenn", "sqlite:///x", "a.example")
    assert "holds data of kjenn" in refused("vik", taken, "vik.example")
    assert "same FLEET_PUBLIC_URL" in refused("vik", "sqlite:///x", "KJENN.tablets.example")
    assert "same FLEET_BIND" in refused("vik", "sqlite:///x", "vik.example", "--bind", "127.0.0.1:8101")
    assert "another FLEET_PUBLIC_URL" in refused("kjenn", taken, "vik.example")
    assert "--database" in refused("vik", "mysql://h/d", "vik.example")
    assert "FLEET_PUBLIC_URL" in refused("vik", "sqlite:///x", "https://vik.example/path")
    assert "FLEET_BIND" in refused("vik", "sqlite:///x", "vik.example", "--bind", "0.0.0.0:8109")
    assert "free of spaces" in refused("vik", "sqlite:////x y", "vik.example")
    secret = refused("vik", "postgresql://fleet:hemmelig@db/vik", "vik.example")
    assert "passfile" in secret
    assert "hemmelig" not in secret
    assert "no municipality is called vik; there are: kjenn" in nation.run("status", "vik", code=3).stderr


def test_a_database_in_use_comes_with_its_own_keys_or_not_at_all(nation: Nation, tmp_path: Path) -> None:
    pilot = nation.create("pilot", "sqlite")
    add_school(pilot, "Prøveskolen")
    registry.save(pilot.changed(FLEET_DATABASE_URL=f"sqlite:///{tmp_path / 'none'}"))
    words = ["create", "kjenn", "--database", pilot.database, "--address", "kjenn.tablets.example"]
    assert "put the data directory that belongs to it in place first" in nation.run(*words, code=1).stderr
    again = ["create", "kjenn", "--database", nation.shaped("sqlite", "other"), "--address", "kjenn.example"]
    nation.run(*again)  # nothing was finished, so that it can be put right
    assert nation.cell("kjenn").host == "kjenn.example"
    shutil.rmtree(nation.root / "kjenn")
    nation.run(*words, code=1)
    secrets = nation.root / "kjenn" / "data" / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    pilot.config.secrets_dir.joinpath("vault.key").rename(secrets / "vault.key")
    nation.run(*words)
    assert schools(nation.cell("kjenn").database) == {"Prøveskolen"}


def test_two_who_change_municipalities_at_once_are_told(nation: Nation) -> None:
    cell = nation.create("kjenn", "sqlite")
    with registry.held(nation.root):
        for words in (
            ["create", "vik", "--database", "sqlite:///x", "--address", "v"],
            ["upgrade"],
            ["drop-old", "kjenn", "--yes"],
        ):
            assert "somebody else changes municipalities" in nation.run(*words, code=1).stderr
        assert nation.told("list")[0]["name"] == cell.name


def test_a_move_carries_everything_over_and_keeps_the_old_until_told(nation: Nation, database_kind: str) -> None:
    cell = nation.create("kjenn", database_kind)
    add_school(cell, "Prøveskolen")
    registry.save(Cell(cell.name, cell.folder, f'{cell.text}# by hand\nFLEET_POLL_S="30"\n'))
    # One was killed after its copy, and before the row told of it: what it copied is old by now.
    target = database_url(nation.shaped(OTHER_KIND[database_kind], "moved"))
    add_school(cell.changed(FLEET_DATABASE_URL=target), "Prøveskolen, som den het")
    registry.save(nation.cell("kjenn").changed(**{MOVING_TO: target}))
    add_school(cell, "Etter avbruddet")
    elsewhere = nation.run("move", "kjenn", "--to", nation.new("sqlite", "elsewhere"), code=1).stderr
    assert "was interrupted: move it there again" in elsewhere
    with fit_for_work([cell]):
        nation.run("move", "kjenn", "--to", target)
        moved = nation.cell("kjenn")
        assert (moved.database, moved.settings[FORMER], MOVING_TO in moved.settings) == (target, cell.database, False)
        assert (moved.settings["FLEET_POLL_S"], "# by hand" in moved.text) == ("30", True)
        assert (moved.host, moved.port) == (cell.host, cell.port)
        assert schools(target) == {"Prøveskolen", "Etter avbruddet"}
        add_school(moved, "Den nye skolen")
        nation.run("move", "kjenn", "--to", target)  # typed again: it is there
    assert schools(target) == {"Prøveskolen", "Etter avbruddet", "Den nye skolen"}
    assert schools(cell.database) == {"Prøveskolen", "Etter avbruddet"}
    assert "is still kept" in nation.run("move", "kjenn", "--to", nation.new("sqlite", "third"), code=1).stderr
    taken = nation.run("create", "vik", "--database", cell.database, "--address", "vik", code=1).stderr
    assert "holds data of kjenn" in taken
    nation.run("drop-old", "kjenn", "--yes")
    assert nation.cell("kjenn").databases == {target}
    assert not is_there(nation, cell.database)
    assert "no move has left anything" in nation.run("drop-old", "kjenn", "--yes").stdout


def is_there(nation: Nation, url: str) -> bool:
    if url.startswith("sqlite"):
        return Path(url.removeprefix("sqlite:///")).exists()
    with opened(database_url(nation.postgres.url("postgres"))) as engine, engine.connect() as connection:
        name = url.rpartition("/")[2].partition("?")[0]
        return bool(connection.scalar(text("SELECT count(*) FROM pg_database WHERE datname = :name"), {"name": name}))


def test_a_database_that_somebody_works_on_is_not_moved(
    nation: Nation, database_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.municipalities.databases._LEAVES_WITHIN_S", 0)
    config = nation.create("kjenn", database_kind).config
    with databases.alone(config):
        pass
    with opened(config.database_url) as engine, engine.connect(), config.server_lock.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a server that nobody stopped
        with pytest.raises(databases.StillInUseError), databases.alone(config):
            pytest.fail("it was moved")


def test_who_comes_during_the_copy_writes_nothing_and_keeps_the_old_database(
    nation: Nation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.municipalities.databases._LEAVES_WITHIN_S", 1)
    cell, target = nation.create("kjenn", "postgresql"), database_url(nation.shaped("postgresql", "target"))
    add_school(cell, "Prøveskolen")
    said: list[str] = []
    guests: list[Connection] = []

    def come(*_told: object) -> None:
        if said[-1] == "copying" and not guests:
            guests.append(engine.connect())
            guests[0].execute(text("SET lock_timeout = '50ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                guests[0].execute(insert(School), [{"name": "Ville gått tapt"}])
            guests[0].rollback()
        registry.change(cell, FLEET_POLL_S="30")  # by hand, while the row is about to be written

    def move() -> Cell:
        return moving.move(nation.root, nation.cell("kjenn"), target, service=Service("true", patience_s=0),
                           shape=lambda _url: None, now=clock.now, say=said.append, progress=come)  # fmt: skip

    with fit_for_work([cell]):
        with opened(cell.config.database_url) as engine:
            with pytest.raises(databases.StillInUseError):
                move()
            guests[0].close()
        assert nation.cell("kjenn").database == cell.database
        assert said[-1] == "starting the servers"
        move()
    moved = nation.cell("kjenn")
    assert (moved.database, moved.settings["FLEET_POLL_S"]) == (target, "30")
    assert schools(target) == {"Prøveskolen"}


def test_a_lease_that_a_killed_server_left_is_waited_for(nation: Nation) -> None:
    cell, target = nation.create("kjenn", "sqlite"), nation.shaped("sqlite", "target")
    add_school(cell, "Prøveskolen")
    until = NOW + timedelta(milliseconds=50)
    with opened(cell.database) as engine, engine.begin() as connection:
        connection.execute(insert(JobLease), [{"name": "timetable", "holder": "a:1", "epoch": 1, "expires_at": until}])
    clock = iter([NOW, NOW, NOW + timedelta(seconds=1)])
    moving._copy_once_idle(cell.database, target, now=lambda: next(clock), progress=lambda *_: None)
    assert schools(target) == {"Prøveskolen"}
    assert not list(clock)


def test_a_move_that_cannot_be_leaves_the_old_database_in_use(nation: Nation) -> None:
    cell, other = nation.create("kjenn", "sqlite"), nation.create("vik", "sqlite")
    assert "holds data of vik" in nation.run("move", "kjenn", "--to", other.database, code=1).stderr
    add_school(other, "Prøveskolen")
    other.folder.joinpath("fleet.env").unlink()
    assert "has rows already (school)" in nation.run("move", "kjenn", "--to", other.database, code=1).stderr
    assert nation.cell("kjenn") == cell
    target = nation.shaped("sqlite", "target")
    nation.service = "false"
    assert "could not restart fleet@kjenn.service" in nation.run("move", "kjenn", "--to", target, code=1).stderr
    assert nation.cell("kjenn").database == cell.database
    nation.service = "true"
    unready = nation.run("move", "kjenn", "--to", target, "--patience", "0", code=1).stderr
    assert "`journalctl -u fleet@kjenn.service` says why" in unready
    assert nation.cell("kjenn").settings[FORMER] == cell.database  # moved, for all that


def test_an_upgrade_goes_in_waves_and_stops_where_one_does_not_stand_well(nation: Nation, tmp_path: Path) -> None:
    cells = [nation.create(name, "sqlite") for name in ("asen", "bo", "dal", "eid")]
    for one in cells:
        registry.run_by(one, tmp_path)  # the old program
    breaks = tmp_path / "breaks"
    breaks.write_text(
        f'#!/bin/sh\necho "$2" >> {tmp_path}/log\n[ "$2" != fleet@bo.service ] || chmod 644 {nation.root}/bo/data/secrets/vault.key\n'
    )
    breaks.chmod(0o700)
    nation.service = str(breaks)
    stopped = nation.run("upgrade", "--wave", "50%", "--canary", "dal", "--patience", "0", code=1)
    assert [line for line in stopped.stdout.splitlines() if "wave" in line] == [
        "wave 1 of 3: dal",
        "wave 2 of 3: asen, bo",
    ]
    assert "bo has faults since its upgrade (vault-key); not begun: eid" in stopped.stderr
    (tmp_path / "log").write_text("")
    nation.run("upgrade", "--patience", "0", code=1)  # not mended: it goes no further
    assert UPGRADING in nation.cell("bo").settings
    nation.service = "true"
    (nation.root / "bo" / "data" / "secrets" / "vault.key").chmod(0o600)
    done = nation.run("upgrade", "--wave", "50%", "--soak", "0.1").stdout
    assert ("dal: is there already" in done, "bo: upgraded" in done, "eid: upgraded" in done) == (True, True, True)
    assert not any(UPGRADING in nation.cell(one.name).settings for one in cells)
    assert len({one.program.resolve() for one in cells}) == 1
    assert "no wave" in nation.run("upgrade", "--wave", "0%", code=1).stderr
    assert "called oslo" in nation.run("upgrade", "--wave", "bo,oslo", code=3).stderr


@contextmanager
def next_release() -> Iterator[None]:
    """Have this process be of a program that has one more step than today's."""
    newest_revision.cache_clear()
    try:
        with (
            mock.patch("fleet.db.migrations", with_next_release),
            mock.patch("fleet.upgrading.migrations", with_next_release),
        ):
            yield
    finally:
        newest_revision.cache_clear()


def test_a_fault_that_was_there_before_stops_no_upgrade(nation: Nation, tmp_path: Path) -> None:
    cell = nation.create("kjenn", "sqlite")
    registry.run_by(cell, tmp_path)  # the old program
    fails = {"id": 1, "host": "mail.example", "port": 587, "security": MailSecurity.STARTTLS, "sender": "f@example"}
    at = {"changed_at": NOW, "failed_at": NOW, "failure": "refused", "failures": 9}
    with opened(cell.config.database_url) as engine, engine.begin() as connection:
        connection.execute(insert(MailServer), [{**fails, **at}])
    restarts = tmp_path / "restarts"
    restarts.write_text(f"#!/bin/sh\necho FLEET_POLL_S=30 >> {cell.folder}/fleet.env  # by hand, meanwhile\n")
    restarts.chmod(0o700)
    nation.service = str(restarts)
    with next_release():  # mail cannot be looked into before
        assert "kjenn: upgraded" in nation.run("upgrade", "--patience", "0").stdout
    with opened(cell.config.database_url) as engine, engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "next"
    row = nation.cell("kjenn").settings
    assert (row["FLEET_POLL_S"], UPGRADING in row) == ("30", False)


def test_one_that_is_away_is_told_and_holds_up_no_other(nation: Nation) -> None:
    nation.create("kjenn", "sqlite")
    away = nation.create("vik", "sqlite")
    registry.save(away.changed(FLEET_DATABASE_URL="postgresql://fleet@127.0.0.1:1/vik"))
    broken = nation.create("bo", "sqlite")
    registry.save(broken.changed(FLEET_WORKERS="4"))
    stands = {one["name"]: one["database"] for one in json.loads(nation.run("status", "--json", code=1).stdout)}
    assert stands == {"kjenn": "answers", "vik": "away", "bo": "wrong setting"}
    figures = nation.run("figures", "--json")
    assert json.loads(figures.stdout)["missing"] == ["bo", "vik"]
    assert "without bo, vik" in figures.stderr
    assert "bo: FLEET_WORKERS is '4'" in nation.run("front-door", "nginx", code=1).stderr


def test_the_front_door_leads_each_name_to_its_own_servers(nation: Nation) -> None:
    nation.create("kjenn", "sqlite")
    nation.create("vik", "sqlite", "--bind", "10.0.0.7:8000")
    told = nation.run("front-door", "nginx").stdout
    assert "upstream fleet_vik { server 10.0.0.7:8000; keepalive 64; }" in told
    assert "    vik.tablets.example fleet_vik;\n" in told
    assert "client-cert" not in told
    servers = told.split("\nserver {")[1:]
    assert [one.count("    access_log off;\n    error_log /var/log/nginx/error.log crit;\n") for one in servers] == [1]
    assert "    listen 443 ssl default_server;\n    listen [::]:443 ssl default_server;\n" in told
    registry.save(nation.cell("vik").changed(FLEET_CLIENT_CERT_HEADER="X-Client-Cert"))
    told = nation.run("front-door", "nginx").stdout
    assert "proxy_set_header x-client-cert $ssl_client_escaped_cert;" in told  # in the place of what a caller wrote
    unit = nation.run("front-door", "systemd", "--user", "brett").stdout
    assert f"EnvironmentFile={nation.root}/%i/fleet.env" in unit
    assert "User=brett" in unit
    backup = nation.run("front-door", "systemd", "fleet-backup@.service", "--backups", "/srv/backups").stdout
    assert f"EnvironmentFile={nation.root}/%i/fleet.env" in backup
    assert " -m fleet database backup /srv/backups/%i --keep 14\n" in backup
    assert f"ReadWritePaths={nation.root}/%i /srv/backups\n" in backup
    assert "OnCalendar=" in nation.run("front-door", "systemd", "fleet-backup@.timer").stdout


def test_a_copy_of_a_folder_is_no_municipality_and_no_name_leads_to_two(nation: Nation) -> None:
    cell = nation.create("kjenn", "sqlite")
    shutil.copytree(cell.folder, nation.root / "kjenn.bak", symlinks=True)
    assert [one["name"] for one in nation.told("list")] == ["kjenn"]
    (nation.root / "kjenn.bak").rename(nation.root / "kjenn-old")
    assert "kjenn and kjenn-old have the same FLEET_PUBLIC_URL" in nation.run("front-door", "nginx", code=1).stderr
