"""The admin password of an Android tablet on the pages: behind a press, for a reason, and noted each time."""

import pytest
from flask import Flask

from fleet.access import Principal
from fleet.android import admin_password
from fleet.android.admin_password import secret
from fleet.db import transaction
from fleet.devices import queries
from fleet.devices.models import DeviceLife, Platform
from tests import factories, visiting
from tests.visiting import Visitor, World

PAGE = "/tablets/DROID1/admin-password"
WHY = "innstillinger må rettes for hånd"


@pytest.fixture
def world(app: Flask) -> World:
    built = visiting.build(app)
    with app.app_context(), transaction():
        factories.enrolled(
            built.school, channel="headwind", serial="DROID1", platform=Platform.ANDROID, class_id=built.own_class.id
        )
    return built


@pytest.fixture
def it(app: Flask, world: World) -> Visitor:
    return visiting.visit(app, "it")


def password(app: Flask) -> str:
    return admin_password.admin_password(secret(app.extensions["fleet_config"].secrets_dir), "DROID1")


def noted(app: Flask) -> list[object]:
    with app.app_context():
        return [line.fields for line in factories.audited(action="android.password-shown")]


def test_it_is_shown_after_a_reason_was_given_and_the_audit_says_so(app: Flask, it: Visitor) -> None:
    assert PAGE in it.get("/tablets/DROID1").text
    assert password(app) not in it.get(PAGE).text
    assert noted(app) == []
    answer = it.post(PAGE, page=PAGE, reason=WHY)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert f'id="password">{password(app)}</code>' in answer.text
    assert noted(app) == [{"serial": "DROID1", "reason": WHY}]


def test_without_a_reason_it_is_not_shown_and_what_was_typed_stays(app: Flask, it: Visitor) -> None:
    answer = it.post(PAGE, page=PAGE, reason="fordi")
    assert answer.status_code == 400
    assert 'id="reason-fault"' in answer.text
    assert ">fordi</textarea>" in answer.text
    assert password(app) not in answer.text
    assert noted(app) == []


def test_who_may_not_see_it_is_shown_no_way_to_it(app: Flask, world: World) -> None:
    teacher = visiting.visit(app, "teacher")
    assert "admin-password" not in teacher.get("/tablets/DROID1").text
    for name in ("teacher", "other-it"):
        assert visiting.visit(app, name).post(PAGE, page="/", reason=WHY).status_code == 404
    assert noted(app) == []


def test_the_line_is_read_in_words_in_the_audit(app: Flask, it: Visitor) -> None:
    it.post(PAGE, page=PAGE, reason=WHY)
    page = visiting.visit(app, "admin").get("/audit").text
    assert WHY in page
    assert 'href="/tablets/DROID1"' in page


def test_a_lost_tablets_page_still_leads_to_it(app: Flask, world: World, it: Visitor) -> None:
    with app.app_context(), transaction():
        device = queries.find_device("DROID1", by=Principal.command_line())
        device.life = DeviceLife.LOST
        factories.enrolments_end(device)
    assert PAGE in it.get("/tablets/DROID1").text
    assert password(app) in it.post(PAGE, page=PAGE, reason=WHY).text
