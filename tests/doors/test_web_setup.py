"""The first run: an empty server leads there, each step is done, put aside or taken up again, and it ends."""

import re
from datetime import date, timedelta

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Principal, Role
from fleet.assignments import assigning, publishing
from fleet.db import db, reading, transaction
from fleet.devices import enrolment
from fleet.devices.enrolment import Enrolled
from fleet.lessons import sets
from fleet.schools import calendar_editing, first_run
from fleet.schools import queries as schools
from fleet.schools.first_run import Step
from profiles.profile import Profile
from tests import factories, visiting
from tests.enrolling import request
from tests.races import together
from tests.visiting import PASSWORD, Visitor

CLI = Principal.command_line()
SETS = "/lessons/sets"
CODE = re.compile(r'id="code">([0-9A-Z-]{34})<')


@pytest.fixture
def first(app: Flask) -> Visitor:
    """Return the first administrator of an empty server."""
    with app.app_context(), transaction():
        factories.account("forste", (Role.MUNICIPAL_ADMIN, None), password=PASSWORD)
    return Visitor(app)


def here(visitor: Visitor) -> str | None:
    """Return which step is the one to do now."""
    found = re.search(r'id="step-(\w+)" aria-current="step"', visitor.get("/setup").text)
    return found[1] if found is not None else None


def test_an_empty_server_leads_from_the_sign_in_through_all_steps_to_the_first_tablet(
    app: Flask, first: Visitor
) -> None:
    assert first.sign_in("forste").headers["Location"] == "/setup"
    assert here(first) == "municipality"
    first.post("/setup/municipality", page="/setup", name="Prøvekommune")
    assert here(first) == "calendar"
    first.post("/setup/skip/calendar", page="/setup")
    assert here(first) == "schools"
    first.post("/setup/schools", page="/setup", school="Prøve ungdomsskole", classes="8A, 8B\n9A,, 8A")
    assert here(first) == "profile"
    with app.app_context():
        (school,) = schools.schools(CLI)
        titles = [row["title"] for row in schools.classes(CLI)]
    assert titles == ["8A", "8B", "9A"]
    assert '<option value="ungdomsskole" selected>' in first.get("/setup").text
    first.post("/setup/profile", page="/setup", **{f"profile-{school['id']}": "ungdomsskole"})
    assert here(first) == "ticket"
    with app.app_context():
        listed = assigning.listed(by=CLI, now=clock.now())
        assert {one.profile_version.profile.name for one in listed} == {"kommune-grunn", "ungdomsskole"}
        in_a_lesson = sets.offered(schools.find_class("8A"), by=CLI, now=clock.now())
        assert [one.set.title for one in in_a_lesson] == ["Eksamen", "Fri time", "Lesing", "Matematikk"]
    ready = first.post("/setup/ticket", page="/setup")
    code = CODE.search(ready.text)
    assert code is not None
    assert here(first) == "tablet"
    assert "Venter på det første nettbrettet." in first.refresh("/setup").text
    with app.app_context(), transaction():
        assert isinstance(enrolment.enrol(request(code[1], "FIRST1"), now=clock.now()), Enrolled)
    assert "FIRST1 er kommet inn." in first.refresh("/setup").text
    assert here(first) is None
    assert "Det var alt" in first.get("/setup").text
    assert first.post("/setup/end", page="/setup").headers["Location"] == "/"
    with app.app_context():
        assert first_run.is_over()
    again = Visitor(app)
    assert again.sign_in("forste").headers["Location"] == "/"


def test_a_step_that_was_put_aside_is_taken_up_again(first: Visitor) -> None:
    first.sign_in("forste")
    first.post("/setup/skip/municipality", page="/setup")
    assert here(first) == "calendar"
    first.post("/setup/resume/municipality", page="/setup")
    assert here(first) == "municipality"


def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(app: Flask, first: Visitor) -> None:
    first.sign_in("forste")
    nameless = first.post("/setup/municipality", page="/setup", name=" ")
    assert (nameless.status_code, 'id="name-fault"' in nameless.text) == (400, True)
    for form, field in (({"school": "x" * 121}, "school"), ({"school": "Ny", "classes": "y" * 121}, "classes")):
        answer = first.post("/setup/schools", page="/setup", **form)
        assert (answer.status_code, f'id="{field}-fault"' in answer.text) == (400, True)
        assert f'value="{form["school"]}"' in answer.text
    with app.app_context():
        assert schools.schools(CLI) == []  # a class that cannot be made takes its school with it
    first.post("/setup/schools", page="/setup", school="Prøveskolen")
    page = first.post("/setup/schools", page="/setup", school="prøveskolen", classes="8A")
    assert page.status_code == 400
    assert "Det finnes alt en skole med dette navnet." in page.text


def given_everywhere(app: Flask) -> list[tuple[str, int]]:
    with app.app_context():
        listed = assigning.listed(by=CLI, now=clock.now())
        return [(one.profile_version.profile.name, one.profile_version.number) for one in listed]


def test_ready_made_profile_that_was_taken_in_as_a_draft_is_published(app: Flask, first: Visitor) -> None:
    first.sign_in("forste")
    assert first.post("/profiles/_ready-made", page="/setup", ready="kommune-grunn").status_code == 303
    assert first.post("/setup/profile", page="/setup").status_code == 303
    assert given_everywhere(app) == [("kommune-grunn", 1)]


def test_draft_that_somebody_has_written_is_not_published_behind_the_back(app: Flask, first: Visitor) -> None:
    with app.app_context(), transaction():
        publishing.save_draft(Profile("kommune-grunn", "Vårt grunnoppsett", {}), by=CLI, now=clock.now())
    first.sign_in("forste")
    refused = first.post("/setup/profile", page="/setup")
    assert refused.status_code == 400
    assert "«Vårt grunnoppsett» er et utkast som noen har skrevet." in refused.text
    with app.app_context():
        assert [(row["name"], row["published"]) for row in publishing.listed()] == [("kommune-grunn", None)]
    assert given_everywhere(app) == []


def test_one_who_ended_it_early_is_not_asked_again(app: Flask, first: Visitor) -> None:
    first.sign_in("forste")
    first.post("/setup/end", page="/setup")
    assert Visitor(app).sign_in("forste").headers["Location"] == "/"


def test_a_server_with_tablets_does_not_lead_there(app: Flask) -> None:
    visiting.build(app)
    assert Visitor(app).sign_in("admin").headers["Location"] == "/"


def test_resuming_opens_the_first_run_again_and_an_unknown_word_is_no_step(app: Flask) -> None:
    with transaction():
        first_run.end(by=CLI, now=clock.now())
        first_run.skip(Step.CALENDAR, by=CLI)
    assert first_run.is_over()
    for _ in range(2):
        with transaction():
            first_run.resume(Step.CALENDAR, by=CLI, now=clock.now())
    assert (first_run.is_over(), first_run.skipped()) == (False, frozenset())
    assert [one.action for one in factories.audited()] == ["setup.resumed", "setup.ended"]
    owner = schools.municipality()
    assert owner is not None
    owner.setup_skipped = ["calendar", "of-a-later-version"]
    db.session.flush()
    assert first_run.skipped() == {Step.CALENDAR}


def test_steps_that_many_put_aside_at_once_are_all_aside(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        schools.ensure_municipality("Prøvekommunen")
    assert together(own_app, [lambda step=step: first_run.skip(step, by=CLI) for step in Step]) == [None] * len(Step)  # type: ignore[misc]
    with own_app.app_context(), reading():
        assert first_run.skipped() == set(Step)


def test_page_asks_the_database_a_bounded_number_of_times(app: Flask, first: Visitor, statements: list[str]) -> None:
    first.sign_in("forste")
    statements.clear()
    assert first.get("/setup").status_code == 200
    few = len(statements)
    with app.app_context(), transaction():
        for number in range(9):
            factories.school_class(factories.school(f"Prøveskole {number}"), "8A")
    statements.clear()
    assert first.get("/setup").status_code == 200
    assert few == len(statements) <= 15


def test_ready_made_sets_that_are_missing_are_offered_with_one_press(app: Flask) -> None:
    world = visiting.build(app)
    admin, it = Visitor(app), Visitor(app)
    admin.sign_in("admin")
    it.sign_in("it")
    assert "Lærerne kan ikke velge disse ennå: Eksamen, Fri time, Lesing, Matematikk." in admin.get(SETS).text
    assert "Lærerne kan ikke velge" not in it.get(SETS).text
    for said in ("4 ferdige opplegg kan nå velges i alle økter.", "De ferdige oppleggene var der alt."):
        admin.post(f"{SETS}/_ready-made", page=SETS)
        page = admin.get(SETS).text
        assert said in page
        assert "Lærerne kan ikke velge" not in page
    with app.app_context():
        offered = sets.offered(db.session.merge(world.own_class), by=CLI, now=clock.now())
        assert len(offered) == 4


def test_the_first_run_is_on_the_way_until_it_is_over(app: Flask, first: Visitor) -> None:
    first.sign_in("forste")
    entry, back = '<a href="/setup"', "Tilbake til Kom i gang"
    assert entry in first.get("/profiles").text
    assert back in first.get("/settings/calendar").text
    first.post("/setup/end", page="/setup")
    assert entry not in first.get("/profiles").text
    assert back not in first.get("/settings/calendar").text


def test_a_server_without_schools_says_so_to_its_administrator(first: Visitor) -> None:
    first.sign_in("forste")
    page = first.get("/").text
    assert "Ingen skole ennå" in page
    assert "kontoen din har tilgang til" not in page


def test_a_school_year_without_holidays_says_what_is_usual(app: Flask, first: Visitor) -> None:
    first.sign_in("forste")
    hint = "Rundt 190 skoledager er vanlig."
    assert hint in first.get("/settings/calendar?year=2026").text
    with app.app_context(), transaction():
        days = [date(2027, 6, 1) + timedelta(days=number) for number in range(61)]
        calendar_editing.set_days(days, (False, "Sommerferie"), school_id=None, by=CLI, now=clock.now())
        days = [date(2026, 12, 1) + timedelta(days=number) for number in range(31)]
        calendar_editing.set_days(days, (False, "Jul"), school_id=None, by=CLI, now=clock.now())
    assert hint not in first.get("/settings/calendar?year=2026").text


def test_the_ticket_that_the_first_run_made_is_no_trouble_on_today(app: Flask, first: Visitor) -> None:
    first.sign_in("forste")
    with app.app_context(), transaction():
        factories.school("Prøveskolen")
    first.post("/setup/ticket", page="/setup")
    assert 'id="need-tickets"' not in first.get("/").text
