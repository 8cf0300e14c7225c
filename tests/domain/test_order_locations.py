"""Where a lost tablet was: kept for two days, seen by whoever may locate, and never without a line in the audit."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from fleet import orders
from fleet.access import Grant, Principal, Role
from fleet.db import db, transaction
from fleet.devices.models import DeviceLife
from fleet.errors import NotFoundError
from fleet.orders import Order, OrderKind, OrderState, Wish, locations
from fleet.orders.locations import KEPT_FOR, Location
from fleet.schools import deciding
from fleet.schools.models import School
from fleet.schools.queries import ensure_municipality
from tests import factories as make
from tests.conftest import NOW

CLI = Principal.command_line()
TOLD = {"latitude": 59.91, "longitude": 10.75, "accuracy_m": 12.5, "at": NOW.isoformat()}
WHERE = Location(59.91, 10.75, 12.5, NOW)
MOMENT = timedelta(seconds=1)


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        ensure_municipality("Kjenn")
        deciding.set_second_person(needed=False, by=CLI, now=NOW)
        return make.school()


def ended(school: School, result: Any, *, kind: OrderKind = OrderKind.LOCATE, how: OrderState = OrderState.DONE) -> int:
    with transaction():
        device = make.enrolled(school, channel="apple", life=DeviceLife.LOST)
        reason = "lå igjen på bussen" if kind in orders.PRIVILEGED else None
        (order,) = orders.queue([device], Wish(kind, reason=reason), by=CLI, now=NOW)
        orders.finish(order.uid, device_id=device.id, state=how, detail="", result=result, now=NOW)
        return order.id


def kept(order_id: int) -> Any:
    db.session.expire_all()
    return db.session.get_one(Order, order_id).result


def test_each_look_at_a_position_is_noted(school: School) -> None:
    order_id = ended(school, TOLD)
    for _ in range(2):
        with transaction():
            order, where = locations.seen(order_id, by=CLI, now=NOW + KEPT_FOR - MOMENT)
        assert (order.id, where) == (order_id, WHERE)
    lines = make.audited(action="orders.location-seen")
    assert [line.fields for line in lines] == [{"order_id": order_id, "serial": order.device.serial}] * 2
    assert where.address == "https://www.openstreetmap.org/?mlat=59.910000&mlon=10.750000#map=17/59.910000/10.750000"


def test_only_who_may_locate_sees_it_not_even_who_asked_for_it_and_may_no_more(school: School) -> None:
    order_id = ended(school, TOLD)
    with transaction():
        other = make.school("Der")
    it = Principal("account", "1", (Grant(Role.SCHOOL_IT, school.id),))
    with transaction():
        assert locations.seen(order_id, by=it, now=NOW)[1] == WHERE
        db.session.get_one(Order, order_id).wished_by = "account:9"
    for by in (
        Principal("account", "2", (Grant(Role.TEACHER, school.id),)),
        Principal("account", "3", (Grant(Role.SCHOOL_IT, other.id),)),
        Principal("account", "9"),
    ):
        with pytest.raises(NotFoundError), transaction():
            locations.seen(order_id, by=by, now=NOW)
    assert len(make.audited(action="orders.location-seen")) == 1


def test_after_two_days_nobody_sees_it_and_it_is_removed(school: School) -> None:
    order_id = ended(school, TOLD)
    with pytest.raises(NotFoundError), transaction():
        locations.seen(order_id, by=CLI, now=NOW + KEPT_FOR)
    with transaction():
        assert locations.forget(now=NOW + KEPT_FOR - MOMENT) == 0
    assert kept(order_id) == TOLD
    with transaction():
        assert locations.forget(now=NOW + KEPT_FOR) == 1
        assert locations.forget(now=NOW + KEPT_FOR) == 0
    assert kept(order_id) is None


@pytest.mark.parametrize(
    "told",
    [
        None, {}, {**TOLD, "latitude": 90.1}, {**TOLD, "longitude": -181}, {**TOLD, "latitude": "59.91"},
        {**TOLD, "latitude": float("nan")}, {**TOLD, "longitude": True}, {**TOLD, "at": "2026-12-01T08:00"},
        {**TOLD, "at": None}, {"latitude": 59.91, "longitude": 10.75},
    ],
)  # fmt: skip
def test_what_is_no_position_is_not_kept(school: School, told: Any) -> None:
    order_id = ended(school, told)
    assert kept(order_id) is None
    with pytest.raises(NotFoundError), transaction():
        locations.seen(order_id, by=CLI, now=NOW)


@pytest.mark.parametrize("accuracy_m", [None, -1, float("inf"), 1e9, "12"])
def test_a_position_of_unknown_accuracy_is_kept_without_it(school: School, accuracy_m: Any) -> None:
    order_id = ended(school, {**TOLD, "accuracy_m": accuracy_m})
    assert kept(order_id) == {name: value for name, value in TOLD.items() if name != "accuracy_m"}


def test_only_an_order_to_locate_that_was_done_has_a_position(school: School) -> None:
    for kind, how in ((OrderKind.RING, OrderState.DONE), (OrderKind.LOCATE, OrderState.FAILED)):
        assert kept(ended(school, TOLD, kind=kind, how=how)) is None
