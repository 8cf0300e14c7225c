"""What a lesson is worth on each channel: how it ends there, and what of its contents does not hold as told."""

from datetime import timedelta
from typing import Any

import pytest

from fleet.lessons import promises
from fleet.lessons.contents import quick_settings
from fleet.lessons.models import SetKind
from fleet.lessons.promises import Heard, Instead, Less
from fleet.orders import kinds
from profiles.key import APPLE, HEADWIND, NATIVE
from profiles.unmet import Why
from profiles.vocabulary import VOCABULARY
from tests.conftest import NOW

MINUTE = timedelta(minutes=1)


def test_of_every_channel_it_is_told_by_what_it_ends_a_lesson() -> None:
    assert set(promises.ENDS) == {NATIVE, APPLE, HEADWIND} == {channel for channel, _life in kinds.CARRIES}
    assert {one: promises.needs_network(one) for one in (NATIVE, APPLE, HEADWIND, "new", None)} == {
        NATIVE: False, APPLE: False, HEADWIND: True, "new": False, None: False,
    }  # fmt: skip
    assert promises.needing([NATIVE, HEADWIND, None, HEADWIND]) == 2


@pytest.mark.parametrize(
    ("channel", "overdue", "is_away"),
    [
        (HEADWIND, timedelta(seconds=-30), False),
        (HEADWIND, timedelta(seconds=70), False),  # found no network once, and asks again
        (HEADWIND, timedelta(seconds=91), True),
        (NATIVE, timedelta(hours=1), False),
        (APPLE, timedelta(hours=1), False),
        (None, timedelta(hours=1), False),
    ],
)
def test_only_who_needs_the_network_is_away_and_only_after_a_while(
    channel: str | None, overdue: timedelta, *, is_away: bool
) -> None:
    due_at = NOW - overdue
    found = promises.away_since(channel, Heard(due_at - MINUTE, due_at, None), NOW)
    assert found == (due_at - MINUTE if is_away else None)


def test_a_report_is_contact_too() -> None:
    asked = (NOW - 20 * MINUTE, NOW - 19 * MINUTE)
    assert promises.away_since(HEADWIND, Heard(*asked, NOW - 5 * MINUTE), NOW) == NOW - 5 * MINUTE
    assert promises.away_since(HEADWIND, Heard(*asked, NOW - MINUTE), NOW) is None
    assert promises.away_since(HEADWIND, Heard(*asked, NOW - 30 * MINUTE), NOW) == NOW - 20 * MINUTE


def test_who_never_asked_has_nothing_to_keep() -> None:
    assert promises.away_since(HEADWIND, Heard(None, None, NOW - 20 * MINUTE), NOW) is None


@pytest.mark.parametrize(
    ("kind", "told", "channel", "instead", "missing"),
    [
        (SetKind.APPS, {"apps": ["no.a"], "locked": True}, HEADWIND, {"apps.allowed": Instead.KNOWN_ONLY, "kiosk.app": Instead.HIDES_OTHERS}, []),
        (SetKind.WEB, {"hosts": ["nb.no"]}, HEADWIND, {"web.allowed": Instead.IN_CHROME}, []),
        (
            SetKind.EXAM, {"apps": ["no.a"]}, HEADWIND, {"apps.allowed": Instead.KNOWN_ONLY},
            [
                "assistant.allowed", "dictation.allowed", "dictionary.lookup_allowed", "spelling.autocorrect_allowed",
                "spelling.check_allowed", "spelling.prediction_allowed", "writing_tools.allowed",
            ],
        ),
    ],
)  # fmt: skip
def test_what_a_tablet_does_instead_is_told_and_what_it_does_not_have(
    kind: SetKind, told: dict[str, Any], channel: str, instead: dict[str, Instead], missing: list[str]
) -> None:
    found = Less(channel, 4, instead, missing)
    assert promises.less(quick_settings(kind, told), channel, 4) == found
    assert found.is_much == (kind is not SetKind.WEB)


def test_every_reason_is_looked_at_once() -> None:
    told_elsewhere = {
        Why.NO_PASSCODE, Why.TOO_MANY, Why.NEEDED, Why.COARSE, Why.WINDOW_INSTEAD, Why.NO_PACKAGE, Why.NOT_TOLD,
    }  # fmt: skip
    assert sorted([*promises.INSTEAD, *promises.MISSING, *told_elsewhere]) == sorted(Why)


def test_with_eyes_on_the_teacher_only_a_few_things_are_otherwise() -> None:
    found = promises.less(quick_settings(SetKind.EYES, {"text": "Se hit"}), HEADWIND)
    assert found is not None
    assert found.instead == {"apps.allowed": Instead.KNOWN_ONLY, "lock_screen.message": Instead.ON_HOME_SCREEN}
    assert not found.is_much


@pytest.mark.parametrize("channel", [NATIVE, APPLE])
def test_nothing_is_told_of_what_holds_everywhere(channel: str) -> None:
    for kind, told in ((SetKind.APPS, {"apps": ["no.a"]}), (SetKind.EYES, {"text": "Se hit"})):
        assert promises.less(quick_settings(kind, told), channel) is None
    assert promises.less({"spelling.check_allowed": True, "a.setting.of.yore": 1}, channel) is None


def test_what_counts_with_other_settings_only_is_not_held_against_ipads() -> None:
    assert promises.less({"passcode.auto_lock_minutes": 5}, APPLE) is None
    assert promises.less({"sound.locked": True}, APPLE) == Less(APPLE, 1, {}, ["sound.locked"])


def test_a_class_is_told_by_channel_and_counted() -> None:
    settings = {"sound.locked": True, "camera.allowed": False}
    assert promises.shortfalls(settings, [APPLE, HEADWIND, APPLE, None]) == [Less(APPLE, 2, {}, ["sound.locked"])]
    assert promises.shortfalls(settings, []) == []


def test_what_some_tablets_do_not_have_at_all_is_no_reason_to_look_twice() -> None:
    assert not Less(HEADWIND, 4, {}, ["lock_screen.notifications_allowed", "writing_tools.allowed"]).is_much
    assert Less(HEADWIND, 4, {}, ["spelling.check_allowed", "writing_tools.allowed"]).is_much
    assert set(VOCABULARY) >= promises.SMALL
