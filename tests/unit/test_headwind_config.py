"""Settings as the open agent's configuration: total over the vocabulary, right by the strict reader, and its traps."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from fleet.channels.headwind.means import CARRIED_BY, Means
from fleet.channels.headwind.server_config import LOST, Closed, Made, closed_config
from fleet.devices.models import DeviceLife
from profiles import android
from profiles.android import CHROME, NEEDED
from profiles.key import HEADWIND
from profiles.layering import effective
from profiles.vocabulary import VOCABULARY
from tests import headwind_reader as reader
from tests.apple_settings import edges, whole
from tests.headwind_made import (
    FIREFOX,
    MATHS,
    PAINT,
    PROFILE,
    app_of,
    judged,
    locked,
    made,
    package,
    setting,
    shown,
    unlocked,
)
from tests.unit.profiles import strategies


def chrome(settings: Mapping[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(setting(made(settings), CHROME, "managedConfig"))
    return read


# -- total over the vocabulary --------------------------------------------------------------------------------------


def test_every_setting_for_android_has_its_means_and_no_other_has() -> None:
    assert CARRIED_BY.keys() == {name for name, key in VOCABULARY.items() if HEADWIND in key.sources}
    assert set(CARRIED_BY.values()) == set(Means)


def _changes(name: str) -> bool:
    plain, values = made({}).data, edges(VOCABULARY[name].kind)
    if name == "time_zone.name":
        values = ["Europe/Oslo"]
    kind = VOCABULARY[name].kind
    return any(made({name: kind.normalise(value)}).data != plain for value in values)


@pytest.mark.parametrize("name", VOCABULARY)
def test_a_setting_changes_the_configuration_where_it_names_a_source_there(name: str) -> None:
    is_carried = CARRIED_BY.get(name, Means.REPORT) not in {Means.REPORT, Means.SET_UP}
    assert _changes(name) == is_carried


@pytest.mark.parametrize(
    "name", [name for name, key in VOCABULARY.items() if isinstance(key.default, bool) and name in CARRIED_BY]
)
def test_what_a_tablet_does_by_itself_asks_nothing(name: str) -> None:
    assert made({name: VOCABULARY[name].default}).data == made({}).data


# -- right by the strict reader -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VOCABULARY)
def test_every_setting_with_every_kind_of_value_is_right(name: str) -> None:
    kind = VOCABULARY[name].kind
    for value in edges(kind):
        made({name: kind.normalise(value)}, packages={"no.eksempel.app": package("no.eksempel.app")})


def test_all_settings_together_are_right() -> None:
    for settings in whole():
        made(settings)
        made(settings, is_small=True)


@given(strategies.settings(), strategies.settings())
def test_any_settings_after_any_others_are_right(before: dict[str, Any], after: dict[str, Any]) -> None:
    packages = {app: package(app) for app in strategies.APPS}
    first = made(before, packages=packages)
    second = made(after, packages=packages, hidden=first.hidden)
    assert second.hidden == locked(second)
    assert first.hidden - second.hidden <= unlocked(second)
    hidden_now = first.hidden | second.hidden
    assert not [app for app in second.data["applications"] if app["pkg"] in hidden_now and app.get("url")]
    settled = made(after, packages=packages, hidden=second.hidden)
    assert settled.hidden == second.hidden


@given(strategies.layers())
def test_any_layers_give_a_right_configuration_and_the_same_again(layers: list[Any]) -> None:
    settings = effective(layers).settings
    assert made(settings).data == made({name: settings[name] for name in reversed(list(settings))}).data


# -- what always stands there ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"bluetooth.allowed": False, "kiosk.app": MATHS}])
@pytest.mark.parametrize("is_small", [True, False])
def test_what_the_agent_needs_always_stands_there(settings: dict[str, Any], is_small: bool) -> None:
    data = made(settings, is_small=is_small).data
    assert data["pushOptions"] == "polling"
    assert data["password"] == hashlib.md5(b"eple-sau").hexdigest().upper()  # noqa: S324 (the agent's)
    assert data["appPermissions"] == "denylocation"
    assert data["disableLocation"] is True
    assert {"no_safe_boot", "no_config_location"} <= set(data["restrictions"].split(","))
    assert (data["kioskMode"], data["showWifi"]) == (False, False)
    assert data["newServerUrl"] == "https://skole.example.no/hw-tabc"


def test_the_first_configuration_is_small() -> None:
    settings = {"apps.required": [MATHS], "camera.allowed": False, "web.safe_search": True, "apps.allowed": [MATHS]}
    found = made(settings, is_small=True, number="another", hidden={PAINT})
    assert not any(found.data[name] for name in ("applications", "files", "applicationSettings", "actions"))
    assert "newNumber" not in found.data
    assert "no_camera" in found.data["restrictions"].split(",")
    assert found.hidden == {PAINT}


def test_the_agent_itself_carries_the_mark_of_the_profile() -> None:
    found = made({})
    assert app_of(found, reader.AGENT) == {
        "type": "app", "name": f"fleet:{PROFILE}", "pkg": reader.AGENT, "version": "0", "showIcon": False,
    }  # fmt: skip
    assert reader.AGENT not in {app["pkg"] for app in made({}, profile=None).data["applications"]}


@pytest.mark.parametrize(
    ("number", "serial", "expected"),
    [("R52X", "R52X", None), ("imei-1", "R52X", "R52X"), ("imei-1", "R52/X", None)],
)
def test_a_tablet_that_calls_itself_otherwise_is_renamed(number: str, serial: str, expected: str | None) -> None:
    assert made({}, number=number, serial=serial).data.get("newNumber") == expected


def test_orders_are_flags_and_a_notice_stands_over_everything() -> None:
    data = made({}, wipe=True, restart=True, clears_passcode=True, notice="Se hit").data
    assert (data["factoryReset"], data["reboot"], data["passwordReset"]) == (True, True, "")
    assert (data["lock"], data["lockMessage"]) == (True, "Se hit")
    plain = made({}).data
    assert (plain["factoryReset"], plain["reboot"], plain["lock"], plain["lockMessage"]) == (False, False, False, None)
    assert "passwordReset" not in plain


# -- policies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"usbStorage": False, "bluetooth": None, "timeZone": "auto", "autoBrightness": None, "systemUpdateType": 0}),
        ({"usb.storage_allowed": False}, {"usbStorage": True}),
        ({"bluetooth.allowed": False}, {"bluetooth": False}),
        ({"bluetooth.allowed": True}, {"bluetooth": None}),
        ({"screenshots.allowed": False}, {"disableScreenshots": True}),
        ({"display.brightness_percent": 100}, {"autoBrightness": False, "brightness": 255}),
        ({"display.brightness_percent": 5, "display.auto_brightness": True}, {"autoBrightness": True, "brightness": 13}),
        ({"passcode.auto_lock_minutes": 10}, {"manageTimeout": True, "timeout": 600}),
        ({"sound.volume_max_percent": 0}, {"manageVolume": True, "volume": 0, "lockVolume": False}),
        ({"sound.locked": True}, {"manageVolume": False, "lockVolume": True}),
        ({"time_zone.name": "Europe/Oslo"}, {"timeZone": "Europe/Oslo"}),
        ({"time_zone.name": "Oslo"}, {"timeZone": "auto"}),
        ({"passcode.required": True}, {"passwordMode": "present"}),
        ({"os_update.deferral_days": 30}, {"systemUpdateType": 3}),
        ({"os_update.deferral_days": 0}, {"systemUpdateType": 0}),
        ({"os_update.window": {"from": "22:00", "until": "05:00"}, "os_update.deferral_days": 30},
         {"systemUpdateType": 2, "systemUpdateFrom": "22:00", "systemUpdateTo": "05:00"}),
        ({"apps.update_window": {"from": "17:00", "until": "06:00"}}, {"appUpdateFrom": "17:00", "appUpdateTo": "06:00"}),
        ({"wallpaper.image": "x"}, {"backgroundImageUrl": f"https://skole.example.no/hw-images/{hashlib.sha256(b'x').hexdigest()}"}),
    ],
)  # fmt: skip
def test_a_policy_says_what_the_agent_does_in_its_units(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected.items() <= made(settings).data.items()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"factory_reset.allowed": False}, {"no_factory_reset"}),
        ({"wifi.only_known": True}, {"no_config_wifi"}),
        ({"clock.automatic": True}, {"no_config_date_time"}),
        ({"sharing.nearby_allowed": False}, {"no_bluetooth_sharing", "no_outgoing_beam"}),
        ({"bluetooth.allowed": False}, {"no_bluetooth"}),
        ({"factory_reset.allowed": True, "wifi.only_known": False}, set()),
    ],
)
def test_restrictions_are_one_text_without_spaces(settings: dict[str, Any], expected: set[str]) -> None:
    told = made(settings).data["restrictions"].split(",")
    assert set(told) == expected | {"no_safe_boot", "no_config_location"}


def test_a_proxy_that_is_gone_is_taken_away() -> None:
    assert setting(made({"proxy.server": "filter.no:80"}), reader.AGENT, "proxy") == "filter.no:80"
    assert setting(made({}), reader.AGENT, "proxy") == "0"
    assert setting(made({"proxy.server": "filter.no"}), reader.AGENT, "proxy") == "0"


# -- the web --------------------------------------------------------------------------------------------------------


def test_chrome_is_told_the_rules_of_the_web_and_to_forget_those_that_are_gone() -> None:
    assert chrome({}) == {}
    assert chrome({"web.allowed": ["nrk.no"]}) == {"URLBlocklist": ["*"], "URLAllowlist": [".nrk.no", ".www.nrk.no"]}
    assert chrome({"web.blocked": ["*.x.com"]}) == {"URLBlocklist": ["x.com"]}
    assert chrome(
        {
            "web.adult_filter": True, "web.safe_search": True, "web.private_browsing_allowed": False,
            "web.popups_allowed": False, "web.autofill_allowed": False, "web.cookies": "visited-sites",
        }
    ) == {
        "SafeSitesFilterBehavior": 1, "ForceGoogleSafeSearch": True, "IncognitoModeAvailability": 1,
        "DefaultPopupsSetting": 2, "PasswordManagerEnabled": False, "BlockThirdPartyCookies": True,
    }  # fmt: skip
    assert chrome({"web.cookies": "never"}) == {"DefaultCookiesSetting": 2}


@pytest.mark.parametrize(
    "settings",
    [{"web.allowed": []}, {"web.blocked": ["x.com"]}, {"web.adult_filter": True}, {"web.safe_search": True}],
)
def test_where_the_web_has_rules_other_browsers_are_closed(settings: dict[str, Any]) -> None:
    found = made({**settings, "apps.required": [FIREFOX]})
    assert locked(found) == android.BROWSERS - {CHROME}
    assert CHROME in shown(found)
    assert FIREFOX not in shown(found)
    assert FIREFOX in unlocked(made({"web.blocked": [], "web.safe_search": False}))


# -- tablets that nobody shall use ----------------------------------------------------------------------------------


def closed(life: DeviceLife, **other: Any) -> Made:
    given: dict[str, Any] = {
        "life": life, "known": {MATHS}, "hidden": {PAINT}, "number": "R52X", "serial": "R52X", "password": "eple-sau",
        "new_server_url": None, "wipe": False, "message": None, "phone": None, "organisation": "Fjordvik kommune",
    }  # fmt: skip
    found = closed_config(Closed(**{**given, **other}))
    judged(found)
    return found


@pytest.mark.parametrize("life", DeviceLife)
def test_a_closed_tablet_is_never_without_restrictions_nor_has_it_an_app(life: DeviceLife) -> None:
    found = closed(life)
    assert found.data["applications"] == []
    assert {"no_safe_boot", "no_config_location", "no_add_user"} <= set(found.data["restrictions"].split(","))
    assert found.data["password"] == hashlib.md5(b"eple-sau").hexdigest().upper()  # noqa: S324 (the agent's)
    assert found.data["usbStorage"] is True
    assert not NEEDED & locked(found)


def test_a_lost_tablet_stays_ours_and_says_whose_it_is() -> None:
    found = closed(DeviceLife.LOST, message="Mistet i 8B", phone="55 55 55 55")
    assert found.data["restrictions"].split(",") == sorted(LOST)
    assert found.data["lock"] is True
    assert found.data["lockMessage"] == "Mistet i 8B Telefon: 55 55 55 55"
    assert "Fjordvik kommune" in closed(DeviceLife.LOST).data["lockMessage"]
    assert locked(found) >= {MATHS, PAINT, CHROME, FIREFOX}
    assert found.hidden == locked(found)


def test_a_tablet_out_of_use_is_closed_and_may_be_erased() -> None:
    found = closed(DeviceLife.RETIRED, message="gammelt", wipe=True)
    assert "no_factory_reset" not in found.data["restrictions"].split(",")
    assert found.data["factoryReset"] is True
    assert "tatt ut av bruk" in found.data["lockMessage"]


def test_a_tablet_that_waits_for_approval_says_so_and_closes_nothing() -> None:
    found = closed(DeviceLife.PENDING)
    assert (found.data["lock"], found.data["lockMessage"]) == (False, None)
    assert found.data["title"] == "description"
    assert "venter" in found.data["description"]
    assert locked(found) == set()
    assert found.hidden == {PAINT}
