"""Several who look after the same tablet at once: the second sees what the first did."""

from collections.abc import Callable

from flask import Flask
from sqlalchemy import func, select

from fleet import orders
from fleet.access import Principal
from fleet.db import db, reading, transaction
from fleet.devices import bulk, editing, life, queries
from fleet.devices.models import Device, DeviceLife
from fleet.errors import ConflictError
from fleet.orders import Order, OrderKind, Wish
from tests import factories
from tests.conftest import NOW
from tests.races import together

CLI = Principal.command_line()
ROUNDS = 8


def enrolled(app: Flask, serial: str) -> None:
    with app.app_context(), transaction():
        factories.enrolment(factories.device(factories.school(serial), serial=serial), key=f"key-{serial}")


def found(serial: str) -> Device:
    return queries.find_device(serial, by=CLI)


def test_a_tablet_retired_while_its_key_is_revoked_or_it_is_lost_stays_retired(own_app: Flask) -> None:
    for number in range(ROUNDS):
        serial = f"AB{number}"
        enrolled(own_app, serial)
        work: list[Callable[[Device], object]] = [
            lambda one: life.step(one, "retire", by=CLI, now=NOW),
            lambda one: life.revoke_key(one, by=CLI, now=NOW),
            lambda one: life.step(one, "lost", by=CLI, now=NOW),
        ]
        results = together(own_app, [lambda do=do, serial=serial: do(found(serial)) for do in work])  # type: ignore[misc]
        assert results[0] is None
        assert {type(result) for result in results} <= {type(None), ConflictError}
        with own_app.app_context(), reading():
            assert found(serial).life is DeviceLife.RETIRED


def test_a_step_that_many_take_at_once_is_taken_once(own_app: Flask) -> None:
    enrolled(own_app, "AB12")
    results = together(own_app, [lambda: life.step(found("AB12"), "lost", by=CLI, now=NOW)] * 6)
    assert results.count(None) == 1
    with own_app.app_context(), reading():
        assert len(factories.audited(action="devices.lost")) == 1


def test_the_same_order_wished_by_many_at_once_is_queued_once(own_app: Flask) -> None:
    enrolled(own_app, "AB12")
    results = together(
        own_app, [lambda: len(orders.queue([found("AB12")], Wish(OrderKind.RING), by=CLI, now=NOW)) for _ in range(6)]
    )
    assert sorted(map(str, results)) == ["0"] * 5 + ["1"]
    with own_app.app_context(), reading():
        assert db.session.scalar(select(func.count(Order.id))) == 1


def test_nothing_waits_for_an_ipad_that_was_lost_while_it_was_wished(own_app: Flask) -> None:
    for number in range(ROUNDS):
        serial = f"PAD{number}"
        with own_app.app_context(), transaction():
            factories.enrolled(factories.school(serial), channel="apple", serial=serial)
        lost, wished = together(
            own_app,
            [
                lambda serial=serial: life.step(found(serial), "lost", by=CLI, now=NOW),  # type: ignore[misc]
                lambda serial=serial: len(orders.queue([found(serial)], Wish(OrderKind.RESTART), by=CLI, now=NOW)),  # type: ignore[misc]
            ],
        )
        assert lost is None
        assert wished == 1 or isinstance(wished, ConflictError)
        with own_app.app_context(), reading():
            device = found(serial)
            assert device.life is DeviceLife.LOST
            assert orders.pending([device.id], now=NOW) == {}


def test_tags_are_written_while_a_whole_school_is_reported_lost(own_app: Flask) -> None:
    """Whoever changes a tablet takes its row before its state's row, so that nobody waits in a circle."""
    for number in range(ROUNDS):
        with own_app.app_context(), transaction():
            school = factories.school(f"Skole {number}")
            ids = [factories.enrolled(school, channel="apple", serial=f"R{number}N{each}").id for each in range(20)]

        def tag(device_id: int, number: int = number) -> None:
            editing.set_asset_tag(db.session.get_one(Device, device_id), f"{number}-{device_id}", by=CLI, now=NOW)

        def lose(ids: list[int] = ids) -> None:
            bulk.step(ids, "lost", by=CLI, now=NOW)

        together(own_app, [lose, *(lambda one=one, tag=tag: tag(one) for one in ids[-6:])])
        with own_app.app_context(), reading():
            assert found(f"R{number}N19").asset_tag == f"{number}-{ids[-1]}"
