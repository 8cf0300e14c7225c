"""``fleet tickets``: rights to enrol."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import click

from fleet import clock
from fleet.access import Principal
from fleet.android import coming
from fleet.cli.moments import Moment, instant
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table, write_for_owner
from fleet.devices import codes, sheet, tickets
from fleet.errors import ConflictError
from fleet.schools import queries

_COLUMNS = ["id", "code", "school", "class", "cart", "used", "max", "expires_at", "state"]


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Make, list and revoke rights to enrol."""


@group.command()
@click.option("--school", required=True, help="The school that tablets come to.")
@click.option("--class", "class_title", help="A class of the school.")
@click.option("--cart", help="A cart of the school.")
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="Good for so many days.")
@click.option("--expires", type=Moment(), help="Good until this local time; of a date alone, its first minute.")
@click.option("--max", "most", type=int, help="How many tablets; as many as are expected there where not given.")
@click.option("--listed-only", is_flag=True, help="Only serials of the delivery list.")
@click.option("--ask", "asks", is_flag=True, help="A tablet that is on no delivery list waits until it is approved.")
@click.option("--pdf", type=click.Path(dir_okay=False, path_type=Path), help="Write the sheet to print.")
@click.option("--force", is_flag=True, help="Write over a sheet that is there: the code on it is then lost.")
@json_option
def create(
    school: str, class_title: str | None, cart: str | None, days: int, expires: datetime | None, most: int | None,
    pdf: Path | None, *, force: bool, listed_only: bool, asks: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make a ticket; its code is shown this once."""
    if pdf is not None and os.path.lexists(pdf) and not force:
        raise ConflictError(kind="sheet", name=str(pdf))
    now = clock.now()
    with application(writes=True) as config:
        found = queries.find_school(school)
        place = tickets.Place(
            found, queries.find_class(class_title, school_id=found.id) if class_title is not None else None, cart
        )
        until = instant(expires, config.timezone) or now + timedelta(days=days)
        ticket, code = tickets.create(
            place, expires_at=until, max_enrolments=most, listed_only=listed_only, asks=asks,
            by=Principal.command_line(), now=now,
        )  # fmt: skip
        shown = {
            **tickets.plain(ticket, now),
            "code": codes.shown(code),
            "qr": sheet.payload(config.public_url, code),
        }
        if pdf is not None:
            url, android = config.public_url, coming.printed(code, config.public_url)
            content = sheet.make(ticket, code, public_url=url, timezone=config.timezone, android=android)
            write_for_owner(pdf, content, over=force)
    if config.is_local_only:
        told = f"{config.public_url} leads to this machine only; start the server with FLEET_PUBLIC_URL for others"
        click.echo(f"fleet: note: {told}", err=True)
    if as_json:
        show_json(shown)
        return
    click.echo(f"ticket {shown['id']} for {shown['max']} tablet(s)\ncode {shown['code']}\nqr   {shown['qr']}")
    if pdf is not None:
        click.echo(f"sheet {pdf}")


@group.command("list")
@json_option
def list_tickets(*, as_json: bool) -> None:
    """List the tickets, newest first."""
    now = clock.now()
    with application(writes=False):
        rows = [tickets.plain(ticket, now) for ticket in tickets.listed(by=Principal.command_line())]
    show_table(rows, _COLUMNS, as_json=as_json)


@group.command()
@click.argument("ticket_id", type=int)
@json_option
def show(ticket_id: int, *, as_json: bool) -> None:
    """Show one ticket."""
    with application(writes=False):
        row = tickets.plain(tickets.get(ticket_id, by=Principal.command_line()), clock.now())
    show_json(row) if as_json else show_table([row], _COLUMNS, as_json=False)


@group.command()
@click.argument("ticket_id", type=int)
def revoke(ticket_id: int) -> None:
    """End a ticket; tablets already taken in stay."""
    with application(writes=True):
        tickets.revoke(ticket_id, by=Principal.command_line(), now=clock.now())
    click.echo(f"ticket {ticket_id} is revoked")
