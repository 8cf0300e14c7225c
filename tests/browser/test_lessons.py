"""Lessons in a real browser: accessible, living, good without a script, and good for a thumb."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from fleet import clock
from fleet.access import Role
from fleet.db import db, transaction
from fleet.lessons import sharing
from fleet.lessons.models import Lesson, SetKind
from fleet.people import accounts
from fleet.schools.models import MembershipRole, SchoolClass
from tests import factories, lessons, visiting
from tests.browser.conftest import DESKTOP, PHONE, Open, Site
from tests.browser.test_pages import violations

pytestmark = [pytest.mark.browser, pytest.mark.serves]

PUPILS = 6
_SMALL = """() => [...document.querySelectorAll('main :is(a.ds-button, button, summary, .chip, .tick, .big-link, select)')]
    .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 44).map((one) => one.outerHTML)"""
_OVERFLOWS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@dataclass
class Room:
    """A class whose teacher may teach at any hour, as a browser's clock is the real one."""

    site: Site
    username: str
    class_id: int
    device_ids: Sequence[int]

    @property
    def path(self) -> str:
        """The page where a lesson is started."""
        return f"/classes/{self.class_id}/lesson"

    def obeyed(self, count: int, **told: Any) -> None:
        """Have the first tablets report that they have what they shall have."""
        with self.site.app.app_context(), transaction():
            lessons.obeyed(self.device_ids[:count], now=clock.now(), **told)

    def clock_ends(self) -> None:
        """Let the lesson's time be over."""
        with self.site.app.app_context(), transaction():
            for one in db.session.query(Lesson).filter_by(class_id=self.class_id, ended_at=None):
                one.ends_at = clock.now()


_number = iter(range(1, 1_000))


@pytest.fixture
def room(site: Site) -> Iterator[Room]:
    """Return a class of its own for each test; two tablets of six were not heard from today."""
    username, now = f"vikar{next(_number)}", clock.now()
    with site.app.app_context(), transaction():
        school = factories.school(f"Skolen til {username}")
        of = factories.school_class(school, "7C")
        person = factories.employee(username, school)
        factories.membership(person, of, role=MembershipRole.TEACHER)
        roles = ((Role.TEACHER, school), (Role.SCHOOL_IT, school))
        factories.account(username, *roles, of=person).password_hash = visiting.password_hash()
        devices = []
        for name in ("Ada", "Birk", "Cora", "Dag-Håkon Alexander Konstantin", "Eira", "Frøya")[:PUPILS]:
            pupil = factories.pupil(school)
            pupil.given_name = name
            factories.membership(pupil, of)
            devices.append(factories.enrolled(school, person=pupil))
            factories.told(
                devices[-1], at=now, apps=["no.example.paint", "no.example.an.app.of.a.very.long.name.indeed"]
            )
        lessons.seen([one.id for one in devices[:4]], at=now, now=now)
        lessons.seen([devices[4].id], at=now - timedelta(days=3), now=now)
        by = accounts.principal(accounts.find("admin"), today=now.date())
        sharing.share(school=school, title="Lesing", kind=SetKind.WEB, hosts=["nb.no"], by=by, now=now)
        made = Room(site, username, of.id, [one.id for one in devices])
    yield made
    with site.app.app_context(), transaction():
        db.session.get_one(SchoolClass, made.class_id).ended_at = clock.now()


def start(page: Page) -> None:
    """Start a lesson by the second tap."""
    page.get_by_role("button", name="Lesing").click()
    page.wait_for_url(re.compile(r"/lessons/\d+$"))


def look(page: Page) -> None:
    """Look at a page by day and night, on desk and phone."""
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], (page.url, size, scheme)
            assert not page.evaluate(_OVERFLOWS), (page.url, size)
    assert page.evaluate(_SMALL) == [], page.url


def unfold(page: Page) -> None:
    """Open every fold."""
    closed = page.locator("main details:not([open]) > summary")
    while closed.count():
        closed.first.click()


def test_every_page_is_accessible_and_fits_a_thumb(room: Room, open_page: Open) -> None:
    page = open_page("/lessons", room.username)
    look(page)
    page.goto(room.site.address(room.path))
    unfold(page)
    look(page)
    page.goto(room.site.address(room.path))
    start(page)
    unfold(page)
    look(page)
    room.obeyed(3, failures=[{"key": "web.allowed", "reason": "unsupported"}])
    expect(page.locator(".figure-value")).to_contain_text("3 av 4 har økten", timeout=40_000)
    look(page)
    page.goto(room.site.address("/lessons"))
    look(page)
    page.get_by_role("link", name="Åpne økten").click()
    room.clock_ends()
    expect(page.get_by_text("Ferdig")).to_be_visible(timeout=40_000)
    look(page)
    page.goto(room.site.address("/lessons/calibration"))
    look(page)


def test_two_taps_start_a_lesson_and_the_tablets_are_seen_to_arrive(room: Room, open_page: Open) -> None:
    page = open_page("/lessons", room.username)
    page.set_viewport_size(PHONE)
    page.get_by_role("link", name="7C", exact=True).click()
    expect(page.get_by_text("av 4 har økten innen 15 s")).to_be_visible()
    start(page)
    page.evaluate("window.sameDocument = true")
    expect(page.locator(".figure-value")).to_contain_text("0 av 4 har økten")
    room.obeyed(2)
    expect(page.locator(".figure-value")).to_contain_text("2 av 4 har økten", timeout=40_000)
    assert page.evaluate("window.sameDocument") is True


def test_what_one_ticks_and_chooses_stays_while_the_page_lives(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    page.locator(".chip").first.click()
    page.get_by_text("Hvem som er her").click()
    page.get_by_label("Ada").check()
    with page.expect_response(lambda response: response.url.endswith(room.path), timeout=40_000):
        pass
    page.wait_for_timeout(300)
    expect(page.locator(".chip input").first).to_be_checked()
    expect(page.get_by_label("Ada")).to_be_checked()
    start(page)
    row = page.locator(f"#tablet-{room.device_ids[0]}")
    expect(row).to_contain_text("Borte")
    row.get_by_role("button", name="Ta med").click()
    expect(row.get_by_role("button", name="Slipp fri")).to_be_visible()
    expect(row).to_be_in_viewport()


def test_enter_in_a_choice_or_a_tick_starts_nothing(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    page.locator(".chip input").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Velg hva du vil starte med.")
    page.get_by_text("Hvem som er her").click()
    page.get_by_label("Ada").check()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_label("Ada")).to_be_checked()
    assert page.url.endswith(room.path)


def test_a_lesson_goes_from_start_to_receipt_without_a_script(room: Room, open_page: Open) -> None:
    page = open_page("/lessons", room.username, javascript=False)
    page.get_by_role("link", name="Lesing").click()
    page.get_by_text("Bare disse nettadressene", exact=True).last.click()
    page.get_by_label("Nettadresser", exact=True).fill("nrk.no\nsnl.no")
    page.get_by_role("button", name="Start med disse adressene").click()
    expect(page.get_by_text("nrk.no, snl.no").first).to_be_visible()
    page.get_by_role("button", name="+10 min").click()
    page.get_by_role("button", name="Blikket på meg").click()
    expect(page.locator(".lesson-head")).to_contain_text("Blikket på meg")
    page.get_by_text("Send en melding").click()
    page.get_by_label("Melding", exact=True).fill("Se opp")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("status").first).to_have_text("Meldingen er sendt.")
    page.get_by_role("button", name="Avslutt økten").click()
    expect(page.get_by_text("Ferdig")).to_be_visible()


def test_a_lesson_ended_by_the_clock_while_one_looks_becomes_the_receipt(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    start(page)
    room.obeyed(4)
    expect(page.locator(".figure-value")).to_contain_text("4 av 4 har økten", timeout=40_000)
    room.clock_ends()
    expect(page.get_by_role("heading", name="Ikke tilbake ennå")).to_be_visible(timeout=40_000)
    expect(page.get_by_role("button", name="Avslutt økten")).to_have_count(0)
    expect(page.get_by_text("Send en melding")).to_have_count(0)


def test_refusals_are_told_where_one_is_and_accessible(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    page.get_by_text("Bare disse nettadressene", exact=True).last.click()
    page.get_by_role("button", name="Start med disse adressene").click()
    expect(page.get_by_role("alert")).to_have_text("Skriv minst én nettadresse.")
    look(page)
    start(page)
    room.clock_ends()
    page.route("**/lessons/*?stage=*", lambda route: route.abort())  # the page does not know yet
    page.get_by_role("button", name="+5 min").click()
    expect(page.get_by_role("alert")).to_contain_text("så ingenting ble endret")
    look(page)


def test_pages_are_small(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    start(page)
    size = page.evaluate(
        "async () => (await (await fetch(location.pathname + '?stage=running', {headers: {'HX-Request': 'true'}})).text()).length"
    )
    assert size < 12_000 + 1_500 * PUPILS
