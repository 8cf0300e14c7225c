"""The steps of silence through the database: asked, passed on, answered, missing, and incidents that end by themselves."""

from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import func, select

from fleet.access import Grant, Principal, Role
from fleet.alerts.models import AlertEvent
from fleet.app import create_app
from fleet.compliance import explaining, habits, incidents, questions, retention, silence
from fleet.compliance.models import Answer, Finding, FindingKind, Incident, IncidentCause, IncidentMember, Question
from fleet.db import db, reading, transaction
from fleet.devices.models import Device, DeviceLife, DevicePresence
from fleet.errors import ConflictError, NotFoundError
from fleet.schools import absences, after_school
from fleet.schools.after_school import Programme
from fleet.schools.models import School, SchoolClass
from tests import factories
from tests.races import together

OSLO = ZoneInfo("Europe/Oslo")
ADMIN = Principal.command_line()


def oslo(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=OSLO)


MORNING, NOON, AFTERNOON = map(oslo, ("2026-09-14 08:00", "2026-09-14 12:20", "2026-09-14 14:20"))
TUESDAY = MORNING + timedelta(days=1)


def look(now: datetime) -> silence.Done:
    with transaction():
        return silence.review(now=now, timezone=OSLO)


def say(answer: Answer, now: datetime, by: Principal = ADMIN) -> None:
    with transaction():
        asked = db.session.scalars(select(Question).order_by(Question.id.desc())).first()
        assert asked is not None
        questions.answer(asked.id, answer, by=by, now=now, timezone=OSLO)


def open_kinds() -> list[str]:
    return list(db.session.scalars(select(Finding.kind).where(Finding.closed_at.is_(None)).order_by(Finding.kind)))


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
        pupil = factories.pupil(school)
        factories.membership(pupil, of_class)
        made = factories.device(school, person=pupil, created_at=MORNING)
        factories.enrolment(made, at=MORNING)
        made.state.last_seen_at = MORNING
        return made


def teacher_of(one: SchoolClass) -> Principal:
    return Principal("account", "7", (Grant(Role.TEACHER, one.school_id),), frozenset({one.id}))


def test_a_silent_tablet_is_asked_about_in_its_class_and_passed_on(quiet: Device, of_class: SchoolClass) -> None:
    assert look(MORNING + timedelta(hours=4)) == silence.Done()
    assert look(NOON) == silence.Done(tablets=1, opened=1, asked=1)
    asked = questions.waiting(by=teacher_of(of_class))
    assert [(one.device.id, one.class_title, one.heard_at) for one in asked] == [(quiet.id, "8B", MORNING)]
    assert look(NOON) == silence.Done()
    assert look(AFTERNOON + timedelta(minutes=10)).escalated == 1
    other = Principal("account", "8", (Grant(Role.TEACHER, of_class.school_id),), frozenset({of_class.id + 1}))
    assert questions.waiting(by=other) == []


def test_gone_is_missing_at_once_and_a_word_ends_it(quiet: Device, of_class: SchoolClass) -> None:
    look(NOON)
    say(Answer.GONE, NOON, teacher_of(of_class))
    assert open_kinds() == [FindingKind.MISSING]
    assert look(AFTERNOON) == silence.Done()
    with transaction():
        quiet.state.last_seen_at = TUESDAY
    assert look(TUESDAY).closed == 1
    assert open_kinds() == []


def test_nobody_answers_for_days_and_it_is_missing(quiet: Device) -> None:
    look(NOON)
    look(oslo("2026-09-18 13:00"))
    assert open_kinds() == [FindingKind.SILENT]
    done = look(oslo("2026-09-18 13:30"))
    assert (done.opened, done.closed) == (1, 1)
    assert open_kinds() == [FindingKind.MISSING]
    say(Answer.HERE, oslo("2026-09-21 09:00"))
    assert open_kinds() == [FindingKind.SILENT]


def test_what_was_quiet_for_long_is_not_missing_before_somebody_could_answer(quiet: Device) -> None:
    first = oslo("2026-10-14 09:00")
    assert look(first) == silence.Done(tablets=1, opened=1, asked=1)
    look(first + timedelta(hours=2))
    assert open_kinds() == [FindingKind.SILENT]
    look(first + timedelta(days=1))
    assert open_kinds() == [FindingKind.MISSING]


def test_at_home_is_asked_again_on_the_next_school_day_and_said_twice_after_three_more(quiet: Device) -> None:
    look(NOON)
    say(Answer.HOME, NOON)
    assert open_kinds() == []
    assert look(TUESDAY.replace(hour=9, minute=0)) == silence.Done()
    assert look(TUESDAY.replace(hour=12)) == silence.Done(tablets=1, opened=1, asked=1)
    say(Answer.HOME, TUESDAY.replace(hour=13))
    for day in range(1, 4):
        assert look(TUESDAY + timedelta(days=day)) == silence.Done()
    assert look(oslo("2026-09-21 10:30")) == silence.Done(tablets=1, opened=1, asked=1)


def test_at_home_explains_no_quiet_after_a_word(quiet: Device, school: School) -> None:
    with transaction():
        factories.device(school, created_at=MORNING).state.last_seen_at = NOON  # IT's, and quiet all the time
    look(NOON)
    say(Answer.HOME, NOON)
    with transaction():
        quiet.state.last_seen_at = TUESDAY + timedelta(hours=1)
    assert look(TUESDAY.replace(hour=12, minute=59)).opened == 1  # the other
    assert look(TUESDAY.replace(hour=13)) == silence.Done(tablets=1, opened=1, asked=1)
    assert set(db.session.scalars(select(Question.device_id).where(Question.asked_at > NOON))) > {quiet.id}


def test_here_stays_silent_and_is_asked_again_after_three_school_days(quiet: Device) -> None:
    look(NOON)
    say(Answer.HERE, NOON)
    assert look(NOON + timedelta(days=3)) == silence.Done()
    assert look(NOON + timedelta(days=4)) == silence.Done(tablets=1, asked=1)
    assert open_kinds() == [FindingKind.SILENT]


def test_the_first_answer_holds(quiet: Device, of_class: SchoolClass) -> None:
    look(NOON)
    asked = db.session.scalars(select(Question.id)).one()
    stranger = Principal("account", "9", (Grant(Role.TEACHER, of_class.school_id),), frozenset())
    with transaction(), pytest.raises(NotFoundError):
        questions.answer(asked, Answer.GONE, by=stranger, now=NOON, timezone=OSLO)
    say(Answer.HOME, NOON)
    say(Answer.HOME, NOON)
    with transaction(), pytest.raises(ConflictError):
        questions.answer(asked, Answer.GONE, by=ADMIN, now=NOON, timezone=OSLO)


@pytest.mark.parametrize("how", ["reports", "asks", "is lost"])
def test_a_tablet_that_spoke_is_asked_about_no_more_also_before_the_job_has_noted_it(quiet: Device, how: str) -> None:
    look(NOON)
    asked = db.session.scalars(select(Question.id)).one()
    with transaction():
        if how == "reports":
            quiet.state.last_seen_at = NOON + timedelta(minutes=1)
        elif how == "asks":
            db.session.add(DevicePresence(device_id=quiet.id, polled_at=NOON, due_at=NOON, waits=False))
        else:
            quiet.life = DeviceLife.LOST
    with pytest.raises(ConflictError) as caught, transaction():
        questions.answer(asked, Answer.GONE, by=ADMIN, now=NOON + timedelta(minutes=2), timezone=OSLO)
    assert caught.value.data["reason"] == "heard"
    assert db.session.scalars(select(Question.answered_at)).one() is None


def test_a_tablet_that_is_gone_stays_missing_when_answers_are_forgotten(quiet: Device) -> None:
    look(NOON)
    say(Answer.GONE, NOON)
    later = NOON + timedelta(days=371)
    with transaction():
        assert retention.forget_questions(older_than=timedelta(days=365), now=later, at_most=10) == 0
    look(later)
    assert open_kinds() == [FindingKind.MISSING]
    with transaction():
        quiet.state.last_seen_at = later
    look(later + timedelta(minutes=15))
    with transaction():
        assert retention.forget_questions(older_than=timedelta(days=365), now=later, at_most=10) == 1


def test_a_pupil_who_is_away_has_no_silent_tablet(quiet: Device) -> None:
    assert quiet.person_id is not None
    with transaction():
        assert absences.enter([quiet.person_id], date(2026, 9, 14), date(2026, 9, 15), by=ADMIN, now=NOON) == 1
        assert absences.enter([quiet.person_id], date(2026, 9, 14), date(2026, 9, 14), by=ADMIN, now=NOON) == 0
    assert look(NOON) == silence.Done()
    assert look(oslo("2026-09-16 12:00")) == silence.Done()
    assert look(oslo("2026-09-16 12:20")).asked == 1


@pytest.mark.parametrize("life", [DeviceLife.LOST, DeviceLife.RETIRED])
def test_a_tablet_that_is_lost_or_retired_leaves_its_question(quiet: Device, life: DeviceLife) -> None:
    look(NOON)
    with transaction():
        quiet.life = life
    done = look(AFTERNOON)
    assert (done.closed, done.withdrawn) == (1, 1)
    assert look(AFTERNOON) == silence.Done()


def a_class_of(school: School, title: str, count: int = 20, *, heard: datetime = MORNING) -> list[Device]:
    made = factories.tablets(school, count, of_class=factories.school_class(school, title))
    for number, one in enumerate(made):
        one.created_at, one.state.last_seen_at = MORNING, heard + timedelta(minutes=number % 10)
    return made


def test_four_classes_behind_one_access_point_are_one_incident_that_ends(school: School) -> None:
    with transaction():
        heard = oslo("2026-09-14 09:00")
        hit = [one for title in ("1A", "1B", "1C", "1D") for one in a_class_of(school, title, heard=heard)]
        fine = [one for title in ("2A", "2B", "2C", "2D", "2E") for one in a_class_of(school, title)]
        for one in fine:
            one.state.last_seen_at = AFTERNOON
    assert look(oslo("2026-09-14 10:45")) == silence.Done()
    assert look(oslo("2026-09-14 11:15")).incidents == 1
    assert look(AFTERNOON) == silence.Done()
    told = incidents.open_incidents(by=ADMIN)
    assert [(one.incident.cause, one.members, sorted(one.classes.values())) for one in told] == [
        (IncidentCause.NETWORK, 80, ["1A", "1B", "1C", "1D"])
    ]
    assert len(incidents.members(told[0].incident.id, by=ADMIN)) == 80
    with transaction():
        for one in hit[:-2]:
            one.state.last_seen_at = AFTERNOON + timedelta(minutes=5)
    assert look(AFTERNOON + timedelta(minutes=10)).incidents_over == 1
    with transaction():
        for one in (*hit[:-2], *fine):
            one.state.last_seen_at = TUESDAY.replace(hour=11)
    assert look(TUESDAY.replace(hour=12, minute=0)).asked == 0
    assert look(TUESDAY.replace(hour=12, minute=20)).asked == 2


def test_a_server_that_was_down_is_one_incident_everywhere(app: Flask) -> None:
    with transaction():
        for name in ("Kjenn", "Rasta", "Solheim"):
            at = factories.school(name)
            for title in ("8A", "8B"):
                a_class_of(at, title)
    done = look(AFTERNOON)
    assert (done.incidents, done.asked, done.opened) == (1, 0, 0)
    assert [one.cause for one in db.session.scalars(select(Incident))] == [IncidentCause.EVERYWHERE]


def test_one_schools_incident_that_grows_to_others_is_everybodys(school: School) -> None:
    others = ("Rasta", "Solheim")
    with transaction():
        a_class_of(school, "1A")
        for name in others:
            a_class_of(factories.school(name), "1A", heard=oslo("2026-09-14 10:30"))
    assert look(oslo("2026-09-14 11:00")).incidents == 1
    at = oslo("2026-09-14 13:00")
    look(at)
    assert look(at + timedelta(minutes=15)) == silence.Done(), "who has joined stays"
    (told,) = incidents.open_incidents(by=ADMIN)
    assert (told.incident.cause, told.incident.school_id, told.members) == (IncidentCause.EVERYWHERE, None, 60)
    events = db.session.scalars(select(AlertEvent).order_by(AlertEvent.id))
    assert [(one.school_id, one.ended_at) for one in events] == [(school.id, at), (None, None)]
    with transaction():
        for one in db.session.scalars(select(Device)):
            one.state.last_seen_at = AFTERNOON
    assert look(AFTERNOON).incidents_over == 1
    assert look(AFTERNOON + timedelta(minutes=1)) == silence.Done()


def test_a_tablet_that_moves_leaves_its_incident(school: School) -> None:
    with transaction():
        moved = a_class_of(school, "1A")[0]
        away = factories.school("Rasta")
    assert look(oslo("2026-09-14 11:00")).incidents == 1
    with transaction():
        moved.school_id, moved.class_id = away.id, None
    look(oslo("2026-09-14 11:15"))
    left = db.session.scalars(select(IncidentMember.device_id).where(IncidentMember.left_at.is_not(None))).all()
    assert left == [moved.id]


def test_a_silence_is_explained(quiet: Device, school: School, of_class: SchoolClass) -> None:
    with transaction():
        for one in factories.tablets(school, 3, of_class=of_class):
            one.state.last_seen_at = NOON
        quiet.state.battery_percent = 4
    look(NOON)
    told = explaining.explain(quiet, by=ADMIN, now=NOON, timezone=OSLO)
    assert told is not None
    assert told.others is not None
    assert (told.heard_at, told.missed_s, told.battery_percent) == (MORNING, 4 * 3600 + 300, 4)
    assert (told.others.class_title, told.others.heard, told.others.of) == ("8B", 3, 3)
    assert (told.habit, told.is_absent, told.incident) == (None, False, None)


def test_absence_is_told_only_to_who_may_enter_it_for_that_pupil(
    quiet: Device, school: School, of_class: SchoolClass
) -> None:
    with transaction():
        pupil, other_class = factories.pupil(school), factories.school_class(school, "9A")
        factories.membership(pupil, other_class)
        quiet.class_id, quiet.person_id = of_class.id, pupil.id  # borrowed by a class that its pupil is not of
        absences.enter([pupil.id], date(2026, 9, 14), date(2026, 9, 14), by=ADMIN, now=NOON)
    told = {}
    for own in (of_class, other_class):
        teacher = Principal("account", "1", (Grant(Role.TEACHER, school.id),), frozenset({own.id}))
        found = explaining.explain(quiet, by=teacher, now=NOON, timezone=OSLO)
        assert found is not None
        told[own.title] = found.is_absent
    assert told == {"8B": False, "9A": True}


def test_habits_are_counted_once_a_day_and_stretch_the_patience(quiet: Device) -> None:
    with transaction():
        assert habits.count(now=NOON, timezone=OSLO) == 1
        assert habits.count(now=AFTERNOON, timezone=OSLO) == 0
        assert habits.count(now=oslo("2026-09-13 12:00"), timezone=OSLO) == 0


def test_the_after_school_programme_is_decided_once(school: School) -> None:
    wanted = [Programme(0, oslo("2026-09-14 14:30").time(), oslo("2026-09-14 16:30").time(), 4)]
    with transaction():
        assert after_school.decide(school.id, wanted, by=ADMIN, now=NOON)
        assert not after_school.decide(school.id, wanted, by=ADMIN, now=NOON)
        assert after_school.told(school.id) == wanted
    assert after_school.is_for(wanted, "4")
    assert not after_school.is_for(wanted, "5")


def test_two_servers_that_look_at_once_ask_once(fresh_url: str, tmp_path: Path) -> None:
    app = create_app(environ={"FLEET_DATABASE_URL": fresh_url, "FLEET_DATA_DIR": str(tmp_path)})
    with app.app_context(), transaction():
        at = factories.school()
        for one in factories.tablets(at, 4):
            one.created_at = MORNING
        a_class_of(at, "8B")
    done = together(app, [lambda: silence.review(now=NOON, timezone=OSLO)] * 3)
    assert sorted(one.asked for one in done if isinstance(one, silence.Done)) == [0, 0, 4]
    with app.app_context(), reading():
        assert db.session.scalar(select(func.count(Incident.id))) == 1
        assert db.session.scalar(select(func.count(Question.id))) == 4
    with app.app_context():
        db.engine.dispose()


def test_a_grade_that_is_no_number_is_no_grade() -> None:
    wanted = {after_school.Programme(0, time(13), time(16), 4)}
    for grade in (None, "", "²", "x", "9" * 5_000):
        assert not after_school.is_for(wanted, grade)
    assert after_school.is_for(wanted, "1.")


def test_what_is_long_over_is_forgotten_and_what_stands_is_not(quiet: Device, school: School) -> None:
    with transaction():
        made = [
            Incident(school_id=school.id, cause=IncidentCause.SCHOOL, about={}, began_at=MORNING, opened_at=MORNING,
                     closed_at=closed_at, most=1, of=1)
            for closed_at in (MORNING, None)
        ]  # fmt: skip
        db.session.add_all(made)
        db.session.flush()
        db.session.add_all(IncidentMember(incident_id=one.id, device_id=quiet.id, joined_at=MORNING) for one in made)
        db.session.add_all(
            Question(device_id=quiet.id, asked_at=MORNING, **ends)
            for ends in ({"withdrawn_at": MORNING}, {"answered_at": MORNING, "answer": Answer.HERE}, {})
        )
    year = timedelta(days=365)
    for now, removed in ((MORNING + timedelta(days=300), (0, 0)), (MORNING + timedelta(days=366), (1, 2))):
        with transaction():
            found = (
                retention.forget_incidents(older_than=year, now=now, at_most=10),
                retention.forget_questions(older_than=year, now=now, at_most=10),
            )
        assert found == removed
    assert db.session.scalar(select(func.count(Incident.id))) == 1
    assert db.session.scalar(select(func.count(Question.id))) == 1
