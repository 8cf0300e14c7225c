"""How the command line speaks: tables, JSON, one-line errors and stable exit codes."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from flask import Flask

from fleet.cli.local_time import moment, show_in
from fleet.cli.refusals import describe, printable
from fleet.config import Config
from fleet.db import OperationalError, knows_revision, newest_revision, reading, schema_revision, transaction
from fleet.errors import BrakedError, DatabaseNewerError, FleetError, InvalidFileError, NotFoundError

EXIT_REFUSED, EXIT_USAGE, EXIT_NOT_FOUND, EXIT_BRAKED, EXIT_INVALID_FILE = 1, 2, 3, 4, 5
EXIT_INTERRUPTED, EXIT_UNREAD = 130, 141  # as shells say of a program that SIGINT or SIGPIPE ended


def exit_code(error: FleetError) -> int:
    """Return the exit code that stands for ``error``."""
    for kind, code in (
        (InvalidFileError, EXIT_INVALID_FILE),
        (BrakedError, EXIT_BRAKED),
        (NotFoundError, EXIT_NOT_FOUND),
    ):
        if isinstance(error, kind):
            return code
    return EXIT_REFUSED


class DatabaseOutdatedError(FleetError):
    """The database is not at this program's revision. Data: ``found``, ``expected``."""

    code = "database-outdated"


class ErrorsAsLines(click.Group):
    """A group whose commands end in one clear line where the domain refuses, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; map errors to text and exit code once."""
        try:
            return super().invoke(ctx)
        except FleetError as error:
            click.echo(f"fleet: {describe(error)}", err=True)
            ctx.exit(exit_code(error))
        except OperationalError as error:  # away, full or locked; of several lines the first says it
            click.echo(f"fleet: database: {str(error.orig).strip().partition(chr(10))[0]}", err=True)
            ctx.exit(EXIT_REFUSED)
        except KeyboardInterrupt:
            click.echo("Aborted!", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:  # whoever reads has seen enough (| head)
            _write_nowhere()
            ctx.exit(EXIT_UNREAD)
        except OSError as error:  # a file that was named cannot be read or written
            click.echo(
                f"fleet: {error.strerror}: {error.filename}" if error.filename else f"fleet: {error}",
                err=True,
            )
            ctx.exit(EXIT_REFUSED)


def _write_nowhere() -> None:
    """Lead what is still to be written away from a pipe that nobody reads, so that the end of the program is quiet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@dataclass(frozen=True, slots=True)
class Program:
    """What ``__main__`` (or a test) gives to the command line, which may not reach for it itself."""

    create_app: Callable[[], Flask]
    serve: Callable[[], None]
    create_cell: Callable[[Mapping[str, str]], Flask] | None = None  # of one municipality among many, from its settings


def program() -> Program:
    """Return what the command line was given."""
    found: Program = click.get_current_context().obj
    return found


def make_app() -> Flask:
    """Make the application."""
    return program().create_app()


def ready_app() -> Flask:
    """Make the application, for a command that opens units of work itself.

    Raises:
        DatabaseNewerError: its database is at a revision that this program does not know.
        DatabaseOutdatedError: it is at an older one.
    """
    app = make_app()
    with app.app_context():
        found, wanted = schema_revision(), newest_revision()
        if not knows_revision(found):
            raise DatabaseNewerError
        if found != wanted:
            raise DatabaseOutdatedError(found=found or "no tables", expected=wanted)
    show_in(app.extensions["fleet_config"].timezone)
    return app


@contextmanager
def application(*, writes: bool) -> Iterator[Config]:
    """Open the application and one unit of work for a command; gives the configuration.

    Raises:
        DatabaseNewerError: its database is at a revision that this program does not know.
        DatabaseOutdatedError: it is at an older one.
    """
    app = ready_app()
    with app.app_context(), transaction() if writes else reading():
        yield app.extensions["fleet_config"]


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` to a command, as parameter ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON for programs.")(command)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def show_json(value: Any) -> None:
    """Write ``value`` as JSON: UTF-8, two spaces, keys in their order."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def show_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Write rows as an aligned table, or as a JSON array with ``as_json``.

    Args:
        rows: one mapping per row; a missing or None value shows as a dash.
        columns: the keys to show, in order.
        as_json: write JSON with every key of the rows instead.
    """
    listed = list(rows)
    if as_json:
        show_json(listed)
        return
    cells = [[_cell(row.get(column)) for column in columns] for row in listed]
    widths = [
        max(len(name), *(len(line[i]) for line in cells)) if cells else len(name) for i, name in enumerate(columns)
    ]
    for line in [list(columns), *cells]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    return text(value) or "-"


def text(value: Any) -> str:
    """Return a value as people read it: local times, yes and no, lists with commas; empty where there is nothing.

    Whatever a tablet or a file told is written so that it cannot steer the terminal.
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{printable(str(name))} {text(one) or '-'}" for name, one in sorted(value.items()))
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        between = "; " if any(isinstance(one, Mapping) for one in items) else ", "
        return between.join(text(one) or "-" for one in items)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    return "" if value is None else printable(str(value))


def give(content: bytes, output: Path | None, *, then: str) -> None:
    """Write a text to a file and say what to do with it next; where no file is named, write it out as it is."""
    if output is None:
        click.echo(content.decode(), nl=False)
    else:
        output.write_bytes(content)
        click.echo(f"wrote {output}: {then}")


def write_for_owner(path: Path, content: bytes, *, over: bool) -> None:
    """Write a file that only its owner may read, such as a sheet: who has it has the ticket.

    Args:
        path: where.
        content: what.
        over: whether one that is there may be written over.

    Raises:
        OSError: it cannot be written, or is there.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if over else os.O_EXCL), 0o600)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o600)  # also where the file was there before
        file.write(content)
