"""Schools on a real server, for journeys of lessons: classes with their tablets, and teachers who act from elsewhere.

Whoever acts here does so in the test's own process, which is another one than the server's, as the command line is; or
through the pages (:class:`Browser`). It is about noon of a school day wherever and whenever the tests run.
"""

import http.client
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from flask import Flask
from sqlalchemy import func, select

from fleet import clock
from fleet.access import Principal
from fleet.app import create_app
from fleet.assignments.assigning import Place
from fleet.config import Config
from fleet.db import db, transaction
from fleet.devices import tickets
from fleet.devices.models import DeviceLife, DevicePresence, Platform
from fleet.lessons import life, sets, views
from fleet.lessons.models import Lesson, SetKind
from fleet.lessons.views import Row, Stage, State
from fleet.people import accounts, passwords
from fleet.schools import deciding
from fleet.schools.models import Person, School, SchoolClass
from tests import factories as make
from tests.agents import AgentProcess, LiveTablet, eventually
from tests.serving import Answer, Server, serving
from tests.waiting import open_all_day

BY = Principal.command_line()
HERE, BEHIND_PROXY = "127.0.0.0/8", "10.1.0.0/16"  # networks of schools
# That a tablet may take to begin a lesson, through the request that waits, or to end one. It takes a second or two, which
# ``scripts/bench lessons`` shows; here much else runs on the machine, and less than a poll's half minute tells as much.
WITHIN_S = 15.0
PRESENT_WITHIN_S = 90.0
SOON_S = 10.0
_COARSE_S = 0.1  # a file's time is read off a clock that stands still for some milliseconds
_number = itertools.count(1)
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Tablet(Protocol):
    """A tablet that can be looked at."""

    @property
    def settings(self) -> Mapping[str, Any] | None:
        """All settings that are in force; None while nothing whole is."""

    @property
    def switched_at(self) -> datetime:
        """When they came into force."""


class Live(Tablet, Protocol):
    """A tablet that lives in the test's process and can be switched on and off."""

    serial: str
    address: str | None

    def enrol(self) -> None:
        """Have it taken in, and say nothing more for now."""

    def on(self) -> None:
        """Switch it on: it enrols where it is not."""

    def off(self) -> None:
        """Switch it off."""

    @property
    def history(self) -> Sequence[tuple[datetime, Mapping[str, Any]]]:
        """What was put into force, and when."""

    @property
    def has_had(self) -> Sequence[Any]:
        """Which web addresses it was bound to, one after the other; None where to none, as at its base."""


def hosts(tablet: Tablet) -> list[str] | None:
    """Return the web addresses a tablet is bound to; None where to none, as at its base; none while it switches."""
    settings = tablet.settings
    found: list[str] | None = settings.get("web.allowed") if settings is not None else []
    return found


@dataclass(frozen=True)
class Pupil:
    """A pupil's tablet, and the numbers of both."""

    serial: str
    device_id: int
    person_id: int


@dataclass
class Room:
    """A class with its teacher, its pupils, and those of their tablets that live in the test's process.

    ``gives`` is the web address that its lessons bind tablets to.
    """

    site: "Site"
    school_id: int
    class_id: int
    title: str
    username: str
    teacher: Principal
    pupils: list[Pupil]
    gives: str
    code: str = ""
    tablets: list[Live] = field(default_factory=list)

    def have_agents(self, *agents: AgentProcess) -> None:
        """Start real agents as the first pupils' tablets."""
        for pupil, agent in zip(self.pupils, agents, strict=False):
            agent.tell("--server", self.site.server.address, "--code", self.code, "--serial", pupil.serial)
            agent.start()

    def await_present(
        self, count: int | None = None, *, since: datetime | None = None, within_s: float = PRESENT_WITHIN_S
    ) -> None:
        """Wait until so many of the tablets, or all, are known to wait at the server, for an answer asked ``since``."""
        ids = [one.device_id for one in self.pupils]
        query = select(func.count()).where(DevicePresence.device_id.in_(ids), DevicePresence.waits)
        if since is not None:
            query = query.where(DevicePresence.polled_at > since)

        def are_present() -> bool:
            with self.site.database():
                return (db.session.scalar(query) or 0) >= (len(ids) if count is None else count)

        eventually(are_present, within_s=within_s, why="tablets that wait")

    def start(self, *, for_s: float = 600, by: Principal | None = None, absent: Collection[int] = ()) -> int:
        """Start a lesson as the teacher, for some seconds; returns its number."""
        by, now = by or self.teacher, clock.now()
        with self.site.database():
            of = db.session.get_one(SchoolClass, self.class_id)
            given = sets.quick(SetKind.WEB, school_class=of, hosts=[self.gives], by=by, now=now)
            until, timezone = now + timedelta(seconds=for_s), self.site.config.timezone
            return life.start(of, given, until=until, absent=absent, by=by, now=now, timezone=timezone).id

    def end(self, lesson_id: int) -> None:
        """End a lesson as the teacher."""
        with self.site.database():
            life.end(lesson_id, by=self.teacher, now=clock.now())

    def rows(self, lesson_id: int) -> dict[str, Row]:
        """Return how the tablets stand in a lesson as the teacher sees it, by serial."""
        with self.site.database():
            found = views.view(lesson_id, by=self.teacher, now=clock.now())
            return {row.serial: row for row in found.rows}

    def states(self, lesson_id: int) -> list[State]:
        """Return how the pupils' tablets stand in a lesson, in the pupils' order."""
        rows = self.rows(lesson_id)
        return [rows[one.serial].state for one in self.pupils]

    def times(self, lesson_id: int) -> tuple[datetime, datetime]:
        """Return from when until when a lesson is."""
        with self.site.database():
            lesson = db.session.get_one(Lesson, lesson_id)
            return lesson.starts_at, lesson.ends_at

    def stage(self, lesson_id: int) -> Stage:
        """Return where a lesson is in its life."""
        with self.site.database():
            return views.stage_of(db.session.get_one(Lesson, lesson_id), clock.now())

    # -- what must come ------------------------------------------------------------------------------------------

    def arrives(self, lesson_id: int, *tablets: Tablet, since: datetime | None = None) -> None:
        """Have tablets (all of the room's, where none are given) in the lesson, in time after its start or ``since``."""
        since = since or self.times(lesson_id)[0]
        self._comes([self.gives], tablets, since)

    def ends(self, lesson_id: int, *tablets: Tablet) -> None:
        """Have tablets back at their base in time after a lesson's end, and not before it."""
        ended_at = self.times(lesson_id)[1]
        self._comes(None, tablets, ended_at)

    def is_let_go(self, tablet: Tablet, *, since: datetime) -> None:
        """Have a tablet back at its base in time after something else than the lesson's end."""
        self._comes(None, [tablet], since)

    def _comes(self, wanted: list[str] | None, tablets: Sequence[Tablet], since: datetime) -> None:
        watched: Sequence[Tablet] = tablets or self.tablets
        left_s = (since - clock.now()).total_seconds()
        # What a tablet says itself is judged; the process that looks may be late on a busy machine.
        eventually(
            lambda: all(hosts(one) == wanted for one in watched),
            within_s=max(left_s, 0) + 2 * self.site.within_s,
            why=lambda: f"{[hosts(one) for one in watched]} are not {wanted}",
        )
        took = [(one.switched_at - since).total_seconds() for one in watched]
        assert min(took) >= -self.site.coarse_s, took
        assert max(took) <= self.site.within_s, took

    def shows(self, lesson_id: int, *states: State, within_s: float | None = None) -> None:
        """Have the server know it: each pupil's tablet stands so, or all stand alike."""
        wanted = list(states) if len(states) > 1 else list(states) * len(self.pupils)
        eventually(
            lambda: self.states(lesson_id) == wanted,
            within_s=within_s if within_s is not None else self.site.known_within_s,
            why=lambda: f"{self.states(lesson_id)} are not {wanted}",
        )

    def has_receipt(self, lesson_id: int) -> None:
        """Have the lesson over and each tablet known to be back, since the end or soon after."""
        self.shows(lesson_id, State.BACK)
        assert self.stage(lesson_id) is Stage.OVER
        ended_at = self.times(lesson_id)[1]
        back = [row.since for row in self.rows(lesson_id).values() if row.since is not None]
        assert len(back) == len(self.pupils)
        assert all(0 <= (one - ended_at).total_seconds() <= self.site.within_s + 1 for one in back), (ended_at, back)


def _with_agent(server: Server, serial: str, code: str) -> Live:
    return LiveTablet(server.address, serial, code)


@dataclass
class Site:
    """A server, and what is made and done at it.

    Args:
        server: the server.
        app: an application on the same database, as another process has it.
        ending: what is switched off at the end.
        networked: schools by the networks that they have told.
        platform: of its tablets.
        make_tablet: makes one that can be switched on, of a server, a serial and a ticket's code.
        within_s: that a tablet may take to begin a lesson or to end one.
        coarse_s: by how much a tablet's word on when it switched may be too early.
        soon_s: of a short lesson: long enough to arrive.
        known_within_s: in which the server knows how a tablet stands, also where it switched by itself.
    """

    server: Server
    app: Flask
    ending: ExitStack
    networked: dict[str, int] = field(default_factory=dict)
    platform: Platform = Platform.LINUX
    make_tablet: Callable[[Server, str, str], Live] = _with_agent
    within_s: float = WITHIN_S
    coarse_s: float = _COARSE_S
    soon_s: float = SOON_S
    known_within_s: float = 2 * WITHIN_S

    @property
    def config(self) -> Config:
        """The server's settings."""
        found: Config = self.app.extensions["fleet_config"]
        return found

    @contextmanager
    def database(self) -> Iterator[None]:
        """Open a transaction."""
        with self.app.app_context(), transaction():
            yield

    def tell_networks(self, *networks: str) -> None:
        """Make a school for each range; before a tablet asks, as the server looks only now and then what schools told."""
        for told_range in networks:
            with self.database():
                school = make.school(f"Skole {next(_number)}")
                deciding.set_networks(school, [told_range], by=BY, now=clock.now())
                self.networked[told_range] = school.id

    def room(self, count: int = 2, *, network: str | None = None, is_present: bool = True) -> Room:
        """Make a class, its teacher, and a tablet for each pupil, on and present where nothing else is told.

        Args:
            count: how many pupils.
            network: of the school, where one was told; else it is a new school that has told none.
            is_present: whether the tablets are on.
        """
        with self.database():
            known = self.networked.get(network or "")
            school = make.school(f"Skole {next(_number)}") if known is None else db.session.get_one(School, known)
            of = make.school_class(school, f"{next(_number)}A")
            make.assign(make.published(f"base-{of.id}", **{"camera.allowed": False}), Place.school_class(of))
            room = self._room(of, [self._pupil(of) for _ in range(count)])
            now = clock.now()
            tomorrow = now + timedelta(days=1)
            room.code = tickets.create(
                tickets.Place(school), expires_at=tomorrow, max_enrolments=count, by=BY, now=now
            )[1]
        room.tablets = [self.make_tablet(self.server, one.serial, room.code) for one in room.pupils]
        for tablet in room.tablets:
            self.ending.callback(tablet.off)
            if is_present:
                tablet.on()
        if is_present:
            room.await_present()
        return room

    def group_of(self, room: Room, *numbers: int) -> Room:
        """Make a teaching group of some of a class's pupils, with a teacher of its own."""
        pupils = [room.pupils[number] for number in numbers]
        with self.database():
            of = make.school_class(db.session.get_one(School, room.school_id), f"MAT {next(_number)}")
            for one in pupils:
                make.membership(db.session.get_one(Person, one.person_id), of)
            made = self._room(of, pupils)
        made.tablets = [room.tablets[number] for number in numbers]
        return made

    def _room(self, of: SchoolClass, pupils: list[Pupil]) -> Room:
        account = make.teacher(f"laerer{next(_number)}", of)
        account.password_hash = passwords.make_hash(make.GOOD_PASSWORD)
        by = accounts.principal(account, today=clock.now().astimezone(self.config.timezone).date())
        return Room(self, of.school_id, of.id, of.title, account.username, by, pupils, f"host{of.id}.example")

    def _pupil(self, of: SchoolClass) -> Pupil:
        pupil = make.pupil(of.school)
        make.membership(pupil, of)
        now = clock.now()
        listed: Mapping[str, Any] = {"platform": self.platform, "listed_at": now, "created_at": now}
        device = make.device(of.school, person=pupil, life=DeviceLife.EXPECTED, **listed)
        return Pupil(device.serial, device.id, pupil.id)


@contextmanager
def site(url: str, data_dir: Path, *, proxies: str = "", program: str = "fleet", **environ: str) -> Iterator[Site]:
    """Run a server on a migrated database; it is about noon of a school day there."""
    zone = noon_zone(clock.now())
    told: dict[str, Any] = {"FLEET_TIMEZONE": zone, "FLEET_PROXIES": proxies, **environ}
    with serving(url, data_dir, program=program, **told) as server, ExitStack() as ending:
        made = Site(server, create_app(environ=server.full_environ(), with_pages=False), ending)
        open_all_day(made.app)
        try:
            yield made
        finally:
            ending.close()
            with made.app.app_context():
                db.engine.dispose()


def noon_zone(now: datetime) -> str:
    """Return a time zone in which it is about noon, so that no test runs into midnight."""
    return f"Etc/GMT{now.hour - 12:+d}"  # what lies east of Greenwich is minus there


class Reached(Protocol):
    """Where a browser asks: a server, or what is in front of some."""

    host: str
    port: int


class Browser:
    """A browser without a screen over real HTTP: keeps cookies, and sends the forgery token of the page it is on."""

    def __init__(self, server: Reached) -> None:
        self._server = server
        self._cookies: dict[str, str] = {}

    def at(self, server: Reached) -> "Browser":
        """Return the same browser, with its cookies, at another server."""
        found = Browser(server)
        found._cookies = dict(self._cookies)
        return found

    def ask(self, method: str, path: str, form: Mapping[str, str] | None = None) -> Answer:
        """Send a request; what it leads on to is left to the caller."""
        connection = http.client.HTTPConnection(self._server.host, self._server.port, timeout=10)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, urlencode(form) if form is not None else None, headers)
            response = connection.getresponse()
            for name, value in response.getheaders():
                if name.lower() == "set-cookie":
                    key, _, kept = value.partition(";")[0].partition("=")
                    self._cookies[key] = kept
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post(self, path: str, *, page: str, **form: str) -> Answer:
        """Send a form of ``page``."""
        found = _TOKEN.search(self.ask("GET", page).body.decode())
        assert found is not None, page
        return self.ask("POST", path, {"csrf_token": found[1], **form})

    def sign_in(self, username: str) -> "Browser":
        """Sign in as somebody who was made here."""
        answer = self.post("/sign-in", page="/sign-in", username=username, password=make.GOOD_PASSWORD)
        assert answer.status in {302, 303}, answer
        return self


def number_in(answer: Answer) -> int:
    """Return the number of the lesson that a form led to."""
    assert answer.status == 303, answer
    return int(answer.headers["location"].rpartition("/")[2])


def told(server: Server, *words: str) -> Any:
    """Return what the command line says in JSON."""
    return json.loads(server.fleet(*words, "--json"))
