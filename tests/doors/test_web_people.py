"""People and one's own account on the pages: who has access, to what, and how they sign in."""

import re

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Role
from fleet.db import db, transaction
from fleet.people import accounts
from fleet.people.models import Account, PasswordLink, SignInSession
from fleet.schools.models import Membership, MembershipRole
from tests import factories, visiting
from tests.doors.test_web_pages import MOST_STATEMENTS, words
from tests.visiting import PASSWORD, Visitor, World

NEW_PASSWORD = "en ny og lengre setning"
_LINK = re.compile(r'value="(http://fleet\.test/password/[^"]+)"')


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    visitor.sign_in("admin")
    return visitor


def account(app: Flask, username: str) -> Account:
    with app.app_context():
        found = accounts.find(username)
        db.session.refresh(found)
        return found


def roles(app: Flask, username: str) -> set[tuple[Role, int | None]]:
    with app.app_context():
        return {(one.role, one.school_id) for one in accounts.find(username).grants}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"admin", "it", "other-it", "teacher", "next-teacher", "nobody"}),
        ("q=TEACH", {"teacher", "next-teacher"}),
        ("q=prøve", {"admin", "it", "other-it", "teacher", "next-teacher", "nobody"}),
        ("q=%25", set()),
        ("role=school-it", {"it", "other-it"}),
        ("school_id={here}", {"it", "teacher", "next-teacher"}),
        ("role=school-it&school_id={here}", {"it"}),
        ("role=no-role&school_id=x&standing=none", {"admin", "it", "other-it", "teacher", "next-teacher", "nobody"}),
        ("standing=disabled", set()),
        ("standing=no-password", set()),
        ("standing=active&q=it", {"it", "other-it"}),
    ],
)
def test_people_are_narrowed_by_name_role_school_and_standing(
    world: World, admin: Visitor, query: str, shown: set[str]
) -> None:
    page = admin.get(f"/people?{query.format(here=world.school.id)}").text
    assert set(re.findall(r'href="/people/([\w-]+)"', page)) - {"new", "roles"} == shown


def test_list_of_people_asks_a_bounded_number_of_times_and_comes_in_pages(
    app: Flask, world: World, admin: Visitor, statements: list[str]
) -> None:
    counts = []
    for round_ in range(2):
        statements.clear()
        assert admin.get("/people").status_code == 200
        counts.append(len(statements))
        with app.app_context(), transaction():
            for number in range(110):
                at = factories.school(f"Skole {number}") if number < 5 else db.session.merge(world.school)
                factories.account(f"mange{round_}-{number}", (Role.TEACHER, at))
    assert counts[0] == counts[1]
    assert counts[0] <= MOST_STATEMENTS
    page = admin.get("/people?q=mange0&page=2").text
    assert "Side 2 av 2" in page
    assert page.count('<tr id="account-') == 10


def test_a_new_account_gets_its_role_and_a_link_that_works_once(app: Flask, world: World, admin: Visitor) -> None:
    answer = admin.post(
        "/people/new",
        page="/people/new",
        name="Prøve Ny",
        username="Ny",
        role="teacher",
        school_id=str(world.school.id),
    )
    assert answer.status_code == 200
    assert roles(app, "ny") == {(Role.TEACHER, world.school.id)}
    assert "Virker én gang, i 2 døgn" in answer.text
    found = _LINK.search(answer.text)
    assert found is not None
    path = found[1].removeprefix("http://fleet.test")
    assert path not in admin.get("/people/ny").text  # shown this once
    owner = Visitor(app)
    chosen = owner.post(path, page=path, password=NEW_PASSWORD, again=NEW_PASSWORD)
    assert chosen.status_code == 303
    assert owner.sign_in("ny", NEW_PASSWORD).status_code == 303
    assert owner.get(path).status_code == 404


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ({"username": "it"}, 409, "Brukernavnet er opptatt. Velg et annet."),
        ({"username": "new"}, 400, "Brukernavnet kan ha bokstaver"),  # the page of this name is another one
        ({"username": "a b"}, 400, "Brukernavnet kan ha bokstaver"),
        ({"name": " "}, 400, "Skriv navnet som andre ser."),
        ({"school_id": ""}, 400, "Velg en skole for denne rollen."),
        ({"school_id": "all"}, 400, "Velg en skole for denne rollen."),
        ({"school_id": "999999"}, 409, "Skolen finnes ikke lenger. Velg en annen."),
    ],
)
def test_a_new_account_that_cannot_be_keeps_what_was_typed(
    app: Flask, world: World, admin: Visitor, form: dict[str, str], status: int, told: str
) -> None:
    given = {"name": "Prøve Ny", "username": "ny", "role": "teacher", "school_id": str(world.school.id), **form}
    answer = admin.post("/people/new", page="/people/new", **given)
    assert answer.status_code == status
    assert told in answer.text
    assert f'value="{given["username"]}"' in answer.text
    with app.app_context():
        assert accounts.with_username("ny") is None


def test_roles_are_given_and_taken_and_each_can_be_undone(app: Flask, world: World, admin: Visitor) -> None:
    page = "/people/nobody"
    given = admin.post(f"{page}/roles", page=page, role="school-it", school_id="all")
    assert given.status_code == 303
    assert roles(app, "nobody") == {(Role.SCHOOL_IT, None)}
    undo = re.search(r'action="(/people/nobody/roles/revoke\?[^"]+)"', admin.get(page).text)
    assert undo is not None
    assert admin.post(undo[1].replace("&amp;", "&"), page=page).status_code == 303
    assert roles(app, "nobody") == set()
    undo = re.search(r'action="(/people/nobody/roles\?[^"]+)"', admin.get(page).text)
    assert undo is not None
    admin.post(undo[1].replace("&amp;", "&"), page=page)
    assert roles(app, "nobody") == {(Role.SCHOOL_IT, None)}


def test_a_role_twice_is_told_where_one_is(world: World, admin: Visitor) -> None:
    answer = admin.post("/people/it/roles", page="/people/it", role="school-it", school_id=str(world.school.id))
    assert answer.status_code == 409
    assert "Kontoen har allerede denne rollen der." in answer.text


def test_the_last_administrator_can_be_neither_closed_nor_robbed_of_the_role(
    app: Flask, world: World, admin: Visitor
) -> None:
    for path, form in (("close", {}), ("roles/revoke", {"role": "municipal-admin"})):
        answer = admin.post(f"/people/admin/{path}", page="/people/admin", **form)
        assert answer.status_code == 409
        assert "Dette er den siste administratoren som kan logge inn." in answer.text
    assert account(app, "admin").disabled_at is None


def test_a_closed_account_is_out_at_once_and_comes_back_by_undo(app: Flask, world: World, admin: Visitor) -> None:
    it = Visitor(app)
    it.sign_in("it")
    assert admin.post("/people/it/close", page="/people/it").status_code == 303
    assert it.get("/").status_code == 302
    page = admin.get("/people/it").text
    assert 'action="/people/it/open"' in page
    assert "Lag lenke" not in page
    assert admin.post("/people/it/link", page="/people/it").status_code == 409
    assert admin.post("/people/it/open", page="/people/it").status_code == 303
    assert it.sign_in("it").status_code == 303


def test_a_link_ends_the_earlier_one(app: Flask, world: World, admin: Visitor) -> None:
    first, second = (_LINK.search(admin.post("/people/it/link", page="/people/it").text) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first[1] != second[1]
    with app.app_context():
        assert db.session.query(PasswordLink).count() == 1
    assert admin.get(first[1].removeprefix("http://fleet.test")).status_code == 404


def test_page_says_which_classes_a_teacher_has_and_why_none(app: Flask, world: World, admin: Visitor) -> None:
    assert "8B, Prøveskolen" in words(admin.get("/people/teacher").text)
    with app.app_context(), transaction():
        factories.account("ukjent", (Role.TEACHER, db.session.merge(world.school)))
        person = factories.employee("annen", world.other_school)
        factories.account("annen", (Role.TEACHER, db.session.merge(world.school)), of=person)
        far = factories.school_class(db.session.merge(world.other_school), "6A")
        factories.membership(person, far, role=MembershipRole.TEACHER)
    assert "Elevlisten har ingen lærer med brukernavnet ukjent." in words(admin.get("/people/ukjent").text)
    page = words(admin.get("/people/annen").text)
    assert "Elevlisten har bare klasser på andre skoler." in page
    assert "6A, Naboskolen" in page
    with app.app_context(), transaction():
        db.session.query(Membership).filter_by(role=MembershipRole.TEACHER).delete()
    assert "Elevlisten har ingen klasse for denne læreren i dag." in words(admin.get("/people/teacher").text)
    with app.app_context(), transaction():
        gone = accounts.find("teacher").person
        assert gone is not None
        gone.ended_at = clock.now()
    assert "Læreren står ikke i elevlisten lenger." in words(admin.get("/people/teacher").text)
    assert "Klasser" not in words(admin.get("/people/it").text)


def test_account_page_says_what_one_may_in_words(app: Flask, world: World) -> None:
    for role, told in (
        ("teacher", "Lærer, Prøveskolen"), ("it", "Skole-IT, Prøveskolen"), ("admin", "Administrator"), ("nobody", "ingen rolle ennå"),
    ):  # fmt: skip
        visitor = Visitor(app)
        visitor.sign_in(role)
        assert told in words(visitor.get("/account").text)


def test_language_and_theme_are_chosen_and_given_back_to_browser_and_device(app: Flask, admin: Visitor) -> None:
    assert admin.post("/account/looks", page="/account", language="nn", theme="dark").status_code == 303
    page = admin.get("/account").text
    assert '<html lang="nn" data-color-scheme="dark"' in page
    admin.post("/language", page="/account", language="en")
    admin.post("/account/looks", page="/account", language="", theme="")
    page = admin.get("/account", headers={"Accept-Language": "nb"}).text
    assert '<html lang="nb" data-color-scheme="auto"' in page
    found = account(app, "admin")
    assert (found.language, found.theme) == (None, None)


@pytest.mark.parametrize("form", [{"language": "de"}, {"theme": "pink"}])
def test_a_language_or_theme_that_is_none_changes_nothing(app: Flask, admin: Visitor, form: dict[str, str]) -> None:
    assert admin.post("/account/looks", page="/account", **form).status_code == 400
    assert (account(app, "admin").language, account(app, "admin").theme) == (None, None)


def test_a_new_password_keeps_this_browser_and_ends_the_others(app: Flask, admin: Visitor) -> None:
    other = Visitor(app)
    other.sign_in("admin")
    form = {"old": PASSWORD, "new": NEW_PASSWORD, "again": NEW_PASSWORD}
    assert admin.post("/account/password", page="/account", **form).status_code == 303
    assert admin.get("/account").status_code == 200
    assert other.get("/account").status_code == 302
    assert other.sign_in("admin").status_code == 401
    assert other.sign_in("admin", NEW_PASSWORD).status_code == 303


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"old": "feil"}, "Det er ikke det nåværende passordet ditt."),
        ({"again": "noe annet enn det"}, "De to passordene er ikke like."),
        ({"new": "kort", "again": "kort"}, "Passordet må ha minst 12 tegn."),
    ],
)
def test_a_password_that_cannot_be_changed_says_why(
    app: Flask, admin: Visitor, form: dict[str, str], told: str
) -> None:
    given = {"old": PASSWORD, "new": NEW_PASSWORD, "again": NEW_PASSWORD, **form}
    answer = admin.post("/account/password", page="/account", **given)
    assert answer.status_code == 400
    assert told in answer.text
    assert Visitor(app).sign_in("admin").status_code == 303


def test_wrong_guesses_of_the_present_password_are_counted(admin: Visitor) -> None:
    form = {"old": "feil", "new": NEW_PASSWORD, "again": NEW_PASSWORD}
    told = [admin.post("/account/password", page="/account", **form).text for _ in range(4)]
    assert "For mange forsøk" in told[-1]


def test_one_signs_out_everywhere_else(app: Flask, admin: Visitor) -> None:
    other = Visitor(app)
    other.sign_in("admin")
    assert "En annen nettleser" in admin.get("/account").text
    assert admin.post("/account/sign-out-elsewhere", page="/account").status_code == 303
    page = admin.get("/account").text
    assert "Du er logget ut alle andre steder." in page
    assert "En annen nettleser" not in page
    assert other.get("/").status_code == 302
    with app.app_context():
        assert db.session.query(SignInSession).count() == 1
