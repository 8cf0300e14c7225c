"""``fleet audit``: who did what."""

import click

from fleet import audit
from fleet.access import Principal
from fleet.cli.output import ErrorsAsLines, application, json_option, show_table


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Read who did what."""


@group.command("list")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many lines, newest first.",
)
@click.option("--action", help="Only this action, such as tickets.created.")
@json_option
def list_entries(limit: int, action: str | None, *, as_json: bool) -> None:
    """List the newest lines of the audit."""
    with application(writes=False):
        rows = [
            {
                "at": entry.at,
                "by": f"{entry.actor_kind}:{entry.actor_id}".rstrip(":"),
                "action": entry.action,
                "subject": entry.subject,
                "fields": entry.fields,
            }
            for entry in audit.latest(limit, action=action, by=Principal.command_line())
        ]
    show_table(rows, ["at", "by", "action", "subject", "fields"], as_json=as_json)
