"""What a lesson is worth on each kind of tablet: how it ends there, and what of its contents does not hold as told.

Invariants: whatever differs between channels in a lesson is told here, as data, and asked for here. Pure: no database.

**How it ends.** Most tablets know the end and go by their own clock. The open agent of Android tablets has no
timetable: it asks, and the server holds its question until the lesson's end at the latest, so that it ends on the
second as long as there is a network. Without one it keeps the lesson until it can ask again.

Source: ``../shared/contracts/android-headwind.md`` sections 5 (long poll), 6 (timing) and 3 (stubs of the open build:
``kioskMode``, ``mainApp``; Chrome's lists by managed configuration).
"""

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from profiles.key import APPLE, HEADWIND, NATIVE
from profiles.unmet import Why, unmet
from profiles.vocabulary import VOCABULARY


class Ends(enum.StrEnum):
    """By what a tablet ends a lesson."""

    CLOCK = "clock"  # its own: also without us
    NETWORK = "network"  # our answer: at once with a network, without as soon as there is one again


ENDS: Mapping[str, Ends] = MappingProxyType({NATIVE: Ends.CLOCK, APPLE: Ends.CLOCK, HEADWIND: Ends.NETWORK})

# After a question that found no network the agent waits 60 s, and it is noted some seconds late that it asked.
AWAY_AFTER = timedelta(seconds=90)


class Instead(enum.StrEnum):
    """What a tablet does where it cannot do quite what a setting says."""

    HIDES_OTHERS = "hides-others"  # it cannot be locked to one app: the other apps that are known are hidden
    IN_CHROME = "in-chrome"  # it binds Chrome alone: the other browsers that are known are hidden
    KNOWN_ONLY = "known-only"  # apps that nobody names are not shown, but not closed either
    ON_HOME_SCREEN = "on-home-screen"  # a text stands there, and not on the lock screen


INSTEAD: Mapping[str, Instead] = MappingProxyType(
    {
        Why.NO_KIOSK: Instead.HIDES_OTHERS,
        Why.CHROME_ONLY: Instead.IN_CHROME,
        Why.KNOWN_ONLY: Instead.KNOWN_ONLY,
        Why.ON_HOME_SCREEN: Instead.ON_HOME_SCREEN,
    }
)
# Why a setting is not in force at all. What remains is told on the tablet's own page: what is in force nearly, or
# counts only together with what the tablet has besides the lesson.
MISSING = frozenset(
    {
        Why.NOT_HERE, Why.NOT_ON_IPAD, Why.NO_PORT, Why.CLOCK, Why.NO_NETWORK, Why.NEWER_SYSTEM, Why.NOT_SUPERVISED,
        Why.AT_SET_UP, Why.NO_BROWSER, Why.NO_ZONE,
    }
)  # fmt: skip
# What one has on some tablets only, or what disturbs nobody's work: no reason to look twice before a set is chosen.
SMALL = frozenset(
    {
        "apps.clips_allowed", "cloud.backup_allowed", "cloud.documents_allowed", "cloud.private_relay_allowed",
        "games.centre_allowed", "games.multiplayer_allowed", "lock_screen.notifications_allowed",
        "writing_tools.allowed",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Less:
    """What tablets of one channel have less of a lesson than its contents say.

    Args:
        channel: how the tablets speak to us.
        count: how many they are.
        instead: settings in place of which they do something else, and what.
        missing: settings that they do not have, by their names.
    """

    channel: str
    count: int
    instead: Mapping[str, Instead]
    missing: Sequence[str]

    @property
    def is_much(self) -> bool:
        """Whether it is worth a look before the set is chosen: what is known and closed elsewhere is open there."""
        return not SMALL.issuperset(self.missing) or Instead.HIDES_OTHERS in self.instead.values()


def needs_network(channel: str | None) -> bool:
    """Whether a tablet ends a lesson only with a network; one that speaks on no channel has none to end."""
    return ENDS.get(channel or "", Ends.CLOCK) is Ends.NETWORK


def needing(channels: Iterable[str | None]) -> int:
    """Return how many of these tablets, told by their channels, end a lesson only with a network."""
    return sum(map(needs_network, channels))


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a tablet's last words: when it last asked, was to ask again, and last reported."""

    polled_at: datetime | None
    due_at: datetime | None
    reported_at: datetime | None


def away_since(channel: str | None, heard: Heard, now: datetime) -> datetime | None:
    """Return since when a tablet that ends lessons only with a network is out of contact; None where it is not.

    Args:
        channel: how it speaks to us.
        heard: its last words.
        now: the instant.
    """
    if not needs_network(channel) or heard.polled_at is None or heard.due_at is None:
        return None
    reported_at = heard.reported_at or heard.polled_at
    return max(heard.polled_at, reported_at) if now - max(heard.due_at, reported_at) > AWAY_AFTER else None


def less(settings: Mapping[str, Any], channel: str, count: int = 1) -> Less | None:
    """Return what tablets of a channel have less than a lesson's settings say; None where they have it all.

    What a setting only leaves as tablets are anyway is no loss.
    """
    told = {name: value for name, value in settings.items() if name in VOCABULARY}
    asked = [one for one in unmet(told, channel) if told[one.key] != VOCABULARY[one.key].default]
    instead = {one.key: INSTEAD[one.reason] for one in asked if one.reason in INSTEAD}
    # Where no page may be opened, Chrome opens none: nothing is otherwise.
    instead = {name: how for name, how in instead.items() if how is not Instead.IN_CHROME or told[name] != []}
    missing = sorted({one.key for one in asked if one.reason in MISSING} - instead.keys())
    return Less(channel, count, instead, missing) if instead or missing else None


def shortfalls(settings: Mapping[str, Any], channels: Iterable[str | None]) -> list[Less]:
    """Return the same of a class's tablets, told by their channels: each channel that has less, by its name."""
    counts = sorted(Counter(one for one in channels if one is not None and one in ENDS).items())
    return [found for channel, count in counts if (found := less(settings, channel, count)) is not None]
