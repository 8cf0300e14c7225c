"""Tablets that nobody listed and a ticket that asks: they may speak, and have nothing until somebody approves them."""

from datetime import timedelta

import pytest
from flask import Flask

from agent_protocol import signing
from fleet import orders
from fleet.access import Grant, Principal, Role
from fleet.assignments.assigning import Place
from fleet.assignments.models import EffectiveProfile
from fleet.db import db, transaction
from fleet.devices import approval, arrivals, bulk, codes, enrolment, life, queries, tickets
from fleet.devices.approval import Decided
from fleet.devices.enrolment import Enrolled, Refused
from fleet.devices.models import Device, DeviceLife
from fleet.errors import ConflictError, ForbiddenError, InvalidError
from fleet.lessons import members
from fleet.orders import OrderKind, Wish
from fleet.schools.models import School, SchoolClass
from tests import factories
from tests.conftest import NOW
from tests.enrolling import request

CLI = Principal.command_line()
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        made = factories.school("Kjenn skole")
        factories.assign(factories.published("grunn", **{"camera.allowed": False}), Place.municipality())
    return made


@pytest.fixture
def klass(school: School) -> SchoolClass:
    with transaction():
        return factories.school_class(school)


def ticket(school: School, klass: SchoolClass | None = None, *, asks: bool = True, listed_only: bool = False) -> str:
    with transaction():
        return tickets.create(
            tickets.Place(school, klass), expires_at=NOW + timedelta(days=7), max_enrolments=9, asks=asks,
            listed_only=listed_only, by=CLI, now=NOW,
        )[1]  # fmt: skip


def taken_in(code: str, serial: str, *, key: str | None = None) -> Device:
    with transaction():
        outcome = enrolment.enrol(request(code, serial, key=key) if key else request(code, serial), now=NOW)
    assert isinstance(outcome, Enrolled), outcome
    db.session.expire_all()
    return db.session.get_one(Device, outcome.device_id)


def settings(device: Device) -> str:
    """Return what a tablet shall have, as it is handed out."""
    db.session.expire_all()
    assert device.state.desired_digest is not None
    return db.session.get_one(EffectiveProfile, device.state.desired_digest).body


def test_a_tablet_that_nobody_listed_waits_and_has_no_layers(school: School, klass: SchoolClass) -> None:
    device = taken_in(ticket(school, klass), "NEW1", key="k1")
    assert (device.life, device.class_id, device.state.key_thumbprint) == (DeviceLife.PENDING, klass.id, "k1")
    assert settings(device) == "{}"
    assert members.tablets(klass.id, on=NOW.date()) == []
    with pytest.raises(ConflictError), transaction():
        orders.queue([device], Wish(OrderKind.RING), by=CLI, now=NOW)
    assert factories.audited(1)[0].fields["to_state"] == "pending"


@pytest.mark.parametrize("asks", [True, False])
def test_the_tablet_is_told_whether_it_waits(school: School, klass: SchoolClass, *, asks: bool) -> None:
    code = ticket(school, klass, asks=asks)
    for is_new in (True, False):
        with transaction():
            outcome = enrolment.enrol(request(code, "NEW1", key="k1"), now=NOW)
        assert isinstance(outcome, Enrolled)
        assert (outcome.is_new, outcome.awaits_approval) == (is_new, asks)


def test_it_gets_what_it_shall_have_once_it_is_approved(school: School, klass: SchoolClass) -> None:
    device = taken_in(ticket(school, klass), "NEW1")
    version = device.state.config_version
    with transaction():
        life.step(device, "approve", by=CLI, now=LATER)
    assert device.life is DeviceLife.ENROLLED
    assert settings(device) == '{"camera.allowed":false}'
    assert device.state.config_version > version
    assert [one.device_id for one in members.tablets(klass.id, on=NOW.date())] == [device.id]
    line = factories.audited(1)[0]
    assert (line.action, line.fields["from_state"], line.fields["to_state"]) == (
        "devices.approve", "pending", "enrolled",
    )  # fmt: skip
    with pytest.raises(ConflictError), transaction():
        life.step(device, "approve", by=CLI, now=LATER)


def test_one_that_is_declined_may_not_speak_nor_ask_again(school: School) -> None:
    code = ticket(school)
    device = taken_in(code, "NEW1", key="k1")
    with transaction():
        life.step(device, "decline", by=CLI, now=LATER)
    assert (device.life, device.state.key_thumbprint) == (DeviceLife.RETIRED, None)
    assert queries.enrolments(device)[0].end_reason == "declined"
    with transaction():
        outcome = enrolment.enrol(request(code, "NEW1", key="k2"), now=LATER)
    assert isinstance(outcome, Refused)
    assert outcome.error.code == "device-retired"
    with transaction():  # a slip of the finger can be put right
        life.step(device, "reinstate", by=CLI, now=LATER)
    assert taken_in(code, "NEW1", key="k3").life is DeviceLife.PENDING


def test_only_who_manages_the_schools_tablets_may_approve(school: School) -> None:
    device = taken_in(ticket(school), "NEW1")
    with transaction():
        other = factories.school("Naboskolen")
    for grant in (Grant(Role.SCHOOL_IT, other.id), Grant(Role.TEACHER, school.id)):
        with pytest.raises(ForbiddenError), transaction():
            life.step(device, "approve", by=Principal("account", "9", grants=(grant,)), now=NOW)
    assert device.life is DeviceLife.PENDING


def test_all_that_wait_are_approved_at_once(school: School) -> None:
    code = ticket(school)
    waiting = [taken_in(code, f"NEW{number}") for number in range(3)]
    with transaction():
        found = bulk.step([one.id for one in waiting], "approve", by=CLI, now=LATER)
    assert len(found.going) == 3
    assert {settings(one) for one in waiting} == {'{"camera.allowed":false}'}


def test_only_the_key_that_was_compared_is_let_in(school: School) -> None:
    code = ticket(school)
    first, other = taken_in(code, "NEW1", key="k1"), taken_in(code, "NEW2", key="k2")
    seen = {one.device.serial: one.enrolment_id for one in arrivals.waiting(by=CLI)}
    assert taken_in(code, "NEW1", key="k3").state.key_thumbprint == "k3"
    with transaction():
        assert approval.decide(list(seen.values()), "approve", by=CLI, now=LATER) == Decided(1, 1)
    assert (first.life, other.life) == (DeviceLife.PENDING, DeviceLife.ENROLLED)
    with transaction():  # those that are decided about are no longer anybody's to decide
        assert approval.decide(list(seen.values())[1:], "decline", by=CLI, now=LATER) == Decided(0, 0)
    assert other.life is DeviceLife.ENROLLED


def test_nobody_decides_about_another_schools_tablets_or_without_a_deed(school: School) -> None:
    device = taken_in(ticket(school), "NEW1")
    (seen,) = arrivals.waiting(by=CLI)
    with transaction():
        other = Principal("account", "9", grants=(Grant(Role.SCHOOL_IT, factories.school("Naboskolen").id),))
        assert approval.decide([seen.enrolment_id], "approve", by=other, now=NOW) == Decided(0, 0)
    for deed in ("", "retire"):
        with pytest.raises(InvalidError), transaction():
            approval.decide([seen.enrolment_id], deed, by=CLI, now=NOW)
    assert device.life is DeviceLife.PENDING


def test_a_listed_tablet_does_not_wait_and_a_ticket_that_takes_everybody_asks_about_nobody(school: School) -> None:
    with transaction():
        factories.device(school, serial="LISTED", life=DeviceLife.EXPECTED, listed_at=NOW)
    asking, open_to_all = ticket(school), ticket(school, asks=False)
    assert taken_in(asking, "LISTED").life is DeviceLife.ENROLLED
    assert taken_in(open_to_all, "NEW1").life is DeviceLife.ENROLLED


def test_an_approved_tablet_that_is_wiped_is_asked_about_again(school: School) -> None:
    code = ticket(school)
    device = taken_in(code, "NEW1", key="k1")
    with transaction():
        life.step(device, "approve", by=CLI, now=NOW)
    assert taken_in(code, "NEW1", key="k2").life is DeviceLife.PENDING


def test_a_serial_that_waits_and_was_heard_from_is_not_taken_over(school: School) -> None:
    code = ticket(school)
    device = taken_in(code, "NEW1", key="k1")
    with transaction():
        factories.told(device, at=NOW)
        outcome = enrolment.enrol(request(code, "NEW1", key="k2"), now=NOW)
    assert isinstance(outcome, Refused)
    assert outcome.error.code == "device-in-use"


def test_a_ticket_for_listed_tablets_only_asks_about_nobody(school: School) -> None:
    ticket(school, listed_only=True)
    assert [(one.listed_only, one.asks) for one in tickets.listed(by=CLI)] == [(True, False)]


def test_those_that_wait_count_apart(school: School) -> None:
    taken_in(ticket(school), "NEW1")
    found = queries.totals(by=CLI, now=NOW)
    assert (found.total, found.enrolled, found.pending_approval, found.pending) == (1, 0, 1, 0)
    assert queries.count(queries.Filter(life=DeviceLife.PENDING), by=CLI) == 1


def test_server_and_tablet_show_the_same_match_code() -> None:
    for keyid in ("", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "k1"):
        shown = codes.match_code(keyid)
        assert shown == signing.match_code(keyid)
        assert len(shown) == 9
    assert codes.match_code("k1") != codes.match_code("k2")
