"""A tablet's head says whose it is, its menu goes from gentle to hard, and a preview names who loses the tablet."""

import re

import pytest
from flask import Flask
from sqlalchemy import select

from fleet import clock
from fleet.access import Principal
from fleet.compliance.models import FindingKind
from fleet.db import db, transaction
from fleet.devices.models import Device
from fleet.orders import Order, OrderState
from tests import factories, visiting
from tests.doors.test_web_pages import words
from tests.visiting import Visitor, World

CLI = Principal.command_line()


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    assert visitor.sign_in("admin").status_code == 303
    return visitor


def ringing(app: Flask, world: World) -> int:
    """Return the number of a tablet that carries orders out, the own of a pupil."""
    with app.app_context(), transaction():
        school = db.session.merge(world.school)
        pupil = factories.pupil(school)
        pupil.given_name, pupil.family_name = "Prøve 05", "Elevsen"
        factories.membership(pupil, db.session.merge(world.own_class))
        return factories.enrolled(school, serial="RING1", person=pupil).id


@pytest.mark.parametrize("path", ["", "/why", "/timeline", "/orders", "/edit"])
def test_head_of_a_tablets_pages_says_whose_it_is(app: Flask, world: World, admin: Visitor, path: str) -> None:
    ringing(app, world)
    page = admin.get(f"/tablets/RING1{path}").text
    assert "Prøve 05 Elevsen · 8B · Prøveskolen" in words(page)


def test_menu_goes_from_gentle_to_hard(app: Flask, world: World, admin: Visitor) -> None:
    ringing(app, world)
    menu = admin.get("/tablets/RING1").text.partition('class="menu-of-actions"')[2].partition("</details>")[0]
    names = re.findall(r'href="/tablet-actions/([a-z-]+)\?', menu)
    assert names == ["message", "ring", "lock-message", "report-now", "restart", "open-url", "move", "lost", "retire"]  # fmt: skip
    gentle, _title, hard = menu.partition("Forsiktig: vanskelig å angre")
    assert 'class="is-hard"' not in gentle
    assert hard.count('class="is-hard"') == 2


def test_list_of_tablets_keeps_what_one_may_regret_in_a_group_of_its_own(admin: Visitor) -> None:
    page = admin.get("/tablets").text
    group = page.partition('<optgroup label="Forsiktig: vanskelig å angre">')[2].partition("</optgroup>")[0]
    assert re.findall(r'value="([a-z-]+)"', group) == ["lost", "retire", "clear-passcode", "wipe"]


def test_preview_of_a_move_names_the_pupils_who_lose_their_tablets(app: Flask, world: World, admin: Visitor) -> None:
    device = ringing(app, world)
    page = words(admin.get(f"/tablet-actions/move?id={device}").text)
    assert "Prøve 05 Elevsen mister nettbrettet." in page
    assert "RING1 Prøve 05 Elevsen · Prøveskolen" in page
    assert "mister nettbrettet" not in words(admin.get(f"/tablet-actions/ring?id={device}").text)
    assert "mister nettbrettet" not in words(admin.get(f"/tablet-actions/move?id={world.next_tablet.id}").text)
    with app.app_context(), transaction():
        school = db.session.merge(world.school)
        ids = [factories.device(school, person=factories.pupil(school), serial=f"OWN{n}X").id for n in range(6)]
    page = words(admin.get("/tablet-actions/move?" + "&".join(f"id={one}" for one in ids)).text)
    assert "6 elever mister nettbrettene sine." in page


def test_undo_of_a_message_that_was_shown_says_so_and_is_no_success(app: Flask, world: World, admin: Visitor) -> None:
    device = ringing(app, world)
    sent = {"ids": str(device), "back": "/orders", "text": "Lever nettbrettet."}
    admin.post("/tablet-actions/message", page="/orders", **sent)
    undo = re.search(r'action="(/orders/together/[^"]+)"', admin.get("/orders").text)
    assert undo is not None
    with app.app_context(), transaction():
        order = db.session.scalars(select(Order)).one()
        order.state, order.ended_at = OrderState.DONE, clock.now()
    admin.post(undo[1], page="/orders")
    page = admin.get("/orders").text
    assert "For sent: vist på 1 nettbrett." in words(page)
    assert "trukket tilbake" not in words(page.partition("<table")[0])
    assert 'data-color="warning"' in page.partition("For sent")[0].rpartition("ds-alert")[2]


def test_undo_of_an_order_that_waits_takes_it_back(app: Flask, world: World, admin: Visitor) -> None:
    device = ringing(app, world)
    admin.post("/tablet-actions/ring", page="/orders", ids=str(device), back="/orders")
    undo = re.search(r'action="(/orders/together/[^"]+)"', admin.get("/orders").text)
    assert undo is not None
    admin.post(undo[1], page="/orders")
    assert "1 ordre er trukket tilbake." in words(admin.get("/orders").text)
    admin.post(undo[1], page="/orders")
    assert "1 ordre var avsluttet allerede." in words(admin.get("/orders").text)


def test_failed_settings_are_told_once_with_why(app: Flask, world: World, admin: Visitor) -> None:
    failures = [{"key": key, "reason": "unsupported"} for key in ("camera.allowed", "clock.automatic")]
    with app.app_context(), transaction():
        device = db.session.get_one(Device, world.tablet.id)
        device.state.failures = failures
    told = "Kamera, Automatisk klokke: støttes ikke på denne typen nettbrett"
    page = words(admin.get("/tablets/OWN1").text)
    assert page.count(told) == 1
    with app.app_context(), transaction():
        visiting.finding(
            db.session.get_one(Device, world.tablet.id), FindingKind.SETTINGS_FAILED, settings=["camera.allowed"]
        )
    page = words(admin.get("/tablets/OWN1").text)
    assert page.count(told) == 1
    assert "Klarte ikke å ta i bruk" not in page
    assert "ikke klarte å ta i bruk" not in page
