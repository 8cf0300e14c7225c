"""Polls that wait: held without a thread, answered as soon as something changes, and noted as present."""

import asyncio
import dataclasses
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, update

from agent_protocol.messages import BASE_PATH, ConfigAnswer, decode
from agent_protocol.transport import Response
from fleet import clock, outbox
from fleet.assignments import bodies
from fleet.assignments.assigning import Place
from fleet.channels.native.door import NativeChannel
from fleet.db import db, transaction
from fleet.devices import life
from fleet.devices.models import DevicePresence, DeviceState
from tests import factories as make
from tests.gate import Door, Tablet, door, problem, ticket
from tests.native import BY, CONFIG, config_of, device_of, order_for, state_of
from tests.waiting import take_in


def channel(server: Door) -> NativeChannel:
    return next(one for one in server.gate._channels if isinstance(one, NativeChannel))


def open_school(server: Door, *, is_near: bool = True) -> None:
    """Have the server believe that it is a school day's morning, or not, whatever the calendar says."""
    pace = channel(server)._pace
    channel(server)._pace = dataclasses.replace(
        pace, is_busy=lambda _now: is_near, is_near=lambda _now: is_near, dice=random.Random(3)  # noqa: S311 (repeatable)
    )  # fmt: skip


@pytest.fixture
def school(server: Door) -> Door:
    open_school(server)
    return server


def until(is_so: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ask(tablet: Tablet, etag: str, *, wait: str = "wait=20", gone: asyncio.Event | None = None) -> Future[Response]:
    """Poll and be held; the answer comes later."""
    told = tablet.headers("GET", CONFIG) | {"If-None-Match": etag, "Prefer": wait}
    pairs = [(name.lower().encode(), value.encode()) for name, value in told.items()]
    server = tablet.door
    return asyncio.run_coroutine_threadsafe(server.call("GET", CONFIG, pairs, gone=gone), server.loop)


def held(tablet: Tablet, etag: str | None = None) -> Future[Response]:
    """Poll with what the tablet shall have, and return once it is held."""
    waiting = channel(tablet.door).waiting
    number = len(waiting.held())
    asked = ask(tablet, etag or tablet.get(CONFIG).headers["etag"])
    until(lambda: len(waiting.held()) > number)
    return asked


def change(tablet: Tablet, *, by: Door | None = None, rings: bool = True) -> float:
    """Have the tablet fetch anew; returns when it was committed."""
    server = by or tablet.door
    with server.database():
        device = device_of(tablet)
        query = update(DeviceState).where(DeviceState.device_id == device.id)
        db.session.execute(query.values(config_version=DeviceState.config_version + 1))
        if rings:
            outbox.wake([device.id])
    return time.monotonic()


# -- held --------------------------------------------------------------------------------------------------------------


def test_a_poll_that_finds_nothing_new_is_held_and_answered_when_something_changes(
    school: Door, tablet: Tablet
) -> None:
    asked = held(tablet)
    time.sleep(0.2)
    assert not asked.done()
    committed = change(tablet)
    answer = asked.result(10)
    assert time.monotonic() - committed < 5
    assert answer.status == 200
    assert answer.headers["cache-control"] == "private, max-age=1"
    assert answer.headers["preference-applied"].startswith("wait=")
    assert 14 <= int(answer.headers["preference-applied"][5:]) <= 20
    again = held(tablet, answer.headers["etag"])
    assert not again.done()
    change(tablet)
    assert again.result(10).status == 200
    assert len(channel(school).waiting) == 0


def test_a_wait_that_is_over_is_304_and_comes_again_at_once(school: Door, tablet: Tablet) -> None:
    etag = tablet.get(CONFIG).headers["etag"]
    answer = ask(tablet, etag, wait="respond-async, wait=1").result(10)
    assert (answer.status, answer.headers["etag"], answer.body) == (304, etag, b"")
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.headers["cache-control"] == "private, max-age=1"


@pytest.mark.parametrize("wait", ["wait=0", "wait=-5", "wait=x", "return=minimal", "await=3"])
def test_who_asks_oddly_is_answered_as_ever(school: Door, tablet: Tablet, wait: str) -> None:
    etag = tablet.get(CONFIG).headers["etag"]
    answer = ask(tablet, etag, wait=wait).result(10)
    assert answer.status == 304
    assert "preference-applied" not in answer.headers
    assert int(answer.headers["cache-control"].rpartition("=")[2]) >= 30


def test_out_of_school_hours_nobody_is_held_but_around_a_change_of_their_own_schedule(
    server: Door, tablet: Tablet
) -> None:
    open_school(server, is_near=False)
    etag = tablet.get(CONFIG).headers["etag"]
    answer = ask(tablet, etag).result(10)
    assert answer.status == 304
    assert int(answer.headers["cache-control"].rpartition("=")[2]) >= 150
    with server.database():
        later = clock.now() + timedelta(hours=1)
        make.assign(make.published(), Place.device(device_of(tablet)), ends_at=later, now=clock.now())
    asked = held(tablet)
    change(tablet)
    assert asked.result(10).status == 200
    plain = tablet.get(CONFIG)
    assert 37 <= int(plain.headers["cache-control"].rpartition("=")[2]) <= 117  # a quarter of the night's interval
    assert 37 <= json.loads(tablet.report().body)["next_poll_s"] <= 117


def test_what_is_new_is_handed_out_at_once_and_the_tablet_comes_again_to_be_held(school: Door, tablet: Tablet) -> None:
    change(tablet)
    answer = ask(tablet, '"old"').result(10)
    assert (answer.status, answer.headers["cache-control"]) == (200, "private, max-age=1")
    # One that could not follow it asks with the old ETag again, and shall not do so each second for ever.
    again = ask(tablet, '"old"').result(10)
    assert again.status == 200
    assert int(again.headers["cache-control"].rpartition("=")[2]) >= 30
    change(tablet)
    assert tablet.get(CONFIG).headers["cache-control"] != "private, max-age=1"  # it did not ask to wait


def test_a_newer_wait_ends_the_older_which_does_not_come_again_at_once(school: Door, tablet: Tablet) -> None:
    etag = tablet.get(CONFIG).headers["etag"]
    older = held(tablet, etag)
    newer = ask(tablet, etag)
    answer = older.result(10)
    assert answer.status == 304
    assert int(answer.headers["cache-control"].rpartition("=")[2]) >= 30
    assert len(channel(school).waiting) == 1
    until(lambda: len(channel(school).waiting.held()) == 1)
    change(tablet)
    assert newer.result(10).status == 200


def test_a_tablet_that_hangs_up_is_let_go_at_once(school: Door, tablet: Tablet) -> None:
    gone = asyncio.Event()
    etag = tablet.get(CONFIG).headers["etag"]
    asked = ask(tablet, etag, gone=gone)
    until(lambda: len(channel(school).waiting.held()) == 1)
    school.loop.call_soon_threadsafe(gone.set)
    asked.result(10)
    assert len(channel(school).waiting) == 0


def test_a_key_that_is_taken_back_while_its_tablet_waits_is_worth_nothing(school: Door, tablet: Tablet) -> None:
    asked = held(tablet)
    with school.database():
        device = device_of(tablet)
        life.revoke_key(device, by=BY, now=clock.now())
        outbox.wake([device.id])
    assert problem(asked.result(10)) == "revoked"
    assert len(channel(school).waiting) == 0


def test_a_server_that_stops_answers_those_who_wait_spread_over_ten_seconds(fresh_url: str, tmp_path: Path) -> None:
    with door(fresh_url, tmp_path) as server:
        open_school(server)
        code = ticket(server)
        tablets = [Tablet(server) for _ in range(6)]
        for number, one in enumerate(tablets):
            one.enrol(code, f"SN{number:04}")
        asked = [held(one) for one in tablets]
        begun = time.monotonic()
        server.loop.call_soon_threadsafe(server.gate.release)
        answers = [one.result(10) for one in asked]
        assert time.monotonic() - begun < 3
        late = ask(tablets[0], answers[0].headers["etag"]).result(10)
    ages = [int(one.headers["cache-control"].rpartition("=")[2]) for one in answers]
    assert [one.status for one in answers] == [304] * 6
    assert max(ages) <= 10
    assert len(set(ages)) > 1
    assert (late.status, "preference-applied" in late.headers) == (304, False)
    assert int(late.headers["cache-control"].rpartition("=")[2]) <= 10  # to be held by another server


# -- rung --------------------------------------------------------------------------------------------------------------


def test_another_server_on_the_same_database_rings_those_who_wait_here(fresh_url: str, tmp_path: Path) -> None:
    with door(fresh_url, tmp_path) as here, door(fresh_url, tmp_path) as there:
        open_school(here)
        tablet = Tablet(here)
        tablet.enrol(ticket(here), "SN0001")
        asked = held(tablet)
        committed = change(tablet, by=there)
        assert asked.result(10).status == 200
        assert time.monotonic() - committed < 5


def test_a_ring_that_was_lost_costs_seconds(school: Door, tablet: Tablet) -> None:
    asked = held(tablet)
    committed = change(tablet, rings=False)
    assert asked.result(15).status == 200
    assert time.monotonic() - committed < 10


def test_waiting_tablets_cost_one_statement_a_look_and_none_where_nobody_waits(school: Door, tablet: Tablet) -> None:
    seen: list[str] = []
    with school.app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", lambda *told: seen.append(told[2]))
    time.sleep(0.8)
    assert not [one for one in seen if "config_version <>" in one]
    asked = held(tablet)
    until(lambda: bool([one for one in seen if "config_version <>" in one]))
    change(tablet)
    asked.result(10)


def test_no_change_slips_between_the_first_look_and_the_wait(
    school: Door, tablet: Tablet, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = tablet.get(CONFIG).headers["etag"]
    looked, go_on, configs = threading.Event(), threading.Event(), channel(school)._polls._process

    def slow(batch: object) -> object:
        found = configs(batch)  # type: ignore[arg-type]
        if not looked.is_set():
            looked.set()
            go_on.wait(10)
        return found

    monkeypatch.setattr(channel(school)._polls, "_process", slow)
    asked = ask(tablet, etag)
    assert looked.wait(10)
    change(tablet)  # after it has looked, before it is held
    rung_at = time.monotonic()
    go_on.set()
    assert asked.result(10).status == 200
    assert time.monotonic() - rung_at < 0.25 + 2


def all_wait(server: Door, number: int) -> None:
    until(lambda: len(channel(server).waiting.held()) == number)


@pytest.mark.parametrize("lately_s", [0, 100])
def test_all_who_are_rung_at_once_are_answered_however_small_and_slow_the_queue(
    lately_s: int, fresh_url: str, tmp_path: Path
) -> None:
    number = 200
    with door(fresh_url, tmp_path, FLEET_QUEUE_LIMIT="20") as server:
        open_school(server)
        tablets, asked = [Tablet(server) for _ in range(number)], []
        ids = take_in(server.app, tablets)
        for start in range(0, number, 10):
            few = tablets[start : start + 10]
            etags = [one.result(10).headers["etag"] for one in [ask(tablet, '"old"', wait="") for tablet in few]]
            asked += [ask(one, etag, wait="wait=50") for one, etag in zip(few, etags, strict=True)]
            all_wait(server, len(asked))
        polls = channel(server)._polls
        polls._at_most, polls._batch_s = 4, lately_s
        with server.database():
            db.session.execute(update(DeviceState).values(config_version=DeviceState.config_version + 1))
            outbox.wake(ids)
        assert Counter(one.result(30).status for one in asked) == {200: number}


def test_who_finds_no_room_to_wait_is_answered_at_once(school: Door, tablet: Tablet) -> None:
    channel(school).waiting._at_most = 0
    etag = tablet.get(CONFIG).headers["etag"]
    answer = ask(tablet, etag).result(10)
    assert (answer.status, "preference-applied" in answer.headers) == (304, False)
    assert int(answer.headers["cache-control"].rpartition("=")[2]) >= 30


# -- what rides along, and what is noted -------------------------------------------------------------------------------


def bodies_of(answer: Response) -> dict[str, str]:
    return decode(ConfigAnswer, answer.body).profiles


def test_bodies_ride_along_of_what_comes_soon_and_is_not_in_force(school: Door, tablet: Tablet) -> None:
    now = clock.now()
    soon, late = now + timedelta(hours=1), now + timedelta(hours=13)
    with school.database():
        device = device_of(tablet)
        make.assign(make.published(), Place.device(device), now=now)
        lesson = make.published("time", **{"bluetooth.allowed": False})
        make.assign(lesson, Place.device(device), starts_at=soon, ends_at=soon + timedelta(hours=1), now=now)
        evening = make.published("kveld", **{"lock_screen.message": "Kveld"})
        make.assign(evening, Place.device(device), starts_at=late, now=now)
    answer = tablet.get(CONFIG)
    base, first, *_ = [entry.profile for entry in config_of(tablet).schedule]
    inside = {name: json.loads(body) for name, body in bodies_of(answer).items()}
    assert inside == {
        base: {"camera.allowed": False},
        first: {"camera.allowed": False, "bluetooth.allowed": False},
    }
    for name, body in bodies_of(answer).items():
        assert tablet.get(f"{BASE_PATH}/profiles/{name}").body == body.encode()
    tablet.report(applied={"profile": base, "since": None})
    assert bodies_of(tablet.get(CONFIG)).keys() == {first}
    with school.database():
        make.assign(
            make.published("stor", **{"lock_screen.message": "x" * 30}), Place.device(device_of(tablet)), now=now
        )
    assert len(bodies_of(tablet.get(CONFIG))) == 2


def test_bodies_that_ride_along_have_a_limit_and_are_read_once(school: Door, tablet: Tablet) -> None:
    bodies._known.clear()
    now = clock.now()
    with school.database():
        for number in range(4):  # 14 kB each: two fit
            apps = [f"no.example.{number}.{place:04}" for place in range(600)]
            version = make.published(f"stor{number}", **{"apps.blocked": apps})
            begins, ends = (now + timedelta(minutes=10 * step) for step in (number, number + 1))
            make.assign(version, Place.device(device_of(tablet)), starts_at=begins, ends_at=ends, now=now)
    seen: list[str] = []
    with school.app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *told: seen.append(told[2]))
    answers = [bodies_of(tablet.get(CONFIG)) for _ in range(3)]
    sizes = [len(body) for body in answers[0].values()]
    assert sum(sizes) <= 32 * 1024
    assert sum(size > 10_000 for size in sizes) == 2
    assert answers[1:] == answers[:1] * 2
    assert len([one for one in seen if "effective_profile.body" in one]) == 1


def test_what_was_handed_out_is_noted_once_and_a_poll_that_finds_nothing_writes_nothing(
    server: Door, tablet: Tablet
) -> None:
    first = tablet.get(CONFIG)
    noted = state_of(tablet)
    assert noted["fetched_version"] == noted["config_version"]
    assert noted["fetched_at"] is not None
    seen: list[str] = []
    with server.app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *told: seen.append(told[2].lstrip()))
    assert tablet.get(CONFIG, **{"If-None-Match": first.headers["etag"]}).status == 304
    assert tablet.get(CONFIG).status == 200  # the same again: it had lost it
    writes = [one for one in seen if one.startswith(("UPDATE", "INSERT")) and "device_presence" not in one]
    assert writes == []
    assert state_of(tablet)["fetched_at"] == noted["fetched_at"]
    order_for(tablet)
    assert tablet.get(CONFIG).status == 200
    assert state_of(tablet)["fetched_version"] == state_of(tablet)["config_version"] > noted["fetched_version"]


def presence_of(tablet: Tablet) -> DevicePresence | None:
    with tablet.door.app.app_context(), transaction():
        found = db.session.get(DevicePresence, device_of(tablet).id)
        if found is not None:
            db.session.expunge(found)
        return found


def test_who_asked_is_noted_in_seconds_with_when_it_is_due_and_whether_it_is_at_school(
    school: Door, tablet: Tablet
) -> None:
    with school.database():
        at = device_of(tablet).school
        assert at is not None
        at.networks = ["192.0.2.0/24"]  # the test's caller is 192.0.2.7
    tablet.get(CONFIG)
    until(lambda: presence_of(tablet) is not None)
    found = presence_of(tablet)
    assert found is not None
    assert (found.waits, found.is_at_school) == (False, True)
    assert 30 <= (found.due_at - found.polled_at).total_seconds() <= 93
    asked = held(tablet)
    until(lambda: (now := presence_of(tablet)) is not None and now.waits)
    waits = presence_of(tablet)
    assert waits is not None
    assert 19 <= (waits.due_at - waits.polled_at).total_seconds() <= 25
    change(tablet)
    asked.result(10)


def test_who_asked_last_is_written_when_the_server_stops(fresh_url: str, tmp_path: Path) -> None:
    with door(fresh_url, tmp_path) as server:
        tablet = Tablet(server)
        tablet.enrol(ticket(server), "SN0001")
        tablet.get(CONFIG)
    assert presence_of(tablet) is not None
