"""Which tablets can be shut down, given a new system, or wiped so that they come back: by channel, time and life."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from fleet import orders
from fleet.access import Grant, Principal, Role
from fleet.db import db, transaction
from fleet.devices.bulk import LeftOut
from fleet.devices.models import Device, DeviceLife
from fleet.errors import ConflictError, ForbiddenError, InvalidError
from fleet.orders import NotCarriedError, Order, OrderKind, OrderState, Wish
from fleet.orders import preview as previews
from tests import factories as make
from tests.conftest import NOW

CLI = Principal.command_line()
OSLO = ZoneInfo("Europe/Oslo")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
REASON = "skal til et annet trinn"
SHUT_DOWN = Wish(OrderKind.SHUT_DOWN)
WIPE, COMES_BACK = (Wish(OrderKind.WIPE, reason=REASON, come_back=back) for back in (False, True))


def local(after: timedelta) -> str:
    return (NOW + after).astimezone(OSLO).strftime("%Y-%m-%dT%H:%M")


def update(version: str = "18.1", *, after: timedelta = DAY) -> Wish:
    return Wish(OrderKind.UPDATE_SYSTEM, version=version, deadline=local(after))


def queued(*devices: Device, wish: Wish) -> list[Order]:
    return orders.queue(devices, wish, timezone=OSLO, by=CLI, now=NOW)


def test_only_ipads_are_shut_down_or_updated(app: Flask) -> None:
    with transaction():
        school = make.school()
        pads = make.in_use(school, 2, channel="apple")
        for wish in (SHUT_DOWN, update()):
            for channel in ("native", "headwind"):
                with pytest.raises(NotCarriedError):
                    queued(*pads, make.enrolled(school, channel=channel), wish=wish)
            assert len(queued(*pads, wish=wish)) == 2
    found = orders.pending([pads[0].id], now=NOW)[pads[0].id]
    assert [one.payload for one in found] == [{}, {"version": "18.1", "deadline": local(DAY)}]


def test_a_teacher_neither_shuts_down_nor_updates_whatever_a_lesson_allows_and_school_it_does(app: Flask) -> None:
    with transaction():
        school = make.school()
        device = make.enrolled(school, channel="apple")
        teacher, it = (Principal("account", "1", (Grant(role, school.id),)) for role in (Role.TEACHER, Role.SCHOOL_IT))
        for wish in (SHUT_DOWN, update()):
            with pytest.raises(ForbiddenError):
                orders.queue([device], wish, allowed={device.id}, by=teacher, now=NOW)
            assert len(orders.queue([device], wish, by=it, now=NOW)) == 1


@pytest.mark.parametrize("after", [-DAY, timedelta(), 30 * DAY + MINUTE])
def test_a_deadline_that_is_past_or_too_far_ahead_is_refused(app: Flask, after: timedelta) -> None:
    with transaction(), pytest.raises(InvalidError) as refusal:
        queued(make.enrolled(make.school(), channel="apple"), wish=update(after=after))
    assert refusal.value.data["field"] == "deadline"


def test_a_deadline_that_comes_when_the_order_is_given_up_already_is_refused(app: Flask) -> None:
    with transaction():
        device = make.enrolled(make.school(), channel="apple")
        with pytest.raises(InvalidError) as refusal:
            orders.queue([device], update(after=2 * DAY), life=DAY, timezone=OSLO, by=CLI, now=NOW)
    assert refusal.value.data["field"] == "deadline"


@pytest.mark.parametrize("after", [MINUTE, 30 * DAY])
def test_a_deadline_is_the_schools_own_time(app: Flask, after: timedelta) -> None:
    with transaction():
        (order,) = queued(make.enrolled(make.school(), channel="apple"), wish=update(after=after))
    assert order.expires_at == NOW + 30 * DAY


def test_only_a_new_system_may_wait_for_a_month(app: Flask) -> None:
    with transaction():
        device = make.enrolled(make.school(), channel="apple")
        orders.queue([device], update(), life=30 * DAY, timezone=OSLO, by=CLI, now=NOW)
        for wish, life in ((update("18.2"), 30 * DAY + MINUTE), (SHUT_DOWN, 8 * DAY)):
            with pytest.raises(InvalidError, match="life"):
                orders.queue([device], wish, life=life, timezone=OSLO, by=CLI, now=NOW)


def test_the_newest_system_wished_for_counts_even_where_the_former_has_been_told(app: Flask) -> None:
    with transaction():
        device = make.enrolled(make.school(), channel="apple")
        (first,) = queued(device, wish=update())
        orders.mark_sent([first.id], now=NOW)
        assert queued(device, wish=update()) == []
        (second,) = queued(device, wish=update("18.2"))
        (third,) = queued(device, wish=update(after=2 * DAY))
    db.session.expire_all()
    assert [one.state for one in (first, second)] == [OrderState.WITHDRAWN] * 2
    assert orders.pending([device.id], now=NOW) == {device.id: [third]}


def test_an_ipad_comes_back_after_it_was_wiped_and_others_are_refused_that(app: Flask) -> None:
    with transaction():
        school = make.school()
        pad, other = make.enrolled(school, channel="apple"), make.enrolled(school, channel="headwind")
        (order,) = queued(pad, wish=COMES_BACK)
        assert order.payload == {"come_back": True}
        with pytest.raises(InvalidError) as refusal:
            queued(other, wish=COMES_BACK)
        assert (refusal.value.data["field"], refusal.value.data["channel"]) == ("come_back", "headwind")
        told = previews.preview([pad, other], OrderKind.WIPE, comes_back=True, by=CLI)
        assert (told.tablets.going, told.tablets.left_out) == ([pad], {LeftOut.NOT_CARRIED: [other]})
        assert len(queued(other, wish=WIPE)) == 1


def test_an_ipad_rings_and_is_located_only_when_lost_and_a_preview_says_the_same(app: Flask) -> None:
    with transaction():
        school = make.school()
        here = make.enrolled(school, channel="apple")
        lost = make.enrolled(school, channel="apple", life=DeviceLife.LOST)
        for kind in (OrderKind.RING, OrderKind.LOCATE):
            wish = Wish(kind, reason=REASON if kind in orders.PRIVILEGED else None)
            with pytest.raises(ConflictError):
                queued(here, wish=wish)
            assert previews.preview([here, lost], kind, by=CLI).tablets.going == [lost]
            assert len(queued(lost, wish=wish)) == 1
        assert len(queued(lost, wish=WIPE)) == 1
        for wish in (SHUT_DOWN, update()):
            with pytest.raises(ConflictError, match="lost"):
                queued(lost, wish=wish)
        assert previews.preview([lost], OrderKind.SHUT_DOWN, by=CLI).tablets.left_out == {LeftOut.STATE: [lost]}
    assert previews.offered(lost, by=CLI) == {OrderKind.RING, OrderKind.LOCATE, OrderKind.WIPE}
    assert previews.offered(here, by=CLI) == {
        OrderKind.LOCK_MESSAGE, OrderKind.RESTART, OrderKind.REPORT_NOW, OrderKind.SHUT_DOWN, OrderKind.UPDATE_SYSTEM,
        OrderKind.WIPE, OrderKind.CLEAR_PASSCODE,
    }  # fmt: skip
