"""A package is sent by the page of apps: with its script, and without."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import apks
from tests.browser.conftest import Open

BUTTON = "form[data-upload] button"


@pytest.mark.parametrize("javascript", [False, True])
def test_a_package_is_sent_and_what_is_none_is_refused_beside_the_file(
    open_page: Open, tmp_path: Path, *, javascript: bool
) -> None:
    page: Page = open_page("/apps", "admin", javascript=javascript)
    page.set_input_files("#file", apks.apk(tmp_path / "tavle.apk", code=8 + javascript))
    page.click(BUTTON)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Tavla")
    expect(page.locator("main")).to_contain_text("tavle.apk")
    page.locator("nav a[href='/apps']:visible").first.click()
    (tmp_path / "tekst.apk").write_text("no package")
    page.set_input_files("#file", tmp_path / "tekst.apk")
    page.click(BUTTON)
    expect(page.locator("form[data-upload] .fault:visible")).to_have_count(1)
