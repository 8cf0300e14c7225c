"""The native channel with the agent's real code: the whole cycle, and several servers at once."""

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, select, text

from agent_protocol import envelopes
from agent_protocol.errors import UntrustedError
from agent_protocol.messages import BASE_PATH, ReportAnswer, Role, decode
from agent_protocol.session import Session
from agent_protocol.simulated import SimulatedDevice
from agent_protocol.store import MemoryStore
from fleet import clock, orders
from fleet.assignments.assigning import Place
from fleet.assignments.models import Schedule
from fleet.channels.native.authority import load
from fleet.db import db
from fleet.devices import life
from fleet.devices.models import Device, DeviceState, Enrolment
from fleet.orders import Order, OrderKind, OrderState, Wish
from tests import factories as make
from tests.conftest import NOW
from tests.gate import AUTHORITY, Door, Tablet, door, problem, report_body, ticket
from tests.native import BY, CONFIG, REPORTS, config_of, device_of, order_for, state_of, stored

# -- the cycle ---------------------------------------------------------------------------------------------------------


def test_a_real_agent_enrols_applies_reports_obeys_and_switches_with_the_server_away(server: Door) -> None:
    code = ticket(server)
    simulated = SimulatedDevice("SN0100")
    session = Session(AUTHORITY, MemoryStore(), simulated, dice=random.Random(1))  # noqa: S311 (repeatable)
    now = clock.now()
    session.enrol(server, now, code)
    with server.database():
        device = db.session.scalars(select(Device)).one()
        base, lesson = make.published(), make.published("time", **{"bluetooth.allowed": False})
        make.assign(base, Place.device(device), now=now)
        make.assign(lesson, Place.device(device), ends_at=now + timedelta(minutes=10), now=now)
        orders.queue([device], Wish(OrderKind.MESSAGE, "Hei"), by=BY, now=now)
    session.step(server, now)
    assert simulated.applied is not None
    assert simulated.applied[1] == {"camera.allowed": False, "bluetooth.allowed": False}
    assert simulated.messages == ["Hei"]
    with server.database():
        state = db.session.scalars(select(DeviceState)).one()
        assert state.applied_digest == state.desired_digest == simulated.applied[0]
        assert state.polls_pending == 0
        assert db.session.scalars(select(Order.state)).all() == [OrderState.DONE]
    session.switch(now + timedelta(minutes=9, seconds=59))
    assert "bluetooth.allowed" in simulated.applied[1]
    session.switch(now + timedelta(minutes=10, seconds=1))
    assert simulated.applied[1] == {"camera.allowed": False}


def test_a_poll_that_finds_nothing_new_is_304_and_a_change_or_an_order_is_not(tablet: Tablet) -> None:
    first = tablet.get(CONFIG)
    etag = first.headers["etag"]
    assert (first.status, first.headers["content-type"]) == (200, "application/vnd.dsse.envelope+json")
    again = tablet.get(CONFIG, **{"If-None-Match": etag})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    assert again.headers["cache-control"].startswith("private, max-age=")
    assert "content-length" not in again.headers
    order = order_for(tablet)
    told = tablet.get(CONFIG, **{"If-None-Match": etag})
    assert told.status == 200
    assert [one.id for one in config_of(tablet).orders] == [order]
    answer = decode(ReportAnswer, tablet.report().body)
    assert answer.config == told.headers["etag"]
    assert 30 <= answer.next_poll_s <= 5 * 93  # a fifth as often where no school has school


def test_the_configuration_names_its_tablet_its_key_and_a_version_that_only_rises(tablet: Tablet) -> None:
    seen = [config_of(tablet).version]
    with tablet.door.database():
        first = make.published()
        second = make.next_version(first, **{"camera.allowed": True})
    for version in (first, second, first):
        with tablet.door.database():
            make.assign(db.session.merge(version), Place.municipality(), now=clock.now())
        config = config_of(tablet)
        seen.append(config.version)
        assert (config.device_id, config.key_thumbprint) == (tablet.uid, tablet.keyid)
    assert seen == sorted(set(seen))


def test_what_a_configuration_cannot_hold_follows_later(tablet: Tablet) -> None:
    now = clock.now().replace(microsecond=123_456)
    moment = now + timedelta(hours=1)
    with tablet.door.database():
        device = device_of(tablet)
        for number in range(52):  # as large as they come: four bytes a sign, and a microsecond in each instant
            text = f"melding {number}".ljust(orders.MAX_TEXT, "😀")
            orders.queue([device], Wish(OrderKind.MESSAGE, text), by=BY, now=now)
        entries = [
            {"from": None if not n else (moment + n * timedelta(hours=1)).isoformat(),
             "until": None if n == 299 else (moment + (n + 1) * timedelta(hours=1)).isoformat(),
             "profile": f"{n:064x}", "length": 4_194_304}
            for n in range(300)
        ]  # fmt: skip
        db.session.add(Schedule(digest="5" * 64, entries=entries, created_at=NOW))
        device.state.schedule_digest = "5" * 64
    config = config_of(tablet)  # decode accepts it: the agent does too
    assert (len(config.orders), len(config.schedule)) == (50, 200)
    assert (config.schedule[0].from_, config.schedule[-1].until) == (None, None)
    first = config.orders[0].id
    assert tablet.post(f"{BASE_PATH}/orders/{first}/result", b'{"state": "done"}').status == 204
    later = config_of(tablet).orders
    assert (len(later), later[-1].payload["text"].rstrip("😀")) == (50, "melding 50")


def test_orders_that_have_expired_are_not_handed_out_and_hold_up_none_behind_them(tablet: Tablet) -> None:
    with tablet.door.database():
        device, now = device_of(tablet), clock.now()
        for number in range(50):
            early = now - timedelta(hours=2)
            orders.queue([device], Wish(OrderKind.MESSAGE, f"{number}"), life=timedelta(hours=1), by=BY, now=early)
        fresh = orders.queue([device], Wish(OrderKind.OPEN_URL, url="https://nrk.no/skole"), by=BY, now=now)[0].uid
    (told,) = config_of(tablet).orders
    assert (told.id, told.kind, told.payload) == (fresh, "open-url", {"url": "https://nrk.no/skole"})


def test_a_profile_is_fetched_only_by_a_tablet_whose_own_schedule_names_it(server: Door, tablet: Tablet) -> None:
    other = Tablet(server)
    other.enrol(ticket(server, name="Naboskolen"), "SN0002")
    with server.database():
        make.assign(make.published(), Place.device(device_of(tablet)), now=clock.now())
    mine, others = config_of(tablet).schedule[0], config_of(other).schedule[0]
    found = tablet.get(f"{BASE_PATH}/profiles/{mine.profile}")
    assert (found.status, found.body, len(found.body)) == (200, b'{"camera.allowed":false}', mine.length)
    assert "immutable" in found.headers["cache-control"]
    assert found.headers["etag"] == f'"{mine.profile}"'
    assert problem(other.get(f"{BASE_PATH}/profiles/{mine.profile}")) == "not-found"
    assert problem(tablet.get(f"{BASE_PATH}/profiles/{others.profile}")) == "not-found"
    for nonsense in ("x", "0" * 64, mine.profile.upper(), mine.profile + "%00", "%00"):
        assert problem(tablet.get(f"{BASE_PATH}/profiles/{nonsense}")) == "not-found"


def test_an_orders_result_is_taken_once_and_then_it_is_gone(tablet: Tablet) -> None:
    order = order_for(tablet)
    path = f"{BASE_PATH}/orders/{order}/result"
    done = tablet.post(path, b'{"state": "done", "detail": "ok"}')
    assert (done.status, done.body) == (204, b"")
    version = state_of(tablet)["config_version"]
    for state in ("done", "failed"):
        again = tablet.post(path, json.dumps({"state": state}).encode())
        assert (again.status, problem(again)) == (410, "order-closed")
    assert state_of(tablet)["config_version"] == version
    other = Tablet(tablet.door)
    other.enrol(ticket(tablet.door, name="Naboskolen"), "SN0002")
    fresh = order_for(tablet)
    assert problem(other.post(f"{BASE_PATH}/orders/{fresh}/result", b'{"state": "done"}')) == "not-found"
    for nonsense in ("x", "0" * 32, fresh.upper(), "%00", f"{fresh}%00"):
        assert problem(tablet.post(f"{BASE_PATH}/orders/{nonsense}/result", b'{"state": "done"}')) == "not-found"
    assert problem(tablet.post(f"{BASE_PATH}/orders/{fresh}/result", b'{"state": "expired"}')) == "malformed"


def test_a_report_whose_answer_was_lost_is_answered_again_and_stored_once(tablet: Tablet) -> None:
    body = report_body()
    first, again = tablet.report_body(body), tablet.report_body(body)
    assert (first.status, again.status) == (200, 200)
    assert decode(ReportAnswer, first.body).config == decode(ReportAnswer, again.body).config
    assert stored(tablet) == 1
    conflict = tablet.report_body(report_body(**(json.loads(body) | {"model": "annet"})))
    assert (conflict.status, problem(conflict)) == (422, "report-conflict")


def test_a_setting_that_is_not_for_the_channel_has_not_failed(tablet: Tablet) -> None:
    keys = ("accounts.changes_allowed", "clock.automatic", "vpn.creation_allowed", "os.minimum_ipados", "newer.key")
    told = [{"key": key, "reason": "unsupported"} for key in keys]
    assert tablet.report(failures=told).status == 200
    kept = state_of(tablet)["failures"]
    assert [one["key"] for one in kept] == ["accounts.changes_allowed", "os.minimum_ipados", "newer.key"]
    assert tablet.report(failures=told[1:3]).status == 200
    with tablet.door.database():
        assert not device_of(tablet).state.failures
        assert not device_of(tablet).state.has_findings


# -- several servers ---------------------------------------------------------------------------------------------------


@pytest.fixture
def servers(fresh_url: str, tmp_path: Path) -> Iterator[tuple[Door, Door]]:
    """Return two processes of one server: the same database, the same secrets, memories of their own."""
    with door(fresh_url, tmp_path) as one, door(fresh_url, tmp_path) as other:
        yield one, other


def test_a_key_that_is_taken_back_on_one_server_is_worth_nothing_on_another_that_knows_it(
    servers: tuple[Door, Door],
) -> None:
    here, there = servers
    tablet = Tablet(there)
    tablet.enrol(ticket(here), "SN0001")
    with here.database():
        make.assign(make.published(), Place.municipality(), now=clock.now())
    order = order_for(tablet)
    profile = config_of(tablet).schedule[0].profile
    etag = {"If-None-Match": tablet.get(CONFIG).headers["etag"]}
    signed = tablet.headers("GET", CONFIG)

    def everything() -> list[Any]:
        return [
            there.send("GET", CONFIG, signed, None),  # which the server knows to be right
            tablet.get(CONFIG, **etag),
            tablet.report(),
            tablet.get(f"{BASE_PATH}/profiles/{profile}"),
            tablet.post(f"{BASE_PATH}/orders/{order}/result", b'{"state": "failed"}'),
        ]

    assert [answer.status for answer in everything()] == [200, 304, 200, 200, 204]
    with here.database():
        life.revoke_key(device_of(tablet), by=BY, now=clock.now())
    assert [(answer.status, problem(answer)) for answer in everything()] == [(403, "revoked")] * 5
    assert stored(tablet) == 1


def test_one_request_sent_a_hundred_times_to_two_servers_is_stored_once(servers: tuple[Door, Door]) -> None:
    here, there = servers
    tablet = Tablet(here)
    tablet.enrol(ticket(here), "SN0001")
    body = report_body()
    headers = tablet.headers("POST", REPORTS, body) | {"Idempotency-Key": json.loads(body)["report_id"]}
    begin = threading.Barrier(8)

    def send(number: int) -> int:
        if number < 8:
            begin.wait(10)
        return (here if number % 2 else there).send("POST", REPORTS, headers, body).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(send, range(100)))
    assert sorted(statuses) == [200] + [409] * 99
    assert stored(tablet) == 1


def test_a_ticket_for_three_takes_in_three_of_fifty_who_try_at_once_at_two_servers(servers: tuple[Door, Door]) -> None:
    code = ticket(servers[0], number=3)

    def enrol(number: int) -> str:
        answer = Tablet(servers[number % 2]).enrol(code, f"SN{number:04}")
        return problem(answer) if answer.status != 201 else "taken in"

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(enrol, range(50)))
    assert sorted(found) == ["taken in"] * 3 + ["ticket-exhausted"] * 47
    with servers[0].database():
        assert db.session.scalar(select(func.count()).select_from(Enrolment)) == 3


def test_an_enrolment_whose_answer_was_lost_is_answered_again(servers: tuple[Door, Door]) -> None:
    here, there = servers
    code = ticket(here, number=1)
    tablet = Tablet(here)
    assert tablet.enrol(code, "SN0001").status == 201
    uid = tablet.uid
    tablet.door = there
    assert tablet.enrol(code, "SN0001").status == 200
    assert tablet.uid == uid
    assert tablet.report().status == 200


def _refuse_line(device_id: int, sequence: int) -> None:
    """Have the database refuse one line of the log."""
    line = f"device_id = {device_id} AND {{}}sequence = {sequence}"
    if db.engine.dialect.name == "sqlite":
        told = f"CREATE TRIGGER refuses BEFORE INSERT ON check_in WHEN NEW.{line.format('NEW.')} BEGIN "
        told += "SELECT RAISE(ABORT, 'refused'); END"
    else:
        told = f"ALTER TABLE check_in ADD CONSTRAINT refuses CHECK (NOT ({line.format('')}))"
    db.session.execute(text(told))


def test_a_batch_that_the_database_refuses_is_rolled_back_before_its_items_are_tried_one_by_one(
    server: Door, tablet: Tablet
) -> None:
    neighbours = [Tablet(server) for _ in range(5)]
    code = ticket(server, name="Naboskolen")
    for number, one in enumerate(neighbours):
        one.enrol(code, f"SN1{number:03}")
    with server.database():
        _refuse_line(device_of(tablet).id, 50)
    tablet.sequence = 49

    async def together() -> list[int]:
        calls = []
        for who in (*neighbours[:2], tablet, *neighbours[2:]):
            body = report_body()
            headers = who.headers("POST", REPORTS, body) | {"Idempotency-Key": json.loads(body)["report_id"]}
            pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            calls.append(server.call("POST", REPORTS, pairs, chunks=[body]))
        return [answer.status for answer in await asyncio.gather(*calls)]

    assert server.wait(together()) == [200, 200, 500, 200, 200, 200]
    assert stored(tablet) == 5
    assert state_of(tablet)["last_sequence"] < 50


# -- keys ----------------------------------------------------------------------------------------------------------------


def test_the_servers_keys_are_made_once_and_its_root_trusts_no_key_for_what_cannot_be_undone(tmp_path: Path) -> None:
    first, second = load(tmp_path, now=NOW), load(tmp_path, now=NOW)
    assert first.root == second.root
    assert first.assignment.private_numbers() == second.assignment.private_numbers()
    root = envelopes.TrustedRoot.pin(first.root, now=NOW)
    assert root.document.roles[Role.DESTRUCTIVE].keyids == []
    with pytest.raises(UntrustedError):
        envelopes.TrustedRoot.pin(msgspec.structs.replace(first.root, signatures=first.root.signatures[:1]), now=NOW)


def test_a_key_file_of_another_kind_or_open_to_others_stops_the_start(tmp_path: Path) -> None:
    load(tmp_path, now=NOW)
    path = tmp_path / "assignment-key.pem"
    path.chmod(0o644)
    with pytest.raises(PermissionError):
        load(tmp_path, now=NOW)
    path.chmod(0o600)
    path.write_bytes(_pem(ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(TypeError, match="P-256"):
        load(tmp_path, now=NOW)
    path.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(ValueError, match="root"):
        load(tmp_path, now=NOW)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
