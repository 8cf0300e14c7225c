"""The first tablet of a school, as the pages greet it: what is not for it is no alarm, and its command is at hand."""

import pytest
from flask import Flask

from fleet import clock
from fleet.compliance.models import FindingKind
from fleet.db import db, transaction
from fleet.devices.models import Enrolment
from tests import factories, visiting
from tests.doors.test_web_pages import visiting_text
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


def words(page: str) -> str:
    return " ".join(visiting_text(page).split())


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
    assert "2 profiler kom ikke på plass" in words(admin.get("/").text)
