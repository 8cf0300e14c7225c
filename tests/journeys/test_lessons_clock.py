"""Lessons where the clocks change: real agents and the real door, in simulated time.

On 2026-10-25 and 2027-03-28 Norway's clocks go back and forward. What is planned follows the local time; what was
started lasts as long as it was meant to.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from flask import Flask

from agent_protocol.messages import Failure
from agent_protocol.session import Session
from agent_protocol.simulated import SimulatedDevice
from agent_protocol.states import AgentState
from agent_protocol.store import MemoryStore
from fleet import outbox
from fleet.access import Principal, Role
from fleet.assignments.assigning import Place
from fleet.channels.gate import Channel, Gate
from fleet.channels.native import authority
from fleet.channels.native.door import NativeChannel
from fleet.channels.native.pace import Pace
from fleet.channels.native.work import Work
from fleet.channels.presence import Presence
from fleet.checkins import presence
from fleet.config import Config
from fleet.db import db
from fleet.devices import tickets
from fleet.devices.models import DeviceLife, Platform
from fleet.jobs import timetable
from fleet.lessons import life, plans, sets, views
from fleet.lessons.models import Lesson, SetKind
from fleet.lessons.views import State
from fleet.people import accounts
from fleet.schools.models import SchoolClass
from tests import factories as make
from tests.gate import Door
from tests.lessons import OSLO

BY = Principal.command_line()
JOBS = ("ended-assignments", "planned-lessons", "lesson-outcomes")
MINUTE = timedelta(minutes=1)
JOBS_EVERY = 5 * MINUTE
WEDNESDAY = 2


class Clockwork:
    """A server, its jobs and one tablet of one class, all by one clock that is set and never runs by itself.

    Attributes:
        now: true time.
        switches: when the tablet went to a lesson (its web addresses) or to its base (None).
        platform: of the tablet.
        switches_within: after what instants, and before them, it may do so.
    """

    platform = Platform.LINUX
    switches_within = (timedelta(), timedelta(seconds=1))

    def __init__(self, app: Flask, now: datetime) -> None:
        self.app, self.now = app, now
        self.switches: list[tuple[datetime, list[str] | None]] = []
        config = app.extensions["fleet_config"]
        self._presence = Presence()
        channel = self._channel(app, config)
        self.door = Door(app, Gate([channel], None, probes={}, on_start=lambda: lambda: None, now=self._read))
        with self.door.database():
            self.device_id, self._code = self._build()
        self._take_out()
        self._job_at = now

    def _channel(self, app: Flask, config: Config) -> Channel:
        """Return how the tablet speaks with the server."""
        keys, self._dice = authority.load(config.secrets_dir, now=self.now), random.Random(1)  # noqa: S311 (repeatable)
        return NativeChannel(
            Work(app, keys, self._read, report_s=900), keys, authority_name=config.authority,
            pace=Pace(240, 900, lambda _now: True, lambda _now: True, self._dice), presence=self._presence,
            nonce_key=bytes(32), queue_limit=100, now=self._read,
        )  # fmt: skip

    def _take_out(self) -> None:
        """Make the tablet, which has not come in yet."""
        authority_name = self.door.app.extensions["fleet_config"].authority
        self._session = Session(authority_name, MemoryStore(), _Noting(self), dice=self._dice)

    def _read(self) -> datetime:
        return self.now

    def _build(self) -> tuple[int, str]:
        school = make.school()
        of = make.school_class(school)
        pupil = make.pupil(school)
        make.membership(pupil, of)
        listed: Mapping[str, Any] = {"platform": self.platform, "listed_at": self.now, "created_at": self.now}
        device = make.device(school, person=pupil, life=DeviceLife.EXPECTED, serial="KLOKKE1", **listed)
        make.assign(make.published(), Place.school_class(of), now=self.now)
        self.class_id = of.id
        self.school_it = accounts.principal(make.account("it", (Role.SCHOOL_IT, school)), today=self.now.date())
        until = self.now + timedelta(days=1)
        return device.id, tickets.create(tickets.Place(school), expires_at=until, by=BY, now=self.now)[1]

    def school_class(self) -> SchoolClass:
        """Return the class; inside a unit of work."""
        return db.session.get_one(SchoolClass, self.class_id)

    def ring(self, device_ids: frozenset[int]) -> None:
        """Have the tablet ask at once."""
        if self.device_id in device_ids:
            self._session.timing.poll_at = self.now

    def run_until(self, moment: datetime) -> None:
        """Let time pass: the tablet does what it says is due, and jobs run now and then."""
        while self.now < moment:
            self._step()
            if self._job_at <= self.now:
                self._run_jobs()
            pause = max(self._next_step_at(), self.now + timedelta(milliseconds=50))
            self.now = min(pause, self._job_at, moment)
        self._step()

    def _next_step_at(self) -> datetime:
        return self._session.next_step_at(self.now)

    def _step(self) -> None:
        if self._session.memory.state is AgentState.NEW:
            self._session.enrol(self.door, self.now, self._code)
        self._session.step(self.door, self.now)

    def _run_jobs(self) -> None:
        polls = self._presence.to_write(self.now)
        config = self.app.extensions["fleet_config"]
        with self.door.database():
            presence.note(polls, ranges_of=presence.ranges(), timezone=OSLO, now=self.now)
            for name in JOBS:
                timetable.find(name).step(self.now, config)
        self._presence.written(polls)
        self._job_at = self.now + JOBS_EVERY

    def skip_to(self, moment: datetime) -> None:
        """Let days pass in which the tablet lies in a cupboard."""
        self.now = self._job_at = moment

    def lessons(self) -> list[tuple[datetime, datetime, State, datetime | None]]:
        """Return the lessons there were: from when until when, how the tablet stands in them, and since when."""
        with self.door.database():
            found = db.session.query(Lesson).order_by(Lesson.starts_at).all()
            rows = [(one, views.view(one.id, by=BY, now=self.now).rows[0]) for one in found]
            return [(one.starts_at, one.ends_at, row.state, row.since) for one, row in rows]


class _Noting(SimulatedDevice):
    """Tells the clockwork what is in force."""

    def __init__(self, clockwork: Clockwork) -> None:
        super().__init__("KLOKKE1")
        self._clockwork = clockwork

    def apply(self, digest: str, settings: Mapping[str, Any]) -> Sequence[Failure]:
        self._clockwork.switches.append((self._clockwork.now, settings.get("web.allowed")))
        return super().apply(digest, settings)


@pytest.fixture
def clockwork(own_app: Flask, request: pytest.FixtureRequest) -> Iterator[Clockwork]:
    """Return a clockwork; the test is parametrised with when it begins."""
    made = Clockwork(own_app, request.param)
    stop = outbox.add_ring(made.ring)
    made.door.start()
    yield made
    made.door.stop()
    stop()


def at(on: date, hour: int, minute: int) -> datetime:
    """Return an instant of a date in UTC."""
    return datetime.combine(on, time(hour, minute), UTC)


AUTUMN, SPRING = (date(2026, 10, 21), date(2026, 10, 28)), (date(2027, 3, 24), date(2027, 3, 31))


@pytest.mark.parametrize(
    ("clockwork", "spans"),
    [
        (
            at(AUTUMN[0], 7, 0),
            [(at(AUTUMN[0], 8, 15), at(AUTUMN[0], 9, 0)), (at(AUTUMN[1], 9, 15), at(AUTUMN[1], 10, 0))],
        ),
        (
            at(SPRING[0], 7, 0),
            [(at(SPRING[0], 9, 15), at(SPRING[0], 10, 0)), (at(SPRING[1], 8, 15), at(SPRING[1], 9, 0))],
        ),
    ],
    ids=["autumn", "spring"],
    indirect=["clockwork"],
)
def test_a_weekly_lesson_is_at_the_same_local_time_before_and_after_the_clocks_change(
    clockwork: Clockwork, spans: list[tuple[datetime, datetime]]
) -> None:
    with clockwork.door.database():
        of = clockwork.school_class()
        given = sets.quick(SetKind.WEB, school_class=of, hosts=["*.nb.no"], by=BY, now=clockwork.now)
        plans.plan(
            of, given, weekday=WEDNESDAY, starts_at=time(10, 15), ends_at=time(11), holder_id=None, by=BY,
            now=clockwork.now, timezone=OSLO,
        )  # fmt: skip
    for day, (starts_at, ends_at) in enumerate(spans):
        assert [one.astimezone(OSLO).strftime("%H:%M") for one in (starts_at, ends_at)] == ["10:15", "11:00"]
        clockwork.skip_to(starts_at - timedelta(hours=1, minutes=15))
        clockwork.run_until(starts_at - MINUTE)
        assert clockwork.switches[-1][1] is None  # known by now, and not in force
        clockwork.run_until(ends_at - MINUTE)
        assert clockwork.lessons()[day][2] is State.APPLIED
        clockwork.run_until(ends_at + timedelta(hours=1, minutes=15))
        assert clockwork.lessons()[day][:3] == (starts_at, ends_at, State.BACK)
    moments = [moment for span in spans for moment in span]
    assert [what for _, what in clockwork.switches] == [None, ["*.nb.no"], None, ["*.nb.no"], None]
    late = [(switched_at - moment) for (switched_at, _), moment in zip(clockwork.switches[1:], moments, strict=True)]
    first, last = clockwork.switches_within
    assert all(first <= one <= last for one in late), late


NIGHTS = [
    # From half past two on, the hour from two to three comes a second time: it ends at a quarter past two.
    (at(date(2026, 10, 25), 0, 20), "02:30", datetime(2026, 10, 25, 2, 15, fold=1, tzinfo=OSLO)),
    # From a quarter to two on, there is no hour from two to three: it ends at half past three.
    (at(date(2027, 3, 28), 0, 35), "01:45", datetime(2027, 3, 28, 3, 30, tzinfo=OSLO)),
]


@pytest.mark.parametrize(("clockwork", "begins", "until"), NIGHTS, ids=["autumn", "spring"], indirect=["clockwork"])
def test_a_lesson_in_the_night_in_which_the_clocks_change_ends_after_its_true_length(
    clockwork: Clockwork, begins: str, until: datetime
) -> None:
    starts_at = clockwork.now + timedelta(minutes=10)
    clockwork.run_until(starts_at)
    assert starts_at.astimezone(OSLO).strftime("%H:%M") == begins
    with clockwork.door.database():
        of, by = clockwork.school_class(), clockwork.school_it
        given = sets.quick(SetKind.WEB, school_class=of, hosts=["*.nb.no"], by=by, now=starts_at)
        life.start(of, given, until=until, by=by, now=starts_at, timezone=OSLO)
    ends_at = starts_at + timedelta(minutes=45)
    clockwork.run_until(ends_at - MINUTE)
    assert clockwork.lessons()[0][:3] == (starts_at, ends_at, State.APPLIED)
    assert [what for _, what in clockwork.switches] == [None, ["*.nb.no"]]
    clockwork.run_until(ends_at + timedelta(hours=1, minutes=15))
    assert [what for _, what in clockwork.switches] == [None, ["*.nb.no"], None]
    first, last = clockwork.switches_within
    assert first <= clockwork.switches[-1][0] - ends_at <= last
    found = clockwork.lessons()[0]
    assert found[2] is State.BACK
    assert found[3] is not None
    assert timedelta() <= found[3] - ends_at <= MINUTE
