"""The list of tablets in a real browser: choosing survives refreshes, a preview comes first, and there is a way back."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from fleet import clock
from fleet.assignments.assigning import Place
from fleet.db import db, transaction
from fleet.schools.models import School
from tests import factories
from tests.browser.conftest import DESKTOP, PHONE, Open, Site
from tests.browser.test_pages import violations

pytestmark = [pytest.mark.browser, pytest.mark.serves]


@pytest.fixture
def ringing(site: Site) -> Iterator[list[str]]:
    """Return the serials of three tablets at a school of their own that can be ordered, with a profile each."""
    number = clock.now().strftime("%H%M%S%f")
    with site.app.app_context(), transaction():
        school = factories.school(f"Ringeskolen {number}")
        of = factories.school_class(school, f"R{number}")
        made = [factories.enrolled(school, serial=f"RING{number}{letter}", class_id=of.id) for letter in "ABC"]
        factories.assign(
            factories.published(f"ring-{number}", **{"camera.allowed": False}), Place.school(school), now=clock.now()
        )
        serials, school_id = [one.serial for one in made], school.id
    yield serials
    with site.app.app_context(), transaction():
        db.session.get_one(School, school_id).ended_at = clock.now()


def look(page: Page) -> None:
    """Look at a page by day and night, on desk and phone."""
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], (size, scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    page.set_viewport_size(DESKTOP)


def test_chosen_tablets_stay_chosen_are_previewed_ordered_and_taken_back(
    site: Site, open_page: Open, ringing: list[str]
) -> None:
    page = open_page("/tablets", "admin")
    page.locator("#q").fill(ringing[0][:-1])
    rows = page.locator("tr[id^=tablet-]")
    expect(rows).to_have_count(3)
    page.get_by_label(f"Velg {ringing[0]}").check()
    page.get_by_label(f"Velg {ringing[2]}").check()
    with page.expect_response(lambda response: "q=RING" in response.url and response.ok):
        page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(page.get_by_label(f"Velg {ringing[0]}")).to_be_checked()
    expect(page.get_by_label(f"Velg {ringing[1]}")).not_to_be_checked()
    page.locator("#act").select_option(label="Vis en melding")
    page.get_by_role("button", name="Se først hva som skjer").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Vis en melding på 2 nettbrett")
    look(page)
    page.get_by_label("Tekst").fill("Lever nettbrettet i dag")
    page.get_by_role("button", name="Vis en melding på 2 nettbrett").click()
    page.wait_for_url(re.compile(r"/tablets\?q=RING"))
    expect(page.get_by_text("Ordren er lagt i kø for 2 nettbrett.")).to_be_visible()
    page.get_by_role("button", name="Angre").click()
    expect(page.get_by_text("2 ordrer er trukket tilbake.")).to_be_visible()
    look(page)


def test_list_is_sorted_by_its_heads_and_chosen_whole_by_one_press(open_page: Open, ringing: list[str]) -> None:
    page = open_page(f"/tablets?q={ringing[0][:-1]}", "admin")
    page.get_by_role("link", name="Serienummer").click()
    page.get_by_role("link", name="Serienummer").click()
    links = page.locator("tr[id^=tablet-] th a")
    assert links.all_inner_texts() == ringing[::-1]
    page.get_by_label("Velg alle på denne siden").check()
    assert page.locator("#pick input[name=id]:checked").count() == 3
    page.get_by_label(f"Velg {ringing[1]}").uncheck()
    assert page.locator("#pick-page").evaluate("(box) => box.indeterminate") is True


def test_one_tablet_is_acted_on_by_keyboard_and_says_what_happened(open_page: Open, ringing: list[str]) -> None:
    page = open_page(f"/tablets/{ringing[0]}", "admin")
    page.locator(".menu-of-actions summary").focus()
    page.keyboard.press("Enter")
    ring = page.get_by_role("link", name="Ring", exact=True)
    expect(ring).to_be_visible()
    look(page)
    ring.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Ring 1 nettbrett").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Ordren er lagt i kø for 1 nettbrett.")).to_be_visible()
    page.get_by_role("link", name="Tidslinje").click()
    expect(page.get_by_text("Ordre: Ring")).to_be_visible()
    look(page)
    page.get_by_role("link", name="Ordrer").last.click()
    expect(page.get_by_text("I kø")).to_be_visible()
    look(page)


def test_why_is_searched_while_one_types_and_answers_what_would_be(open_page: Open, ringing: list[str]) -> None:
    page = open_page(f"/tablets/{ringing[0]}/why", "admin")
    page.locator("#q").press_sequentially("kamera", delay=20)
    expect(page.get_by_text("1 innstilling", exact=True)).to_be_visible()
    page.locator("#class").select_option(index=1)
    expect(page.get_by_text("ingenting ville vært annerledes enn nå")).to_be_visible()
    look(page)
    page.get_by_role("link", name="Tilbake til slik det er").click()
    expect(page.get_by_text("ville vært annerledes")).to_be_hidden()


def test_box_on_top_finds_the_tablet_and_what_is_like_it(open_page: Open, ringing: list[str]) -> None:
    page = open_page("/", "admin")
    page.locator("#find").fill(ringing[1].lower())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(ringing[1])
    page.locator("#find").fill("ringeskolen")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Skoler")).to_be_visible()
    look(page)
