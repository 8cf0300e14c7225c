"""One word of the vocabulary: a setting's name, what it may be, how layers merge, and who can enforce it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from profiles.kinds import FLAG, Kind
from profiles.rules import OFF_WINS, Rule

NATIVE, APPLE, HEADWIND = "native", "apple", "headwind"
REPORT = "report"  # the source of a setting that no tablet enforces: the server judges what it reports


@dataclass(frozen=True, slots=True)
class Key:
    """A setting.

    Args:
        name: dotted, area first: ``camera.allowed``.
        kind: what its value may be.
        rule: how layers merge.
        default: what holds where no layer says anything; None where the tablet's own default holds.
        title: Bokmål and English, for pages.
        help: one or two sentences, Bokmål and English, for pages.
        sources: for each channel that can enforce it, the channel's own key.
        secret: whether the value must not be shown to everyone (a Wi-Fi password).
    """

    name: str
    kind: Kind
    rule: Rule
    default: Any
    title: Mapping[str, str]
    help: Mapping[str, str]
    sources: Mapping[str, str] = field(default_factory=dict)
    secret: bool = False

    @property
    def area(self) -> str:
        """The part of the name before the first dot."""
        return self.name.partition(".")[0]

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that can enforce it."""
        return tuple(sorted(self.sources))

    def is_for(self, channel: str) -> bool:
        """Whether the setting says anything to tablets of a channel: it is enforced there, or judged by the server."""
        return channel in self.sources or REPORT in self.sources.values()


def told(nb: str, en: str) -> dict[str, str]:
    """Return a text by language."""
    return {"nb": nb, "en": en}


def sources(apple: str | None, headwind: str | None, native: str | None) -> dict[str, str]:
    """Return the sources by channel, without the channels that cannot enforce a setting."""
    given = {APPLE: apple, HEADWIND: headwind, NATIVE: native}
    return {channel: source for channel, source in given.items() if source is not None}


def allowed(name: str, nb: str, en: str, words: Mapping[str, str], *own: str | None, native: bool = False) -> Key:
    """Return a setting that allows something: on by default, off wins.

    Args:
        name: dotted, area first.
        nb: title in Bokmål.
        en: title in English.
        words: help, by language.
        own: Apple's key, then Android's; None or left out where the channel has none.
        native: whether the native agent enforces it.
    """
    apple, headwind = (*own, None, None)[:2]
    return Key(
        name,
        FLAG,
        OFF_WINS,
        True,
        told(nb, en),
        words,
        sources(apple, headwind, f"{name.partition('.')[0]}.json" if native else None),
    )
