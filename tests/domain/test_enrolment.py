"""Taking tablets in: who is let in where, each refusal with its code and audit line, and races for the last place."""

import secrets
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from fleet import orders
from fleet.access import Principal
from fleet.db import db, transaction
from fleet.devices import codes, enrolment, life, queries, tickets
from fleet.devices.enrolment import Enrolled, EnrolmentRequest, Refused
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment, Platform, Ticket
from fleet.orders import OrderKind, OrderState, Wish
from fleet.schools.models import School
from tests import factories, rosters
from tests.conftest import NOW
from tests.enrolling import request

CLI = Principal.command_line()
WEEK = timedelta(days=7)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school("Kjenn skole")


def ticket(school: School, **changes: Any) -> str:
    """Make a ticket and return its code."""
    place = tickets.Place(school, changes.pop("school_class", None), changes.pop("cart", None))
    wanted: dict[str, Any] = {"expires_at": NOW + WEEK, "max_enrolments": 3} | changes
    with transaction():
        return tickets.create(place, **wanted, by=CLI, now=NOW)[1]


def enrol(asked: EnrolmentRequest, *, now: Any = NOW) -> Enrolled | Refused:
    with transaction():
        return enrolment.enrol(asked, now=now)


def taken_in(asked: EnrolmentRequest, *, now: Any = NOW) -> Enrolled:
    outcome = enrol(asked, now=now)
    assert isinstance(outcome, Enrolled), outcome
    return outcome


def refused(asked: EnrolmentRequest, *, now: Any = NOW) -> str:
    """Return the code of a refusal, after checking that nothing but its audit line was stored."""
    before = rosters.dump()
    lines = len(factories.audited(1000))
    outcome = enrol(asked, now=now)
    assert isinstance(outcome, Refused), outcome
    assert rosters.dump() == before
    assert len(factories.audited(1000)) == lines + 1
    line = factories.audited(1)[0]
    assert (line.action, line.actor_kind, line.fields["code"], line.fields["channel"]) == (
        "enrolment.refused", "device", outcome.error.code, "native",
    )  # fmt: skip
    assert asked.code not in repr((line.subject, line.fields))
    return outcome.error.code


def used(code: str) -> int:
    db.session.expire_all()
    found = tickets.find(code)
    assert found is not None
    return found.used_count


def test_an_unexpected_tablet_comes_in_where_the_ticket_says(school: School) -> None:
    with transaction():
        klass = factories.school_class(school)
    code = ticket(school, school_class=klass)
    told = taken_in(request(codes.shown(code).lower(), " ab12 ", key="k1"))
    device = db.session.get_one(Device, told.device_id)
    assert (device.serial, device.life, device.platform, device.model) == (
        "AB12", DeviceLife.ENROLLED, Platform.LINUX, "Prøvebrett 1",
    )  # fmt: skip
    assert (device.school_id, device.class_id, device.cart, device.listed_at) == (school.id, klass.id, None, None)
    assert (told.device_uid, told.next_sequence, told.is_new) == (device.uid, 1, True)
    assert (device.state.key_thumbprint, used(code)) == ("k1", 1)
    (one,) = queries.enrolments(device)
    assert (one.channel, one.public_key, one.enrolled_at, one.ended_at) == ("native", b"der", NOW, None)
    line = factories.audited(1)[0]
    assert (line.action, line.actor_id, line.fields["serial"]) == ("enrolment.taken-in", device.uid, "AB12")
    assert (line.fields["from_state"], line.fields["to_state"]) == ("expected", "enrolled")


def test_a_carts_ticket_puts_tablets_into_the_cart(school: School) -> None:
    told = taken_in(request(ticket(school, cart="Vogn 1")))
    assert db.session.get_one(Device, told.device_id).cart == "Vogn 1"


def test_an_unexpected_tablet_that_comes_again_goes_where_the_new_ticket_says(school: School) -> None:
    with transaction():
        old, new = factories.school_class(school, "8A"), factories.school_class(school, "9A")
    first = taken_in(request(ticket(school, school_class=old), "UNLISTED1"))
    second = taken_in(request(ticket(school, school_class=new), "UNLISTED1"))
    assert first.device_id == second.device_id
    assert db.session.get_one(Device, first.device_id).class_id == new.id


def test_a_ticket_of_a_class_that_has_ended_leads_to_the_school_only(school: School) -> None:
    with transaction():
        ended = factories.school_class(school, "8A")
    code = ticket(school, school_class=ended)
    with transaction():
        ended.ended_at = NOW
    device = db.session.get_one(Device, taken_in(request(code, "UNLISTED1")).device_id)
    assert (device.school_id, device.class_id) == (school.id, None)


def test_what_was_wished_of_a_tablet_before_it_was_wiped_does_not_reach_the_next_pupil(school: School) -> None:
    code = ticket(school, max_enrolments=2)
    device = db.session.get_one(Device, taken_in(request(code, "WIPED1")).device_id)
    with transaction():
        (old,) = orders.queue([device], Wish(OrderKind.MESSAGE, "Kom til kontoret"), by=CLI, now=NOW)
    taken_in(request(code, "WIPED1"), now=LATER)
    with transaction():
        (new,) = orders.queue([device], Wish(OrderKind.RING), by=CLI, now=LATER)
    assert orders.pending([device.id], now=LATER) == {device.id: [new]}
    assert (old.state, old.ended_at) == (OrderState.WITHDRAWN, LATER)


def test_a_listed_tablet_keeps_the_place_that_the_list_gave_it(school: School) -> None:
    with transaction():
        here, there = factories.school_class(school, "8A"), factories.school_class(school, "8B")
        pupil = factories.pupil(school)
        for serial, place in (("CLASS", {"class_id": here.id}), ("PUPIL", {"person": pupil}), ("CART", {"cart": "V"})):
            factories.device(school, serial=serial, life=DeviceLife.EXPECTED, listed_at=NOW, **place)
        factories.device(school, serial="BARE", life=DeviceLife.EXPECTED, listed_at=NOW, model="Fra listen")
    code = ticket(school, school_class=there, max_enrolments=9, listed_only=True)
    found = {}
    for serial in ("CLASS", "PUPIL", "CART", "BARE"):
        device = db.session.get_one(Device, taken_in(request(code, serial, model="")).device_id)
        found[serial] = (device.class_id, device.person_id, device.cart)
    assert found == {
        "CLASS": (here.id, None, None), "PUPIL": (None, pupil.id, None), "CART": (None, None, "V"),
        "BARE": (there.id, None, None),
    }  # fmt: skip
    assert device.model == "Fra listen"


def test_what_a_tablet_calls_its_model_is_one_plain_line(school: School) -> None:
    told = taken_in(request(ticket(school), model="Brett\x1b[2J\n\u202e" + "x" * 200))
    model = db.session.get_one(Device, told.device_id).model
    assert model == ("Brett[2J" + "x" * 200)[:120]


def test_a_mistyped_code_is_told_from_one_that_does_not_exist(school: School) -> None:
    code = ticket(school)
    wrong = code[:-1] + ("1" if code[-1] != "1" else "2")
    assert refused(request(wrong)) == "ticket-unknown"
    assert factories.audited(1)[0].fields["reason"] == "mistyped"
    assert refused(request("noe helt annet")) == "ticket-unknown"
    assert refused(request(codes.make())) == "ticket-unknown"
    assert factories.audited(1)[0].fields["reason"] is None


def test_an_expired_ticket(school: School) -> None:
    code = ticket(school)
    assert refused(request(code), now=NOW + WEEK) == "ticket-expired"
    assert refused(request(code), now=NOW + 2 * WEEK) == "ticket-expired"
    taken_in(request(code), now=NOW + WEEK - timedelta(seconds=1))


def test_an_exhausted_ticket(school: School) -> None:
    code = ticket(school, max_enrolments=2)
    for serial in ("A1", "A2"):
        taken_in(request(code, serial))
    assert refused(request(code, "A3")) == "ticket-exhausted"
    assert used(code) == 2


def test_a_revoked_ticket(school: School) -> None:
    code = ticket(school)
    found = tickets.find(code)
    assert found is not None
    number = found.id
    with transaction():
        tickets.revoke(number, by=CLI, now=NOW)
    assert refused(request(code)) == "ticket-revoked"
    assert factories.audited(1)[0].fields["ticket_id"] == number


def test_a_ticket_of_another_school_than_the_lists(school: School) -> None:
    with transaction():
        factories.device(factories.school("Rasta skole"), serial="AB12", life=DeviceLife.EXPECTED, listed_at=NOW)
    assert refused(request(ticket(school), "AB12")) == "ticket-foreign"


def test_a_tablet_that_no_school_owns_yet_comes_to_the_tickets(school: School) -> None:
    with transaction():
        factories.device(school, serial="AB12", life=DeviceLife.EXPECTED).school_id = None
    told = taken_in(request(ticket(school), "AB12"))
    assert db.session.get_one(Device, told.device_id).school_id == school.id


def test_a_listed_only_ticket_takes_nothing_else(school: School) -> None:
    code = ticket(school, listed_only=True)
    with transaction():
        factories.device(school, serial="SEEN", life=DeviceLife.EXPECTED)  # known, yet on no list
        factories.device(school, serial="LIST", life=DeviceLife.EXPECTED, listed_at=NOW)
    assert refused(request(code, "NEVER")) == "serial-not-listed"
    assert refused(request(code, "SEEN")) == "serial-not-listed"
    taken_in(request(code, "LIST"))


@pytest.mark.parametrize("serial", ["", "A", "A B", "../../etc", "x" * 65, "AB\x1b[2J", "<script>", "Ærlig"])
def test_what_is_no_serial_is_refused_and_not_written_to_the_audit(school: School, serial: str) -> None:
    assert refused(request(ticket(school), serial)) == "serial-not-listed"
    assert factories.audited(1)[0].subject == "serial:?"


@pytest.mark.parametrize(("step", "code"), [("lost", "device-lost"), ("retire", "device-retired")])
def test_a_lost_or_retired_tablet_cannot_enrol_and_its_showing_up_is_noted(
    school: School, step: str, code: str
) -> None:
    told = taken_in(request(ticket(school), key="k1"))
    with transaction():
        life.step(db.session.get_one(Device, told.device_id), step, by=CLI, now=NOW)
    assert refused(request(ticket(school))) == code
    assert factories.audited(1)[0].subject == "serial:AB12"
    assert refused(request(ticket(school), key="k1")) == "revoked"


def test_the_same_key_asking_again_gets_the_same_answer_and_uses_no_place(school: School) -> None:
    code = ticket(school, max_enrolments=1)
    first = taken_in(request(code, key="k1"))
    before = rosters.dump(without=set())
    again = taken_in(request(code, key="k1"))
    assert (again.device_id, again.device_uid, again.is_new) == (first.device_id, first.device_uid, False)
    late = taken_in(request(code, key="k1"), now=NOW + 9 * WEEK)  # though the ticket has ended since
    assert (late.device_id, late.is_new) == (first.device_id, False)
    assert rosters.dump(without=set()) == before


def test_a_key_is_one_tablets(school: School) -> None:
    code = ticket(school)
    taken_in(request(code, "AB12", key="k1"))
    assert refused(request(code, "CD34", key="k1")) == "serial-not-listed"
    assert factories.audited(1)[0].fields["reason"] == "the key is another tablet's"


def test_a_wiped_tablet_that_enrols_again_keeps_its_history_and_goes_on_with_its_sequence(school: School) -> None:
    code = ticket(school)
    first = taken_in(request(code, key="k1"))
    with transaction():
        state = db.session.get_one(DeviceState, first.device_id)
        state.last_sequence, state.applied_digest, state.failures = 41, "a" * 64, [{"key": "x"}]
        state.polls_pending = 7
        version = state.config_version
    second = taken_in(request(code, key="k2"), now=LATER)
    assert (second.device_id, second.device_uid, second.next_sequence, second.is_new) == (
        first.device_id, first.device_uid, 42, True,
    )  # fmt: skip
    device = db.session.get_one(Device, first.device_id)
    new, old = queries.enrolments(device)
    assert (old.key_thumbprint, old.ended_at, old.end_reason) == ("k1", LATER, "wiped")
    assert (new.key_thumbprint, new.ended_at) == ("k2", None)
    state = device.state
    assert (state.key_thumbprint, state.last_sequence) == ("k2", 41)
    assert (state.applied_digest, state.failures, state.polls_pending) == (None, None, 0)
    assert state.config_version > version
    assert used(code) == 2
    assert refused(request(code, key="k1")) == "revoked"
    assert factories.audited(1)[0].fields["reason"] == "wiped"


def test_nobody_takes_over_a_tablet_that_is_in_use(school: School) -> None:
    code = ticket(school)
    owner = taken_in(request(code, "INUSE1", key="the-owners"))
    with transaction():
        db.session.get_one(DeviceState, owner.device_id).last_seen_at = NOW
    moment = NOW + enrolment.IN_USE_FOR
    assert refused(request(code, "INUSE1"), now=moment - timedelta(seconds=1)) == "device-in-use"
    assert used(code) == 1
    assert taken_in(request(code, "INUSE1", key="the-owners"), now=NOW).device_id == owner.device_id
    assert taken_in(request(code, "INUSE1"), now=moment).device_id == owner.device_id


def test_a_tablet_in_use_whose_key_was_revoked_enrols_anew_at_once(school: School) -> None:
    code = ticket(school)
    device = db.session.get_one(Device, taken_in(request(code, "INUSE1")).device_id)
    with transaction():
        device.state.last_seen_at = NOW
    with transaction():
        life.revoke_key(device, by=CLI, now=NOW)
    assert taken_in(request(code, "INUSE1")).device_id == device.id


def test_a_found_tablet_enrols_anew_under_its_own_row(school: School) -> None:
    code = ticket(school)
    first = taken_in(request(code))
    with transaction():
        device = db.session.get_one(Device, first.device_id)
        life.step(device, "lost", by=CLI, now=NOW)
        life.step(device, "found", by=CLI, now=NOW)
    assert taken_in(request(code)).device_id == first.device_id


def test_an_enrolment_is_a_bounded_number_of_statements(school: School, statements: list[str]) -> None:
    with transaction():
        for _ in range(30):
            factories.device(school)
    code = ticket(school)
    statements.clear()
    taken_in(request(code))
    assert len(statements) <= 30, "\n".join(statements)


# -- races: threads with connections of their own ----------------------------------------------------------------------


def at_once(app: Flask, number: int, ask: Callable[[int], EnrolmentRequest]) -> list[Enrolled | Refused]:
    """Let so many threads enrol at the same moment, each with its own session."""
    ready = threading.Barrier(number)
    outcomes: list[Enrolled | Refused] = []

    def run(place: int) -> None:
        asked = ask(place)
        ready.wait(30)
        with app.app_context(), transaction():
            outcome = enrolment.enrol(asked, now=NOW)
        outcomes.append(outcome)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(outcomes) == number
    return outcomes


def prepared(app: Flask, places: int) -> str:
    with app.app_context():
        with transaction():
            school = factories.school("Kjenn skole")
            code = tickets.create(tickets.Place(school), expires_at=NOW + WEEK, max_enrolments=places, by=CLI, now=NOW)[
                1
            ]
        db.session.remove()
    return code


def counted(app: Flask) -> dict[str, int]:
    """Return what stands in the database afterwards, and let its connections go."""
    with app.app_context():
        found = {
            "devices": db.session.scalar(select(func.count()).select_from(Device)) or 0,
            "states": db.session.scalar(select(func.count()).select_from(DeviceState)) or 0,
            "open": db.session.scalar(select(func.count()).where(Enrolment.ended_at.is_(None))) or 0,
            "ended": db.session.scalar(select(func.count()).where(Enrolment.ended_at.is_not(None))) or 0,
            "used": db.session.scalar(select(Ticket.used_count)) or 0,
            "refused": len(factories.audited(500, action="enrolment.refused")),
        }
        db.session.remove()
        db.engine.dispose()
    return found


def test_fifty_at_once_on_a_photographed_ticket_and_exactly_the_allowed_number_wins(own_app: Flask) -> None:
    code = prepared(own_app, 7)
    outcomes = at_once(own_app, 50, lambda place: request(code, f"SN{place:03}"))
    lost = [outcome.error.code for outcome in outcomes if isinstance(outcome, Refused)]
    assert lost == ["ticket-exhausted"] * 43
    assert counted(own_app) == {"devices": 7, "states": 7, "open": 7, "ended": 0, "used": 7, "refused": 43}


def test_one_key_asking_many_times_at_once_is_taken_in_once(own_app: Flask) -> None:
    code = prepared(own_app, 7)
    key = secrets.token_urlsafe(32)
    outcomes = at_once(own_app, 16, lambda _: request(code, key=key))
    assert sum(isinstance(outcome, Enrolled) and outcome.is_new for outcome in outcomes) == 1
    assert len({outcome.device_uid for outcome in outcomes if isinstance(outcome, Enrolled)}) == 1
    assert counted(own_app) == {"devices": 1, "states": 1, "open": 1, "ended": 0, "used": 1, "refused": 0}


def test_one_serial_with_many_keys_at_once_is_one_tablet_with_one_open_enrolment(own_app: Flask) -> None:
    code = prepared(own_app, 16)
    outcomes = at_once(own_app, 16, lambda _: request(code))
    assert len({outcome.device_id for outcome in outcomes if isinstance(outcome, Enrolled)}) == 1
    assert counted(own_app) == {"devices": 1, "states": 1, "open": 1, "ended": 15, "used": 16, "refused": 0}
