"""``fleet findings``: what is worth a look, and what is done about it."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.devices_findings import marked, place
from fleet.cli.moments import Day
from fleet.cli.output import ErrorsAsLines, application, json_option, show_table
from fleet.compliance import acting, queries
from fleet.compliance.models import Finding, FindingEvent, Severity
from fleet.compliance.queries import Attention, Filter
from fleet.devices import queries as devices
from fleet.schools import queries as schools

_COLUMNS = ["id", "serial", "school", "class", "kind", "subject", "severity", "asks_for", "opened_at"]
_CLOSED = ["id", "serial", "school", "kind", "subject", "opened_at", "closed_at", "closed_by"]
_EVENTS = ["at", "finding", "act", "by", "note", "until"]
_IDS = click.argument("ids", metavar="ID…", nargs=-1, required=True, type=int)


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """See what is worth a look, and say what is done about it."""


@group.command("list")
@click.option("--kind", help="Only of this kind, or of the rule of this code.")
@click.option("--school", help="Only this school's tablets.")
@click.option("--device", "serial", help="Only this tablet (serial or asset tag).")
@click.option("--asks-for", type=click.Choice([one.value for one in Attention]), help="Only those that ask for this.")
@click.option("--severity", type=click.Choice([one.value for one in Severity]), help="Only those that matter so much.")
@click.option("--closed", "is_closed", is_flag=True, help="Those that are closed.")
@click.option("--limit", type=click.IntRange(1), help="At most so many, the newest.")
@json_option
def list_findings(*, limit: int | None, is_closed: bool, as_json: bool, **told: str | None) -> None:
    """List findings, newest first."""
    by, now = Principal.command_line(), clock.now()
    school, serial, asks_for, severity = (told[name] for name in ("school", "serial", "asks_for", "severity"))
    with application(writes=False):
        given = Filter(
            kind=told["kind"],
            school_id=schools.find_school(school).id if school is not None else None,
            device_id=devices.find_device(serial, by=by).id if serial is not None else None,
            attention=Attention(asks_for) if asks_for is not None else None,
            severity=Severity(severity) if severity is not None else None,
            is_closed=is_closed,
            now=now,
        )
        rows = [_plain(one) for one in queries.open_findings(given, by=by, limit=limit)]
    columns = _CLOSED if is_closed else _COLUMNS
    show_table(rows if as_json else map(marked, rows), columns, as_json=as_json)


def _plain(one: Finding) -> dict[str, Any]:
    return {
        "id": one.id,
        "serial": one.device.serial,
        "asset_tag": one.device.asset_tag,
        **place(one.device),
        "kind": one.kind,
        "subject": one.subject or None,
        "severity": one.severity.value,
        "detail": one.detail,
        "asks_for": queries.attention(one, now=clock.now()).value if one.closed_at is None else None,
        "opened_at": one.opened_at,
        "acknowledged_by": one.acknowledged_by,
        "snoozed_until": one.snoozed_until,
        "closed_at": one.closed_at,
        "closed_by": one.closed_by,
    }


@group.command()
@_IDS
@click.option("--note", help="What is done about it; nothing about a pupil.")
def acknowledge(ids: Sequence[int], note: str | None) -> None:
    """Say that somebody sees to findings."""
    with application(writes=True):
        count = acting.acknowledge(ids, note, by=Principal.command_line(), now=clock.now())
    click.echo(f"{count} finding(s) acknowledged")


@group.command()
@_IDS
@click.option("--until", "until_on", type=Day(), required=True, help="A day of school: they ask again when it begins.")
def snooze(ids: Sequence[int], until_on: date) -> None:
    """Put findings off until a day of school."""
    with application(writes=True) as config:
        count = acting.snooze(ids, until_on, by=Principal.command_line(), now=clock.now(), timezone=config.timezone)
    click.echo(f"{count} finding(s) put off until school begins on {until_on}")


@group.command()
@_IDS
def wake(ids: Sequence[int]) -> None:
    """Have findings ask for a look again that are acknowledged or put off."""
    with application(writes=True):
        count = acting.wake(ids, by=Principal.command_line(), now=clock.now())
    click.echo(f"{count} finding(s) ask for a look again")


@group.command()
@_IDS
@click.option("--note", help="Why; nothing about a pupil.")
def close(ids: Sequence[int], note: str | None) -> None:
    """Close findings by hand: they do not open again before their reason has been over."""
    with application(writes=True):
        count = acting.close(ids, note, by=Principal.command_line(), now=clock.now())
    click.echo(f"{count} finding(s) closed")


@group.command()
@click.argument("finding_id", metavar="ID", type=int)
def reopen(finding_id: int) -> None:
    """Open a finding again that was closed by hand."""
    with application(writes=True):
        acting.reopen(finding_id, by=Principal.command_line(), now=clock.now())
    click.echo(f"finding {finding_id} is open again")


@group.command()
@_IDS
@json_option
def history(ids: Sequence[int], *, as_json: bool) -> None:
    """List what was done about findings, newest first."""
    with application(writes=False):
        rows = [_event(one) for one in acting.events(ids, by=Principal.command_line())]
    show_table(rows, _EVENTS, as_json=as_json)


def _event(one: FindingEvent) -> dict[str, Any]:
    return {
        "at": one.at, "finding": one.finding_id, "act": one.act.value, "by": one.by, "note": one.note,
        "until": one.until,
    }  # fmt: skip
