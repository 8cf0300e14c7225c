"""One municipality among many, opened for a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import Flask

from fleet.cli.output import program
from fleet.db import at_work, reading
from fleet.municipalities.databases import soon
from fleet.municipalities.registry import Cell

_REGISTRY = "fleet.municipalities"


def use_registry(folder: Path) -> None:
    """Note where the command line was told that the registry is."""
    click.get_current_context().meta[_REGISTRY] = folder.absolute()


def registry_folder() -> Path:
    """Return where the registry is."""
    found: Path = click.get_current_context().meta[_REGISTRY]
    return found


@contextmanager
def application(cell: Cell, *, database: str | None = None) -> Iterator[Flask]:
    """Open a municipality's application; its connections are closed afterwards.

    Args:
        cell: the municipality.
        database: another database than its own.

    Raises:
        ConfigError: a setting of it is missing or wrong.
    """
    create = program().create_cell
    if create is None:
        raise RuntimeError("this program looks after one municipality only")
    app = create({**cell.settings, "FLEET_DATABASE_URL": soon(database or cell.config.database_url)})
    with at_work(app):
        yield app


@contextmanager
def opened(cell: Cell) -> Iterator[Flask]:
    """Open a municipality's application to read from its database.

    Raises:
        ConfigError: a setting of it is missing or wrong.
        OperationalError: its database is away.
    """
    with application(cell) as app, reading():
        yield app
