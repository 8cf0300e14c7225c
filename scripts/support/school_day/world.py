"""A school day, made up from a seed: when each tablet is in use and where, what teachers start, what goes wrong.

Pure. Instants are seconds since midnight of the day's own clock; nobody here knows how fast that clock runs. A tablet
has a network in its spans only: between them it is shut, or on the way. Invariants: a tablet's spans are apart and in
order, at home or at its own school; the same seed gives the same day, however many drivers share its tablets.
"""

import enum
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MINUTE, HOUR = 60.0, 3600.0
CLASS_SIZE = 28
SCHOOLS = 13
# First bells of the schools in turn: most at 08:15, so that there is a rush.
_BELLS = (8.25, 8.25, 8.5, 8.25, 8.25, 8.0, 8.25, 8.5, 8.25, 8.25, 8.0, 8.25, 8.5)
# Minutes from the first bell to the beginnings of the day's lessons, and how long each is.
_LESSONS, LESSON = (0, 50, 115, 165, 240, 290), 45 * MINUTE
_NEAR = 45 * MINUTE  # so long before the first and after the last bell a school counts as open
_USED, _USED_FIRST = 0.65, 0.8  # share of classes that take their tablets out in a lesson; in the day's first
_TAUGHT = 0.6  # of these, how many are given a set by their teacher
_MESSAGE = 0.25  # and of these, how many are sent a message
_ILL, _LATE, _BAD_WIFI = 0.04, 0.03, 0.04
_LOSS, _BAD_LOSS = 0.001, 0.05  # share of requests, or of their answers, that are lost
_DRAIN = 13 / HOUR  # percent of the battery that a second in use takes
_EMPTY = 4.0


class Place(enum.Enum):
    """Where a tablet is in use."""

    HOME = "home"
    SCHOOL = "school"


@dataclass(frozen=True, slots=True)
class Span:
    """A tablet is open and has a network."""

    begins: float
    ends: float
    place: Place


@dataclass(frozen=True, slots=True)
class TabletDay:
    """One tablet's day.

    Args:
        number: of the tablet, from 0 on.
        class_number: whose it is.
        spans: when it is in use.
        loss: share of what it sends, or of what it is answered, that its Wi-Fi loses.
        battery_percent: what it begins the day with.
        updates_at: when it begins to take the new system, while it is in use; None: not on this day.
    """

    number: int
    class_number: int
    spans: tuple[Span, ...]
    loss: float
    battery_percent: float
    updates_at: float | None

    def span_at(self, instant: float) -> Span | None:
        """Return the span in which an instant lies."""
        return next((span for span in self.spans if span.begins <= instant < span.ends), None)

    def battery_at(self, instant: float) -> int:
        """Return the charge: what use has taken since midnight; at home it is charged once, after school."""
        used = sum(max(0.0, min(span.ends, instant) - span.begins) for span in self.spans)
        is_back = any(
            span.place is Place.HOME and span.begins > 12 * HOUR and span.begins <= instant for span in self.spans
        )
        return round(max(1.0, min(100.0, self.battery_percent - used * _DRAIN + (60.0 if is_back else 0.0))))


@dataclass(frozen=True, slots=True)
class Lesson:
    """A teacher gives a class a set, perhaps sends a message, and ends it."""

    number: int
    class_number: int
    starts_at: float
    ends_at: float
    set_number: int
    message_at: float | None


@dataclass(frozen=True, slots=True)
class Outage:
    """An access point is gone for a while: the tablets of some classes, when at school, have no network."""

    begins: float
    ends: float
    class_numbers: frozenset[int]

    def hits(self, tablet: TabletDay, instant: float) -> bool:
        """Whether it is there for a tablet at an instant, where that is at school."""
        return self.begins <= instant < self.ends and tablet.class_number in self.class_numbers


@dataclass(frozen=True, slots=True)
class World:
    """The day. ``bells`` are the schools' first bells."""

    bells: Sequence[float]
    classes_of_a_school: int
    tablets: Sequence[TabletDay]
    lessons: Sequence[Lesson]
    outage: Outage

    def school_of(self, class_number: int) -> int:
        """Return the school of a class; before the first there is one without tablets (``bench.municipality``)."""
        return (class_number + 1) // self.classes_of_a_school

    def is_open(self, class_number: int, instant: float) -> bool:
        """Whether a class's school is open, or about to be: then its tablets may wait at the server."""
        bell = self.bells[self.school_of(class_number)]
        return bell - _NEAR <= instant < bell + _LESSONS[-1] * MINUTE + LESSON + _NEAR


def build(tablets: int, *, seed: int = 1, schools: int = SCHOOLS) -> World:
    """Make up a day.

    Args:
        tablets: how many.
        seed: what chance follows from.
        schools: how many schools share the classes; fewer where there are fewer classes.
    """
    classes = -(-tablets // CLASS_SIZE)
    of_a_school = -(-(classes + 1) // schools)
    count = -(-(classes + 1) // of_a_school)
    bells = [_BELLS[number % len(_BELLS)] * HOUR for number in range(count)]
    lessons: list[Lesson] = []
    days: list[TabletDay] = []
    for number in range(classes):
        dice = random.Random(f"{seed}/class/{number}")  # noqa: S311 (make-believe)
        bell = bells[(number + 1) // of_a_school]
        used = list(_used(dice, bell))
        lessons.extend(_lessons(dice, number, used, len(lessons)))
        members = range(number * CLASS_SIZE, min(tablets, (number + 1) * CLASS_SIZE))
        days.extend(_tablet(seed, one, number, used) for one in members)
    dice = random.Random(f"{seed}/outage")  # noqa: S311 (make-believe)
    begins = 10.6 * HOUR + dice.uniform(0, HOUR)
    first = dice.randrange(classes)
    hit = frozenset(number for number in range(first, min(classes, first + 4)))
    return World(bells, of_a_school, days, lessons, Outage(begins, begins + 12 * MINUTE, hit))


def _used(dice: random.Random, bell: float) -> Iterator[float]:
    """Return the beginnings of the lessons in which a class has its tablets out."""
    for place, after in enumerate(_LESSONS):
        if dice.random() < (_USED if place else _USED_FIRST):
            yield bell + after * MINUTE


def _lessons(dice: random.Random, class_number: int, used: Sequence[float], first: int) -> Iterator[Lesson]:
    for begins in used:
        if dice.random() >= _TAUGHT:
            continue
        starts_at = begins + dice.uniform(1, 6) * MINUTE
        ends_at = begins + LESSON - dice.uniform(0, 4) * MINUTE
        message_at = starts_at + dice.uniform(5, 20) * MINUTE if dice.random() < _MESSAGE else None
        yield Lesson(first, class_number, starts_at, ends_at, first % 2, message_at)
        first += 1


def _tablet(seed: int, number: int, class_number: int, used: Sequence[float]) -> TabletDay:
    dice = random.Random(f"{seed}/tablet/{number}")  # noqa: S311 (make-believe)
    spans: list[Span] = []
    if dice.random() < 0.3:  # a look before school
        begins = dice.uniform(6.6, 7.5) * HOUR
        spans.append(Span(begins, begins + dice.uniform(5, 25) * MINUTE, Place.HOME))
    if dice.random() >= _ILL:
        is_late = dice.random() < _LATE
        spans.extend(_at_school(dice, used[1:] if is_late else used))
    else:
        spans.append(Span(begins := dice.uniform(9, 12) * HOUR, begins + HOUR, Place.HOME))
    for _ in range(dice.choice((0, 1, 1, 2))):  # homework, and whatever else
        begins = dice.uniform(14.75, 16.75) * HOUR
        spans.append(Span(begins, begins + dice.uniform(10, 60) * MINUTE, Place.HOME))
    battery = dice.uniform(55, 100)
    lasting = tuple(_lasting(_apart(spans), battery))
    at_school = [span for span in lasting if span.place is Place.SCHOOL and span.begins > 10 * HOUR]
    updates_at = None
    if at_school and dice.random() < 0.5:  # the wave of a new system: half of the tablets on this day
        span = dice.choice(at_school)
        updates_at = dice.uniform(span.begins, span.ends)
    loss = _BAD_LOSS if dice.random() < _BAD_WIFI else _LOSS
    return TabletDay(number, class_number, lasting, loss, battery, updates_at)


def _at_school(dice: random.Random, used: Sequence[float]) -> Iterator[Span]:
    """Return when a pupil has the tablet open in the lessons in which the class does; some shut it in between."""
    for begins in used:
        opened = begins + dice.uniform(-2, 4) * MINUTE
        ends = begins + LESSON + dice.uniform(-2, 1) * MINUTE
        if dice.random() < 0.2:
            shut = dice.uniform(opened + 5 * MINUTE, ends - 10 * MINUTE)
            yield Span(opened, shut, Place.SCHOOL)
            opened = shut + dice.uniform(2, 6) * MINUTE
        yield Span(opened, ends, Place.SCHOOL)


def _apart(spans: Sequence[Span]) -> Iterator[Span]:
    """Return spans in order: those that nearly meet become one; one of another place waits for the former to end."""
    last: Span | None = None
    for span in sorted(spans, key=lambda one: one.begins):
        if last is None:
            last = span
        elif span.begins > last.ends + MINUTE:
            yield last
            last = span
        elif span.place is last.place:
            last = Span(last.begins, max(last.ends, span.ends), last.place)
        elif span.ends > last.ends + 2 * MINUTE:
            yield last
            last = Span(last.ends + 2 * MINUTE, span.ends, span.place)
    if last is not None:
        yield last


def _lasting(spans: Iterator[Span], battery: float) -> Iterator[Span]:
    """Return spans as long as the battery lasts: who runs empty at school is open again at home only."""
    left = (battery - _EMPTY) / _DRAIN
    for span in spans:
        if span.place is Place.HOME and span.begins > 12 * HOUR:
            left = max(left, 3 * HOUR)
        if left <= MINUTE:
            continue
        taken = min(left, span.ends - span.begins)
        left -= taken
        yield Span(span.begins, span.begins + taken, span.place)
