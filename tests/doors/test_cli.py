"""The command line's frame: nouns, errors without tracebacks, exit codes, JSON and tables."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from flask import Flask

from fleet import audit
from fleet.access import Principal
from fleet.app import create_app
from fleet.cli import NOUNS, main
from fleet.cli.output import ErrorsAsLines, Program, show_json, show_table
from fleet.db import db, transaction
from fleet.errors import BrakedError, ConflictError, FleetError, InvalidFileError, NotFoundError, Problem
from tests.conftest import NOW

MakeProgram = Callable[[dict[str, str]], Program]
WHOLE_FILE = Problem("a.zip", None, None, "empty", None, "x")


def run(app: Flask, *words: str) -> click.testing.Result:
    return CliRunner().invoke(main, words, obj=Program(lambda: app, lambda: None))


def test_help_names_every_noun() -> None:
    shown = CliRunner().invoke(main, ["--help"], obj=None)
    assert shown.exit_code == 0
    assert all(noun in shown.output for noun in NOUNS)


@pytest.fixture
def program() -> Iterator[MakeProgram]:
    """Return a function that makes what the command line is given, from settings; connections are closed afterwards."""
    apps: list[Flask] = []

    def make(environ: dict[str, str]) -> Program:
        def app() -> Flask:
            apps.append(create_app(environ=environ))
            return apps[-1]

        return Program(app, lambda: None)

    yield make
    for app in apps:
        with app.app_context():
            db.engine.dispose()


def command(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "FLEET_DATABASE_URL": "", "FLEET_DATA_DIR": str(tmp_path)}
    return subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)


def test_a_command_starts_without_what_only_the_server_needs(tmp_path: Path) -> None:
    code = """
import runpy, sys
sys.argv = ["fleet", "database", "upgrade"]
try:
    runpy.run_module("fleet", run_name="__main__")
finally:
    print(*[name for name in ("gunicorn", "uvicorn", "a2wsgi", "babel", "fleet.web", "fleet.app.server") if name in sys.modules])
"""
    done = command(tmp_path, code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "database is up to date\n\n", "")


def test_who_reads_no_further_is_no_fault(tmp_path: Path) -> None:
    code = """
import os, sys
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
sys.argv = ["fleet", "database", "upgrade"]
import runpy
runpy.run_module("fleet", run_name="__main__")
"""
    done = command(tmp_path, code)
    assert (done.returncode, done.stderr) == (141, "")


def test_who_presses_ctrl_c_while_modules_are_loaded_gets_one_line(tmp_path: Path) -> None:
    code = """
import builtins, runpy, sys
load = builtins.__import__
def interrupted(name, *rest, **more):
    if name == "fleet.cli":
        raise KeyboardInterrupt
    return load(name, *rest, **more)
builtins.__import__ = interrupted
runpy.run_module("fleet", run_name="__main__")
"""
    done = command(tmp_path, code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Aborted!\n")


def test_help_names_the_command_as_it_is_typed(tmp_path: Path) -> None:
    code = """
import runpy, sys
sys.argv = ["fleet", "tickets", "create"]
runpy.run_module("fleet", run_name="__main__")
"""
    done = command(tmp_path, code)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "Usage: scripts/fleet tickets create [OPTIONS]\nTry 'scripts/fleet tickets create --help'"
    )


def test_an_unknown_noun_is_wrong_use() -> None:
    assert CliRunner().invoke(main, ["tabelts"], obj=None).exit_code == 2


def test_the_audit_lists_as_table_and_as_json(app: Flask) -> None:
    with transaction():
        audit.record(Principal.command_line(), "tickets.created", subject="ticket:1", now=NOW, count=3)
    assert "tickets.created" in run(app, "audit", "list").output
    (row,) = json.loads(run(app, "audit", "list", "--json").output)
    assert (row["by"], row["at"], row["fields"]) == ("cli", NOW.isoformat(), {"count": 3})


def test_a_database_that_is_not_set_up_is_said_so_in_one_line(tmp_path: Path, program: MakeProgram) -> None:
    given = program({"FLEET_DATA_DIR": str(tmp_path)})
    refused = CliRunner().invoke(main, ["audit", "list"], obj=given)
    assert refused.exit_code == 1
    assert "fleet database upgrade" in refused.stderr
    assert "Traceback" not in refused.stderr
    made = CliRunner().invoke(main, ["database", "upgrade"], obj=given)
    assert (made.exit_code, made.output) == (0, "database is up to date\n")
    assert CliRunner().invoke(main, ["audit", "list"], obj=given).exit_code == 0


def test_a_database_that_cannot_be_reached_is_said_so_in_one_line(tmp_path: Path, program: MakeProgram) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"postgresql://fleet:hemmelig@127.0.0.1:{taken.getsockname()[1]}/fleet"
        environ = {"FLEET_DATA_DIR": str(tmp_path), "FLEET_DATABASE_URL": url}
        for words in (["devices", "list"], ["jobs", "run-now", "retention"], ["database", "upgrade"]):
            refused = CliRunner().invoke(main, words, obj=program(environ))
            assert (refused.exit_code, refused.stdout) == (1, "")
            assert refused.stderr.startswith("fleet: database: ")
            assert len(refused.stderr.splitlines()) == 1
            assert "hemmelig" not in refused.stderr


def test_a_wrong_setting_is_said_so_in_one_line() -> None:
    refused = CliRunner().invoke(
        main, ["audit", "list"], obj=Program(lambda: create_app(environ={"FLEET_BIND": "x"}), lambda: None)
    )
    assert refused.exit_code == 1
    assert "FLEET_BIND" in refused.stderr


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConflictError(kind="x", reason="it is so"), 1, "fleet: x: it is so\n"),
        (FleetError(), 1, "fleet: this is refused\n"),
        (NotFoundError(kind="school", name="Kjen"), 3, "fleet: no school is called Kjen: `scripts/fleet schools list`"),
        (BrakedError(kind="x"), 4, "waits for an explicit yes"),
        (KeyboardInterrupt(), 130, "Aborted!\n"),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), 1, "No such file or directory: x.csv"),
        (PermissionError("secret can be read by others"), 1, "secret can be read by others"),
        (
            InvalidFileError([Problem("users.csv", 3, "role", "odd", "studnet", "student"), WHOLE_FILE]),
            5,
            "users.csv:3 [role]: odd: expected student, found 'studnet'\na.zip: empty: expected x\n2 problem(s)",
        ),
    ],
)
def test_each_refusal_has_its_text_and_exit_code(error: BaseException, code: int, text: str) -> None:
    @click.group(cls=ErrorsAsLines)
    def group() -> None:
        """Refuse."""

    @group.command()
    def verb() -> None:
        raise error

    refused = CliRunner().invoke(group, ["verb"])
    assert refused.exit_code == code
    assert text in refused.stderr
    assert refused.stdout == ""


def test_tables_align_and_show_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [
        {"name": "Kjenn skole", "tablets": 0, "old": True, "new": False, "at": None},
        {"name": "Åsen"},
    ]
    show_table(rows, ["name", "tablets", "old", "new", "at"], as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "name         tablets  old  new  at",
        "Kjenn skole  0        yes  no   -",
        "Åsen         -        -    -    -",
    ]
    show_table(
        [{"a": ["x", 1, True], "b": {"n": 2, "to": None}, "c": frozenset({"z", "y"}), "d": []}],
        ["a", "b", "c", "d"],
        as_json=False,
    )
    assert capsys.readouterr().out.splitlines()[1] == "x, 1, yes  n 2, to -  y, z  -"
    show_table([], ["name"], as_json=False)
    show_table([], ["name"], as_json=True)
    assert capsys.readouterr().out == "name\n[]\n"


def test_json_keeps_norwegian_letters_and_writes_instants(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"name": "Åsen", "at": datetime(2026, 1, 1, tzinfo=UTC), "ids": frozenset({2, 1}), "path": Path("x")})
    shown = capsys.readouterr().out
    assert "Åsen" in shown
    assert json.loads(shown) == {"name": "Åsen", "at": "2026-01-01T00:00:00+00:00", "ids": [1, 2], "path": "x"}
