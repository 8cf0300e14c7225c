"""Two schools, their tablets and their server in simulated time: everything is real but the clocks and the wires.

The server is the domain behind the native channel and the gate, on a database that is emptied; tablets are sessions
of the agent (:mod:`tests.lesson_tablet`), each stepped when it says it is due. What they may have is worked out anew
from what was assigned (:mod:`tests.lesson_known`) and held against what is in force whenever a tablet moves.
"""

import heapq
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any
from unittest import mock

from flask import Flask
from sqlalchemy import select, text

from agent_protocol import clock as agent_clock
from agent_protocol.messages import BASE_PATH
from agent_protocol.transport import Response
from fleet import outbox
from fleet.access import Principal, Role
from fleet.assignments import assigning, schedules
from fleet.assignments.models import Lease, LeasedTablet
from fleet.assignments.timeline import Timed
from fleet.channels.gate import Gate
from fleet.channels.native import authority
from fleet.channels.native.door import NativeChannel
from fleet.channels.native.pace import Pace
from fleet.channels.native.work import Work
from fleet.channels.presence import Presence
from fleet.checkins import presence
from fleet.db import changed, db, transaction
from fleet.devices import life as device_life
from fleet.devices import tickets
from fleet.devices.models import Device, DeviceLife, DeviceState, Platform
from fleet.errors import FleetError
from fleet.lessons import calibration, following, sharing, timetable
from fleet.lessons.models import SetKind
from fleet.people import accounts
from fleet.people.models import Account
from fleet.schools.calendar import Calendar
from fleet.schools.models import ClassKind, Membership, MembershipRole, Person, School, SchoolClass
from profiles.layering import Layer, Level, is_tighter_or_equal
from tests import factories as make
from tests.gate import Door
from tests.lesson_known import Known, Shared
from tests.lesson_tablet import PowerCutError, Slate, TabletClock
from tests.lessons import OSLO

BY = Principal.command_line()
AT_SCHOOL, ELSEWHERE = "10.1.0.9", "198.51.100.9"
POLL_S, REPORT_S = 900, 5400
PROMISED_S = 5.0  # that a tablet may be under a lesson after its end, besides what its clock is wrong
_SOON = timedelta(minutes=45)
_CLASSES = (
    ("8A", ClassKind.BASIC, 0),
    ("8B", ClassKind.BASIC, 0),
    ("MAT 8", ClassKind.TEACHING, 0),
    ("5C", ClassKind.BASIC, 1),
)
# Whose pupils are where: by class, the pupils' numbers.
_PUPILS: tuple[tuple[int, ...], ...] = ((0, 1, 2, 3), (4, 5, 6), (1, 2, 4, 5), (7, 8, 9))
_SETS: tuple[dict[str, Any], ...] = (
    {"kind": SetKind.WEB, "hosts": ["*.nb.no"]},
    {"kind": SetKind.APPS, "apps": ["no.geo", "no.bok"]},
    {"kind": SetKind.EYES, "text": "Se hit"},
    {"kind": SetKind.EXAM, "apps": ["no.kart"], "locked": True},
)
BASES: tuple[dict[str, Any], ...] = (
    {"camera.allowed": False},
    {"apps.blocked": ["no.bok"], "bluetooth.allowed": False},
    {"apps.allowed": ["no.geo", "no.spill"]},
)


@dataclass(frozen=True)
class Assigned:
    """A profile at a place, as the test remembers it: independent of what the server makes of it."""

    profile: str
    place: tuple[str, int | None]
    timed: Timed
    id: int


class World:
    """See the module; make one with :func:`world`.

    Attributes:
        now: true time, which is also the server's.
        tally: what happened, to see that it did.
    """

    def __init__(self, app: Flask, start: datetime) -> None:
        self.app, self.now, self._began = app, start, start
        self.tally: Counter[str] = Counter()
        self.tablets: list[Slate] = []
        self.door: Door | None = None
        self.ticked_at = start
        self._by_id: dict[int, Slate] = {}
        self._queue: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._shared: Shared = {}
        self._leased: dict[int, list[Timed]] | None = None
        self._is_writing = False
        self._assigned: list[Assigned] = []
        self._calendar = Calendar(OSLO)
        config = app.extensions["fleet_config"]
        self._keys = authority.load(config.secrets_dir, now=start)
        self._authority: str = config.authority

    # -- who is there --------------------------------------------------------------------------------------------

    def build(self) -> None:
        """Make schools, people, sets and base profiles, and take the tablets in."""
        with transaction():
            self.schools = [make.school("Nord skole"), make.school("Sør skole")]
            self.schools[0].networks = ["10.1.0.0/16"]
            self.classes = [make.school_class(self.schools[at], title, kind) for title, kind, at in _CLASSES]
            self.pupils = [make.pupil(self.schools[number >= 7]) for number in range(10)]
            self.members = {pupil.id: set[int]() for pupil in self.pupils}
            for of, numbers in zip(self.classes, _PUPILS, strict=True):
                for number in numbers:
                    make.membership(self.pupils[number], of)
                    self.members[self.pupils[number].id].add(of.id)
            self.accounts = [self._teacher(number, of) for number, of in enumerate(self.classes)]
            self.accounts.append(make.account("it-nord", (Role.SCHOOL_IT, self.schools[0])))
            profile = make.published("leksjon", **{"camera.allowed": False, "apps.allowed": ["no.geo"]})
            shared: dict[str, Any] = {"school": None, "by": BY, "now": self.now}
            self.sets = [sharing.share(title=f"sett {number}", **shared, **told) for number, told in enumerate(_SETS)]
            self.sets.append(sharing.share(title="profil", profile=profile.profile, **shared))
            self._devices()
        places = assigning.Place
        self.assign("kommunen", places.municipality(), {"camera.allowed": True, "apps.blocked": ["no.spill"]})
        self.assign("nord", places.school(self.schools[0]), {"web.allowed": ["*.nb.no", "*.udir.no"]})
        self.assign("8b", places.school_class(self.classes[1]), {"apps.allowed": ["no.geo", "no.kart", "no.bok"]})
        for tablet in self.tablets[12:14]:
            self.assign(f"vogn-{tablet.number}", self._place_of(tablet), {"kiosk.app": "no.geo"})
        self.start_server()
        self._take_in()
        self._await_night()
        self._tick()
        self.run_until(self.now + timedelta(seconds=30))
        self._write_presence()  # everybody was seen today

    def _teacher(self, number: int, of: SchoolClass) -> Account:
        person = make.employee(f"laerer{number}", of.school)
        make.membership(person, of, role=MembershipRole.TEACHER)
        return make.account(f"laerer{number}", (Role.TEACHER, of.school), of=person)

    def _devices(self) -> None:
        """Make the pupils' own tablets, one that stands in each of two classes, and a cart of two."""
        places: list[tuple[School, Person | None, SchoolClass | None, str | None]] = [
            (self.schools[number >= 7], self.pupils[number], None, None) for number in range(10)
        ]
        places += [(self.schools[0], None, self.classes[number], None) for number in (0, 1)]
        places += [(self.schools[0], None, None, "vogn")] * 2
        for number, (at, person, of, cart) in enumerate(places):
            device = make.device(
                at, person=person, class_id=of.id if of is not None else None, cart=cart, life=DeviceLife.EXPECTED,
                platform=Platform.LINUX, listed_at=self.now, created_at=self.now,
            )  # fmt: skip
            ticking = TabletClock(float(number % 5 - 2), (number % 3 - 1) * 2e-5, self.now)
            tablet = Slate(number, device.id, device.serial, ticking, hears=number % 3 != 0)
            tablet.person_id, tablet.class_id, tablet.school_id = device.person_id, device.class_id, at.id
            tablet.line.address = AT_SCHOOL
            tablet.line.on_heard = partial(self._answered, tablet)
            self.tablets.append(tablet)
            self._by_id[device.id] = tablet

    def _take_in(self) -> None:
        codes = {}
        for at in self.schools:
            with transaction():
                how: dict[str, Any] = {
                    "expires_at": self.now + timedelta(days=1),
                    "max_enrolments": 20,
                    "by": BY,
                    "now": self.now,
                }
                codes[at.id] = tickets.create(tickets.Place(at), **how)[1]
        for tablet in self.tablets:
            session = tablet.switch_on()
            session.enrol(tablet.line, tablet.clock.read(self.now), codes[tablet.school_id])
            self._plan(tablet, self.now)

    def by(self, number: int) -> Principal:
        """Return who acts: the teacher of that class, or the first school's IT."""
        return accounts.principal(self.accounts[number], today=self.now.astimezone(OSLO).date())

    # -- the server ----------------------------------------------------------------------------------------------

    def start_server(self) -> None:
        """Start it: all that it holds in memory is new."""
        self._presence = Presence()

        def is_near(now: datetime) -> bool:
            return self._calendar.school_seconds_between(now, now + _SOON) > 0

        dice = random.Random(1)  # noqa: S311 (repeatable)
        native = NativeChannel(
            Work(self.app, self._keys, self._read, report_s=REPORT_S), self._keys, authority_name=self._authority,
            pace=Pace(POLL_S, REPORT_S, self._calendar.is_school_time, is_near, dice), presence=self._presence,
            nonce_key=bytes(32), queue_limit=1_000, now=self._read,
        )  # fmt: skip
        self.door = Door(self.app, Gate([native], None, probes={}, on_start=lambda: lambda: None, now=self._read))
        self.door.start()
        for tablet in self.tablets:
            tablet.line.server = self.door

    def stop_server(self) -> None:
        """Stop it."""
        if self.door is not None:
            self.door.stop()
        self.door = None
        for tablet in self.tablets:
            tablet.line.server = None

    def _read(self) -> datetime:
        return self.now

    def uptime_s(self) -> float:
        """Return seconds since the world began: a clock that nobody can set."""
        return (self.now - self._began).total_seconds()

    def act(self, what: Callable[[], object]) -> object:
        """Have somebody do something in a transaction; returns what came of it, or the refusal."""
        try:
            with self._transaction():
                return what()
        except FleetError as refusal:
            return refusal

    def run_jobs(self) -> None:
        """Do what the timetable does each minute."""
        with self._transaction():
            schedules.advance(self.now)
        made = 1
        while made:
            with self._transaction():
                made = timetable.begin_due(now=self.now, timezone=OSLO)
            self.tally["planned lessons"] += made
        with self._transaction():
            self.tally["seen by the job"] += following.note_arrivals(None, now=self.now)
            calibration.note_outcomes(now=self.now)
        self.ticked_at = self.now

    def _tick(self) -> None:
        if self.door is not None:
            self.run_jobs()
        self.later(600 if self._calendar.is_school_time(self.now + timedelta(minutes=20)) else 3600, self._tick)

    def _write_presence(self) -> None:
        self._is_writing = False
        polls = self._presence.to_write(self.now) if self.door is not None else []
        if polls:
            with self._transaction():
                presence.note(polls, ranges_of=presence.ranges(), timezone=OSLO, now=self.now)
            self._presence.written(polls)

    # -- what is assigned ----------------------------------------------------------------------------------------

    def assign(
        self, name: str, place: assigning.Place, settings: dict[str, Any], *, for_s: int | None = None, in_s: int = 0
    ) -> None:
        """Publish a profile and assign it, from ``in_s`` on if that is not at once, for ``for_s`` seconds if not open."""
        starts_at = self.now + timedelta(seconds=in_s) if in_s else None
        ends_at = self.now + timedelta(seconds=in_s + for_s) if for_s is not None else None
        with self._transaction():
            version = make.published(f"{name}-{next(self._order)}", **settings)
            made = make.assign(version, place, starts_at=starts_at, ends_at=ends_at, now=self.now)
        level = Level[place.scope.name]
        layer = Layer(level, f"assignment:{made.id}", starts_at or self.now, settings)
        self._assigned.append(Assigned(name, (place.scope.value, place.id), Timed(layer, starts_at, ends_at), made.id))

    def withdraw(self, number: int) -> None:
        """Withdraw one of the assignments that stand, if any does."""
        if not self._assigned:
            return
        one = self._assigned[number % len(self._assigned)]
        if not isinstance(self.act(lambda: assigning.withdraw(one.id, by=BY, now=self.now)), FleetError):
            self._assigned.remove(one)

    def _place_of(self, tablet: Slate) -> assigning.Place:
        return assigning.Place.device(db.session.get_one(Device, tablet.device_id))

    def classes_of(self, tablet: Slate) -> set[int | None]:
        """Return the classes that a tablet belongs to: where it stands, and its pupil's."""
        return {tablet.class_id, *self.members.get(tablet.person_id or 0, ())}

    def known_of(self, tablet: Slate) -> Known:
        """Return what the server should tell a tablet now: what was assigned, and the leases that stand."""
        classes = self.classes_of(tablet)
        places: set[tuple[str, int | None]] = {("municipality", None), ("school", tablet.school_id)}
        places |= {("device", tablet.device_id)} | {("class", one) for one in classes}
        base = [one.timed for one in self._assigned if one.place in places]
        return Known([*base, *self._leases().get(tablet.device_id, ())], self._shared)

    def _leases(self) -> dict[int, list[Timed]]:
        """Return the leases that stand, by tablet; read again when somebody may have changed them."""
        if self._leased is None:
            query = (
                select(LeasedTablet.device_id, LeasedTablet.starts_at, LeasedTablet.ends_at, Lease.id, Lease.settings)
                .join(Lease, Lease.id == LeasedTablet.lease_id)
                .where(LeasedTablet.ends_at > self.now - timedelta(hours=3))
            )
            self._leased = defaultdict(list)
            with db.engine.connect() as connection:
                for row in connection.execute(query):
                    layer = Layer(Level.LESSON, f"lease:{row.id}", row.starts_at, row.settings)
                    self._leased[row.device_id].append(Timed(layer, row.starts_at, row.ends_at))
        return self._leased

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._leased = None
        with transaction():
            yield

    # -- who changes places --------------------------------------------------------------------------------------

    def change_class(self, pupil: Person, of: SchoolClass) -> None:
        """Have a pupil join a class, or leave it."""
        mine = self.members[pupil.id]
        with self._transaction():
            if of.id in mine:
                query = select(Membership).where(Membership.person_id == pupil.id, Membership.class_id == of.id)
                for row in db.session.scalars(query):
                    db.session.delete(row)
            else:
                make.membership(pupil, of)
            changed("person", [pupil.id], now=self.now)
        mine ^= {of.id}

    def check_out(self, tablet: Slate, pupil: Person | None) -> None:
        """Give a tablet of the cart to a pupil, or take it back."""
        with self._transaction():
            device = db.session.get_one(Device, tablet.device_id)
            device_life.move(device, school=self.schools[0], person=pupil, cart="vogn", by=BY, now=self.now)
        tablet.person_id = pupil.id if pupil is not None else None

    # -- time ----------------------------------------------------------------------------------------------------

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something when so many seconds have passed."""
        heapq.heappush(self._queue, (self.now + timedelta(seconds=seconds), next(self._order), what))

    def run_until(self, moment: datetime) -> None:
        """Let time pass, and everybody do what is due meanwhile."""
        while self._queue and self._queue[0][0] <= moment:
            at, _, what = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            what()
        self.now = max(self.now, moment)

    def _night(self) -> None:
        """At three, when nobody has a lesson, every tablet that runs has exactly its base."""
        for tablet in self.tablets:
            if tablet.session is not None and tablet.has_stepped:
                bases = {known.at(self.now, with_lessons=False)[0] for known in tablet.known}
                assert tablet.device.in_force in bases, f"tablet {tablet.number} is not at its base at night"
                self.tally["at base at night"] += 1
        self._await_night()

    def _await_night(self) -> None:
        local = self.now.astimezone(OSLO)
        on = local.date() if local.time() < time(3) else local.date() + timedelta(days=1)
        moment = datetime.combine(on, time(3), OSLO).astimezone(self.now.tzinfo)
        self.later((moment - self.now).total_seconds(), self._night)

    # -- tablets -------------------------------------------------------------------------------------------------

    def _plan(self, tablet: Slate, moment: datetime) -> None:
        tablet.step_number += 1
        number = tablet.step_number
        tablet.due_at = moment

        def step() -> None:
            if number == tablet.step_number:
                self._step(tablet)

        self.later((moment - self.now).total_seconds(), step)

    def _ring(self, device_ids: frozenset[int]) -> None:
        for device_id in device_ids:
            tablet = self._by_id.get(device_id)
            if tablet is None or tablet.session is None or not (tablet.hears and tablet.line.is_up):
                continue
            tablet.is_rung = True
            moment = self.now + timedelta(seconds=0.3)
            if tablet.due_at > moment:
                self._plan(tablet, moment)

    def _step(self, tablet: Slate) -> None:
        session = tablet.session
        assert session is not None
        self.check(tablet)
        self.tally["steps"] += 1
        tablet.fetching, tablet.line.is_clean = None, True
        jump, shown = tablet.clock.look(), tablet.clock.read(self.now)
        try:
            if jump:
                session.clock_jumped(jump)
            if tablet.is_rung:
                tablet.is_rung, session.timing.poll_at = False, shown
            session.step(tablet.line, shown)
        except (PowerCutError, OSError) as failure:
            self._failed(tablet, jump, has_power=not isinstance(failure, PowerCutError))
            return
        tablet.has_stepped, tablet.late_until = True, None
        if tablet.fetching is not None:
            tablet.known = (tablet.fetching,)
            tablet.clock.told(self.now)
        if tablet.line.is_clean and session.timing.may_speak(shown):
            self._check_contact(tablet)
        self.check(tablet)
        ahead_s = abs((shown - self.now).total_seconds() + session.memory.clock_offset_s)
        assert ahead_s <= PROMISED_S + tablet.clock.unknown_at(self.now), f"tablet {tablet.number} has a wrong time"
        self._count(tablet)
        pause = tablet.clock.true_at(session.next_step_at(shown), self.now) - self.now
        self._plan(tablet, self.now + max(pause, timedelta(milliseconds=50)))

    def _count(self, tablet: Slate) -> None:
        is_in = bool(tablet.known) and tablet.device.in_force != tablet.known[-1].at(self.now, with_lessons=False)[0]
        self.tally["came into a lesson"] += is_in and not tablet.is_in
        self.tally["came back from a lesson"] += tablet.is_in and not is_in
        tablet.is_in = is_in

    def _failed(self, tablet: Slate, jump: float, *, has_power: bool) -> None:
        tablet.clock.unknown_s += abs(jump)  # perhaps not stored
        if tablet.fetching is not None:
            tablet.known = (*tablet.known, tablet.fetching)
        if has_power:
            self.tally["disk full"] += 1
            tablet.late_until = self.now + timedelta(seconds=31)
            self._plan(tablet, self.now + timedelta(seconds=30))
        else:
            self.tally["power cuts"] += 1
            self.switch_off(tablet, tablet.off_s)

    def tablet(self, device_id: int) -> Slate:
        """Return the tablet of a row."""
        return self._by_id[device_id]

    def switch_off(self, tablet: Slate, seconds: float) -> None:
        """Have a tablet without power for a while."""
        if tablet.session is not None:
            tablet.switch_off()
            self.later(seconds, lambda: self._switch_on(tablet))

    def _switch_on(self, tablet: Slate) -> None:
        session = tablet.switch_on()
        applied = session.memory.applied
        assert applied in {None, tablet.device.in_force}, (
            f"tablet {tablet.number} woke up with what it does not know of"
        )
        self._plan(tablet, self.now)

    def _answered(self, tablet: Slate, target: str, response: Response) -> None:
        if target == f"{BASE_PATH}/config" and response.status in {200, 304}:
            tablet.fetching = self.known_of(tablet)
            self.tally["polls"] += 1
            if not self._is_writing:
                self._is_writing = True
                self.later(60 if self._calendar.is_school_time(self.now) else 900, self._write_presence)

    # -- what must hold ------------------------------------------------------------------------------------------

    def check(self, tablet: Slate) -> None:
        """What is in force is what the tablet knows is due, and nothing is looser than its base; since the last look.

        A moment counts with what the tablet's clock may be wrong by, and the seconds that were promised.
        """
        if tablet.session is None or not tablet.has_stepped or not tablet.known:
            tablet.checked_at = self.now
            return
        late = timedelta(seconds=31) if tablet.late_until is not None else timedelta()
        slack = timedelta(seconds=PROMISED_S + tablet.clock.unknown_at(self.now))
        since = tablet.checked_at or self.now
        moments = {self.now}
        for known in tablet.known:
            moments |= {edge + slack + late for edge in known.edges(since - slack - late, self.now - slack - late)}
        for moment in sorted(moments):
            span = (moment - slack - late, moment + slack)
            due = [one for known in tablet.known for one in known.during(*span)]
            told = f"tablet {tablet.number} at {moment:%a %H:%M:%S}"
            assert tablet.device.in_force in due, (
                f"{told} has {tablet.device.settings}, knows {tablet.known[-1].at(moment)[1]}"
            )
            bases = [one for known in tablet.known for one in known.during(*span, with_lessons=False).values()]
            assert any(is_tighter_or_equal(base, tablet.device.settings) for base in bases), f"{told} is looser"
        tablet.checked_at = self.now

    def _check_contact(self, tablet: Slate) -> None:
        """After a contact in which nothing went wrong both sides say the same."""
        if tablet.fetching is None:
            return
        assert tablet.session is not None
        self.tally["contacts"] += 1
        columns = (DeviceState.applied_digest, DeviceState.config_version, DeviceState.desired_digest)
        query = select(*columns, DeviceState.next_switch_at).where(DeviceState.device_id == tablet.device_id)
        with db.engine.connect() as connection:
            applied, version, desired, next_switch_at = connection.execute(query).one()
        told = f"tablet {tablet.number} at {self.now}"
        assert applied == tablet.reported == tablet.device.in_force, told
        assert tablet.session.config is not None
        assert tablet.session.config.version == version, told
        if next_switch_at is None or next_switch_at > self.now:
            assert desired == tablet.fetching.at(self.now)[0], told


def _empty() -> None:
    """Take everything out of the database, and have its numbers begin anew, so that a run can be repeated."""
    tables = [table.name for table in db.metadata.sorted_tables]
    with transaction():
        if db.session.get_bind().dialect.name == "postgresql":
            db.session.execute(text(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY"))
        else:
            for name in reversed(tables):
                db.session.execute(text(f"DELETE FROM {name}"))  # noqa: S608 (our own tables)


@contextmanager
def world(app: Flask, start: datetime) -> Iterator[World]:
    """Run a world from an instant on, in the application's database, which is emptied; needs its context."""
    _empty()
    made = World(app, start)
    with mock.patch.object(agent_clock, "uptime_s", made.uptime_s):
        stop = outbox.add_ring(made._ring)
        try:
            made.build()
            yield made
        finally:
            made.stop_server()
            stop()
