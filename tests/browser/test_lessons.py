"""Lessons in a real browser: accessible, living, good without a script, and good for a thumb."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

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
_LESSON = re.compile(r"/lessons/\d+$")
_SMALL = """() => [...document.querySelectorAll('main :is(a.ds-button, button, summary, select, [type=range], .chip, .tick, .big-link, .face, .set-card, .sorts a, a.pupil-name)')]
    .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 44 && !one.closest('.notice')).map((one) => one.outerHTML)"""
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
    page.get_by_role("button", name="Start økten").click()
    page.wait_for_url(_LESSON)


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


def tab_to(page: Page, name: str) -> None:
    """Go on by the keyboard until a control of this name has the focus."""
    for _step in range(60):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "[document.activeElement.textContent, document.activeElement.value].join(' ').replace(/\\s+/g, ' ').trim()"
        )
        if name in told:
            return
    pytest.fail(f"the keyboard does not come to {name}")


def test_start_running_eyes_and_over_are_accessible_and_fit_a_thumb(room: Room, open_page: Open) -> None:
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
    expect(page.locator(".figure-value")).to_contain_text("3 av 4 har økten")
    look(page)
    for name in ("Forleng", "Send", "Avslutt"):
        page.get_by_role("button", name=name, exact=True).first.click()
        look(page)
        page.keyboard.press("Escape")
    page.locator(".faces a").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Det økten låser")
    look(page)
    page.get_by_role("button", name="Lukk").click()
    page.get_by_role("button", name="Blikket på meg").click()
    expect(page.locator(".lesson-head")).to_contain_text("Blikket på meg")
    look(page)
    page.goto(room.site.address("/lessons"))
    look(page)
    page.get_by_role("link", name="Åpne økten").click()
    room.clock_ends()
    expect(page.get_by_text("Ferdig")).to_be_visible()
    look(page)
    page.goto(room.site.address("/lessons/calibration"))
    look(page)


def test_plans_and_sets_are_accessible_and_fit_a_thumb(room: Room, open_page: Open) -> None:
    page = open_page("/lessons/plans", room.username)
    look(page)
    page.get_by_role("link", name="Planlegg en økt").click()
    look(page)
    page.get_by_label("Ukedag", exact=True).select_option(label="tirsdag")
    page.get_by_label("Begynner").fill("10:00")
    page.get_by_label("Slutter").fill("10:45")
    page.get_by_role("button", name="Planlegg økten").click()
    expect(page.get_by_role("heading", name="Hver tirsdag")).to_be_visible()
    look(page)
    page.get_by_role("button", name="Hopp over").first.click()
    expect(page.get_by_text("Hold den likevel").first).to_be_visible()
    look(page)
    page.goto(room.site.address("/lessons/sets"))
    unfold(page)
    look(page)


def test_on_a_phone_a_lesson_goes_from_start_to_end_with_a_thumb(room: Room, open_page: Open) -> None:
    page = open_page("/lessons", room.username)
    page.set_viewport_size(PHONE)
    assert page.evaluate(_SMALL) == []
    page.get_by_role("link", name="7C", exact=True).click()
    expect(page.get_by_text("av 4 har økten innen 15 s")).to_be_visible()
    expect(page.get_by_role("slider", name="Varer til")).to_be_visible()
    assert page.evaluate(_SMALL) == []
    expect(page.get_by_role("button", name="Start økten")).to_be_in_viewport()  # without scrolling
    start(page)
    page.evaluate("window.sameDocument = true")
    expect(page.locator(".figure-value")).to_contain_text("0 av 4 har økten")
    room.obeyed(2)
    expect(page.locator(".figure-value")).to_contain_text("2 av 4 har økten")
    assert page.evaluate("window.sameDocument") is True
    for name in ("Blikket på meg", "Forleng", "Avslutt"):
        expect(page.get_by_role("button", name=name, exact=True).first).to_be_in_viewport()
    assert page.evaluate(_SMALL) == []
    page.get_by_role("button", name="Avslutt", exact=True).click()
    assert page.evaluate(_SMALL) == []
    page.get_by_role("button", name="Avslutt økten").click()
    expect(page.get_by_text("Ferdig", exact=True)).to_be_visible()
    assert page.evaluate(_SMALL) == []
    assert not page.evaluate(_OVERFLOWS)


def test_a_lesson_goes_from_start_to_end_by_the_keyboard(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    tab_to(page, "Start økten")
    page.keyboard.press("Enter")
    page.wait_for_url(_LESSON)
    tab_to(page, "Blikket på meg")
    page.keyboard.press("Enter")
    expect(page.locator(".lesson-head")).to_contain_text("Blikket på meg")
    tab_to(page, "Fortsett")
    page.keyboard.press("Enter")
    expect(page.locator(".lesson-head")).to_contain_text("Lesing")
    until = page.locator(".lesson-time").inner_text()
    tab_to(page, "Forleng")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Forleng økten")).to_be_focused()
    tab_to(page, "+5 min")
    page.keyboard.press("Enter")
    expect(page.locator(".notices, .notice").first).to_contain_text("Økten varer til")
    assert page.locator(".lesson-time").inner_text() != until
    tab_to(page, "Avslutt")
    page.keyboard.press("Enter")
    tab_to(page, "Avslutt økten")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Ferdig", exact=True)).to_be_visible()


def test_a_start_that_finds_no_network_is_sent_until_it_arrives_and_starts_once(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    attempts = []

    def lose(route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        attempts.append(route.request.post_data)
        if len(attempts) == 1:
            route.abort()  # it never comes to the server
        elif len(attempts) == 2:
            route.fetch()  # it comes there, but the answer does not come back
            route.abort()
        else:
            route.continue_()

    page.route(f"**{room.path}", lose)
    page.get_by_role("button", name="Start økten").click()
    net = page.locator("#net")
    expect(net).to_contain_text("Ikke sendt ennå: ingen kontakt.")
    assert violations(page) == []
    assert page.evaluate(_SMALL) == []
    net.get_by_role("button", name="Prøv nå").click()
    page.wait_for_url(_LESSON, timeout=20_000)
    assert len(attempts) == 3
    assert len(set(attempts)) == 1
    with room.site.app.app_context():
        assert db.session.query(Lesson).filter_by(class_id=room.class_id).count() == 1


def test_a_page_that_loses_the_network_says_from_when_it_is_and_comes_back(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    start(page)
    page.route("**/lessons/*?stage=*", lambda route: route.abort())
    expect(page.locator("#net")).to_contain_text("Ingen kontakt med serveren. Det du ser, er fra", timeout=20_000)
    expect(page.get_by_role("button", name="Prøv nå")).to_be_hidden()  # there is nothing to send
    page.unroute("**/lessons/*?stage=*")
    expect(page.locator("#net")).to_be_hidden(timeout=20_000)


def test_what_one_ticks_and_chooses_stays_while_the_page_lives(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    page.locator(".chip").first.click()
    page.locator("label.face", has_text="Ada").click()
    with page.expect_response(lambda response: room.path in response.url):
        pass
    page.wait_for_timeout(300)
    expect(page.locator(".chip input").first).to_be_checked()
    expect(page.get_by_label("Ada Prøve")).to_be_checked()
    start(page)
    tile = page.locator(f"#tablet-{room.device_ids[0]}")
    expect(tile).to_contain_text("borte")
    tile.get_by_role("link").click()
    page.get_by_role("dialog").get_by_role("button", name="Ta med").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(tile).to_contain_text("venter")
    expect(tile).to_be_in_viewport()


def test_a_pupils_sheet_gives_the_focus_back(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    start(page)
    link = page.locator(f"#tablet-{room.device_ids[1]} a")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("heading", name="Birk Prøve").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(link).to_be_focused()


def test_enter_in_a_choice_or_a_tick_starts_nothing(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    page.get_by_role("radio", name="Lesing").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Velg hva du vil starte med.")
    page.locator("label.face", has_text="Ada").click()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Velg hva du vil starte med.")
    expect(page.get_by_label("Ada Prøve")).to_be_checked()
    assert page.url.endswith(room.path)


def test_a_lesson_goes_from_start_to_receipt_without_a_script(room: Room, open_page: Open) -> None:
    page = open_page("/lessons", room.username, javascript=False)
    page.get_by_role("link", name="Lesing").click()
    page.get_by_text("Bare disse nettadressene", exact=True).last.click()
    page.get_by_label("Nettadresser", exact=True).fill("nrk.no\nsnl.no")
    page.get_by_role("button", name="Start med disse adressene").click()
    expect(page.get_by_text("nrk.no, snl.no").first).to_be_visible()
    page.get_by_role("button", name="Forleng").click()
    page.get_by_role("button", name="+10 min").click()
    page.get_by_role("button", name="Blikket på meg").click()
    expect(page.locator(".lesson-head")).to_contain_text("Blikket på meg")
    page.get_by_role("button", name="Send", exact=True).first.click()
    page.get_by_label("Melding til alle", exact=True).fill("Se opp")
    page.locator("#send-sheet").get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Meldingen er sendt.")).to_be_visible()
    page.get_by_role("button", name="Avslutt", exact=True).click()
    page.get_by_role("button", name="Avslutt økten").click()
    expect(page.get_by_text("Ferdig", exact=True)).to_be_visible()


def test_a_lesson_ended_by_the_clock_while_one_looks_becomes_the_receipt(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    start(page)
    room.obeyed(4)
    expect(page.locator(".figure-value")).to_contain_text("4 av 4 har økten")
    room.clock_ends()
    expect(page.get_by_role("heading", name="Ikke tilbake ennå")).to_be_visible()
    expect(page.get_by_role("button", name="Avslutt")).to_have_count(0)
    expect(page.get_by_role("button", name="Send")).to_have_count(0)


def test_refusals_are_told_where_one_is_and_accessible(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    page.get_by_text("Bare disse nettadressene", exact=True).last.click()
    page.get_by_role("button", name="Start med disse adressene").click()
    expect(page.get_by_role("alert")).to_have_text("Skriv minst én nettadresse.")
    look(page)
    start(page)
    room.clock_ends()
    page.route("**/lessons/*?stage=*", lambda route: route.abort())  # the page does not know yet
    page.get_by_role("button", name="Blikket på meg").click()
    expect(page.get_by_role("alert").first).to_contain_text("så ingenting ble endret")
    look(page)


def test_pages_are_small(room: Room, open_page: Open) -> None:
    page = open_page(room.path, room.username)
    start(page)
    size = page.evaluate(
        "async () => (await (await fetch(location.pathname + '?stage=running', {headers: {'HX-Request': 'true'}})).text()).length"
    )
    assert size < 12_000 + 1_500 * PUPILS
