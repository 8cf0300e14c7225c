"""The same for many tablets: what is previewed is what is done, and it can be put back."""

from datetime import timedelta

import pytest
from flask import Flask

from fleet import orders
from fleet.access import Grant, Principal, Role
from fleet.db import db, transaction
from fleet.devices import bulk, queries
from fleet.devices.bulk import LeftOut, Target
from fleet.devices.models import Device, DeviceLife
from fleet.errors import ForbiddenError, InvalidError, NotFoundError
from fleet.orders import Order, OrderKind, OrderState, Wish
from fleet.orders import preview as previews
from fleet.schools.models import School
from tests import factories
from tests.conftest import NOW

CLI = Principal.command_line()
REASON = "Nettbrettet er solgt videre"


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school("Kjenn skole")


def it_of(school: School) -> Principal:
    return Principal("account", "7", grants=(Grant(Role.SCHOOL_IT, school.id),))


def test_step_is_taken_where_it_can_be_and_says_why_not_elsewhere(school: School) -> None:
    with transaction():
        other = factories.school("Rasta skole")
        going = [factories.enrolled(school), factories.device(school, life=DeviceLife.EXPECTED)]
        gone, far = factories.device(school, life=DeviceLife.RETIRED), factories.enrolled(other)
        ids = [one.id for one in (*going, gone, far)]
        told = bulk.sort_step(bulk.chosen(ids, by=CLI), "lost", by=it_of(school))
        done = bulk.step(ids, "lost", by=it_of(school), now=NOW)
    for found in (told, done):
        assert {one.id for one in found.going} == {one.id for one in going}
        assert found.left_out == {LeftOut.STATE: [gone], LeftOut.FORBIDDEN: [far]}
    assert {one.life for one in going} == {DeviceLife.LOST}
    assert [one.end_reason for one in queries.enrolments(going[0])] == ["lost"]
    assert queries.enrolments(far)[0].ended_at is None
    assert [line.action for line in factories.audited(2)] == ["devices.lost"] * 2


def test_step_for_many_takes_as_many_statements_as_for_few(school: School, statements: list[str]) -> None:
    counts = []
    for number in (3, 60):
        with transaction():
            ids = [one.id for one in factories.in_use(school, number)]
        with transaction():
            statements.clear()
            bulk.step(ids, "retire", by=CLI, now=NOW)
        counts.append(len([one for one in statements if "INTO audit_entry" not in one]))  # SQLite adds each by itself
    assert counts[0] == counts[1]


def test_moved_tablets_can_be_put_back_to_pupil_class_and_cart(school: School) -> None:
    with transaction():
        pupil, own = factories.pupil(school), factories.school_class(school, "8A")
        other = factories.school("Rasta skole")
        target = factories.school_class(other, "5C")
        of_pupil, of_class = factories.enrolled(school, person=pupil), factories.enrolled(school, class_id=own.id)
        of_cart, there = factories.enrolled(school, cart="Vogn 1"), factories.enrolled(other, class_id=target.id)
        ids = [one.id for one in (of_pupil, of_class, of_cart, there)]
    with transaction():
        found, moved = bulk.move(ids, Target(other, target), by=CLI, now=NOW)
    assert found.left_out == {LeftOut.SAME: [there]}
    assert {(one.school_id, one.class_id, one.person_id, one.cart) for one in (of_pupil, of_class, of_cart)} == {
        (other.id, target.id, None, None)
    }
    with transaction():
        own.ended_at = NOW  # the class is no more: that tablet stays
        assert bulk.put_back(moved, by=CLI, now=NOW) == 2
    assert (of_pupil.person_id, of_pupil.school_id, of_cart.cart) == (pupil.id, school.id, "Vogn 1")
    assert of_class.class_id == target.id


def test_only_tablets_that_stand_where_the_move_left_them_are_put_back(school: School) -> None:
    with transaction():
        other, third = factories.school("Rasta skole"), factories.school("Tredje skole")
        moved_on, given_out, stays = factories.in_use(school, 3)
        homeless = factories.enrolled(school)
        homeless.school_id = None
        pupil = factories.pupil(other)
    ids = [one.id for one in (moved_on, given_out, stays, homeless)]
    with transaction():
        _found, moved = bulk.move(ids, Target(other), by=CLI, now=NOW)
    with transaction():
        bulk.move([moved_on.id], Target(third), by=CLI, now=NOW)
        given_out.person_id = pupil.id
    with transaction():
        assert bulk.put_back(moved, by=CLI, now=NOW) == 2
    assert [one.school_id for one in (moved_on, given_out, stays, homeless)] == [third.id, other.id, school.id, None]
    assert given_out.person_id == pupil.id
    with transaction():
        assert bulk.put_back(moved, by=CLI, now=NOW) == 0


def test_nobody_moves_tablets_to_or_from_a_school_that_is_not_theirs(school: School) -> None:
    with transaction():
        other = factories.school("Rasta skole")
        near, far = factories.enrolled(school), factories.enrolled(other)
    with pytest.raises(ForbiddenError), transaction():
        bulk.move([near.id], Target(other), by=it_of(school), now=NOW)
    with transaction():
        found, moved = bulk.move([far.id], Target(school), by=it_of(school), now=NOW)
        assert found.left_out == {LeftOut.FORBIDDEN: [far]}
        assert moved.before == {}
    with transaction():
        _found, moved = bulk.move([near.id], Target(school, cart="Vogn 2"), by=CLI, now=NOW)
        assert bulk.put_back(moved, by=it_of(other), now=NOW) == 0
    assert near.cart == "Vogn 2"


def test_class_of_another_school_is_no_place_to_move_to(school: School) -> None:
    with transaction():
        other = factories.school("Rasta skole")
        far, device = factories.school_class(other, "5C"), factories.enrolled(school)
    with pytest.raises(InvalidError), transaction():
        bulk.move([device.id], Target(school, far), by=CLI, now=NOW)


# -- orders ------------------------------------------------------------------------------------------------------------


def mixed(school: School) -> dict[str, Device]:
    """Make tablets that can and cannot be ordered, each for its own reason."""
    other = factories.school("Rasta skole")
    return {
        "apple": factories.enrolled(school, channel="apple"),
        "native": factories.enrolled(school, channel="native"),
        "expected": factories.device(school, life=DeviceLife.EXPECTED),
        "far": factories.enrolled(other, channel="apple"),
    }


def test_preview_of_an_order_and_what_is_queued_are_the_same_tablets(school: School) -> None:
    with transaction():
        made = mixed(school)
        devices = bulk.chosen([one.id for one in made.values()], by=CLI)
        told = previews.preview(devices, OrderKind.WIPE, by=it_of(school))
        wish = Wish(OrderKind.WIPE, reason=REASON)
        done, fresh, _word = previews.queue(devices, wish, by=it_of(school), now=NOW)
    for found in (told.tablets, done.tablets):
        assert found.going == [made["apple"]]
        left = {reason: list(ones) for reason, ones in found.left_out.items()}
        assert left == {
            LeftOut.NOT_CARRIED: [made["native"]],
            LeftOut.STATE: [made["expected"]],
            LeftOut.FORBIDDEN: [made["far"]],
        }
    assert told.asks
    assert [(one.device_id, one.state) for one in fresh] == [(made["apple"].id, OrderState.ASKED)]


def test_orders_that_were_queued_together_are_taken_back_together(school: School) -> None:
    with transaction():
        devices = factories.in_use(school, 3)
        _preview, fresh, word = previews.queue(devices, Wish(OrderKind.RING), by=CLI, now=NOW)
        orders.finish(fresh[0].uid, device_id=fresh[0].device_id, state=OrderState.DONE, detail="", now=NOW)
    with pytest.raises(NotFoundError), transaction():
        previews.withdraw(word, by=it_of(school), now=NOW)  # somebody else's
    with transaction():
        assert previews.withdraw(word, by=CLI, now=NOW + timedelta(minutes=1)).number == 2
    states = [one.state for one in db.session.query(Order).order_by(Order.id)]
    assert states == [OrderState.DONE, OrderState.WITHDRAWN, OrderState.WITHDRAWN]


def test_gentle_order_for_many_takes_as_many_statements_as_for_few(school: School, statements: list[str]) -> None:
    counts = []
    for number in (3, 60):
        with transaction():
            ids = [one.id for one in factories.in_use(school, number)]
        with transaction():
            devices = bulk.chosen(ids, by=CLI)
            statements.clear()
            previews.queue(devices, Wish(OrderKind.REPORT_NOW), by=CLI, now=NOW)
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_so_many_tablets_are_not_wiped_at_once(school: School) -> None:
    with transaction():
        devices = factories.in_use(school, previews.MOST_PRIVILEGED + 1, channel="apple")
    with pytest.raises(InvalidError) as refused:
        previews.preview(devices, OrderKind.WIPE, by=CLI)
    assert refused.value.data["most"] == previews.MOST_PRIVILEGED


def test_nothing_is_queued_where_no_tablet_can_have_it(school: School) -> None:
    with transaction():
        device = factories.device(school, life=DeviceLife.EXPECTED)
        found, fresh, _word = previews.queue([device], Wish(OrderKind.RING), by=CLI, now=NOW)
    assert (found.tablets.left_count, fresh) == (1, [])
