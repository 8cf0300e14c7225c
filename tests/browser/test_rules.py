"""Rules and findings in a real browser: a draft is tried before it counts, a fault is pointed at, several are answered."""

import re

import pytest
from playwright.sync_api import expect

from fleet import clock
from fleet.access import Principal
from fleet.compliance import acting
from fleet.compliance.models import Finding, FindingKind
from fleet.db import db, transaction
from tests import factories, visiting
from tests.browser.conftest import PHONE, Open, Site
from tests.browser.test_pages import violations

pytestmark = [pytest.mark.browser, pytest.mark.serves]


@pytest.mark.parametrize("javascript", [True, False])
def test_rule_is_written_put_right_tried_and_thrown_away(open_page: Open, javascript: bool) -> None:
    page = open_page("/rules/new", "admin", javascript=javascript)
    page.get_by_label("Tittel").fill("Gammelt system hos oss")
    page.locator("#condition").fill("older(os.versoin, '99.0')")
    page.locator("button[value=try]:visible").click()
    expect(page.locator("#condition-fault")).to_have_text(
        "Tegn 10: nettbrett har ikke noe felt «os.versoin». Mente du «version»?"
    )
    assert page.locator("pre.caret mark").inner_text() == "versoin"
    if javascript:
        expect(page.locator("#problem")).to_be_focused()
        assert page.evaluate("document.getElementById('condition').selectionStart") == 9
        assert violations(page) == []
    page.locator("#condition").fill("older(os.version, '99.0')")
    page.locator("button[value=try]:visible").click()
    expect(page.get_by_role("heading", name=re.compile(r"Ville åpnet \d+ funn\."))).to_be_visible()
    page.get_by_label("Serie- eller inventarnummeret til ett nettbrett").fill("tag-own")
    page.get_by_role("button", name="Prøv på dette nettbrettet").click()
    expect(page.get_by_role("heading", name="OWN1 ville fått 1 funn.")).to_be_visible()
    page.get_by_text("Det betingelsen ser av dette nettbrettet").first.click()
    expect(page.locator("pre.document")).to_contain_text('"platform": "ipados"')
    assert page.get_by_label("Tittel").input_value() == "Gammelt system hos oss"
    if javascript:
        assert violations(page) == []
        page.set_viewport_size(PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_field_of_the_help_is_put_where_one_writes(open_page: Open) -> None:
    page = open_page("/rules/new", "admin")
    page.locator("#condition").fill("older(, '17.0')")
    page.evaluate("document.getElementById('condition').setSelectionRange(6, 6)")
    page.locator("#help-os > summary").click()
    page.get_by_role("button", name="os.version", exact=True).click()
    expect(page.locator("#condition")).to_have_value("older(os.version, '17.0')")
    expect(page.locator("#condition")).to_be_focused()


def _add(site: Site, number: int) -> list[int]:
    """Open findings at new tablets; returns their numbers."""
    with site.app.app_context(), transaction():
        for device in factories.tablets(db.session.merge(site.world.school), number):
            visiting.finding(device, FindingKind.CERTIFICATE_ENDING)
        rows = db.session.query(Finding).filter_by(kind=FindingKind.CERTIFICATE_ENDING, closed_at=None)
        return sorted(one.id for one in rows)[-number:]


@pytest.mark.parametrize("javascript", [True, False])
def test_several_findings_are_acknowledged_and_it_is_taken_back(site: Site, open_page: Open, javascript: bool) -> None:
    ids = _add(site, 3)
    page = open_page("/findings?kind=certificate-ending&attention=needs", "it", javascript=javascript)
    before = page.locator("tr[id^=finding-]").count()
    for one in ids[:2]:
        page.locator(f"#pick-{one}").check()
    page.get_by_label("Notat").fill("Meldt inn")
    if javascript:
        with page.expect_response(re.compile("/findings")):
            page.evaluate("htmx.trigger(document.getElementById('live'), 'refresh')")
        expect(page.locator(f"#pick-{ids[0]}")).to_be_checked()
        expect(page.get_by_label("Notat")).to_have_value("Meldt inn")
        assert violations(page) == []
    page.get_by_role("button", name="Kvitter for", exact=True).click()
    expect(page.get_by_text("2 funn er kvittert for.")).to_be_visible()
    expect(page.locator("tr[id^=finding-]")).to_have_count(before - 2)
    page.get_by_role("button", name="Angre").click()
    expect(page.locator("tr[id^=finding-]")).to_have_count(before)
    page.goto(site.address(f"/findings/{ids[0]}"))
    expect(page.locator(".timeline")).to_contain_text("Meldt inn")


def test_tablets_page_closes_a_finding_and_opens_it_again(site: Site, open_page: Open) -> None:
    one = _add(site, 1)[0]
    with site.app.app_context(), transaction():
        serial = db.session.get_one(Finding, one).device.serial
        acting.acknowledge([one], "Sett", by=Principal.command_line(), now=clock.now())
    page = open_page(f"/tablets/{serial}", "it")
    page.set_viewport_size(PHONE)
    page.locator(f"#answer-{one} > summary").click()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator(f"#answer-{one}").get_by_role("button", name="Lukk funnet").click()
    expect(page.get_by_text("Lukket for hånd").first).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name=re.compile("Åpne igjen")).click()
    expect(page.locator(f"#finding-{one}")).to_be_visible()
