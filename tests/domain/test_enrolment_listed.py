"""Tablets that come without a ticket, because a delivery list has them: who may, who may not, and where they stand."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from fleet.db import db, transaction
from fleet.devices import enrolment
from fleet.devices.enrolment import Enrolled, Refused
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.schools.models import School
from tests import factories
from tests.conftest import NOW
from tests.enrolling import request


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school("Kjenn skole")


def listed(school: School, **columns: Any) -> Device:
    with transaction():
        told = {"serial": "AB1", "life": DeviceLife.EXPECTED, "listed_at": NOW, **columns}
        return factories.device(school, **told)


def enrol(serial: str = "AB1", *, key: str | None = None) -> Enrolled | Refused:
    with transaction():
        return enrolment.enrol(replace(request("", serial, key=key), by_listing=True), now=NOW)


def test_a_listed_tablet_comes_without_a_ticket_and_the_audit_says_so(school: School) -> None:
    with transaction():
        klass = factories.school_class(school)
    device = listed(school, class_id=klass.id)
    outcome = enrol(" ab1 ")
    assert isinstance(outcome, Enrolled)
    db.session.expire_all()
    assert (device.life, device.class_id, device.school_id) == (DeviceLife.ENROLLED, klass.id, school.id)
    assert db.session.query(Enrolment).one().ticket_id is None
    line = factories.audited(1)[0]
    assert (line.action, line.fields["reason"], "ticket_id" in line.fields) == (
        "enrolment.taken-in",
        "delivery-list",
        False,
    )


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"listed_at": None}, "serial-not-listed"),
        ({"serial": "OTHER"}, "serial-not-listed"),
        ({"life": DeviceLife.LOST}, "device-lost"),
        ({"life": DeviceLife.RETIRED}, "device-retired"),
    ],
)
def test_others_are_refused_each_with_its_reason(school: School, columns: dict[str, Any], code: str) -> None:
    listed(school, **columns)
    outcome = enrol()
    assert isinstance(outcome, Refused)
    assert outcome.error.code == code == factories.audited(1)[0].fields["code"]
    with transaction():
        again = enrolment.may_come("AB1", channel="apple", now=NOW)
    assert isinstance(again, Refused)
    assert again.error.code == code


def test_a_school_that_has_ended_is_no_place_to_come_to(school: School) -> None:
    listed(school)
    with transaction():
        db.session.merge(school).ended_at = NOW - timedelta(days=1)
    outcome = enrol()
    assert isinstance(outcome, Refused)
    assert outcome.error.data["reason"] == "no-school"


def test_a_key_that_came_in_by_a_list_is_known_when_it_asks_again(school: School) -> None:
    listed(school)
    first, second = enrol(key="k" * 43), enrol(key="k" * 43)
    assert isinstance(first, Enrolled)
    assert isinstance(second, Enrolled)
    assert (first.is_new, second.is_new, second.device_id) == (True, False, first.device_id)
