"""``fleet classes``: basic and teaching groups."""

import click

from fleet.access import Principal
from fleet.cli import schools_editing
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.schools import queries


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Look at classes, and make some by hand."""


for command in (schools_editing.create_class, schools_editing.rename_class, schools_editing.end_class):
    group.add_command(command)


@group.command("list")
@click.option("--school", help="Only this school's.")
@json_option
def list_classes(school: str | None, *, as_json: bool) -> None:
    """List the classes with their numbers of members."""
    with application(writes=False):
        school_id = queries.find_school(school).id if school is not None else None
        rows = queries.classes(Principal.command_line(), school_id=school_id)
    show_table(rows, ["id", "school", "title", "kind", "pupils", "teachers"], as_json=as_json)


@group.command()
@click.argument("title")
@click.option("--school", help="The school, where several have a class of this title.")
@json_option
def show(title: str, school: str | None, *, as_json: bool) -> None:
    """Show one class with its members' names."""
    by = Principal.command_line()
    with application(writes=False):
        school_id = queries.find_school(school).id if school is not None else None
        found = queries.find_class(title, school_id=school_id)
        rows = queries.members(by, found)
        shown = {"id": found.id, "school": found.school.name, "title": found.title, "kind": found.kind.value}
    if as_json:
        show_json({**shown, "members": rows})
        return
    click.echo(f"{shown['title']}, {shown['school']}")
    show_table(rows, ["role", "family_name", "given_name", "username"], as_json=False)
