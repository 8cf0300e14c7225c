"""A tablet's life: which steps lead where, who may take them, and that a key is worth nothing afterwards."""

from itertools import product

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.db import db, transaction
from fleet.devices import life, queries
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.errors import ConflictError, ForbiddenError, InvalidError
from fleet.schools.models import School
from tests import factories, rosters
from tests.conftest import NOW

CLI = Principal.command_line()
LEADS_TO = {
    ("lost", DeviceLife.EXPECTED): DeviceLife.LOST,
    ("lost", DeviceLife.ENROLLED): DeviceLife.LOST,
    ("found", DeviceLife.LOST): DeviceLife.EXPECTED,
    ("retire", DeviceLife.EXPECTED): DeviceLife.RETIRED,
    ("retire", DeviceLife.ENROLLED): DeviceLife.RETIRED,
    ("retire", DeviceLife.LOST): DeviceLife.RETIRED,
    ("reinstate", DeviceLife.RETIRED): DeviceLife.EXPECTED,
}


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school("Kjenn skole")


def tablet(school: School, state: DeviceLife) -> Device:
    with transaction():
        made = factories.device(school, serial="AB12", life=state)
        if state is DeviceLife.ENROLLED:
            made.state.key_thumbprint = "k1"
            db.session.add(Enrolment(device_id=made.id, channel="native", key_thumbprint="k1", enrolled_at=NOW))
    return made


@pytest.mark.parametrize(("step", "state"), list(product(("lost", "found", "retire", "reinstate"), DeviceLife)))
def test_each_step_leads_where_it_should_or_is_refused(school: School, step: str, state: DeviceLife) -> None:
    device = tablet(school, state)
    before = rosters.dump(without=set())
    expected = LEADS_TO.get((step, state))
    if expected is None:
        with pytest.raises(ConflictError) as refused, transaction():
            life.step(device, step, by=CLI, now=NOW)
        assert refused.value.data == {"kind": "tablet", "serial": "AB12", "state": state.value, "step": step}
        assert rosters.dump(without=set()) == before
        return
    with transaction():
        life.step(device, step, by=CLI, now=NOW)
    assert device.life is expected
    assert device.state.key_thumbprint is None
    line = factories.audited(1)[0]
    assert (line.action, line.fields) == (
        f"devices.{step}", {"serial": "AB12", "from_state": state.value, "to_state": expected.value},
    )  # fmt: skip


@pytest.mark.parametrize(("step", "reason"), [("lost", "lost"), ("retire", "retired")])
def test_a_lost_or_retired_tablets_enrolment_ends(school: School, step: str, reason: str) -> None:
    device = tablet(school, DeviceLife.ENROLLED)
    with transaction():
        life.step(device, step, by=CLI, now=NOW)
    (one,) = queries.enrolments(device)
    assert (one.ended_at, one.end_reason) == (NOW, reason)


def test_a_revoked_key_makes_a_tablet_expected_again(school: School) -> None:
    device = tablet(school, DeviceLife.ENROLLED)
    with transaction():
        life.revoke_key(device, by=CLI, now=NOW)
    (one,) = queries.enrolments(device)
    assert (device.life, device.state.key_thumbprint, one.end_reason) == (DeviceLife.EXPECTED, None, "revoked")
    with pytest.raises(ConflictError), transaction():
        life.revoke_key(device, by=CLI, now=NOW)


def test_a_tablet_moves_to_a_class_a_pupil_or_a_cart_and_leaves_the_old_place(school: School) -> None:
    device = tablet(school, DeviceLife.ENROLLED)
    with transaction():
        other = factories.school("Rasta skole")
        klass, pupil = factories.school_class(other), factories.pupil(other)
        life.move(device, school=other, school_class=klass, person=pupil, by=CLI, now=NOW)
    assert (device.school_id, device.class_id, device.person_id, device.cart) == (other.id, klass.id, pupil.id, None)
    line = factories.audited(1)[0]
    assert (line.action, line.fields) == (
        "devices.moved", {
            "serial": "AB12", "school_id": other.id, "class_id": klass.id, "cart": None,
            "from_school_id": school.id, "from_class_id": None, "from_cart": None,
        },
    )  # fmt: skip
    with transaction():
        life.move(device, school=other, cart=" Vogn 1 ", by=CLI, now=NOW)
    assert (device.class_id, device.person_id, device.cart) == (None, None, "Vogn 1")


def test_a_move_that_makes_no_sense_is_refused(school: School) -> None:
    device = tablet(school, DeviceLife.ENROLLED)
    with transaction():
        other = factories.school("Rasta skole")
        klass, pupil = factories.school_class(other), factories.pupil(other)
        for changes in ({"school_class": klass}, {"person": pupil}, {"cart": "x" * 65}, {"cart": "a\x1bb"}):
            with pytest.raises(InvalidError):
                life.move(device, school=school, by=CLI, now=NOW, **changes)
        life.step(device, "retire", by=CLI, now=NOW)
        with pytest.raises(ConflictError):
            life.move(device, school=school, by=CLI, now=NOW)
    assert device.school_id == school.id


def test_school_it_manages_its_own_schools_tablets_and_a_teacher_none(school: School) -> None:
    device = tablet(school, DeviceLife.ENROLLED)
    with transaction():
        other = factories.school("Rasta skole")
    it = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, school.id),))
    foreign = Principal("account", "2", grants=(Grant(Role.SCHOOL_IT, other.id),))
    teacher = Principal("account", "3", grants=(Grant(Role.TEACHER, school.id),))
    for by in (foreign, teacher):
        with pytest.raises(ForbiddenError):
            life.step(device, "lost", by=by, now=NOW)
        with pytest.raises(ForbiddenError):
            life.revoke_key(device, by=by, now=NOW)
    for by in (foreign, teacher, it):  # a move concerns both schools
        with pytest.raises(ForbiddenError):
            life.move(device, school=other, by=by, now=NOW)
    with transaction():
        life.move(device, school=school, cart="Vogn 1", by=it, now=NOW)
        life.step(device, "lost", by=it, now=NOW)
    assert device.life is DeviceLife.LOST
