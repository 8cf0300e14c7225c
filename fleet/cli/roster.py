"""``fleet roster``: schools, classes and people from a file."""

from itertools import groupby
from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.cli.refusals import share
from fleet.cli.wording import COMMAND
from fleet.devices import queries as devices
from fleet.schools.roster import apply
from fleet.schools.roster.plan import DEFAULT_MAX_REMOVED_PERCENT, Plan, over_brake


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Bring in schools, classes and people from a file, and take the last import back."""


_SHOWN = 10  # of each kind and change, of a plan at a terminal


def _tablets_left(plan: Plan, by: Principal) -> int:
    """Return how many tablets stand in the classes that leave: they stay there until somebody moves them."""
    leaving = plan.kinds["classes"].removed
    return sum(count for source_id, count in devices.counts_by_class_source(by=by).items() if source_id in leaving)


def _show(plan: Plan, headline: str, *, as_json: bool, items: bool, left: int, **more: Any) -> None:
    if as_json:
        listed = {"items": list(plan.items())} if items else {}
        owner = plan.municipality[1] if plan.municipality is not None else None
        changes = {"changes": plan.counts(), "municipality": owner, "suspected_same_person": plan.suspects}
        show_json({**changes, "tablets_in_removed_classes": left, **more, **listed})
        return
    click.echo(headline)
    rows = [{"kind": kind, **counts} for kind, counts in plan.counts().items()]
    show_table(rows, ["kind", "added", "changed", "removed"], as_json=False)
    if plan.municipality is not None:
        click.echo(f"municipality: {plan.municipality[1]}")
    if left:
        click.echo(f"{left} tablet(s) stand in classes that leave: `{COMMAND} devices list` shows those as ended")
    for username in plan.suspects:
        click.echo(f"suspect: {username} would leave and come under another id; is that one person?")
    if items:
        _show_items(plan)


def _show_items(plan: Plan) -> None:
    for (kind, change), found in groupby(plan.items(), key=lambda item: (item["kind"], item["change"])):
        listed = list(found)
        for item in listed[:_SHOWN]:
            title = f" {item['title']}" if item["title"] else ""
            what = f": {', '.join(item['fields'])}" if item["fields"] else ""
            click.echo(f"{change} {kind}: {item['id']}{title}{what}")
        if len(listed) > _SHOWN:
            click.echo(f"{change} {kind}: … and {len(listed) - _SHOWN} more (--json has all)")


@group.command("import")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@click.option("--max-removed", type=click.IntRange(0, 100), default=DEFAULT_MAX_REMOVED_PERCENT, show_default=True,
              help="Brake: percent of classes, people or places in classes that may leave in one import.")  # fmt: skip
@click.option("--allow-removals", is_flag=True, help="Yes, let that many leave.")
@json_option
def import_file(file: Path, max_removed: int, *, dry_run: bool, allow_removals: bool, as_json: bool) -> None:
    """Import a OneRoster 1.1/1.2 CSV package or Apple School Manager's CSV set (zip or folder)."""
    by, wanted = Principal.command_line(), apply.read(file)
    brake = None if allow_removals else max_removed
    if dry_run:
        with application(writes=False):
            plan = apply.propose(wanted, by=by)
            left = _tablets_left(plan, by)
        braked = over_brake(plan, max_removed_percent=brake) if brake is not None else None
        headline = "nothing would change:" if plan.is_empty else "would change:"
        why = braked.data if braked is not None else None
        _show(plan, headline, as_json=as_json, items=True, left=left, applied=False, braked=why)
        if braked is not None and not as_json:
            click.echo(f"the brake would stop this: {share(braked.data)} would leave; --allow-removals lets them")
        return
    with application(writes=True):
        plan, done = apply.apply(wanted, file_name=file.name, max_removed_percent=brake, by=by, now=clock.now())
        number, left = done.id if done is not None else None, _tablets_left(plan, by)
    headline = f"applied as import {number}:" if number is not None else "nothing to change:"
    _show(plan, headline, as_json=as_json, items=False, left=left, applied=number is not None, import_id=number)


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
            for one in apply.history(by=Principal.command_line())
        ]
    show_table(rows, ["id", "file", "applied_at", "undone_at"], as_json=as_json)
