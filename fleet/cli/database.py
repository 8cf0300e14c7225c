"""``fleet database``: create and upgrade the database."""

import alembic.command
import click

from fleet.cli.output import ErrorsAsLines, make_app
from fleet.db import db, migrations


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Create and upgrade the database."""


@group.command()
def upgrade() -> None:
    """Bring the database to this version's shape; creates it where there is none."""
    settings = migrations()
    with make_app().app_context(), db.engine.begin() as connection:
        settings.attributes["connection"] = connection
        alembic.command.upgrade(settings, "head")
    click.echo("database is up to date")
