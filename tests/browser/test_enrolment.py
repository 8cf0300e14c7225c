"""Enrolment in a browser: the sheet is printed again, what was opened stays open, and the focus is not lost."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from fleet import clock
from fleet.access import Principal
from fleet.db import db, transaction
from fleet.devices import codes, enrolment, tickets
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.schools.models import School
from tests import factories
from tests.browser.conftest import Open, Site
from tests.browser.test_pages import violations
from tests.enrolling import request

pytestmark = [pytest.mark.browser, pytest.mark.serves]
Comes = Callable[..., str]


@pytest.fixture
def comes(site: Site) -> Comes:
    """Return a function that has a tablet come in by a code; it gives the tablet's match code."""

    def come(code: str, serial: str, key: str) -> str:
        with site.app.app_context(), transaction():
            enrolment.enrol(request(code, serial, key=key), now=clock.now())
        return codes.match_code(key)

    return come


def make_ticket(page: Page) -> str:
    """Make a ticket on the page that asks for its number; returns the code."""
    page.locator("#number").fill("9")
    page.get_by_role("button", name="Lag billetten").click()
    return page.locator("#code").inner_text()


def refresh(page: Page) -> None:
    """Have the living part of the page come again, and wait for it."""
    with page.expect_response(lambda response: response.request.headers.get("hx-request") == "true"):
        page.evaluate("htmx.trigger('#live', 'refresh')")
    page.wait_for_timeout(200)


def test_a_sheet_is_printed_as_often_as_one_presses(site: Site, open_page: Open) -> None:
    page = open_page(f"/enrolment/new?school_id={site.world.school.id}&in=school", "admin")
    make_ticket(page)
    for _time in range(2):
        with page.context.expect_event("request", lambda sent: sent.url.endswith("/sheet")):
            page.get_by_role("button", name="Skriv ut et ark").click()
    with site.app.app_context():
        made = tickets.listed(by=Principal.command_line())
    assert len({one.request_id for one in made}) == len(made)


def test_those_that_have_not_come_stay_open_and_are_counted_anew(site: Site, open_page: Open) -> None:
    number = clock.now().strftime("%H%M%S%f")
    with site.app.app_context(), transaction():
        school = factories.school(f"Ventende skole {number}")
        for letter in "AB":
            factories.device(school, serial=f"LATE{number}{letter}", life=DeviceLife.EXPECTED, listed_at=clock.now())
        school_id = school.id
    page = open_page(f"/enrolment/new?school_id={school_id}&in=school", "admin")
    make_ticket(page)
    page.locator("#missing summary").click()
    with site.app.app_context(), transaction():
        db.session.query(Device).filter_by(serial=f"LATE{number}A").one().life = DeviceLife.LOST
    refresh(page)
    expect(page.locator("#missing summary")).to_contain_text("1 nettbrett")
    assert page.locator("#missing").evaluate("(fold) => fold.open") is True
    with site.app.app_context(), transaction():
        db.session.get_one(School, school_id).ended_at = clock.now()


def test_who_decides_by_keyboard_goes_on_with_the_next_and_hears_what_was_done(
    site: Site, open_page: Open, comes: Comes
) -> None:
    page = open_page(f"/enrolment/new?school_id={site.world.school.id}&in=school", "admin")
    code, number = make_ticket(page), clock.now().strftime("%H%M%S%f")
    for letter in "ABC":
        comes(code, f"ASK{number}{letter}", f"key-{number}-{letter}")
    page.goto(site.address("/enrolment"))
    cards = page.locator(".asking-card", has_text=f"ASK{number}")
    expect(cards).to_have_count(3)
    cards.first.get_by_role("button", name=re.compile("^Godkjenn")).focus()
    page.keyboard.press("Enter")
    expect(cards).to_have_count(2)
    expect(page.locator("#decided")).to_have_text("1 nettbrett er godkjent.")
    expect(cards.first).to_be_focused()
    assert violations(page) == []

    # The next one enrols anew in the meantime: it is told, and nothing is decided.
    anew = comes(code, f"ASK{number}B", f"key-{number}-anew")
    cards.first.get_by_role("button", name=re.compile("^Godkjenn")).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#decided")).to_contain_text("har en annen kontrollkode nå")
    expect(page.locator(".match code", has_text=anew)).to_be_visible()
    refresh(page)
    expect(page.locator("#decided")).to_contain_text("har en annen kontrollkode nå")

    for left in (1, 0):
        cards.first.get_by_role("button", name=re.compile("^Avvis")).focus()
        page.keyboard.press("Enter")
        expect(cards).to_have_count(left)
    expect(page.locator("#decided")).to_contain_text("1 nettbrett er avvist.")
    if not page.locator(".asking-card").count():
        expect(page.locator("#decided")).to_be_focused()
    with site.app.app_context():
        lives = [one.life for one in db.session.query(Device).filter(Device.serial.like(f"ASK{number}%"))]
        assert sorted(lives) == [DeviceLife.ENROLLED, DeviceLife.RETIRED, DeviceLife.RETIRED]
        assert db.session.query(Enrolment).filter(Enrolment.end_reason == "declined").count() >= 2
