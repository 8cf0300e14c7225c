"""Silence on the pages: questions with one tap and taken back, missing tablets, incidents, who is away."""

import io
import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from fleet import clock
from fleet.compliance.models import Answer, Finding, FindingKind, Incident, IncidentMember, Question
from fleet.db import db, reading, transaction
from fleet.devices.models import Device
from fleet.schools.models import Absence, Municipality, Person
from tests import factories, visiting
from tests.doors.routes_silence import incident
from tests.doors.test_web_pages import MOST_STATEMENTS, words
from tests.visiting import Visitor, World, visit


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


def ask(app: Flask, world: World, *, escalated: bool = False) -> int:
    """Have a tablet of 8B silent since the day before, and ask where it is; returns the question."""
    now = clock.now()
    with app.app_context(), transaction():
        school, own = db.session.merge(world.school), db.session.merge(world.own_class)
        device = factories.device(school, class_id=own.id, serial="SILENT1", asset_tag="KS-7")
        factories.told(device, at=now - timedelta(days=1))
        since = (now - timedelta(days=1)).isoformat()
        visiting.finding(device, FindingKind.SILENT, since=since, missed_s=15_000)
        asked = Question(
            device_id=device.id, class_id=own.id, asked_at=now - timedelta(hours=3),
            escalated_at=now - timedelta(hours=1) if escalated else None,
        )  # fmt: skip
        db.session.add(asked)
        db.session.flush()
        return asked.id


def answered(app: Flask, question_id: int) -> Answer | None:
    with app.app_context(), reading():
        return db.session.get_one(Question, question_id).answer


def kinds(app: Flask) -> list[str]:
    with app.app_context(), reading():
        silent = select(Finding.kind).join(Finding.device).where(Device.serial == "SILENT1")
        return list(db.session.scalars(silent.where(Finding.closed_at.is_(None))))


@pytest.mark.parametrize("page", ["/", "/lessons", "/classes/{w.own_class.id}", "/silence"])
def test_a_teacher_answers_with_one_tap_wherever_one_is(app: Flask, world: World, page: str) -> None:
    question_id, teacher = ask(app, world), visit(app, "teacher")
    page = page.format(w=world)
    shown = teacher.get(page).text
    assert shown.count('name="answer"') == 3
    for told in ("Hvor er dette nettbrettet?", "KS-7", "Her på skolen", "Hjemme", "Borte"):
        assert told in words(shown)
    answer = teacher.post(f"/questions/{question_id}/answer", page=page, answer="home", back=page)
    assert (answer.status_code, answer.location) == (303, page)
    assert answered(app, question_id) is Answer.HOME
    assert 'name="answer"' not in teacher.get(page).text


def test_an_answer_is_taken_back_and_the_question_waits_again(app: Flask, world: World) -> None:
    question_id, teacher = ask(app, world), visit(app, "teacher")
    teacher.post(f"/questions/{question_id}/answer", page="/", answer="gone", back="/")
    assert kinds(app) == [FindingKind.MISSING]
    found = re.search(r'action="(/questions/\d+/take-back[^"]*)"', teacher.get("/").text)
    assert found is not None
    back = teacher.post(found[1].replace("&amp;", "&"), page="/")
    assert (back.status_code, back.location) == (303, "/")
    assert answered(app, question_id) is None
    assert kinds(app) == [FindingKind.SILENT]
    assert 'name="answer"' in teacher.get("/").text
    teacher.post(found[1].replace("&amp;", "&"), page="/")
    assert "Det er for sent å angre dette" in teacher.get("/").text


def test_the_first_answer_holds_and_the_second_is_told_so(app: Flask, world: World) -> None:
    question_id, teacher, it = ask(app, world), visit(app, "teacher"), visit(app, "it")
    token = it.token("/")
    teacher.post(f"/questions/{question_id}/answer", page="/", answer="here", back="/")
    it.post(f"/questions/{question_id}/answer", token=token, answer="gone", back="/silence")
    assert answered(app, question_id) is Answer.HERE
    assert "Noen andre har allerede svart" in it.get("/silence").text
    assert it.post(f"/questions/{question_id}/take-back", token=token).status_code == 303
    assert answered(app, question_id) is Answer.HERE  # it was somebody else's


@pytest.mark.parametrize("who", ["next-teacher", "other-it", "nobody"])
def test_nobody_sees_or_answers_a_question_about_others_tablets(app: Flask, world: World, who: str) -> None:
    question_id, visitor = ask(app, world), visit(app, who)
    for page in ("/", "/silence"):
        assert "KS-7" not in visitor.get(page).text
    assert visitor.post(f"/questions/{question_id}/answer", page="/", answer="gone").status_code == 404
    assert visitor.post(f"/questions/{question_id}/take-back", page="/").status_code == 404
    assert answered(app, question_id) is None


def test_an_answer_leads_back_to_our_own_pages_only(app: Flask, world: World) -> None:
    question_id, teacher = ask(app, world), visit(app, "teacher")
    answer = teacher.post(f"/questions/{question_id}/answer", page="/", answer="here", back="https://example.org/x")
    assert answer.location == "/"
    assert teacher.post(f"/questions/{question_id}/answer", page="/", answer="nonsense").status_code == 400


def test_a_tablets_page_tells_its_silence_in_words(app: Flask, world: World) -> None:
    question_id, teacher = ask(app, world), visit(app, "teacher")
    first = words(teacher.get("/tablets/SILENT1").text)
    assert "4 skoletimer uten et ord da det ble funnet." in first
    page = "/tablets/SILENT1/silence"
    shown = teacher.get(page).text
    for told in ("Sist hørt fra", "har meldt seg i dag", "Klassens lærere ble spurt om hvor det er", "Taust"):
        assert told in words(shown)
    assert shown.count('name="answer"') == 3
    answer = teacher.post(f"/questions/{question_id}/answer", page=page, answer="here", back=page)
    assert answer.location == page
    assert "Her på skolen." in words(teacher.get(page).text)
    assert "Ikke stille" in words(teacher.get("/tablets/OWN1/silence").text)


def test_it_sees_on_today_what_nobody_has_answered(app: Flask, world: World) -> None:
    ask(app, world, escalated=True)
    it = visit(app, "it")
    assert "1 spørsmål ingen har svart på" in words(it.get("/").text)
    assert "klassen har ikke svart" in words(it.get("/silence").text)


def test_a_missing_tablet_is_one_click_from_being_reported_lost(app: Flask, world: World) -> None:
    question_id, it = ask(app, world), visit(app, "it")
    it.post(f"/questions/{question_id}/answer", page="/", answer="gone", back="/")
    assert "1 savnet nettbrett" in words(it.get("/").text)
    shown = it.get("/silence").text
    assert "Læreren sier at det er borte." in words(shown)
    found = re.search(r'href="(/tablet-actions/lost[^"]+)"', shown)
    assert found is not None
    assert "SILENT1" in it.get(found[1].replace("&amp;", "&")).text
    assert "/tablet-actions/lost" not in visit(app, "teacher").get("/silence").text


def happen(app: Flask, world: World, *, is_over: bool = False) -> int:
    """Have an incident with two tablets of 8B; returns its number."""
    now = clock.now()
    with app.app_context(), transaction():
        inside = World(**{name: db.session.merge(row) for name, row in vars(world).items()})
        over = {"closed_at": now - timedelta(hours=1)} if is_over else {}
        found = incident(inside, began_at=now - timedelta(hours=4), **over)
        for serial in ("QUIET1", "QUIET2"):
            device = factories.device(inside.school, class_id=inside.own_class.id, serial=serial)
            factories.told(device, at=found.began_at)
            db.session.add(
                IncidentMember(
                    incident_id=found.id, device_id=device.id, joined_at=found.opened_at, left_at=found.closed_at
                )
            )
        db.session.flush()
        return found.id


def test_an_incident_is_a_card_on_today_with_its_likely_cause(app: Flask, world: World) -> None:
    number, admin = happen(app, world), visit(app, "admin")
    shown = words(admin.get("/").text)
    for told in (
        "1 hendelse",
        "2 klasser på Prøveskolen",
        "43 nettbrett",
        "trolig et tilgangspunkt eller en switch",
    ):
        assert told in shown
    page = words(admin.get(f"/incidents/{number}").text)
    for told in (
        "Klassene 8B og 9A på Prøveskolen",
        "Pågår",
        "2 nettbrett er fortsatt stille",
        "QUIET1",
        "QUIET2",
        "43 av 210 nettbrett",
    ):
        assert told in page
    assert f"/incidents/{number}" in admin.get("/incidents").text


def test_an_incident_that_is_over_stands_among_the_earlier_ones(app: Flask, world: World) -> None:
    number, it = happen(app, world, is_over=True), visit(app, "it")
    assert "Ingen hendelse nå." in words(it.get("/silence").text)
    assert f'id="past-{number}"' in it.get("/incidents").text
    assert "Hørt fra igjen" in words(it.get(f"/incidents/{number}").text)


@pytest.mark.parametrize("who", ["other-it", "teacher", "nobody"])
def test_an_incident_of_others_does_not_exist(app: Flask, world: World, who: str) -> None:
    number, visitor = happen(app, world), visit(app, who)
    assert visitor.get(f"/incidents/{number}").status_code == 404
    assert f"/incidents/{number}" not in visitor.get("/incidents").text


@pytest.fixture
def teacher(app: Flask, world: World) -> Visitor:
    return visit(app, "teacher")


def pupil_id(world: World) -> str:
    return str(world.tablet.person_id)


def test_a_teacher_notes_who_is_away_and_that_somebody_is_here(app: Flask, world: World, teacher: Visitor) -> None:
    page, on = f"/classes/{world.own_class.id}/absence", clock.now().date()
    last = (on + timedelta(days=2)).isoformat()
    sent = teacher.post(page, page=page, pupil=[pupil_id(world)], first=on.isoformat(), last=last)
    assert sent.status_code == 303
    assert "1 borte i dag" in words(teacher.get(f"/classes/{world.own_class.id}").text)
    found = re.search(r'action="(/absences/\d+/remove[^"]*)"', teacher.get(page).text)
    assert found is not None
    assert teacher.post(found[1].replace("&amp;", "&"), page=page).location == page
    with app.app_context(), reading():
        assert db.session.scalars(select(Absence)).all() == []


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        ({"first": "2026-10-05"}, "Velg minst én elev."),
        ({"pupil": "own", "first": "i dag"}, "Skriv datoer som 2026-10-05."),
        ({"pupil": "own", "first": "2026-10-05", "last": "2026-10-01"}, "Siste dag må være"),
        ({"pupil": "2147483647", "first": "2026-10-05"}, "Velg minst én elev."),
    ],
)
def test_absence_that_cannot_be_is_told_at_its_field(
    app: Flask, world: World, teacher: Visitor, form: dict[str, str], fault: str
) -> None:
    page = f"/classes/{world.own_class.id}/absence"
    sent = {name: pupil_id(world) if value == "own" else value for name, value in form.items()}
    answer = teacher.post(page, page=page, **sent)
    assert answer.status_code == 400
    assert fault in words(answer.text)


def test_nobody_notes_absence_in_others_classes(app: Flask, world: World) -> None:
    visitor = visit(app, "next-teacher")
    page = f"/classes/{world.own_class.id}/absence"
    assert visitor.get(page).status_code == 404
    on = clock.now().date().isoformat()
    assert visitor.post(page, page="/", pupil=[pupil_id(world)], first=on).status_code == 404


def test_absence_of_a_file_is_shown_then_taken(app: Flask, world: World) -> None:
    with app.app_context(), transaction():
        db.session.get_one(Person, world.tablet.person_id).username = "elev1"
    it, page = visit(app, "it"), "/absences/import"

    def send(content: str) -> str:
        data = {"csrf_token": it.token(page), "file": (io.BytesIO(content.encode()), "fravaer.csv")}
        with app.app_context():
            answer = it.client.post(page, data=data, content_type="multipart/form-data")
        return str(answer.location)

    look = send("brukernavn;fra;til\nelev1;2026-10-05;2026-10-07\n")
    assert "1 fravær vil bli lagt inn" in words(it.get(look).text)
    assert it.post(look, page=page).status_code == 303
    with app.app_context(), reading():
        assert [one.person_id for one in db.session.scalars(select(Absence))] == [world.tablet.person_id]
    refused = it.get(send("brukernavn;fra\nukjent;2026-10-05\n"))
    assert refused.status_code == 400
    assert "Linje 2: Ingen av elevene dine har dette brukernavnet" in words(refused.text)
    assert page in it.get("/imports").text


@pytest.mark.parametrize(
    "path", ["/", "/silence", "/incidents", "/incidents/{number}", "/tablets/QUIET1", "/tablets/SILENT1/silence"]
)
def test_pages_of_silence_ask_the_database_a_bounded_number_of_times(
    app: Flask, world: World, statements: list[str], path: str
) -> None:
    ask(app, world, escalated=True)
    address = path.format(number=happen(app, world))
    with app.app_context(), transaction():
        db.session.add(Municipality(id=1, name="Prøvekommune"))
    for who in ("admin", "it"):
        visitor = visit(app, who)
        assert visitor.get(address).status_code == 200
        statements.clear()
        assert visitor.get(address).status_code == 200
        assert len(statements) <= MOST_STATEMENTS


@pytest.mark.parametrize("path", ["/", "/lessons", "/classes/{w.own_class.id}", "/classes/{w.own_class.id}/absence"])
def test_a_teachers_pages_ask_the_database_a_bounded_number_of_times(
    app: Flask, world: World, teacher: Visitor, statements: list[str], path: str
) -> None:
    ask(app, world)
    assert teacher.get(path.format(w=world)).status_code == 200
    statements.clear()
    assert teacher.get(path.format(w=world)).status_code == 200
    assert len(statements) <= MOST_STATEMENTS
    with app.app_context(), reading():
        assert db.session.scalar(select(Incident.id)) is None
