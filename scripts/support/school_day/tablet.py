"""A lean simulated tablet: the native protocol's requests, really signed, over a connection of its own.

It does what ``agent_protocol.session`` does (report before waiting, the same bytes again until an answer comes, each
under a new number, apply by the schedule, obey once, stay quiet when told to), without keeping anything on a disk: some
thousand share one process. Not here: enrolment, and the root document's role; of configurations some are verified.
"""

import asyncio
import random
import time
import uuid
from dataclasses import dataclass
from typing import Any

import msgspec

from agent_protocol.messages import BASE_PATH, Problem, ReportAnswer
from bench.school import Tablet as Credentials
from fleet import clock
from school_day import wire
from school_day.around import Around
from school_day.following import Following
from school_day.wire import Answer
from school_day.world import Place, Span, TabletDay

BAR_S = 10.0  # within which a lesson's change shall be on a present tablet
_ANSWER_S, _HOLD_S = 20.0, 50  # how long an agent waits for an answer; for how long it asks to be held
_FIRST_RETRY_S, _LONGEST_RETRY_S = 10.0, 900.0
_LOST_S, _AGAIN_S = 20.0, 10.0  # by the day's clock: until a lost request is given up, and until it is sent again
_STALE_S = 2.0  # so soon, an ended connection was a kept one that the server had given up
_QUIET_FACTOR = 5  # out of school the server asks for less; here its schools are open around the clock
_APPS = [{"id": f"no.example.app{number}", "version": "1.0"} for number in range(4)]
_REPORT = msgspec.json.Decoder(ReportAnswer)
_PROBLEM = msgspec.json.Decoder(Problem)
_DONE = b'{"state":"done","detail":""}'


@dataclass(slots=True)
class _Asked:
    """A request that waits for its answer; ``is_lost``: the Wi-Fi lost it, or will lose the answer."""

    what: str
    name: str
    due_at: float
    sent_at: float
    ends_at: float
    is_lost: bool = False


@dataclass(slots=True)
class _Expected:
    what: str
    digest: str
    since: float


class Tablet(asyncio.Protocol):
    """One tablet on its day.

    Args:
        day: what happens to it.
        credentials: its key and number.
        around: the crowd.
        seed: what its luck follows from.
    """

    def __init__(self, day: TabletDay, credentials: Credentials, around: Around, *, seed: int) -> None:
        self.day, self._own, self._around = day, credentials, around
        self._dice = random.Random(f"{seed}/driven/{day.number}")  # noqa: S311 (make-believe)
        self.span: Span | None = None
        self.is_deaf = False
        self._is_over = False
        self._os_version = "18.4"
        self._following = Following()
        self._told: tuple[Any, ...] | None = None  # as the last acknowledged report said
        self._reported: tuple[Any, ...] | None = None  # as the last one said that was written
        self._pending: tuple[str, bytes] | None = None
        self._results: dict[str, bytes] = {}
        self._obeyed: set[str] = set()
        self._poll_at = self._report_at = self._quiet_until = 0.0
        self._wanted_at: float | None = None  # since when it has wanted to send what is due
        self._failed_in_a_row = 0
        self._transport: asyncio.WriteTransport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._answers = 0  # on this connection
        self._buffer = b""
        self._asked: _Asked | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expected: _Expected | None = None

    # -- what happens to it ----------------------------------------------------------------------------------------

    @property
    def is_present(self) -> bool:
        """Whether it is in use at school, and has a network."""
        return self.span is not None and self.span.place is Place.SCHOOL and not self.is_deaf

    @property
    def is_known(self) -> bool:
        """Whether the server has taken a report that says all there is."""
        return self._told is not None and self._told == self._news()

    @property
    def is_held(self) -> bool:
        """Whether it waits at the server."""
        return self._asked is not None and self._asked.what == "held-poll"

    def open(self, span: Span) -> None:
        """Be taken out, where there is a network: ask at once, and tell whatever is due."""
        if self.span is None:
            self.span = span
            self._poll_at = 0.0
            self._failed_in_a_row = 0
            self._quiet_until = 0.0
            self._go()

    def shut(self) -> None:
        """Be shut, or leave the network: nobody is told."""
        if self.span is not None:
            self.span, self.is_deaf = None, False
            self._unexpect()
            self._hang_up()

    def mute(self) -> None:
        """Lose the access point: the connection is there still, for all that the server can see."""
        if self.span is not None:
            self._unexpect()
            self.is_deaf = True
            self._sleep()

    def unmute(self) -> None:
        """Have the access point back: the old connection is worth nothing."""
        if self.is_deaf:
            self.is_deaf = False
            self._hang_up()
            self._poll_at = 0.0
            self._go()

    def update(self, os_version: str) -> None:
        """Have another system from now on."""
        self._os_version = os_version

    def expect(self, what: str, digest: str, since: float) -> None:
        """Note that a teacher's form was sent at an instant, which will have it apply something."""
        self._unexpect()
        if self.is_present and self._following.applied != digest:
            self._expected = _Expected(what, digest, since)

    def _unexpect(self) -> None:
        expected, self._expected = self._expected, None
        if expected is not None and time.perf_counter() - expected.since > BAR_S:
            self._around.tally.missed[expected.what] += 1

    def wake_up(self) -> None:
        """Begin the day: the last report was yesterday's, so the next one is due."""
        self._report_at = 0.0

    @property
    def is_asking(self) -> bool:
        """Whether something is still to be answered."""
        return self._asked is not None and not self.is_deaf

    def wind_down(self) -> None:
        """Begin nothing more: the day is over once what was asked is answered."""
        self._is_over = True
        self._sleep()
        if self.is_held:
            self._hang_up()

    def finish(self) -> None:
        """End the day: what is not answered now is not known to be stored."""
        self.shut()
        if self._pending is not None and self._pending[0] not in self._around.ledger.acknowledged:
            self._around.ledger.unsure.add(self._pending[0])

    # -- what it does next -----------------------------------------------------------------------------------------

    def _go(self) -> None:
        """Send what is due, or sleep until something is."""
        is_busy = self._asked is not None or self._connecting is not None
        if is_busy or self._is_over or self.span is None or self.is_deaf:
            return
        self._sleep()
        now = time.perf_counter()
        self._switch()
        due_at = max(self._due_at(), self._quiet_until)
        if due_at > now:
            self._timer = asyncio.get_running_loop().call_later(due_at - now, self._go)
            return
        self._wanted_at = self._wanted_at or due_at or now
        if self._transport is None:
            self._connecting = asyncio.ensure_future(self._connect(self.span.place))
        else:
            self._send(self._wanted_at, now)

    def _sleep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due_at(self) -> float:
        if self._following.config is None:
            return self._poll_at
        if self._results or self._following.missing or self._pending is not None or self._news() != self._told:
            return 0.0
        moments = [self._poll_at, self._report_at]
        switch_at = self._following.switch_in_s(clock.now())
        return min([*moments, time.perf_counter() + switch_at] if switch_at is not None else moments)

    def _send(self, due_at: float, now: float) -> None:
        what, name, request, answer_s = self._next_request(now)
        self._asked = asked = _Asked(what, name, due_at, now, now + answer_s)
        self._wanted_at = None
        if what == "report":
            self._around.ledger.sent += 1
        if self._dice.random() < self.day.loss:
            asked.is_lost = True
            asked.ends_at = now + max(1.0, self._around.clock.seconds(_LOST_S))
            is_sent = self._dice.random() < 0.5
            self._around.tally.met["lost-answer" if is_sent else "lost-request"] += 1
            if not is_sent:
                return
        assert self._transport is not None  # noqa: S101 (asked by the caller)
        self._transport.write(request)

    def _next_request(self, now: float) -> tuple[str, str, bytes, float]:
        """Return what is due first: its kind, what it is about, the request, how long to wait for the answer."""
        if self._following.config is not None:
            if self._results:
                order, result = next(iter(self._results.items()))
                return "result", order, self._own.post(f"{BASE_PATH}/orders/{order}/result", result), _ANSWER_S
            if self._following.missing:
                return "fetch", self._following.missing[0], wire.fetch(self._own, self._following.missing[0]), _ANSWER_S
            if self._pending is None and (self._news() != self._told or now >= self._report_at):
                self._pending = self._report()
            if self._pending is not None:
                report_id, body = self._pending
                told = self._own.post(f"{BASE_PATH}/reports", body, **{"Idempotency-Key": report_id})
                return "report", report_id, told, _ANSWER_S
        wait_s = (
            int(min(_HOLD_S, self._report_at - now)) if self._following.config is not None and self._may_wait() else 0
        )
        if wait_s < 2:
            return "poll", "", wire.poll(self._own, self._following.etag, 0), _ANSWER_S
        return "held-poll", "", wire.poll(self._own, self._following.etag, wait_s), wait_s + 3.0

    def _may_wait(self) -> bool:
        return self._around.is_open(self.day.class_number, self._around.clock.now())

    def _interval(self, seconds: float) -> float:
        """Return how long an interval that the server asked for is here."""
        return self._around.clock.seconds(seconds if self._may_wait() else seconds * _QUIET_FACTOR)

    def _news(self) -> tuple[Any, ...]:
        return self._following.applied, self._os_version

    def _report(self) -> tuple[str, bytes]:
        news = self._news()
        report_id = str(uuid.UUID(int=self._dice.getrandbits(128), version=4))
        told = {
            "report_id": report_id,
            "reported_at": clock.now(),
            "applied": {"profile": self._following.applied, "since": self._following.applied_at},
            "config_version": self._following.config.version if self._following.config is not None else None,
            "os_version": self._os_version,
            "model": "Skoledag 11",
            "agent_version": "1.0",
            "battery_percent": self.day.battery_at(self._around.clock.now()),
            "storage_total_bytes": 2**36,
            "storage_free_bytes": 2**35 - self._own.sequence * 2**20,
            "apps": _APPS,
        }
        self._reported = news
        return report_id, msgspec.json.encode(told)

    # -- the connection --------------------------------------------------------------------------------------------

    async def _connect(self, place: Place) -> None:
        loop, school = asyncio.get_running_loop(), self._around.school_of(self.day.class_number)
        own = (wire.address(place, school, self.day.number), 0)
        try:
            await loop.create_connection(lambda: self, "127.0.0.1", self._around.port, local_addr=own)
        except OSError:
            self._around.tally.met["unreachable"] += 1
            self._wait_for_server()
        finally:
            self._connecting = None
        self._go()

    def connection_made(self, transport: Any) -> None:
        """Have a connection."""
        self._transport, self._buffer, self._answers = transport, b"", 0
        if self.span is None or self.is_deaf:  # shut meanwhile
            self._hang_up()

    def connection_lost(self, _error: Exception | None) -> None:
        """Lose it: where it was a kept one ask again at once, else as an agent does whose server is away."""
        self._transport = None
        asked, self._asked = self._asked, None
        if asked is None or self.span is None or self.is_deaf:
            return
        is_stale = self._answers > 0 and asked.what != "held-poll" and time.perf_counter() - asked.sent_at < _STALE_S
        if not (is_stale or asked.is_lost):
            self._around.tally.met["cut"] += 1
            self._wait_for_server()
        self._go()

    def _hang_up(self) -> None:
        self._sleep()
        self._asked = self._wanted_at = None
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def _wait_for_server(self) -> None:
        pause = min(_FIRST_RETRY_S * 2**self._failed_in_a_row, _LONGEST_RETRY_S)
        self._failed_in_a_row += 1
        self._wanted_at = None
        self._quiet_until = time.perf_counter() + pause * self._dice.uniform(1, 1.5)

    def look_up(self, now: float) -> None:
        """Give up what was not answered in time."""
        asked = self._asked
        if asked is None or now < asked.ends_at or self.is_deaf:
            return
        self._hang_up()
        if asked.is_lost:
            again_s = max(1.0, self._around.clock.seconds(_AGAIN_S))
            self._quiet_until = now + again_s * self._dice.uniform(1, 1.5)
        else:
            self._around.tally.met["no-answer"] += 1
            self._wait_for_server()
        self._go()

    def data_received(self, data: bytes) -> None:
        """Take an answer once all of it is here."""
        if self.is_deaf:
            return
        self._buffer += data
        answer = wire.taken(self._buffer)
        if answer is None:
            return
        self._buffer = b""
        asked = self._asked
        if asked is None or asked.is_lost:
            return
        self._asked = None
        self._answers += 1
        self._answered(asked, answer)
        self._go()

    # -- what it is told -------------------------------------------------------------------------------------------

    def _answered(self, asked: _Asked, answer: Answer) -> None:
        now, tally = time.perf_counter(), self._around.tally
        if answer.status in {429, 500, 503}:
            tally.met["shed" if answer.status != 500 else "failed"] += 1
            self._quiet_until = now + answer.retry_after_s * self._dice.uniform(1, 1.5)
            return
        self._failed_in_a_row = 0
        if answer.status == 409:
            last = _PROBLEM.decode(answer.body).last_sequence
            if last is not None:  # else the same word is under way twice
                tally.met["renumbered"] += 1
                self._own.sequence = max(self._own.sequence, last + 1)
                return
        tally.took(asked.what, now - asked.due_at)
        match asked.what, answer.status:
            case "report", 200:
                self._acknowledged(_REPORT.decode(answer.body), now)
            case "result", 204 | 404 | 410:
                self._results.pop(asked.name, None)
                if answer.status == 204:
                    self._around.ledger.closed.add(asked.name)
            case "fetch", 200:
                self._following.have(asked.name)
            case "poll" | "held-poll", 200 | 304:
                self._heard(answer, now)
            case _:
                tally.unexpected[answer.status] += 1
                self._quiet_until = now + _FIRST_RETRY_S

    def _acknowledged(self, answer: ReportAnswer, now: float) -> None:
        assert self._pending is not None  # noqa: S101 (it was what was answered)
        self._around.ledger.acknowledged.add(self._pending[0])
        self._pending, self._told = None, self._reported
        self._report_at = now + self._interval(answer.next_report_s)
        if answer.config != self._following.etag:
            self._poll_at = now

    def _heard(self, answer: Answer, now: float) -> None:
        told_s = answer.max_age_s
        # A second means: come again to be held, which is between tablet and server; more is an interval of the day.
        self._poll_at = now + (told_s if told_s <= 1 else self._interval(told_s))
        if answer.status == 304:
            return
        self._around.checks(self._following.take(answer))
        assert self._following.config is not None  # noqa: S101 (it was taken just now)
        for order in self._following.config.orders:
            if order.id not in self._obeyed:
                self._obeyed.add(order.id)
                self._around.ledger.obeyed[order.id] += 1
                self._around.ledger.wishes[self._own.device_id, str(order.payload.get("text"))] += 1
                self._results[order.id] = _DONE

    def _switch(self) -> None:
        """Put into force what is due; where it is what a teacher's form was to bring, that is there now."""
        if not self._following.switch(clock.now()):
            return
        expected = self._expected
        if expected is not None and expected.digest == self._following.applied:
            self._expected = None
            self._around.tally.arrived(expected.what, time.perf_counter() - expected.since)
