"""Lessons planned ahead, and one's own sets, on the pages."""

import re
from datetime import time

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Role
from fleet.db import db, transaction
from fleet.lessons.models import LessonPlan, LessonSet, SetKind
from fleet.schools.models import Bell
from tests import factories, teaching
from tests.doors.test_web_pages import HOSTILE, runnable
from tests.teaching import Teaching, words
from tests.visiting import PASSWORD, Visitor

PLANS = "/lessons/plans"
SETS = "/lessons/sets"
WEEKLY = {"when": "weekly", "weekday": "1", "starts_at": "10:00", "ends_at": "10:45"}
MOST_STATEMENTS = 15


@pytest.fixture
def school(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Teaching:
    return teaching.build(app, monkeypatch)


@pytest.fixture
def kari(school: Teaching) -> Visitor:
    return school.visitor()


def plan(school: Teaching, kari: Visitor, **form: str) -> int:
    """Plan a lesson as the teacher does; returns its number."""
    path = f"/classes/{school.own.id}/plan"
    answer = kari.post(path, page=path, **{"set_id": str(school.reading.id), **WEEKLY, **form})
    assert answer.status_code == 303, words(answer.text)
    assert answer.location == PLANS
    with school.app.app_context():
        return db.session.scalars(select(LessonPlan.id).order_by(LessonPlan.id.desc())).first() or pytest.fail("none")


def told(kari: Visitor, plan_id: int, action: str, **form: str) -> str:
    """Do something with a plan and return the page one is led to."""
    answer = kari.post(f"{PLANS}/{plan_id}/{action}", page=PLANS, **form)
    assert (answer.status_code, answer.location) == (303, PLANS)
    return words(kari.get(PLANS).text)


def test_a_lesson_is_planned_for_each_week(school: Teaching, kari: Visitor) -> None:
    assert "8B Planlegg en økt 8B Ingenting er planlagt for denne klassen." in words(kari.get(PLANS).text)
    plan(school, kari)
    page = words(kari.get(PLANS).text)
    assert "Økten er planlagt." in page
    assert "Hver tirsdag, 10:00-10:45 Lesing" in page
    assert page.count("Hopp over") == 3  # the next dates
    with school.app.app_context():
        made = db.session.scalars(select(LessonPlan)).one()
        assert (made.weekday, made.on, made.starts_at, made.ends_at) == (1, None, time(10), time(10, 45))


def test_a_lesson_is_planned_once_by_the_bell(school: Teaching, kari: Visitor) -> None:
    with school.app.app_context(), transaction():
        for weekday in range(5):
            db.session.add(
                Bell(school_id=school.school.id, weekday=weekday, starts_at=time(8, 30), ends_at=time(9, 15))
            )
    form = kari.get(f"/classes/{school.own.id}/plan").text
    assert '<option value="08:30-09:15" selected>08:30\u201309:15</option>' in form
    plan(school, kari, when="once", on="2026-09-16", period="08:30-09:15", starts_at="", ends_at="")
    with school.app.app_context():
        made = db.session.scalars(select(LessonPlan)).one()
        assert (made.weekday, str(made.on), made.starts_at, made.ends_at) == (
            None,
            "2026-09-16",
            time(8, 30),
            time(9, 15),
        )
    assert "08:30-09:15 Lesing" in words(kari.get(PLANS).text)


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"set_id": ""}, 400, "Velg opplegg for økten."),
        ({"set_id": "2147483"}, 400, "Dette opplegget finnes ikke lenger. Velg et annet."),
        ({"starts_at": "", "ends_at": ""}, 400, "Økten må slutte senere enn den begynner"),
        ({"starts_at": "11:00", "ends_at": "10:00"}, 400, "Økten må slutte senere enn den begynner"),
        ({"when": "once", "on": "2026-09-01"}, 400, "Det tidspunktet er passert."),
        ({"when": "once", "on": "soon"}, 400, "Velg en dato"),
        ({"starts_at": "20:00", "ends_at": "20:30"}, 409, "skoletid"),
    ],
)
def test_a_plan_that_is_refused_says_so_and_keeps_what_was_typed(
    school: Teaching, kari: Visitor, form: dict[str, str], status: int, said: str
) -> None:
    path = f"/classes/{school.own.id}/plan"
    answer = kari.post(path, page=path, **{"set_id": str(school.web.id), **WEEKLY, "last_on": "2027-05-01", **form})
    assert (answer.status_code, said in words(answer.text)) == (status, True), words(answer.text)
    assert 'value="2027-05-01"' in answer.text
    with school.app.app_context():
        assert db.session.scalars(select(LessonPlan)).all() == []


def test_a_class_has_one_plan_at_a_time(school: Teaching, kari: Visitor) -> None:
    plan(school, kari)
    path = f"/classes/{school.own.id}/plan"
    answer = kari.post(path, page=path, set_id=str(school.web.id), **WEEKLY)
    assert answer.status_code == 409
    assert "Klassen har en annen planlagt økt" in words(answer.text)


def test_what_is_sent_again_after_a_lost_answer_is_done_once_and_told_as_done(school: Teaching, kari: Visitor) -> None:
    plan_id = plan(school, kari)
    assert plan(school, kari) == plan_id
    on = "2026-09-15"
    for action, word in (("skip", "hoppes over"), ("unskip", "Det blir økt"), ("withdraw", "ikke planlagt lenger")):
        pages = [told(kari, plan_id, action, on=on) for _again in range(2)]
        assert [word in page for page in pages] == [True, True], (action, pages)


def test_a_date_is_left_out_and_held_after_all(school: Teaching, kari: Visitor) -> None:
    made = plan(school, kari)
    page = told(kari, made, "skip", on="2026-09-15")
    assert "hoppes over" in page
    assert "Hold den likevel" in page
    undo = re.search(rf'action="({PLANS}/{made}/unskip\?on=2026-09-15)"', told_again(kari, made))
    assert undo is not None
    assert kari.post(undo[1], page=PLANS).location == PLANS
    assert "Hold den likevel" not in words(kari.get(PLANS).text)
    assert "Den datoen" in told(kari, made, "unskip", on="2026-09-16")  # has no lesson
    assert "Det er ingen økt den datoen." in told(kari, made, "skip", on="2026-09-16")
    for on in ("", "soon"):
        assert kari.post(f"{PLANS}/{made}/skip", page=PLANS, on=on).status_code == 400


def told_again(kari: Visitor, plan_id: int) -> str:
    """Leave out another date and return the page, which offers a way back for the one and the other."""
    kari.post(f"{PLANS}/{plan_id}/unskip", page=PLANS, on="2026-09-15")
    kari.get(PLANS)
    kari.post(f"{PLANS}/{plan_id}/skip", page=PLANS, on="2026-09-15")
    return kari.get(PLANS).text


def test_what_is_planned_is_planned_no_more(school: Teaching, kari: Visitor) -> None:
    made = plan(school, kari)
    page = told(kari, made, "withdraw")
    assert "Ingenting er planlagt for denne klassen." in page
    assert "Dette er ikke planlagt lenger." in told(kari, made, "withdraw")
    assert "Dette er ikke planlagt lenger." in told(kari, made, "skip", on="2026-09-15")


def test_only_who_may_teach_the_class_has_to_do_with_its_plans(school: Teaching, kari: Visitor) -> None:
    made = plan(school, kari)
    ola = school.visitor("ola")
    assert "8B" not in words(ola.get(PLANS).text)
    assert ola.get(f"/classes/{school.own.id}/plan").status_code == 404
    assert (
        ola.post(f"/classes/{school.own.id}/plan", page=PLANS, set_id=str(school.web.id), **WEEKLY).status_code == 404
    )
    for action in ("skip", "unskip", "withdraw"):
        assert ola.post(f"{PLANS}/{made}/{action}", page=PLANS, on="2026-09-15").status_code == 404
    assert "Hver tirsdag, 10:00-10:45 Lesing · Prøve kari" in words(school.visitor("it").get(PLANS).text)


def test_who_teaches_no_class_is_told_what_to_do(school: Teaching) -> None:
    with school.app.app_context(), transaction():
        factories.account("lonely", (Role.TEACHER, school.school), password=PASSWORD)
    lonely = school.visitor("lonely")
    assert "si hvilke klasser du underviser" in words(lonely.get(PLANS).text)
    assert "Ingen egne opplegg" in words(lonely.get(SETS).text)
    assert lonely.post(SETS, page=SETS, quick="web", web_hosts="nrk.no").status_code == 404


def test_an_own_set_is_kept_taken_away_and_offered_again(school: Teaching, kari: Visitor) -> None:
    assert "Ingen egne opplegg" in words(kari.get(SETS).text)
    answer = kari.post(SETS, page=SETS, quick="web", web_title="Fugler", web_hosts="nrk.no\r\nsnl.no")
    assert (answer.status_code, answer.location) == (303, SETS)
    assert "Fugler Bare disse nettadressene: nrk.no, snl.no Ta bort" in words(kari.get(SETS).text)
    start = f"/classes/{school.own.id}/lesson"
    assert "Fugler" in words(kari.get(start).text)
    with school.app.app_context():
        made = db.session.scalars(select(LessonSet).where(LessonSet.title == "Fugler")).one()
        assert (made.kind, made.shared) == (SetKind.WEB, False)
    for action, is_offered in (("withdraw", False), ("withdraw", False), ("restore", True), ("restore", True)):
        assert kari.post(f"{SETS}/{made.id}/{action}", page=SETS).location == SETS
        kari.get(SETS)
        assert ("Fugler" in words(kari.get(SETS).text)) is is_offered
        assert ("Fugler" in words(kari.get(start).text)) is is_offered
    ola = school.visitor("ola")
    assert "Fugler" not in words(ola.get(SETS).text)
    for action in ("withdraw", "restore"):
        assert ola.post(f"{SETS}/{made.id}/{action}", page=SETS).status_code == 404
        assert kari.post(f"{SETS}/{school.web.id}/{action}", page=SETS).status_code == 404  # the school's own


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "Velg hva du vil starte med."),
        ({"quick": "apps", "apps_title": "Tegning"}, "Velg minst én app."),
        ({"quick": "web", "web_hosts": "<b>x"}, "«<b>x» er ingen nettadresse."),
    ],
)
def test_a_set_that_is_refused_says_so_and_keeps_what_was_typed(
    school: Teaching, kari: Visitor, form: dict[str, str], said: str
) -> None:
    answer = kari.post(SETS, page=SETS, **form)
    assert (answer.status_code, said in words(answer.text)) == (400, True), words(answer.text)
    assert list(runnable(answer.text)) == []
    for name in set(form) - {"quick"}:
        assert form[name] in words(answer.text) or f'value="{form[name]}"' in answer.text
    assert "Ingen egne opplegg" in words(answer.text)


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_class_or_a_set_is_called_is_shown_as_text(school: Teaching, kari: Visitor, text: str) -> None:
    assert kari.post(SETS, page=SETS, quick="web", web_hosts="nrk.no").status_code == 303
    with school.app.app_context(), transaction():
        db.session.merge(school.own).title = text
        own = db.session.scalars(select(LessonSet).where(LessonSet.shared.is_(False))).one()
        own.title, made = text, own.id
    plan(school, kari, set_id=str(made))
    for path in (PLANS, SETS, f"/classes/{school.own.id}/plan"):
        page = kari.get(path).text
        assert list(runnable(page)) == []
        assert text.strip() in words(page)


def test_statements_do_not_grow_with_what_is_planned(school: Teaching, kari: Visitor, statements: list[str]) -> None:
    def counted() -> dict[str, int]:
        found = {}
        for path in (PLANS, SETS, f"/classes/{school.own.id}/plan"):
            statements.clear()
            assert kari.get(path).status_code == 200
            found[path] = len(statements)
        return found

    plan(school, kari)
    kari.post(SETS, page=SETS, quick="web", web_hosts="nrk.no")
    kari.get(SETS)
    small = counted()
    for weekday in (0, 2, 3, 4):
        plan(school, kari, weekday=str(weekday))
        kari.post(SETS, page=SETS, quick="web", web_hosts=f"nr{weekday}.no")
    kari.get(SETS)
    assert counted() == small
    assert max(small.values()) <= MOST_STATEMENTS
