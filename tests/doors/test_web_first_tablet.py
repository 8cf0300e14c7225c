"""The first tablet of a school, as the pages greet it: what is not for it is no alarm, and its command is at hand."""

import pytest
from flask import Flask

from fleet import clock
from fleet.compliance.models import FindingKind
from fleet.db import db, transaction
from fleet.devices.models import Enrolment
from tests import factories, visiting
from tests.doors.test_web_pages import words
from tests.visiting import Visitor, World


@pytest.fixture
def world(app: Flask) -> World:
    """Return the small municipality, with a tablet of our own agent."""
    made = visiting.build(app)
    with app.app_context(), transaction():
        db.session.add(Enrolment(device_id=made.tablet.id, channel="native", enrolled_at=clock.now()))
    return made


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    assert visitor.sign_in("admin").status_code == 303
    return visitor


def test_settings_for_other_kinds_of_tablets_are_named_calmly(app: Flask, world: World, admin: Visitor) -> None:
    asked = {"camera.allowed": False, "clock.automatic": True, "os.minimum_ipados": "17.0"}
    with app.app_context(), transaction():
        tablet = db.session.merge(world.tablet)
        factories.told(tablet, applied=factories.shall_have(tablet, at=clock.now(), **asked))
    page = words(admin.get("/tablets/OWN1").text)
    assert "1 innstilling gjelder ikke her" in page
    assert "Automatisk klokke" in page
    assert "støttes ikke" not in page
    with app.app_context(), transaction():
        factories.shall_have(db.session.merge(world.tablet), at=clock.now(), **{"camera.allowed": False})
    assert "gjelder ikke her" not in words(admin.get("/tablets/OWN1").text)


def test_today_does_not_say_that_a_profile_failed_which_the_tablet_has(
    app: Flask, world: World, admin: Visitor
) -> None:
    with app.app_context(), transaction():
        visiting.finding(db.session.merge(world.tablet), FindingKind.SETTINGS_FAILED)
    page = words(admin.get("/").text)
    assert "1 nettbrett uten alle innstillingene sine" in page
    assert "kom ikke på plass" not in page
    with app.app_context(), transaction():
        visiting.finding(db.session.merge(world.next_tablet), FindingKind.PROFILE_MISSING)
    assert "uten alle innstillingene sine" not in words(admin.get("/").text)


def ready(admin: Visitor, school_id: int, at: str) -> str:
    """Make a ticket for a place; returns the page with its code."""
    address = f"/enrolment/new?school_id={school_id}&in={at}"
    return admin.post(address, page=address, number="3", days="1", who="ask").text


def test_the_agents_command_can_be_copied(world: World, admin: Visitor) -> None:
    page = ready(admin, world.school.id, "school")
    assert '<code id="command">scripts/agent --state ./tablet --qr' in page
    assert 'data-copies="command"' in page
    assert "settings.js" in page


def test_cards_are_offered_for_a_class_with_pupils_only(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        empty = factories.school_class(db.session.merge(world.school), "1A").id
    offer = "Skriv ut et kort per elev"
    assert offer in words(ready(admin, world.school.id, f"class-{world.own_class.id}"))
    page = words(ready(admin, world.school.id, f"class-{empty}"))
    assert "Skann denne på nettbrettet" in page
    assert offer not in page
