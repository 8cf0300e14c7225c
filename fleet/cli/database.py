"""``fleet database``: create and upgrade the database."""

import click

from fleet import db
from fleet.cli.output import ErrorsAsLines, make_app


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Create and upgrade the database."""


@group.command()
def upgrade() -> None:
    """Bring the database to this version's shape; creates it where there is none."""
    with make_app().app_context():
        db.upgrade()
    click.echo("database is up to date")
