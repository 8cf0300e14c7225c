"""Restless tablets that keep a ledger: what they told the server, what it acknowledged, and which orders they obeyed.

Real sessions over real sockets. They pay no heed to when they were asked to come back, so that each fault meets many of
their requests; what a sound tablet would do at last, they do too.
"""

import contextlib
import dataclasses
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from agent_protocol import clock
from agent_protocol.device import Inventory
from agent_protocol.messages import Order, OrderState
from agent_protocol.simulated import SimulatedDevice, SimulatedTablet
from agent_protocol.transport import HttpTransport, Response

_ENCRYPTED_CHANGES = 0.2  # of looks at itself, in which a tablet finds itself encrypted, or no more
_REQUEST_S = 30.0
_ANSWERED_WITHIN_S = 300.0  # however slow the machine: whoever is turned away is told so


@dataclass
class Ledger:
    """What a tablet knows of itself and the server.

    Args:
        sent: reports that went out, whatever became of them, by their ids.
        acknowledged: ids of those that the server said it had stored, in that order.
        obeyed: names of orders, as often as they were obeyed.
        statuses: of the server's answers.
        unasked: refusals for now that did not say when to come back.
        wire: the last of these reports as it went over the wire: target, headers, body.
    """

    sent: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    obeyed: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    unasked: int = 0
    wire: tuple[str, Mapping[str, str], bytes] | None = None

    @property
    def last(self) -> Mapping[str, Any]:
        """The last report that was acknowledged."""
        return self.sent[self.acknowledged[-1]]


class _Line(HttpTransport):
    """Notes what goes out and comes back."""

    def __init__(self, server: str, ledger: Ledger) -> None:
        super().__init__(server, timeout_s=_REQUEST_S)
        self._ledger = ledger

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, within_s: float | None = None
    ) -> Response:
        """Send a request; see :class:`HttpTransport`."""
        told = json.loads(body) if body is not None and target.endswith("/reports") else None
        if told is not None:
            self._ledger.sent[told["report_id"]] = told
        response = super().send(method, target, headers, body, within_s=within_s)
        self._ledger.statuses[response.status] += 1
        self._ledger.unasked += response.status >= 500 and "retry-after" not in response.headers
        if told is not None and body is not None and response.status == 200:
            self._ledger.acknowledged.append(told["report_id"])
            self._ledger.wire = target, dict(headers), body
        return response


class _Device(SimulatedDevice):
    """A make-believe tablet that now and then finds its storage to be encrypted, or not."""

    def __init__(self, serial: str, ledger: Ledger) -> None:
        super().__init__(serial)
        self._ledger = ledger
        self._luck = random.Random(serial)  # noqa: S311 (make-believe)
        self._is_encrypted = True

    def inventory(self) -> Inventory:
        """Return what the tablet has just now."""
        if self._luck.random() < _ENCRYPTED_CHANGES:
            self._is_encrypted = not self._is_encrypted
        told = {"encrypted": "true" if self._is_encrypted else "false"}
        return dataclasses.replace(super().inventory(), attributes=told)

    def obey(self, order: Order) -> tuple[OrderState, str]:
        """Obey, and remember it."""
        self._ledger.obeyed[order.id] += 1
        return super().obey(order)


class RestlessTablet:
    """A tablet in a thread of its own that polls and reports again and again.

    Args:
        server: where it finds the server.
        authority: the server's host and port, as requests are signed for.
        serial: its serial.
        code: the ticket to enrol with.
        pause_s: how long it rests between.
    """

    def __init__(self, server: str, authority: str, serial: str, *, code: str, pause_s: float) -> None:
        self.serial = serial
        self.ledger = Ledger()
        self._line = _Line(server, self.ledger)
        self._tablet = SimulatedTablet(f"http://{authority}", _Device(serial, self.ledger), code=code)
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._may_act = threading.Event()
        self._may_act.set()
        self._acting = threading.Lock()
        self._thread = threading.Thread(target=self._live, name=serial, daemon=True)
        self.failure: BaseException | None = None

    @property
    def is_settled(self) -> bool:
        """Whether it has nothing more to tell about orders."""
        return not self._tablet.session.memory.unsent_results

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def rest(self) -> None:
        """Begin nothing more, and return once nothing is under way."""
        self._may_act.clear()
        with self._acting:
            pass

    def go_on(self) -> None:
        """Go on after a rest."""
        self._may_act.set()

    def send_again(self, server: str) -> int:
        """Send the last report that was acknowledged again, as it was; returns the answer's status.

        Raises:
            UnreachableError: there was none.
        """
        assert self.ledger.wire is not None
        target, headers, body = self.ledger.wire
        with contextlib.closing(HttpTransport(server, timeout_s=_ANSWERED_WITHIN_S)) as line:
            return line.send("POST", target, headers, body).status

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._may_act.set()
        self._thread.join(2 * _REQUEST_S)
        self._line.close()

    def _live(self) -> None:
        try:
            while not self._stopping.wait(self._pause_s):
                self._may_act.wait()
                with self._acting:
                    if self._may_act.is_set() and not self._stopping.is_set():
                        self._act()
        except BaseException as failure:  # told by who looks at the tablets
            self.failure = failure
            raise

    def _act(self) -> None:
        session, now = self._tablet.session, clock.now()
        if session.timing.report_at is not None:
            session.timing.at_once(now)
        self._tablet.step(self._line, now)


@contextmanager
def living(tablets: Sequence[RestlessTablet]) -> Iterator[None]:
    """Have tablets live while the body runs."""
    for one in tablets:
        one.start()
    try:
        yield
    finally:
        for one in tablets:
            one.stop()
