"""``fleet absences``: which pupils are away, so that nobody asks for their tablets. Why is not kept."""

from datetime import date
from pathlib import Path

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.moments import Day
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.schools import absences, absences_import, queries

_COLUMNS = ["id", "username", "from", "to", "source"]


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Say which pupils are away."""


@group.command()
@click.argument("pupils", metavar="PUPIL…", nargs=-1, required=True)
@click.option("--from", "first", type=Day(), required=True, help="The first day.")
@click.option("--to", "last", type=Day(), help="The last day; the first where it is left out.")
def enter(pupils: tuple[str, ...], first: date, last: date | None) -> None:
    """Note that pupils (user name or roster id) are away."""
    with application(writes=True):
        ids = [queries.find_pupil(one).id for one in pupils]
        count = absences.enter(ids, first, last or first, by=Principal.command_line(), now=clock.now())
    click.echo(f"{count} absence(s) entered")


@group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@json_option
def import_file(file: Path, *, dry_run: bool, as_json: bool) -> None:
    """Import absences from a CSV file: user name or roster id, from, to."""
    by = Principal.command_line()
    with application(writes=not dry_run):
        found = absences_import.plan(file, by=by) if dry_run else absences_import.apply(file, by=by, now=clock.now())
    counts = found.counts()
    if as_json:
        show_json(counts)
    else:
        click.echo(f"{counts['new']} new, {counts['known']} known")


@group.command("list")
@click.argument("school")
@json_option
def list_absences(school: str, *, as_json: bool) -> None:
    """List who of a school is away, today or later."""
    with application(writes=False) as config:
        today = clock.now().astimezone(config.timezone).date()
        found = absences.of_school(queries.find_school(school).id, today, by=Principal.command_line())
        rows = [
            {
                "id": one.id, "username": person.username, "from": one.starts_on, "to": one.ends_on,
                "source": one.source.value,
            }
            for one, person in found
        ]  # fmt: skip
    show_table(rows, _COLUMNS, as_json=as_json)


@group.command()
@click.argument("ids", metavar="ID…", nargs=-1, required=True, type=int)
def remove(ids: tuple[int, ...]) -> None:
    """Take absences back."""
    with application(writes=True):
        count = absences.remove(ids, by=Principal.command_line(), now=clock.now())
    click.echo(f"{count} absence(s) removed")
