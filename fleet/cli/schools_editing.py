"""``fleet schools create``, ``rename``, ``fleet classes create``, ``rename``, ``end``: where no roster has them."""

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.output import application
from fleet.schools import editing, queries
from fleet.schools.models import ClassKind


@click.command("create")
@click.argument("name")
def create_school(name: str) -> None:
    """Make a school by hand; one that a roster brings is made by its import."""
    with application(writes=True):
        made = editing.create_school(name, by=Principal.command_line(), now=clock.now())
        told = f"school {made.id}: {made.name}"
    click.echo(told)


@click.command("rename")
@click.argument("school")
@click.argument("name")
def rename_school(school: str, name: str) -> None:
    """Give a school that was made by hand another name."""
    with application(writes=True):
        found = queries.find_school(school)
        editing.rename_school(found, name, by=Principal.command_line(), now=clock.now())
        told = f"school {found.id}: {found.name}"
    click.echo(told)


@click.command("create")
@click.argument("title")
@click.option("--school", required=True, help="The school it is of.")
@click.option("--teaching", is_flag=True, help="A teaching group, and not a basic one.")
def create_class(title: str, school: str, *, teaching: bool) -> None:
    """Make a class by hand; one that a roster brings is made by its import."""
    kind = ClassKind.TEACHING if teaching else ClassKind.BASIC
    with application(writes=True):
        found = queries.find_school(school)
        made = editing.create_class(found, title, kind=kind, by=Principal.command_line(), now=clock.now())
        told = f"class {made.id}: {made.title}, {found.name}"
    click.echo(told)


@click.command("rename")
@click.argument("title")
@click.argument("name")
@click.option("--school", help="The school, where several have a class of this title.")
def rename_class(title: str, name: str, school: str | None) -> None:
    """Give a class that was made by hand another title."""
    with application(writes=True):
        school_id = queries.find_school(school).id if school is not None else None
        found = queries.find_class(title, school_id=school_id)
        editing.rename_class(found, name, by=Principal.command_line(), now=clock.now())
        told = f"class {found.id}: {found.title}"
    click.echo(told)


@click.command("end")
@click.argument("title")
@click.option("--school", help="The school, where several have a class of this title.")
def end_class(title: str, school: str | None) -> None:
    """End a class that was made by hand; its tablets stay at the school."""
    with application(writes=True):
        school_id = queries.find_school(school).id if school is not None else None
        found = queries.find_class(title, school_id=school_id)
        editing.end_class(found, by=Principal.command_line(), now=clock.now())
        told = f"class {found.id}: {found.title} is ended"
    click.echo(told)
