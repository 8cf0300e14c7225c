"""Settings as profile payloads: total over the vocabulary, right by Apple's schema, and how a lesson adds up."""

import json
import plistlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.channels.apple import lesson_profile as lessons
from fleet.channels.apple import passcode, restrictions
from fleet.channels.apple.contents import NO_SITE
from fleet.channels.apple.payloads import CARRIED_BY, KEYS, Group, Means, payloads, profile_bytes
from profiles.key import APPLE, Key
from profiles.layering import Layer, Level, effective
from profiles.unmet import MOST_BLOCKED as MOST_DENIED
from profiles.unmet import SINCE, SUPERVISED, Unmet, blocked_entries
from profiles.unmet import on_ipad as unmet
from profiles.vocabulary import VOCABULARY
from tests.apple_schema import (
    COMMANDS,
    PROFILES,
    ios,
    is_for_supervised,
    needs_schema,
    payload_faults,
    profile_faults,
    read,
    since,
)
from tests.apple_settings import edges, whole
from tests.conftest import NOW
from tests.unit.profiles import strategies

NAME = "no.kommune.nettbrett"
IMAGES = {"skole": b"\x89PNG\r\n\x1a\n-"}
FOR_IPADS = {name: key for name, key in VOCABULARY.items() if APPLE in key.sources}


def profile(settings: Mapping[str, Any], removal_at: datetime | None = None) -> dict[str, Any]:
    """Return the whole profile of settings, through its bytes."""
    inside = payloads(settings, identifier=NAME, images=IMAGES)
    body = profile_bytes(inside, identifier=NAME, title="8B", organisation="Kommunen", removal_at=removal_at)
    found: dict[str, Any] = plistlib.loads(body)
    return found


def of_type(inside: list[dict[str, Any]], payload_type: str) -> dict[str, Any]:
    return next((one for one in inside if one["PayloadType"] == payload_type), {})


def made(settings: Mapping[str, Any], payload_type: str) -> dict[str, Any]:
    return of_type(profile(settings)["PayloadContent"], payload_type)


def test_every_setting_for_ipads_has_its_means_and_no_other_has() -> None:
    assert CARRIED_BY.keys() == FOR_IPADS.keys()


def test_every_setting_of_a_profile_belongs_to_one_group() -> None:
    names = [name for group in KEYS.values() for name in group]
    by_profile = {name for name, means in CARRIED_BY.items() if means in {Means.PROFILE, Means.DECLARATION}}
    assert len(names) == len(set(names))
    assert set(names) == by_profile
    assert KEYS.keys() == set(Group)


@pytest.mark.parametrize("name", sorted(set(CARRIED_BY) & {name for names in KEYS.values() for name in names}))
def test_every_setting_of_a_profile_changes_it(name: str) -> None:
    base = {"passcode.required": True} if name in passcode.KEYS[1:] else {}
    plain = payloads(base, identifier=NAME)
    assert any(
        payloads(base | {name: value}, identifier=NAME, images=IMAGES) != plain
        for value in edges(VOCABULARY[name].kind)
    )


@needs_schema
@pytest.mark.parametrize("key", FOR_IPADS.values(), ids=lambda key: key.name)
def test_every_setting_with_every_kind_of_value_is_right_by_the_schema(key: Key) -> None:
    for value in edges(key.kind):
        for others in ({}, {"passcode.required": True}, {"web.bookmarks": [{"title": "NRK", "url": "https://nrk.no"}]}):
            assert profile_faults(profile({**others, key.name: key.kind.normalise(value)})) == []


@needs_schema
def test_all_settings_together_are_right_by_the_schema() -> None:
    for settings in whole():
        assert profile_faults(profile(settings, NOW)) == []


@needs_schema
@given(strategies.settings())
def test_any_settings_together_are_right_by_the_schema(settings: dict[str, Any]) -> None:
    assert profile_faults(profile(settings)) == []


@needs_schema
@pytest.mark.parametrize("name", sorted(restrictions.FLAGS))
def test_what_is_left_out_is_what_an_ipad_does_by_itself(name: str) -> None:
    entries = read(PROFILES / "com.apple.applicationaccess.yaml")["payloadkeys"]
    entry = next(one for one in entries if one["key"] == restrictions.FLAGS[name])
    assert entry["default"] == restrictions.by_itself(entry["key"])


@pytest.mark.parametrize("name", sorted(restrictions.FLAGS))
def test_a_restriction_is_said_where_it_restricts_and_left_out_where_not(name: str) -> None:
    restriction = restrictions.FLAGS[name]
    default = restrictions.by_itself(restriction)
    assert restrictions.restrictions({name: not default}) == {restriction: not default}
    assert restrictions.restrictions({name: default}) == {}


@given(strategies.settings(), st.randoms())
def test_the_same_settings_give_the_same_bytes_in_any_order(settings: dict[str, Any], random: Any) -> None:
    names = list(settings)
    random.shuffle(names)
    again = {name: settings[name] for name in names}
    assert profile_bytes(payloads(settings, identifier=NAME), identifier=NAME, title="8B") == profile_bytes(
        payloads(again, identifier=NAME), identifier=NAME, title="8B"
    )


def test_a_network_that_changes_keeps_its_name_and_its_neighbour_is_untouched() -> None:
    one, two = {"ssid": "skole", "security": "wpa2", "password": "en-to-tre"}, {"ssid": "Ål", "security": "open"}
    before = payloads({"wifi.networks": [one, two]}, identifier=NAME)
    after = payloads({"wifi.networks": [{**one, "password": "fire-fem-seks"}, two]}, identifier=NAME)
    assert before[1] == after[1]
    assert {key for key in before[0] if before[0][key] != after[0][key]} == {"Password"}


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ({"security": "open", "password": "x"}, {"EncryptionType": "None", "AutoJoin": True, "HIDDEN_NETWORK": False}),
        ({"security": "wpa2", "password": "en-to-tre"}, {"EncryptionType": "WPA2", "Password": "en-to-tre"}),
        ({"security": "wpa2"}, {"EncryptionType": "WPA2"}),
        ({"security": "wpa3", "auto_join": False, "hidden": True}, {"EncryptionType": "WPA3", "AutoJoin": False, "HIDDEN_NETWORK": True}),
        ({"security": "enterprise"}, {"EAPClientConfiguration": {"AcceptEAPTypes": [25, 21]}}),
    ],
)  # fmt: skip
def test_a_network_says_how_to_join_it(network: dict[str, Any], expected: dict[str, Any]) -> None:
    found = made({"wifi.networks": [{"ssid": "skole", **network}]}, "com.apple.wifi.managed")
    assert expected.items() <= found.items()
    assert ("Password" in found) == ("Password" in expected)


@pytest.mark.parametrize(
    "network", [{"ssid": "a", "security": "wpa2", "password": "sjutegn"}, {"ssid": "Å" * 17, "security": "open"}]
)
def test_a_network_that_cannot_be_is_left_out_and_told_and_the_others_stay(network: dict[str, Any]) -> None:
    settings = {"wifi.networks": [network, {"ssid": "skole", "security": "enterprise", "password": "x"}]}
    assert [one["SSID_STR"] for one in payloads(settings, identifier=NAME)] == ["skole"]
    assert unmet(settings) == [Unmet("wifi.networks", "no-such-network")]


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("filter.kommune.no:3128", ("filter.kommune.no", 3128)),
        ("[2001:db8::1]:80", ("2001:db8::1", 80)),
        ("filter.kommune.no", None),
        ("filter.kommune.no:", None),
        ("filter:0", None),
        ("filter:65536", None),
        ("filter:٣", None),
        (":80", None),
    ],
)
def test_a_proxy_has_a_port_or_is_told_as_unmet(server: str, expected: tuple[str, int] | None) -> None:
    found = made({"proxy.server": server}, "com.apple.proxy.http.global")
    assert (found.get("ProxyServer"), found.get("ProxyServerPort")) == (expected or (None, None))
    assert unmet({"proxy.server": server}) == ([] if expected else [Unmet("proxy.server", "no-port")])


def test_a_blocked_host_does_not_block_others_whose_name_ends_like_it() -> None:
    entries = made({"web.blocked": ["x.com"]}, "com.apple.webcontent-filter")["DenyListURLs"]
    assert any(entry in "https://x.com/home" for entry in entries)
    assert any(entry in "http://x.com" for entry in entries)
    assert not any(entry in "https://netflix.com" for entry in entries)
    assert not any(entry in "https://m.x.com" for entry in entries)


def test_a_blocked_domain_blocks_what_is_below_it_too() -> None:
    entries = made({"web.blocked": ["*.x.com"]}, "com.apple.webcontent-filter")["DenyListURLs"]
    assert any(entry in "https://x.com/home" for entry in entries)
    assert any(entry in "https://m.x.com/home" for entry in entries)
    assert not any(entry in "https://netflix.com" for entry in entries)


def test_only_these_sites_is_a_list_of_addresses() -> None:
    found = made({"web.allowed": ["*.udir.no/skole", "nrk.no"]}, "com.apple.webcontent-filter")["AllowListBookmarks"]
    assert [one["URL"] for one in found] == ["https://udir.no/skole", ".udir.no/skole", "https://nrk.no"]


def test_an_empty_list_of_the_only_sites_or_apps_is_not_taken_for_none() -> None:
    sites = made({"web.allowed": []}, "com.apple.webcontent-filter")["AllowListBookmarks"]
    assert [one["URL"] for one in sites] == [NO_SITE]
    assert made({"apps.allowed": []}, restrictions.TYPE)["allowListedAppBundleIDs"] == [restrictions.NO_APP]


def test_an_empty_list_of_what_is_blocked_blocks_nothing() -> None:
    assert payloads({"web.blocked": [], "apps.blocked": [], "printing.printers": []}, identifier=NAME) == []


def test_web_shortcuts_are_among_the_only_apps() -> None:
    clips = [{"title": "NRK", "url": "https://nrk.no"}]
    found = made({"apps.allowed": ["no.a.b"], "web.bookmarks": clips}, restrictions.TYPE)
    assert found["allowListedAppBundleIDs"] == ["no.a.b", restrictions.WEB_CLIPS]
    assert made({"apps.allowed": ["no.a.b"]}, restrictions.TYPE)["allowListedAppBundleIDs"] == ["no.a.b"]


def test_a_shortcut_has_its_icon_where_the_image_is_there() -> None:
    clips = [{"title": "a", "url": "https://a.no", "icon": "skole"}, {"title": "b", "url": "https://b.no", "icon": "x"}]
    with_icon, without = payloads({"web.bookmarks": clips}, identifier=NAME, images=IMAGES)
    assert with_icon["Icon"] == IMAGES["skole"]
    assert (with_icon["IsRemovable"], without["IsRemovable"]) == (False, False)
    assert "Icon" not in without


def test_pages_of_the_home_screen_stand_in_order_and_a_dock_needs_none() -> None:
    pages = [{"page": 3, "apps": ["no.a.c"]}, {"page": 1, "apps": ["no.a.a", "no.a.b"]}]
    found = made({"home_screen.pages": pages, "home_screen.dock": ["no.a.d"]}, "com.apple.homescreenlayout")
    assert [[icon["BundleID"] for icon in page] for page in found["Pages"]] == [["no.a.a", "no.a.b"], ["no.a.c"]]
    assert [icon["BundleID"] for icon in found["Dock"]] == ["no.a.d"]
    assert made({"home_screen.dock": ["no.a.d"]}, "com.apple.homescreenlayout")["Pages"] == []


def test_no_app_stands_twice_on_the_home_screen() -> None:
    pages = [{"page": 1, "apps": ["no.a.a", "no.a.b"]}, {"page": 2, "apps": ["no.a.b", "no.a.c"]}]
    found = made({"home_screen.pages": pages, "home_screen.dock": ["no.a.a"]}, "com.apple.homescreenlayout")
    assert [[icon["BundleID"] for icon in page] for page in found["Pages"]] == [["no.a.b"], ["no.a.c"]]


def test_a_shortcut_without_a_scheme_is_one_to_https() -> None:
    clips = [{"title": "a", "url": "nrk.no/skole"}, {"title": "b", "url": "http://nrk.no"}]
    found = payloads({"web.bookmarks": clips}, identifier=NAME)
    assert [one["URL"] for one in found] == ["https://nrk.no/skole", "http://nrk.no"]


def test_a_printer_may_name_its_queue() -> None:
    printers = [{"name": "a", "address": "skriver.no"}, {"name": "b", "address": "skriver.no/printers/rom2"}]
    found = made({"printing.printers": printers}, "com.apple.airprint")["AirPrint"]
    assert [one["ResourcePath"] for one in found] == ["ipp/print", "printers/rom2"]
    assert {one["IPAddress"] for one in found} == {"skriver.no"}


@pytest.mark.parametrize("name", ["passcode.max_failed_attempts", "passcode.auto_lock_minutes"])
def test_auto_lock_and_attempts_demand_no_passcode_by_themselves(name: str) -> None:
    assert payloads({name: 5}, identifier=NAME) == []
    assert unmet({name: 5}) == [Unmet(name, "no-passcode-demanded")]
    assert unmet({name: 5, "passcode.required": True}) == []


@pytest.mark.parametrize(
    ("settings", "policy", "declared"),
    [
        ({"passcode.required": True}, {}, {}),
        ({"passcode.min_length": 6}, {"minLength": 6}, {"MinimumLength": 6}),
        ({"passcode.max_age_days": 90}, {"maxPINAgeInDays": 90}, {"MaximumPasscodeAgeInDays": 90}),
        ({"passcode.quality": "letters-and-digits"}, {"requireAlphanumeric": True}, {"RequireAlphanumericPasscode": True}),
        ({"passcode.quality": "complex"}, {"requireAlphanumeric": True, "minComplexChars": 1},
         {"RequireAlphanumericPasscode": True, "MinimumComplexCharacters": 1}),
        ({"passcode.required": True, "passcode.auto_lock_minutes": 60}, {"maxInactivity": 15}, {"MaximumInactivityInMinutes": 15}),
        ({"passcode.required": True, "passcode.max_failed_attempts": 10}, {"maxFailedAttempts": 10}, {"MaximumFailedAttempts": 10}),
    ],
)  # fmt: skip
def test_payload_and_declaration_say_the_same_of_the_passcode(
    settings: dict[str, Any], policy: dict[str, Any], declared: dict[str, Any]
) -> None:
    assert passcode.policy(settings) == {"forcePIN": True, **policy}
    assert passcode.declaration(settings) == {"RequirePasscode": True, **declared}


def test_no_passcode_is_demanded_where_nobody_asks_for_one() -> None:
    assert passcode.policy({"passcode.required": False, "passcode.quality": "any"}) == {}
    assert passcode.declaration({}) == {}


def test_a_deferral_of_no_days_is_none() -> None:
    assert restrictions.restrictions({"os_update.deferral_days": 0}) == {}
    assert restrictions.restrictions({"os_update.deferral_days": 7}, has_deferral=False) == {}
    assert restrictions.restrictions({"os_update.deferral_days": 7})["enforcedSoftwareUpdateDelay"] == 7


def test_what_no_ipad_has_is_told_and_what_the_server_judges_is_not() -> None:
    assert unmet({"sound.locked": True, "os.minimum_version": "17.0", "camera.allowed": False}) == [
        Unmet("sound.locked", "not-on-ipad")
    ]


@needs_schema
def test_settings_that_need_more_than_ipados_15_are_known() -> None:
    needs: dict[str, int] = {}
    for name in {name for names in KEYS.values() for name in names}:
        for value in edges(VOCABULARY[name].kind):
            for payload in payloads({name: VOCABULARY[name].kind.normalise(value)}, identifier=NAME):
                needs[name] = max(needs.get(name, 0), since(payload))
    newer = {name: major for name, major in needs.items() if major > 15}
    assert newer == SINCE


@pytest.mark.parametrize(("os_version", "expected"), [("17.6.1", True), ("18.0", False), (None, False), ("x", False)])
def test_a_setting_that_the_system_does_not_know_yet_is_told(os_version: str | None, expected: bool) -> None:
    found = unmet({"writing_tools.allowed": False, "camera.allowed": False}, os_version)
    assert found == ([Unmet("writing_tools.allowed", "newer-system")] if expected else [])


def test_a_time_zone_beside_an_automatic_clock_is_told() -> None:
    assert unmet({"time_zone.name": "Europe/Oslo", "clock.automatic": True}) == [
        Unmet("time_zone.name", "clock-is-automatic")
    ]
    assert unmet({"time_zone.name": "Europe/Oslo", "clock.automatic": False}) == []


def test_more_blocked_sites_than_an_ipad_takes_are_told() -> None:
    hosts = [f"nr{number}.no" for number in range(MOST_DENIED)]
    assert unmet({"web.blocked": hosts}) == [Unmet("web.blocked", "too-many")]
    assert unmet({"web.blocked": hosts[: MOST_DENIED // 3]}) == []


def test_as_many_addresses_are_counted_as_are_sent() -> None:
    settings = {"web.blocked": ["nrk.no", "*.udir.no", "*.ung.no/skole"]}
    sent = made(settings, "com.apple.webcontent-filter")["DenyListURLs"]
    assert len(sent) == blocked_entries(settings)


@needs_schema
def test_what_holds_on_supervised_ipads_only_is_known() -> None:
    found = set()
    for name in {name for names in KEYS.values() for name in names}:
        for value in edges(VOCABULARY[name].kind):
            inside = payloads({name: VOCABULARY[name].kind.normalise(value)}, identifier=NAME)
            found |= {name for payload in inside if is_for_supervised(payload)}
    by_command = {name for name in SUPERVISED if CARRIED_BY[name] is Means.COMMAND}
    assert found | by_command == SUPERVISED
    items = read(COMMANDS / "settings.yaml")["payloadkeys"][0]["subkeys"]
    told = {one["key"] for one in items if ios(one).get("supervised")}
    assert by_command == {"time_zone.name", "wallpaper.image"}
    assert told >= {"TimeZone", "Wallpaper"}


def test_an_ipad_that_is_not_supervised_lacks_what_needs_it_and_only_where_it_is_asked_for() -> None:
    settings = {"kiosk.app": "no.nb.lesebok", "camera.allowed": False, "messages.allowed": True}
    assert unmet(settings, is_supervised=False) == [Unmet("kiosk.app", "not-supervised")]
    assert unmet(settings, is_supervised=True) == unmet(settings) == []


def test_a_profile_ends_at_its_instant_in_utc_and_else_never() -> None:
    settings = {"camera.allowed": False}
    assert profile(settings, NOW)["RemovalDate"] == NOW.replace(tzinfo=None, microsecond=0)
    assert "RemovalDate" not in profile(settings)


@needs_schema
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"allowCamera": 1}, "no <boolean>"),
        ({"ratingApps": 1001}, "not in"),
        ({"safariAcceptCookies": 0.5}, "not one of"),
        ({"allowCamel": True}, "no such key"),
        ({"allowAirPlayIncomingRequests": False}, "not on iPadOS"),
        ({"forceWiFiWhitelisting": True}, "deprecated"),
        ({"blockedAppBundleIDs": [1]}, "no <string>"),
        ({"PayloadVersion": 2}, "not one of"),
        ({"PayloadType": "com.apple.none"}, "no such payload type"),
    ],
)
def test_the_judge_finds_faults(change: dict[str, Any], fault: str) -> None:
    payload = payloads({"camera.allowed": False}, identifier=NAME)[0]
    assert payload_faults(payload) == []
    assert [one for one in payload_faults(payload | change) if fault in one]


@needs_schema
def test_the_judge_finds_what_is_missing_and_what_is_there_twice() -> None:
    lock = payloads({"kiosk.app": "no.a.b"}, identifier=NAME)[0]
    assert payload_faults({key: value for key, value in lock.items() if key != "App"}) == [
        "com.apple.app.lock.App: missing"
    ]
    other = lock | {"PayloadIdentifier": "no.x", "PayloadUUID": "no"}
    whole_profile = plistlib.loads(profile_bytes([lock, other], identifier=NAME, title="t"))
    assert profile_faults(whole_profile) == ["com.apple.app.lock: only one of it"]
    twice = plistlib.loads(profile_bytes([lock, lock], identifier=NAME, title="t"))
    assert "two payloads have one name" in profile_faults(twice)


# --- lessons


def added(base: Mapping[str, Any], lesson: Mapping[str, Any]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the payloads that a lesson adds, and what it leaves."""
    made_of = lessons.lesson_profile(base, lesson, identifier=f"{NAME}.lesson", title="Time", ends_at=NOW)
    if made_of.body is None:
        return [], made_of.left
    found = plistlib.loads(made_of.body)
    assert found["RemovalDate"] == NOW.replace(tzinfo=None, microsecond=0)
    return found["PayloadContent"], made_of.left


def combined(said: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what iPadOS makes of several profiles' restrictions and web filters: the strictest."""
    found: dict[str, Any] = {}
    for payload in said:
        for key, told in payload.items():
            if key.startswith(("Payload", "Filter")):
                continue
            value = [one["URL"] for one in told] if key == "AllowListBookmarks" else told
            if key not in found:
                found[key] = set(value) if isinstance(value, list) else value
            elif isinstance(value, list):
                found[key] = found[key] & set(value) if "llowList" in key else found[key] | set(value)
            elif isinstance(value, bool):
                forces = key.startswith("force") or key == "AutoFilterEnabled"
                found[key] = found[key] or value if forces else found[key] and value
            else:
                found[key] = min(found[key], value)
    return found


def of_both(inside: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [of_type(inside, restrictions.TYPE), of_type(inside, "com.apple.webcontent-filter")]


def bodies(inside: list[dict[str, Any]]) -> list[str]:
    """Return all other payloads without their names."""
    others = [one for one in inside if one["PayloadType"] not in {restrictions.TYPE, "com.apple.webcontent-filter"}]
    unnamed = [{key: one[key] for key in one if key not in {"PayloadIdentifier", "PayloadUUID"}} for one in others]
    return sorted(json.dumps(one, sort_keys=True) for one in unnamed)


@given(strategies.layers(), strategies.settings())
def test_a_lesson_on_top_of_what_stands_gives_what_the_layers_give(layers: list[Layer], said: dict[str, Any]) -> None:
    below = [layer for layer in layers if layer.level is not Level.LESSON]
    base = effective(below).settings
    lesson = effective([*below, Layer(Level.LESSON, "lesson", None, said)]).settings
    more, left = added(base, lesson)
    tightening = {name for group in (Group.RESTRICTIONS, Group.WEB) for name in KEYS[group]}
    assert set(left) & tightening <= {"classroom.unprompted_observation", "os_update.deferral_days"}
    stands = payloads(lessons.standing(base, lesson, left), identifier=NAME)
    wanted = payloads(lesson, identifier=NAME)
    found, expected = combined([*of_both(stands), *of_both(more)]), combined(of_both(wanted))
    for lists in (found, expected):  # an app that is none, and the shortcuts' own, are no apps
        if "allowListedAppBundleIDs" in lists:
            lists["allowListedAppBundleIDs"] -= {restrictions.NO_APP, restrictions.WEB_CLIPS}
        if "AllowListBookmarks" in lists:
            lists["AllowListBookmarks"] -= {NO_SITE}
    assert found == expected
    assert bodies([*stands, *more]) == bodies(wanted)


@needs_schema
@given(strategies.layers(), strategies.settings())
def test_a_lesson_profile_is_right_by_the_schema(layers: list[Layer], said: dict[str, Any]) -> None:
    base = effective(layers).settings
    lesson = effective([*layers, Layer(Level.LESSON, "the lesson", None, said)]).settings
    body = lessons.lesson_profile(base, lesson, identifier=f"{NAME}.l", title="Time", ends_at=NOW).body
    assert body is None or profile_faults(plistlib.loads(body)) == []


def test_a_lesson_that_changes_nothing_has_no_profile() -> None:
    same = {"camera.allowed": False}
    assert added(same, same) == ([], ())


def test_a_lesson_locks_to_an_app_where_no_lock_stands() -> None:
    inside, left = added({"camera.allowed": False}, {"camera.allowed": False, "kiosk.app": "no.a.b"})
    assert [one["PayloadType"] for one in inside] == ["com.apple.app.lock"]
    assert left == ()


def test_a_lesson_cannot_have_a_second_home_screen_and_says_so() -> None:
    base, lesson = {"home_screen.dock": ["no.a.a"]}, {"home_screen.dock": ["no.a.b"]}
    assert added(base, lesson) == ([], ("home_screen.dock",))
    inside, left = added({}, lesson)
    assert [one["PayloadType"] for one in inside] == ["com.apple.homescreenlayout"]
    assert left == ()


def test_a_lesson_adds_networks_and_leaves_them_where_one_changes() -> None:
    one, two = {"ssid": "a", "security": "wpa2", "password": "en-to-tre"}, {"ssid": "b", "security": "open"}
    inside, left = added({"wifi.networks": [one]}, {"wifi.networks": [one, two]})
    assert [payload["SSID_STR"] for payload in inside] == ["b"]
    assert left == ()
    assert added({"wifi.networks": [one, two]}, {"wifi.networks": [one]}) == ([], ("wifi.networks",))
    changed = {"wifi.networks": [{**one, "password": "fire-fem"}, two]}
    assert added({"wifi.networks": [one]}, changed) == ([], ("wifi.networks",))
    assert lessons.standing({"wifi.networks": [one], "kiosk.app": "a.b"}, changed, ("wifi.networks",)) == {
        **changed,
        "kiosk.app": "a.b",
    }


def test_a_lesson_leaves_shortcuts_that_the_standing_list_of_apps_would_hide() -> None:
    lesson = {"apps.allowed": ["no.a.a"], "web.bookmarks": [{"title": "NRK", "url": "https://nrk.no"}]}
    assert added({"apps.allowed": ["no.a.a"]}, lesson)[1] == ("web.bookmarks",)
    inside, left = added({}, lesson)
    assert of_type(inside, restrictions.TYPE)["allowListedAppBundleIDs"] == ["no.a.a", restrictions.WEB_CLIPS]
    assert left == ()


def test_a_lesson_that_lists_apps_keeps_the_shortcuts_that_stand() -> None:
    base = {"web.bookmarks": [{"title": "NRK", "url": "https://nrk.no"}]}
    inside, left = added(base, {**base, "apps.allowed": ["no.a.a"]})
    assert [one["allowListedAppBundleIDs"] for one in inside] == [["no.a.a", restrictions.WEB_CLIPS]]
    assert left == ()


def test_a_lesson_leaves_a_deferral_of_which_nobody_knows_how_two_combine() -> None:
    name = "os_update.deferral_days"
    assert added({name: 30}, {name: 7}) == ([], (name,))


def test_a_lesson_leaves_what_is_strict_to_us_and_loose_to_ipados() -> None:
    name = "classroom.unprompted_observation"
    assert added({name: True}, {name: False}) == ([], (name,))
    assert added({}, {name: False}) == ([], ())


def test_a_lesson_leaves_terms_of_passcodes_and_commands() -> None:
    assert added({}, {"passcode.min_length": 6, "wallpaper.image": "hav"}) == (
        [],
        ("passcode.min_length", "wallpaper.image"),
    )
