"""Android tablets of a class on a real server: simulated, over real HTTP, waiting at it for news as their agent does.

They are switched on and off as any other tablet of a class (:mod:`tests.lesson_site`). Their pupils have another app in
front, so that news of them come through the agent's log only.
"""

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from agent_protocol.transport import Response
from fleet import clock
from fleet.devices.models import Platform
from tests import android_school
from tests.headwind_agent import HeadwindAgent
from tests.lesson_site import Site, site
from tests.serving import Server

SCALE = 0.2  # of the agent's pauses: of five seconds between polls, of a minute after an error of the network
# It pauses between polls, and what is changed by another process may be found by looking only.
ANDROID_WITHIN_S = 20.0
SOON_S = 14.0
_ANSWER_WITHIN_S = 70.0  # longer than any poll is held


class LiveAndroid:
    """An Android tablet that is switched on or off.

    Args:
        server: its server.
        serial: the tablet's.
        code: the ticket to enrol with.

    Attributes:
        agent: what is simulated.
        address: where it asks from, as a proxy that the server believes says; None: from where it does.
        has_network: whether it reaches anything.
        scale: of its pauses.
        history: what was in force, and since when.
    """

    def __init__(self, server: Server, serial: str, code: str) -> None:
        self.serial = serial
        self.address: str | None = None
        self.has_network = True
        self.scale = SCALE
        self.history: list[tuple[datetime, Mapping[str, Any]]] = []
        self.agent = HeadwindAgent(self._send, serial, now=clock.now, pause=self._pause, on_change=self._witness)
        self._server, self._extras = server, android_school.extras(code)
        self._off = threading.Event()
        self._calling = threading.Lock()
        self._open: http.client.HTTPConnection | None = None
        self._thread: threading.Thread | None = None

    # -- on and off ----------------------------------------------------------------------------------------------

    def enrol(self) -> None:
        """Have it set up, and say nothing more for now."""
        self._off.clear()
        self.agent.set_up(self._extras)

    def on(self) -> None:
        """Switch it on: it is set up where it is not, and goes on with what it has."""
        if self.agent.config is None:
            self.enrol()
        self._off.clear()
        self._thread = threading.Thread(target=self._run, name=self.serial)
        self._thread.start()

    def off(self) -> None:
        """Switch it off."""
        if self._thread is not None:
            self._off.set()
            self._hang_up()
            self._thread.join(30)
            assert not self._thread.is_alive()
            self._thread = None

    def lose_network(self) -> None:
        """Have it reach nothing, from now on."""
        self.has_network = False
        self._hang_up()

    def _run(self) -> None:
        if self.agent.completed:
            self.agent.start_again()
        else:
            self.agent.open_launcher()
        self.agent.in_front = False  # its pupil opens something else
        while not self._off.is_set() and self.agent.polls:
            self._pause(self.agent.poll())

    def _pause(self, pause_s: float) -> None:
        self._off.wait(pause_s * self.scale)

    # -- calls ---------------------------------------------------------------------------------------------------

    def _send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        connection = http.client.HTTPConnection(self._server.host, self._server.port, timeout=_ANSWER_WITHIN_S)
        with self._calling:
            if self._off.is_set() or not self.has_network:
                raise OSError("no network")
            connection.connect()
            self._open = connection
        try:
            told = dict(headers) if self.address is None else {**headers, "X-Forwarded-For": self.address}
            connection.request(method, target, body=body, headers=told)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, named, answer.read())
        finally:
            connection.close()

    def _hang_up(self) -> None:
        """Break the call that waits for its answer."""
        with self._calling:
            if self._open is not None and self._open.sock is not None:
                with contextlib.suppress(OSError):
                    self._open.sock.shutdown(socket.SHUT_RDWR)

    # -- what is in force ----------------------------------------------------------------------------------------

    def _witness(self) -> None:
        found, changed_at = self.settings, self.agent.changed_at
        if changed_at is not None and (not self.history or self.history[-1][1] != found):
            self.history.append((changed_at, found))

    @property
    def has_had(self) -> Sequence[Any]:
        """Which web addresses it was bound to, one after the other; None where to none, as at its base."""
        return [settings.get("web.allowed") for _, settings in self.history]

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is in force of settings that lessons change in these tests, in our words."""
        return settings_of(self.agent)

    @property
    def switched_at(self) -> datetime:
        """When what is in force came into force."""
        return self.history[-1][0]


def hosts_of(allowlist: Sequence[str]) -> list[str]:
    """Return the hosts that Chrome leaves open, in our words: one alone begins with a dot there, and brings its ``www``."""
    alone = [one.removeprefix(".") for one in allowlist if one.startswith(".")]
    return [one for one in alone if one.removeprefix("www.") == one] + [
        f"*.{one}" for one in allowlist if not one.startswith(".")
    ]


def settings_of(agent: HeadwindAgent) -> Mapping[str, Any]:
    """Return what is in force on a tablet of settings that lessons change in these tests, in our words."""
    policy = agent.web_policy
    return {"web.allowed": hosts_of(policy["URLAllowlist"])} if policy.get("URLBlocklist") == ["*"] else {}


@contextmanager
def android_site(url: str, data_dir: Path, *, proxies: str = "") -> Iterator[Site]:
    """Run a server for Android tablets."""
    with site(url, data_dir, proxies=proxies) as made:
        made.platform = Platform.ANDROID
        made.make_tablet = LiveAndroid
        made.within_s, made.soon_s = ANDROID_WITHIN_S, SOON_S
        yield made
