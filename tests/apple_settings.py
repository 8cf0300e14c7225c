"""Values at the edges of every kind of setting, and whole profiles of them, made from the vocabulary itself."""

from collections.abc import Iterator
from typing import Any

from profiles.kinds import Choice, Flag, Items, Kind, Record, Records, Text, Whole
from profiles.vocabulary import VOCABULARY

_TEXTS = {
    "an app id": ["no.eksempel.app", "com.apple.mobilesafari"],
    "a host": ["nrk.no", "*.udir.no", "*.ung.no/skole"],
    "a time": ["08:15"],
    "a version": ["17", "18.4.1"],
    "an address": ["https://nrk.no/skole?a=b&c=d"],
    "a network": ["skolenett", "x" * 32],
    "a password": ["en-to-tre", "x" * 63],
    "host:port": ["filter.kommune.no:3128"],
}


def edges(kind: Kind) -> list[Any]:  # noqa: PLR0911 (a case per kind)
    """Return acceptable values of ``kind``: its ends, each choice, and records with and without what may be left out."""
    if isinstance(kind, Flag):
        return [True, False]
    if isinstance(kind, Whole):
        return [kind.lowest, kind.highest]
    if isinstance(kind, Choice):
        return list(kind.words)
    if isinstance(kind, Text):
        known = next((texts for words, texts in _TEXTS.items() if kind.words.startswith(words)), None)
        return known or ["a", "Å" * kind.longest, "<&>'\""[: kind.longest]]
    if isinstance(kind, Items):
        return [[], edges(kind.item)]
    if isinstance(kind, Record):
        return list(_records(kind))
    assert isinstance(kind, Records)
    every = {record[kind.key]: record for record in _records(kind.record)}
    return [[], *([one] for one in _records(kind.record)), list(every.values())]


def _records(kind: Record) -> Iterator[dict[str, Any]]:
    first = {name: edges(inner)[0] for name, inner in kind.fields.items()}
    yield {name: first[name] for name in kind.required}
    for name, inner in kind.fields.items():
        for value in edges(inner):
            yield first | {name: value}


def whole() -> Iterator[dict[str, Any]]:
    """Return profiles that say something of every setting: the first edge of each, the second, and so on."""
    for place in range(4):
        yield {
            name: key.kind.normalise(found[min(place, len(found) - 1)])
            for name, key in VOCABULARY.items()
            if (found := edges(key.kind))
        }
