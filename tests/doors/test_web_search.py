"""The box for everything: how many more there are of a kind, the way to them, and where a pupil is found."""

import re

import pytest
from flask import Flask

from fleet.assignments.assigning import Place
from fleet.db import db, transaction
from tests import factories, visiting
from tests.doors.test_web_pages import visiting_text
from tests.visiting import World, visit


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


def pupils(world: World, count: int) -> None:
    school, own = db.session.merge(world.school), db.session.merge(world.own_class)
    for number in range(count):
        pupil = factories.pupil(school)
        pupil.given_name, pupil.family_name = f"Prøve {number:03}", "Elevsen"
        factories.membership(pupil, own)


def test_search_says_how_many_more_there_are_and_leads_to_them(app: Flask, world: World, statements: list[str]) -> None:
    with app.app_context(), transaction():
        pupils(world, 104)
    admin = visit(app, "admin")
    statements.clear()
    page = admin.get("/search?q=elevsen").text
    assert len(statements) <= 15
    assert page.count("Elevsen</a>") == 6
    assert re.search(r'href="/search\?q=elevsen&amp;kind=pupils">Vis alle 104 elever</a>', page)
    address = f'href="/classes/{world.own_class.id}"'
    assert f'{address}>Prøve 000 Elevsen</a><span class="sub">8B · Prøveskolen</span>' in page
    longer = admin.get("/search?q=elevsen&kind=pupils").text
    assert longer.count("Elevsen</a>") == 100
    assert "Vis alle" not in longer
    last = admin.get("/search?q=elevsen&kind=pupils&page=2").text
    assert last.count("Elevsen</a>") == 4
    assert "Side 2 av 2" in " ".join(visiting_text(last).split())
    for odd in ("kind=x", "kind=pupils&page=999", "kind=pupils&page=x", "kind=schools", "kind=classes&page=-1"):
        assert admin.get(f"/search?q=elevsen&{odd}").status_code == 200


def test_pupil_who_has_a_tablet_leads_to_it(app: Flask, world: World) -> None:
    page = visit(app, "admin").get("/search?q=elev+prøve").text
    assert re.search(r'href="/tablets/OWN1">Elev Prøve \d+</a>', page)
    assert "8B · Prøveskolen OWN1" in " ".join(visiting_text(page).split())


def test_longer_list_shows_pupils_only_where_one_may_see_them(app: Flask, world: World) -> None:
    with app.app_context(), transaction():
        pupils(world, 7)
    assert "Elevsen" in visit(app, "teacher").get("/search?q=elevsen&kind=pupils").text
    for username in ("next-teacher", "other-it", "nobody"):
        page = visit(app, username).get("/search?q=elevsen&kind=pupils").text
        assert "Prøve 000" not in page


@pytest.mark.parametrize(("typed", "key"), [("Safari", "web.cookies"), ("airdrop", "sharing.nearby_allowed")])
def test_settings_are_found_by_what_people_call_them(app: Flask, world: World, typed: str, key: str) -> None:
    with app.app_context(), transaction():
        version = factories.published("grunn", **{"web.cookies": "never", "sharing.nearby_allowed": False})
        factories.assign(version, Place.school(db.session.merge(world.school)))
    admin = visit(app, "admin")
    page = " ".join(visiting_text(admin.get(f"/tablets/OWN1/why?q={typed}").text).split())
    assert key in page
    assert ("web.cookies" in page) != ("sharing.nearby_allowed" in page)
    assert f"add:{key}" in admin.refresh(f"/profiles/grunn/edit?q={typed}").text.partition("<details")[0]
