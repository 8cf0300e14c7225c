"""``fleet database copy`` and ``compare``: what is said, in words and as JSON, and how refusals end."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import insert, text

from fleet import copying
from fleet.app import create_app
from fleet.copying import tables
from fleet.db import db
from fleet.schools.models import School
from tests import postgres
from tests.doors.fleet_command import run


@pytest.fixture
def own(sqlite_template: Path, tmp_path: Path) -> Iterator[Flask]:
    """Return the application of a server on SQLite that has been used."""
    shutil.copyfile(sqlite_template, tmp_path / "fleet.sqlite3")
    with copying.opened(f"sqlite:///{tmp_path / 'fleet.sqlite3'}") as engine, engine.begin() as connection:
        connection.execute(insert(School), [{"name": "Prøveskolen"}, {"name": "Den andre skolen"}])
    made = create_app(environ={"FLEET_DATA_DIR": str(tmp_path)})
    yield made
    with made.app_context():
        db.engine.dispose()


@pytest.fixture
def target(postgres_server: postgres.Server, postgres_template: str) -> str:
    """Return the address of an empty PostgreSQL, as one would type it."""
    return postgres_server.url(postgres_server.create(template=postgres_template))


def test_moving_up_and_back(own: Flask, target: str, sqlite_template: Path, tmp_path: Path) -> None:
    rehearsed = run(own, "database", "copy", "--to", target, "--rehearse")
    assert rehearsed.exit_code == 0
    assert "Only rehearsed" in rehearsed.stdout
    done = run(own, "database", "copy", "--to", target)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].split()[:3] == ["school", "2", "2"]
    assert "2 rows in" in done.stdout
    assert f"stay in {tmp_path} (FLEET_DATA_DIR)" in done.stdout
    assert f"the servers need the one in {tmp_path / 'secrets'}" in done.stdout
    assert "postgresql+psycopg://fleet@/" in done.stdout
    shutil.copyfile(sqlite_template, tmp_path / "back.sqlite3")
    back = run(own, "database", "copy", "--from", target, "--to", f"sqlite:///{tmp_path / 'back.sqlite3'}", "--json")
    told = json.loads(back.stdout)
    assert (told["rows"], told["rehearsed"], len(told["tables"])) == (2, False, len(tables()))
    (school,) = [one for one in told["tables"] if one["table"] == "school"]
    assert school["same"] is True
    assert school["digest"] == school["digest_there"] != "0" * 64


def test_a_copy_that_has_come_to_differ_is_said_table_by_table(own: Flask, target: str) -> None:
    run(own, "database", "copy", "--to", target)
    same = run(own, "database", "compare", "--to", target)
    assert (same.exit_code, same.stdout.splitlines()[-1]) == (0, "Both hold the same.")
    with copying.opened(target.replace("postgresql:", "postgresql+psycopg:")) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE school SET name = 'Annen' WHERE id = 2"))
    differs = run(own, "database", "compare", "--to", target)
    assert (differs.exit_code, differs.stdout.splitlines()[-1]) == (1, f"1 of {len(tables())} tables differ.")
    assert differs.stdout.splitlines()[1].split()[-1] == "no"
    told = run(own, "database", "compare", "--to", target, "--json")
    assert (told.exit_code, json.loads(told.stdout)["same"]) == (1, False)


def test_how_far_it_is_goes_to_standard_error(own: Flask, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.cli.database._TOLD_EVERY_S", 0)
    done = run(own, "database", "copy", "--to", target, "--json")
    assert done.stderr.splitlines() == ["copied 2 of 2 rows (100 %): school", "verified 2 of 2 rows (100 %): school"]
    assert json.loads(done.stdout)["rows"] == 2


def test_a_password_is_not_shown(own: Flask, target: str) -> None:
    done = run(own, "database", "copy", "--to", target.replace("fleet@", "fleet:hemmelig@"))
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1].endswith(" (with its password) and start the server.")
    assert "fleet:***@" in done.stdout
    assert "hemmelig" not in done.output


def test_what_is_refused_is_said_in_a_line(own: Flask, target: str, tmp_path: Path) -> None:
    run(own, "database", "copy", "--to", target)
    again = run(own, "database", "copy", "--to", target)
    assert again.exit_code == 1
    assert "has rows already (school)" in again.stderr
    itself = run(own, "database", "copy", "--to", f"sqlite:///{tmp_path / 'fleet.sqlite3'}")
    assert "both addresses lead to" in itself.stderr
    missing = run(own, "database", "copy", "--to", f"sqlite:///{tmp_path / 'none'}")
    assert missing.stderr.startswith(f"fleet: there is no file {tmp_path / 'none'}")
    wrong = run(own, "database", "copy", "--to", "mysql://h/d")
    assert wrong.stderr.startswith("fleet: --to is 'mysql': it must be sqlite:///FILE or postgresql://")
    (tmp_path / "new.sqlite3").touch()
    bare = run(own, "database", "copy", "--to", f"sqlite:///{tmp_path / 'new.sqlite3'}")
    assert "has no tables yet: set FLEET_DATABASE_URL to it and run `scripts/fleet database upgrade`" in bare.stderr
