"""One-off wishes to tablets: their life, who may have them, and that each ends once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from fleet import orders
from fleet.access import Grant, Principal, Role
from fleet.app import create_app
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceLife
from fleet.errors import ConflictError, FleetError, ForbiddenError, InvalidError, NotFoundError
from fleet.orders import Order, OrderClosedError, OrderKind, OrderState
from tests import factories as make
from tests.conftest import NOW, _environ

BY = Principal.command_line()
HOUR = timedelta(hours=1)


def queued(*devices: Device, kind: OrderKind = OrderKind.RING, message: str | None = None) -> list[Order]:
    return orders.queue(devices, kind, message=message, by=BY, now=NOW)


def finish(order: Order, state: OrderState = OrderState.DONE, detail: str = "") -> None:
    orders.finish(order.uid, device_id=order.device_id, state=state, detail=detail, now=NOW + HOUR)


def test_an_order_is_queued_sent_and_done_and_each_step_is_a_new_configuration(app: Flask) -> None:
    with transaction():
        device = make.device(make.school())
        (order,) = queued(device, kind=OrderKind.MESSAGE, message="Hei\nalle")
    assert (order.state, order.payload, order.expires_at) == (
        OrderState.QUEUED, {"text": "Hei\nalle"}, NOW + timedelta(hours=24),
    )  # fmt: skip
    assert device.state.config_version == 2
    with transaction():
        orders.mark_sent([order.id], now=NOW)
        orders.mark_sent([order.id], now=NOW + HOUR)
    assert (order.state, order.sent_at, device.state.config_version) == (OrderState.SENT, NOW, 2)
    with transaction():
        finish(order, detail="x" * 300)
    assert (order.state, order.ended_at, order.detail) == (OrderState.DONE, NOW + HOUR, "x" * 255)
    assert device.state.config_version == 3
    assert orders.pending([device.id], now=NOW) == {}
    assert [one.id for one in orders.of_device(device.id)] == [order.id]
    (line,) = make.audited(action="orders.queued")
    assert line.fields == {"order_kind": "message", "count": 1}


def test_an_order_ends_once(app: Flask) -> None:
    with transaction():
        device, other = make.device(make.school()), make.device(make.school())
        (order,) = queued(device)
        finish(order, OrderState.FAILED)
        version = device.state.config_version
        for state in (OrderState.DONE, OrderState.FAILED):
            with pytest.raises(OrderClosedError):
                finish(order, state)
        with pytest.raises(OrderClosedError):
            orders.withdraw(order.id, by=BY, now=NOW)
        for uid, device_id in ((order.uid, other.id), ("0" * 32, device.id)):
            with pytest.raises(NotFoundError):
                orders.finish(uid, device_id=device_id, state=OrderState.DONE, detail="", now=NOW)
    assert (order.state, order.detail, device.state.config_version) == (OrderState.FAILED, None, version)


def test_the_same_order_still_waiting_is_not_queued_twice(app: Flask) -> None:
    with transaction():
        school = make.school()
        one, other = make.device(school), make.device(school)
        queued(one, kind=OrderKind.MESSAGE, message="a")
        assert [order.device_id for order in queued(one, other, kind=OrderKind.MESSAGE, message="a")] == [other.id]
        assert queued(one, kind=OrderKind.MESSAGE, message="a") == []
        assert len(queued(one, kind=OrderKind.MESSAGE, message="b")) == 1
        assert len(queued(one, kind=OrderKind.LOCK_MESSAGE, message="a")) == 1
    assert one.state.config_version == 4
    assert [line.fields["count"] for line in make.audited(action="orders.queued")] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (OrderKind.MESSAGE, None),
        (OrderKind.MESSAGE, ""),
        (OrderKind.LOCK_MESSAGE, "x" * 501),
        (OrderKind.MESSAGE, "a\x1b[31m"),
        (OrderKind.MESSAGE, "a\0"),
        (OrderKind.RING, "text"),
    ],
)
def test_a_text_missing_too_long_unprintable_or_out_of_place_is_refused(
    app: Flask, kind: OrderKind, message: str | None
) -> None:
    with transaction():
        device = make.device(make.school())
        with pytest.raises(InvalidError):
            queued(device, kind=kind, message=message)


def test_only_enrolled_tablets_take_orders_and_one_that_is_not_stops_them_all(app: Flask) -> None:
    with transaction():
        school = make.school()
        fine = make.device(school)
        for life in (DeviceLife.EXPECTED, DeviceLife.LOST, DeviceLife.RETIRED):
            with pytest.raises(ConflictError, match=life.value):
                queued(fine, make.device(school, life=life))
    assert orders.of_device(fine.id) == []


def test_a_school_orders_its_own_tablets_and_a_teacher_those_of_own_classes(app: Flask) -> None:
    with transaction():
        here, there = make.school("Her"), make.school("Der")
        own, others = make.school_class(here, "8B"), make.school_class(here, "8C")
        mine, not_mine, far = make.device(here, class_id=own.id), make.device(here, class_id=others.id), make.device(there)  # fmt: skip
        pupil, stranger = make.pupil(here), make.pupil(here)
        make.membership(pupil, own)
        make.membership(stranger, others)
        my_pupils, anothers = make.device(here, person=pupil), make.device(here, person=stranger)
        teacher = Principal("account", "1", grants=(Grant(Role.TEACHER, here.id),), own_class_ids=frozenset({own.id}))
        it = Principal("account", "2", grants=(Grant(Role.SCHOOL_IT, here.id),))
        for by, devices, refused in (
            (teacher, [mine, my_pupils], [not_mine, anothers, far]),
            (it, [mine, not_mine, my_pupils, anothers], [far]),
        ):
            for device in devices:
                assert orders.queue([device], OrderKind.RING, by=by, now=NOW) is not None
            for device in refused:
                with pytest.raises(ForbiddenError):
                    orders.queue([device], OrderKind.RING, by=by, now=NOW)
        (order,) = queued(far)
        for by in (teacher, it):
            with pytest.raises(NotFoundError):
                orders.withdraw(order.id, by=by, now=NOW)
        orders.withdraw(orders.of_device(mine.id)[0].id, by=teacher, now=NOW)
        with pytest.raises(NotFoundError):
            orders.withdraw(0, by=BY, now=NOW)
    assert orders.of_device(mine.id)[0].state is OrderState.WITHDRAWN
    (line,) = make.audited(action="orders.withdrawn")
    assert line.fields == {"order_id": orders.of_device(mine.id)[0].id}


def test_what_waited_too_long_expires_and_is_not_handed_out(app: Flask) -> None:
    with transaction():
        school = make.school()
        one, other = make.device(school), make.device(school)
        (short,) = orders.queue([one], OrderKind.RING, life=HOUR, by=BY, now=NOW)
        (long,) = orders.queue([other], OrderKind.RING, by=BY, now=NOW)
        (done,) = orders.queue([one], OrderKind.RESTART, life=HOUR, by=BY, now=NOW)
        finish(done)
    assert orders.pending([one.id, other.id], now=NOW + HOUR) == {other.id: [long]}
    before = (one.state.config_version, other.state.config_version)
    with transaction():
        assert orders.expire(NOW + HOUR - timedelta(microseconds=1)) == 0
        assert orders.expire(NOW + HOUR) == 1
        assert orders.expire(NOW + HOUR) == 0
    assert [short.state, long.state, done.state] == [OrderState.EXPIRED, OrderState.QUEUED, OrderState.DONE]
    assert (one.state.config_version, other.state.config_version) == (before[0] + 1, before[1])
    with pytest.raises(OrderClosedError), transaction():
        finish(short)


def test_orders_that_ended_long_ago_are_forgotten(app: Flask) -> None:
    with transaction():
        device = make.device(make.school())
        (done,) = queued(device)
        finish(done)
        (open_one,) = queued(device, kind=OrderKind.RESTART)
        assert orders.forget(older_than=HOUR, now=NOW + 2 * HOUR) == 0
        assert orders.forget(older_than=HOUR, now=NOW + 3 * HOUR) == 1
    assert [order.id for order in orders.of_device(device.id)] == [open_one.id]


def test_orders_to_30_tablets_take_as_many_statements_as_to_one(app: Flask, statements: list[str]) -> None:
    with transaction():
        devices = make.tablets(make.school(), 31)
    counts = []
    ids = [device.id for device in devices]
    for chosen in (ids[:1], ids[1:]):
        with transaction():
            read = db.session.scalars(select(Device).where(Device.id.in_(chosen))).all()
            statements.clear()
            ids = [order.id for order in queued(*read)]
        with transaction():
            orders.mark_sent(ids, now=NOW)
        counts.append(len(statements))
        with transaction():
            statements.clear()
            assert orders.expire(NOW + timedelta(days=2)) == len(chosen)
        counts.append(len(statements))
    assert counts[:2] == counts[2:]


def test_of_a_result_and_a_withdrawal_at_once_one_wins_and_the_other_is_told(fresh_url: str, tmp_path: Path) -> None:
    app = create_app(environ=_environ(fresh_url, tmp_path))

    def attempt(act: str, order_id: int, begin: threading.Barrier) -> str:
        begin.wait(10)
        try:
            with app.app_context(), transaction():
                order = db.session.get_one(Order, order_id)
                if act == "finish":
                    finish(order)
                else:
                    orders.withdraw(order_id, by=BY, now=NOW)
        except FleetError as error:
            return error.code
        return act

    try:
        for _ in range(8):
            with app.app_context(), transaction():
                (order,) = queued(make.device(make.school()))
                order_id = order.id
            begin = threading.Barrier(2)
            with ThreadPoolExecutor(2) as pool:
                outcomes = list(pool.map(lambda act: attempt(act, order_id, begin), ("finish", "withdraw")))  # noqa: B023 (used up within the turn)
            with app.app_context():
                state = db.session.get_one(Order, order_id).state
            assert sorted(outcomes) in (["finish", "order-closed"], ["order-closed", "withdraw"])
            assert state is (OrderState.DONE if "finish" in outcomes else OrderState.WITHDRAWN)
    finally:
        with app.app_context():
            db.engine.dispose()
