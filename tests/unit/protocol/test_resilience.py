"""What a tablet meets in a school: clocks that jump, pages of somebody else, full disks, servers that are not honest."""

import errno
import hashlib
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from agent_protocol.agent import Agent
from agent_protocol.client import BusyError, max_age, version_of
from agent_protocol.errors import Code
from agent_protocol.messages import App, Order
from agent_protocol.states import AgentState
from agent_protocol.store import Memory, MemoryStore
from agent_protocol.timing import LONGEST_S, RARELY_S, seconds_in
from agent_protocol.transport import Response, UnreachableError
from tests.unit.protocol.small_server import SmallServer
from tests.unit.protocol.test_session import NOW, World

CAPTIVE = Response(
    200, {"cache-control": "max-age=31536000", "date": "Wed, 14 Sep 2022 08:15:00 GMT"}, b"<html>Logg inn</html>"
)


# -- waits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("7", 7), (" 7 ", 7), ("0", 1), ("999999", LONGEST_S), ("9" * 5000, 5), ("٣", 5), ("-1", 5), ("", 5), ("1.5", 5)],
)
def test_a_wait_is_taken_within_bounds(told: str, seconds: int) -> None:
    assert seconds_in(told, 5) == seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("private, max-age=90", 90), ("max-age=x", 60), ("no-store", 60), ("max-age=31536000", LONGEST_S)],
)
def test_the_next_poll_is_within_bounds(header: str, seconds: int) -> None:
    assert max_age(Response(200, {"cache-control": header}, b""), 60) == seconds


def test_who_is_asked_to_wait_says_nothing_before_that() -> None:
    world = World().enrolled()
    world.tablet.apps = [App("no.app")]
    world.server.answer = lambda _method, path: (
        Response(503, {"retry-after": "600"}, world.server.problem(Code.BUSY).body)
        if path.endswith("/reports")
        else None
    )
    world.step(60)
    world.server.requests.clear()
    for _ in range(19):
        world.step(30)
    assert world.server.requests == []
    world.server.answer = lambda _method, _path: None
    world.step(400)
    assert [app.id for app in world.server.reports[-1].apps] == ["no.app"]


def test_a_refused_tablet_says_nothing_for_hours_even_with_news() -> None:
    world = World().enrolled()
    world.tablet.apps = [App("no.app")]
    world.server.answer = lambda _method, _path: world.server.problem(Code.REVOKED)
    world.step(60)
    assert world.session.memory.state is AgentState.REFUSED
    world.server.requests.clear()
    for _ in range(20):
        world.step(RARELY_S / 21)
    assert world.server.requests == []


def test_a_busy_server_is_left_alone_at_enrolment_for_as_long_as_it_asks() -> None:
    world = World()
    busy = Response(503, {"retry-after": "33"}, world.server.problem(Code.BUSY).body)
    for path in ("/nonce", "/enrolments"):
        world.server.answer = lambda _method, target, path=path: busy if target.endswith(path) else None  # type: ignore[misc]
        with pytest.raises(BusyError) as refusal:
            world.session.enrol(world.server, world.now, "GOOD")
        assert refusal.value.seconds == 33


def test_a_result_that_is_refused_as_a_replay_is_told_later() -> None:
    world = World().enrolled()
    world.server.orders = [Order("o1", "ring", {}, NOW + timedelta(hours=1))]
    world.server.version += 1
    world.server.sequence = 4_000
    world.step(60)
    world.step(60)
    assert world.server.results["o1"].state == "done"
    assert world.tablet.obeyed == ["o1"]


def test_a_tablet_without_a_configuration_still_reports() -> None:
    world = World()
    world.server.answer = lambda _method, path: world.server.problem(Code.NOT_FOUND) if "config" in path else None
    world.enrolled()
    assert world.server.reports[-1].config_version is None
    assert world.server.reports[-1].applied.profile is None


# -- clocks -----------------------------------------------------------------------------------------------------------


def test_a_clock_set_back_by_a_year_does_not_silence_the_tablet() -> None:
    world = World().enrolled()
    world.server.hold({"camera.allowed": False})
    world.now -= timedelta(days=365)
    world.session.step(world.server, world.now)
    assert world.in_force() == {"camera.allowed": False}


def test_a_clock_that_somebody_sets_changes_neither_schedule_nor_rhythm() -> None:
    world = World()
    end = NOW + timedelta(minutes=10)
    world.server.hold({"camera.allowed": False}, (end, {}))
    world.enrolled()
    world.server.away = True
    uptime = 0.0
    agent = Agent(world.session, world.server, "S1", now=lambda: world.now, uptime_s=lambda: uptime)
    world.now += timedelta(hours=1)  # a pupil sets the clock ahead, so that the lesson may end
    agent.step()
    assert world.in_force() == {"camera.allowed": False}
    assert world.session.memory.clock_offset_s == -3600
    world.now += timedelta(minutes=10)
    uptime += 600
    agent.step()
    assert world.in_force() == {}


def test_the_date_of_an_answer_corrects_the_clock() -> None:
    world = World().enrolled()
    world.now += timedelta(minutes=4)

    def dated(method: str, path: str) -> Response | None:
        said = format_datetime(world.server.now, usegmt=True)
        return Response(304, {"date": said}, b"") if path.endswith("/config") else None

    world.server.answer = dated
    world.step(60)
    assert world.session.memory.clock_offset_s == pytest.approx(-240, abs=1)
    world.server.answer = lambda _method, path: Response(304, {"date": "?"}, b"") if path.endswith("/config") else None
    world.step(60)
    assert world.session.memory.clock_offset_s == pytest.approx(-240, abs=1)


@pytest.mark.parametrize("said", ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_time_that_cannot_be_is_not_believed(said: str) -> None:
    world = World().enrolled()
    world.server.answer = lambda _method, path: Response(304, {"date": said}, b"") if path.endswith("/config") else None
    world.step(60)
    skew = b'{"type":"urn:fleet:problem:clock-skew","status":401,"server_time":"9999-12-31T23:59:59Z"}'
    world.server.answer = lambda _method, _path: Response(401, {}, skew)
    world.step(60)
    assert world.session.memory.clock_offset_s == 0
    world.server.answer = lambda _method, _path: None
    world.server.hold({"camera.allowed": False})
    world.step(60)
    assert world.in_force() == {"camera.allowed": False}


def test_a_clock_that_stays_wrong_is_told_once_more_and_no_oftener() -> None:
    world = World().enrolled()
    world.server.answer = lambda _method, _path: world.server.problem(Code.CLOCK_SKEW)
    world.server.requests.clear()
    world.step(60)
    assert world.server.requests.count("GET /agent/v1/config") == 2


# -- other people's pages ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [CAPTIVE, Response(403, CAPTIVE.headers, CAPTIVE.body)])
def test_a_captive_portal_changes_nothing_and_its_caching_rules_mean_nothing(answer: Response) -> None:
    world = World().enrolled()
    before = list(world.tablet.applied)
    world.server.answer = lambda _method, _path: answer
    world.step(60)
    assert world.tablet.applied == before
    assert world.session.memory.clock_offset_s == 0
    wait = (world.session.next_step_at(world.now) - world.now).total_seconds()
    assert wait <= 15
    world.server.answer = lambda _method, _path: None
    for _ in range(3):
        world.step(60)
    assert world.server.reports[-1].flags == []


def test_a_proxys_own_error_page_is_no_refusal() -> None:
    world = World().enrolled()
    for answer in (Response(403, {}, b"<html>"), Response(503, {"retry-after": "20"}, b"<html>")):
        world.server.answer = lambda _method, _path, answer=answer: answer  # type: ignore[misc]
        world.step(900)
        assert world.session.memory.state is AgentState.ENROLLED
        assert world.session.next_step_at(world.now) <= world.now + timedelta(seconds=60)


# -- documents --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["wipe", "new-root", "agent-update", "something-new"])
def test_who_owns_the_server_cannot_order_what_cannot_be_undone(kind: str) -> None:
    world = World().enrolled()
    world.server.orders = [Order("o1", kind, {}, NOW + timedelta(hours=1), privileged=False)]
    world.server.version += 1
    world.step(60)
    assert world.tablet.obeyed == []
    assert world.server.results["o1"].state == "refused"


@pytest.mark.parametrize("kind", ["open-url", "open-app"])
def test_what_a_tablet_shall_open_is_as_gentle_as_a_message(kind: str) -> None:
    world = World().enrolled()
    world.server.orders = [Order("o1", kind, {}, NOW + timedelta(hours=1))]
    world.server.version += 1
    world.step(60)
    assert world.tablet.obeyed == ["o1"]
    assert world.server.results["o1"].state == "done"


def test_a_server_that_asks_for_a_newer_agent_is_followed_and_told() -> None:
    world = World().enrolled()
    world.server.hold({"camera.allowed": False})
    world.server.changes = {"min_agent": "1.10"}
    world.step(60)
    assert world.in_force() == {"camera.allowed": False}
    assert world.server.reports[-1].flags == ["agent-too-old"]
    assert version_of("1.10") > version_of("1.9") > version_of("x")


@pytest.mark.parametrize("body", [b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_a_profile_that_is_no_object_is_refused_though_it_was_named(body: bytes) -> None:
    world = World().enrolled()
    before = list(world.tablet.applied)
    entry = world.server.body({})
    digest = hashlib.sha256(body).hexdigest()
    world.server.bodies[digest] = body
    world.server.schedule = [type(entry)(None, None, digest, len(body))]
    world.server.version += 1
    world.step(60)
    assert world.tablet.applied == before
    assert world.server.reports[-1].flags == ["config-malformed"]


def test_a_busy_server_in_the_middle_of_fetching_is_waited_for() -> None:
    world = World().enrolled()
    world.server.hold({"camera.allowed": False})
    world.server.answer = lambda _method, path: (
        Response(503, {"retry-after": "30"}, world.server.problem(Code.BUSY).body) if "/profiles/" in path else None
    )
    world.step(60)
    world.server.answer = lambda _method, _path: None
    world.step(60)
    assert world.in_force() == {"camera.allowed": False}
    assert world.server.reports[-1].flags == []


def test_a_profile_that_the_disk_lost_is_fetched_again() -> None:
    world = World()
    end = NOW + timedelta(minutes=5)
    world.server.hold({"camera.allowed": False}, (end, {"sound.locked": True}))
    world.enrolled()
    digest = world.server.schedule[1].profile
    world.store.put_body(digest, b"{}")  # and this is not what it was
    world.step(300)
    world.step(60)
    assert world.in_force() == {"sound.locked": True}
    assert digest in {entry.profile for entry in world.server.schedule}


# -- disks ------------------------------------------------------------------------------------------------------------


class FullStore(MemoryStore):
    """A store on a disk that is full for a while."""

    full = False

    def save(self, memory: Memory) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "disk full")
        super().save(memory)


def test_a_full_disk_is_waited_out(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("agent_protocol.agent._DISK_RETRY_S", 0)
    monkeypatch.setattr("agent_protocol.agent._JUMP_S", 1_000)
    store = FullStore()
    world = World(store).enrolled()
    agent = Agent(world.session, world.server, "S1", now=lambda: world.now, uptime_s=lambda: 0.0)
    world.server.hold({"camera.allowed": False})
    store.full = True
    world.now += timedelta(seconds=60)
    agent.step()
    assert "cannot keep" in caplog.text
    store.full = False
    world.now += timedelta(seconds=60)
    world.server.now = world.now
    agent.step()
    assert world.in_force() == {"camera.allowed": False}
    assert Code.REPLAY not in world.server.refusals


def test_no_number_is_used_that_could_not_be_reserved() -> None:
    store = FullStore()
    world = World(store).enrolled()
    world.session.memory.sequence_limit = world.session._client._sequence
    world.tablet.apps = [App("no.app")]
    store.full = True
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            world.step(60)
    assert "no.app" not in {app.id for report in world.server.reports for app in report.apps}


# -- seventy days -----------------------------------------------------------------------------------------------------


def test_after_a_summer_without_a_server_the_tablet_works_and_recovers_at_the_first_poll() -> None:
    world = World()
    world.server.hold({"camera.allowed": False}, (NOW + timedelta(days=30), {"sound.locked": True}))
    world.enrolled()
    world.server.away = True
    for _ in range(70):
        world.step(86_400)
    world.start()  # and the battery was empty meanwhile
    world.step(0)
    assert world.in_force() == {"sound.locked": True}
    world.server.away = False
    world.server.hold({"wallpaper.image": "host"})
    world.step(900 * 2)
    assert world.in_force() == {"wallpaper.image": "host"}
    assert world.server.reports[-1].flags == []
    assert len(world.server.enrolments) == 1


def test_something_that_is_no_answer_at_all_is_met_with_patience() -> None:
    world = World()
    small: SmallServer = world.server

    def cut(*_given: Any, **_named: Any) -> Response:
        raise UnreachableError("cut")

    small.send = cut  # type: ignore[method-assign]
    with pytest.raises(UnreachableError):
        world.session.enrol(small, world.now, "GOOD")
    assert isinstance(world.session.next_step_at(world.now), datetime)
