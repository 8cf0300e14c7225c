"""Apps and home screen in the open agent's configuration: what is installed, shown, closed; the agent's traps."""

import pytest

from fleet.channels.headwind import known_packages
from profiles.android import CHROME, NEEDED
from tests import headwind_reader as reader
from tests.headwind_made import (
    CAMERA,
    FIREFOX,
    MATHS,
    PAINT,
    READING,
    SETTINGS,
    app_of,
    locked,
    made,
    package,
    shown,
    unlocked,
)

# -- apps -----------------------------------------------------------------------------------------------------------


def test_a_required_app_has_its_package_and_is_shown() -> None:
    found = app_of(made({"apps.required": [MATHS]}), MATHS)
    assert (found["version"], found["code"], found["showIcon"]) == ("1.2.3", 123, True)
    assert found["url"].endswith(".apk")
    assert found["name"] == "Matte"


def test_a_required_app_without_a_package_is_shown_where_it_is_installed_already() -> None:
    found = app_of(made({"apps.required": [PAINT]}), PAINT)
    assert (found["version"], found["showIcon"], "url" in found) == ("0", True, False)


def test_an_app_that_is_not_required_is_never_installed() -> None:
    assert "url" not in app_of(made({}), MATHS)


@pytest.mark.parametrize(
    ("version", "code", "expected"),
    [
        ("0", 7, ("7.0", 7)),
        ("", 7, ("7.0", 7)),
        ("2.0", 2**31, ("2.0", None)),
        ("2.0", 5 * 2**32 + 7, ("2.0", 7)),
        ("2.0", 0, ("2.0", None)),
    ],
)
def test_a_version_is_never_missing_nor_any_and_its_code_fits_an_int(
    version: str, code: int, expected: tuple[str, int | None]
) -> None:
    found = app_of(made({"apps.required": [MATHS]}, packages={MATHS: package(MATHS, version, code)}), MATHS)
    assert (found["version"], found.get("code")) == expected


def test_a_blocked_app_is_closed_and_gets_no_address() -> None:
    found = made({"apps.required": [MATHS], "apps.blocked": [MATHS]})
    assert MATHS in locked(found)
    assert MATHS in found.hidden
    assert (app_of(found, MATHS)["showIcon"], "url" in app_of(found, MATHS)) == (False, False)


def test_an_app_is_given_an_address_only_once_it_is_open_in_force() -> None:
    settling = made({"apps.required": [MATHS]}, hidden={MATHS})
    assert MATHS in unlocked(settling)
    assert "url" not in app_of(settling, MATHS)
    settled = made({"apps.required": [MATHS]}, hidden=settling.hidden)
    assert "url" in app_of(settled, MATHS)


def test_what_was_hidden_and_nobody_knows_any_more_is_opened() -> None:
    assert "no.example.forgotten" in unlocked(made({}, hidden={"no.example.forgotten"}))


def test_only_these_apps_are_shown_and_all_others_that_are_known_closed() -> None:
    found = made({"apps.allowed": [MATHS, SETTINGS]})
    assert shown(found) == [SETTINGS, MATHS]
    assert {PAINT, READING, CHROME, CAMERA, "com.android.vending", "com.google.android.youtube"} <= locked(found)
    assert not NEEDED & locked(found)


def test_no_apps_at_all_may_be_allowed() -> None:
    found = made({"apps.allowed": []})
    assert shown(found) == []
    assert locked(found) >= {MATHS, READING, PAINT} | known_packages.ALL


def test_a_required_app_that_is_not_allowed_is_listed_but_closed() -> None:
    found = made({"apps.required": [MATHS], "apps.allowed": [READING]})
    assert (app_of(found, MATHS)["showIcon"], MATHS in locked(found)) == (False, True)


def test_one_app_in_front_closes_the_others() -> None:
    found = made({"kiosk.app": MATHS, "apps.required": [MATHS, READING]})
    assert shown(found) == [MATHS]
    assert {READING, PAINT, CHROME} <= locked(found)


def test_what_a_tablet_needs_is_never_closed() -> None:
    found = made({"apps.blocked": [SETTINGS, reader.AGENT, "com.google.android.gms"]})
    assert locked(found) == set()
    assert SETTINGS not in shown(found)
    assert not known_packages.ALL & NEEDED


def test_without_a_camera_the_cameras_we_know_are_closed_too() -> None:
    found = made({"camera.allowed": False, "apps.allowed": [CAMERA]})
    assert "no_camera" in found.data["restrictions"].split(",")
    assert CAMERA in locked(found)
    assert shown(found) == []


def test_ids_of_another_kind_of_tablet_are_left_out() -> None:
    found = made({"apps.required": ["com.apple.Pages", "no.example.my-app"], "apps.blocked": ["com.apple.news"]})
    named = {app["pkg"] for app in found.data["applications"]} | locked(found) | unlocked(found)
    assert not {"com.apple.Pages", "no.example.my-app", "com.apple.news"} & named


# -- the home screen ------------------------------------------------------------------------------------------------


def test_nobody_is_left_before_an_empty_home_screen() -> None:
    assert {CHROME, SETTINGS, CAMERA, "com.android.vending", MATHS, READING, PAINT} <= set(shown(made({})))
    assert "com.android.vending" not in shown(made({"apps.installation_allowed": False}))


def test_icons_stand_as_the_home_screen_says_then_what_is_required_then_the_rest() -> None:
    pages = [{"page": 2, "apps": [PAINT]}, {"page": 1, "apps": [READING, MATHS]}]
    found = made({"home_screen.pages": pages, "home_screen.dock": [MATHS], "apps.required": [FIREFOX]})
    assert shown(found)[:4] == [MATHS, READING, PAINT, FIREFOX]
    assert [app["pkg"] for app in found.data["applications"] if app.get("bottom")] == [MATHS]


def test_a_shortcut_is_a_page_with_a_package_of_its_own() -> None:
    clips = [
        {"title": "NRK", "url": "nrk.no/a b", "icon": "skole"},
        {"title": "NRK 2", "url": "HTTPS://nrk.no"},
    ]
    found = [app for app in made({"web.bookmarks": clips}).data["applications"] if app["type"] == "web"]
    assert [app["url"] for app in found] == ["https://nrk.no/a%20b", "https://nrk.no"]
    assert [app["iconText"] for app in found] == ["NRK", "NRK 2"]
    assert len({app["pkg"] for app in found}) == 2
    assert found[0]["icon"].startswith("https://skole.example.no/hw-images/")
    assert found[1]["icon"] is None


def test_shortcuts_stand_only_where_a_browser_is_open() -> None:
    clips = [{"title": "NRK", "url": "nrk.no"}]
    for allowed, count in (([MATHS], 0), ([MATHS, CHROME], 1)):
        found = made({"web.bookmarks": clips, "apps.allowed": allowed}).data["applications"]
        assert len([app for app in found if app["type"] == "web"]) == count


def test_the_text_over_the_icons_is_ours_even_where_it_has_a_word_of_the_agents() -> None:
    data = made({"lock_screen.message": "Si imei og deviceId"}).data
    assert data["title"] == "description"
    assert "imei" not in data["description"]
    assert data["description"].replace("\u2060", "") == "Si imei og deviceId"
    assert made({}).data["description"] == "Fjordvik kommune"
    assert made({}, organisation=None).data["title"] == "none"
