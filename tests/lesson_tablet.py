"""A tablet in simulated time: the real session over a clock of its own, a store that can fail, and a flaky network.

Nothing here waits: :class:`tests.lesson_world.World` steps a tablet when it is due. What stands here of clocks is what
physics does to them; how the agent corrects for that is the session's.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from agent_protocol.device import Identity, Inventory
from agent_protocol.messages import Failure, Order, OrderState
from agent_protocol.session import Session
from agent_protocol.store import Memory, MemoryStore
from agent_protocol.transport import Response, UnreachableError
from tests.lesson_known import Known

# The agent notices a clock that was set by more than this (agent_protocol.agent).
NOTICED_S = 5.0
AUTHORITY = "fleet.test"
NEVER = datetime.max.replace(tzinfo=UTC)


class PowerCutError(Exception):
    """The battery is empty in the middle of whatever the agent was doing."""


class FragileStore(MemoryStore):
    """A store under which the power goes, or whose disk is full for one write."""

    power_for: int | None = None  # so many writes until the power goes, before the write or after it
    is_cut_after = False
    is_full_once = False

    def save(self, memory: Memory) -> None:
        self._write(lambda: super(FragileStore, self).save(memory))

    def put_body(self, digest: str, body: bytes) -> None:
        self._write(lambda: super(FragileStore, self).put_body(digest, body))

    def _write(self, write: Callable[[], None]) -> None:
        if self.is_full_once:
            self.is_full_once = False
            raise OSError(28, "no space left on the device")
        if self.power_for is not None:
            self.power_for -= 1
            if self.power_for < 0:
                self.power_for = None
                if self.is_cut_after:
                    write()
                raise PowerCutError
        write()


class Recorder:
    """The tablet under the agent: what is in force, which survives a power cut; None: half of something is."""

    def __init__(self, serial: str) -> None:
        self._serial = serial
        self.in_force: str | None = None
        self.settings: Mapping[str, Any] = {}
        self.cut: str | None = (
            None  # the power goes ``before`` the next profile is in force, ``half`` way, or ``after``
        )

    def identity(self) -> Identity:
        return Identity(self._serial, "linux", "Prøvebrett")

    def inventory(self) -> Inventory:
        return Inventory("18.4", "Prøvebrett", 50, 64 * 2**30, 32 * 2**30)

    def apply(self, digest: str, settings: Mapping[str, Any]) -> Sequence[Failure]:
        cut, self.cut = self.cut, None
        if cut != "before":
            self.in_force, self.settings = (digest, dict(settings)) if cut != "half" else (None, {})
        if cut is not None:
            raise PowerCutError
        return []

    def obey(self, _order: Order) -> tuple[OrderState, str]:
        return OrderState.DONE, ""


@dataclass
class TabletClock:
    """A tablet's own clock: true time, but for what it was set wrong by and how it drifts."""

    ahead_s: float
    drift: float  # seconds in each second
    since: datetime
    noticed_s: float = 0.0  # where it stood when the agent last looked
    unknown_s: float = 0.0  # what it was set by since the server last told the time, and the agent could not notice
    told_at: datetime | None = None

    def _ahead_at(self, true: datetime) -> float:
        return self.ahead_s + self.drift * (true - self.since).total_seconds()

    def read(self, true: datetime) -> datetime:
        """Return what it shows."""
        return true + timedelta(seconds=self._ahead_at(true))

    def true_at(self, shown: datetime, true: datetime) -> datetime:
        """Return when it will show ``shown``; ``true`` is now."""
        return true + (shown - self.read(true)) / (1 + self.drift)

    def look(self) -> float:
        """Return by how much the clock was set since the last look, 0 where that is too little to notice."""
        jumped = self.ahead_s - self.noticed_s
        self.noticed_s = self.ahead_s
        if abs(jumped) > NOTICED_S:
            return jumped
        self.unknown_s += abs(jumped)
        return 0.0

    def start(self) -> None:
        """Look for the first time after a reboot: what happened meanwhile nobody noticed."""
        self.unknown_s += abs(self.ahead_s - self.noticed_s)
        self.noticed_s = self.ahead_s

    def told(self, true: datetime) -> None:
        """Note that the server told the time."""
        self.unknown_s, self.told_at = 0.0, true

    def unknown_at(self, true: datetime) -> float:
        """Return by how many seconds the agent's idea of the time can be wrong that no server has corrected."""
        drifted = abs(self.drift) * (true - (self.told_at or self.since)).total_seconds()
        return self.unknown_s + abs(self.ahead_s - self.noticed_s) + drifted


class Serving(Protocol):
    """The server as a tablet meets it."""

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, client: tuple[str, int]
    ) -> Response:
        """Answer a request."""


class Line:
    """One tablet's network: the transport of its session.

    Attributes:
        server: None while the server is down.
        address: where it asks from.
        is_up: whether there is a network at all.
        loses: how many of the next answers get lost.
        on_told: called with each answer that the server gave, even if it then gets lost: target, body and answer.
        on_heard: called with each answer that came.
        is_clean: whether nothing has gone wrong since this was last set.
    """

    def __init__(self, on_told: Callable[[str, bytes | None, Response], None]) -> None:
        self.server: Serving | None = None
        self.address = "10.1.0.9"
        self.is_up = True
        self.loses = 0
        self.is_clean = True
        self._on_told = on_told
        self.on_heard: Callable[[str, Response], None] = lambda _target, _response: None

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        within_s: float | None = None,  # noqa: ARG002 (a transport's; here nothing hangs)
    ) -> Response:
        """Be the transport."""
        if self.server is None or not self.is_up:
            self.is_clean = False
            raise UnreachableError("no network")
        response = self.server.send(method, target, headers, body, client=(self.address, 1))
        self._on_told(target, body, response)
        self.is_clean = self.is_clean and response.status < 400
        if self.loses:
            self.loses -= 1
            self.is_clean = False
            raise UnreachableError("the answer is lost")
        self.on_heard(target, response)
        return response


@dataclass
class Slate:
    """A tablet, on or off.

    Args:
        number: its place among the tablets of the world.
        device_id: its row.
        clock: its own clock.
        hears: whether it is rung (it waits at the server), or only polls.
    """

    number: int
    device_id: int
    serial: str
    clock: TabletClock
    hears: bool
    person_id: int | None = None
    class_id: int | None = None
    school_id: int = 0
    store: FragileStore = field(default_factory=FragileStore)
    session: Session | None = None  # None while it is off
    has_stepped: bool = False  # since it was switched on
    step_number: int = 0  # of the step that is planned; others are planned no more
    due_at: datetime = NEVER  # when it is planned for
    is_rung: bool = False
    is_in: bool = False  # whether it had something of a lesson when it last stepped; only to be counted
    off_s: float = 20  # for how long, when the power goes
    late_until: datetime | None = None  # a disk that was full is tried again in half a minute
    checked_at: datetime | None = None
    fetching: Known | None = None  # what the server knew when it last answered a poll in the running step
    known: tuple[Known, ...] = ()  # what it may know; one, unless the power went while it took in something new
    reported: str | None = None  # what the server was told last
    line: Line = field(init=False)
    device: Recorder = field(init=False)

    def __post_init__(self) -> None:
        self.device = Recorder(self.serial)
        self.line = Line(self._told)

    def switch_on(self) -> Session:
        """Start the agent from what is stored."""
        self.clock.start()
        dice = random.Random(self.number)  # noqa: S311 (repeatable)
        self.session = Session(AUTHORITY, self.store, self.device, dice=dice)
        self.has_stepped = False
        return self.session

    def switch_off(self) -> None:
        """Take the power away."""
        self.session = None
        self.step_number += 1

    def _told(self, target: str, body: bytes | None, response: Response) -> None:
        if target.endswith("/reports") and response.status == 200 and body is not None:
            self.reported = json.loads(body)["applied"].get("profile")
