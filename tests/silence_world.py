"""A made-up school year, so that silence can be tried on it: what happens to tablets, and what people say of them.

Everything is drawn from one seed. Nothing here knows how silence is judged; :mod:`tests.silence_year` joins the two.

What is assumed, per tablet and school day unless it says otherwise:

* 13 schools, 7,000 tablets, classes of 22 to 28; in each school 30 tablets stand in two carts and belong to no class.
* A pupil falls ill with 2 %, for 1 to 5 days (half go on for another). 70 % of ill pupils' tablets are quiet meanwhile.
  98 % of the days away are registered by 10:00, the others never.
* A tablet is forgotten at home with 1 %; 60 % of those are heard from there, the others are quiet all day.
* It runs flat during the day with 0.3 %; 70 % are charged until the next morning, the others after two more days. 90 %
  of them last told a battery below 10 %.
* 60 break in the year and are quiet for 5 to 25 school days.
* 3 % are seldom used: they are quiet on 40 % of all days, for no other reason.
* 10 % are first heard up to two hours after school begins; after a break of five days or more 5 % are flat in the
  morning, and heard again within three hours.
* Each class is away on two days, 60 % of its tablets then quiet all day.
* 24 access points fail, three to six classes at once, before 11:00, for 3 to 6 hours, or (30 %) until noon of the next
  school day, when 70 % are heard from home between; 16 others fail for 20 to 75 minutes, too short to matter.
* The server is away four times, for 3 to 5 hours of a school day; the silence job looks before any tablet is back; never on
  the day of an access point's failure or the day after, and a week apart: the same tablets quiet again within three
  days count as the same incident.
* 20 tablets are stolen, at any hour of any day of the school year, and never heard from again.
* 95 % of classes have a teacher who answers, after one school hour in the mean (exponential); the school's IT answers
  what it is asked after another hour in the mean, but 3 % of it never.
* Of a stolen tablet 98.5 % say "gone", 1 % "home", 0.5 % "here". Of any other, one in 20,000 says "gone" by mistake, else
  "here" where it is at school and "home" where it is not.
* ``mislaid`` tablets (none, unless asked for) lie where nobody looks, for 1 to 10 school days; 80 % say "gone".
"""

import bisect
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from fleet.compliance.models import Answer
from fleet.schools.calendar import Calendar, Day, Origin

OSLO = ZoneInfo("Europe/Oslo")
FIRST, LAST = date(2026, 8, 17), date(2027, 6, 18)
BREAKS = (
    (date(2026, 9, 28), date(2026, 10, 2)), (date(2026, 12, 21), date(2027, 1, 1)), (date(2027, 2, 22), date(2027, 2, 26)),
    (date(2027, 3, 22), date(2027, 3, 29)), (date(2027, 5, 7), date(2027, 5, 7)),
)  # fmt: skip
REGISTERED = time(10)
STARTS, ENDS = time(8, 15), time(14, 30)
SCHOOLS, TABLETS, THEFTS = 13, 7_000, 20


@dataclass(frozen=True, slots=True)
class Place:
    """A made-up tablet's place."""

    school: int
    class_id: int | None
    cart: str | None


@dataclass(frozen=True, slots=True)
class Quiet:
    """A tablet is quiet: from an instant on it is not heard, until it is back (None: never)."""

    at: datetime
    tablet: int
    heard_at: datetime
    back_at: datetime | None
    why: str
    battery: int | None = 60


@dataclass(slots=True)
class Outage:
    """Many tablets could not be heard for one reason."""

    what: str  # network, short, trip, server
    begins: datetime
    ends: datetime
    tablets: frozenset[int]


@dataclass(slots=True)
class World:
    """The year. ``happens`` are the quiet spells by the day on which they begin."""

    seed: int
    tablets: int = TABLETS
    mislaid: int = 0
    slips: float = 1 / 20_000
    places: list[Place] = field(default_factory=list)
    days: list[date] = field(default_factory=list)
    happens: dict[date, list[Quiet]] = field(default_factory=lambda: defaultdict(list))
    away: dict[int, list[date]] = field(default_factory=lambda: defaultdict(list))  # as registered
    away_on: dict[date, set[int]] = field(default_factory=lambda: defaultdict(set))
    outages: list[Outage] = field(default_factory=list)
    stolen: dict[int, datetime] = field(default_factory=dict)
    calendars: dict[int | None, Calendar] = field(default_factory=dict)
    answering: frozenset[int] = frozenset()
    chance: random.Random = field(init=False)
    _school_days: dict[int, list[date]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 (no secret: the same year again)
        self._build()
        self._calendar()
        self._misfortunes()
        self._everyday()

    def _build(self) -> None:
        number = 0
        for school in range(1, SCHOOLS + 1):
            share = round(self.tablets * school / SCHOOLS) - round(self.tablets * (school - 1) / SCHOOLS)
            carts = min(30, share // 5)
            self.places += [Place(school, None, f"vogn {1 + one % 2}") for one in range(carts)]
            left = share - carts
            while left > 0:
                number += 1
                size = min(left, self.chance.randint(22, 28))
                self.places += [Place(school, number, None)] * size
                left -= size
        self.answering = frozenset(one for one in range(1, number + 1) if self.chance.random() < 0.95)

    def _calendar(self) -> None:
        free = {first + timedelta(days=n): "Ferie" for first, last in BREAKS for n in range((last - first).days + 1)}
        everywhere = Calendar(OSLO, {on: Day(on, False, title, Origin.MUNICIPALITY) for on, title in free.items()})
        whole = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
        usual = [on for on in whole if everywhere.is_school_day(on)]
        self.calendars[None] = everywhere
        for school in range(1, SCHOOLS + 1):
            own = {on: Day(on, False, "Planleggingsdag", Origin.SCHOOL) for on in self.chance.sample(usual[5:], 6)}
            self.calendars[school] = Calendar(OSLO, {**everywhere.days, **own})
        self.days = whole

        for school in range(1, SCHOOLS + 1):
            self._school_days[school] = [on for on in whole if self.calendars[school].is_school_day(on)]

    def school_days(self, school: int) -> list[date]:
        """Return the days with school at a school."""
        return self._school_days[school]

    def expected_hours(self, tablet: int, since: datetime, until: datetime) -> float:
        """Return the hours of school between two instants, less the days registered as away: counted day by day."""
        place, total, on = self.places[tablet], 0.0, since.astimezone(OSLO).date()
        away = set(self.away.get(tablet, ()))
        today = until.astimezone(OSLO).date()
        if until.astimezone(OSLO).time() < REGISTERED:
            away.discard(today)  # nobody knows yet
        while on <= today:
            if self.calendars[place.school].is_school_day(on) and on not in away:
                first, last = max(since, at(on, STARTS)), min(until, at(on, ENDS))
                total += max(0.0, (last - first).total_seconds() / 3600)
            on += timedelta(days=1)
        return total

    def _add(self, quiet: Quiet) -> None:
        self.happens[quiet.at.astimezone(OSLO).date()].append(quiet)

    def _back(self, school: int, on: date, days: int) -> datetime:
        """Return the morning so many school days later."""
        own = self._school_days[school]
        later = bisect.bisect_right(own, on) + days - 1
        return self._morning(own[later]) if later < len(own) else at(LAST, time(23))

    def _morning(self, on: date) -> datetime:
        return at(on, STARTS) + timedelta(minutes=self.chance.randint(0, 14))

    def _evening(self, on: date) -> datetime:
        return at(on, ENDS) + timedelta(minutes=self.chance.randint(-30, 300))

    def _misfortunes(self) -> None:
        draw = self.chance
        tablets = range(len(self.places))
        for tablet in draw.sample(tablets, THEFTS):
            on = draw.choice(self.days[:-20])
            moment = at(on, time(draw.randint(7, 22), draw.randint(0, 59)))
            self.stolen[tablet] = moment
            self._add(Quiet(moment, tablet, moment - timedelta(minutes=draw.randint(0, 15)), None, "stolen"))
        for why, count, longest in (("broken", 60, 25), ("mislaid", self.mislaid, 10)):
            for tablet in draw.sample(tablets, count * len(self.places) // TABLETS):
                on = draw.choice(self.school_days(self.places[tablet].school)[:-26])
                moment = at(on, time(draw.randint(8, 14), draw.randint(15, 29)))
                back = self._back(self.places[tablet].school, on, draw.randint(5 if why == "broken" else 1, longest))
                self._add(Quiet(moment, tablet, moment, back, why))
        by_class: dict[int, list[int]] = defaultdict(list)
        for tablet in tablets:
            of = self.places[tablet].class_id
            if of is not None:
                by_class[of].append(tablet)
        self._trips(by_class)
        self._networks(by_class)
        self._server()

    def _trips(self, by_class: Mapping[int, list[int]]) -> None:
        for members in by_class.values():
            days = self.school_days(self.places[members[0]].school)
            for on in self.chance.sample(days[10:], 2):
                gone = [one for one in members if self.chance.random() < 0.6]
                before = days[days.index(on) - 1]
                back = self._back(self.places[members[0]].school, on, 1)
                self.outages.append(Outage("trip", at(on, STARTS), back, frozenset(gone)))
                for tablet in gone:
                    self._add(Quiet(at(on, STARTS), tablet, self._evening(before), back, "trip"))

    def _networks(self, by_class: Mapping[int, list[int]]) -> None:
        draw = self.chance
        classes: dict[int, list[int]] = defaultdict(list)
        for number, members in by_class.items():
            classes[self.places[members[0]].school].append(number)
        days = draw.sample(self.days[10:-10], 120)
        kinds = ["network"] * 24 + ["short"] * 16
        while kinds:
            on, school = days.pop(), draw.randint(1, SCHOOLS)
            if not self.calendars[school].is_school_day(on):
                continue
            what = kinds.pop()
            hit = draw.sample(classes[school], min(len(classes[school]), draw.randint(3, 6)))
            tablets = [one for number in hit for one in by_class[number]]
            begins = at(on, time(8, 30)) + timedelta(minutes=draw.randint(0, 150))
            lasts = draw.randint(20, 75) if what == "short" else draw.randint(180, 360)
            is_long = what == "network" and draw.random() < 0.3
            ends = begins + timedelta(minutes=lasts)
            if is_long:
                ends = at(self._back(school, on, 1).date(), time(12))
            elif ends > at(on, ENDS):
                ends = at(on, ENDS)
            self.outages.append(Outage(what, begins, ends, frozenset(tablets)))
            for tablet in tablets:
                self._cut(tablet, begins, ends, what)

    def _cut(self, tablet: int, begins: datetime, ends: datetime, what: str) -> None:
        """Have a tablet be quiet while its access point is; overnight it may be heard from home."""
        draw = self.chance
        heard = begins - timedelta(minutes=draw.randint(0, 15) if draw.random() < 0.9 else draw.randint(0, 120))
        back = ends + timedelta(minutes=draw.randint(0, 15))
        evening = at(begins.astimezone(OSLO).date(), time(16)) + timedelta(minutes=draw.randint(0, 240))
        if ends > evening and draw.random() < 0.7:
            self._add(Quiet(begins, tablet, heard, evening, what))
            morning = at(ends.astimezone(OSLO).date(), STARTS)
            self._add(Quiet(morning, tablet, evening + timedelta(hours=1), back, what))
        else:
            self._add(Quiet(begins, tablet, heard, back, what))

    def _server(self) -> None:
        draw = self.chance
        usual = [on for on in self.days[20:-20] if all(one.is_school_day(on) for one in self.calendars.values())]
        busy = {
            one.begins.date() + timedelta(days=n) for one in self.outages if one.what == "network" for n in (-1, 0, 1)
        }
        days: list[date] = []
        for on in draw.sample(usual, len(usual)):
            if len(days) < 4 and on not in busy and all(abs((on - other).days) >= 7 for other in days):
                days.append(on)
        for on in days:
            begins = at(on, time(8, 45)) + timedelta(minutes=15 * draw.randint(0, 6))
            ends = begins + timedelta(minutes=15 * draw.randint(12, 20))
            everyone = range(len(self.places))
            self.outages.append(Outage("server", begins, ends, frozenset(everyone)))
            for tablet in everyone:
                heard = begins - timedelta(minutes=draw.randint(0, 15))
                is_later = ends > at(on, ENDS) and draw.random() < 0.3
                back = self._back(self.places[tablet].school, on, 1) if is_later else ends
                back += timedelta(minutes=draw.randint(1, 15))
                self._add(Quiet(begins, tablet, heard, back, "server"))

    def _everyday(self) -> None:
        draw = self.chance
        by_school: dict[int, list[int]] = defaultdict(list)
        for tablet, place in enumerate(self.places):
            by_school[place.school].append(tablet)
        for school, tablets in by_school.items():
            days = self.school_days(school)
            seldom = draw.sample(tablets, len(tablets) * 3 // 100)
            before = days[0] - timedelta(days=3)
            for on in days:
                back = self._back(school, on, 1)
                for tablet in self._some(tablets, 0.02):
                    self._ill(school, tablet, days, on, before)
                for tablet in self._some(tablets, 0.01 * 0.4):
                    self._add(Quiet(at(on, STARTS), tablet, self._evening(before), back, "forgotten"))
                for tablet in self._some(tablets, 0.003):
                    moment = at(on, time(8, 20)) + timedelta(minutes=draw.randint(0, 360))
                    charged = back if draw.random() < 0.7 else self._back(school, on, 3)
                    battery = 4 if draw.random() < 0.9 else 40
                    self._add(Quiet(moment, tablet, moment, charged, "flat", battery))
                for tablet in self._some(seldom, 0.4):
                    self._add(Quiet(at(on, STARTS), tablet, self._evening(before), back, "seldom"))
                late = 0.10 + (0.05 if (on - before).days > 5 else 0.0)
                for tablet in self._some(tablets, late):
                    first = at(on, STARTS) + timedelta(minutes=draw.randint(5, 120 if draw.random() < 0.7 else 115))
                    if late > 0.1 and draw.random() < 0.33:
                        first = at(on, STARTS) + timedelta(minutes=draw.randint(30, 180))
                    self._add(Quiet(at(on, STARTS), tablet, self._evening(before), first, "late"))
                before = on

    def _some(self, tablets: list[int], share: float) -> Iterator[int]:
        """Return about this share of tablets, in a number that varies as it would."""
        mean = len(tablets) * share
        count = min(len(tablets), max(0, round(self.chance.gauss(mean, mean**0.5))))
        yield from self.chance.sample(tablets, count)

    def _ill(self, school: int, tablet: int, days: list[date], on: date, before: date) -> None:
        draw, first = self.chance, days.index(on)
        length = 1
        while length < 5 and draw.random() < 0.5:
            length += 1
        spell = days[first : first + length]
        known = [one for one in spell if draw.random() < 0.98]
        self.away[tablet] += known
        for one in known:
            self.away_on[one].add(tablet)
        if draw.random() < 0.7:
            back = self._back(school, spell[-1], 1)
            self._add(Quiet(at(on, STARTS), tablet, self._evening(before), back, "away"))

    def answer(self, why: str) -> Answer:
        """Return what somebody who looks says of a tablet."""
        chance = self.chance.random()
        if why == "stolen":
            return Answer.GONE if chance < 0.985 else Answer.HOME if chance < 0.995 else Answer.HERE
        if why == "mislaid" and chance < 0.8:
            return Answer.GONE
        if chance > 1 - self.slips:
            return Answer.GONE
        return Answer.HOME if why in {"away", "forgotten", "trip"} else Answer.HERE


def at(on: date, moment: time) -> datetime:
    """Return a local moment."""
    return datetime.combine(on, moment, OSLO)
