"""How Android tablets come in, in a browser: one code at a time, large enough to scan, for everybody."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from fleet import clock
from fleet.access import Principal
from fleet.android.addresses import AGENT_APP
from fleet.apps import catalogue
from fleet.assignments.assigning import Place
from fleet.db import db, transaction
from fleet.devices import life, queries
from fleet.devices.models import Platform
from fleet.schools.models import School
from tests import factories
from tests.android import agent_package
from tests.browser.conftest import DESKTOP, PHONE, Open, Site
from tests.browser.test_enrolment import make_ticket
from tests.browser.test_pages import violations

pytestmark = [pytest.mark.browser, pytest.mark.serves]
_CLI = Principal.command_line()
_WIFI = [{"ssid": "skole-elev", "security": "wpa2", "password": "meget hemmelig"}]
_SMALLEST_SQUARE = 2.4  # in the page's pixels: on a phone's screen each has several dots


@pytest.fixture(scope="module", autouse=True)
def school_id(site: Site) -> Iterator[int]:
    """Return a school that has a network, on a server that has the agent; both are gone afterwards."""
    with site.app.app_context(), transaction():
        school = factories.school("Androidskolen")
        agent_package()
        factories.assign(factories.published("nett-android", **{"wifi.networks": _WIFI}), Place.school(school))
        factories.enrolled(school, channel="headwind", serial="DROID1", platform=Platform.ANDROID)
        number = school.id
    yield number
    with site.app.app_context(), transaction():
        db.session.get_one(School, number).ended_at = clock.now()
        life.step(queries.find_device("DROID1", by=_CLI), "retire", by=_CLI, now=clock.now())
        catalogue.remove(catalogue.find(AGENT_APP, Platform.ANDROID), by=_CLI, now=clock.now())


def expect_code(page: Page, called: str) -> None:
    """Wait until one code is seen, and it is called so."""
    page.wait_for_function(
        """(called) => {
          const seen = [...document.querySelectorAll(".qr-frame")].filter((one) => one.checkVisibility());
          return seen.length === 1 && seen[0].ariaLabel.includes(called);
        }""",
        arg=called,
    )


def test_one_code_is_seen_at_a_time_and_is_large_enough_to_scan(school_id: int, open_page: Open) -> None:
    page = open_page(f"/enrolment/new?school_id={school_id}&in=school", "admin")
    make_ticket(page)
    expect_code(page, "Billettens QR-kode")
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        if not page.locator("#android").evaluate("(fold) => fold.open"):
            page.locator("#android > summary").click()
        expect_code(page, "Android")
        page.locator("#android details[name=network] > summary").last.click()
        expect_code(page, "skole-elev")
        picture = page.locator("#android details[open][name=network] svg")
        squares, box = picture.evaluate("(one) => one.viewBox.baseVal.width"), picture.bounding_box()
        assert box is not None
        assert box["width"] / squares >= _SMALLEST_SQUARE, size
        page.locator("#android details[name=network] > summary").first.click()
        page.locator("#android details:not([name]) > summary").click()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], (size, scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        page.locator("#android details:not([name]) > summary").click()


def test_the_commands_are_copied_and_that_is_said_beside_the_button(school_id: int, open_page: Open) -> None:
    page = open_page(f"/enrolment/new?school_id={school_id}&in=school", "admin")
    make_ticket(page)
    page.locator("#android > summary").click()
    page.locator("#android details:not([name]) > summary").click()
    button = page.locator("button[data-copies=android-commands]")
    button.click()
    expect(button.locator("xpath=..").get_by_role("status")).to_have_text("Kopiert")


def test_the_admin_password_is_asked_for_and_read_by_everybody(open_page: Open) -> None:
    page = open_page("/tablets/DROID1", "admin")
    page.locator("a[href$='/admin-password']").click()
    for reason in ("fordi", "innstillinger må rettes for hånd"):
        page.locator("#reason").fill(reason)
        page.locator("main form button").click()
        page.wait_for_load_state()
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert violations(page) == [], (reason, size, scheme)
                assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    expect(page.locator("#password")).to_be_visible()
