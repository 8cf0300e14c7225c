"""A lost tablet that can be closed and found: it stays in reach, hears of it at once, and takes part in nothing."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from fleet import orders, outbox
from fleet.access import Principal
from fleet.assignments.assigning import Place
from fleet.assignments.models import Scope
from fleet.checkins import receive as checkins
from fleet.checkins.receive import Answer, Report
from fleet.compliance import silence
from fleet.db import changed, db, transaction
from fleet.devices import bulk, enrolment, life, queries, tickets
from fleet.devices.enrolment import DeviceLostError, Refused
from fleet.devices.losing import KEPT_WHEN_LOST
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.errors import InvalidError
from fleet.lessons import members
from fleet.orders import Order, OrderKind, OrderState, Wish
from fleet.schools.models import School
from tests import factories as make
from tests.conftest import NOW
from tests.enrolling import request

CLI = Principal.command_line()
REASON = "lå igjen på bussen"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return make.school("Kjenn skole")


def ipad(school: School, **columns: Any) -> Device:
    device = make.enrolled(school, channel="apple", **columns)
    queries.enrolments(device)[0].key_thumbprint = make.known_key(device)
    return device


def lose(device: Device, **told: str) -> None:
    with transaction():
        life.step(device, "lost", by=CLI, now=NOW, **told)


def find(device: Device) -> None:
    with transaction():
        life.step(device, "found", by=CLI, now=NOW + HOUR)


def open_one(device: Device) -> Enrolment | None:
    return next((one for one in queries.enrolments(device) if one.ended_at is None), None)


@pytest.mark.parametrize("channel", ["native", "headwind", "apple"])
def test_a_lost_tablet_keeps_its_key_only_where_it_can_be_closed(school: School, channel: str) -> None:
    with transaction():
        device = make.enrolled(school, channel=channel)
        key = make.known_key(device)
    lose(device)
    is_kept = channel in KEPT_WHEN_LOST
    assert is_kept == (channel == "apple")
    assert device.life is DeviceLife.LOST
    assert (device.state.key_thumbprint == key, open_one(device) is not None) == (is_kept, is_kept)
    find(device)
    assert device.life is (DeviceLife.ENROLLED if is_kept else DeviceLife.EXPECTED)


def test_a_tablet_in_reach_fetches_at_once_that_it_is_lost_and_that_it_was_found(school: School) -> None:
    with transaction():
        device, other = ipad(school), make.enrolled(school)
        changed("device", [device.id, other.id], now=NOW)
    versions = [one.state.config_version for one in (device, other)]
    rung: list[frozenset[int]] = []
    stop = outbox.add_ring(rung.append)
    try:
        lose(device)
        lose(other)
        assert rung == [frozenset({device.id})]
        assert [one.state.config_version for one in (device, other)] == [versions[0] + 1, versions[1]]
        find(device)
        find(other)
    finally:
        stop()
    assert rung == [frozenset({device.id})] * 2
    assert device.state.config_version == versions[0] + 2


def test_what_its_screen_says_is_kept_until_it_is_found_or_retired(school: School) -> None:
    with transaction():
        one, other = ipad(school), ipad(school)
    for device in (one, other):
        lose(device, message="Tilhører Kjenn skole", phone="+47 22 33 44 55")
        assert (device.lost_message, device.lost_phone) == ("Tilhører Kjenn skole", "+47 22 33 44 55")
    find(one)
    with transaction():
        life.step(other, "retire", by=CLI, now=NOW)
    assert [(device.lost_message, device.lost_phone) for device in (one, other)] == [(None, None)] * 2
    assert (other.state.key_thumbprint, queries.enrolments(other)[0].end_reason) == (None, "retired")


@pytest.mark.parametrize(
    ("field", "told"),
    [
        *(("message", text) for text in ("", "  ", "x" * 256, "to\nlinjer", "a\x1b[31m", "a\u202eb")),
        *(("phone", text) for text in ("", "12", "ring meg", "22+334455", " 22334455", "2" * 41, "22  33", "٢٢٣٣")),
    ],
)
def test_what_cannot_stand_on_a_screen_is_refused(school: School, field: str, told: str) -> None:
    with transaction():
        device = ipad(school)
    with pytest.raises(InvalidError) as refused:
        lose(device, **{field: told})
    assert (refused.value.data["field"], device.life) == (field, DeviceLife.ENROLLED)
    with pytest.raises(InvalidError), transaction():
        bulk.step([device.id], "lost", message=told if field == "message" else None,
                  phone=told if field == "phone" else None, by=CLI, now=NOW)  # fmt: skip


def test_of_many_those_in_reach_stay_enrolled_and_the_others_do_not(school: School) -> None:
    with transaction():
        pad, native, expected = ipad(school), make.enrolled(school), make.device(school, life=DeviceLife.EXPECTED)
        ids = [one.id for one in (pad, native, expected)]
        changed("device", ids, now=NOW)
    versions = [one.state.config_version for one in (pad, native)]
    with transaction():
        bulk.step(ids, "lost", message="Tilhører skolen", by=CLI, now=NOW)
    assert {one.life for one in (pad, native, expected)} == {DeviceLife.LOST}
    assert {one.lost_message for one in (pad, native, expected)} == {"Tilhører skolen"}
    assert (open_one(pad) is not None, open_one(native)) == (True, None)
    assert [one.state.config_version for one in (pad, native)] == [versions[0] + 1, versions[1]]
    with transaction():
        bulk.step(ids, "found", by=CLI, now=NOW + HOUR)
    assert [one.life for one in (pad, native, expected)] == [
        DeviceLife.ENROLLED, DeviceLife.EXPECTED, DeviceLife.EXPECTED,
    ]  # fmt: skip
    assert (pad.lost_message, pad.state.config_version) == (None, versions[0] + 2)


def test_a_lost_tablet_in_reach_is_heard_and_cannot_be_enrolled_by_whoever_has_it(school: School) -> None:
    with transaction():
        device = ipad(school)
        place = tickets.Place(school)
        code = tickets.create(place, expires_at=NOW + DAY, max_enrolments=3, by=CLI, now=NOW)[1]
    lose(device)
    told = Report(device.id, f"key-{device.id}", 1, "r1", "d1", None, {"os_version": "18.1"})
    with transaction():
        (answer,) = checkins.receive([told], now=NOW + HOUR)
        refused = enrolment.enrol(request(code, device.serial), now=NOW)
    assert isinstance(answer, Answer)
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, DeviceLostError)
    db.session.expire_all()
    assert (device.state.last_seen_at, device.life) == (NOW + HOUR, DeviceLife.LOST)


def test_a_lost_tablet_is_neither_silent_nor_in_a_lesson_and_keeps_what_it_shall_have(school: School) -> None:
    with transaction():
        own = make.school_class(school)
        device = ipad(school, class_id=own.id)
        make.assign(make.published(), Place(Scope.SCHOOL, school.id, school.id))
    shall = device.state.desired_digest
    assert shall is not None
    with transaction():
        assert [one.device_id for one in members.tablets(own.id, on=NOW.date())] == [device.id]
    lose(device)
    assert members.tablets(own.id, on=NOW.date()) == []
    with transaction():
        assert silence.review(now=NOW + 60 * DAY, timezone=ZoneInfo("Europe/Oslo")).opened == 0
    assert device.state.desired_digest == shall


# -- orders ------------------------------------------------------------------------------------------------------------


def wished(device: Device, kind: OrderKind) -> Order:
    reason = REASON if kind in orders.PRIVILEGED else None
    return orders.queue([device], Wish(kind, reason=reason), by=CLI, now=NOW)[0]


def test_what_was_wished_of_a_tablet_ends_when_it_is_lost_but_not_its_wipe(school: School) -> None:
    with transaction():
        device = ipad(school)
        restart, clear, wipe = (
            wished(device, kind) for kind in (OrderKind.RESTART, OrderKind.CLEAR_PASSCODE, OrderKind.WIPE)
        )
    lose(device)
    db.session.expire_all()
    assert [one.state for one in (restart, clear, wipe)] == [
        OrderState.WITHDRAWN, OrderState.WITHDRAWN, OrderState.ASKED,
    ]  # fmt: skip


def test_what_is_asked_of_a_lost_tablet_stands_until_it_is_found(school: School) -> None:
    with transaction():
        device = ipad(school)
    lose(device)
    with transaction():
        found = [wished(device, kind) for kind in (OrderKind.LOCATE, OrderKind.RING, OrderKind.WIPE)]
        changed("device", [device.id], now=NOW)
    db.session.expire_all()
    assert [one.state for one in found] == [OrderState.ASKED, OrderState.QUEUED, OrderState.ASKED]
    find(device)
    db.session.expire_all()
    assert [one.state for one in found] == [OrderState.WITHDRAWN, OrderState.WITHDRAWN, OrderState.ASKED]
