"""``fleet devices order`` and ``orders``: one-off wishes to a tablet."""

import click

from fleet import clock, orders
from fleet.access import Principal
from fleet.cli.output import application, json_option, show_table
from fleet.devices import queries
from fleet.orders import OrderKind


@click.command()
@click.argument("serial")
@click.argument("kind", type=click.Choice([kind.value for kind in OrderKind]))
@click.option("--text", "message", help="The text of a message.")
def order(serial: str, kind: str, message: str | None) -> None:
    """Wish something of a tablet once; it comes with the next poll."""
    by = Principal.command_line()
    with application(writes=True):
        device = queries.find_device(serial, by=by)
        queued = orders.queue([device], OrderKind(kind), message=message, by=by, now=clock.now())
    click.echo(f"{serial}: {kind} {'is queued' if queued else 'was waiting already'}")


@click.command("orders")
@click.argument("serial")
@json_option
def list_orders(serial: str, *, as_json: bool) -> None:
    """List a tablet's orders, newest first."""
    with application(writes=False):
        device = queries.find_device(serial, by=Principal.command_line())
        rows = [
            {"id": one.id, "kind": one.kind.value, "state": one.state.value, "queued_at": one.queued_at,
             "ended_at": one.ended_at, "detail": one.detail}
            for one in orders.of_device(device.id)
        ]  # fmt: skip
    show_table(rows, ["id", "kind", "state", "queued_at", "ended_at", "detail"], as_json=as_json)
