"""Tablets that their maker's own client manages: invited, come, reachable, renewed, gone; and their commands."""

import hashlib
import secrets
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from fleet import orders
from fleet.access import Principal
from fleet.db import db, transaction
from fleet.devices import life, tickets
from fleet.devices.enrolment import Enrolled, EnrolmentError, Refused
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.mdm import clients, commands, declaring, inviting, retention
from fleet.mdm.clients import Address, Arrival, IdentityError
from fleet.mdm.commands import Wanted
from fleet.mdm.inviting import InvitationError, Issued
from fleet.mdm.models import Client, Command, CommandState, Identity
from fleet.orders import OrderKind, OrderState, Wish
from fleet.schools.models import School
from tests import factories
from tests.conftest import NOW

CLI = Principal.command_line()
HOUR = timedelta(hours=1)
ADDRESS = Address("com.apple.mgmt.External.prove", b"\1" * 32, "magic", b"sealed", waits_for_set_up=True)


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school()


@pytest.fixture
def code(school: School) -> str:
    with transaction():
        place = tickets.Place(school)
        return tickets.create(place, expires_at=NOW + timedelta(days=7), max_enrolments=3, by=CLI, now=NOW)[1]


def issued() -> Issued:
    name = secrets.token_bytes(8)
    return Issued(hashlib.sha256(name).hexdigest(), b"key" + name, NOW + timedelta(days=700))


def arrival(serial: str = "IPAD1", **changes: Any) -> Arrival:
    told = {"name": f"udid-{serial}", "model": "iPad13,18", "channel": "apple", "topic": ADDRESS.topic}
    return Arrival(serial=serial, **{**told, **changes})


def invited(code: str) -> Issued:
    """Invite somebody with a code and issue the certificate."""
    made = issued()
    with transaction():
        inviting.use(inviting.invite(code, now=NOW), made, now=NOW)
    return made


def come(code: str, serial: str = "IPAD1") -> tuple[int, Issued]:
    """Have a tablet come; returns its number and its certificate."""
    made = invited(code)
    with transaction():
        outcome = clients.arrive(made.thumbprint, arrival(serial), now=NOW)
    assert isinstance(outcome, Enrolled)
    return outcome.device_id, made


def test_a_tablet_comes_with_a_code_and_is_enrolled_as_any_other(app: Flask, code: str, school: School) -> None:
    device_id, made = come(code)
    with transaction():
        device = db.session.get_one(Device, device_id)
        assert (device.serial, device.life, device.school_id) == ("IPAD1", DeviceLife.ENROLLED, school.id)
        found = db.session.scalars(select(Enrolment)).one()
        assert (found.channel, found.key_thumbprint) == ("apple", made.thumbprint)
        client = clients.speaker(made.thumbprint, "udid-IPAD1", now=NOW)
        assert client.reachable_at is None
        assert [clients.reach(client, ADDRESS, now=NOW + number * HOUR) for number in (1, 2)] == [True, False]
    with transaction():
        client = db.session.get_one(Client, device_id)
        assert (client.push_token, client.is_set_up, client.reachable_at) == (ADDRESS.token, False, NOW + HOUR)


def test_a_code_that_is_no_good_invites_nobody(app: Flask, code: str) -> None:
    for told, now in (("AAAA-AAAA", NOW), (code, NOW + timedelta(days=8))):
        with pytest.raises(EnrolmentError), transaction():
            inviting.invite(told, now=now)


def test_an_invitation_is_used_once_and_in_time(app: Flask, code: str) -> None:
    with transaction():
        token, late = (inviting.invite(code, now=NOW) for _each in range(2))
    with transaction():
        assert inviting.is_open(token, now=NOW)
        inviting.use(token, issued(), now=NOW)
        assert not inviting.is_open(token, now=NOW)
    for told, now in ((token, NOW), (late, NOW + inviting.LIFE), ("unknown", NOW)):
        with pytest.raises(InvitationError), transaction():
            inviting.use(told, issued(), now=now)


def test_of_two_who_use_an_invitation_at_once_one_gets_a_certificate(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        place = tickets.Place(factories.school())
        code = tickets.create(place, expires_at=NOW + HOUR, max_enrolments=3, by=CLI, now=NOW)[1]
        token = inviting.invite(code, now=NOW)
    outcomes: list[str] = []

    def use() -> None:
        with own_app.app_context():
            try:
                with transaction():
                    inviting.use(token, issued(), now=NOW)
                outcomes.append("issued")
            except InvitationError:
                outcomes.append("refused")

    threads = [threading.Thread(target=use) for _each in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(outcomes) == ["issued", "refused", "refused", "refused"]


def test_who_lost_the_answer_asks_again_with_the_same_key_and_the_former_certificate_is_worth_nothing(
    app: Flask, code: str
) -> None:
    first, again, other = issued(), issued(), issued()
    again = Issued(again.thumbprint, first.public_key, again.expires_at)
    with transaction():
        token = inviting.invite(code, now=NOW)
        inviting.use(token, first, now=NOW)
    with transaction():
        assert inviting.is_open_to(token, first.public_key, now=NOW)
        assert not inviting.is_open_to(token, other.public_key, now=NOW)
        assert not inviting.is_open_to(token, first.public_key, now=NOW + inviting.LIFE)
        inviting.use(token, again, now=NOW)
    for late, now in ((other, NOW), (issued_for(first), NOW + inviting.LIFE)):
        with pytest.raises(InvitationError), transaction():
            inviting.use(token, late, now=now)
    with pytest.raises(IdentityError), transaction():
        clients.arrive(first.thumbprint, arrival(), now=NOW)
    with transaction():
        assert isinstance(clients.arrive(again.thumbprint, arrival(), now=NOW), Enrolled)
        assert not inviting.is_open_to(token, first.public_key, now=NOW)
    with pytest.raises(InvitationError), transaction():
        inviting.use(token, issued_for(first), now=NOW)


def issued_for(other: Issued) -> Issued:
    """Return another certificate for the same key."""
    return Issued(issued().thumbprint, other.public_key, other.expires_at)


def test_an_ipad_that_is_enrolled_anew_without_having_left_is_taken_over_and_that_is_shown(
    app: Flask, code: str
) -> None:
    device_id, former = come(code)
    with transaction():
        db.session.get_one(Device, device_id).state.last_seen_at = NOW
    made = invited(code)
    with transaction():  # somebody has it in his hands
        assert isinstance(clients.arrive(made.thumbprint, arrival(), now=NOW + timedelta(minutes=14)), Refused)
    later = NOW + timedelta(minutes=15)
    with transaction():
        assert isinstance(clients.arrive(made.thumbprint, arrival(), now=later), Enrolled)
        old, new = db.session.scalars(select(Enrolment).order_by(Enrolment.id))
        assert (old.key_thumbprint, old.ended_at, old.end_reason) == (former.thumbprint, later, "replaced")
        assert (new.key_thumbprint, new.ended_at) == (made.thumbprint, None)
    (line,) = factories.audited(action="enrolment.taken-over")
    assert (line.subject, line.fields["serial"]) == (f"device:{device_id}", "IPAD1")
    assert line.fields["ticket_id"] is not None
    with pytest.raises(IdentityError), transaction():
        clients.speaker(former.thumbprint, "udid-IPAD1", now=later)


def test_an_ipad_that_left_or_came_by_another_channel_is_not_taken_over(app: Flask, code: str, school: School) -> None:
    _device_id, made = come(code)
    with transaction():
        clients.leave(clients.speaker(made.thumbprint, "udid-IPAD1", leaves=True, now=NOW), now=NOW)
        factories.enrolled(school, serial="IPAD2", listed_at=NOW)
    come(code)
    come(code, "IPAD2")
    assert list(factories.audited(action="enrolment.taken-over")) == []


def test_an_invitation_for_one_serial_lets_no_other_in(app: Flask, code: str) -> None:
    made = issued()
    with transaction():
        inviting.use(inviting.invite(code, serial="IPAD1", now=NOW), made, now=NOW)
    with transaction():
        assert isinstance(clients.arrive(made.thumbprint, arrival("IPAD2"), now=NOW), Refused)
        assert db.session.scalars(select(Device)).all() == []
    line = factories.audited(1)[0]
    assert (line.action, line.subject) == ("enrolment.refused", "serial:IPAD2")
    assert line.fields["reason"] == "the invitation is another tablet's"
    with transaction():
        assert isinstance(clients.arrive(made.thumbprint, arrival(" ipad1 "), now=NOW), Enrolled)


def test_a_certificate_whose_invitation_is_forgotten_lets_nobody_in(app: Flask, code: str) -> None:
    made = invited(code)
    with transaction():
        retention.forget(older_than=timedelta(days=7), now=NOW + timedelta(days=8), at_most=10)
    with pytest.raises(IdentityError), transaction():
        clients.arrive(made.thumbprint, arrival(), now=NOW + timedelta(days=8))


def test_a_certificate_is_forgotten_when_it_has_run_out_or_nobody_came_with_it(app: Flask, code: str) -> None:
    _device_id, current = come(code)
    other_id, former = come(code, "IPAD2")
    unused = invited(code)
    with transaction():
        token = inviting.renew(db.session.get_one(Device, other_id), now=NOW + HOUR)
        renewed = issued()
        inviting.use(token, renewed, now=NOW + HOUR)
        clients.speaker(renewed.thumbprint, "udid-IPAD2", now=NOW + HOUR)

    def left(after: timedelta) -> set[str]:
        with transaction():
            retention.forget(older_than=timedelta(days=3650), now=NOW + after, at_most=10)
            return set(db.session.scalars(select(Identity.thumbprint)))

    day, everyone = timedelta(days=1), {current.thumbprint, former.thumbprint, renewed.thumbprint}
    assert left(29 * day) == everyone | {unused.thumbprint}
    assert left(31 * day) == everyone
    assert left(729 * day) == everyone
    assert left(732 * day) == {current.thumbprint, renewed.thumbprint}  # run out too, but tablets are named by them


def test_a_refusal_of_the_ticket_is_said_and_binds_the_certificate_to_nobody(app: Flask, code: str) -> None:
    with transaction():
        factories.device(factories.school("Naboskolen"), serial="IPAD1", life=DeviceLife.EXPECTED)
    made = invited(code)
    with transaction():
        outcome = clients.arrive(made.thumbprint, arrival(), now=NOW)
        assert isinstance(outcome, Refused)
        assert db.session.get_one(Identity, made.thumbprint).device_id is None
        assert db.session.scalars(select(Client)).all() == []


def foreign(made: Issued) -> Callable[[], object]:
    return lambda: clients.arrive(made.thumbprint, arrival("IPAD2"), now=NOW)


@pytest.mark.parametrize("name", ["udid-IPAD2", "nobody"])
def test_a_certificate_speaks_for_its_own_tablet_only(app: Flask, code: str, name: str) -> None:
    _first, made = come(code)
    come(code, "IPAD2")
    with pytest.raises(IdentityError), transaction():
        clients.speaker(made.thumbprint, name, now=NOW)
    with pytest.raises(IdentityError), transaction():
        foreign(made)()
    with pytest.raises(IdentityError), transaction():
        clients.speaker("0" * 64, "udid-IPAD1", now=NOW)
    with pytest.raises(IdentityError), transaction():
        clients.arrive("0" * 64, arrival(), now=NOW)


def test_the_same_certificate_may_come_again_and_begins_anew(app: Flask, code: str) -> None:
    device_id, made = come(code)
    with transaction():
        clients.reach(clients.speaker(made.thumbprint, "udid-IPAD1", now=NOW), ADDRESS, now=NOW)
        commands.queue(device_id, Wanted("inform"), now=NOW)
    with transaction():
        outcome = clients.arrive(made.thumbprint, arrival(), now=NOW)
        assert isinstance(outcome, Enrolled)
        assert (outcome.device_id, outcome.is_new) == (device_id, False)
        client = db.session.get_one(Client, device_id)
        assert (client.push_token, client.unlock_token, client.reachable_at) == (None, None, None)
        assert commands.take_next(device_id, now=NOW) is None


def test_a_renewed_certificate_takes_over_and_the_former_is_worth_nothing(app: Flask, code: str) -> None:
    device_id, former = come(code)
    renewed = issued()
    with transaction():
        token = inviting.renew(db.session.get_one(Device, device_id), now=NOW + HOUR)
        inviting.use(token, renewed, now=NOW + HOUR)
    with transaction():
        assert clients.speaker(former.thumbprint, "udid-IPAD1", now=NOW).device_id == device_id  # until then
        assert clients.speaker(renewed.thumbprint, "udid-IPAD1", now=NOW).device_id == device_id
        assert db.session.scalars(select(Enrolment)).one().key_thumbprint == renewed.thumbprint
    with pytest.raises(IdentityError), transaction():
        clients.speaker(former.thumbprint, "udid-IPAD1", now=NOW)
    assert factories.audited(1)[0].action == "enrolment.renewed"


def test_a_tablet_whose_enrolment_has_ended_is_not_heard(app: Flask, code: str) -> None:
    device_id, made = come(code)
    with transaction():
        life.step(db.session.get_one(Device, device_id), "retire", by=CLI, now=NOW)
    with pytest.raises(IdentityError), transaction():
        clients.speaker(made.thumbprint, "udid-IPAD1", now=NOW)
    with pytest.raises(IdentityError), transaction():
        clients.arrive(made.thumbprint, arrival(), now=NOW)


def test_a_client_that_leaves_is_expected_again_and_its_commands_are_dropped(app: Flask, code: str) -> None:
    device_id, made = come(code)
    with transaction():
        queued = commands.queue(device_id, Wanted("inform"), now=NOW)
        clients.leave(clients.speaker(made.thumbprint, "udid-IPAD1", now=NOW), now=NOW)
        assert db.session.get_one(Device, device_id).life is DeviceLife.EXPECTED
        db.session.refresh(queued)
        assert queued.state is CommandState.DROPPED
    assert factories.audited(1)[0].action == "enrolment.removed"
    with pytest.raises(IdentityError), transaction():
        clients.speaker(made.thumbprint, "udid-IPAD1", now=NOW)


@pytest.fixture
def device_id(app: Flask, code: str) -> int:
    return come(code)[0]


def kinds(device_id: int, *, until: int = 9) -> list[str]:
    """Take what is offered, answering nothing."""
    with transaction():
        taken = [commands.take_next(device_id, now=NOW) for _each in range(until)]
        return [one.kind for one in taken if one is not None]


def told(device_id: int, kind: str, word: str, **given: Any) -> Command | None:
    with transaction():
        uid = db.session.scalars(select(Command.uid).where(Command.kind == kind)).one()
        return commands.answer(device_id, uid, word, detail=given.get("detail"), now=NOW)


def test_urgent_commands_come_first_else_in_their_order(device_id: int) -> None:
    with transaction():
        for kind, priority in (("inform", commands.CALM), ("declare", commands.USUAL), ("lock", commands.URGENT)):
            commands.queue(device_id, Wanted(kind, priority=priority), now=NOW)
        commands.queue(device_id, Wanted("apps", priority=commands.USUAL), now=NOW)
    assert kinds(device_id) == ["lock", "declare", "apps", "inform"]


def test_not_now_holds_a_command_until_the_next_call_of_the_tablet(device_id: int) -> None:
    with transaction():
        for kind in ("inform", "declare"):
            commands.queue(device_id, Wanted(kind), now=NOW)
    assert kinds(device_id, until=1) == ["inform"]
    assert told(device_id, "inform", "not-now") is not None
    assert kinds(device_id) == ["declare"]
    with transaction():
        commands.begin_call(device_id, now=NOW)
    assert kinds(device_id) == ["inform", "declare"]  # the latter was never answered


def test_an_answer_counts_once_and_only_for_the_tablets_own_command(device_id: int, code: str) -> None:
    other_id, _made = come(code, "IPAD2")
    with transaction():
        commands.queue(device_id, Wanted("inform"), now=NOW)
    assert kinds(device_id) == ["inform"]
    assert told(other_id, "inform", "acknowledged") is None
    done = told(device_id, "inform", "error", detail="12021 ")
    assert done is not None
    assert (done.state, done.detail) == (CommandState.FAILED, "12021 ")
    assert told(device_id, "inform", "acknowledged") is None
    with transaction():
        assert commands.answer(device_id, "unknown", "acknowledged", detail=None, now=NOW) is None
        assert commands.open_of(device_id, "inform") == []


def test_a_command_that_replaces_takes_the_place_of_those_that_wait(device_id: int) -> None:
    with transaction():
        for number in range(3):
            commands.queue(device_id, Wanted("declare", {"n": number}, replaces=True), now=NOW)
    assert kinds(device_id) == ["declare"]
    with transaction():
        (sent,) = db.session.scalars(select(Command).where(Command.state == CommandState.SENT))
        assert sent.content == {"n": 2}


def test_a_command_of_an_order_that_is_over_is_not_sent(device_id: int) -> None:
    with transaction():
        device = db.session.get_one(Device, device_id)
        (one,) = orders.queue([device], Wish(OrderKind.RESTART), by=CLI, now=NOW)
        (other,) = orders.queue([device], Wish(OrderKind.LOCK_MESSAGE, text="Lever meg"), by=CLI, now=NOW)
        for order in (one, other):
            commands.queue(device_id, Wanted(order.kind.value, order_uid=order.uid), now=NOW)
        orders.withdraw(one.id, by=CLI, now=NOW)
    assert kinds(device_id) == ["lock-message"]
    with transaction():
        assert one.state is OrderState.WITHDRAWN


def test_what_is_long_over_is_forgotten_and_what_a_client_was_told_of_stays(device_id: int) -> None:
    def told_of(number: int) -> declaring.Set:
        return declaring.Set(f"{number}" * 64, "p" * 64, [{"keys": ["camera.allowed"]}], {"declaration-items": "{}"})

    with transaction():
        commands.queue(device_id, Wanted("inform"), now=NOW)
        client = db.session.get_one(Client, device_id)
        for number in (1, 2):
            declaring.keep(told_of(number), {f"file-{number}": b"profile"}, now=NOW)
            declaring.tell(client, told_of(number).token, now=NOW)
    assert kinds(device_id) == ["inform"]
    told(device_id, "inform", "acknowledged")
    month, later = timedelta(days=30), NOW + timedelta(days=31)
    with transaction():
        assert retention.forget(older_than=month, now=NOW, at_most=10) == 0
        assert retention.forget(older_than=month, now=later, at_most=10) == 4  # invitation, command, set and its file
        assert retention.forget(older_than=month, now=later, at_most=10) == 0
        assert db.session.scalars(select(Identity)).one().device_id == device_id  # the certificate still counts
        assert declaring.document("2" * 64, "declaration-items") == "{}"
        assert declaring.enclosure("file-2") == b"profile"
        assert declaring.enclosure("file-1") is None
