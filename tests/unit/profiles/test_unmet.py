"""What a tablet will not have as it stands, of every kind of tablet."""

import pytest

from profiles.key import APPLE, HEADWIND, NATIVE
from profiles.unmet import AT_SET_UP, SINCE, SUPERVISED, Unmet, Why, unmet
from profiles.vocabulary import VOCABULARY
from tests.apple_settings import edges


@pytest.mark.parametrize("channel", [APPLE, HEADWIND, NATIVE])
def test_every_setting_that_a_channel_cannot_enforce_is_told_and_none_that_it_can(channel: str) -> None:
    reason = Why.NOT_ON_IPAD if channel == APPLE else Why.NOT_HERE
    for name, key in VOCABULARY.items():
        found = unmet({name: key.kind.normalise(edges(key.kind)[0])}, channel)
        told = {one.reason for one in found} & {Why.NOT_ON_IPAD, Why.NOT_HERE}
        assert told == (set() if key.is_for(channel) else {reason}), name


def test_what_is_known_of_settings_is_known_of_settings_for_ipads() -> None:
    ipads = {name for name, key in VOCABULARY.items() if APPLE in key.sources}
    assert ipads >= SINCE.keys() | AT_SET_UP | SUPERVISED


def test_a_setting_may_lack_for_several_reasons() -> None:
    assert unmet({"writing_tools.allowed": False}, APPLE, "17.6.1", is_supervised=False) == [
        Unmet("writing_tools.allowed", "newer-system"),
        Unmet("writing_tools.allowed", "not-supervised"),
    ]


def test_a_language_is_told_to_count_at_set_up_only() -> None:
    assert unmet({"language.locale": "nb-NO"}, APPLE) == [Unmet("language.locale", "at-set-up")]
