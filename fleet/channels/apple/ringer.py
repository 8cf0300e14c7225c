"""Rings iPads through the push service, in a thread with an event loop of its own: the service speaks HTTP/2.

Who is to be rung stands in the database (:mod:`fleet.mdm.ringing`), so that a server which is killed loses no ring, and
of several servers each rings some. A change in this process, or on PostgreSQL in any, is looked for at once; else it is
found by looking every few seconds.
"""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from flask import Flask

from fleet import metrics
from fleet.channels.apple.push import Address, Dead, Misconfigured, Outcome, Pusher, Sent, TryLater
from fleet.db import transaction
from fleet.mdm import ringing
from fleet.mdm.push_certificate import PushCertificate
from fleet.mdm.push_keeper import PushKeeper
from fleet.mdm.ringing import Ring

_LOOK_S = 5.0
_STOP_S = 5.0
_WORDS = {Sent: "sent", Dead: "dead", TryLater: "later", Misconfigured: "refused"}
_log = structlog.get_logger("apple")
Make = Callable[[PushCertificate], Pusher]


class Ringer:
    """Rings those that are to be rung.

    Args:
        app: the application.
        keeper: where the push certificate is.
        now: the clock.
        make: makes what speaks with the push service.
    """

    def __init__(self, app: Flask, keeper: PushKeeper, *, now: Callable[[], datetime], make: Make = Pusher) -> None:
        self._app, self._keeper, self._now, self._make = app, keeper, now, make
        self._loop = asyncio.new_event_loop()
        self._looking: asyncio.Event | None = None
        self._is_ending = False
        self._is_failing = False
        self._pusher: tuple[str, Pusher] | None = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End once what is under way is done; what the service does not answer in time is rung again later."""
        self._is_ending = True
        self.ring(frozenset())
        self._thread.join(_STOP_S)
        if not self._thread.is_alive():
            self._loop.close()

    def ring(self, _device_ids: frozenset[int]) -> None:
        """Look at once who is to be rung; from any thread."""
        if self._looking is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._looking.set)

    async def _run(self) -> None:
        self._looking = asyncio.Event()
        while not self._is_ending:
            try:
                while not self._is_ending and await self._round():
                    pass
                self._is_failing = False
            except Exception as error:  # noqa: BLE001 (most often the database is away; the next look tries again)
                if not self._is_failing:
                    _log.warning("not rung", kind=type(error).__name__)
                self._is_failing = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._looking.wait(), _LOOK_S)
            self._looking.clear()
        if self._pusher is not None:
            await self._pusher[1].close()

    async def _round(self) -> bool:
        """Ring those that are to be rung now, some at once; returns whether there were any."""
        certificate = self._keeper.current()
        if certificate is None:
            return False
        pusher = await self._pusher_of(certificate)
        rings = await asyncio.to_thread(self._take)
        if not rings:
            return False
        outcomes = await asyncio.gather(*(self._push(pusher, one) for one in rings))
        await asyncio.to_thread(self._note, rings, outcomes)
        return True

    async def _pusher_of(self, certificate: PushCertificate) -> Pusher:
        """Return what speaks with this certificate; a former one is left."""
        if self._pusher is None or self._pusher[0] != certificate.serial:
            former, self._pusher = self._pusher, (certificate.serial, self._make(certificate))
            if former is not None:
                await former[1].close()
        return self._pusher[1]

    async def _push(self, pusher: Pusher, one: Ring) -> Outcome:
        address = Address(one.topic, one.token, one.magic)
        return await pusher.push(address, token_at=one.address_at, now=self._now(), attempt=one.attempt)

    def _take(self) -> list[Ring]:
        with self._app.app_context(), transaction():
            return ringing.take(now=self._now())

    def _note(self, rings: Sequence[Ring], outcomes: Sequence[Outcome]) -> None:
        told = list(zip(rings, outcomes, strict=True))
        for outcome, number in Counter(_WORDS[type(how)] for how in outcomes).items():
            metrics.PUSHES.add(number, outcome)
        waits = {one.device_id: how.after_s for one, how in told if isinstance(how, TryLater | Misconfigured)}
        dead = [one for one, how in told if isinstance(how, Dead)]
        if not waits and not dead:
            return
        with self._app.app_context(), transaction():
            ringing.put_off(waits, now=self._now())
            if dead:
                ringing.give_up(dead, now=self._now())
