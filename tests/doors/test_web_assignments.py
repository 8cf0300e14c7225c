"""Places against profiles: what is where at a glance, giving and taking back with the effect told before."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Principal
from fleet.assignments import assigning, publishing
from fleet.assignments.assigning import Place
from fleet.assignments.matrix import CLASSES_SHOWN
from fleet.assignments.models import Assignment
from fleet.db import db, transaction
from fleet.devices.models import DeviceState
from fleet.schools.models import School, SchoolClass
from tests import factories as make
from tests import visiting
from tests.doors.test_web_profiles import words_of
from tests.visiting import Visitor, World

MOST_STATEMENTS, MOST_BYTES = 15, 150_000
WIFI = {"ssid": "skole", "security": "wpa2", "password": "meget hemmelig"}


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    return signed_in(app, "admin")


def signed_in(app: Flask, name: str) -> Visitor:
    visitor = Visitor(app)
    visitor.sign_in(name)
    return visitor


def assigned(app: Flask, world: World, name: str, place: str, **settings: Any) -> int:
    """Give a new profile to a place of the small municipality; returns the assignment's number."""
    with app.app_context(), transaction():
        places: dict[str, Callable[[], Place]] = {
            "everywhere": Place.municipality,
            "school": lambda: Place.school(db.session.get_one(School, world.school.id)),
            "class": lambda: Place.school_class(db.session.get_one(SchoolClass, world.own_class.id)),
            "tablet": lambda: Place.device(db.session.merge(world.tablet)),
        }
        version = make.published(name, **settings)
        return make.assign(version, places[place](), now=clock.now()).id


def cells(page: str) -> dict[str, str]:
    """Return what each cell tells a screen reader, by profile and place."""
    return dict(told.rsplit(": ", 1) for told in re.findall(r'aria-label="([^"]*: [^"]*)"', page))


def publish_next(app: Flask, name: str, **settings: Any) -> None:
    """Publish the next version of a profile, and move nothing to it."""
    with app.app_context(), transaction():
        make.next_version(publishing.published(publishing.find(name)), **settings)


def undo_in(page: str) -> str:
    """Return the address to which a page's notice sends what it offers to take back."""
    found = re.search(r'action="(/assignments/\d+/(?:undo|again)[^"]*)"', page)
    assert found is not None
    return found[1].replace("&amp;", "&")


def desired(app: Flask, world: World) -> str | None:
    with app.app_context():
        return db.session.get_one(DeviceState, world.tablet.id).desired_digest


def test_matrix_tells_what_is_own_and_what_comes_from_above(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, world, "grunn", "everywhere")
    assigned(app, world, "skole", "school")
    assigned(app, world, "klasse", "class")
    assigned(app, world, "ett", "tablet")
    page = admin.get(f"/assignments?school={world.school.id}").text
    told = cells(page)
    assert told["grunn, kommunen"] == "Tildelt, versjon 1"
    assert told["grunn, Prøveskolen"] == told["grunn, 8B"] == told["grunn, Naboskolen"] == "Fra kommunen"
    assert (told["skole, Prøveskolen"], told["skole, 8B"]) == ("Tildelt, versjon 1", "Fra Prøveskolen")
    assert (told["skole, kommunen"], told["skole, Naboskolen"]) == ("Nei", "Nei")
    assert (told["klasse, 8B"], told["klasse, 9A"]) == ("Tildelt, versjon 1", "Nei")
    assert "Enkelte nettbrett (1)" in words_of(page)
    assert "OWN1 ett 1" in words_of(page)


def test_classes_are_shown_of_the_opened_school_only(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, world, "grunn", "everywhere")
    assert "8B" not in words_of(admin.get("/assignments").text)
    page = admin.get(f"/assignments?school={world.other_school.id}").text
    assert "8B" not in words_of(page)
    assert 'aria-expanded="true"' in page


def test_school_it_sees_own_school_and_the_municipality_without_a_way_to_change_it(app: Flask, world: World) -> None:
    assigned(app, world, "grunn", "everywhere")
    it = signed_in(app, "it")
    page = it.get(f"/assignments?school={world.school.id}").text
    assert "Naboskolen" not in page
    assert "at=m" not in page
    assert f"at=s{world.school.id}" in page
    form = {"profile": "grunn", "version": "1", "page": "/assignments"}
    assert it.post("/assignments", at="m", **form).status_code == 403
    assert it.post("/assignments", at=f"s{world.other_school.id}", **form).status_code == 404
    assert it.post("/assignments", at=f"c{world.own_class.id}", **form).status_code == 303


def test_giving_a_profile_tells_the_effect_before_and_can_be_undone(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, world, "grunn", "everywhere", **{"camera.allowed": True})
    with app.app_context(), transaction():
        make.published("streng", **{"camera.allowed": False})
    before = desired(app, world)
    at = f"s{world.school.id}"
    page = words_of(admin.get(f"/assignments/place?profile=streng&at={at}").text)
    assert "Endrer 2 nettbrett ved 1 skole Ingenting blir løsere" in page
    answer = admin.post("/assignments", profile="streng", version="1", at=at)
    assert answer.status_code == 303
    assert desired(app, world) != before
    shown = admin.get("/assignments").text
    assert "streng er tildelt Prøveskolen: 2 nettbrett får den." in words_of(shown)
    undo = undo_in(shown)
    assert admin.post(undo).status_code == 303
    assert desired(app, world) == before
    shown = admin.get("/assignments").text
    assert "streng er trukket tilbake fra Prøveskolen." in words_of(shown)
    withdrawal = undo.partition("/undo")[0] + "/withdraw"
    assert "Den er trukket tilbake eller har sluttet allerede." in admin.get(withdrawal).text
    assert admin.post(withdrawal).status_code == 409
    assert admin.post(undo_in(shown)).status_code == 303
    assert "streng er tilbake hos Prøveskolen." in words_of(admin.get("/assignments").text)
    assert desired(app, world) != before
    told = words_of(admin.get(withdrawal).text)
    assert "1 innstilling blir løsere: Kamera (2)" in told


def test_undo_of_a_newer_version_brings_the_older_one_back(app: Flask, world: World, admin: Visitor) -> None:
    number = assigned(app, world, "grunn", "school")
    before = desired(app, world)
    publish_next(app, "grunn", **{"camera.allowed": True})
    at = f"s{world.school.id}"
    admin.post("/assignments", profile="grunn", version="2", at=at)
    assert desired(app, world) != before
    undo = undo_in(admin.get("/assignments").text)
    assert admin.post(undo).status_code == 303
    page = admin.get("/assignments").text
    assert "Versjon 1 av grunn gjelder hos Prøveskolen igjen." in words_of(page)
    assert cells(page)["grunn, Prøveskolen"] == "Tildelt, versjon 1"
    assert desired(app, world) == before
    assert admin.get(f"/assignments/{number}/withdraw").status_code == 200
    assert admin.post(undo).status_code == 303
    assert "Tildelingen har sluttet allerede." in words_of(admin.get("/assignments").text)


def test_undo_of_a_withdrawal_leaves_what_a_colleague_gave_meanwhile(app: Flask, world: World, admin: Visitor) -> None:
    number = assigned(app, world, "grunn", "school")
    assert admin.post(f"/assignments/{number}/withdraw").status_code == 303
    undo = undo_in(admin.get("/assignments").text)
    it = signed_in(app, "it")
    it.post("/assignments", profile="grunn", version="1", at=f"s{world.school.id}", page="/assignments")
    assert admin.post(undo).status_code == 303
    page = words_of(admin.get("/assignments").text)
    assert "Det ble ikke angret: Noen har endret det siden." in page
    with app.app_context():
        (one,) = assigning.listed(by=Principal.command_line(), now=clock.now())
        assert one.id != number


def test_undo_that_takes_the_only_wifi_is_refused_in_words(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        make.published("nett", **{"wifi.networks": [WIFI]})
    admin.post("/assignments", profile="nett", version="1", at="m")
    assert admin.post(undo_in(admin.get("/assignments").text)).status_code == 303
    page = admin.get("/assignments").text
    assert "Det ble ikke angret: 3 nettbrett ville miste det eneste nettet de kjenner." in words_of(page)
    assert cells(page)["nett, kommunen"] == "Tildelt, versjon 1"


def test_only_the_version_whose_effect_was_shown_is_given(app: Flask, world: World, admin: Visitor) -> None:
    assigned(app, world, "skole", "school")
    publish_next(app, "skole", **{"camera.allowed": True})
    path = f"/assignments/place?profile=skole&at=s{world.school.id}"
    assert 'name="version" value="2"' in admin.get(path).text
    publish_next(app, "skole", **{"camera.allowed": False, "sound.locked": True})
    form = {"profile": "skole", "at": f"s{world.school.id}"}
    for version in ("2", "", "x"):
        refused = admin.post("/assignments", version=version, **form)
        assert refused.status_code == 409
        assert "Versjon 3 er publisert imens." in words_of(refused.text)
        assert 'name="version" value="3"' in refused.text
        assert "Endrer 2 nettbrett" in words_of(refused.text)
    assert cells(admin.get("/assignments").text)["skole, Prøveskolen"] == "Tildelt, versjon 1"
    assert admin.post("/assignments", version="3", **form).status_code == 303


def test_times_are_local_and_what_begins_later_looks_so(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        make.published("tur")
    at = f"c{world.own_class.id}"
    form = {"profile": "tur", "version": "1", "at": at, "from": "2036-06-01T08:00", "until": "2036-06-01T15:00"}
    form |= {"shown_from": form["from"], "shown_until": form["until"]}
    assert admin.post("/assignments", **form).status_code == 303
    with app.app_context():
        (made,) = assigning.listed(by=Principal.command_line(), now=clock.now())
        assert made.starts_at is not None
        assert made.starts_at.isoformat() == "2036-06-01T06:00:00+00:00"
    page = admin.get(f"/assignments?school={world.school.id}").text
    assert cells(page)["tur, 8B"].startswith("Tildelt senere, versjon 1, til ")
    for until in ("2036-06-01T07:00", "tull", "2001-01-01T00:00"):
        refused = admin.post("/assignments", **{**form, "until": until, "shown_until": until})
        assert refused.status_code == 400
        assert "Slutten må komme etter begynnelsen" in refused.text
        assert 'value="2036-06-01T08:00"' in refused.text


def test_newest_version_that_is_there_without_an_end_is_not_given_twice(
    app: Flask, world: World, admin: Visitor
) -> None:
    number = assigned(app, world, "grunn", "school")
    page = admin.get(f"/assignments/place?profile=grunn&at=s{world.school.id}").text
    assert "Den nyeste versjonen er tildelt her, uten slutt." in page
    assert f"/assignments/{number}/withdraw" in page
    below = words_of(admin.get(f"/assignments/place?profile=grunn&at=c{world.own_class.id}").text)
    assert "Kommer fra Prøveskolen: versjon 1" in below
    assert "Ingen nettbrett får andre innstillinger nå." in below


def test_withdrawing_the_only_wifi_needs_the_number_of_tablets_typed(app: Flask, world: World, admin: Visitor) -> None:
    number = assigned(app, world, "nett", "everywhere", **{"wifi.networks": [WIFI]})
    address = f"/assignments/{number}/withdraw"
    page = admin.get(address).text
    assert "3 nettbrett mister det eneste nettet de kjenner" in words_of(page)
    assert "OWN1" in page
    refused = admin.post(address)
    assert refused.status_code == 409
    assert "Skriv antallet nettbrett hvis det er meningen" in refused.text
    assert admin.post(address, confirmed="3").status_code == 303


def test_matrix_stays_small_and_asks_little_with_many_schools_classes_and_profiles(
    app: Flask, world: World, admin: Visitor, statements: list[str]
) -> None:
    now = clock.now()
    with app.app_context(), transaction():
        versions = [make.published(f"profil-{number}") for number in range(15)]
        for number in range(13):
            school = make.school(f"Skole {number}")
            db.session.add_all(
                SchoolClass(school_id=school.id, kind="basic", title=f"{k}A")
                for k in range(300 if number == 12 else 10)
            )
            for version in versions[:3]:
                db.session.add(
                    Assignment(profile_version_id=version.id, scope="school", school_id=school.id, created_at=now)
                )
        number = school.id
    statements.clear()
    page = admin.get(f"/assignments?school={number}")
    assert len(statements) <= MOST_STATEMENTS
    assert len(page.data) < MOST_BYTES
    assert len(cells(page.text)) >= (1 + 15 + CLASSES_SHOWN) * 15
    assert "Side 1 av 6" in page.text
    assert words_of(admin.get(f"/assignments?school={number}&page=6").text).count("299A") == 1


def test_place_page_asks_the_database_a_bounded_number_of_times(
    app: Flask, world: World, admin: Visitor, statements: list[str]
) -> None:
    assigned(app, world, "grunn", "everywhere")
    with app.app_context(), transaction():
        make.tablets(db.session.merge(world.school), 100)
        make.published("streng", **{"wifi.only_known": True})
    for path in (f"/assignments/place?profile=streng&at=s{world.school.id}", "/assignments/place?profile=streng&at=m"):
        statements.clear()
        assert admin.get(path).status_code == 200
        assert len(statements) <= MOST_STATEMENTS


def test_profile_that_was_assigned_for_a_while_is_over_by_itself(app: Flask, world: World, admin: Visitor) -> None:
    past = clock.now() - timedelta(hours=2)
    with app.app_context(), transaction():
        version = make.published("over")
        make.assign(version, Place.municipality(), ends_at=past + timedelta(hours=1), now=past)
    assert cells(admin.get("/assignments").text)["over, kommunen"] == "Nei"


def test_more_profiles_than_there_are_columns_have_a_page_of_their_own(
    app: Flask, world: World, admin: Visitor
) -> None:
    with app.app_context(), transaction():
        for number in range(26):
            make.published(f"profil-{number:02}")
    first = admin.get("/assignments").text
    assert "Profiler: Side 1 av 2" in words_of(first)
    assert ("profil-23" in first, "profil-25" in first) == (True, False)
    (onwards,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = admin.get(onwards.replace("&amp;", "&")).text
    assert ("profil-23" in second, "profil-25" in second) == (False, True)
    assert admin.get("/assignments?columns=99").text.count("profil-25") == second.count("profil-25")


def test_times_that_were_changed_after_the_effect_was_shown_are_shown_before_they_count(
    app: Flask, world: World, admin: Visitor
) -> None:
    with app.app_context(), transaction():
        make.published("lesing")
    at, until = f"c{world.own_class.id}", f"{clock.now() + timedelta(days=9):%Y-%m-%dT15:00}"
    form = {"profile": "lesing", "version": "1", "at": at, "from": "", "until": until}
    changed = admin.post("/assignments", **form, shown_from="", shown_until="")
    assert changed.status_code == 409
    assert "Tidene ble endret" in words_of(changed.text)
    assert f'name="shown_until" value="{until}"' in changed.text
    looked = admin.post("/assignments", **form, shown_from="", shown_until="", look="1")
    assert (looked.status_code, "until=" in looked.location) == (303, True)
    assert "Tildel versjon 1 til" in words_of(admin.get(looked.location).text)
    with app.app_context():
        assert db.session.query(Assignment).count() == 0
    assert admin.post("/assignments", **form, shown_from="", shown_until=until).status_code == 303
    assert "Den slutter av seg selv" in words_of(admin.get("/assignments").text)
    with app.app_context():
        assert db.session.query(Assignment).one().ends_at is not None
