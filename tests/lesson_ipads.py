"""iPads of a class on a real server: simulated, over real HTTP, rung through a stand-in of the push service.

They are switched on and off as any other tablet of a class (:mod:`tests.lesson_site`): an iPad that is on comes when it
is rung, and some time after it was busy or the server was away. It never comes otherwise.
"""

import http.client
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Any

from agent_protocol.transport import Response
from fleet import clock
from fleet.crypto import vault_key_of
from fleet.devices.models import Platform
from fleet.mdm.push_keeper import PushKeeper
from tests import apns, rung_server
from tests.apns import Service
from tests.apple_messages import IPAD, SIMULATOR, Shape
from tests.ipads import Ipad, RefusedError
from tests.lesson_site import Site, site
from tests.serving import Server

FILTER = "com.apple.webcontent-filter"
# Another process made the change, so the server that rings finds it by looking, every five seconds.
IPAD_WITHIN_S = 25.0
SOON_S = 24.0
# In which the job of the minute has found which schedules moved on by themselves, and the iPad has come; and again,
# as a busy machine may be late for some.
JOB_S = 300.0
WHOLE_SECOND_S = 1.1  # a property list tells instants without fractions
_LOOK_S, _AGAIN_S = 0.02, 1.0


def sender(server: Server, address: str | None = None) -> Any:
    """Return what calls a server over real HTTP, each time on a connection of its own.

    Args:
        server: the server.
        address: where the call comes from, as a proxy that the server believes says; None: from where it does.
    """

    def send(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        try:
            told = dict(headers) if address is None else {**headers, "X-Forwarded-For": address}
            connection.request(method, target, body=body, headers=told)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, named, answer.read())
        finally:
            connection.close()

    return send


class LiveIpad:
    """An iPad that is switched on or off.

    Args:
        service: the push service that rings it.
        shape: how it signs.
        server: its server.
        serial: the tablet's.
        code: the ticket to enrol with.

    Attributes:
        ipad: what is simulated.
        address: where it asks from, as a proxy that the server believes says; None: from where it does.
        history: what was in force, and since when.
    """

    def __init__(self, service: Service, shape: Shape, server: Server, serial: str, code: str) -> None:
        self.serial = serial
        self.address: str | None = None
        self.history: list[tuple[datetime, Mapping[str, Any]]] = []
        self.ipad = Ipad(sender(server), serial, shape=shape, now=clock.now, on_change=self._witness)
        self._service, self._server, self._code = service, server, code
        self._off = threading.Event()
        self._noting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._heard = 0
        self._is_unheard = False

    def enrol(self) -> None:
        """Have it taken in, and say nothing more for now."""
        self.ipad.send = sender(self._server, self.address)
        self.ipad.enrol(self._code)

    def on(self) -> None:
        """Switch it on: it enrols where it is not, and then comes when it is rung, also for what it slept through."""
        self.ipad.send = sender(self._server, self.address)
        if not self.ipad.is_managed:
            self.enrol()
        self._off.clear()
        self._thread = threading.Thread(target=self._run, name=self.serial)
        self._thread.start()

    def come(self) -> None:
        """Have it call by itself, as it does now and then for reasons of its own."""
        self._is_unheard = True

    def off(self) -> None:
        """Switch it off."""
        if self._thread is not None:
            self._off.set()
            self._thread.join(30)
            assert not self._thread.is_alive()
            self._thread = None

    def _run(self) -> None:
        while not self._off.is_set():
            self.ipad.keep_time()
            by_itself = self.ipad.calls_by_itself and not self.ipad.is_busy
            if self._is_rung() or by_itself or self._is_unheard:
                try:
                    self.ipad.wake()
                    self._is_unheard = False
                except (OSError, http.client.HTTPException, RefusedError):
                    self._is_unheard = True
                    self._off.wait(_AGAIN_S)
            self._off.wait(_LOOK_S)

    def _is_rung(self) -> bool:
        new = self._service.requests[self._heard :]
        self._heard += len(new)
        return any(one.token == self.ipad.push_token.hex() for one in new)

    def _witness(self) -> None:
        with self._noting:
            found, changed_at = self.settings, self.ipad.changed_at
            if changed_at is not None and (not self.history or self.history[-1][1] != found):
                self.history.append((changed_at, found))

    @property
    def has_had(self) -> Sequence[Any]:
        """Which web addresses it was bound to, one after the other; None where to none, as at its base."""
        return [settings.get("web.allowed") for _, settings in self.history]

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is in force of settings that lessons change in these tests, in our words."""
        listed = self.ipad.settings(FILTER).get("AllowListBookmarks")
        return {} if listed is None else {"web.allowed": [one["Title"] for one in listed]}

    @property
    def switched_at(self) -> datetime:
        """When what is in force came into force."""
        self.ipad.keep_time()
        assert self.ipad.changed_at is not None
        return self.ipad.changed_at


@contextmanager
def ipad_site(url: str, data_dir: Path, *, proxies: str = "") -> Iterator[Site]:
    """Run a server for iPads, with a push certificate and a push service; they sign in the two shapes by turns."""
    with apns.running() as service:
        told = {rung_server.ADDRESS: service.base_url, rung_server.AUTHORITY: service.authority.pem}
        with site(url, data_dir, proxies=proxies, program="tests.rung_server", **told) as made:
            secrets_dir = made.config.secrets_dir
            keeper = PushKeeper(secrets_dir, vault_key_of(secrets_dir, made.config.vault_key_file))
            keeper.keep(service.authority.push_certificate())
            shapes = cycle((IPAD, SIMULATOR))
            made.platform = Platform.IPADOS
            made.make_tablet = lambda *of: LiveIpad(service, next(shapes), *of)
            made.within_s, made.coarse_s = IPAD_WITHIN_S, WHOLE_SECOND_S
            made.soon_s, made.known_within_s = SOON_S, JOB_S
            yield made
