"""``fleet audit``: who did what."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from fleet import audit
from fleet.access import Principal
from fleet.cli.moments import Moment, instant
from fleet.cli.output import ErrorsAsLines, application, json_option, show_table
from fleet.cli.refusals import printable


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
@click.option("--action", help="Only this action, such as tickets.created, or all of an area: tickets.")
@click.option("--subject", help="Only what was done to this, such as device:17.")
@click.option("--by", "actor", help="Only what this one did: account:17, a kind such as job, or cli.")
@click.option("--since", type=Moment(), help="Not before this local time.")
@click.option("--until", type=Moment(), help="Before this local time.")
@json_option
def list_entries(limit: int, action: str | None, *, as_json: bool, **narrowed: Any) -> None:
    """List the newest lines of the audit."""
    by = Principal.command_line()
    with application(writes=False) as config:
        rows: list[dict[str, Any]] = [
            {
                "at": entry.at,
                "by": f"{entry.actor_kind}:{entry.actor_id}".rstrip(":"),
                "action": entry.action,
                "subject": entry.subject,
                "fields": entry.fields,
            }
            for entry in audit.lines(_filter(action, config.timezone, **narrowed), limit=limit, by=by)
        ]
        known = audit.actions(by=by) if action is not None and not rows else ()
    if action is not None and not rows and action not in known:
        there = f"there are: {', '.join(known)}" if known else "there are no lines at all"
        click.echo(f"fleet: the audit has no line of the action {printable(action)}; {there}", err=True)
    shown = rows if as_json else [{**row, "fields": _local(row["fields"])} for row in rows]
    show_table(shown, ["at", "by", "action", "subject", "fields"], as_json=as_json)


def _filter(
    action: str | None,
    timezone: ZoneInfo,
    *,
    subject: str | None,
    actor: str | None,
    since: datetime | None,
    until: datetime | None,
) -> audit.Filter:
    kind, colon, number = (actor or "").partition(":")
    return audit.Filter(
        action=action,
        subjects=[subject] if subject is not None else None,
        actors=[(kind, number if colon else None)] if actor is not None else None,
        since=instant(since, timezone),
        until=instant(until, timezone),
    )


def _local(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line's fields without empty ones and with instants, which are stored as text, as instants."""
    return {
        name: datetime.fromisoformat(value) if name.endswith("_at") and isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }
