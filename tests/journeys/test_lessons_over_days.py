"""Lessons, outages, wrong clocks and reboots in any order over days: what must hold holds after every step.

Each rule first lets some time pass, in which tablets, jobs and nights go on by themselves (:mod:`tests.lesson_world`
checks every tablet whenever it moves), then something happens, and then everything is looked at. A failure is shrunk to
a short story. ``FLEET_LESSON_RUNS`` is how many stories are made up; the ordinary run makes few, and always the same.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import and_, event, func, select
from sqlalchemy.orm import aliased

from fleet.access import Principal
from fleet.assignments.assigning import Place
from fleet.assignments.models import LeasedTablet
from fleet.db import db, reading
from fleet.devices.models import DevicePresence, DeviceState
from fleet.errors import FleetError, ForbiddenError, NotFoundError
from fleet.lessons import life, plans, tablets, timetable, views
from fleet.lessons.models import Lesson, LessonGift, LessonPlan, LessonTablet, Part
from fleet.lessons.views import Stage, State
from tests.lesson_world import AT_SCHOOL, BASES, ELSEWHERE, PROMISED_S, World, world
from tests.lessons import OSLO

RUNS = int(os.environ.get("FLEET_LESSON_RUNS", "0"))
STEPS = int(os.environ.get("FLEET_LESSON_STEPS", "20"))
NUMBER = st.integers(0, 13)  # of a tablet, and of whatever there is fewer of, round and round
SOME = st.lists(NUMBER, min_size=1, max_size=4, unique=True)
MANY = st.lists(NUMBER, min_size=1, max_size=14, unique=True)
MINUTES = st.sampled_from([1, 5, 20, 45, 120])
SHORT_S = st.sampled_from([1, 20, 90, 600, 3600, 3 * 3600])
FAULTS = (
    *("network", "answer", "disk", "power switch before", "power switch half", "power switch after"),
    *("power write before", "power write after"),
)
IS_IN = {State.WAITING, State.FETCHED, State.APPLIED, State.FAILED}
AHEAD_S = st.one_of(st.sampled_from([-300, 300, 3]), st.integers(-300, 300))
# How much time passes before something happens: seconds, or until about an end.
PAUSE = st.one_of(
    st.integers(0, 5),
    st.sampled_from([30, 60, 300, 1200]),
    st.sampled_from(["just before an end", "just after an end"]),
)


class Days(RuleBasedStateMachine):
    """What people, tablets, networks and clocks do."""

    world: World
    is_teaching = False  # whether there is a lesson to do something in
    is_sound = False  # whether everything was as it must be when it was last looked at, after the last step

    def __init__(self, made: World, ends_at: datetime, close: Callable[[], None]) -> None:
        super().__init__()
        self.world = made
        self._by_hand: set[tuple[int, int]] = set()  # lessons and tablets that a teacher brought in
        self._ends_at = ends_at
        self._close = close

    def teardown(self) -> None:
        """End the story after a night, or after the weekend in which the clocks change."""
        try:
            if self.is_sound:
                self.world.run_until(max(self._ends_at, self.world.now + timedelta(minutes=30)))
                self.everything_is_as_it_must_be()
        finally:
            self._close()

    # -- time ----------------------------------------------------------------------------------------------------

    def let_pass(self, pause: int | str) -> None:
        """Let time pass: seconds, or until about the end of a lesson."""
        self.is_sound = False
        now = self.world.now
        if isinstance(pause, int):
            self.world.run_until(now + timedelta(seconds=pause))
            return
        with reading():
            ends_at = db.session.scalar(select(func.min(Lesson.ends_at)).where(Lesson.ends_at > now))
        if ends_at is not None:
            self.world.run_until(
                max(now, ends_at.replace(tzinfo=UTC) + timedelta(seconds=2 if "after" in pause else -2))
            )

    def await_school(self) -> None:
        """Let the time pass until a school has school, if none has."""
        local = self.world.now.astimezone(OSLO)
        on = local.date()
        if on.weekday() > 4 or not time(8) <= local.time() < time(14, 20):
            while on.weekday() > 4 or datetime.combine(on, time(8, 10), OSLO) <= local:
                on += timedelta(days=1)
            self.world.run_until(datetime.combine(on, time(8, 10), OSLO).astimezone(UTC))

    @rule(hours=st.integers(1, 20))
    def nothing_happens(self, hours: int) -> None:
        self.is_sound = False
        self.world.run_until(self.world.now + timedelta(hours=hours))

    @property
    def timed(self) -> dict[str, Any]:
        """What use cases are told of time."""
        return {"now": self.world.now, "timezone": OSLO}

    # -- teachers ------------------------------------------------------------------------------------------------

    def act(self, name: str, what: Callable[[], object]) -> object:
        """Have a teacher do something, if the server is up."""
        if self.world.door is None:
            return None
        found = self.world.act(what)
        self.world.tally[f"{name} {'refused' if isinstance(found, FleetError) else 'done'}"] += 1
        return found

    def lessons(self) -> Sequence[Lesson]:
        """Return the lessons that are not over, planned ones too."""
        query = select(Lesson).where(Lesson.ends_at > self.world.now, Lesson.ended_at.is_(None)).order_by(Lesson.id)
        return db.session.scalars(query).all()

    def in_one(self, name: str, number: int, what: Callable[[Lesson, Principal], object]) -> None:
        """Have the holder of a lesson do something in it, if there is one."""

        def do() -> object:
            found = self.lessons()
            if not found:
                raise NotFoundError(kind="lesson", name="")
            lesson = found[number % len(found)]
            by = next(place for place, one in enumerate(self.world.accounts) if one.id == lesson.holder_id)
            return what(lesson, self.world.by(by))

        self.act(name, do)

    def meant(self, lesson: Lesson, numbers: Sequence[int]) -> list[int]:
        """Return some of the tablets that a lesson means."""
        query = select(LessonTablet.device_id).where(
            LessonTablet.lesson_id == lesson.id, LessonTablet.part != Part.GONE
        )
        found = db.session.scalars(query.order_by(LessonTablet.device_id)).all()
        return sorted({found[number % len(found)] for number in numbers} if found else ())

    def by_hand(self, lesson: Lesson, numbers: Sequence[int]) -> list[int]:
        """Return some of the tablets that a lesson means, which the teacher brings in."""
        found = self.meant(lesson, numbers)
        self._by_hand |= {(lesson.id, device_id) for device_id in found}
        return found

    def may_last(self, until: datetime) -> bool:
        """Whether nobody is under a lesson at three in the night."""
        local, begins = until.astimezone(OSLO), self.world.now.astimezone(OSLO)
        return local.date() == begins.date() and begins.hour >= 4

    @initialize(of=st.integers(0, 2), given_set=NUMBER, minutes=MINUTES)
    def the_first_lesson(self, of: int, given_set: int, minutes: int) -> None:
        self._start(of, 4, given_set, minutes)

    @rule(
        pause=PAUSE,
        of=st.integers(0, 3),
        given_set=NUMBER,
        minutes=MINUTES,
        absent=st.lists(NUMBER, max_size=2),
        everybody=st.booleans(),
    )
    def start(
        self, pause: int | str, of: int, given_set: int, minutes: int, absent: list[int], everybody: bool
    ) -> None:
        self.let_pass(pause)
        self.await_school()
        self._start(of, of, given_set, minutes, absent=absent, everybody=everybody)

    @rule(pause=PAUSE, of=st.integers(0, 2), given_set=NUMBER, minutes=MINUTES, everybody=st.booleans())
    def start_at_any_time(self, pause: int | str, of: int, given_set: int, minutes: int, everybody: bool) -> None:
        self.let_pass(pause)
        self._start(of, 4, given_set, minutes, everybody=everybody)

    def _start(
        self, of: int, by: int, given_set: int, minutes: int, *, absent: Sequence[int] = (), everybody: bool = False
    ) -> None:
        until = self.world.now + timedelta(minutes=minutes)
        if self.may_last(until):
            self.act(
                "start",
                lambda: life.start(
                    self.world.classes[of], self.world.sets[given_set % 5], until=until,
                    absent=[self.world.pupils[number % 10].id for number in absent], takes_unseen=everybody,
                    by=self.world.by(by), now=self.world.now, timezone=OSLO,
                ),
            )  # fmt: skip

    @precondition(lambda self: self.is_teaching)
    @rule(pause=PAUSE, number=NUMBER, minutes=MINUTES)
    def extend(self, pause: int | str, number: int, minutes: int) -> None:
        self.let_pass(pause)
        until = self.world.now + timedelta(minutes=minutes)
        if self.may_last(until):
            self.in_one("extend", number, lambda lesson, by: life.extend(lesson.id, until=until, by=by, **self.timed))

    @precondition(lambda self: self.is_teaching)
    @rule(pause=PAUSE, number=NUMBER)
    def end(self, pause: int | str, number: int) -> None:
        self.let_pass(pause)
        self.in_one("end", number, lambda lesson, by: life.end(lesson.id, by=by, now=self.world.now))

    @precondition(lambda self: self.is_teaching)
    @rule(pause=PAUSE, number=NUMBER, given_set=NUMBER)
    def change(self, pause: int | str, number: int, given_set: int) -> None:
        self.let_pass(pause)
        given = self.world.sets[given_set % 5]
        self.in_one("change", number, lambda lesson, by: life.change_set(lesson.id, given, by=by, **self.timed))

    @precondition(lambda self: self.is_teaching)
    @rule(pause=PAUSE, number=NUMBER, to=st.integers(0, 4))
    def hand_over(self, pause: int | str, number: int, to: int) -> None:
        self.let_pass(pause)
        colleague = self.world.accounts[to]
        self.in_one(
            "hand over", number, lambda lesson, by: life.hand_over(lesson.id, colleague, by=by, now=self.world.now)
        )

    @precondition(lambda self: self.is_teaching)
    @rule(pause=PAUSE, number=NUMBER, which=SOME, part=st.sampled_from([Part.ABSENT, Part.RELEASED]))
    def leave_out(self, pause: int | str, number: int, which: list[int], part: Part) -> None:
        self.let_pass(pause)

        def do(lesson: Lesson, by: Principal) -> None:
            meant = self.meant(lesson, which)
            tablets.leave_out(lesson.id, meant, part, by=by, now=self.world.now)

        self.in_one("leave out", number, do)

    @precondition(lambda self: self.is_teaching)
    @rule(pause=PAUSE, number=NUMBER, which=SOME)
    def bring_in(self, pause: int | str, number: int, which: list[int]) -> None:
        self.let_pass(pause)
        self.in_one(
            "bring in",
            number,
            lambda lesson, by: tablets.bring_in(lesson.id, self.by_hand(lesson, which), by=by, **self.timed),
        )

    @precondition(lambda self: self.is_teaching)
    @rule(pause=PAUSE, number=NUMBER, other=NUMBER, which=SOME)
    def hand_to(self, pause: int | str, number: int, other: int, which: list[int]) -> None:
        self.let_pass(pause)

        def do(lesson: Lesson, by: Principal) -> None:
            found = [one for one in self.lessons() if one.id != lesson.id]
            if not found:
                raise NotFoundError(kind="lesson", name="")
            to = found[other % len(found)]
            self._by_hand |= {(to.id, device_id) for device_id in self.meant(lesson, which)}
            tablets.hand_to(lesson.id, self.meant(lesson, which), other_id=to.id, by=by, **self.timed)

        self.in_one("hand to", number, do)

    @rule(
        pause=PAUSE,
        of=st.integers(0, 3),
        given_set=NUMBER,
        in_minutes=st.sampled_from([3, 15, 30, 90, 36 * 60]),
        minutes=MINUTES,
        weekly=st.booleans(),
    )
    def plan(self, pause: int | str, of: int, given_set: int, in_minutes: int, minutes: int, weekly: bool) -> None:
        self.let_pass(pause)
        begins = (self.world.now + timedelta(minutes=in_minutes)).astimezone(OSLO)
        ends = begins + timedelta(minutes=minutes)
        day: dict[str, Any] = {"weekday": begins.weekday()} if weekly else {"on": begins.date()}
        if ends.date() == begins.date():
            self.act(
                "plan",
                lambda: plans.plan(
                    self.world.classes[of], self.world.sets[given_set % 5], starts_at=begins.time(), ends_at=ends.time(),
                    holder_id=None, by=self.world.by(of), now=self.world.now, timezone=OSLO, **day,
                ),
            )  # fmt: skip

    @rule(pause=PAUSE, number=NUMBER, for_good=st.booleans())
    def unplan(self, pause: int | str, number: int, for_good: bool) -> None:
        self.let_pass(pause)

        def do() -> object:
            found = db.session.scalars(select(LessonPlan).order_by(LessonPlan.id)).all()
            if not found:
                raise NotFoundError(kind="lesson plan", name="")
            one = found[number % len(found)]
            if for_good:
                return timetable.withdraw(one.id, by=self.world.by(4), now=self.world.now)
            on = one.on or self._next_on(one.weekday or 0)
            return timetable.skip(one.id, on, by=self.world.by(4), **self.timed)

        self.act("unplan", do)

    def _next_on(self, weekday: int) -> date:
        today = self.world.now.astimezone(OSLO).date()
        return today + timedelta(days=(weekday - today.weekday()) % 7)

    @precondition(lambda self: self.is_teaching)
    @rule(pause=PAUSE, number=NUMBER, which=SOME)
    def a_stranger_tries(self, pause: int | str, number: int, which: list[int]) -> None:
        """A teacher who teaches none of its pupils, and did not get it from a colleague, can do nothing."""
        self.let_pass(pause)
        with reading():
            found = self.lessons()
            if not found or self.world.door is None:
                return
            lesson = found[number % len(found)]
            lesson_id, of, meant = lesson.id, lesson.school_class, self.meant(lesson, which)
            held_by, stranger = lesson.holder_id, 3 if of.school_id == self.world.schools[0].id else 0
        if held_by == self.world.accounts[stranger].id:
            return
        now, until, given = self.world.now, self.world.now + timedelta(minutes=5), self.world.sets[0]
        timed = self.timed
        tries: list[Callable[[Principal], object]] = [
            lambda by: life.start(of, given, until=until, by=by, **timed),
            lambda by: life.extend(lesson_id, until=until, by=by, **timed),
            lambda by: life.end(lesson_id, by=by, now=now),
            lambda by: life.change_set(lesson_id, given, by=by, **timed),
            lambda by: life.hand_over(lesson_id, self.world.accounts[stranger], by=by, now=now),
            lambda by: tablets.leave_out(lesson_id, meant, Part.RELEASED, by=by, now=now),
            lambda by: tablets.bring_in(lesson_id, meant, by=by, **timed),
            lambda by: tablets.hand_to(lesson_id, meant, other_id=lesson_id, by=by, **timed),
            lambda by: views.view(lesson_id, by=by, now=now),
        ]
        for one in tries:
            refusal = self.world.act(lambda one=one: one(self.world.by(stranger)))  # type: ignore[misc]
            assert isinstance(refusal, NotFoundError | ForbiddenError)
        self.world.tally["strangers refused"] += len(tries)

    # -- who changes -----------------------------------------------------------------------------------------------

    @rule(pause=PAUSE, number=NUMBER, of=st.integers(0, 2))
    def a_pupil_changes_class(self, pause: int | str, number: int, of: int) -> None:
        self.let_pass(pause)
        if self.world.door is not None:
            self.world.change_class(self.world.pupils[number % 7], self.world.classes[of])

    @rule(pause=PAUSE, number=st.integers(12, 13), to=st.one_of(st.none(), st.integers(0, 6)))
    def a_cart_tablet_changes_hands(self, pause: int | str, number: int, to: int | None) -> None:
        self.let_pass(pause)
        if self.world.door is not None:
            self.world.check_out(self.world.tablets[number], self.world.pupils[to] if to is not None else None)

    @rule(
        pause=PAUSE,
        base=st.integers(0, 2),
        at=st.integers(-1, 5),
        for_minutes=st.one_of(st.none(), MINUTES),
        in_minutes=st.sampled_from([0, 2, 40]),
    )
    def a_base_is_assigned(
        self, pause: int | str, base: int, at: int, for_minutes: int | None, in_minutes: int
    ) -> None:
        self.let_pass(pause)
        if self.world.door is None:
            return
        place = Place.municipality()
        if at >= 4:
            place = Place.school(self.world.schools[at - 4])
        elif at >= 0:
            place = Place.school_class(self.world.classes[at])
        for_s = for_minutes * 60 if for_minutes is not None else None
        self.world.assign("ny", place, BASES[base], for_s=for_s, in_s=in_minutes * 60)

    @rule(pause=PAUSE, number=NUMBER)
    def a_base_is_withdrawn(self, pause: int | str, number: int) -> None:
        self.let_pass(pause)
        if self.world.door is not None:
            self.world.withdraw(number)

    # -- what goes wrong -------------------------------------------------------------------------------------------

    @rule(pause=PAUSE, seconds=SHORT_S)
    def the_server_is_away(self, pause: int | str, seconds: int) -> None:
        self.let_pass(pause)
        if self.world.door is not None:
            self.world.stop_server()
            self.world.later(seconds, self.world.start_server)

    @rule(pause=PAUSE, which=MANY, what=st.sampled_from(FAULTS), seconds=SHORT_S, writes=st.integers(0, 4))
    def something_fails(self, pause: int | str, which: list[int], what: str, seconds: int, writes: int) -> None:
        """The network, an answer, the power in the middle of a switch or of some later write, or the disk."""
        self.let_pass(pause)
        for tablet in (self.world.tablets[number] for number in which):
            match what.split():
                case ["network"]:
                    tablet.line.is_up = False
                    self.world.later(seconds, partial(setattr, tablet.line, "is_up", True))
                case ["answer"]:
                    tablet.line.loses = 1
                case ["power", "switch", when]:
                    tablet.device.cut, tablet.off_s = when, seconds
                case ["power", "write", when]:
                    tablet.store.power_for, tablet.store.is_cut_after = writes, when == "after"
                    tablet.off_s = seconds
                case ["disk"]:
                    tablet.store.is_full_once = True
            self.world.tally[what] += 1

    @rule(pause=PAUSE, which=SOME, to=st.sampled_from([AT_SCHOOL, ELSEWHERE]))
    def pupils_go(self, pause: int | str, which: list[int], to: str) -> None:
        self.let_pass(pause)
        for number in which:
            self.world.tablets[number].line.address = to

    @rule(pause=PAUSE, which=MANY, seconds=SHORT_S, ahead_s=st.one_of(st.just(0), AHEAD_S))
    def tablets_are_rebooted(self, pause: int | str, which: list[int], seconds: int, ahead_s: int) -> None:
        """And their clocks may be others afterwards, which nobody notices."""
        self.let_pass(pause)
        for tablet in (self.world.tablets[number] for number in which):
            self.world.switch_off(tablet, seconds)
            tablet.clock.ahead_s += ahead_s
        self.world.tally["reboots"] += len(which)

    @rule(pause=PAUSE, which=MANY, ahead_s=AHEAD_S)
    def clocks_are_set(self, pause: int | str, which: list[int], ahead_s: int) -> None:
        self.let_pass(pause)
        for number in which:
            self.world.tablets[number].clock.ahead_s += ahead_s
        self.world.tally["clocks set"] += len(which)

    # -- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def everything_is_as_it_must_be(self) -> None:
        with reading():
            self.is_teaching = bool(self.lessons())
        for tablet in self.world.tablets:
            self.world.check(tablet)
        if self.world.door is not None:
            self.world.run_jobs()
        self.of_one_tablet_no_two_lessons_overlap()
        self.who_is_in_a_lesson_has_it_and_nobody_else()
        self.who_is_elsewhere_is_not_touched()
        if self.world.door is not None:
            self.the_teacher_sees_what_is()
        self.is_sound = True

    def of_one_tablet_no_two_lessons_overlap(self) -> None:
        one, other = aliased(LeasedTablet), aliased(LeasedTablet)
        meet = and_(
            one.device_id == other.device_id,
            one.id < other.id,
            one.starts_at < other.ends_at,
            other.starts_at < one.ends_at,
        )
        with reading():
            assert not db.session.execute(select(one.id, other.id).join(other, meet)).all()

    def who_is_in_a_lesson_has_it_and_nobody_else(self) -> None:
        """Until its end at the latest, not before it begins, and only tablets of its class."""
        now = self.world.now
        query = (
            select(LeasedTablet.device_id, LeasedTablet.starts_at, LeasedTablet.ends_at, LessonGift.lesson_id)
            .join(LessonGift, LessonGift.lease_id == LeasedTablet.lease_id)
            .where(LeasedTablet.ends_at > now)
        )
        with reading():
            having = {(row.lesson_id, row.device_id): row for row in db.session.execute(query)}
            lessons = {one.id: one for one in self.lessons()}
            seen = {
                (lesson_id, row.device_id): row.state
                for lesson_id in lessons
                for row in views.view(lesson_id, by=Principal.command_line(), now=now).rows
            }
            for place, stretch in having.items():
                assert place[0] in lessons, f"lesson and tablet {place}: the lesson is over"
                lesson = lessons[place[0]]
                assert lesson.starts_at <= stretch.starts_at < stretch.ends_at <= lesson.ends_at, place
                assert lesson.class_id in self.world.classes_of(self.world.tablet(place[1])), place
            assert {place for place, state in seen.items() if state in IS_IN} == having.keys()

    def who_is_elsewhere_is_not_touched(self) -> None:
        """Who was heard of today outside the school's networks has no lesson, unless a teacher brought it in."""
        today = datetime.combine(self.world.now.astimezone(OSLO).date(), time(), OSLO).astimezone(UTC)
        query = (
            select(LessonGift.lesson_id, LeasedTablet.device_id)
            .join(LeasedTablet, LeasedTablet.lease_id == LessonGift.lease_id)
            .join(DevicePresence, DevicePresence.device_id == LeasedTablet.device_id)
            .where(LeasedTablet.ends_at > self.world.now)
            .where(DevicePresence.is_at_school.is_(False), DevicePresence.polled_at >= today)
        )
        with reading():
            assert {tuple(row) for row in db.session.execute(query)} <= self._by_hand

    def the_teacher_sees_what_is(self) -> None:
        """Of tablets that reported after everything that the server did, once the job of the minute has looked."""
        now = self.world.now
        with reading():
            query = select(Lesson.id).where(Lesson.starts_at <= now, Lesson.ends_at > now - timedelta(hours=4))
            for lesson_id in db.session.scalars(query).all():
                view = views.view(lesson_id, by=Principal.command_line(), now=now)
                for row in view.rows:
                    self._compare(view, row)

    def _compare(self, view: views.View, row: views.Row) -> None:
        tablet = self.world.tablet(row.device_id)
        config = tablet.session.config if tablet.session is not None else None
        state = db.session.get_one(DeviceState, row.device_id)
        due = self.world.known_of(tablet).at(self.world.now)[0]
        if config is None or config.version != state.config_version or tablet.reported != due:
            return
        told = f"tablet {tablet.number} in lesson {view.lesson.id}: {row.state}"
        if view.stage is Stage.OVER:
            ended = view.lesson.ended_at or view.lesson.ends_at
            if state.last_seen_at is not None and state.last_seen_at > ended + timedelta(seconds=PROMISED_S):
                assert row.state in {State.BACK, State.UNTOUCHED}, told
                self.world.tally["seen back"] += row.state is State.BACK
        elif view.stage is Stage.RUNNING and row.state in IS_IN:
            assert row.state is State.APPLIED, told
            self.world.tally["seen applied"] += 1


# When a story begins, and when it ends at the earliest: after a night, the one in which the clocks change perhaps.
WEEKS = {
    "an ordinary week": (datetime(2026, 9, 14, 6, 5, tzinfo=UTC), datetime(2026, 9, 15, 1, 10, tzinfo=UTC)),
    "the end of summer time": (datetime(2026, 10, 24, 18, 0, tzinfo=UTC), datetime(2026, 10, 26, 8, 0, tzinfo=UTC)),
    "the beginning of summer time": (datetime(2026, 3, 28, 19, 0, tzinfo=UTC), datetime(2026, 3, 30, 7, 0, tzinfo=UTC)),
}


@contextmanager
def quick(app: Flask) -> Iterator[None]:
    """Be in the application's context, its embedded database not waiting for the disk."""
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", lambda made, _record: made.execute("PRAGMA synchronous=OFF"))
        yield


@pytest.mark.parametrize("week", WEEKS)
def test_no_tablet_is_ever_looser_or_longer_in_a_lesson_than_it_may(own_app: Flask, week: str) -> None:
    tally: Counter[str] = Counter()

    def make() -> Days:
        stack = ExitStack()
        made = stack.enter_context(world(own_app, WEEKS[week][0]))

        def close() -> None:
            tally.update(made.tally)
            stack.close()

        return Days(made, WEEKS[week][1], close)

    how = settings(
        max_examples=RUNS or 2, stateful_step_count=STEPS, deadline=None, derandomize=not RUNS, database=None,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink), print_blob=False,
    )  # fmt: skip
    with quick(own_app):
        run_state_machine_as_test(make, settings=how)  # type: ignore[arg-type]
    if RUNS:
        sys.stdout.write(f"\n{week}: {dict(sorted(tally.items()))}\n")
    assert min(tally[what] for what in ("start done", "contacts", "came back from a lesson", "at base at night")) > 0
