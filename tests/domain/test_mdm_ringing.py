"""Who is rung: those that lag, once for each change, later again, and nobody twice however many look."""

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceState
from fleet.mdm import commands, ringing
from fleet.mdm.commands import Wanted
from fleet.mdm.models import Client, Command
from tests import factories
from tests.conftest import NOW

MINUTE = timedelta(minutes=1)


def client(device: Device, **changes: Any) -> Client:
    """Make a client that has followed everything."""
    state = device.state
    state.key_thumbprint = "0" * 64
    told = {
        "device_id": device.id, "name": f"udid-{device.serial}", "thumbprint": "0" * 64, "topic": "com.apple.mgmt.x",
        "push_token": b"token", "push_magic": "magic", "reachable_at": NOW, "address_at": NOW, "rings": 0,
        "followed_version": state.config_version, "followed_profile": state.desired_digest, "is_set_up": True,
    }  # fmt: skip
    made = Client(**{**told, **changes})
    db.session.add(made)
    db.session.flush()
    return made


@pytest.fixture
def device(app: Flask) -> Device:
    with transaction():
        made = factories.enrolled(factories.school(), channel="apple")
        client(made)
        return made


def taken(now: datetime = NOW) -> list[int]:
    with transaction():
        return [one.device_id for one in ringing.take(now=now)]


def change(device: Device) -> None:
    with transaction():
        state = db.session.get_one(DeviceState, device.id)
        state.config_version += 1


def test_who_has_followed_is_not_rung(device: Device) -> None:
    assert taken() == []


def test_each_change_rings_once_and_again_only_after_a_wait_that_grows(device: Device) -> None:
    change(device)
    assert taken() == [device.id]
    assert taken() == []
    change(device)
    assert taken() == [device.id]
    assert taken(NOW + 14 * MINUTE) == []
    assert taken(NOW + 15 * MINUTE) == [device.id]
    assert taken(NOW + 74 * MINUTE) == []
    assert taken(NOW + 75 * MINUTE) == [device.id]


def test_a_schedule_that_moved_on_by_itself_rings(device: Device) -> None:
    with transaction():
        db.session.get_one(DeviceState, device.id).desired_digest = "a" * 64
    assert taken() == [device.id]


@pytest.mark.parametrize("changes", [{"reachable_at": None}, {"push_dead_at": NOW}, {"push_token": None}])
def test_nobody_is_rung_before_there_is_an_address_or_after_it_is_dead(app: Flask, changes: dict[str, Any]) -> None:
    with transaction():
        made = factories.enrolled(factories.school(), channel="apple")
        client(made, followed_version=None, **changes)
    assert taken() == []


def test_a_client_that_was_busy_and_does_not_call_by_itself_is_rung(device: Device) -> None:
    with transaction():
        commands.queue(device.id, Wanted("inform"), now=NOW)
        made = commands.take_next(device.id, now=NOW)
        assert made is not None
        commands.answer(device.id, made.uid, "not-now", detail=None, now=NOW)
        commands.note_call(db.session.get_one(Client, device.id), "acknowledged", now=NOW)
    assert taken(NOW + timedelta(seconds=4)) == []
    assert taken(NOW + 6 * MINUTE) == [device.id]
    with transaction():
        db.session.get_one(Client, device.id).last_status = "not-now"  # then it calls by itself
        assert db.session.query(Command).count() == 1
    assert taken(NOW + 600 * MINUTE) == []


def test_a_service_that_asks_for_a_pause_gets_it_and_a_dead_address_is_left(device: Device) -> None:
    change(device)
    with transaction():
        (ring,) = ringing.take(now=NOW)
        ringing.put_off({device.id: 90.0}, now=NOW)
    change(device)
    assert taken(NOW + MINUTE) == []
    assert taken(NOW + 2 * MINUTE) == [device.id]
    with transaction():
        ringing.give_up([replace(ring, token=b"a former one")], now=NOW)
    change(device)
    assert taken(NOW + 3 * MINUTE) == [device.id]
    with transaction():
        ringing.give_up([ring], now=NOW)
    change(device)
    assert taken(NOW + 600 * MINUTE) == []


def test_a_command_that_nobody_came_for_rings_and_one_that_came_has_rest(device: Device) -> None:
    with transaction():
        commands.queue(device.id, Wanted("declare"), now=NOW)
    assert taken(NOW) == []  # it was queued while the tablet was here
    assert taken(NOW + MINUTE) == [device.id]
    with transaction():
        commands.take_next(device.id, now=NOW + MINUTE)
        commands.note_call(db.session.get_one(Client, device.id), "idle", now=NOW + MINUTE)
    assert taken(NOW + 2 * MINUTE) == []
    assert taken(NOW + 7 * MINUTE) == [device.id]  # its answer was lost


def test_a_tablet_whose_enrolment_has_ended_is_rung_no_more(device: Device) -> None:
    change(device)
    with transaction():
        db.session.get_one(DeviceState, device.id).key_thumbprint = None
    assert taken() == []


def test_of_many_who_look_at_once_each_client_is_rung_by_one(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        school = factories.school()
        for _each in range(30):
            client(factories.enrolled(school, channel="apple"), followed_version=None)
    rung: list[int] = []

    def look() -> None:
        with own_app.app_context():
            for _round in range(4):
                with transaction():
                    found = [one.device_id for one in ringing.take(now=NOW, at_most=10)]
                rung.extend(found)

    threads = [threading.Thread(target=look) for _each in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(rung) == len(set(rung)) == 30


def test_an_address_and_what_it_says_show_in_no_text(device: Device) -> None:
    change(device)
    with transaction():
        (ring,) = ringing.take(now=NOW)
    assert "token" not in repr(ring).replace("_token", "")
    assert "magic'" not in repr(ring)


def test_who_shall_tell_how_it_is_is_rung_too(app: Flask) -> None:
    with transaction():
        made = factories.enrolled(factories.school(), channel="apple")
        client(made, ask_at=NOW)
    assert taken(NOW - MINUTE) == []
    assert taken(NOW) == [made.id]
    assert taken(NOW + MINUTE) == []
