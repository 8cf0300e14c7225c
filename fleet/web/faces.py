"""Pupils as one finds them at a glance: initials, and the name one calls them by. Pure.

In one class no two have the same initials or the same short name: what would be alike is told apart by more letters.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Words = tuple[str, str]  # the first and the last of a name


@dataclass(frozen=True, slots=True)
class Face:
    """How somebody is shown; without initials it is a tablet that stands in the class for whoever comes."""

    initials: str
    short: str
    name: str


_INITIALS: Sequence[Callable[[Words], str]] = (
    lambda one: one[0][:1] + one[1][:1],
    lambda one: one[0][:2] + one[1][:1],
    lambda one: one[0][:1] + one[1][:2],
)
_SHORT: Sequence[Callable[[Words], str]] = (
    lambda one: one[0],
    lambda one: f"{one[0]} {one[1][:1]}.",
    lambda one: f"{one[0]} {one[1]}",
)


def faces(names: Sequence[tuple[str | None, str]]) -> list[Face]:
    """Return the faces of a class, in the order of its names.

    Args:
        names: each pupil's whole name, or None; and what the tablet is called where it is nobody's.
    """
    known = [_words(name) for name, _tablet in names if name is not None]
    initials, short = _apart(known, _INITIALS, ""), _apart(known, _SHORT, " ")
    told = iter(zip(initials, short, strict=True))
    return [Face("", tablet, tablet) if name is None else Face(*next(told), name) for name, tablet in names]


def _words(name: str) -> Words:
    words = name.split() or [name]
    return words[0], words[-1] if len(words) > 1 else ""


def _apart(ones: Sequence[Words], ways: Sequence[Callable[[Words], str]], before_number: str) -> list[str]:
    """Say each in the first way in which those that are alike are not; where there is none, with a number."""
    found = [_first_way(one, ways[0]) for one in ones]
    for way in ways[1:]:
        for places in _alike(found):
            told = [_first_way(ones[place], way) for place in places]
            if len(set(told)) == len(told) and set(told).isdisjoint(found):
                for place, words in zip(places, told, strict=True):
                    found[place] = words
    for places in _alike(found):
        for number, place in enumerate(places, start=1):
            found[place] = f"{found[place]}{before_number}{number}"
    return found


def _first_way(one: Words, way: Callable[[Words], str]) -> str:
    told = way(one).strip()
    return told[:1].upper() + told[1:]


def _alike(found: Sequence[str]) -> list[list[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for place, told in enumerate(found):
        places[told].append(place)
    return [ones for ones in places.values() if len(ones) > 1]
