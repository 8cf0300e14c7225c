"""A school year lived through by the very steps that the job takes, in memory: what they find, ask and miss."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from fleet.compliance import steps
from fleet.compliance.habits import SAYS_SOMETHING
from fleet.compliance.models import Answer, FindingKind, IncidentCause
from fleet.compliance.quiet import Asked, Limits, Scene, Span, Standing, Tablet, Totals, expected_seconds, is_due
from fleet.compliance.steps import Decisions
from fleet.schools.calendar import Calendar
from tests.silence_world import OSLO, STARTS, Outage, Quiet, World, at

LOOKS_EVERY = timedelta(minutes=30)  # the job looks every quarter; so the year takes half as long
WITHIN_HOURS = 8
_LATELY = timedelta(days=3)


@dataclass(slots=True)
class Question:
    """A question of the year."""

    id: int
    tablet: int
    class_id: int | None
    asked_at: datetime
    delay_s: float | None  # until the class's teacher answers; None: never
    it_delay_s: float | None
    is_again: bool  # whether one about the same quiet had been answered
    escalated_at: datetime | None = None
    answer: Answer | None = None
    answered_at: datetime | None = None
    excused_until: datetime | None = None


@dataclass(slots=True)
class Incident:
    """An incident of the year."""

    id: int
    cause: IncidentCause
    school_id: int | None
    opened_at: datetime
    began_at: datetime
    members: set[int]
    former: set[int]
    of: int
    most: int
    why: str  # what most of its first members were quiet for
    closed_at: datetime | None = None


@dataclass(slots=True)
class Flag:
    """Something was found or asked about a tablet."""

    what: str
    tablet: int
    at: datetime
    why: str
    expected_hours: float  # as the world counts them, by the day


@dataclass(slots=True)
class Year:
    """The year's course. ``by_teachers`` and ``by_it`` say whether they ever answer."""

    world: World
    by_teachers: bool = True
    by_it: bool = True
    limits: Limits = field(default_factory=Limits)
    quiet: dict[int, Quiet] = field(default_factory=dict)
    heard: dict[int, datetime] = field(default_factory=dict)  # of those back that something is open about
    silent: dict[int, int] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)
    silent_since: dict[int, datetime] = field(default_factory=dict)
    questions: dict[int, Question] = field(default_factory=dict)  # the newest of a tablet that was not withdrawn
    incidents: dict[int, Incident] = field(default_factory=dict)
    joined: dict[int, datetime] = field(default_factory=dict)  # when a tablet came into the incident it is in
    excused: dict[int, list[Span]] = field(default_factory=lambda: defaultdict(list))  # by incidents it was in
    said: dict[int, list[Span]] = field(default_factory=lambda: defaultdict(list))  # by answers that explain
    quiet_days: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    flags: list[Flag] = field(default_factory=list)
    asked: Counter[int | None] = field(default_factory=Counter)
    ends: list[tuple[datetime, int]] = field(default_factory=list)
    number: int = 0
    count: int = 0  # of days lived through
    totals: Totals = field(init=False)

    def run(self) -> "Year":
        """Live through it."""
        self.totals = Totals.of((p.school, p.class_id, p.cart, "d", 1) for p in self.world.places)
        for count, on in enumerate(self.world.days):
            self._day(on, count)
        return self

    def _day(self, on: date, count: int) -> None:
        waiting = sorted(self.world.happens.get(on, ()), key=lambda one: one.at)
        server = [one for one in self.world.outages if one.what == "server" and one.begins.date() == on]
        is_school = any(one.is_school_day(on) for one in self.world.calendars.values())
        moments = [at(on, time(12)), at(on, time(21))]
        if is_school:
            school = [at(on, STARTS) + LOOKS_EVERY * number for number in range(1, 14)]
            moments = [*school, *(at(on, time(hour)) for hour in (16, 18, 21)), *(one.ends for one in server)]
            moments.sort()
        place = 0
        for now in moments:
            while place < len(waiting) and waiting[place].at <= now:
                self._begin(waiting[place])
                place += 1
            is_away = any(one.begins <= now < one.ends for one in server)
            while self.ends and self.ends[0][0] <= now and not is_away:
                self._end(*heapq.heappop(self.ends))
            if is_away:
                continue
            self._answers(now)
            self._look(now)
        for later in waiting[place:]:
            self._begin(later)
        if is_school:
            inside = {t for one in self.incidents.values() if one.closed_at is None for t in one.members}
            for tablet, one in self.quiet.items():
                is_known = tablet in inside or tablet in self.missing
                is_known |= now - self.silent_since.get(tablet, now) > SAYS_SOMETHING
                is_away = on in self.world.away.get(tablet, ())
                if not is_known and not is_away and one.heard_at < at(on, STARTS):
                    self.quiet_days[tablet].append(count)
        self.count = count

    def _begin(self, new: Quiet) -> None:
        now = self.quiet.get(new.tablet)
        if now is not None:
            if now.back_at is None or (new.back_at is not None and now.back_at >= new.back_at):
                return
            why = "stolen" if new.why == "stolen" else now.why if now.why != "late" else new.why
            new = Quiet(new.at, new.tablet, now.heard_at, new.back_at, why, now.battery)
        self.quiet[new.tablet] = new
        if new.back_at is not None:
            heapq.heappush(self.ends, (new.back_at, new.tablet))

    def _end(self, back_at: datetime, tablet: int) -> None:
        now = self.quiet.get(tablet)
        if now is not None and now.back_at == back_at:
            del self.quiet[tablet]
            self.heard[tablet] = back_at
            self.excused.pop(tablet, None)
            self.said.pop(tablet, None)

    def _answers(self, now: datetime) -> None:
        for one in list(self.questions.values()):
            if one.answer is not None or one.tablet not in self.quiet:
                continue
            calendar = self._calendar(one.tablet)
            if not calendar.is_school_time(now):
                continue
            waited = calendar.school_seconds_between(one.asked_at, now)
            by_teacher = one.delay_s is not None and waited >= one.delay_s
            by_it = False
            if one.escalated_at is not None and one.it_delay_s is not None:
                by_it = calendar.school_seconds_between(one.escalated_at, now) >= one.it_delay_s
            if by_teacher or by_it:
                one.answer, one.answered_at = self.world.answer(self.quiet[one.tablet].why), now
                one.excused_until = steps.excused_until(one.answer, calendar, now, is_again=one.is_again)
                if one.excused_until is not None:
                    self.said[one.tablet].append((now, one.excused_until))

    def _calendar(self, tablet: int) -> Calendar:
        return self.world.calendars[self.world.places[tablet].school]

    def _look(self, now: datetime) -> None:
        joins = int(self.limits.joins.total_seconds())
        latest = {key: one.subtract_school_seconds(now, joins) for key, one in self.world.calendars.items()}
        inside = {t: one.id for one in self.incidents.values() if one.closed_at is None for t in one.members}
        open_ones = {*self.silent, *self.missing, *inside, *(t for t, q in self.questions.items() if q.answer is None)}
        late = {t for t, q in self.quiet.items() if q.heard_at <= latest[self.world.places[t].school]}
        if now.time() >= time(10):  # who is known to be away misses nothing today, and is looked at another day
            late -= self.world.away_on.get(now.date(), set())
        tablets = [self._tablet(one, now, inside.get(one)) for one in sorted(late | open_ones)]
        scene = Scene(now, tablets, self.totals, self._standings(now), self.world.calendars, self.limits)
        decisions = steps.decide(scene)
        if not decisions.is_empty:
            self._carry_out(decisions, now)

    def _tablet(self, number: int, now: datetime, incident: int | None) -> Tablet:
        place, quiet = self.world.places[number], self.quiet.get(number)
        heard_at = quiet.heard_at if quiet is not None else self.heard[number]
        question = self.questions.get(number)
        asked = None
        if question is not None and question.asked_at >= heard_at:
            asked = Asked(
                question.id, question.asked_at, question.escalated_at, question.answer, question.answered_at,
                question.excused_until,
            )  # fmt: skip
        elif question is not None:
            del self.questions[number]
        away = self.world.away.get(number, ())
        first, today = heard_at.date(), now.date()
        spans = [(at(on, time()), at(on, time.max)) for on in away if first <= on <= today] if away else []
        spans = [span for span in spans if span[0].date() < now.date() or now.time() >= time(10)]  # registered by then
        spans += [*self.excused.get(number, ()), *self.said.get(number, ())]
        recent = [day for day in self.quiet_days.get(number, ()) if day > self.count - 43]
        days = min(30, self.count * 5 // 7)
        calendar = self.world.calendars[place.school]
        missed_s = expected_seconds(calendar, heard_at, now, spans)
        return Tablet(
            number, place.school, place.class_id, heard_at, missed_s,
            is_due=missed_s < self.limits.silent.total_seconds() or is_due(calendar, heard_at, now, spans),
            cart=place.cart, digest="d", patience=steps.patience(days, days - min(days, len(recent))),
            battery_percent=quiet.battery if quiet is not None else None, asked=asked,
            silent_id=self.silent.get(number), missing_id=self.missing.get(number), incident_id=incident,
            is_back=quiet is None or (incident is not None and heard_at >= self.joined[number]),
        )  # fmt: skip

    def _standings(self, now: datetime) -> list[Standing]:
        return [
            Standing(
                one.id, one.cause, one.school_id, one.most, one.of, one.closed_at is None, frozenset(one.former)
            )
            for one in self.incidents.values()
            if one.closed_at is None or one.closed_at > now - _LATELY
        ]  # fmt: skip

    def _carry_out(self, done: Decisions, now: datetime) -> None:
        """Do what the job would write down."""
        closing, withdrawn = set(done.closes), set(done.withdraws)
        for kind in (self.silent, self.missing):
            for tablet in [tablet for tablet, number in kind.items() if number in closing]:
                del kind[tablet]
                self.silent_since.pop(tablet, None)
        for tablet in [tablet for tablet, one in self.questions.items() if one.id in withdrawn]:
            del self.questions[tablet]
        for tablet, (kind_of, _detail) in done.opens.items():
            self.number += 1
            (self.silent if kind_of is FindingKind.SILENT else self.missing)[tablet] = self.number
            self.silent_since[tablet] = now
            self._flag(kind_of.value, tablet, now)
        for ask in done.asks:
            self._ask(ask, now)
        for one in self.questions.values():
            if one.id in set(done.escalates):
                one.escalated_at = now
        self._incidents(done, now)

    def _ask(self, ask: steps.Ask, now: datetime) -> None:
        draw = self.world.chance
        self.number += 1
        answers = self.by_teachers and ask.class_id in self.world.answering
        it_answers = self.by_it and draw.random() >= 0.03
        self.questions[ask.device_id] = Question(
            self.number, ask.device_id, ask.class_id, now,
            draw.expovariate(1 / 3600) if answers else None,
            draw.expovariate(1 / 3600) if it_answers else None,
            ask.device_id in self.questions,
            now if ask.is_escalated else None,
        )  # fmt: skip
        self.asked[ask.class_id] += 1
        self._flag("question", ask.device_id, now)

    def _flag(self, what: str, tablet: int, now: datetime) -> None:
        quiet = self.quiet.get(tablet)
        heard_at = quiet.heard_at if quiet is not None else self.heard[tablet]
        hours = self.world.expected_hours(tablet, heard_at, now)
        self.flags.append(Flag(what, tablet, now, quiet.why if quiet is not None else "heard", hours))

    def _incidents(self, done: Decisions, now: datetime) -> None:
        gathered = done.gathered
        for number, ids in gathered.leaves.items():
            self.incidents[number].members -= ids
            for tablet in ids:
                self.excused[tablet].append((self.incidents[number].began_at, now))
        for number in gathered.closes:
            self.incidents[number].closed_at = now
        for number in gathered.reopens:
            self.incidents[number].closed_at = None
        for number, cluster in gathered.widens.items():
            self.incidents[number].cause, self.incidents[number].school_id = cluster.cause, cluster.school_id
        for number, ids in gathered.joins.items():
            one = self.incidents[number]
            self.joined |= dict.fromkeys(ids, now)
            one.members |= ids
            one.former |= ids
            one.most = max(one.most, len(one.members))
        for cluster in gathered.opens:
            self.number += 1
            members = set(cluster.members)
            self.joined |= dict.fromkeys(members, now)
            why = Counter(self.quiet[one].why for one in members).most_common(1)[0][0]
            self.incidents[self.number] = Incident(
                self.number,
                cluster.cause,
                cluster.school_id,
                now,
                cluster.began_at,
                members,
                set(members),
                cluster.of,
                len(members),
                why,
            )


@dataclass(frozen=True, slots=True)
class Figures:
    """How a year went.

    Args:
        precision: of what was called missing, how much was stolen (or mislaid, where the world has any).
        precision_thefts: the same, mislaid tablets counted as mistakes.
        recall: thefts called missing within eight hours of school in which the tablet was expected, by all that the
            server had been told.
        recall_slips: the same, hours that a wrong answer explained counted too.
        recall_strict: the same, hours of a pupil's registered absence and of an outage counted too.
        found: thefts called missing at all.
        by_holidays: flags before the world has counted as many expected hours as they need, or on a day off.
        of_heard: flags about tablets that were not quiet for any reason.
        per_outage: how many incidents each access point's outage had.
    """

    precision: float
    precision_thefts: float
    recall: float
    recall_slips: float
    recall_strict: float
    found: int
    missing: int
    silent: int
    questions: int
    questions_a_class: float
    most_a_class: int
    by_holidays: int
    of_heard: int
    per_outage: Mapping[int, int]
    of_short: int
    of_server: Mapping[int, int]
    others: int

    def told(self) -> str:
        """Return them as lines of text."""
        return "\n".join(f"  {name}: {getattr(self, name)}" for name in self.__dataclass_fields__)


def figures(year: Year) -> Figures:
    """Return how a year went."""
    world, gone = year.world, {"stolen", "mislaid"}
    missing = [one for one in year.flags if one.what == "missing"]
    first: dict[int, Flag] = {}
    for one in missing:
        if one.why == "stolen":
            first.setdefault(one.tablet, one)
    strict = {
        tablet: world.calendars[world.places[tablet].school].school_seconds_between(world.stolen[tablet], one.at) / 3600
        for tablet, one in first.items()
    }
    asked = [number for class_id, number in year.asked.items() if class_id is not None]
    classes = len({place.class_id for place in world.places} - {None})
    needed = {"silent": 4, "question": 4, "missing": 4}
    networks = [one for one in world.outages if one.what == "network"]
    return Figures(
        precision=_share(sum(one.why in gone for one in missing), len(missing)),
        precision_thefts=_share(sum(one.why == "stolen" for one in missing), len(missing)),
        recall=_share(sum(_hours(year, one) <= WITHIN_HOURS for one in first.values()), len(world.stolen)),
        recall_slips=_share(
            sum(_hours(year, one, with_slips=True) <= WITHIN_HOURS for one in first.values()), len(world.stolen)
        ),
        recall_strict=_share(sum(hours <= WITHIN_HOURS for hours in strict.values()), len(world.stolen)),
        found=len(first), missing=len(missing), silent=sum(one.what == "silent" for one in year.flags),
        questions=sum(year.asked.values()), questions_a_class=round(sum(asked) / classes, 1),
        most_a_class=max(asked, default=0),
        by_holidays=sum(
            one.expected_hours < needed[one.what] or not world.calendars[world.places[one.tablet].school].is_school_day(
                one.at.astimezone(OSLO).date()
            )
            for one in year.flags
        ),
        of_heard=sum(one.why == "heard" for one in year.flags),
        per_outage=Counter(len(_incidents_of(year, one)) for one in networks),
        of_short=sum(len(_incidents_of(year, one)) for one in world.outages if one.what == "short"),
        of_server=Counter(len(_incidents_of(year, one)) for one in world.outages if one.what == "server"),
        others=len(year.incidents) - len({n for one in world.outages for n in _incidents_of(year, one)}),
    )  # fmt: skip


def _hours(year: Year, flag: Flag, *, with_slips: bool = False) -> float:
    """Return the expected hours from a theft until it was found.

    Left out are those of outages that it was in, and those that an answer explained; ``with_slips``, only one given
    before the theft.
    """
    stolen = year.world.stolen[flag.tablet]
    said = [one for one in year.said.get(flag.tablet, ()) if one[0] <= stolen or not with_slips]
    excused = sum(
        year.world.expected_hours(flag.tablet, max(first, stolen), min(last, flag.at))
        for first, last in (*year.excused.get(flag.tablet, ()), *said)
        if first < flag.at and last > stolen
    )
    return year.world.expected_hours(flag.tablet, stolen, flag.at) - excused


def _share(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 1.0


def _incidents_of(year: Year, outage: Outage) -> list[int]:
    """Return the incidents that are mostly of an outage's tablets, in its time, and for its reason."""
    until = outage.ends + timedelta(hours=6)
    return [
        one.id
        for one in year.incidents.values()
        if one.why == outage.what
        and outage.begins <= one.opened_at <= until
        and 2 * len(one.former & outage.tablets) >= len(one.former)
    ]
