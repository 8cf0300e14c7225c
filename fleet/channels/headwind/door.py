"""The door of Android tablets with the open Headwind agent: paths, statuses, polls that are held.

Invariants: who speaks is known by the token in the address alone; what the agent calls itself, and what it signs with a
secret that everybody knows, count for nothing. A refusal always has a status of 400 or more, which the agent takes for
an error of the network: it keeps what it has. To shed load polls are answered 429, after which it waits for a minute;
after 503 it would ask again in five seconds.

Source: hmdm-android 6.36, server/ServerService and service/PushLongPollingService.
"""

import asyncio
import random
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from msgspec.structs import replace

from fleet.allowance import Allowance
from fleet.android import addresses
from fleet.channels.batching import Batcher, FullError, Queue, TooOftenError
from fleet.channels.desk import Desk, Outcome, WrongTooOftenError
from fleet.channels.headwind import messages, wire
from fleet.channels.headwind.confirming import PASSCODE, RESTART, WIPE, Confirmed
from fleet.channels.headwind.messages import UnreadableError
from fleet.channels.headwind.telling import Told
from fleet.channels.headwind.work import ConfigItem, Look, Work
from fleet.channels.http import Request, Response
from fleet.channels.presence import Presence
from fleet.channels.threads import Threads
from fleet.channels.wake import Ended, Wait, Waiting
from fleet.checkins.presence import Poll
from fleet.crypto import token_digest
from fleet.devices.enrolment import EnrolmentError

MAX_BODY_BYTES = 256 * 1024
HOLD_S = 55.0  # under the minute after which proxies commonly give up
_LATE_S = 10.0  # it pauses for five seconds between polls
_AFTER_SWITCH_S = 0.02  # so that who is woken for a switch finds it done
_MAX_ENROLMENT_BYTES, _MAX_NUMBER = 8 * 1024, 64
_TOKENS_KEPT = 50_000
# Of what a tablet tells, for each: whoever has its token, a pupil with time perhaps, shall not fill the disk.
_WRITES_AT_ONCE, _WRITE_EVERY_S = 300, 2.0
_BUSY_S = (60, 120)  # the agent waits for a minute; whoever reads this comes back spread
_FILE, _DIGEST = re.compile(r"[A-Za-z0-9_-]{43}"), re.compile(r"[0-9a-f]{64}")
_CPU = re.compile(r"[A-Za-z0-9_-]{1,16}")
_UNKNOWN = "error.token.unknown"
_CONFIG_UPDATED = [{"messageType": "configUpdated", "payload": None}]
_IMMUTABLE = "private, max-age=31536000, immutable"


class HeadwindChannel:
    """Answers the agents on Android tablets.

    Args:
        work: the units of work.
        presence: where it is noted who asked.
        now: the clock.
        dice: spreads polls in time.
        queue_limit: how many of each kind may wait.
    """

    name, prefix = "headwind", addresses.PREFIX
    max_body_bytes = MAX_BODY_BYTES

    def __init__(
        self, work: Work, *, presence: Presence, now: Callable[[], datetime], dice: random.Random, queue_limit: int
    ) -> None:
        self._work = work
        self._presence = presence
        self._now = now
        self._dice = dice
        self.waiting = Waiting(at_once=max(1, queue_limit // 2))
        self._looks: Batcher[str, Look | None] = Batcher(work.looks, limit=queue_limit, name="headwind-polls")
        self._configs: Batcher[ConfigItem, bytes | None] = Batcher(
            work.configs, limit=queue_limit, at_most=64, name="headwind-configs"
        )
        self._words: Batcher[Told, bool] = Batcher(work.tell, limit=queue_limit, name="headwind-words")
        self._batchers: tuple[Batcher[Any, Any], ...] = (self._looks, self._configs, self._words)
        self._owners: OrderedDict[str, int] = OrderedDict()
        self._allowance = Allowance(_WRITES_AT_ONCE, _WRITE_EVERY_S, kept=_TOKENS_KEPT)
        self._desk = Desk(now)
        self._threads = Threads(2, limit=queue_limit, name="headwind")

    @property
    def is_full(self) -> bool:
        """Whether as many wait as may."""
        return any(one.is_full for one in self._batchers)

    @property
    def queues(self) -> Sequence[Queue]:
        """Where requests wait."""
        return (*self._batchers, self._threads)

    def release(self) -> None:
        """Answer those who are held, soon, and hold nobody any more."""
        self.waiting.close()

    async def drain(self) -> None:
        """Answer everything that was taken in."""
        self.release()
        self._threads.close()
        for batcher in self._batchers:
            await batcher.drain()
        await self._desk.drain()
        await self._threads.drain()

    def too_large(self) -> Response:
        """Return the refusal of a body beyond the limit."""
        return wire.refused(413, "error.too.large")

    def busy(self) -> Response:
        """Return the refusal of one too many."""
        found = wire.refused(429, "error.busy")
        headers = {**found.headers, "retry-after": str(self._dice.randint(*_BUSY_S))}
        return replace(found, headers=headers, is_shed=True)

    def failed(self) -> Response:
        """Return the answer to a fault of ours."""
        return wire.refused(500, "error.internal.server")

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        try:
            return await self._route(request)
        except FullError as error:
            return replace(self.busy(), is_shed=not isinstance(error, TooOftenError))
        except WrongTooOftenError:
            return replace(self.busy(), is_shed=False)
        except UnreadableError as error:
            return wire.refused(400, f"error.{error.data['reason']}")

    async def _route(self, request: Request) -> Response:
        match request.path.removeprefix("/").split("/"):
            case ["hw-files", token, _name] if _FILE.fullmatch(token):
                return await self._package(request, token)
            case ["hw-images", digest] if _DIGEST.fullmatch(digest) and request.method in {"GET", "HEAD"}:
                return await self._image(digest)
            case [project, "rest", *rest]:
                code, own = addresses.ticket_code(project), addresses.tablet_token(project)
                if code is not None:
                    return await self._come_in(request, code, rest)
                if own is not None:
                    return await self._speak(request, token_digest(own), rest)
        return wire.refused(404, "error.notfound")

    # -- coming in -----------------------------------------------------------------------------------------------

    async def _come_in(self, request: Request, code: str, rest: list[str]) -> Response:
        """Answer a tablet that comes in, until it goes on to its own address."""
        match rest:
            case ["public", "sync", "configuration", told] if request.method in {"GET", "POST"}:
                return await self._enrol(request, code, unquote(told))
            case ["plugins", "devicelog", "log", "rules", _number] if request.method == "GET":
                return wire.ok([])
        return wire.refused(404, "error.notfound")

    async def _enrol(self, request: Request, code: str, number: str) -> Response:
        if len(request.body) > _MAX_ENROLMENT_BYTES:
            return self.too_large()
        if len(number) > _MAX_NUMBER or not number.isprintable():  # of what else, PostgreSQL holds not every sign
            return wire.refused(400, "error.number")
        cpu = _cpu(request)

        def serve() -> Outcome[bytes | EnrolmentError | None]:
            told = (
                self._work.coming(code, number, cpu) if request.method == "GET" else self._work.enrol(code, number, cpu)
            )
            return Outcome(told, is_wrong=not isinstance(told, bytes))

        outcome = await self._desk.serve(request.client, serve)
        if isinstance(outcome, bytes):
            return wire.written(outcome)
        return wire.refused(404 if outcome is None else 403, f"error.{outcome.code}" if outcome else _UNKNOWN)

    # -- tablets that are in -------------------------------------------------------------------------------------

    async def _speak(self, request: Request, digest: str, rest: list[str]) -> Response:  # noqa: PLR0911 (a path each)
        match request.method, rest:
            case "GET", ["notification", "polling", _number]:
                return await self._poll(request, digest)
            case "GET" | "POST", ["public", "sync", "configuration", told]:
                return await self._configuration(request, digest, unquote(told))
            case "POST", ["public", "sync", "info"]:
                return await self._take(Told(digest, info=messages.read_info(request.body)))
            case "GET", ["plugins", "devicelog", "log", "rules", _number]:
                return wire.ok(messages.log_rules())
            case "POST", ["plugins", "devicelog", "log", "list", _number]:
                return await self._take(Told(digest, logged=messages.read_log(request.body)))
            case "POST", ["plugins", "devicereset", "public", _number]:
                return await self._confirm(request, digest, WIPE)
            case "POST", ["plugins", "devicereset", "public", "reboot" | "password" as what, _number]:
                return await self._confirm(request, digest, RESTART if what == RESTART else PASSCODE)
        return wire.refused(404, "error.notfound")

    async def _configuration(self, request: Request, digest: str, number: str) -> Response:
        told = "".join(sign for sign in number if sign.isprintable())[:_MAX_NUMBER]
        found = await self._configs.submit(ConfigItem(digest, told, _cpu(request)))
        return wire.refused(404, _UNKNOWN) if found is None else wire.written(found)

    async def _take(self, told: Told) -> Response:
        """Take what a tablet tells; a part of its log that says nothing is not even looked up."""
        if told.logged is not None and told.logged == messages.Logged():
            return wire.ok()
        is_ours = await self._is_measured(told.digest) and await self._words.submit(told)
        return wire.ok() if is_ours else wire.refused(404, _UNKNOWN)

    async def _confirm(self, request: Request, digest: str, what: str) -> Response:
        info = messages.read_info(request.body)
        if not await self._is_measured(digest):
            return wire.refused(404, _UNKNOWN)
        found = await self._threads.run(self._work.confirm, digest, what, info)
        if found is Confirmed.AGREED:
            return wire.ok()
        return wire.refused(404 if found is Confirmed.UNKNOWN else 409, f"error.{found.name.lower()}")

    async def _is_measured(self, digest: str) -> bool:
        """Put off a tablet that tells more than any sound one does; False for who is no tablet of ours.

        Raises:
            TooOftenError: it has told too much.
        """
        if await self._owner(digest) is None:
            return False
        if not self._allowance.take(digest, self._now()):
            raise TooOftenError
        return True

    # -- polls ---------------------------------------------------------------------------------------------------

    async def _poll(self, request: Request, digest: str) -> Response:
        """Hold a poll until there is news, it is time for some, or the time is over."""
        self._looks.require_room()
        device_id = await self._owner(digest)
        if device_id is None:
            return wire.refused(404, _UNKNOWN)
        # Entered before the look that counts, so that no change slips between the look and the wait.
        wait = self.waiting.enter(device_id)
        if wait is None:
            return wire.ok([]) if self.waiting.is_closed else self.busy()
        try:
            look = await self._looks.submit(digest)
            if look is None or look.device_id != device_id:
                self._owners.pop(digest, None)
                return wire.refused(404, _UNKNOWN)
            if look.has_news:
                self._note(request, look, due_s=_LATE_S)
                return wire.ok(_CONFIG_UPDATED)
            return await self._hold(request, digest, wait, look)
        finally:
            self.waiting.leave(device_id, wait)

    async def _hold(self, request: Request, digest: str, wait: Wait, look: Look) -> Response:
        for_s, until = self._dice.uniform(0.8 * HOLD_S, HOLD_S), look.until
        if until is not None:
            for_s = min(for_s, self._until_s(until))
        self._note(request, look, due_s=for_s + _LATE_S)
        wait.version = look.version if look.is_open else None
        sooner: list[asyncio.TimerHandle] = []

        async def news() -> bool | None:
            nonlocal until
            found = await self._looks.submit(digest, was_held=True)
            if found is None or found.has_news:
                return True
            wait.version = found.version if found.is_open else None  # it has that, so it is not rung for it again
            if found.until is not None and (until is None or found.until < until):
                until = found.until
                end = asyncio.get_running_loop().call_later(self._until_s(until), wait.end, Ended.OVER)
                sooner.append(end)
            return None

        begun = time.perf_counter()
        try:
            outcome = await self.waiting.hold(wait, news, for_s=for_s, gone=request.gone)
        finally:
            for end in sooner:
                end.cancel()
        held_s = time.perf_counter() - begun
        is_due = False
        if outcome is Ended.OVER and until is not None and until <= self._now():
            is_due = await news() is True
        return replace(wire.ok(_CONFIG_UPDATED if outcome is True or is_due else []), held_s=held_s)

    def _until_s(self, until: datetime) -> float:
        return max(0.0, (until - self._now()).total_seconds()) + _AFTER_SWITCH_S

    def _note(self, request: Request, look: Look, *, due_s: float) -> None:
        if look.is_open:
            now = self._now()
            poll = Poll(look.device_id, now, now + timedelta(seconds=due_s), waits=True, address=request.client)
            self._presence.note(poll)

    async def _owner(self, digest: str) -> int | None:
        """Return whose a token is, or was a moment ago: strangers shall not have the database write to find out."""
        device_id = self._owners.get(digest)
        if device_id is None and (found := await self._looks.submit(digest)) is not None:
            device_id = self._owners[digest] = found.device_id
            if len(self._owners) > _TOKENS_KEPT:
                self._owners.popitem(last=False)
        return device_id

    # -- files ---------------------------------------------------------------------------------------------------

    async def _package(self, request: Request, token: str) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return Response(405, {"allow": "GET, HEAD"})
        found: Response = await self._threads.run(self._work.package, request, token)
        return found

    async def _image(self, digest: str) -> Response:
        found = await self._threads.run(self._work.image, digest)
        if found is None:
            return Response(404)
        media_type, body = found
        told = {"content-type": media_type, "cache-control": _IMMUTABLE, "x-content-type-options": "nosniff"}
        return Response(200, told, body)


def _cpu(request: Request) -> str | None:
    told = request.headers.get("x-cpu-arch", "")
    return told if _CPU.fullmatch(told) else None
