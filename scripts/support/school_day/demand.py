"""What a day's tablets ask of the server, request by request: the rhythm of :mod:`school_day.tablet`, without a server.

Pure. Instants are seconds of the machine since the day's beginning, so the same rhythm serves a day at its real pace
and one at sixty times the speed.
"""

import enum
import random
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from school_day.world import Lesson, Place, Span, TabletDay, World

POLL_S, REPORT_S, QUIET_FACTOR = 60.0, 900.0, 5.0
HOLD_S, HELD_LEAST, AGAIN_S = 50.0, 0.7, 1.0  # as fleet.channels.native.pace holds


class What(enum.IntEnum):
    """A kind of request; ``CHANGE`` is what a lesson's change costs on one tablet, the news and its report."""

    POLL = 0
    HELD = 1
    REPORT = 2
    CHANGE = 3


@dataclass(frozen=True, slots=True)
class Ask:
    """A tablet asks something."""

    at: float
    what: What


@dataclass(frozen=True, slots=True)
class Pace:
    """How the day's seconds become the machine's, from when on to when."""

    begins: float
    ends: float
    speed: float = 1.0

    def machine(self, instant: float) -> float:
        """Return an instant of the day as seconds of the machine since the day began."""
        return (instant - self.begins) / self.speed


def asks(world: World, tablet: TabletDay, lessons: Sequence[Lesson], pace: Pace, dice: random.Random) -> Iterator[Ask]:
    """Return what a tablet asks over the day, in no particular order.

    Args:
        world: the day.
        tablet: whose.
        lessons: its class's.
        pace: of the clock.
        dice: what chance follows from.
    """
    reported_at = float("-inf")
    for span in tablet.spans:
        if span.ends <= pace.begins or span.begins >= pace.ends:
            continue
        reported_at = yield from _span(world, tablet, span, pace, (dice, reported_at))
    for lesson in lessons:
        for instant in (lesson.starts_at, lesson.ends_at):
            there = tablet.span_at(instant)
            if there is not None and there.place is Place.SCHOOL and pace.begins <= instant < pace.ends:
                yield Ask(pace.machine(instant), What.CHANGE)


def _span(
    world: World, tablet: TabletDay, span: Span, pace: Pace, luck: tuple[random.Random, float]
) -> Generator[Ask, None, float]:
    """Return what a tablet asks while it is open; in the end, when it last reported."""
    dice, reported_at = luck
    now, until = pace.machine(max(span.begins, pace.begins)), pace.machine(min(span.ends, pace.ends))
    report_at = now  # it knows nothing yet, or was due while it was shut, or is due later
    if reported_at + _interval(world, tablet, span, pace, REPORT_S) > now:
        report_at = reported_at + _interval(world, tablet, span, pace, REPORT_S)
    if reported_at == float("-inf"):  # who has no configuration asks for it before it reports
        yield Ask(now, What.POLL)
    poll_at = now
    while (now := min(poll_at, report_at)) < until:
        if report_at <= now:
            yield Ask(now, What.REPORT)
            reported_at = now
            report_at = now + _interval(world, tablet, span, pace, REPORT_S) * dice.uniform(0.5, 1.5)
            continue
        is_open = world.is_open(tablet.class_number, pace.begins + now * pace.speed)
        wait_s = min(HOLD_S, report_at - now)
        if is_open and wait_s >= 2:
            yield Ask(now, What.HELD)
            poll_at = now + dice.uniform(HELD_LEAST, 1) * wait_s + AGAIN_S
        else:
            yield Ask(now, What.POLL)
            poll_at = now + _interval(world, tablet, span, pace, POLL_S) * dice.uniform(0.5, 1.5)
    return reported_at


def _interval(world: World, tablet: TabletDay, span: Span, pace: Pace, seconds: float) -> float:
    is_open = world.is_open(tablet.class_number, span.begins)
    return (seconds if is_open else seconds * QUIET_FACTOR) / pace.speed


def of_all(world: World, pace: Pace, *, seed: int = 1) -> list[list[Ask]]:
    """Return for each tablet of a world what it asks, in order."""
    of_class: dict[int, list[Lesson]] = {}
    for lesson in world.lessons:
        of_class.setdefault(lesson.class_number, []).append(lesson)
    found = []
    for tablet in world.tablets:
        dice = random.Random(f"{seed}/asks/{tablet.number}")  # noqa: S311 (make-believe)
        lessons = of_class.get(tablet.class_number, ())
        found.append(sorted(asks(world, tablet, lessons, pace, dice), key=lambda ask: ask.at))
    return found
