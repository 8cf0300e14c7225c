"""What a tablet that asks shall have, and what it was handed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from fleet.assignments import bodies
from fleet.assignments.assigning import Place
from fleet.assignments.models import ProfileVersion
from fleet.checkins import polls
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceState
from profiles.digest import canonical, digest_of
from tests import factories as make
from tests.conftest import NOW
from tests.followers import follows
from tests.races import together

HOUR = timedelta(hours=1)


@pytest.fixture
def ids(app: Flask) -> list[int]:
    with transaction():
        return [one.id for one in make.tablets(make.school(), 3)]


@pytest.fixture
def told(app: Flask) -> Iterator[list[set[int]]]:
    heard: list[set[int]] = []
    with follows("fetched", lambda ids, _now: heard.append(set(ids))):
        yield heard


def state(device_id: int) -> DeviceState:
    db.session.expire_all()
    return db.session.get_one(DeviceState, device_id)


def fetched(versions: dict[int, int], now: datetime = NOW) -> None:
    with transaction():
        polls.note_fetched(versions, now=now)


def test_a_standing_says_what_a_poll_needs(app: Flask) -> None:
    with transaction():
        device = make.device(make.school())
        make.known_key(device)
        make.assign(make.published(), Place.device(device), ends_at=NOW + HOUR)
        device.state.applied_digest, device.state.fetched_version = "a" * 64, 1
    found = polls.standings([device.id, 999_999])
    here = state(device.id)
    assert found == {
        device.id: polls.Standing(
            device.id, db.session.get_one(Device, device.id).uid, f"key-{device.id}", here.config_version,
            here.schedule_digest, "a" * 64, NOW + HOUR, 1,
        )
    }  # fmt: skip


def test_what_was_handed_out_is_noted_and_told_and_an_older_version_is_not(
    ids: list[int], told: list[set[int]]
) -> None:
    one, other, third = ids
    fetched({one: 5, other: 7})
    fetched({one: 4}, now=NOW + HOUR)
    assert [(state(n).fetched_version, state(n).fetched_at) for n in ids] == [(5, NOW), (7, NOW), (None, None)]
    assert told == [{one, other}, {one}]
    fetched({one: 6}, now=NOW + HOUR)
    assert (state(one).fetched_version, state(one).fetched_at) == (6, NOW + HOUR)
    assert state(third).fetched_version is None


def test_who_waits_in_vain_is_found_and_no_more_of_them_than_asked_for(ids: list[int]) -> None:
    one, other, third = ids
    with transaction():
        for device_id, version in zip(ids, (4, 5, 6), strict=True):
            db.session.get_one(DeviceState, device_id).config_version = version
    assert polls.moved_on({one: 4, other: 5, third: 6, 999_999: 1}, at_most=10) == frozenset()
    assert polls.moved_on({one: 4, other: 4, third: 9}, at_most=10) == {other, third}
    assert len(polls.moved_on(dict.fromkeys(ids, 1), at_most=2)) == 2
    assert polls.moved_on({}, at_most=10) == frozenset()


def test_noting_and_looking_take_as_many_statements_for_1_as_for_200(app: Flask, statements: list[str]) -> None:
    with transaction():
        many = [one.id for one in make.tablets(make.school(), 200)]
    counts = []
    for chosen in (many[:1], many):
        statements.clear()
        fetched(dict.fromkeys(chosen, 1))
        polls.moved_on(dict.fromkeys(chosen, 1), at_most=10)
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 4


def test_hand_outs_in_any_order_and_an_assignment_to_all_never_give_each_other_up(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        many = [one.id for one in make.tablets(make.school(), 200)]
        version = make.published().id

    def assign() -> None:
        make.assign(db.session.get_one(ProfileVersion, version), Place.municipality())

    for turn in range(1, 6):
        tasks = [lambda t=turn, o=order: polls.note_fetched(dict.fromkeys(many[::o], t), now=NOW) for order in (1, -1)]
        assert together(own_app, [*tasks, assign]) == [None] * 3


def test_a_body_is_read_once_and_then_known(app: Flask, statements: list[str]) -> None:
    settings: dict[str, Any] = {"lock_screen.message": "Bare i denne prøven"}
    with transaction():
        device = make.device(make.school())
        name = make.shall_have(device, at=NOW, **settings)
    assert name == digest_of(canonical(settings))
    missing = "0" * 64
    statements.clear()
    assert bodies.load({name, missing}) == {name: canonical(settings).decode()}
    assert bodies.load({name}) == {name: canonical(settings).decode()}
    assert len(statements) == 1
    assert bodies.load(()) == {}
