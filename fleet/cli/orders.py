"""``fleet orders``: one-off wishes to tablets."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import click

from fleet import clock, orders
from fleet.access import Principal
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table, text
from fleet.devices import queries as devices
from fleet.devices.models import Device, DeviceLife
from fleet.orders import Order, OrderKind, OrderState, Wish, locations
from fleet.schools import deciding
from fleet.schools import queries as schools

_COLUMNS = ["id", "serial", "kind", "state", "queued_at", "expires_at", "ended_at", "detail"]
_KINDS = [kind.value for kind in OrderKind]
_LISTED = 200


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Wish something of tablets once: a message, a restart, a wipe."""


def _check_place(device: str | None, class_title: str | None, school: str | None) -> None:
    if device is not None and (class_title is not None or school is not None):
        raise click.UsageError("--device says where already: leave out --school and --class")


def _place(class_title: str | None, school: str | None) -> tuple[int | None, int | None]:
    """Return school and class that were named."""
    school_id = schools.find_school(school).id if school is not None else None
    class_id = schools.find_class(class_title, school_id=school_id).id if class_title is not None else None
    return school_id, class_id


def _tablets(device: str | None, class_title: str | None, school: str | None, by: Principal) -> Sequence[Device]:
    """Return the tablet that was named, or those of a place that are in use."""
    if device is not None:
        return [devices.find_device(device, by=by)]
    school_id, class_id = _place(class_title, school)
    return devices.devices(devices.Filter(school_id, class_id, DeviceLife.ENROLLED), by=by)


def _plain(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "serial": order.device.serial,
        "kind": order.kind.value,
        "state": order.state.value,
        **{name: order.payload.get(name) for name in ("text", "url", "app", "version", "deadline", "come_back")},
        "reason": order.reason,
        "wished_by": order.wished_by,
        "answered_by": order.answered_by,
        "queued_at": order.queued_at,
        "sent_at": order.sent_at,
        "ended_at": order.ended_at,
        "expires_at": order.expires_at,
        "detail": order.detail,
    }


@group.command()
@click.argument("kind", type=click.Choice(_KINDS))
@click.option("--device", help="This tablet, by serial or asset tag.")
@click.option(
    "--class", "class_title", help="The class's tablets and its pupils' (with --school where several have it)."
)
@click.option("--school", help="The school's tablets.")
@click.option("--text", "message", help="What a message says.")
@click.option("--url", help="The web address to open.")
@click.option("--app", help="The id of the app to open, such as no.example.app.")
@click.option("--version", help="The system to update to, such as 18.1: for update-system.")
@click.option("--deadline", help="Until when, local time, such as 2026-12-01T08:00: for update-system.")
@click.option("--come-back", is_flag=True, help="A wiped tablet sets itself up again (needs Wi-Fi in its profile).")
@click.option("--reason", help="Why: for wipe, locate and clear-passcode.")
@click.option(
    "--life", type=int, help="Give up after so many minutes; after a day (update-system: 30 days) where left out."
)
@json_option
def queue(
    kind: str, device: str | None, class_title: str | None, school: str | None, message: str | None, url: str | None,
    app: str | None, reason: str | None, life: int | None, *, version: str | None, deadline: str | None,
    come_back: bool, as_json: bool,
) -> None:  # fmt: skip
    """Queue an order: tablets that wait for one have it at once, the others with their next poll."""
    if device is None and class_title is None and school is None:
        raise click.UsageError("say which tablets: --device, --class or --school")
    _check_place(device, class_title, school)
    if device is None and OrderKind(kind) in orders.PRIVILEGED:
        raise click.UsageError(f"{kind} is for one tablet at a time: --device SERIAL")
    by = Principal.command_line()
    wish = Wish(
        OrderKind(kind), text=message, url=url, app=app, version=version, deadline=deadline, reason=reason,
        come_back=come_back,
    )  # fmt: skip
    with application(writes=True) as config:
        found = _tablets(device, class_title, school, by)
        patience = timedelta(minutes=life) if life is not None else None
        fresh = orders.queue(found, wish, life=patience, timezone=config.timezone, by=by, now=clock.now())
        rows = [_plain(order) for order in fresh]
        count, name = len(found), found[0].serial if device is not None else None
    if as_json:
        show_json({"orders": rows, "waiting_already": count - len(rows)})
    else:
        click.echo(_told(kind, rows, count, name))


def _told(kind: str, rows: Sequence[dict[str, Any]], count: int, serial: str | None) -> str:
    """Return what became of a wish, as a line for people."""
    if serial is None:
        again = f"; {count - len(rows)} had it waiting already" if count > len(rows) else ""
        return f"{kind} is queued for {len(rows)} tablet(s){again}" if count else "no tablet there is in use"
    if not rows:
        return f"{serial}: {kind} was waiting already"
    number = rows[0]["id"]
    if rows[0]["state"] == OrderState.ASKED.value:
        return f"{serial}: {kind} is asked for (order {number}); another person approves it on the page Orders"
    return f"{serial}: {kind} is queued (order {number})"


@group.command("list")
@click.option("--device", help="Only this tablet's, by serial or asset tag.")
@click.option("--class", "class_title", help="Only this class's (with --school where several have it).")
@click.option("--school", help="Only this school's.")
@click.option("--open", "only_open", is_flag=True, help="Only those that have not ended.")
@click.option("--state", type=click.Choice([state.value for state in OrderState]), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1), default=_LISTED, show_default=True, help="At most so many.")
@json_option
def list_orders(
    device: str | None, class_title: str | None, school: str | None, state: str | None, limit: int, *, only_open: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """List orders, newest first."""
    _check_place(device, class_title, school)
    if only_open and state is not None:
        raise click.UsageError("--open or --state: one of them")
    by = Principal.command_line()
    with application(writes=False):
        device_id = devices.find_device(device, by=by).id if device is not None else None
        school_id, class_id = _place(class_title, school)
        states = orders.OPEN if only_open else {OrderState(state)} if state is not None else None
        given = orders.Filter(device_id, class_id, school_id, states)
        rows = [_plain(order) for order in orders.listed(given, by=by, limit=limit)]
    show_table(rows, _COLUMNS, as_json=as_json)


@group.command()
@click.argument("order_id", type=int)
@click.option("--location", is_flag=True, help="Show where a lost tablet was, too; that you looked is noted.")
@json_option
def show(order_id: int, *, location: bool, as_json: bool) -> None:
    """Show one order."""
    by = Principal.command_line()
    with application(writes=location):
        row = _plain(orders.find(order_id, by=by))
        if location:
            where = locations.seen(order_id, by=by, now=clock.now())[1]
            row |= {**locations.written(where), "map": where.address}
    if as_json:
        show_json(row)
        return
    for name, value in row.items():
        click.echo(f"{name:12} {text(value) or '-'}")


def _answer_command(name: str, words: str, done: str) -> None:
    @group.command(name, help=words)
    @click.argument("order_id", type=int)
    def answer(order_id: int) -> None:
        now: datetime = clock.now()
        with application(writes=True):
            order = getattr(orders, name)(order_id, by=Principal.command_line(), now=now)
            what = f"{order.kind.value} of {order.device.serial}"
        click.echo(f"order {order_id} is {done}: {what}")


_answer_command("withdraw", "Take back an order that has not ended.", "withdrawn")
_answer_command("approve", "Say yes to what another person asked for.", "approved and queued")
_answer_command("decline", "Say no to what another person asked for.", "declined")


@group.command("second-person")
@click.argument("setting", type=click.Choice(["on", "off", "show"]), default="show")
@json_option
def second_person(setting: str, *, as_json: bool) -> None:
    """Show or decide whether wipe and locate need another person's yes."""
    with application(writes=setting != "show"):
        if setting != "show":
            deciding.set_second_person(needed=setting == "on", by=Principal.command_line(), now=clock.now())
        needed = deciding.is_second_person_needed()
    if as_json:
        show_json({"second_person": needed})
    else:
        click.echo(f"wipe and locate {'need' if needed else 'do not need'} a second person's yes")
