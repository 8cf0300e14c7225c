"""A made-up year lived through by the database job beside the pure one: the same world, the same looks, compared.

:class:`Beside` is the pure year; whatever becomes known in it, :class:`Job` tells the database as it is told in life:
tablets report, absences are entered, teachers and the school's IT answer, and then the jobs look.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import select, update

from fleet.access import Grant, Principal, Role
from fleet.checkins import receive
from fleet.checkins.receive import Report
from fleet.compliance import habits, questions, silence, steps
from fleet.compliance.models import OF_SILENCE, Answer, Finding, Incident, IncidentMember, Question
from fleet.compliance.quiet import Tablet, Totals, expected_seconds, is_due
from fleet.db import db, id_set, transaction
from fleet.devices.models import DeviceState
from fleet.schools import absences
from fleet.schools.calendar import Calendar
from tests.silence_small import LATE, NEW_PROFILE, Small, delays
from tests.silence_world import OSLO, REGISTERED, STARTS, Quiet
from tests.silence_year import Year

PROGRAMME_LOOK = time(16)  # the one look of a day at which only some tablets have been heard
PASSED_OVER = frozenset({*(time(hour, 45) for hour in range(8, 14)), time(18)})  # looks that neither side takes
_CLI = Principal.command_line()


@dataclass(frozen=True, slots=True)
class Stands:
    """What is open, asked and gathered after a look; tablets by their number in the world."""

    findings: frozenset[tuple[int, str, datetime]]
    questions: frozenset[tuple[int, int | None, datetime, datetime | None, Answer | None]]
    incidents: frozenset[tuple[Any, ...]]

    def beside(self, other: "Stands") -> dict[str, tuple[frozenset[Any], frozenset[Any]]]:
        """Return what only one of the two has, by what it is."""
        both = {name: (getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__}
        return {name: (mine - theirs, theirs - mine) for name, (mine, theirs) in both.items() if mine != theirs}


@dataclass(slots=True)
class Job:
    """The database's side.

    Args:
        devices: the tablets' ids, by their number in the world.
        pupils: whose they are, where anybody's.
    """

    devices: list[int]
    pupils: Mapping[int, int]
    sequences: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    looks: int = 0

    def hears(self, speaking: Collection[int], *, again: Collection[int], now: datetime) -> None:
        """Have tablets report: those that were quiet before through the door's use case, the others' rows as it would."""
        batch = []
        for one in sorted(again):
            self.sequences[one] += 1
            number, device_id = self.sequences[one], self.devices[one]
            batch.append(Report(device_id, f"k{one}", number, f"{one}-{number}", "b", applied=None, facts={}))
        with transaction():
            if batch:
                assert all(isinstance(one, receive.Answer) for one in receive.receive(batch, now=now))
            self._states({one: self.devices[one] for one in speaking}.values(), last_seen_at=now)

    def falls_quiet(self, one: Quiet) -> None:
        """Note a tablet's last report before it is quiet."""
        with transaction():
            self._states([self.devices[one.tablet]], last_seen_at=one.heard_at, battery_percent=one.battery)

    @staticmethod
    def _states(device_ids: Collection[int], **values: Any) -> None:
        db.session.execute(update(DeviceState).where(DeviceState.device_id.in_(id_set(device_ids))).values(**values))

    def enters_absence(self, tablets: Collection[int], on: date, now: datetime) -> None:
        """Have a teacher tell that pupils are away on a day."""
        with transaction():
            absences.enter([self.pupils[one] for one in tablets], on, on, by=_CLI, now=now)

    def is_answered(self, one: int, answer: Answer, place: tuple[int, int | None], now: datetime) -> None:
        """Have the class's teacher answer, or the school's IT where no class was asked."""
        school_id, class_id = place
        grant = Grant(Role.SCHOOL_IT if class_id is None else Role.TEACHER, school_id)
        by = Principal("account", "7", (grant,), frozenset({class_id} if class_id is not None else ()))
        with transaction():
            waiting = {asked.device.id: asked.question.id for asked in questions.waiting(by=by)}
            questions.answer(waiting[self.devices[one]], answer, by=by, now=now, timezone=OSLO)

    def look(self, now: datetime) -> None:
        """Do what the jobs do; a second look at the same moment finds nothing."""
        with transaction():
            silence.review(now=now, timezone=OSLO)
        self.looks += 1
        if self.looks % 10 == 0:
            with transaction():
                assert silence.review(now=now, timezone=OSLO) == silence.Done()

    @staticmethod
    def counts_habits(now: datetime) -> None:
        """Have the job of habits look."""
        with transaction():
            habits.count(now=now, timezone=OSLO)

    def stands(self) -> Stands:
        """Return how things stand in the database."""
        number = {device_id: one for one, device_id in enumerate(self.devices)}
        is_open = select(Finding.device_id, Finding.kind, Finding.opened_at)
        is_open = is_open.where(Finding.kind.in_(OF_SILENCE), Finding.closed_at.is_(None))
        asked = select(Question, DeviceState.last_seen_at).join(
            DeviceState, DeviceState.device_id == Question.device_id
        )
        of_now = [
            one
            for one, seen_at in db.session.execute(asked.where(Question.withdrawn_at.is_(None)).order_by(Question.id))
            if seen_at is not None and one.asked_at >= seen_at
        ]
        newest = {one.device_id: one for one in of_now}
        members: dict[int, list[tuple[int, bool]]] = defaultdict(list)
        for one in db.session.scalars(select(IncidentMember)):
            members[one.incident_id].append((number[one.device_id], one.left_at is None))
        found = Stands(
            frozenset((number[row.device_id], row.kind, row.opened_at) for row in db.session.execute(is_open)),
            frozenset(
                (number[one.device_id], one.class_id, one.asked_at, one.escalated_at, one.answer)
                for one in newest.values()
            ),
            frozenset(
                (one.cause, one.school_id, one.opened_at, one.closed_at, one.most,
                 frozenset(tablet for tablet, is_in in members[one.id] if is_in),
                 frozenset(tablet for tablet, _ in members[one.id]))
                for one in db.session.scalars(select(Incident))
            ),
        )  # fmt: skip
        db.session.rollback()
        return found


@dataclass(slots=True)
class Beside(Year):
    """The pure year, that takes the job along: they know the same at each look, and then have to have done the same."""

    world: Small
    job: Job = field(kw_only=True)
    spoke: set[int] = field(default_factory=set)  # at the last look
    entered: set[date] = field(default_factory=set)
    counted: dict[int, dict[date, set[str]]] = field(default_factory=lambda: defaultdict(dict))
    compared: int = 0

    def run(self) -> "Beside":
        """Live through it."""
        self.totals = Totals.of(
            (place.school, place.class_id, place.cart, digest(one), 1) for one, place in enumerate(self.world.places)
        )
        self.spoke = set(range(len(self.world.places)))
        for count, on in enumerate(self.world.days):
            self._day(on, count)
        return self

    def _begin(self, new: Quiet) -> None:
        Year._begin(self, new)
        if self.quiet.get(new.tablet) is new:  # else it was quiet before
            self.job.falls_quiet(new)
            self.spoke.discard(new.tablet)

    def _answers(self, now: datetime) -> None:
        if now.time() in PASSED_OVER:
            return
        self._hear(now)
        waiting = {one for one, asked in self.questions.items() if asked.answer is None}
        Year._answers(self, now)
        for one in sorted(waiting):
            asked = self.questions[one]
            if asked.answer is not None:
                self.job.is_answered(one, asked.answer, (self.world.places[one].school, asked.class_id), now)

    def _hear(self, now: datetime) -> None:
        """Tell the job what has become known since the last look: who speaks, and who is away."""
        speaking = set(range(len(self.world.places))) - self.quiet.keys()
        again = speaking - self.spoke
        usual = speaking & self.spoke
        self.job.hears(usual & LATE if now.time() == PROGRAMME_LOOK else usual, again=again, now=now)
        self.spoke = speaking
        on = now.astimezone(OSLO).date()
        if now.time() >= REGISTERED and on not in self.entered and self.world.away_on.get(on):
            self.job.enters_absence(self.world.away_on[on], on, now)
            self.entered.add(on)

    def _look(self, now: datetime) -> None:
        if now.time() in PASSED_OVER:
            return
        self._count_habits(now)
        self.job.counts_habits(now)
        Year._look(self, now)
        self.job.look(now)
        self.compared += 1
        differs = self.job.stands().beside(self._stands())
        assert not differs, (now, differs)

    def _tablet(self, number: int, now: datetime, incident: int | None) -> Tablet:
        """Return what the year knows, and what it knows not: profiles, habits as counted, the after-school programme."""
        made = Year._tablet(self, number, now, incident)
        days = self.counted[number]
        heard = sum("school" in told for told in days.values())
        made = replace(made, digest=digest(number), patience=steps.patience(len(days), heard))
        later = self.world.programmes.get(number)
        if later is None or not steps.is_used_to_late(len(days), sum("late" in told for told in days.values())):
            return made
        calendar = self._calendar(number)
        missed_s = expected_seconds(calendar, made.heard_at, now, (), later)  # none of these is ever excused
        return replace(made, missed_s=missed_s, is_due=is_due(calendar, made.heard_at, now))

    def _ask(self, ask: steps.Ask, now: datetime) -> None:
        Year._ask(self, ask, now)
        asked = self.questions[ask.device_id]
        by_teacher, asked.it_delay_s = delays(ask.device_id)
        asked.delay_s = by_teacher if ask.class_id is not None else None

    def _count_habits(self, now: datetime) -> None:
        """Count the day for each tablet, as the job of habits is to."""
        on = now.astimezone(OSLO).date()
        inside = {one for each in self.incidents.values() if each.closed_at is None for one in each.members}
        away = self.world.away_on.get(on, set()) if on in self.entered else set()
        for one in range(len(self.world.places)):
            calendar: Calendar = self._calendar(one)
            if not calendar.is_school_day(on) or now.time() < STARTS:
                continue
            is_late_look = now.time() == PROGRAMME_LOOK
            told = set()
            if one not in self.quiet and (not is_late_look or one in LATE):
                told = {"school"} if calendar.is_school_time(now) else {"late"} if is_late_look else set()
            elif one in self.quiet and calendar.is_school_time(self.quiet[one].heard_at):
                told = {"school"} if self.quiet[one].heard_at.astimezone(OSLO).date() == on else set()
            is_known = one in self.missing or now - self.silent_since.get(one, now) > habits.SAYS_SOMETHING
            if "school" not in told and on not in self.counted[one] and (one in away or one in inside or is_known):
                continue
            self.counted[one].setdefault(on, set()).update(told)

    def _stands(self) -> Stands:
        """Return how things stand in the year."""
        found = dict.fromkeys(self.silent, "silent") | dict.fromkeys(self.missing, "missing")
        return Stands(
            frozenset((one, kind, self.silent_since[one]) for one, kind in found.items()),
            frozenset(
                (one, asked.class_id, asked.asked_at, asked.escalated_at, asked.answer)
                for one, asked in self.questions.items()
                if one in self.quiet and asked.asked_at >= self.quiet[one].heard_at
            ),
            frozenset(
                (one.cause, one.school_id, one.opened_at, one.closed_at, one.most, frozenset(one.members),
                 frozenset(one.former))
                for one in self.incidents.values()
            ),
        )  # fmt: skip


def digest(one: int) -> str:
    """Return which of the two profiles a tablet shall have."""
    return "new" if one in NEW_PROFILE else "old"
