"""Two servers and one PostgreSQL: what one knows the other knows, jobs run once, and one can always be taken away."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fleet import clock
from fleet.app import create_app
from fleet.db import db
from fleet.people import limits
from fleet.people.models import SignInFailure
from tests import factories as make
from tests import many_servers_program as program
from tests import postgres
from tests.agents import LiveTablet, eventually
from tests.front import Front
from tests.lesson_site import Browser, Site, hosts, noon_zone, number_in
from tests.rolling import Load, faults
from tests.serving import Server
from tests.waiting import open_all_day

pytestmark = pytest.mark.serves

PAGE = "/lessons"
_DONE = "SELECT 1 FROM job_run WHERE job = :job AND epoch = :epoch AND outcome = 'done'"
_LINES_AND_RUNS = """
    SELECT (SELECT count(*) FROM audit_entry WHERE action = :action),
           (SELECT count(*) FROM job_run WHERE job = :job AND outcome = 'done'),
           (SELECT count(*) FROM job_run WHERE job = :job AND outcome = 'lost')
"""


@dataclass
class Pair:
    """Two servers that share a database and a data directory, and what is in front of them."""

    one: Server
    other: Server
    front: Front
    site: Site
    hold: Path

    def ask(self, query: str, **given: Any) -> list[Any]:
        """Return what the database says."""
        engine = sa.create_engine(self.one.url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(sa.text(query), given)]
        engine.dispose()
        return found

    def of_process(self, pid: int) -> Server:
        """Return the server that a process belongs to."""
        return next(s for s in (self.one, self.other) if s.process is not None and os.getpgid(pid) == s.process.pid)

    def beside(self, server: Server) -> Server:
        """Return the other one."""
        return self.other if server is self.one else self.one

    def works(self, server: Server) -> None:
        """Wait until a server runs the jobs."""

        def is_done() -> bool:
            ((holder, epoch),) = self.ask("SELECT holder, epoch FROM job_lease")
            done = self.ask(_DONE, job=program.JOB, epoch=epoch)
            pid = int(holder.split(":")[1])
            return bool(done) and Path(f"/proc/{pid}").exists() and self.of_process(pid) is server

        eventually(is_done, why="jobs that run on the other server")

    def says(self, server: Server, words: str, *, after: int) -> None:
        """Wait until a server's log has some words after so many signs."""
        eventually(lambda: words in server.log[after:], why=words)


@pytest.fixture(scope="module")
def pair(
    postgres_server: postgres.Server, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("many")
    url, front, hold = postgres_server.url(postgres_server.create(template=postgres_template)), Front(), folder / "hold"
    told = {
        "FLEET_PUBLIC_URL": front.address,
        "FLEET_TIMEZONE": noon_zone(clock.now()),
        "FLEET_DRAIN_S": "2",
        program.HOLD: str(hold),
    }
    one, other = (
        Server(url, folder / "data", told, program=program.PROGRAM, log_name=f"{name}.log") for name in ("one", "other")
    )
    with ExitStack() as ending:
        for server in (one, other):
            ending.callback(kill, server)
            server.start()
        front.start([one, other])
        ending.callback(front.stop)
        app = create_app(environ=one.full_environ(), with_pages=False)
        open_all_day(app)
        site = Site(
            one, app, ending, make_tablet=lambda _server, serial, code: LiveTablet(front.address, serial, code)
        )  # fmt: skip
        yield Pair(one, other, front, site, hold)
    with app.app_context():
        db.engine.dispose()


def kill(server: Server) -> None:
    if server.process is not None and server.process.poll() is None:
        server.stop(signal.SIGKILL)


def test_what_is_done_at_one_server_holds_at_the_other(pair: Pair) -> None:
    pair.front.only = pair.other
    room = pair.site.room()  # its tablets wait at the other
    here = Browser(pair.one).sign_in(room.username)
    there = here.at(pair.other)
    form, until = f"/classes/{room.class_id}/lesson", (clock.now() + timedelta(minutes=20)).isoformat()
    lesson_id = number_in(here.post(form, page=form, quick="web", web_hosts=room.gives, until=until))
    eventually(lambda: all(hosts(one) == [room.gives] for one in room.tablets), why="a lesson on the tablets")
    page = f"/lessons/{lesson_id}"
    assert there.post(f"{page}/end", page=page).status == 303
    eventually(lambda: all(hosts(one) is None for one in room.tablets), why="tablets that are back")
    pair.front.only = None
    for one in room.tablets:
        one.off()
    assert there.post("/sign-out", page=PAGE).status in {302, 303}
    assert here.ask("GET", PAGE).headers["location"].startswith("/sign-in")
    with pair.site.database():
        for _ in range(limits.MAX_PER_NAME - 1):
            at = clock.now() - timedelta(minutes=5)
            db.session.add(SignInFailure(subject=limits.name_subject(room.username), at=at))
    typed = {"page": "/sign-in", "username": room.username}
    assert Browser(pair.one).post("/sign-in", password="feil passord her", **typed).status == 401
    assert Browser(pair.other).post("/sign-in", password=make.GOOD_PASSWORD, **typed).status == 429


def test_a_job_runs_once_a_slot_whoever_dies_or_sleeps(pair: Pair) -> None:
    pair.hold.touch()
    held = program.held_by(pair.hold)
    eventually(lambda: held.exists() and held.read_text() != "", why="a job at work")
    asleep = pair.of_process(int(held.read_text()))
    assert asleep.process is not None
    log = len(asleep.log)
    os.killpg(asleep.process.pid, signal.SIGSTOP)
    try:
        pair.hold.unlink()
        pair.works(pair.beside(asleep))
    finally:
        os.killpg(asleep.process.pid, signal.SIGCONT)
    pair.says(asleep, "lease lost", after=log)
    killed = pair.beside(asleep)
    killed.stop(signal.SIGKILL)
    pair.works(asleep)
    killed.start()
    ((lines, done, lost),) = pair.ask(_LINES_AND_RUNS, action=program.ACTION, job=program.JOB)
    assert lines == done >= 3
    assert lost >= 1


def test_a_rolling_upgrade_loses_and_doubles_nothing(pair: Pair) -> None:
    room = pair.site.room(6, is_present=False)
    serials = [one.serial for one in room.pupils]
    eventually(lambda: len(pair.front.ready) == 2, why="two servers that are ready")
    staff = Browser(pair.front).sign_in(room.username)
    load = Load(pair.front.address, serials, room.code, staff=staff, page=PAGE)
    newer = {**pair.one.environ, program.NEXT_RELEASE: "yes"}
    with load.running():
        load.goes_on()
        assert pair.one.stop(signal.SIGTERM) == 0
        pair.one.environ = newer
        pair.one.start()
        load.goes_on()
        assert b'"database":"newer"' in pair.other.get("/readyz").body  # the older one, which serves on
        eventually(lambda: len(pair.front.ready) == 2, why="the older server beside the newer one")
        pair.other.stop(signal.SIGKILL)
        pair.other.start()  # also where it has to start on what it does not know
        assert "of a newer program" in pair.other.log
        load.goes_on()
        assert pair.other.stop(signal.SIGTERM) == 0
        pair.other.environ = newer
        pair.other.start()
        assert b'"database":"ok"' in pair.other.get("/readyz").body
        load.goes_on()
    assert faults(pair.one.url, load) == []
    assert all("Traceback" not in server.log for server in (pair.one, pair.other))
