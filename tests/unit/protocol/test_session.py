"""The agent's side: enrolment, profiles, switching offline, refusals, crashes."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from agent_protocol.client import Client
from agent_protocol.device import Identity, Inventory
from agent_protocol.errors import Code
from agent_protocol.messages import App, Failure, Order, OrderState
from agent_protocol.session import RefusedError, Session
from agent_protocol.signing import AGAIN_S
from agent_protocol.states import AgentState
from agent_protocol.store import Memory, MemoryStore
from agent_protocol.timing import RARELY_S
from agent_protocol.transport import Response, UnreachableError
from tests.unit.protocol.small_server import AUTHORITY, SmallServer

NOW = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)


class Tablet:
    """A tablet that remembers what was done to it."""

    def __init__(self) -> None:
        self.applied: list[dict[str, Any]] = []
        self.apps: list[App] = []
        self.obeyed: list[str] = []
        self.failing: list[Failure] = []

    def identity(self) -> Identity:
        return Identity("SERIAL1", "linux", "Test")

    def inventory(self) -> Inventory:
        return Inventory("12", "Test", apps=self.apps)

    def apply(self, digest: str, settings: Mapping[str, Any]) -> Sequence[Failure]:  # noqa: ARG002 (the protocol of devices)
        self.applied.append(dict(settings))
        return self.failing

    def obey(self, order: Order) -> tuple[OrderState, str]:
        self.obeyed.append(order.id)
        return OrderState.DONE, ""


class World:
    """A tablet, its store and its server, and the time."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.now = NOW
        self.server = SmallServer(NOW)
        self.store = store or MemoryStore()
        self.tablet = Tablet()
        self.start()

    def start(self) -> None:
        self.session = Session(AUTHORITY, self.store, self.tablet, dice=random.Random(1))  # noqa: S311 (repeatable)

    def enrolled(self) -> "World":
        self.session.enrol(self.server, self.now, "GOOD")
        self.step()
        return self

    def step(self, seconds: float = 0) -> None:
        self.now += timedelta(seconds=seconds)
        self.server.now += timedelta(seconds=seconds)
        self.session.step(self.server, self.now)

    def in_force(self) -> dict[str, Any]:
        return self.tablet.applied[-1]


def test_a_tablet_enrols_applies_and_reports() -> None:
    world = World()
    assert world.session.memory.state is AgentState.NEW
    world.server.hold({"camera.allowed": False})
    world.enrolled()
    assert world.in_force() == {"camera.allowed": False}
    (report,) = world.server.reports
    assert report.applied.profile == world.server.schedule[0].profile
    assert report.applied.since == NOW
    assert world.session.next_step_at(world.now) == NOW + timedelta(seconds=60)


def test_an_unchanged_tablet_polls_and_stays_quiet_until_the_next_report() -> None:
    world = World().enrolled()
    world.server.requests.clear()
    for _ in range(5):
        world.step(60)
    assert world.server.requests == ["GET /agent/v1/config"] * 5
    world.step(600)
    assert len(world.server.reports) == 2


def test_a_change_is_applied_at_the_next_poll_and_told_at_once() -> None:
    world = World().enrolled()
    world.server.hold({"camera.allowed": False})
    world.step(60)
    assert world.in_force() == {"camera.allowed": False}
    assert world.server.reports[-1].applied.profile == world.server.schedule[0].profile
    assert world.session.config is not None
    assert world.session.config.version == world.server.version


def test_an_assignment_ends_on_the_tablet_with_the_server_away() -> None:
    world = World()
    end = NOW + timedelta(minutes=10)
    world.server.hold({"camera.allowed": False}, (end, {}))
    world.enrolled()
    world.server.away = True
    world.step(599)
    assert world.in_force() == {"camera.allowed": False}
    assert world.session.next_step_at(world.now) <= end
    world.step(1)
    assert world.in_force() == {}
    world.server.away = False
    world.step(1000)
    assert world.server.reports[-1].applied.profile == world.server.schedule[1].profile


def test_the_tablet_switches_by_the_servers_clock_not_its_own() -> None:
    world = World()
    world.now += timedelta(minutes=4)  # four minutes fast, within the window
    world.server.hold({"camera.allowed": False}, (NOW + timedelta(minutes=10), {}))
    world.enrolled()
    world.step(599)
    assert world.in_force() == {"camera.allowed": False}
    assert world.session.next_step_at(world.now) == world.now + timedelta(seconds=1)
    world.step(1)
    assert world.in_force() == {}


def test_a_clock_that_is_fast_hides_nothing_that_is_soon_over() -> None:
    world = World().enrolled()
    world.now += timedelta(minutes=4)  # set by somebody while the tablet was off
    world.start()
    world.server.hold({"camera.allowed": False}, (NOW + timedelta(minutes=3), {}))
    send = world.server.send

    def dated(*given: Any, **named: Any) -> Response:
        response = send(*given, **named)
        told = {"date": format_datetime(world.server.now, usegmt=True)}
        return Response(response.status, {**response.headers, **told}, response.body)

    world.server.send = dated  # type: ignore[method-assign]
    world.step(60)
    assert world.in_force() == {"camera.allowed": False}
    world.step(120)
    assert world.in_force() == {}


@pytest.mark.parametrize("wrong", [timedelta(hours=1), timedelta(days=-400)])
def test_a_clock_that_is_far_off_is_corrected_and_the_request_sent_again(wrong: timedelta) -> None:
    world = World().enrolled()
    world.now += wrong
    world.session.timing.poll_at = world.now
    world.server.hold({"camera.allowed": False})
    world.step(60)
    assert world.in_force() == {"camera.allowed": False}
    assert world.session.memory.clock_offset_s == pytest.approx(-wrong.total_seconds(), abs=1)


def test_a_poll_is_sent_under_the_same_signature_for_some_minutes_and_not_longer() -> None:
    memory = Memory()
    client = Client(AUTHORITY, MemoryStore(), memory)

    def signature(seconds: float, path: str = "/config", body: bytes | None = None) -> str:
        method = "GET" if body is None else "POST"
        return client.signed(NOW + timedelta(seconds=seconds), method, path, body)[1]["Signature"]

    first = signature(0)
    assert {signature(age) for age in (0.4, 60, AGAIN_S - 1)} == {first}
    later = signature(AGAIN_S)
    assert later != first
    assert signature(AGAIN_S - 1) != later  # the clock went back
    assert signature(AGAIN_S, "/profiles/0") != signature(AGAIN_S)
    before = signature(AGAIN_S)
    memory.clock_offset_s = 3_600.0
    assert signature(AGAIN_S) != before
    assert len({signature(0, "/reports", b"{}") for _ in range(3)}) == 3


def test_enrolling_again_after_a_lost_answer_takes_the_tablet_in_once() -> None:
    world = World()
    world.server.lose_answers = 0
    answers = iter([False, True])  # the nonce arrives, the enrolment's answer does not
    send = world.server.send

    def losing(*given: Any, **named: Any) -> Response:
        response = send(*given, **named)
        if next(answers, False):
            raise UnreachableError("cut")
        return response

    world.server.send = losing  # type: ignore[method-assign]
    with pytest.raises(UnreachableError):
        world.session.enrol(world.server, world.now, "GOOD")
    world.start()  # and the agent was killed meanwhile
    assert world.session.memory.ticket == "GOOD"
    world.session.enrol(world.server, world.now, "GOOD")
    assert len(world.server.enrolments) == 1
    assert world.session.memory.state is AgentState.ENROLLED


def test_a_refused_ticket_is_told_with_its_code() -> None:
    world = World()
    with pytest.raises(RefusedError) as refusal:
        world.session.enrol(world.server, world.now, "BAD")
    assert refusal.value.code == "ticket-unknown"
    assert world.session.memory.state is AgentState.NEW
    world.step()
    assert world.server.reports == []


@pytest.mark.parametrize(
    "answer",
    [
        Response(502, {}, b"<html>"),
        Response(200, {}, b"<html>"),
        Response(503, {}, SmallServer(NOW).problem(Code.BUSY).body),
    ],
)
def test_something_else_answering_is_no_refusal(answer: Response) -> None:
    world = World()
    world.server.answer = lambda _method, _path: answer
    with pytest.raises(UnreachableError):
        world.session.enrol(world.server, world.now, "GOOD")


def test_a_root_that_is_not_sound_ends_the_enrolment() -> None:
    world = World()
    world.server.now += timedelta(days=500)
    world.now = world.server.now
    with pytest.raises(RefusedError, match="expired"):
        world.session.enrol(world.server, world.now, "GOOD")


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"device_id": "another"}, "config-foreign"),
        ({"version": 1}, "config-rolled-back"),
        ({"role": "catalogue"}, "config-forged"),
        ({"schedule": []}, "config-malformed"),
    ],
)
def test_a_configuration_that_is_not_sound_changes_nothing_and_is_told(changes: dict[str, Any], flag: str) -> None:
    world = World().enrolled()
    before = list(world.tablet.applied)
    world.server.hold({"camera.allowed": False})
    world.server.changes = changes
    world.step(60)
    assert world.tablet.applied == before
    assert world.server.reports[-1].flags == [flag]
    world.server.changes = {}
    world.step(60)
    assert world.in_force() == {"camera.allowed": False}
    assert world.server.reports[-1].flags == []


def test_a_forged_signature_or_an_envelope_that_is_none_changes_nothing() -> None:
    world = World().enrolled()
    before = list(world.tablet.applied)
    world.server.hold({"camera.allowed": False})
    world.server.signer = 9
    world.step(60)
    assert world.server.reports[-1].flags == ["config-forged"]
    told = len(world.server.reports)
    world.server.answer = lambda _method, path: Response(200, {}, b"{}") if path.endswith("/config") else None
    world.step(60)
    assert len(world.server.reports) == told, "no answer of this protocol is waited out like no answer at all"
    assert world.tablet.applied == before


@pytest.mark.parametrize("body", [b'{"camera.allowed":true}', b"{}", b""])
def test_a_profile_body_that_is_not_the_one_named_is_refused(body: bytes) -> None:
    world = World().enrolled()
    before = list(world.tablet.applied)
    world.server.hold({"camera.allowed": False})
    digest = world.server.schedule[0].profile
    honest = world.server.bodies[digest]
    world.server.bodies[digest] = body
    world.step(60)
    assert world.tablet.applied == before
    assert world.server.reports[-1].flags == ["config-forged"]
    del world.server.bodies[digest]
    world.step(60)
    assert "config-profile-missing" in world.server.reports[-1].flags
    world.server.bodies[digest] = honest
    world.step(60)
    assert world.in_force() == {"camera.allowed": False}


def test_an_expired_configuration_stays_in_force_and_is_told() -> None:
    world = World()
    world.server.hold({"camera.allowed": False})
    world.enrolled()
    world.server.away = True
    world.step(70 * 86_400)
    assert world.in_force() == {"camera.allowed": False}
    world.server.away = False
    world.server.answer = lambda _method, path: Response(304, {}, b"") if path.endswith("/config") else None
    world.step(86_400)
    assert world.server.reports[-1].flags == ["expired"]
    world.server.answer = lambda _method, _path: None
    world.server.version += 1
    world.step(86_400)
    world.step(86_400)
    assert world.server.reports[-1].flags == []


def test_orders_are_obeyed_once_and_told() -> None:
    world = World().enrolled()
    soon = NOW + timedelta(hours=1)
    world.server.orders = [
        Order("o1", "message", {"text": "Hei"}, soon),
        Order("o2", "message", {}, NOW - timedelta(1)),
        Order("o3", "wipe", {}, soon, privileged=True),
    ]
    world.server.version += 1
    world.step(60)
    assert world.tablet.obeyed == ["o1"]
    assert {name: result.state for name, result in world.server.results.items()} == {
        "o1": "done",
        "o2": "refused",
        "o3": "refused",
    }
    world.server.version += 1
    world.step(60)
    assert world.tablet.obeyed == ["o1"]


def test_an_orders_result_is_told_after_an_outage_and_a_closed_order_is_let_go() -> None:
    world = World().enrolled()
    world.server.orders = [Order("o1", "message", {}, NOW + timedelta(hours=1))]
    world.server.version += 1
    world.server.answer = lambda _method, path: (
        world.server.problem(Code.BUSY, **{"retry-after": "7"}) if "orders" in path else None
    )
    world.step(60)
    assert world.session.memory.unsent_results.keys() == {"o1"}
    world.start()
    world.server.answer = lambda _method, _path: None
    world.step(60)
    assert world.server.results.keys() == {"o1"}
    world.session.memory.finished_orders.clear()
    world.session.memory.unsent_results["o1"] = {"state": "done", "detail": ""}
    world.step(60)
    assert world.session.memory.unsent_results == {}
    assert world.tablet.obeyed == ["o1"]


def test_a_lost_answer_sends_the_same_report_again_and_it_is_stored_once() -> None:
    world = World().enrolled()
    world.tablet.apps = [App("no.app")]
    send = world.server.send
    lost: list[str] = []

    def losing(method: str, target: str, *given: Any, **named: Any) -> Response:
        response = send(method, target, *given, **named)
        if target.endswith("/reports") and len(lost) < 2:
            lost.append(target)
            raise UnreachableError("cut")
        return response

    world.server.send = losing  # type: ignore[method-assign]
    for _ in range(6):
        world.step(300)
    assert len(lost) == 2
    assert len(world.server.reports) == len({report.report_id for report in world.server.reports})
    assert [app.id for app in world.server.reports[-1].apps] == ["no.app"]


def test_what_changed_while_a_report_could_not_be_sent_is_told_with_it() -> None:
    world = World()
    end = NOW + timedelta(minutes=10)
    world.server.hold({"camera.allowed": False}, (end, {}))
    world.enrolled()
    world.step(60)
    world.tablet.apps = [App("no.app")]
    send = world.server.send

    def deaf(method: str, target: str, *given: Any, **named: Any) -> Response:
        if target.endswith("/reports"):
            raise UnreachableError("cut")
        return send(method, target, *given, **named)

    world.server.send = deaf  # type: ignore[method-assign]
    world.step(60)
    world.server.send = send  # type: ignore[method-assign]
    before = len(world.server.reports)
    world.step(600)
    assert world.in_force() == {}
    told = [report.applied.profile for report in world.server.reports[before:]]
    assert told == [entry.profile for entry in world.server.schedule]


def test_a_sequence_behind_the_servers_is_raised_and_the_report_sent_again() -> None:
    world = World().enrolled()
    world.server.sequence = 5_000
    world.tablet.apps = [App("no.app")]
    world.step(60)
    assert [app.id for app in world.server.reports[-1].apps] == ["no.app"]
    assert world.server.sequence == 5_001


def test_a_forged_replay_does_not_send_the_tablet_to_the_end_of_its_numbers() -> None:
    world = World().enrolled()
    before = world.server.sequence
    world.server.answer = lambda _method, path: (
        world.server.problem(Code.REPLAY, last_sequence=2**53 - 1) if path.endswith("/reports") else None
    )
    world.tablet.apps = [App("no.app")]
    world.step(60)
    world.server.answer = lambda _method, _path: None
    for _ in range(4):
        world.step(300)
    assert [app.id for app in world.server.reports[-1].apps] == ["no.app"]
    assert world.server.sequence < before + 100


def test_a_new_enrolment_says_where_numbers_stand_even_below_the_tablets_own() -> None:
    world = World()
    world.session._client.go_on_from(900_000)
    world.enrolled()
    world.tablet.apps = [App("no.app")]
    world.step(60)
    assert 0 < world.server.sequence < 100


def test_no_sequence_is_used_twice_over_restarts() -> None:
    world = World().enrolled()
    used = [world.server.sequence]
    for number in range(8):
        world.tablet.apps = [App(f"no.app{number}")]
        world.start()
        world.step(60)
        used.append(world.server.sequence)
    assert used == sorted(set(used))


@pytest.mark.parametrize("code", [Code.REPORT_CONFLICT, Code.MALFORMED])
def test_a_report_that_will_never_be_accepted_is_dropped(code: Code) -> None:
    world = World().enrolled()
    world.tablet.apps = [App("no.app")]
    world.server.answer = lambda _method, path: world.server.problem(code) if path.endswith("/reports") else None
    world.step(60)
    world.server.answer = lambda _method, _path: None
    world.step(60)
    assert [app.id for app in world.server.reports[-1].apps] == ["no.app"]


@pytest.mark.parametrize("code", [Code.REVOKED, Code.UNKNOWN_KEY, Code.UPGRADE_REQUIRED])
def test_a_tablet_that_is_no_longer_wanted_keeps_its_profile_and_asks_rarely(code: Code) -> None:
    world = World()
    world.server.hold({"camera.allowed": False})
    world.enrolled()
    world.server.answer = lambda _method, _path: world.server.problem(code)
    world.step(60)
    assert world.in_force() == {"camera.allowed": False}
    assert world.session.next_step_at(world.now) >= world.now + timedelta(seconds=RARELY_S)
    assert (world.session.memory.state is AgentState.REFUSED) == (code is Code.REVOKED)
    world.server.answer = lambda _method, _path: None
    world.step(2 * RARELY_S)
    assert world.session.memory.state is AgentState.ENROLLED


def test_a_busy_server_is_given_the_time_it_asks_for() -> None:
    world = World().enrolled()
    world.server.answer = lambda _method, _path: Response(
        503, {"retry-after": "40"}, world.server.problem(Code.BUSY).body
    )
    world.step(60)
    wait = (world.session.next_step_at(world.now) - world.now).total_seconds()
    assert 40 <= wait <= 60


def test_an_outage_is_met_with_growing_patience() -> None:
    world = World().enrolled()
    world.server.away = True
    waits = []
    for _ in range(10):
        world.step(max(60.0, (world.session.next_step_at(world.now) - world.now).total_seconds()))
        waits.append((world.session.next_step_at(world.now) - world.now).total_seconds())
    assert waits[0] < 20
    assert max(waits) <= 900 * 1.5
    assert waits[-1] >= 900


class KilledError(Exception):
    """The process was killed."""


class DyingStore(MemoryStore):
    """A store that dies at its n-th write, before or after the write took place."""

    def __init__(self, writes: int, *, after: bool) -> None:
        super().__init__()
        self.writes, self.after = writes, after

    def save(self, memory: Memory) -> None:
        self.writes -= 1
        if self.writes == 0 and not self.after:
            raise KilledError
        super().save(memory)
        if self.writes == 0:
            raise KilledError


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("writes", range(1, 16))
def test_killed_at_any_write_the_tablet_ends_where_it_should(writes: int, after: bool) -> None:
    store = DyingStore(writes, after=after)
    world = World(store)
    end = NOW + timedelta(minutes=10)
    world.server.hold({"camera.allowed": False}, (end, {"camera.allowed": True}))
    world.server.orders = [Order("o1", "message", {}, NOW + timedelta(hours=1))]
    for _ in range(20):
        try:
            if world.session.memory.state is AgentState.NEW:
                world.session.enrol(world.server, world.now, "GOOD")
            world.step(60)
        except KilledError:
            world.start()
    assert len(world.server.enrolments) == 1
    assert world.in_force() == {"camera.allowed": True}
    assert world.server.reports[-1].applied.profile == world.server.schedule[1].profile
    assert world.tablet.obeyed in ([], ["o1"])
    result = world.server.results["o1"]
    assert result.state == "done" or (result.state, result.detail) == ("failed", "cut off")
    assert world.session.memory.applied == world.server.schedule[1].profile


def test_failures_are_told() -> None:
    world = World()
    world.tablet.failing = [Failure("camera.allowed", "rejected")]
    world.server.hold({"camera.allowed": False})
    world.enrolled()
    assert world.server.reports[-1].failures == [Failure("camera.allowed", "rejected")]


def test_a_stored_tablet_goes_on_as_the_same_one() -> None:
    world = World().enrolled()
    again = World(MemoryStore.restored(json.loads(json.dumps(world.store.export()))))
    again.server = world.server
    again.step(60)
    assert again.session.memory.device_id == "tablet-1"
    assert len(world.server.enrolments) == 1
