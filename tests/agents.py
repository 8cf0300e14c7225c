"""Real agents against a real server: a process that may be killed, and a make-believe tablet that can be switched off."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent_protocol import clock
from agent_protocol.messages import Failure
from agent_protocol.simulated import SimulatedDevice, SimulatedFleet, SimulatedTablet
from agent_protocol.transport import HttpTransport, Response
from tests.serving import ROOT


def eventually(what: Callable[[], bool], *, within_s: float = 120, why: str | Callable[[], str] = "") -> None:
    """Wait until something is so.

    Args:
        what: whether it is.
        within_s: how long to wait.
        why: what is wrong if it does not come, or what says so then.

    Raises:
        AssertionError: it was not in time.
    """
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, (why() if callable(why) else why) or "did not happen in time"
        time.sleep(0.05)


class AgentProcess:
    """``python -m agent_protocol``, or another program that takes the same words, on a state directory."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def tell(self, *arguments: str) -> None:
        """Have it started with more words from now on."""
        self._arguments += arguments

    def start(self, module: str = "agent_protocol", *more: str) -> None:
        """Start it."""
        with (self.folder.parent / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, "--state", str(self.folder), *self._arguments, *more],
                env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log, cwd=self.folder.parent,
            )  # fmt: skip

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        return self.ended()

    def ended(self) -> int:
        """Return the exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait(20)

    def applied(self, area: str) -> dict[str, Any]:
        """Return an area's settings as the tablet's programs read them, none where none are set."""
        path = self.folder / "applied" / f"{area}.json"
        try:
            return dict(json.loads(path.read_text()))
        except FileNotFoundError:
            return {}

    @property
    def settings(self) -> Mapping[str, Any] | None:
        """All settings that are in force; None while nothing whole is."""
        marker = self.applied("profile")
        return {key: value for area in marker["areas"] for key, value in self.applied(area).items()} if marker else None

    @property
    def switched_at(self) -> datetime:
        """When what is in force came into force."""
        return datetime.fromtimestamp((self.folder / "applied" / "profile.json").stat().st_mtime, UTC)


class _Witness(SimulatedDevice):
    """Remembers what was put into force, and when."""

    def __init__(self, serial: str) -> None:
        super().__init__(serial)
        self.history: list[tuple[datetime, Mapping[str, Any]]] = []

    def apply(self, digest: str, settings: Mapping[str, Any]) -> Sequence[Failure]:
        failures = super().apply(digest, settings)
        self.history.append((clock.now(), dict(settings)))
        return failures


class Recorder(HttpTransport):
    """Remembers which reports were acknowledged, and the last of them as it went over the wire."""

    def __init__(self, server: str, *, timeout_s: float) -> None:
        super().__init__(server, timeout_s=timeout_s)
        self.acknowledged: list[str] = []
        self.sent: tuple[str, dict[str, str], bytes] | None = None

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, within_s: float | None = None
    ) -> Response:
        """Send a request; see :class:`HttpTransport`."""
        response = super().send(method, target, headers, body, within_s=within_s)
        if target.endswith("/reports") and body is not None and response.status == 200:
            self.acknowledged.append(json.loads(body)["report_id"])
            self.sent = target, dict(headers), body
        return response


class _ThroughProxy(HttpTransport):
    """Says where it asks from, as a proxy between would."""

    def __init__(self, server: str, address: str) -> None:
        super().__init__(server)
        self._told = {"X-Forwarded-For": address}

    def begin(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, within_s: float
    ) -> None:
        super().begin(method, target, {**headers, **self._told}, body, within_s=within_s)


class LiveTablet:
    """A make-believe tablet over real sockets, which waits at the server for news; on or off.

    Args:
        server: its address.
        serial: the tablet's.
        code: the ticket to enrol with.

    Attributes:
        address: where it asks from, as a proxy that the server believes says; None: from where it does.
    """

    def __init__(self, server: str, serial: str, code: str) -> None:
        self.serial = serial
        self.address: str | None = None
        self._server = server
        self._device = _Witness(serial)
        self._tablet = SimulatedTablet(server, self._device, code=code)
        self._fleet: SimulatedFleet | None = None
        self._thread: threading.Thread | None = None

    def enrol(self) -> None:
        """Have it taken in, and say nothing more for now."""
        transport = HttpTransport(self._server)
        self._tablet.session.enrol(transport, clock.now(), self._tablet.code or "")
        transport.close()

    def on(self) -> None:
        """Switch it on: it enrols where it is not, and goes on with what it remembers."""
        self._fleet = SimulatedFleet(self._server, [self._tablet], threads=1, first_within_s=0, connect=self._connect)
        self._thread = threading.Thread(target=self._fleet.run, name=self.serial)
        self._thread.start()

    def _connect(self, server: str) -> HttpTransport:
        return _ThroughProxy(server, self.address) if self.address is not None else HttpTransport(server)

    def off(self) -> None:
        """Switch it off: it forgets all but what it has stored."""
        if self._fleet is None or self._thread is None:
            return
        self._fleet.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._fleet = self._thread = None
        self._tablet = SimulatedTablet(self._server, self._device, store=self._tablet.store)

    @property
    def history(self) -> Sequence[tuple[datetime, Mapping[str, Any]]]:
        """What was put into force, and when."""
        return self._device.history

    @property
    def has_had(self) -> Sequence[Any]:
        """Which web addresses it was bound to, one after the other; None where to none, as at its base."""
        return [settings.get("web.allowed") for _, settings in self._device.history]

    @property
    def settings(self) -> Mapping[str, Any] | None:
        """All settings that are in force; None while nothing is."""
        return self._device.history[-1][1] if self._device.history else None

    @property
    def switched_at(self) -> datetime:
        """When what is in force came into force."""
        return self._device.history[-1][0]
