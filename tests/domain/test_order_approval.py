"""Orders that cannot be undone, or tell where a child is: a reason, one tablet at a time, and a second person."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest
from flask import Flask

from fleet import orders, outbox
from fleet.access import Grant, Principal, Role
from fleet.db import changed, db, transaction
from fleet.devices.models import Device, DeviceLife
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.orders import NotCarriedError, Order, OrderClosedError, OrderKind, OrderState, SamePersonError, Wish
from fleet.schools import deciding
from fleet.schools.queries import ensure_municipality
from tests import factories as make
from tests.conftest import NOW
from tests.races import together

CLI = Principal.command_line()
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
REASON = "lå igjen på bussen"
WIPE, LOCATE = Wish(OrderKind.WIPE, reason=REASON), Wish(OrderKind.LOCATE, reason=REASON)
CLEAR = Wish(OrderKind.CLEAR_PASSCODE, reason=REASON)
ADMIN, OTHER_ADMIN = (Principal("account", number, (Grant(Role.MUNICIPAL_ADMIN, None),)) for number in ("7", "8"))


def ipad(life: DeviceLife = DeviceLife.ENROLLED) -> Device:
    return make.enrolled(make.school(), channel="apple", life=life)


def wished(device: Device, wish: Wish = WIPE, *, by: Principal = ADMIN) -> Order:
    return orders.queue([device], wish, by=by, now=NOW)[0]


def test_what_is_asked_for_travels_to_no_tablet_before_another_person_says_yes(app: Flask) -> None:
    rung: list[frozenset[int]] = []
    stop = outbox.add_ring(rung.append)
    try:
        with transaction():
            device = ipad()
            order = wished(device)
        assert (order.state, order.reason, order.payload) == (OrderState.ASKED, REASON, {})
        assert rung == []
        assert device.state.config_version == 1
        assert orders.pending([device.id], now=NOW) == {}
        with transaction():
            assert orders.approve(order.id, by=OTHER_ADMIN, now=NOW + HOUR) is order
        assert rung == [{device.id}]
        assert device.state.config_version == 2
    finally:
        stop()
    assert (order.state, order.wished_by, order.answered_by) == (OrderState.QUEUED, "account:7", "account:8")
    assert (order.queued_at, order.expires_at) == (NOW + HOUR, NOW + HOUR + DAY)
    assert orders.pending([device.id], now=NOW + HOUR) == {device.id: [order]}
    approved, asked = make.audited(2)
    assert (asked.action, asked.actor_id) == ("orders.asked", "7")
    assert asked.fields == {"order_kind": "wipe", "count": 1, "serial": device.serial}
    assert (approved.action, approved.actor_id) == ("orders.approved", "8")
    assert approved.fields == {"order_id": order.id, "order_kind": "wipe", "serial": device.serial}


def test_what_is_approved_late_stands_behind_what_was_queued_meanwhile(app: Flask) -> None:
    with transaction():
        device = ipad()
        wipe = wished(device)
        (restart,) = orders.queue([device], Wish(OrderKind.RESTART), by=CLI, now=NOW + HOUR)
        orders.approve(wipe.id, by=CLI, now=NOW + 2 * HOUR)
    assert orders.pending([device.id], now=NOW) == {device.id: [restart, wipe]}


@pytest.mark.parametrize("by", [ADMIN, CLI])
def test_nobody_approves_what_one_asked_for_oneself_and_the_command_line_is_one_person(
    app: Flask, by: Principal
) -> None:
    with transaction():
        order = wished(ipad(), by=by)
        with pytest.raises(SamePersonError):
            orders.approve(order.id, by=by, now=NOW)
        assert orders.approve(order.id, by=CLI if by is ADMIN else ADMIN, now=NOW).state is OrderState.QUEUED


def test_only_who_may_wish_the_like_approves_or_declines(app: Flask) -> None:
    with transaction():
        device = ipad()
        order = wished(device)
        school_id = device.school_id
        teacher = Principal("account", "1", (Grant(Role.TEACHER, school_id),))
        elsewhere = Principal("account", "2", (Grant(Role.SCHOOL_IT, 0),))
        here = Principal("account", "3", (Grant(Role.SCHOOL_IT, school_id),))
        for by in (teacher, elsewhere):
            for answer in (orders.approve, orders.decline):
                with pytest.raises(NotFoundError):
                    answer(order.id, by=by, now=NOW)
        demoted = Principal("account", "7")  # who asked may take it back, but not answer
        with pytest.raises(NotFoundError):
            orders.decline(order.id, by=demoted, now=NOW)
        orders.approve(order.id, by=here, now=NOW)
    assert order.answered_by == "account:3"


def test_what_is_declined_withdrawn_approved_or_over_waits_for_no_answer(app: Flask) -> None:
    ends: list[Callable[[int], object]] = [
        lambda number: orders.decline(number, by=OTHER_ADMIN, now=NOW),
        lambda number: orders.withdraw(number, by=ADMIN, now=NOW),
        lambda number: orders.approve(number, by=OTHER_ADMIN, now=NOW),
        lambda _number: orders.expire(NOW + DAY),
    ]
    ended = []
    for end in ends:
        with transaction():
            device = ipad()
            order = wished(device)
            end(order.id)
            for answer in (orders.approve, orders.decline):
                with pytest.raises(OrderClosedError):
                    answer(order.id, by=OTHER_ADMIN, now=NOW)
        ended.append((order.state.value, order.answered_by, device.state.config_version))
    assert ended[:2] == [("declined", "account:8", 1), ("withdrawn", None, 1)]
    assert [one[0] for one in ended[2:]] == ["queued", "expired"]
    assert make.audited(action="orders.declined")[0].actor_id == "8"


def test_the_time_to_answer_is_over_although_no_job_has_run(app: Flask) -> None:
    with transaction():
        order = wished(ipad())
        with pytest.raises(OrderClosedError):
            orders.approve(order.id, by=OTHER_ADMIN, now=NOW + DAY)
    assert order.state is OrderState.ASKED


def test_the_same_asked_for_twice_waits_once(app: Flask) -> None:
    with transaction():
        device = ipad()
        wished(device)
        assert orders.queue([device], Wish(OrderKind.WIPE, reason="en annen grunn"), by=OTHER_ADMIN, now=NOW) == []


def test_a_passcode_is_cleared_with_a_reason_by_one_person(app: Flask) -> None:
    with transaction():
        order = wished(ipad(), CLEAR)
    assert (order.state, order.reason) == (OrderState.QUEUED, REASON)
    (line,) = make.audited(action="orders.queued")
    assert "reason" not in line.fields  # it may name a child


def test_without_the_setting_one_person_is_enough(app: Flask) -> None:
    with transaction():
        ensure_municipality("Kjenn")
        before = wished(ipad())
        deciding.set_second_person(needed=False, by=ADMIN, now=NOW)
        after = wished(ipad())
        with pytest.raises(SamePersonError):  # what was asked for before still needs it
            orders.approve(before.id, by=ADMIN, now=NOW)
    assert [before.state, after.state] == [OrderState.ASKED, OrderState.QUEUED]


def test_privileged_orders_are_for_one_tablet_at_a_time(app: Flask) -> None:
    with transaction():
        school = make.school()
        devices = make.in_use(school, 2, channel="apple")
        for wish in (WIPE, LOCATE, CLEAR):
            with pytest.raises(InvalidError, match="tablets"):
                orders.queue(devices, wish, by=ADMIN, now=NOW)


def test_school_it_orders_them_at_its_own_school(app: Flask) -> None:
    with transaction():
        device, far = ipad(), make.enrolled(make.school("Der"), channel="apple")
        it = Principal("account", "3", (Grant(Role.SCHOOL_IT, device.school_id),))
        assert wished(device, by=it).state is OrderState.ASKED
        with pytest.raises(ForbiddenError, match="order-privileged"):
            wished(far, by=it)


def test_only_a_tablet_that_is_reported_lost_is_located(app: Flask) -> None:
    with transaction():
        lost, here = ipad(DeviceLife.LOST), ipad()
        assert wished(lost, LOCATE).state is OrderState.ASKED
        with pytest.raises(ConflictError, match="tablet to locate"):
            wished(here, LOCATE)
        for wish in (CLEAR, Wish(OrderKind.RESTART)):
            with pytest.raises(ConflictError, match="lost"):
                wished(lost, wish)
        silent = make.device(make.school(), life=DeviceLife.LOST)  # its enrolment ended when it was reported lost
        with pytest.raises(NotCarriedError) as refusal:
            wished(silent, LOCATE)
    assert refusal.value.data["channel"] is None


def test_a_tablet_found_before_the_yes_is_not_located(app: Flask) -> None:
    with transaction():
        device = ipad(DeviceLife.LOST)
        order = wished(device, LOCATE)
        device.life = DeviceLife.ENROLLED
        db.session.flush()
        with pytest.raises(ConflictError, match="tablet to locate"):
            orders.approve(order.id, by=OTHER_ADMIN, now=NOW)
        make.enrolments_end(device, at=NOW)
        changed("device", [device.id], now=NOW)
    assert order.state is OrderState.WITHDRAWN


# -- at once -----------------------------------------------------------------------------------------------------------


def asked(app: Flask) -> int:
    with app.app_context(), transaction():
        return wished(ipad()).id


def approved(order_id: int, by: Principal, now: datetime) -> int:
    return orders.approve(order_id, by=by, now=now).id


def state_of(app: Flask, order_id: int) -> OrderState:
    with app.app_context():
        return db.session.get_one(Order, order_id).state


def test_of_two_who_approve_at_once_one_does_and_the_other_is_told(own_app: Flask) -> None:
    for _ in range(8):
        order_id = asked(own_app)
        answers = [partial(approved, order_id, by, NOW) for by in (OTHER_ADMIN, CLI)]
        results = together(own_app, [*answers])
        assert sorted(type(one).__name__ for one in results) == ["OrderClosedError", "int"]
        with own_app.app_context():
            order = db.session.get_one(Order, order_id)
            assert order.answered_by == ("cli" if isinstance(results[1], int) else "account:8")
            assert order.device.state.config_version == 2


def test_of_a_yes_and_a_no_or_the_end_of_its_time_at_once_one_wins(own_app: Flask) -> None:
    for _ in range(8):
        order_id = asked(own_app)
        results = together(
            own_app,
            [
                partial(approved, order_id, CLI, NOW + DAY - HOUR),
                partial(orders.decline, order_id, by=OTHER_ADMIN, now=NOW),
                partial(orders.expire, NOW + DAY),
            ],
        )
        state = state_of(own_app, order_id)
        if isinstance(results[0], int):
            assert (state, results[2]) == (OrderState.QUEUED, 0)
            assert isinstance(results[1], OrderClosedError)
        else:
            assert isinstance(results[0], OrderClosedError)
            assert state is (OrderState.EXPIRED if results[2] == 1 else OrderState.DECLINED)
        with own_app.app_context(), transaction():  # so that the next round's job finds nothing of this one
            if state is OrderState.QUEUED:
                orders.withdraw(order_id, by=CLI, now=NOW)
