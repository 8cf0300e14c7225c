"""One-off wishes to tablets: their life, who may have them, and that each ends once."""

from collections.abc import Collection
from datetime import timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import select

from fleet import orders, outbox
from fleet.access import Grant, Principal, Role
from fleet.db import changed, db, transaction
from fleet.devices.models import Device, DeviceLife
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.orders import Filter, NotCarriedError, Order, OrderClosedError, OrderKind, OrderState, Wish
from tests import factories as make
from tests.conftest import NOW
from tests.races import together

BY = Principal.command_line()
HOUR = timedelta(hours=1)
RING = Wish(OrderKind.RING)


def queued(*devices: Device, wish: Wish = RING) -> list[Order]:
    return orders.queue(devices, wish, by=BY, now=NOW)


def message(text: str) -> Wish:
    return Wish(OrderKind.MESSAGE, text)


def lock_message(text: str) -> Wish:
    return Wish(OrderKind.LOCK_MESSAGE, text)


def finish(order: Order, state: OrderState = OrderState.DONE, detail: str = "") -> None:
    orders.finish(order.uid, device_id=order.device_id, state=state, detail=detail, now=NOW + HOUR)


def finished(order_id: int) -> None:
    finish(db.session.get_one(Order, order_id))


def of(device: Device) -> list[Order]:
    return list(orders.listed(Filter(device_id=device.id), by=BY))


# -- a life ------------------------------------------------------------------------------------------------------------


def test_an_order_is_queued_sent_and_done_and_each_step_is_a_new_configuration(app: Flask) -> None:
    with transaction():
        device = make.enrolled(make.school())
        (order,) = queued(device, wish=message("Hei\nalle"))
    assert (order.state, order.payload, order.expires_at, order.wished_by) == (
        OrderState.QUEUED, {"text": "Hei\nalle"}, NOW + timedelta(hours=24), "cli",
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
    (line,) = make.audited(action="orders.queued")
    assert line.fields == {"order_kind": "message", "count": 1}


def test_an_order_ends_once(app: Flask) -> None:
    with transaction():
        school = make.school()
        device, other = make.enrolled(school), make.enrolled(school)
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


def test_what_waited_too_long_expires_and_is_not_handed_out(app: Flask) -> None:
    with transaction():
        school = make.school()
        one, other = make.enrolled(school), make.enrolled(school)
        (short,) = orders.queue([one], RING, life=HOUR, by=BY, now=NOW)
        (long,) = queued(other)
        (done,) = orders.queue([one], Wish(OrderKind.RESTART), life=HOUR, by=BY, now=NOW)
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
        device = make.enrolled(make.school())
        (done,) = queued(device)
        finish(done)
        (open_one,) = queued(device, wish=Wish(OrderKind.RESTART))
        assert orders.forget(older_than=HOUR, now=NOW + 2 * HOUR) == 0
        assert orders.forget(older_than=HOUR, now=NOW + 3 * HOUR) == 1
    assert [order.id for order in of(device)] == [open_one.id]


def test_what_was_wished_of_a_tablet_that_leaves_is_taken_back(app: Flask) -> None:
    with transaction():
        device, stays = make.enrolled(make.school()), make.enrolled(make.school("Naboskolen"))
        (order,), (other,) = queued(device), queued(stays)
        make.enrolments_end(device, at=NOW)
        changed("device", [device.id, stays.id], now=NOW)
    assert (order.state, order.ended_at, other.state) == (OrderState.WITHDRAWN, NOW, OrderState.QUEUED)


def test_what_is_wished_of_a_tablet_that_enrolled_by_a_clock_that_was_ahead_stays_wished(app: Flask) -> None:
    with transaction():
        device = make.enrolled(make.school(), since=NOW + 2 * HOUR)
        (order,) = queued(device)
        changed("device", [device.id], now=NOW + HOUR)
    before = order.state
    with transaction():
        changed("device", [device.id], now=NOW + 2 * HOUR)  # as where it enrolled after the wish
    assert (before, order.state) == (OrderState.QUEUED, OrderState.WITHDRAWN)


# -- one queue per tablet ----------------------------------------------------------------------------------------------


def test_the_same_order_still_waiting_is_not_queued_twice(app: Flask) -> None:
    with transaction():
        school = make.school()
        one, other = make.enrolled(school), make.enrolled(school)
        (first,) = queued(one, wish=message("a"))
        assert [order.device_id for order in queued(one, other, wish=message("a"))] == [other.id]
        orders.mark_sent([first.id], now=NOW)
        assert queued(one, wish=message("a")) == []
        assert len(queued(one, wish=message("b"))) == 1
        assert len(queued(one, wish=lock_message("a"))) == 1
        finish(first)
        assert len(queued(one, wish=message("a"))) == 1
    assert one.state.config_version == 6
    assert [line.fields["count"] for line in make.audited(action="orders.queued")] == [1] * 5


def test_one_that_has_expired_does_not_stand_in_the_way_of_the_same(app: Flask) -> None:
    with transaction():
        device = make.enrolled(make.school())
        (old,) = orders.queue([device], RING, life=HOUR, by=BY, now=NOW)
        (new,) = orders.queue([device], RING, by=BY, now=NOW + HOUR)
    assert orders.pending([device.id], now=NOW + HOUR) == {device.id: [new]}
    assert old.id != new.id


def test_a_newer_lock_message_takes_the_place_of_one_not_fetched_and_follows_one_that_is(app: Flask) -> None:
    with transaction():
        device, other = make.enrolled(make.school()), make.enrolled(make.school("Naboskolen"))
        (elsewhere,) = queued(other, wish=lock_message("a"))
        (first,) = queued(device, wish=lock_message("a"))
        (second,) = queued(device, wish=lock_message("b"))
        assert (first.state, first.ended_at, first.detail) == (OrderState.WITHDRAWN, NOW, "superseded")
        orders.mark_sent([second.id], now=NOW)
        db.session.expire_all()
        (third,) = queued(device, wish=lock_message("c"))
        (again,) = queued(device, wish=lock_message("b"))  # what shall stand there in the end is the last wish
        assert queued(device, wish=lock_message("b")) == []
    assert [second.state, third.state, elsewhere.state] == [OrderState.SENT, OrderState.WITHDRAWN, OrderState.QUEUED]
    assert orders.pending([device.id], now=NOW) == {device.id: [second, again]}


def test_messages_do_not_take_each_others_place_and_stand_in_the_order_of_queuing(app: Flask) -> None:
    with transaction():
        device = make.enrolled(make.school())
        expected = [queued(device, wish=message(text))[0] for text in "abc"]
    assert orders.pending([device.id], now=NOW) == {device.id: expected}


# -- who may, of which tablets -----------------------------------------------------------------------------------------


def test_only_enrolled_tablets_take_orders_and_one_that_is_not_stops_them_all(app: Flask) -> None:
    with transaction():
        school = make.school()
        fine = make.enrolled(school)
        for life in (DeviceLife.EXPECTED, DeviceLife.LOST, DeviceLife.RETIRED):
            with pytest.raises(ConflictError, match=life.value):
                queued(fine, make.device(school, life=life))
    assert of(fine) == []


def test_what_is_asked_of_a_tablet_counts_as_it_stands_now_not_as_it_was_read(app: Flask) -> None:
    with transaction():
        device = make.enrolled(make.school())
    assert device.life is DeviceLife.ENROLLED
    with transaction():
        stale = db.session.get_one(Device, device.id)
        db.session.connection().exec_driver_sql("UPDATE device SET life = 'retired'")
        with pytest.raises(ConflictError, match="retired"):
            queued(stale)


def test_what_a_channel_cannot_carry_is_refused_at_once(app: Flask) -> None:
    with transaction():
        school = make.school()
        native, apple, headwind = (make.enrolled(school, channel=name) for name in ("native", "apple", "headwind"))
        silent = make.device(school)
        for devices, wish, channel, count in (
            ([native], Wish(OrderKind.WIPE, reason="kastet i sjøen"), "native", 1),
            ([native], Wish(OrderKind.LOCATE, reason="mistet på tur"), "native", 1),
            ([apple, native, headwind], message("Hei"), "apple", 2),
            ([headwind], Wish(OrderKind.OPEN_APP, app="no.example.app"), "headwind", 1),
            ([silent], RING, None, 1),
        ):
            with pytest.raises(NotCarriedError) as refusal:
                queued(*devices, wish=wish)
            assert (refusal.value.data["channel"], refusal.value.data["count"]) == (channel, count)
            assert wish.kind.value not in refusal.value.data["carries"]
        assert len(queued(native, apple, headwind, wish=Wish(OrderKind.RESTART))) == 3


def test_a_school_orders_its_own_tablets_and_a_teacher_only_those_that_a_lesson_allows(app: Flask) -> None:
    with transaction():
        here, there = make.school("Her"), make.school("Der")
        own = make.school_class(here, "8B")
        mine, not_mine, far = make.enrolled(here, class_id=own.id), make.enrolled(here), make.enrolled(there)
        teacher = Principal("account", "1", grants=(Grant(Role.TEACHER, here.id),), own_class_ids=frozenset({own.id}))
        it = Principal("account", "2", grants=(Grant(Role.SCHOOL_IT, here.id),))
        allowed = frozenset({mine.id})
        nobody: Collection[int] = frozenset()
        for by, devices, shown, refused in (
            (teacher, [mine], nobody, True),
            (teacher, [mine], allowed, False),
            (teacher, [mine, not_mine], allowed, True),
            (it, [mine, not_mine], nobody, False),
            (it, [mine, far], nobody, True),
        ):
            if refused:
                with pytest.raises(ForbiddenError):
                    orders.queue(devices, RING, allowed=shown, by=by, now=NOW)
            else:
                orders.queue(devices, RING, allowed=shown, by=by, now=NOW)
    assert [[order.wished_by for order in of(device)] for device in (mine, not_mine, far)] == [
        ["account:1"], ["account:2"], [],
    ]  # fmt: skip


def test_no_lesson_allows_what_is_privileged(app: Flask) -> None:
    with transaction():
        school = make.school()
        device = make.enrolled(school, channel="apple")
        teacher = Principal("account", "1", grants=(Grant(Role.TEACHER, school.id),))
        wish = Wish(OrderKind.CLEAR_PASSCODE, reason="glemt av eleven")
        with pytest.raises(ForbiddenError, match="order-privileged"):
            orders.queue([device], wish, allowed=frozenset({device.id}), by=teacher, now=NOW)


def test_an_order_is_taken_back_by_who_wished_it_and_by_who_may_wish_the_like(app: Flask) -> None:
    with transaction():
        school = make.school()
        device = make.enrolled(school)
        grants = (Grant(Role.TEACHER, school.id),)
        teacher, colleague = Principal("account", "1", grants=grants), Principal("account", "2", grants=grants)
        it, other = (Principal("account", "3", (Grant(Role.SCHOOL_IT, at),)) for at in (school.id, school.id + 1))
        wishes = [RING, message("Hei")]
        first, second = (orders.queue([device], wish, allowed={device.id}, by=teacher, now=NOW)[0] for wish in wishes)
        for by in (colleague, other):
            with pytest.raises(NotFoundError):
                orders.withdraw(first.id, by=by, now=NOW)
        version = device.state.config_version
        orders.withdraw(first.id, by=teacher, now=NOW)
        orders.withdraw(second.id, by=it, now=NOW)
        with pytest.raises(NotFoundError):
            orders.withdraw(0, by=BY, now=NOW)
    assert [first.state, second.state] == [OrderState.WITHDRAWN] * 2
    assert device.state.config_version == version + 2
    line = make.audited(action="orders.withdrawn")[1]
    assert line.fields == {"order_id": first.id, "order_kind": "ring", "serial": device.serial}


@pytest.mark.parametrize("life", [timedelta(seconds=59), timedelta(days=7, seconds=1), -HOUR])
def test_a_life_too_short_or_too_long_is_refused(app: Flask, life: timedelta) -> None:
    with transaction(), pytest.raises(InvalidError, match="life"):
        orders.queue([make.enrolled(make.school())], RING, life=life, by=BY, now=NOW)


# -- seen, told, and at what price -------------------------------------------------------------------------------------


def test_orders_are_listed_by_tablet_class_school_and_state_for_whom_may_see_them(app: Flask) -> None:
    with transaction():
        here, there = make.school("Her"), make.school("Der")
        own, pupil = make.school_class(here, "8B"), make.pupil(here)
        make.membership(pupil, own)
        of_class, of_pupil, other, far = (
            make.enrolled(here, class_id=own.id), make.enrolled(here, person=pupil), make.enrolled(here),
            make.enrolled(there, channel="apple"),
        )  # fmt: skip
        first, second, third = queued(of_class, of_pupil, other)
        finish(third)
        (wipe,) = queued(far, wish=Wish(OrderKind.WIPE, reason="kastet i sjøen"))
        (restart,) = queued(far, wish=Wish(OrderKind.RESTART))
    teacher = Principal("account", "1", (Grant(Role.TEACHER, here.id),), frozenset({own.id}))
    it = Principal("account", "2", (Grant(Role.SCHOOL_IT, here.id), Grant(Role.TEACHER, there.id)))
    for given, by, expected in (
        (Filter(), BY, [restart, wipe, third, second, first]),
        (Filter(device_id=of_class.id), BY, [first]),
        (Filter(class_id=own.id), BY, [second, first]),
        (Filter(school_id=here.id), BY, [third, second, first]),
        (Filter(school_id=here.id, states=orders.OPEN), BY, [second, first]),
        (Filter(states={OrderState.DONE, OrderState.ASKED}), BY, [wipe, third]),
        (Filter(), teacher, [second, first]),
        (Filter(), it, [third, second, first]),
    ):
        assert list(orders.listed(given, by=by)) == expected
    assert list(orders.listed(Filter(), by=BY, limit=2)) == [restart, wipe]


def test_who_sees_a_tablet_does_not_see_why_it_was_wiped(app: Flask) -> None:
    with transaction():
        school = make.school()
        own = make.school_class(school, "8B")
        device = make.enrolled(school, channel="apple", class_id=own.id)
        (restart,) = queued(device, wish=Wish(OrderKind.RESTART))
        (wipe,) = queued(device, wish=Wish(OrderKind.WIPE, reason="kastet i sjøen"))
    teacher = Principal("account", "1", (Grant(Role.TEACHER, school.id),), frozenset({own.id}))
    assert list(orders.listed(Filter(), by=teacher)) == [restart]
    with pytest.raises(NotFoundError):
        orders.find(wipe.id, by=teacher)
    assert orders.find(wipe.id, by=BY) is wipe


def test_tablets_are_rung_for_what_is_queued_and_for_what_is_taken_back(app: Flask) -> None:
    rung: list[frozenset[int]] = []
    stop = outbox.add_ring(rung.append)
    try:
        with transaction():
            school = make.school()
            one, other = make.enrolled(school), make.enrolled(school)
            first, _ = queued(one, other)
        with transaction():
            assert queued(one) == []
        with transaction():
            orders.withdraw(first.id, by=BY, now=NOW)
    finally:
        stop()
    assert rung == [{one.id, other.id}, {one.id}]


def test_orders_to_1500_tablets_take_as_many_statements_as_to_one(app: Flask, statements: list[str]) -> None:
    with transaction():
        ids = [device.id for device in make.in_use(make.school(), 1_501)]
    counts = []
    for chosen in (ids[:1], ids[1:]):
        with transaction():
            read = db.session.scalars(select(Device).where(Device.id.in_(range(chosen[0], chosen[-1] + 1)))).all()
            statements.clear()
            queued(*read, wish=lock_message("a"))
            order_ids = [order.id for order in queued(*read, wish=lock_message("b"))]
            assert {device.life for device in read} == {DeviceLife.ENROLLED}  # nobody has to read them again
        assert len(order_ids) == len(chosen)
        with transaction():
            orders.mark_sent(order_ids, now=NOW)
        counts.append(len(statements))
        with transaction():
            statements.clear()
            assert orders.expire(NOW + timedelta(days=2)) == len(chosen)
        counts.append(len(statements))
    assert counts[:2] == counts[2:]


# -- at once -----------------------------------------------------------------------------------------------------------


def test_of_a_result_and_a_withdrawal_at_once_one_wins_and_the_other_is_told(own_app: Flask) -> None:
    for _ in range(8):
        with own_app.app_context(), transaction():
            order_id = queued(make.enrolled(make.school()))[0].id
        results = together(
            own_app,
            [
                partial(finished, order_id),
                partial(orders.withdraw, order_id, by=BY, now=NOW),
            ],
        )
        with own_app.app_context():
            state = db.session.get_one(Order, order_id).state
        assert [type(one) for one in results].count(OrderClosedError) == 1
        assert state is (OrderState.DONE if isinstance(results[1], OrderClosedError) else OrderState.WITHDRAWN)


def test_of_many_lock_messages_at_once_one_waits_in_the_end(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        device_id = make.enrolled(make.school()).id

    def wish(text: str) -> None:
        queued(db.session.get_one(Device, device_id), wish=lock_message(text))

    assert together(own_app, [partial(wish, text) for text in "abcdef"]) == [None] * 6
    with own_app.app_context():
        states = sorted(db.session.scalars(select(Order.state)))
    assert states == ["queued"] + ["withdrawn"] * 5
