"""What people and places do to a silence: closed by hand, snoozed, moved, without a teacher, lost; carts and profiles."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Grant, Principal, Role
from fleet.compliance import acting, incidents, questions, silence
from fleet.compliance.models import Answer, Finding, FindingKind, IncidentCause, Question
from fleet.db import db, transaction
from fleet.devices import life
from fleet.devices.models import Device, DeviceLife
from fleet.errors import ForbiddenError
from fleet.schools.models import School, SchoolClass
from tests import factories

OSLO = ZoneInfo("Europe/Oslo")
ADMIN = Principal.command_line()
MORNING = datetime(2026, 9, 14, 8, 0, tzinfo=OSLO)
NOON, AFTERNOON = MORNING.replace(hour=12, minute=20), MORNING.replace(hour=14, minute=20)
TUESDAY, FRIDAY = MORNING + timedelta(days=1), MORNING + timedelta(days=4)


def look(now: datetime) -> silence.Done:
    with transaction():
        return silence.review(now=now, timezone=OSLO)


def standing() -> list[tuple[int, str, datetime]]:
    """Return the open findings: tablet, kind, since when."""
    query = select(Finding.device_id, Finding.kind, Finding.opened_at).where(Finding.closed_at.is_(None))
    return [(row.device_id, row.kind, row.opened_at) for row in db.session.execute(query.order_by(Finding.id))]


def teacher_of(one: SchoolClass) -> Principal:
    return Principal("account", "7", (Grant(Role.TEACHER, one.school_id),), frozenset({one.id}))


def it_at(one: School) -> Principal:
    return Principal("account", "8", (Grant(Role.SCHOOL_IT, one.id),), frozenset())


def waiting(by: Principal) -> list[int]:
    return [one.device.id for one in questions.waiting(by=by)]


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school()


@pytest.fixture
def of_class(school: School) -> SchoolClass:
    with transaction():
        return factories.school_class(school)


@pytest.fixture
def quiet(school: School, of_class: SchoolClass) -> Device:
    with transaction():
        return a_tablet(school, of_class)


def a_tablet(school: School, of_class: SchoolClass | None = None, *, heard: datetime = MORNING) -> Device:
    made = factories.device(school, class_id=of_class.id if of_class is not None else None, created_at=MORNING)
    factories.enrolment(made, at=MORNING)
    made.state.last_seen_at = heard
    return made


def close_by_hand(now: datetime) -> int:
    """Close the one open finding by hand; returns its number."""
    with transaction():
        found = db.session.scalars(select(Finding.id).where(Finding.closed_at.is_(None))).one()
        acting.close([found], "på verksted", by=ADMIN, now=now)
    return found


def test_a_silence_closed_by_hand_asks_nobody_and_never_becomes_missing(quiet: Device, of_class: SchoolClass) -> None:
    assert look(NOON).asked == 1
    close_by_hand(NOON)
    assert look(NOON + timedelta(minutes=15)).withdrawn == 1
    assert waiting(teacher_of(of_class)) == waiting(ADMIN) == []
    for days in range(1, 12):  # longer than what makes a tablet missing
        assert look(NOON + timedelta(days=days)) == silence.Done()
    assert standing() == []
    with transaction():
        quiet.state.last_seen_at = heard = FRIDAY + timedelta(days=10)  # and is heard: another silence is a new one
    assert look(heard) == silence.Done(tablets=1)
    assert look(heard + timedelta(hours=4, minutes=20)) == silence.Done(tablets=1, opened=1, asked=1)


def test_a_silence_closed_by_hand_stays_so_while_the_server_is_away_and_asks_when_reopened(
    quiet: Device, school: School
) -> None:
    look(NOON)
    found = close_by_hand(NOON)
    with transaction():
        others = [a_tablet(school, heard=TUESDAY) for _ in range(20)]
    done = look(TUESDAY.replace(hour=11))
    assert (done.incidents, done.withdrawn, done.tablets) == (1, 1, 20)
    with transaction():
        for one in others:
            one.state.last_seen_at = TUESDAY.replace(hour=12)
    assert look(TUESDAY.replace(hour=12, minute=15)).incidents_over == 1
    assert standing() == []
    with transaction():
        acting.reopen(found, by=ADMIN, now=AFTERNOON)
    assert look(TUESDAY.replace(hour=12, minute=30)) == silence.Done(tablets=1, asked=1)
    assert [one[0] for one in standing()] == [quiet.id]


def test_a_missing_tablet_closed_by_hand_is_not_called_silent(quiet: Device) -> None:
    look(NOON)
    look(oslo_friday := FRIDAY.replace(hour=13, minute=30))
    assert [kind for _, kind, _ in standing()] == [FindingKind.MISSING]
    close_by_hand(oslo_friday)
    look(oslo_friday + timedelta(minutes=15))
    assert look(oslo_friday + timedelta(days=3)) == silence.Done()
    assert standing() == []


def test_a_snoozed_silence_sleeps_on_until_it_is_more_or_over(quiet: Device) -> None:
    look(NOON)
    with transaction():
        found = db.session.scalars(select(Finding)).one()
        acting.snooze([found.id], date(2026, 9, 21), by=ADMIN, now=NOON, timezone=OSLO)
    until = found.snoozed_until
    assert until is not None
    look(TUESDAY.replace(hour=10))  # passes the question on
    assert look(TUESDAY.replace(hour=11)) == silence.Done()
    db.session.refresh(found)
    assert (found.snoozed_until, found.closed_at) == (until, None)
    look(FRIDAY.replace(hour=13, minute=30))
    missing = db.session.scalars(select(Finding).where(Finding.closed_at.is_(None))).one()
    assert (missing.kind, missing.snoozed_until) == (FindingKind.MISSING, None)  # which is news


def test_a_tablet_that_changes_class_while_asked_is_asked_about_there(
    quiet: Device, school: School, of_class: SchoolClass
) -> None:
    with transaction():
        other = factories.school_class(school, "9A")
    look(NOON)
    with transaction():
        quiet.class_id = other.id
    assert look(NOON + timedelta(minutes=15)) == silence.Done(tablets=1, asked=1, withdrawn=1)
    assert (waiting(teacher_of(of_class)), waiting(teacher_of(other))) == ([], [quiet.id])
    assert [row[2] for row in standing()] == [NOON]  # the same silence
    assert look(NOON + timedelta(minutes=15)) == silence.Done()


def test_a_tablet_of_no_class_is_the_schools_its_at_once(school: School) -> None:
    with transaction():
        alone = a_tablet(school)
    look(NOON)
    asked = db.session.scalars(select(Question)).one()
    assert (asked.class_id, asked.escalated_at, waiting(it_at(school))) == (None, NOON, [alone.id])


def test_a_class_without_a_teacher_is_passed_on_and_its_answer_counts(quiet: Device, school: School) -> None:
    look(NOON)
    assert look(NOON + timedelta(minutes=45)).escalated == 0
    assert look(AFTERNOON).escalated == 1
    by = it_at(school)
    with transaction():
        asked = questions.waiting(by=by)[0].question
        assert (asked.class_id, asked.escalated_at) == (quiet.class_id, AFTERNOON)
        questions.answer(asked.id, Answer.HERE, by=by, now=AFTERNOON, timezone=OSLO)
    assert look(FRIDAY) == silence.Done()


def test_gone_is_missing_and_only_the_right_role_makes_it_lost(
    quiet: Device, school: School, of_class: SchoolClass
) -> None:
    look(NOON)
    teacher = teacher_of(of_class)
    with transaction():
        asked = questions.waiting(by=teacher)[0].question
        questions.answer(asked.id, Answer.GONE, by=teacher, now=NOON, timezone=OSLO)
    assert [kind for _, kind, _ in standing()] == [FindingKind.MISSING]
    assert look(NOON) == silence.Done()
    with pytest.raises(ForbiddenError), transaction():
        life.step(quiet, "lost", by=teacher, now=NOON)
    with pytest.raises(ForbiddenError), transaction():
        life.step(quiet, "lost", by=Principal("account", "9", (Grant(Role.SCHOOL_IT, school.id + 1),)), now=NOON)
    db.session.refresh(quiet)
    assert quiet.life is DeviceLife.ENROLLED
    with transaction():
        life.step(quiet, "lost", by=it_at(school), now=NOON)
    assert (standing(), quiet.life) == ([], DeviceLife.LOST)
    assert look(AFTERNOON) == silence.Done()


def test_a_cart_that_is_quiet_is_one_incident_of_its_school(school: School) -> None:
    with transaction():
        cart = [a_tablet(school) for _ in range(8)]
        for number, one in enumerate(cart):
            one.cart = "Vogn 3"
            one.state.last_seen_at = MORNING - timedelta(hours=number)
        for _ in range(30):
            a_tablet(school, heard=AFTERNOON)
    assert look(MORNING.replace(hour=11)).incidents == 1
    [told] = incidents.open_incidents(by=it_at(school))
    assert (told.incident.cause, told.incident.about, told.members) == (IncidentCause.CART, {"cart": "Vogn 3"}, 8)
    assert (told.incident.most, told.incident.of, told.incident.school_id) == (8, 8, school.id)
    assert look(AFTERNOON) == silence.Done()  # nobody is asked
    with transaction():
        for one in cart:
            one.state.last_seen_at = AFTERNOON
    assert look(AFTERNOON).incidents_over == 1


def test_a_profiles_version_that_silences_tablets_of_many_classes_is_named(app: Flask) -> None:
    with transaction():
        schools = [factories.school(name) for name in ("Kjenn", "Rasta")]
        hit = []
        for at in schools:
            for title in ("1A", "1B", "1C"):
                of_class = factories.school_class(at, title)
                for number in range(8):
                    is_hit = number < 3
                    one = a_tablet(at, of_class, heard=MORNING if is_hit else AFTERNOON)
                    settings: dict[str, Any] = {"camera.allowed": is_hit}
                    digest = factories.shall_have(one, **settings)
                    hit += [(one.id, digest)] if is_hit else []
    assert look(MORNING.replace(hour=11)).incidents == 1
    [told] = incidents.open_incidents(by=ADMIN)
    assert (told.incident.cause, told.incident.school_id) == (IncidentCause.PROFILE, None)
    assert told.incident.about == {"profile_digest": hit[0][1]}
    assert {one.device_id for one in incidents.members(told.incident.id, by=ADMIN)} == {number for number, _ in hit}
    assert look(AFTERNOON) == silence.Done()
