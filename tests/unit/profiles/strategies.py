"""Hypothesis strategies for settings and layers, made from the vocabulary itself."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from profiles.key import Key
from profiles.kinds import Choice, Flag, Items, Kind, Record, Records, Text, Whole
from profiles.layering import Layer, Level
from profiles.vocabulary import VOCABULARY

APPS = [f"no.eksempel.app{number}" for number in range(6)]
_HOSTS = ["nrk.no", "*.udir.no", "geogebra.org", "ung.no/skole"]
_TEXTS = {"an app id": APPS, "a host": _HOSTS, "a time": ["08:15", "22:00"], "a version": ["17.0", "18.4", "18.10.1"]}


def values(kind: Kind) -> st.SearchStrategy[Any]:  # noqa: PLR0911 (a case per kind)
    """Return acceptable values of ``kind``, few enough that layers meet."""
    if isinstance(kind, Flag):
        return st.booleans()
    if isinstance(kind, Whole):
        return st.integers(kind.lowest, kind.highest)
    if isinstance(kind, Choice):
        return st.sampled_from(kind.words)
    if isinstance(kind, Text):
        known = next((texts for words, texts in _TEXTS.items() if kind.words.startswith(words)), None)
        return st.sampled_from(known or ["a", "b", "Åsen", "host:80"])
    if isinstance(kind, Items):
        return st.lists(values(kind.item), max_size=4)
    if isinstance(kind, Record):
        return st.fixed_dictionaries(
            {name: values(kind.fields[name]) for name in kind.required},
            optional={name: values(inner) for name, inner in kind.fields.items() if name not in kind.required},
        )
    assert isinstance(kind, Records)
    return st.lists(values(kind.record), max_size=3, unique_by=lambda record: record[kind.key])


def stored(key: Key) -> st.SearchStrategy[Any]:
    """Return values of ``key`` in their stored form."""
    return values(key.kind).map(key.kind.normalise)


@st.composite
def settings(draw: st.DrawFn) -> dict[str, Any]:
    """Return some settings, in their stored form."""
    names = draw(st.lists(st.sampled_from(sorted(VOCABULARY)), max_size=6, unique=True))
    favourites = draw(
        st.lists(st.sampled_from(["apps.required", "apps.blocked", "apps.allowed", "kiosk.app"]), unique=True)
    )
    return {name: draw(stored(VOCABULARY[name])) for name in dict.fromkeys([*names, *favourites])}


@st.composite
def layers(draw: st.DrawFn) -> list[Layer]:
    """Return layers with names of their own, several of a level among them."""
    found = draw(st.lists(st.tuples(st.sampled_from(list(Level)), settings(), st.integers(0, 3)), max_size=6))
    return [
        Layer(level, f"lag {number}", datetime(2026, 9, 1 + day, tzinfo=UTC) if day else None, given)
        for number, (level, given, day) in enumerate(found)
    ]
