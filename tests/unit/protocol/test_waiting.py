"""Polls that the server holds: what is asked, what becomes of it, and that nothing else is late meanwhile."""

import json
import random
import threading
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from agent_protocol.agent import Agent
from agent_protocol.client import Wait
from agent_protocol.errors import Code
from agent_protocol.messages import App
from agent_protocol.simulated import SimulatedDevice, SimulatedFleet, SimulatedTablet
from agent_protocol.states import AgentState
from agent_protocol.store import Memory, MemoryStore
from agent_protocol.timing import DEFAULT_POLL_S, LONGEST_WAIT_S, SHORTEST_WAIT_S, Timing
from agent_protocol.transport import HurriedTransport, Response, UnreachableError
from tests.unit.protocol.holding import Holding
from tests.unit.protocol.served import Served, wait_for
from tests.unit.protocol.small_server import SmallServer
from tests.unit.protocol.test_session import NOW, World


class WaitingWorld(World):
    """A tablet that waits, and a server that holds; time goes by while it does."""

    def start(self) -> None:
        super().start()
        self.session.waits = True
        self.server.holds_s = 60
        self.server.hold_poll = lambda seconds, _etag: self.let_go_by(seconds)

    def let_go_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.server.now += timedelta(seconds=seconds)

    def news_after(self, seconds: float, change: Callable[[], object]) -> None:
        """Have the server hold the next poll for ``seconds``, and then have news."""

        def hold(_longest: int, _etag: str) -> None:
            self.let_go_by(seconds)
            change()

        self.server.hold_poll = hold

    def enrolled(self) -> "WaitingWorld":
        self.session.enrol(self.server, self.now, "GOOD")
        self.step()
        self.wait()
        return self

    def asked(self) -> Wait:
        wait = self.session.waiting(self.now)
        assert wait is not None
        return wait

    def wait(self) -> None:
        """Send the wait that is due, as a driver does."""
        wait = self.asked()
        try:
            response = self.server.send(wait.method, wait.target, wait.headers, None, within_s=wait.within_s)
        except UnreachableError:
            self.session.unanswered(self.now)
        else:
            self.session.answered(self.server, response, self.now)


# -- what is asked ----------------------------------------------------------------------------------------------------


def test_a_poll_asks_to_be_held_and_the_preference_is_not_signed() -> None:
    world = WaitingWorld().enrolled()
    world.step(1)
    wait = world.asked()
    assert (wait.method, wait.target) == ("GET", "/agent/v1/config")
    assert wait.headers["Prefer"] == f"wait={wait.seconds}" == "wait=50"
    assert wait.headers["If-None-Match"] == world.server.etag
    assert "prefer" not in wait.headers["Signature-Input"].lower()
    assert wait.within_s == 53
    world.wait()
    assert world.server.refusals == []


def test_nobody_waits_who_may_not_speak_is_not_taken_in_or_has_nothing_to_ask() -> None:
    world = WaitingWorld()
    assert world.session.waiting(world.now) is None
    world.enrolled()
    assert world.session.waiting(world.now) is None  # the poll is due in a second
    world.session.timing.wait(60, world.now)
    world.session.timing.poll_at = world.now
    assert world.session.waiting(world.now) is None
    plain = World().enrolled()
    plain.now += timedelta(hours=1)
    assert plain.session.waiting(plain.now) is None


def test_a_wait_is_over_before_the_next_switch() -> None:
    world = WaitingWorld()
    world.server.hold({"camera.allowed": False}, (NOW + timedelta(seconds=21), {}))
    world.enrolled()
    world.step(1)
    assert world.asked().seconds == 20
    assert world.asked().within_s == 22
    world.step(18)
    assert world.asked().seconds == 2
    world.step(0.5)
    assert world.session.waiting(world.now) is None
    assert world.session.next_step_at(world.now) == NOW + timedelta(seconds=21)
    world.step(1.5)
    assert world.in_force() == {}
    assert world.server.reports[-1].applied.profile == world.server.schedule[1].profile
    assert world.asked().seconds == 50


def test_a_wait_is_over_when_a_report_is_due_but_reports_leave_room_for_waits() -> None:
    world = WaitingWorld().enrolled()
    world.session.timing.report_in(30, world.now)
    world.step(1)
    assert world.asked().seconds == 29
    world.session.timing.report_in(1, world.now)
    assert world.asked().seconds == SHORTEST_WAIT_S


def test_a_tablet_that_knows_nothing_yet_asks_before_it_reports() -> None:
    world = WaitingWorld()
    world.server.hold({"camera.allowed": False})
    world.enrolled()
    (report,) = world.server.reports
    assert report.applied.profile == world.server.schedule[0].profile
    assert world.now == NOW, "who knows nothing is answered at once"
    assert [request.split(" ")[1].split("/")[3] for request in world.server.requests] == [
        "nonce", "enrolments", "config", "profiles", "reports",
    ]  # fmt: skip


def test_a_restarted_tablet_reports_before_it_waits() -> None:
    world = WaitingWorld().enrolled()
    world.start()
    world.step()
    assert len(world.server.reports) == 2
    assert world.asked().seconds == 50


# -- what becomes of it ------------------------------------------------------------------------------------------------


def test_a_change_while_waiting_is_applied_and_told_at_once_by_the_time_of_the_answer() -> None:
    world = WaitingWorld().enrolled()
    world.step(1)
    world.news_after(7, lambda: world.server.hold({"camera.allowed": False}))
    world.wait()
    assert world.in_force() == {"camera.allowed": False}
    told = world.server.reports[-1]
    assert told.applied.since == told.reported_at == world.now == NOW + timedelta(seconds=8)
    assert world.session.next_step_at(world.now) == world.now + timedelta(seconds=1)


def test_nothing_new_ends_in_a_new_wait_a_second_later() -> None:
    world = WaitingWorld().enrolled()
    for _ in range(3):
        world.step(1)
        world.wait()
    assert world.server.waits[1:] == [50, 50, 50]
    assert len(world.server.reports) == 1
    assert world.session.next_step_at(world.now) == world.now + timedelta(seconds=1)


def test_the_clock_goes_by_the_answer_and_not_by_the_asking() -> None:
    world = WaitingWorld().enrolled()
    world.step(1)

    def dated(_method: str, path: str) -> Response | None:
        if not path.endswith("/config"):
            return None
        world.let_go_by(40)
        said = format_datetime(world.server.now, usegmt=True)
        return Response(304, {"date": said, "cache-control": "max-age=1"}, b"")

    world.server.answer = dated
    world.wait()
    assert world.session.memory.clock_offset_s == 0
    world.now += timedelta(minutes=4)
    world.step(1)
    world.wait()
    assert world.session.memory.clock_offset_s == -240


def test_a_lesson_that_comes_while_waiting_and_has_begun_is_in_force_at_once() -> None:
    world = WaitingWorld().enrolled()
    world.step(1)
    end = NOW + timedelta(seconds=30)
    world.news_after(
        20, lambda: world.server.hold({}, (NOW + timedelta(seconds=20), {"sound.locked": True}), (end, {}))
    )
    world.wait()
    assert world.in_force() == {"sound.locked": True}
    world.step(1)
    assert world.asked().seconds == 8


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_switch_that_a_long_wait_ran_over_is_made_when_it_ends_and_is_told(is_answered: bool) -> None:
    world = WaitingWorld()
    end = NOW + timedelta(seconds=30)
    world.server.hold({"camera.allowed": False}, (end, {}))
    world.enrolled()
    world.step(1)
    world.server.hold_poll = lambda _seconds, _etag: world.let_go_by(31)
    world.server.lose_answers = 0 if is_answered else 1
    world.wait()
    assert world.in_force() == {}
    if not is_answered:
        world.step(20)
    assert world.server.reports[-1].applied.profile == world.server.schedule[1].profile


def test_a_wrong_clock_is_corrected_and_asked_with_once_more() -> None:
    world = WaitingWorld().enrolled()
    world.now += timedelta(hours=2)
    world.server.hold({"camera.allowed": False})
    world.step(1)
    world.wait()
    assert world.in_force() == {"camera.allowed": False}
    assert world.session.memory.clock_offset_s == pytest.approx(-7200, abs=1)


def test_a_busy_server_is_left_alone_after_a_wait_as_well() -> None:
    world = WaitingWorld().enrolled()
    world.step(1)
    busy = world.server.problem(Code.BUSY)
    world.server.answer = lambda _method, _path: Response(503, {"retry-after": "40"}, busy.body)
    world.wait()
    assert 40 <= (world.session.next_step_at(world.now) - world.now).total_seconds() <= 60
    world.step(39)
    assert world.session.waiting(world.now) is None


def test_a_refused_key_is_noted_after_a_wait_as_well() -> None:
    world = WaitingWorld().enrolled()
    world.step(1)
    world.server.answer = lambda _method, _path: world.server.problem(Code.REVOKED)
    world.wait()
    assert world.session.memory.state is AgentState.REFUSED
    world.step(60)
    assert world.session.waiting(world.now) is None


def test_a_configuration_that_is_refused_is_not_asked_for_each_second() -> None:
    world = WaitingWorld().enrolled()
    world.step(1)
    world.server.hold({"camera.allowed": False})
    world.server.changes = {"device_id": "another"}
    world.wait()
    assert world.server.reports[-1].flags == ["config-foreign"]
    world.wait()  # as the answer to the report said that there is another one
    assert world.session.next_step_at(world.now) == world.now + timedelta(seconds=DEFAULT_POLL_S)


def test_a_network_that_cuts_waits_is_met_with_shorter_ones() -> None:
    world = WaitingWorld().enrolled()
    cut_after = 30
    cut = 0
    for _ in range(60):
        now = world.now
        world.step(max(0.0, (world.session.next_step_at(now) - now).total_seconds()))
        if (wait := world.session.waiting(world.now)) is not None:
            world.server.lose_answers = int(wait.seconds > cut_after)
            cut += world.server.lose_answers
            world.wait()
            assert (world.session.next_step_at(world.now) - world.now).total_seconds() <= 15
    assert 2 <= cut <= 5
    assert max(world.server.waits[-10:]) > SHORTEST_WAIT_S


def test_patience_with_waits_has_bounds() -> None:
    timing = Timing(random.Random(1))  # noqa: S311 (repeatable)
    for _ in range(10):
        timing.waited(is_answered=False)
    assert timing.patience_s == SHORTEST_WAIT_S
    for _ in range(100):
        timing.waited(is_answered=True)
    assert timing.patience_s == LONGEST_WAIT_S


def test_steps_that_send_nothing_are_no_sign_of_the_server() -> None:
    world = WaitingWorld().enrolled()
    world.server.away = True
    pauses = []
    for _ in range(8):
        world.step(max(1.0, (world.session.next_step_at(world.now) - world.now).total_seconds()))
        if world.session.waiting(world.now) is not None:
            world.wait()
        pauses.append((world.session.next_step_at(world.now) - world.now).total_seconds())
        world.step(0.01)  # an agent looks up now and then
    assert max(pauses) >= 600


# -- bodies that come along ---------------------------------------------------------------------------------------------


def test_a_body_that_comes_along_is_not_fetched_and_not_stored_with_the_configuration() -> None:
    world = WaitingWorld().enrolled()
    world.step(1)
    world.server.hold({"camera.allowed": False})
    digest = world.server.schedule[0].profile
    world.server.beside = {digest: world.server.bodies[digest].decode()}
    world.server.requests.clear()
    world.wait()
    assert world.in_force() == {"camera.allowed": False}
    assert world.server.requests == ["GET /agent/v1/config", "POST /agent/v1/reports"]
    assert "profiles" not in json.loads(world.store.export()["memory"])["config"]


@pytest.mark.parametrize("told", ['{"camera.allowed":true }', "", "x" * 24, '{"camera.allowed":false} '])
def test_a_body_that_came_along_wrong_is_fetched(told: str) -> None:
    world = WaitingWorld().enrolled()
    world.step(1)
    world.server.hold({"camera.allowed": False})
    digest = world.server.schedule[0].profile
    world.server.beside = {digest: told, "0" * 64: "{}"}
    world.wait()
    assert world.in_force() == {"camera.allowed": False}
    assert f"GET /agent/v1/profiles/{digest}" in world.server.requests
    assert world.server.reports[-1].flags == []
    assert world.store.body("0" * 64) is None


# -- time for requests ---------------------------------------------------------------------------------------------------


def test_requests_have_what_is_left_until_shortly_after_the_next_switch() -> None:
    world = World()
    world.server.hold({"camera.allowed": False}, (NOW + timedelta(seconds=70), {}), (NOW + timedelta(seconds=300), {}))
    world.enrolled()
    for seconds, most in ((0, 20), (60, 12), (9.5, 2.5)):
        world.server.within.clear()
        world.session.timing.poll_at = world.now + timedelta(seconds=seconds)
        world.step(seconds)
        assert world.server.within == [pytest.approx(most, abs=0.3)]


class Slow:
    """A transport whose requests take long, by the clock that is given."""

    def __init__(self, server: SmallServer, monkeypatch: pytest.MonkeyPatch, *, takes_s: float) -> None:
        self.server, self.takes_s, self.uptime = server, takes_s, 0.0
        monkeypatch.setattr("agent_protocol.clock.uptime_s", lambda: self.uptime)

    def send(self, *given: Any, within_s: float | None = None) -> Response:
        assert within_s is not None
        self.uptime += min(self.takes_s, within_s)
        if within_s < self.takes_s:
            raise UnreachableError("no answer in time")
        return self.server.send(*given, within_s=within_s)


def test_many_slow_requests_together_make_no_switch_late_and_are_no_fault_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.server.hold({"camera.allowed": False}, (NOW + timedelta(seconds=70), {}))
    world.enrolled()
    world.session.memory.unsent_results |= {f"o{number}": {"state": "done", "detail": ""} for number in range(9)}
    world.now += timedelta(seconds=60)
    world.server.now = world.now
    slow = Slow(world.server, monkeypatch, takes_s=2)
    world.session.step(slow, world.now)
    assert slow.uptime == 12
    assert len(world.server.results) == 5
    assert world.session.timing.may_speak(world.now)
    world.now += timedelta(seconds=slow.uptime)
    world.session.step(world.server, world.now)
    assert world.in_force() == {}
    assert len(world.server.results) == 9


def test_a_hurried_transport_gives_each_request_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(SmallServer(NOW), monkeypatch, takes_s=2)
    hurried = HurriedTransport(slow)
    hurried.within_s = 5
    for _ in range(2):
        assert hurried.send("GET", "/agent/v1/nonce", {}, None).status == 200
    with pytest.raises(UnreachableError, match="in time"):
        hurried.send("GET", "/agent/v1/nonce", {}, None)
    with pytest.raises(UnreachableError, match="something else"):
        hurried.send("GET", "/agent/v1/nonce", {}, None)
    assert slow.uptime == 5


# -- drivers -------------------------------------------------------------------------------------------------------------


def agent_of(world: World, *, waits: bool) -> Agent:
    def uptime_s() -> float:
        return (world.now - NOW).total_seconds()

    return Agent(world.session, world.server, "S1", waits=waits, now=lambda: world.now, uptime_s=uptime_s)


def test_an_agent_that_shall_not_wait_polls() -> None:
    for waits in (True, False):
        world = World().enrolled()
        world.tablet.apps = [App("no.app")]
        agent = agent_of(world, waits=waits)
        world.now += timedelta(seconds=60)
        world.server.now = world.now
        world.server.hold({"camera.allowed": False})
        agent.step()
        assert world.in_force() == {"camera.allowed": False}
        assert len(world.server.waits) == waits


@pytest.mark.serves
def test_simulated_tablets_wait_at_a_real_server_and_have_news_at_once(served: Served) -> None:
    served.small.holds_s = 60
    device = SimulatedDevice("S1")
    fleet = SimulatedFleet(served.address, [SimulatedTablet(served.address, device, code="GOOD")], first_within_s=0)
    thread = threading.Thread(target=fleet.run)
    thread.start()
    try:
        wait_for(lambda: served.small.reports)
        wait_for(lambda: fleet.waiting == 1)
        served.small.hold({"camera.allowed": False})
        wait_for(lambda: device.applied is not None and device.applied[1] == {"camera.allowed": False}, 5)
        wait_for(lambda: served.small.reports[-1].applied.profile == served.small.schedule[0].profile, 5)
    finally:
        fleet.stop()
        thread.join()
    assert Code.REPLAY not in served.small.refusals


@pytest.mark.serves
def test_hundreds_wait_without_a_thread_each() -> None:
    count = 300
    server = Holding()
    tablets = []
    for number in range(count):
        store = MemoryStore()
        store.save(Memory(state=AgentState.ENROLLED, device_id=str(number)))
        tablets.append(SimulatedTablet(server.address, SimulatedDevice(f"S{number}"), store=store))
    fleet = SimulatedFleet(server.address, tablets, threads=4, first_within_s=0)
    before = threading.active_count()
    thread = threading.Thread(target=fleet.run)
    thread.start()
    try:
        wait_for(lambda: fleet.waiting == server.held == count)
        assert threading.active_count() - before <= 1 + 4 + 1
        server.release()
        wait_for(lambda: server.reports == count)
        wait_for(lambda: fleet.waiting == server.held == count)
    finally:
        fleet.stop()
        thread.join()
        server.stop()


@pytest.mark.serves
def test_simulated_tablets_whose_server_goes_away_while_they_wait_come_back() -> None:
    server = Holding()
    store = MemoryStore()
    store.save(Memory(state=AgentState.ENROLLED, device_id="1"))
    tablet = SimulatedTablet(server.address, SimulatedDevice("S1"), store=store)
    fleet = SimulatedFleet(server.address, [tablet], threads=1, first_within_s=0)
    thread = threading.Thread(target=fleet.run)
    thread.start()
    try:
        wait_for(lambda: server.held == 1)
        server.stop()
        wait_for(lambda: fleet.waiting == 0)
        wait_for(lambda: tablet.session.timing.patience_s < LONGEST_WAIT_S)
    finally:
        fleet.stop()
        thread.join()
