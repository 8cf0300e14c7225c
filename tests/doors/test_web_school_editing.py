"""Schools and classes made, named and ended on the pages; what the roster has is the roster's."""

import pytest
from flask import Flask

from fleet.access import Principal
from fleet.db import db, transaction
from fleet.schools import queries
from fleet.schools.models import ClassKind, School, SchoolClass
from tests import visiting
from tests.doors.test_web_pages import words
from tests.visiting import Visitor, World, visit

CLI = Principal.command_line()
NEW = "/schools/new"


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    return visit(app, "admin")


@pytest.fixture
def it(app: Flask, world: World) -> Visitor:
    return visit(app, "it")


def titles(app: Flask, school_id: int) -> list[str]:
    with app.app_context():
        return sorted(row["title"] for row in queries.classes(CLI, school_id=school_id))


def by_roster(app: Flask, world: World) -> None:
    """Have the school and its class come from the roster."""
    with app.app_context(), transaction():
        db.session.get_one(School, world.school.id).source_id = "s1"
        db.session.get_one(SchoolClass, world.own_class.id).source_id = "k1"


def test_an_administrator_makes_a_second_school_with_its_classes(app: Flask, admin: Visitor, it: Visitor) -> None:
    assert f'href="{NEW}"' in admin.get("/schools").text
    assert f'href="{NEW}"' not in it.get("/schools").text
    answer = admin.post(NEW, page=NEW, school="Fjellbygda skole", classes="1A, 1B\n2A,, 1A")
    assert answer.status_code == 303
    assert "Fjellbygda skole er laget." in words(admin.get(answer.headers["Location"]).text)
    assert titles(app, int(answer.headers["Location"].rpartition("/")[2])) == ["1A", "1B", "2A"]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"school": " "}, "Skriv navnet på skolen, med høyst 120 tegn."),
        ({"school": "PRØVESKOLEN"}, "Det finnes alt en skole med dette navnet."),
        ({"school": "Ny", "classes": "x" * 121}, "Skriv navnet på klassen, med høyst 120 tegn."),
        ({"school": "Ny", "classes": ",".join(map(str, range(61)))}, "Høyst 60 klasser om gangen."),
    ],
)
def test_what_cannot_be_a_school_is_said_and_nothing_is_made(
    app: Flask, admin: Visitor, form: dict[str, str], said: str
) -> None:
    answer = admin.post(NEW, page=NEW, **form)
    assert answer.status_code == 400
    assert said in words(answer.text)
    with app.app_context():
        assert len(queries.schools(CLI)) == 2


def test_a_school_made_by_hand_is_renamed_by_an_administrator(
    app: Flask, world: World, admin: Visitor, it: Visitor
) -> None:
    page = f"/schools/{world.school.id}/edit"
    assert "Skoler får navn av administratorene i kommunen." in words(it.get(page).text)
    taken = admin.post(f"/schools/{world.school.id}/name", page=page, school=world.other_school.name)
    assert (taken.status_code, "Det finnes alt en skole" in words(taken.text)) == (400, True)
    assert admin.post(f"/schools/{world.school.id}/name", page=page, school="Ny prøveskole").status_code == 303
    assert "Skolen heter nå Ny prøveskole." in words(admin.get(f"/schools/{world.school.id}").text)


def test_school_it_makes_classes_at_its_school(app: Flask, world: World, it: Visitor) -> None:
    page, form = f"/schools/{world.school.id}/edit", f"/schools/{world.school.id}/classes"
    assert page in it.get(f"/schools/{world.school.id}").text
    before = titles(app, world.school.id)
    for wrong, said in (("", "Skriv navnet på klassen"), (f"7A, {before[0]}", "Det finnes alt en klasse som heter")):
        answer = it.post(form, page=page, classes=wrong)
        assert (answer.status_code, said in words(answer.text)) == (400, True)
    assert titles(app, world.school.id) == before  # none of a list that has one that cannot be
    assert it.post(form, page=page, classes="7A, 7B", kind="teaching").status_code == 303
    assert "2 klasser er laget." in words(it.get(f"/schools/{world.school.id}").text)
    with app.app_context():
        assert queries.find_class("7A").kind is ClassKind.TEACHING


def test_a_class_made_by_hand_is_renamed_ended_and_taken_up_again(app: Flask, world: World, it: Visitor) -> None:
    at = f"/classes/{world.own_class.id}"
    assert f"{at}/edit" in it.get(at).text
    assert it.post(f"{at}/name", page=f"{at}/edit", classes="8Ø").status_code == 303
    assert "Klassen heter nå 8Ø." in words(it.get(at).text)
    assert it.post(f"{at}/end", page=f"{at}/edit").headers["Location"] == f"/schools/{world.school.id}"
    page = it.get(f"/schools/{world.school.id}").text
    assert "Klassen 8Ø er avsluttet." in words(page)
    assert f'action="{at}/restore"' in page
    assert it.get(at).status_code == 404
    assert it.post(f"{at}/restore", page="/schools").status_code == 303
    assert "Klassen 8Ø er tilbake." in words(it.get(at).text)


def test_one_whose_name_is_taken_meanwhile_does_not_come_back(app: Flask, world: World, it: Visitor) -> None:
    at, school = f"/classes/{world.own_class.id}", f"/schools/{world.school.id}"
    title = world.own_class.title
    it.post(f"{at}/end", page=f"{at}/edit")
    it.post(f"{school}/classes", page=f"{school}/edit", classes=title)
    it.post(f"{at}/restore", page="/schools")
    assert f"en annen heter {title} nå" in words(it.get("/schools").text)


def test_what_the_roster_has_is_named_and_ended_there(app: Flask, world: World, admin: Visitor) -> None:
    by_roster(app, world)
    at, school = f"/classes/{world.own_class.id}", f"/schools/{world.school.id}"
    page = admin.get(f"{at}/edit").text
    assert "Denne klassen kommer fra elevlisten." in words(page)
    assert f'action="{at}/end"' not in page
    for form, told in (
        (f"{at}/name", "Elevlisten bestemmer navnet på klassen"),
        (f"{at}/end", "Elevlisten har denne klassen"),
        (f"{school}/name", "Elevlisten bestemmer navnet på skolen"),
    ):
        answer = admin.post(form, page="/schools", classes="Ny", school="Ny")
        assert (answer.status_code, told in words(answer.text)) == (400, True), form
    with app.app_context():
        assert db.session.get_one(SchoolClass, world.own_class.id).ended_at is None
