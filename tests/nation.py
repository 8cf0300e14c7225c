"""A nation of made-up municipalities: a registry, the command that looks after it, and what starts its servers."""

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from click.testing import CliRunner, Result
from flask import Flask

from fleet.app import create_app
from fleet.cli import main
from fleet.cli.output import Program
from fleet.db import at_work, db
from fleet.municipalities import registry
from fleet.municipalities.registry import Cell
from tests import postgres
from tests.serving import ROOT

SERVICE = f"{sys.executable} {ROOT / 'tests' / 'cell_service.py'}"


def _create(environ: Mapping[str, str]) -> Flask:
    return create_app(environ=environ, with_pages=False)


def _own() -> Flask:
    raise AssertionError("many municipalities need no database of one's own")


@dataclass
class Nation:
    """A registry, and where its databases are made.

    ``service`` starts and stops servers; what says yes to everything where none are needed.
    """

    root: Path
    postgres: postgres.Server
    templates: tuple[Path, str]  # migrated, empty databases to copy: SQLite's file and PostgreSQL's name
    service: str = "true"
    made: list[str] = field(default_factory=list)

    def run(self, *words: str | Path, code: int = 0) -> Result:
        """Run ``fleet municipalities``; it has to end with this exit code, and never with a traceback."""
        told = ["municipalities", "--registry", str(self.root), *map(str, words)]
        result = CliRunner(env={"FLEET_SERVICE_COMMAND": self.service}).invoke(
            main, told, obj=Program(_own, lambda: None, _create)
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        return result

    def told(self, *words: str) -> Any:
        """Return what a command tells programs."""
        return json.loads(self.run(*words, "--json").stdout)

    def new(self, kind: str, name: str) -> str:
        """Return the address of a database that is not there yet."""
        if kind == "sqlite":
            return f"sqlite:///{self.root.parent / f'{name}.sqlite3'}"
        self.made.append(f"{name}_{secrets.token_hex(4)}")
        return self.postgres.url(self.made[-1])

    def shaped(self, kind: str, name: str) -> str:
        """Return the address of a new database that has this program's shape, and no rows."""
        if kind == "sqlite":
            shutil.copyfile(self.templates[0], self.root.parent / f"{name}.sqlite3")
            return self.new(kind, name)
        url = self.new(kind, name)
        self.postgres.create(template=self.templates[1], name=self.made[-1])
        return url

    def create(self, name: str, kind: str, *more: str) -> Cell:
        """Create a municipality on a database of this kind."""
        told = ["--database", self.shaped(kind, name), "--address", f"{name}.tablets.example", *more]
        self.run("create", name, *told)
        return self.cell(name)

    def cell(self, name: str) -> Cell:
        """Return a municipality as the registry has it now."""
        return registry.find(self.root, name)

    def fleet(self, name: str, *words: str | Path) -> Result:
        """Run a command of one municipality's own."""
        app = _create(self.cell(name).settings)
        try:
            result = CliRunner().invoke(main, [str(word) for word in words], obj=Program(lambda: app, lambda: None))
        finally:
            with app.app_context():
                db.engine.dispose()
        assert result.exit_code == 0, result.output
        return result

    def keep(self, action: str, name: str) -> None:
        """Start or stop the servers of a municipality, as its keeper of services would."""
        subprocess.run([*self.service.split(), action, f"fleet@{name}.service"], check=True)

    def drop(self) -> None:
        """Remove the databases that were made."""
        for name in self.made:
            self.postgres.drop(name)


@contextmanager
def app_of(cell: Cell) -> Iterator[Flask]:
    """Open a municipality's application, to look into its database or fill it."""
    app = _create(cell.settings)
    with at_work(app):
        yield app


@contextmanager
def fit_for_work(cells: Sequence[Cell]) -> Iterator[None]:
    """Have something at the place of these municipalities' servers that says it is ready."""

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    servers = [ThreadingHTTPServer(("127.0.0.1", one.port), Ready) for one in cells]
    for one in servers:
        Thread(target=one.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        for one in servers:
            one.shutdown()
            one.server_close()
