"""A wipe withdrawn a moment before is not sent, one that is sent was not withdrawn before; nobody waits in a circle."""

from functools import partial
from threading import Event, Thread
from time import sleep

from flask import Flask
from sqlalchemy import select

from fleet import orders
from fleet.access import Principal
from fleet.db import db, id_set, reading, take_turn, transaction
from fleet.devices import states
from fleet.devices.models import Device
from fleet.mdm import clients, commands
from fleet.mdm.commands import Wanted
from fleet.mdm.models import Client, Command, CommandState
from fleet.orders import Order, OrderKind, OrderState, Wish
from fleet.schools import deciding
from fleet.schools.queries import ensure_municipality
from tests import factories
from tests.conftest import NOW
from tests.races import together

CLI = Principal.command_line()
WAIT_S = 30
ROUNDS = 8


def to_be_wiped(app: Flask) -> tuple[int, int, str]:
    """Make an iPad whose wipe waits as a command; returns the tablet, the order and the command's name."""
    with app.app_context(), transaction():
        ensure_municipality("Kjenn")
        deciding.set_second_person(needed=False, by=CLI, now=NOW)
        device = factories.enrolled(factories.school(), channel="apple")
        (order,) = orders.queue([device], Wish(OrderKind.WIPE, reason="skal selges videre"), by=CLI, now=NOW)
        made = commands.queue(device.id, Wanted("EraseDevice", order_uid=order.uid), now=NOW)
        return device.id, order.id, made.uid


def handed_out(device_id: int) -> str | None:
    """Hand out what is next, as a conversation does; returns the command's name."""
    found = commands.take_next(device_id, now=NOW)
    if found is None:
        return None
    commands.note_sent(found, now=NOW)
    return found.uid


def test_a_wipe_is_not_sent_while_somebody_who_withdraws_it_has_not_committed_yet(own_app: Flask) -> None:
    device_id, order_id, uid = to_be_wiped(own_app)
    withdrawn = Event()

    def withdraw() -> None:
        with own_app.app_context(), transaction():
            orders.withdraw(order_id, by=CLI, now=NOW)
            withdrawn.set()
            sleep(0.5)  # so that whoever does not wait for the commit has looked meanwhile

    thread = Thread(target=withdraw)
    thread.start()
    assert withdrawn.wait(WAIT_S)
    with own_app.app_context(), transaction():
        assert handed_out(device_id) is None
    thread.join(WAIT_S)
    with own_app.app_context(), reading():
        assert db.session.scalars(select(Command).where(Command.uid == uid)).one().state is CommandState.DROPPED
        assert db.session.get_one(Order, order_id).sent_at is None


def test_of_a_wipe_withdrawn_and_handed_out_at_once_the_order_says_which_came_first(own_app: Flask) -> None:
    for _ in range(ROUNDS):
        device_id, order_id, uid = to_be_wiped(own_app)
        withdraw = partial(orders.withdraw, order_id, by=CLI, now=NOW)
        sent, _order = together(own_app, [partial(handed_out, device_id), withdraw])
        assert sent in {uid, None}
        with own_app.app_context(), reading():
            order = db.session.get_one(Order, order_id)
            assert (order.state, order.sent_at) == (OrderState.WITHDRAWN, NOW if sent else None)


def test_an_ipad_leaves_while_somebody_wishes_something_of_it(own_app: Flask) -> None:
    """Whoever queues an order holds the tablet's state and needs its row; whoever leaves must not take them crosswise."""
    for number in range(ROUNDS):
        with own_app.app_context(), transaction():
            device = factories.enrolled(factories.school(), channel="apple")
            db.session.add(Client(device_id=device.id, name=f"UDID-{number}", thumbprint="f" * 64))
            device_id = device.id

        def leave(device_id: int = device_id) -> None:
            take_turn("assignments")
            clients.leave(db.session.get_one(Client, device_id, with_for_update=True), now=NOW)

        def wish(device_id: int = device_id) -> None:
            states.lock(id_set([device_id]))
            sleep(0.05)  # so that who leaves comes in between
            orders.queue([db.session.get_one(Device, device_id)], Wish(OrderKind.RESTART), by=CLI, now=NOW)

        together(own_app, [leave, wish])
        with own_app.app_context(), reading():
            assert db.session.get_one(Device, device_id).state.key_thumbprint is None
