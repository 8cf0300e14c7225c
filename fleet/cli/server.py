"""``fleet server``: run the server."""

import click

from fleet.cli.output import ErrorsAsLines, program


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Run the server."""


@group.command()
def run() -> None:
    """Run the server until it is stopped; brings the database up to date first."""
    program().serve()
