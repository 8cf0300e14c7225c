"""The small bar that shows how tablets stand: parts of a whole, always beside the same in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.devices.queries import Figures
from fleet.lessons.views import State
from fleet.web.texts import translated as _

WIDTH = 1000  # of the drawing, in its own units
_SHORTEST = 15


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of the bar.

    Args:
        kind: its name in the style sheet, such as ``ready`` or ``waiting``.
        words: what it stands for.
        count: how many tablets.
        start: where it begins, of ``WIDTH``.
        length: how long it is, of ``WIDTH``.
    """

    kind: str
    words: str
    count: int
    start: int
    length: int


def parts(figures: Figures) -> list[Part]:
    """Return the parts of a bar of tablets and their profiles."""
    return _filled(_shares(figures))


def lesson_parts(counts: Mapping[State, int]) -> list[Part]:
    """Return the parts of a bar of tablets and a lesson: how it arrives, and once it is over how they come back."""
    told = (
        ("ready", _("have it"), State.APPLIED),
        ("fetched", _("have fetched it"), State.FETCHED),
        ("waiting", _("wait for it"), State.WAITING),
        ("failed", _("have it, but not all of it"), State.FAILED),
        ("ready", _("are back"), State.BACK),
        ("waiting", _("are not back yet"), State.STRAGGLER),
    )
    return _filled([(kind, words, counts.get(state, 0)) for kind, words, state in told])


def arrival_parts(meant: int, arrived: int) -> list[Part]:
    """Return the parts of a bar of tablets that have a lesson, and those that are to have it."""
    return _filled([("ready", _("have it"), arrived), ("waiting", _("wait for it"), meant - arrived)])


def ticket_parts(counts: Mapping[str, int], *, left: int) -> list[Part]:
    """Return the parts of a bar of a ticket's places: how far the tablets have come, and what is left.

    Args:
        counts: of the tablets taken in, by :attr:`fleet.devices.arrivals.Arrival.step`.
        left: how many places nobody has taken.
    """
    told = (
        ("ready", _("have their profile"), counts.get("applied", 0)),
        ("failed", _("have their profile, not all settings"), counts.get("failed", 0)),
        ("fetched", _("are fetching their profile"), counts.get("fetched", 0) + counts.get("enrolled", 0)),
        ("waiting", _("wait for approval"), counts.get("pending", 0)),
        ("quiet", _("have left again"), counts.get("left", 0)),
        ("expected", _("places left"), left),
    )
    return _filled(told)


def _filled(told: Sequence[tuple[str, str, int]]) -> list[Part]:
    """Return the bar's parts, without those that are empty; together they fill it, and none is too short to be seen."""
    shares = [(kind, words, count) for kind, words, count in told if count]
    total = sum(count for _kind, _words, count in shares)
    lengths = [max(_SHORTEST, WIDTH * count // total) for _kind, _words, count in shares]
    if lengths:
        longest = lengths.index(max(lengths))
        lengths[longest] += WIDTH - sum(lengths)
    starts = [sum(lengths[:place]) for place in range(len(lengths))]
    return [
        Part(kind, words, count, start, length)
        for (kind, words, count), start, length in zip(shares, starts, lengths, strict=True)
    ]


def legend() -> Sequence[tuple[str, str]]:
    """Return kinds and words of all parts there can be."""
    return [(kind, words) for kind, words, _count in _shares(Figures())]


def _shares(figures: Figures) -> list[tuple[str, str, int]]:
    return [
        ("ready", _("have their profile"), figures.ready),
        ("waiting", _("wait for their profile"), figures.waiting),
        ("quiet", _("not heard from the last day"), figures.quiet),
        ("fetched", _("wait for approval"), figures.pending_approval),
        ("expected", _("not enrolled yet"), figures.expected),
        ("lost", _("lost"), figures.lost),
    ]
