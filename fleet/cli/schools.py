"""``fleet schools``: schools and their calendar."""

import click

from fleet.access import Principal
from fleet.cli import schools_after_school, schools_bells, schools_calendar, schools_deciding, schools_editing
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.schools import queries

_COLUMNS = ["id", "name", "classes", "pupils", "teachers"]


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Look at schools, and make some by hand."""


for command in (
    schools_calendar.group,
    schools_after_school.command,
    schools_bells.command,
    schools_deciding.networks,
    schools_deciding.longest_lesson,
    schools_editing.create_school,
    schools_editing.rename_school,
):
    group.add_command(command)


@group.command("list")
@json_option
def list_schools(*, as_json: bool) -> None:
    """List the schools with their numbers of classes, pupils and teachers."""
    with application(writes=False):
        rows = queries.schools(Principal.command_line())
    show_table(rows, _COLUMNS, as_json=as_json)


@group.command()
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show one school and its classes."""
    by = Principal.command_line()
    with application(writes=False):
        school = queries.find_school(name)
        row = next(row for row in queries.schools(by) if row["id"] == school.id)
        classes = queries.classes(by, school_id=school.id)
    if as_json:
        show_json({**row, "classes": classes})
        return
    show_table([row], _COLUMNS, as_json=False)
    click.echo()
    show_table(classes, ["id", "title", "kind", "pupils", "teachers"], as_json=False)
