"""Which apps an iPad is asked to install: once, again after a wait, and never at the cost of what a child has made."""

from datetime import timedelta
from typing import Any

import pytest

from fleet.apps.catalogue import PackageSource, Source
from fleet.channels.apple.answers import AppState
from fleet.channels.apple.app_plan import NO_LICENCE, NOT_IN_CATALOGUE, Plan, Progress, mark_of, plan
from tests.conftest import NOW

STORE = Source("no.example.book", "Boka", 123, is_licensed=False, package=None)
LICENSED = Source("no.example.math", "Matte", 456, is_licensed=True, package=None)
PACKAGE = Source("no.example.own", "Vår", None, is_licensed=False, package=PackageSource("t", "2.0", "d" * 64, 10))
HOUR = timedelta(hours=1)


def planned(source: Source | None, app: str | None = None, **more: Any) -> Plan:
    """Return the plan for one app."""
    name = app or (source.app_id if source is not None else "")
    told: dict[str, Any] = {"installed": {}, "progress": {}, "licensed": (), "now": NOW, **more}
    return plan([name], {name: source} if source is not None else {}, **told)


def test_an_app_of_the_store_is_asked_for_once() -> None:
    assert planned(STORE) == Plan({"no.example.book": "store:123"})
    for state in (AppState.COMING, AppState.WAITS, AppState.INSTALLED):
        known = {"no.example.book": Progress("store:123", state, NOW)}
        assert not planned(STORE, progress=known).installs


def test_what_is_there_already_is_left_as_it_is() -> None:
    assert planned(STORE, installed={"no.example.book": "1.0"}) == Plan()
    assert planned(LICENSED, installed={"no.example.math": "1.0"}) == Plan()


def test_an_app_that_nobody_has_taken_up_is_lacking_unless_it_is_there() -> None:
    assert planned(None, "no.example.x") == Plan(lacking={"no.example.x": NOT_IN_CATALOGUE})
    assert planned(None, "no.example.x", installed={"no.example.x": "1"}) == Plan()


def test_an_app_that_needs_a_licence_waits_for_it() -> None:
    waiting = planned(LICENSED)
    assert waiting == Plan(licences=frozenset({456}), lacking={"no.example.math": NO_LICENCE})
    assert planned(LICENSED, licensed={456}).installs == {"no.example.math": "store:456"}


def test_a_licence_is_kept_for_what_is_installed_by_us() -> None:
    known = {"no.example.math": Progress("store:456", AppState.INSTALLED, NOW)}
    found = planned(LICENSED, progress=known, installed={"no.example.math": "1"}, licensed={456})
    assert found == Plan(licences=frozenset({456}))


def test_a_new_package_takes_the_place_of_the_old_one() -> None:
    assert planned(PACKAGE, installed={"no.example.own": "2.0"}) == Plan()
    assert planned(PACKAGE, installed={"no.example.own": "1.9"}).installs == {"no.example.own": mark_of(PACKAGE)}
    old = {"no.example.own": Progress("package:old", AppState.INSTALLED, NOW)}
    assert planned(PACKAGE, installed={"no.example.own": "1.9"}, progress=old).installs


@pytest.mark.parametrize("state", [AppState.REMOVED, AppState.REFUSED, AppState.FAILED])
def test_what_came_to_nothing_is_tried_again_after_a_wait_that_grows(state: AppState) -> None:
    at = {1: 0 * HOUR, 2: HOUR, 3: 4 * HOUR, 4: 24 * HOUR, 9: 24 * HOUR}
    for tries, wait in at.items():
        known = {"no.example.book": Progress("store:123", state, NOW, tries)}
        assert planned(STORE, progress=known, now=NOW + wait).installs, tries
        if wait:
            assert not planned(STORE, progress=known, now=NOW + wait - timedelta(seconds=1)).installs, tries


def test_what_is_on_its_way_for_a_day_is_asked_for_again() -> None:
    known = {"no.example.book": Progress("store:123", AppState.COMING, NOW)}
    assert planned(STORE, progress=known).is_under_way
    assert not planned(STORE, progress=known, now=NOW + 23 * HOUR).installs
    assert planned(STORE, progress=known, now=NOW + 24 * HOUR).installs


def test_progress_counts_what_came_to_nothing_and_forgets_it_with_success() -> None:
    asked = Progress("store:123", AppState.COMING, NOW)
    once = asked.turned(AppState.FAILED, NOW + HOUR, "NotSupported")
    assert (once.tries, once.reason, once.at) == (1, "NotSupported", NOW + HOUR)
    assert once.turned(AppState.FAILED, NOW + 2 * HOUR) is once
    again = once.turned(AppState.COMING, NOW + 3 * HOUR)
    assert (again.tries, again.reason) == (1, None)
    assert again.turned(AppState.INSTALLED, NOW + 4 * HOUR).tries == 0
    assert asked.turned(AppState.UNKNOWN, NOW) is asked
