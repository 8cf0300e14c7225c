"""``fleet roster``: schools, classes and people from a file."""

from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.schools.roster import apply
from fleet.schools.roster.plan import DEFAULT_MAX_REMOVED_PERCENT, Plan


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Bring in schools, classes and people from a file, and take the last import back."""


def _plain(plan: Plan, **more: Any) -> dict[str, Any]:
    return {"changes": plan.counts(), "suspected_same_person": plan.suspects, **more}


def _show(plan: Plan, headline: str, *, as_json: bool, **more: Any) -> None:
    if as_json:
        show_json(_plain(plan, **more))
        return
    click.echo(headline)
    rows = [{"kind": kind, **counts} for kind, counts in plan.counts().items()]
    show_table(rows, ["kind", "added", "changed", "removed"], as_json=False)
    for username in plan.suspects:
        click.echo(f"suspect: {username} would leave and come under another id; is that one person?")


@group.command("import")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@click.option("--max-removed", type=click.IntRange(0, 100), default=DEFAULT_MAX_REMOVED_PERCENT, show_default=True,
              help="Brake: percent of classes, and of people, that may leave in one import.")  # fmt: skip
@click.option("--allow-removals", is_flag=True, help="Yes, let that many leave.")
@json_option
def import_file(file: Path, max_removed: int, *, dry_run: bool, allow_removals: bool, as_json: bool) -> None:
    """Import a OneRoster 1.1/1.2 CSV package or Apple School Manager's CSV set (zip or folder)."""
    by = Principal.command_line()
    with application(writes=not dry_run):
        if dry_run:
            _show(apply.propose(file, by=by), "would change:", as_json=as_json, applied=False)
            return
        brake = None if allow_removals else max_removed
        plan, done = apply.import_file(file, max_removed_percent=brake, by=by, now=clock.now())
        number = done.id if done is not None else None
    headline = f"applied as import {number}:" if number is not None else "nothing to change:"
    _show(plan, headline, as_json=as_json, applied=number is not None, import_id=number)


@group.command()
@json_option
def undo(*, as_json: bool) -> None:
    """Take the last import back."""
    with application(writes=True):
        last = apply.undo(by=Principal.command_line(), now=clock.now())
        shown = {"import_id": last.id, "file_name": last.file_name, "undone_at": last.undone_at}
    show_json(shown) if as_json else click.echo(f"import {shown['import_id']} ({shown['file_name']}) is taken back")


@group.command()
@json_option
def history(*, as_json: bool) -> None:
    """List the imports, newest first."""
    with application(writes=False):
        rows = [
            {"id": one.id, "file": one.file_name, "applied_at": one.applied_at, "undone_at": one.undone_at}
            for one in apply.history()
        ]
    show_table(rows, ["id", "file", "applied_at", "undone_at"], as_json=as_json)
