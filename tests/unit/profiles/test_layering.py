"""Layers become one profile: properties that hold for every setting, and the cases people will ask about."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from profiles.digest import canonical, digest
from profiles.layering import Effective, Layer, Level, Loser, effective, is_tighter_or_equal, looser_keys
from profiles.vocabulary import VOCABULARY
from tests.unit.profiles.strategies import APPS, layers, settings, stored

MONDAY, TUESDAY = datetime(2026, 9, 14, tzinfo=UTC), datetime(2026, 9, 15, tzinfo=UTC)


def merged(*said: tuple[Level, dict[str, Any]]) -> Effective:
    return effective([Layer(level, level.name.lower(), MONDAY, given) for level, given in said])


@given(layers(), st.randoms())
def test_the_order_of_layers_does_not_matter(given_layers: list[Layer], dice: Any) -> None:
    shuffled = list(given_layers)
    dice.shuffle(shuffled)
    assert effective(shuffled) == effective(given_layers)


@given(layers())
def test_a_layer_given_twice_changes_nothing(given_layers: list[Layer]) -> None:
    assert effective([*given_layers, *given_layers]) == effective(given_layers)


@given(settings(), st.sampled_from(list(Level)))
def test_layering_a_result_again_changes_nothing(said: dict[str, Any], level: Level) -> None:
    once = effective([Layer(level, "a", None, said)]).settings
    assert effective([Layer(level, "a", None, once)]).settings == once


APP0, APP1 = "no.eksempel.app0", "no.eksempel.app1"


# A lesson that locks to an app which it closes itself once undid the lock below it.
@example(
    [Layer(Level.MUNICIPALITY, "lag 0", None, {"kiosk.app": APP1})],
    {"kiosk.app": APP0, "apps.blocked": [APP0], "apps.allowed": [], "apps.required": []},
)
@example([Layer(Level.CLASS, "8A", None, {"kiosk.app": APP1})], {"apps.blocked": [APP1]})
@example([Layer(Level.CLASS, "8A", None, {"apps.blocked": [APP1]})], {"kiosk.app": APP1})
@example([Layer(Level.CLASS, "8A", None, {"apps.allowed": [APP0]})], {"kiosk.app": APP1})
@given(layers(), settings())
def test_a_lesson_never_loosens_what_is_below_it(below: list[Layer], said: dict[str, Any]) -> None:
    without_lesson = [layer for layer in below if layer.level is not Level.LESSON]
    base = effective(without_lesson).settings
    lesson = effective([*without_lesson, Layer(Level.LESSON, "leksjon", TUESDAY, said)]).settings
    assert looser_keys(base, lesson) == []
    assert is_tighter_or_equal(base, lesson)
    assert open_apps(lesson) <= open_apps(base)


def open_apps(settings: Mapping[str, Any]) -> set[str]:
    """Return which of the apps that layers speak of can be opened: what a pupil would find out."""
    found = set(APPS) - set(settings.get("apps.blocked", ()))
    found &= set(settings.get("apps.allowed", APPS))
    return found & {settings.get("kiosk.app", app) for app in found}


@given(layers())
def test_a_tablet_that_is_locked_to_an_app_can_open_it(given_layers: list[Layer]) -> None:
    outcome = effective(given_layers).settings
    assert "kiosk.app" not in outcome or open_apps(outcome) == {outcome["kiosk.app"]}


@given(st.data(), st.sampled_from(sorted(VOCABULARY)))
def test_each_rule_agrees_with_its_own_measure(data: st.DataObject, name: str) -> None:
    key = VOCABULARY[name]
    low, high = data.draw(stored(key)), data.draw(stored(key))
    both = effective([Layer(Level.SCHOOL, "a", None, {name: low}), Layer(Level.CLASS, "b", None, {name: high})])
    assert key.rule.is_tighter_or_equal(low, both.settings[name])
    assert key.rule.is_tighter_or_equal(low, low)
    if key.rule.name != "farthest":  # there what is nearer has no say
        assert key.rule.is_tighter_or_equal(high, both.settings[name])


@given(layers())
def test_every_setting_has_a_reason_that_names_only_layers_that_spoke(given_layers: list[Layer]) -> None:
    outcome = effective(given_layers)
    assert outcome.settings.keys() <= outcome.reasons.keys()
    for name, reason in outcome.reasons.items():
        spoke = {layer.name for layer in given_layers if name in layer.settings}
        assert set(reason.winners) | {loser.layer for loser in reason.losers} == spoke
        assert reason.winners


@given(layers())
def test_a_blocked_app_is_nowhere_else(given_layers: list[Layer]) -> None:
    outcome = effective(given_layers).settings
    blocked = set(outcome.get("apps.blocked", ()))
    assert not blocked & set(outcome.get("apps.required", ()))
    assert not blocked & set(outcome.get("apps.allowed", ()))
    assert outcome.get("kiosk.app") not in blocked


LOCK_CASES: list[tuple[list[tuple[Level, dict[str, Any]]], dict[str, Any]]] = [
    # A lock cannot be changed from nearer by, but be set where there is none.
    ([(Level.CLASS, {"kiosk.app": "a.a"}), (Level.LESSON, {"kiosk.app": "b.b"})], {"kiosk.app": "a.a"}),
    ([(Level.CLASS, {}), (Level.LESSON, {"kiosk.app": "b.b"})], {"kiosk.app": "b.b"}),
    # What is closed farther out, or in the same layer, cannot be locked to.
    ([(Level.SCHOOL, {"apps.blocked": ["a.a"]}), (Level.LESSON, {"kiosk.app": "a.a"})], {"apps.blocked": ["a.a"]}),
    ([(Level.SCHOOL, {"apps.allowed": ["b.b"]}), (Level.LESSON, {"kiosk.app": "a.a"})], {"apps.allowed": ["b.b"]}),
    ([(Level.CLASS, {"kiosk.app": "a.a", "apps.blocked": ["a.a"]})], {"apps.blocked": ["a.a"]}),
    # A lock that cannot be is as if it had not been said: the next one holds.
    (
        [(Level.SCHOOL, {"kiosk.app": "a.a", "apps.blocked": ["a.a"]}), (Level.CLASS, {"kiosk.app": "b.b"})],
        {"kiosk.app": "b.b", "apps.blocked": ["a.a"]},
    ),
    # What the tablet is locked to cannot be closed from nearer by.
    (
        [
            (Level.CLASS, {"kiosk.app": "a.a"}),
            (Level.LESSON, {"apps.blocked": ["a.a", "b.b"], "apps.allowed": ["c.c"]}),
        ],
        {"kiosk.app": "a.a", "apps.blocked": ["b.b"], "apps.allowed": ["a.a", "c.c"]},
    ),
]


@pytest.mark.parametrize(("said", "outcome"), LOCK_CASES)
def test_the_farther_of_a_lock_and_what_closes_its_app_holds(
    said: list[tuple[Level, dict[str, Any]]], outcome: dict[str, Any]
) -> None:
    assert merged(*said).settings == outcome


def test_the_reasons_of_a_lock_say_who_could_not_change_it_and_what_stays_open() -> None:
    outcome = merged(
        (Level.CLASS, {"kiosk.app": "a.a"}),
        (Level.LESSON, {"kiosk.app": "b.b", "apps.blocked": ["a.a"], "apps.allowed": ["c.c"]}),
    )
    lock = outcome.reasons["kiosk.app"]
    assert (lock.rule, lock.winners, lock.losers) == ("farthest", ("class",), (Loser("lesson", "b.b"),))
    assert outcome.reasons["apps.blocked"].kept == outcome.reasons["apps.allowed"].kept == ("a.a",)


def test_of_equal_layers_the_lock_that_came_first_holds() -> None:
    early = Layer(Level.CLASS, "8A", MONDAY, {"kiosk.app": "b.b"})
    late = Layer(Level.CLASS, "MAT 8A", TUESDAY, {"kiosk.app": "a.a"})
    assert effective([late, early]).settings == {"kiosk.app": "b.b"}


def test_the_strictest_wins_wherever_it_stands() -> None:
    outcome = merged(
        (Level.MUNICIPALITY, {"camera.allowed": True, "passcode.min_length": 6}),
        (Level.SCHOOL, {"camera.allowed": False}),
        (Level.DEVICE, {"camera.allowed": True, "passcode.min_length": 4}),
    )
    assert outcome.settings == {"camera.allowed": False, "passcode.min_length": 6}
    reason = outcome.reasons["camera.allowed"]
    assert (reason.rule, reason.winners) == ("strictest: off wins", ("school",))
    assert reason.losers == (Loser("device", True), Loser("municipality", True))


def test_lists_unite_or_intersect_by_what_they_are_for() -> None:
    outcome = merged(
        (Level.SCHOOL, {"apps.required": ["a.a"], "apps.allowed": ["a.a", "b.b"], "web.blocked": ["x.no"]}),
        (Level.CLASS, {"apps.required": ["b.b"], "apps.allowed": ["b.b", "c.c"], "web.blocked": []}),
    )
    assert outcome.settings == {"apps.required": ["a.a", "b.b"], "apps.allowed": ["b.b"], "web.blocked": ["x.no"]}
    assert outcome.reasons["apps.required"].winners == ("class", "school")
    assert outcome.reasons["web.blocked"].winners == ("school",)


def test_an_allow_list_of_one_layer_limits_what_the_others_leave_open() -> None:
    outcome = merged((Level.SCHOOL, {"camera.allowed": True}), (Level.LESSON, {"apps.allowed": ["a.a"]}))
    assert outcome.settings["apps.allowed"] == ["a.a"]


def test_the_nearest_wins_and_among_equals_the_later() -> None:
    wallpaper = "wallpaper.image"
    assert (
        merged((Level.CLASS, {wallpaper: "klasse"}), (Level.SCHOOL, {wallpaper: "skole"})).settings[wallpaper]
        == "klasse"
    )
    early = Layer(Level.CLASS, "8A", MONDAY, {wallpaper: "a"})
    late = Layer(Level.CLASS, "MAT 8A", TUESDAY, {wallpaper: "b"})
    never = Layer(Level.CLASS, "NOR 8A", None, {wallpaper: "0"})
    outcome = effective([late, never, early])
    assert outcome.settings[wallpaper] == "b"
    assert outcome.reasons[wallpaper].winners == ("MAT 8A",)


def test_known_networks_add_up_and_the_nearest_of_one_name_wins() -> None:
    outcome = merged(
        (Level.MUNICIPALITY, {"wifi.networks": [{"ssid": "skole", "security": "wpa2"}]}),
        (
            Level.SCHOOL,
            {"wifi.networks": [{"ssid": "kjenn", "security": "wpa3"}, {"ssid": "skole", "security": "wpa3"}]},
        ),
        (Level.CLASS, {"wifi.networks": []}),
    )
    assert [(net["ssid"], net["security"]) for net in outcome.settings["wifi.networks"]] == [
        ("kjenn", "wpa3"),
        ("skole", "wpa3"),
    ]
    assert outcome.reasons["wifi.networks"].winners == ("school",)


def test_blocking_beats_requiring_and_the_reason_says_so() -> None:
    outcome = merged(
        (Level.MUNICIPALITY, {"apps.required": ["a.a", "b.b"]}),
        (Level.CLASS, {"apps.blocked": ["a.a"], "kiosk.app": "a.a"}),
    )
    assert outcome.settings == {"apps.required": ["b.b"], "apps.blocked": ["a.a"]}
    assert outcome.reasons["apps.required"].removed == ("a.a",)
    assert outcome.reasons["kiosk.app"].value is None
    assert outcome.reasons["kiosk.app"].removed == ("a.a",)


def test_a_setting_that_is_no_longer_there_is_looser() -> None:
    below = {"camera.allowed": False, "kiosk.app": "a.a", "wallpaper.image": "a"}
    assert looser_keys(below, {"apps.blocked": ["a.a"], "wallpaper.image": "b"}) == ["camera.allowed", "kiosk.app"]


GOLDEN = {
    "apps.required": ["no.eksempel.a", "no.eksempel.b"],
    "camera.allowed": False,
    "lock_screen.message": "Åsen «skole» \u2028",
    "passcode.min_length": 6,
    "wifi.networks": [{"ssid": "Ærlig", "security": "wpa2"}],
}
GOLDEN_DIGEST = "931c224750c67862400bf79fb1153e395110390cc5fd2ebc16c39a4f2a5bd9ff"


def test_the_canonical_form_is_what_it_always_was() -> None:
    assert digest(GOLDEN) == GOLDEN_DIGEST
    assert digest(dict(reversed(GOLDEN.items()))) == GOLDEN_DIGEST
    assert json.loads(canonical(GOLDEN)) == GOLDEN


@pytest.mark.parametrize("value", [{"a": 1.5}, {1: "a"}, {"a": b"x"}, [float("nan")]])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)


def pythons() -> list[str]:
    """Return every Python of the path that starts; a version manager's placeholder may not."""
    found = {shutil.which(f"python3.{minor}") for minor in range(11, 20)} - {None}
    starts = (
        path
        for path in found
        if path and not subprocess.run([path, "-c", ""], check=False, capture_output=True).returncode
    )
    return sorted({sys.executable, *starts})


_PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
import json
from profiles.digest import digest
print(digest(json.loads(sys.argv[1])))
"""


@pytest.mark.parametrize("python", pythons())
@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_the_digest_is_the_same_in_every_process_and_python(python: str, seed: str) -> None:
    found = subprocess.run(
        [python, "-c", _PROGRAM, json.dumps(GOLDEN)],
        check=False, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": seed},
    )  # fmt: skip
    assert found.stdout.strip() == GOLDEN_DIGEST, found.stderr
