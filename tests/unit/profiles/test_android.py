"""What an Android tablet can do with settings: passcode steps, proxies, zones, Chrome's lists, and what it lacks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles import android, chrome_lists
from profiles.key import HEADWIND
from profiles.unmet import Unmet, Why, unmet
from profiles.vocabulary import VOCABULARY


@pytest.mark.parametrize(
    ("settings", "word", "coarse"),
    [
        ({}, None, set()),
        ({"passcode.required": False, "passcode.quality": "any"}, None, set()),
        ({"passcode.required": True}, "present", set()),
        ({"passcode.min_length": 4}, "present", set()),
        ({"passcode.min_length": 5}, "easy", {"passcode.min_length"}),
        ({"passcode.min_length": 6}, "easy", set()),
        ({"passcode.min_length": 7}, "moderate", {"passcode.min_length"}),
        ({"passcode.min_length": 16}, "moderate", {"passcode.min_length"}),
        ({"passcode.quality": "letters-and-digits"}, "moderate", set()),
        ({"passcode.quality": "complex", "passcode.min_length": 8}, "strong", set()),
        ({"passcode.quality": "any", "passcode.min_length": 8}, "moderate", {"passcode.quality"}),
    ],
)
def test_a_passcode_is_as_strict_as_asked_where_there_is_such_a_step(
    settings: dict[str, Any], word: str | None, coarse: set[str]
) -> None:
    mode = android.passcode_mode(settings)
    assert (mode.word if mode else None) == word
    assert android.coarse_passcode(settings) == coarse


@pytest.mark.parametrize(
    ("server", "taken"),
    [("filter.no:3128", True), ("filter.no", False), ("[2001:db8::1]:80", False), (":80", False), ("a:0", False),
     ("a:65536", False), ("a b:80", False), ("a:٣", False)],
)  # fmt: skip
def test_a_proxy_is_a_name_and_a_port(server: str, taken: bool) -> None:
    assert android.proxy({"proxy.server": server}) == (server if taken else None)
    assert (Unmet("proxy.server", "no-port") in unmet({"proxy.server": server}, HEADWIND)) == (not taken)


def test_a_zone_that_is_none_is_told() -> None:
    assert unmet({"time_zone.name": "Europe/Oslo"}, HEADWIND) == []
    assert unmet({"time_zone.name": "Oslo"}, HEADWIND) == [Unmet("time_zone.name", "no-such-zone")]


@pytest.mark.parametrize(
    ("settings", "reasons"),
    [
        ({"kiosk.app": "no.example.app"}, {Why.NO_KIOSK}),
        ({"wifi.networks": [{"ssid": "a", "security": "open"}]}, {Why.AT_SET_UP}),
        ({"wifi.networks": [{"ssid": "a", "security": "wpa2", "password": "kort"}]}, {Why.AT_SET_UP, Why.NO_NETWORK}),
        ({"apps.allowed": ["no.example.app"]}, {Why.KNOWN_ONLY}),
        ({"apps.blocked": ["no.example.app"]}, set()),
        ({"apps.blocked": ["com.android.settings"]}, {Why.NEEDED}),
        ({"lock_screen.message": "8B"}, {Why.ON_HOME_SCREEN}),
        ({"os_update.deferral_days": 0}, set()),
        ({"os_update.deferral_days": 14}, {Why.COARSE}),
        ({"os_update.deferral_days": 30}, set()),
        ({"web.safe_search": True}, {Why.CHROME_ONLY}),
        ({"web.safe_search": False}, set()),
        ({"web.blocked": []}, set()),
        ({"web.cookies": "always"}, set()),
        ({"web.blocked": [f"a{one}.no" for one in range(501)]}, {Why.CHROME_ONLY, Why.TOO_MANY}),
        ({"assistant.allowed": False}, {Why.NOT_HERE}),
        ({"storage.keep_free_percent": 20}, {Why.NOT_TOLD}),
        ({"os.minimum_android": "10"}, set()),
    ],
)
def test_what_an_android_tablet_lacks_is_told(settings: dict[str, Any], reasons: set[Why]) -> None:
    assert {Why(one.reason) for one in unmet(settings, HEADWIND)} == reasons


def test_hours_for_updates_win_over_a_deferral() -> None:
    settings = {"os_update.deferral_days": 30, "os_update.window": {"from": "22:00", "until": "05:00"}}
    assert unmet(settings, HEADWIND) == [Unmet("os_update.deferral_days", "window-instead")]


@pytest.mark.parametrize(
    ("uploaded", "is_told"), [(None, False), ({"no.example.app"}, False), (set(), True), ({"no.example.other"}, True)]
)
def test_an_app_that_nobody_has_uploaded_is_told(uploaded: set[str] | None, is_told: bool) -> None:
    settings = {"apps.required": ["com.apple.Pages", "no.example.app"]}
    found = unmet(settings, HEADWIND, uploaded=uploaded)
    assert found == ([Unmet("apps.required", "no-package")] if is_told else [])


def test_an_older_android_lacks_what_came_later() -> None:
    assert unmet({"clock.automatic": True}, HEADWIND, "8.1.0") == [Unmet("clock.automatic", "newer-system")]
    assert unmet({"clock.automatic": True}, HEADWIND, "13") == []
    assert unmet({"clock.automatic": True}, HEADWIND, "REL") == []


@pytest.mark.parametrize(
    ("settings", "is_told"),
    [
        ({}, False),
        ({"apps.allowed": ["no.example.app"]}, True),
        ({"apps.allowed": ["org.mozilla.firefox"]}, False),
        ({"apps.allowed": ["org.mozilla.firefox"], "web.safe_search": True}, True),
        ({"apps.allowed": [android.CHROME], "web.safe_search": True}, False),
        ({"kiosk.app": "no.example.app"}, True),
    ],
)
def test_shortcuts_need_a_browser(settings: dict[str, Any], is_told: bool) -> None:
    found = unmet({**settings, "web.bookmarks": [{"title": "a", "url": "a.no"}]}, HEADWIND)
    assert (Unmet("web.bookmarks", "no-browser") in found) == is_told


def test_what_is_known_of_settings_is_known_of_settings_for_android() -> None:
    for_android = {name for name, key in VOCABULARY.items() if HEADWIND in key.sources}
    assert for_android >= android.SINCE.keys() | android.AT_SET_UP


@pytest.mark.parametrize(
    ("app", "is_one"),
    [("no.example.app", True), ("com.a_b.C1", True), ("com.apple.Pages", False), ("no.example.my-app", False),
     ("no.example.2048", False)],
)  # fmt: skip
def test_an_app_of_another_kind_of_tablet_is_no_package(app: str, is_one: bool) -> None:
    assert android.is_package(app) == is_one


# -- Chrome's lists ------------------------------------------------------------------------------------------------


def opens(settings: dict[str, Any], url: str) -> bool:
    """Judge an address as Chrome does: the narrowest entry decides, of two alike the one that allows.

    Source: FilterTakesPrecedence in components/url_matcher/url_util.cc
    """
    found = chrome_lists.lists(settings)
    host, slash, rest = url.partition("/")
    best: tuple[tuple[Any, ...], bool] = ((-1,), True)
    for entries, allows in ((found.blocked or (), False), (found.allowed or (), True)):
        for entry in entries:
            if entry == chrome_lists.EVERYTHING:
                best = max(best, ((0, False, 0, 0, allows), allows))
                continue
            name, cut, path = entry.partition("/")
            alone = name.startswith(".")
            name = name.removeprefix(".")
            fits = host == name or (not alone and host.endswith(f".{name}"))
            if fits and (slash + rest).startswith(cut + path):
                best = max(best, ((1, alone, len(name), len(cut + path), allows), allows))
    return best[1]


@pytest.mark.parametrize(
    ("settings", "open_", "closed"),
    [
        ({}, ["a.no"], []),
        ({"web.blocked": ["x.com"]}, ["netflix.com", "m.x.com"], ["x.com", "www.x.com", "x.com/home"]),
        ({"web.blocked": ["*.x.com"]}, ["netflix.com"], ["x.com", "m.x.com/home"]),
        ({"web.allowed": ["nrk.no"]}, ["nrk.no", "www.nrk.no/a"], ["tv.nrk.no", "vg.no"]),
        ({"web.allowed": ["*.nrk.no/skole"]}, ["nrk.no/skole", "tv.nrk.no/skole/1"], ["nrk.no", "nrk.no/tv"]),
        ({"web.allowed": []}, [], ["nrk.no"]),
        ({"web.allowed": ["*.udir.no"], "web.blocked": ["spill.udir.no"]}, ["udir.no", "a.udir.no"], ["spill.udir.no"]),
        ({"web.allowed": ["a.udir.no", "b.no"], "web.blocked": ["*.udir.no"]}, ["b.no"], ["a.udir.no", "udir.no"]),
        ({"web.allowed": ["udir.no"], "web.blocked": ["*.udir.no/spill"]}, ["udir.no"], ["udir.no/spill", "www.udir.no/spill"]),
        ({"web.allowed": ["*.a.udir.no"], "web.blocked": ["*.udir.no/spill"]}, ["b.a.udir.no"], ["b.a.udir.no/spill"]),
        ({"web.allowed": ["*.udir.no"], "web.blocked": ["udir.no"]}, ["a.udir.no"], ["udir.no", "www.udir.no"]),
    ],
)  # fmt: skip
def test_chrome_opens_and_closes_what_the_lists_say(
    settings: dict[str, Any], open_: list[str], closed: list[str]
) -> None:
    assert [url for url in open_ if not opens(settings, url)] == []
    assert [url for url in closed if opens(settings, url)] == []


HOSTS = st.sampled_from(["a.no", "www.a.no", "b.a.no", "c.b.a.no", "d.no"])
PATHS = st.sampled_from(["", "/x", "/x/y", "/z"])
TOLD = st.builds("{}{}{}".format, st.sampled_from(["", "*."]), HOSTS, PATHS)


def fits(told: str, host: str, path: str) -> bool:
    """Judge whether an entry of ours means an address."""
    name, cut, start = told.removeprefix("*.").partition("/")
    below = told.startswith("*.") and host.endswith(f".{name}")
    return (host in {name, f"www.{name}"} or below) and path.startswith(cut + start)


@given(st.lists(TOLD, max_size=4), st.lists(TOLD, max_size=4), HOSTS, PATHS)
def test_chrome_opens_what_is_allowed_and_never_what_is_blocked(
    blocked: list[str], allowed: list[str], host: str, path: str
) -> None:
    is_blocked = any(fits(one, host, path) for one in blocked)
    is_allowed = any(fits(one, host, path) for one in allowed)
    assert opens({"web.blocked": blocked}, host + path) == (not is_blocked)
    assert opens({"web.blocked": blocked, "web.allowed": allowed}, host + path) == (is_allowed and not is_blocked)
