"""A few weeks of four small schools, each spell chosen: what the database job is to live through as the made-up year does.

Schools A to D have three classes of eight tablets and a cart of six each. Half of a class's tablets are pupils' (even
numbers), the others stand in the class. Spells begin when a tablet was last heard, between two looks of the year.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from fleet.compliance.models import Answer
from fleet.schools.after_school import Programme
from fleet.schools.calendar import Calendar, Day, Origin
from tests.silence_world import OSLO, Outage, Place, Quiet, World, at

SCHOOLS, CLASSES, OF_A_CLASS, OF_A_CART = "ABCD", 3, 8, 6
CART = CLASSES
OF_A_SCHOOL = CLASSES * OF_A_CLASS + OF_A_CART
FIRST, LAST = date(2026, 9, 7), date(2026, 10, 9)
HOLIDAYS = [date(2026, 9, 28) + timedelta(days=number) for number in range(5)]
PLANNING_DAY = date(2026, 9, 23)  # at school B
PROGRAMME = [Programme(weekday, time(15), time(16, 45), 4) for weekday in range(5)]  # at school D
EVENING = time(21, 10)  # after the year's last look
HOUR_S = 3_600.0
_ANSWERS = {
    "stolen": Answer.GONE, "lied about": Answer.HOME, "away": Answer.HOME, "forgotten": Answer.HOME,
    "trip": Answer.HOME,
}  # fmt: skip


def tablet(name: str) -> int:
    """Return the number of a tablet: ``A10`` is the first of the second class of A, ``B35`` the last in B's cart."""
    return OF_A_SCHOOL * SCHOOLS.index(name[0]) + OF_A_CLASS * int(name[1]) + int(name[2])


def group(name: str) -> list[int]:
    """Return the tablets of a class or cart, ``A1`` or ``B3``."""
    first = tablet(f"{name}0")
    return list(range(first, first + (OF_A_CART if int(name[1]) == CART else OF_A_CLASS)))


# When they were last heard and when again, of single tablets; "-" is never.
_SINGLE: Sequence[tuple[str, str, str, str]] = (
    ("A00", "09-07 21:10", "09-10 08:20", "away"),  # told on both days
    ("A02", "09-07 21:10", "09-10 08:20", "away"),  # told by nobody
    ("B01", "09-08 21:10", "09-10 08:20", "forgotten"),
    ("B01", "09-11 09:40", "-", "stolen"),  # heard since it was said to be at home
    ("B03", "09-08 09:00", "09-09 08:25", "flat"),
    ("B05", "09-08 09:00", "09-11 08:25", "flat"),
    ("C01", "09-08 10:00", "09-24 08:20", "broken"),
    ("A21", "09-10 16:30", "-", "stolen"),
    ("A23", "09-12 15:00", "-", "stolen"),  # on a Saturday
    ("B21", "09-15 12:00", "-", "lied about"),
    ("C21", "09-14 10:00", "-", "stolen"),  # and nobody answers
    ("A31", "09-16 09:30", "-", "stolen"),  # in a cart: the school's IT is asked
    ("D20", "09-08 21:10", "09-10 08:20", "seldom"),
    ("D20", "09-10 21:10", "09-14 08:20", "seldom"),
    ("D20", "09-14 21:10", "09-16 08:20", "seldom"),
    ("D20", "10-04 21:10", "10-09 08:20", "seldom"),  # by now it is asked about later
    ("B15", "09-22 13:00", "-", "stolen"),  # before a planning day
    ("D05", "09-25 14:00", "-", "stolen"),  # before the holidays
    ("A04", "09-25 13:50", "10-06 12:30", "flat"),
    ("D02", "10-06 15:10", "-", "stolen"),  # in the after-school programme
    ("D03", "10-06 15:10", "-", "stolen"),  # the same, and it is nobody's, so not expected there
)
AWAY = {tablet("A00"): [date(2026, 9, 8), date(2026, 9, 9)]}
LATE = frozenset(tablet(name) for name in ("D02", "D03", "D04"))  # heard in the programme
NEW_PROFILE = frozenset(
    tablet(f"{school}{of}{number}") for school in "CD" for of in range(CLASSES) for number in range(4)
)


@dataclass(slots=True)
class Small(World):
    """The few weeks. ``places`` are given, as the database numbers schools and classes.

    ``pupils`` are the tablets that are a pupil's, ``programmes`` the after-school calendars by tablet.
    """

    programmes: dict[int, Calendar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 (no secret: the same weeks again)
        self.days = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
        self.away.update(AWAY)
        for one, days in AWAY.items():
            for on in days:
                self.away_on[on].add(one)
        self._calendar()
        self._spells()

    def _calendar(self) -> None:
        free = {on: Day(on, False, "Høstferie", Origin.MUNICIPALITY) for on in HOLIDAYS}
        school_ids = list(dict.fromkeys(place.school for place in self.places))
        self.calendars = {None: Calendar(OSLO, free), **{one: Calendar(OSLO, free) for one in school_ids}}
        planning = Day(PLANNING_DAY, False, "Planleggingsdag", Origin.SCHOOL)
        self.calendars[school_ids[1]] = Calendar(OSLO, {**free, PLANNING_DAY: planning})
        hours = {one.weekday: (one.starts_at, one.ends_at) for one in PROGRAMME}
        later = Calendar(OSLO, free, hours)
        self.programmes = {tablet(f"D0{number}"): later for number in range(0, OF_A_CLASS, 2)}

    def _spells(self) -> None:
        for name, since, until, why in _SINGLE:
            back_at = None if until == "-" else _moment(until)
            self._quiet(tablet(name), _moment(since), back_at, why, battery=4 if why == "flat" else 60)
        self._many("network", [*group("A0"), *group("A1")], "09-16 09:02", "09-16 12:40")
        self._many("short", group("B2"), "09-15 10:02", "09-15 10:50")
        self._many("cart", group("B3"), "09-17 08:50", "09-18 09:10")
        self._many("trip", group("D2")[:5], "09-17 21:10", "09-21 08:20")
        self._many("profile", sorted(NEW_PROFILE), "09-21 08:47", "09-21 14:05")
        hit = [*group("C0"), *group("C1")]
        self._many("network", hit, "09-22 10:02", "09-22 17:00")  # heard from home between
        self._many("network", hit, "09-22 21:10", "09-23 12:10")
        everyone = range(len(self.places))
        self.outages.append(Outage("server", _moment("09-24 10:00"), _moment("09-24 13:00"), frozenset(everyone)))
        for one in everyone:
            self._quiet(one, _moment("09-24 09:50"), _moment("09-24 13:05"), "server")

    def _many(self, what: str, tablets: Sequence[int], since: str, until: str) -> None:
        for number, one in enumerate(tablets):
            spread = timedelta(minutes=number % 7)
            self._quiet(one, _moment(since) + spread, _moment(until) + spread, what)

    def _quiet(self, one: int, since: datetime, until: datetime | None, why: str, *, battery: int = 60) -> None:
        self.happens[since.date()].append(Quiet(since, one, since, until, why, battery))

    def answer(self, why: str) -> Answer:
        """Return what somebody who looks says of a tablet."""
        return _ANSWERS.get(why, Answer.HERE)


def delays(one: int) -> tuple[float | None, float | None]:
    """Return how many seconds of school it takes a class's teachers and the school's IT to answer; None: never."""
    if one == tablet("C21"):
        return None, None
    if one == tablet("C01"):
        return None, HOUR_S
    return HOUR_S * (1 + one % 3) / 2, HOUR_S


def places(classes: Sequence[tuple[int, Sequence[int]]]) -> list[Place]:
    """Return all tablets' places.

    Args:
        classes: each school's number, with those of its classes.
    """
    found = []
    for school_id, class_ids in classes:
        found += [Place(school_id, class_id, None) for class_id in class_ids for _ in range(OF_A_CLASS)]
        found += [Place(school_id, None, "vogn 1")] * OF_A_CART
    return found


def _moment(told: str) -> datetime:
    month, day, clock = int(told[:2]), int(told[3:5]), time.fromisoformat(told[6:])
    return at(date(FIRST.year, month, day), clock)
