"""The agent's side of the protocol: what to send next and what to make of the answer.

The same code runs a real tablet and a simulated one: the transport, the store and the tablet itself are given.
Invariants: what the server is told to be true is stored before it is told; a profile is in force only after it was
verified, and the tablet switches by its own schedule and corrected clock, server or not; a refused document changes
nothing. Nothing here reads a clock or opens a socket.
"""

import random
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import msgspec

from agent_protocol import envelopes
from agent_protocol.client import BusyError, Client, Wait, believable, date_of, max_age, problem_code, read
from agent_protocol.device import AGENT_VERSION, Device
from agent_protocol.envelopes import TrustedRoot
from agent_protocol.errors import Code, UntrustedError
from agent_protocol.following import Following
from agent_protocol.messages import (
    BASE_PATH,
    GENTLE_ORDERS,
    ConfigAnswer,
    ConfigDocument,
    EnrolmentAnswer,
    EnrolmentRequest,
    NonceAnswer,
    Order,
    OrderResult,
    OrderState,
    Problem,
    ReportAnswer,
    decode,
    encode,
)
from agent_protocol.reporting import Pending, compose
from agent_protocol.signing import match_code
from agent_protocol.states import REACTIONS, AgentState, Reaction
from agent_protocol.store import Store
from agent_protocol.timing import DEFAULT_POLL_S, FIRST_RETRY_S, RARELY_S, SHORTEST_WAIT_S, Timing, seconds_in
from agent_protocol.transport import HurriedTransport, HurryError, Response, Transport, UnreachableError

_FINISHED_KEPT = 200
_CLOCK_TOLERANCE_S = 2  # Date has whole seconds, and answers take a while
_LATE_S = 2.0  # what a request may take beyond the next switch: so late is a switch at worst
_CUT_OFF = OrderResult(OrderState.FAILED, "cut off")


class RefusedError(Exception):
    """The server refuses and trying again will not help now.

    Args:
        code: the problem's code.
        detail: the server's words.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code


class _Act(Protocol):
    def __call__(self, transport: Transport, now: datetime) -> None: ...


class Session:
    """One tablet's dealings with one server.

    Args:
        authority: the server's host and port, as requests are signed for.
        store: where the agent's memory lives.
        device: the tablet.
        dice: for jitter; give a seeded one for repeatable runs.

    Attributes:
        waits: whether polls are sent by who drives the session, as :meth:`waiting` says, and not by :meth:`step`.
        awaits_approval: whether the tablet, when it was taken in, waited for a person's approval.
    """

    waits = awaits_approval = False

    def __init__(self, authority: str, store: Store, device: Device, *, dice: random.Random | None = None) -> None:
        self._store = store
        self._device = device
        self.timing = Timing(dice or random.Random())  # noqa: S311 (spreads requests in time, guards nothing)
        self.memory = store.load()
        self._client = Client(authority, store, self.memory)
        self._following = Following(store, self.memory, device)
        self._told: bytes | None = None  # fingerprint of the last acknowledged report
        self._pending: Pending | None = None

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def match_code(self) -> str:
        """What the server shows beside this tablet, so that a person can see that it is this one."""
        return match_code(self._client.thumbprint)

    @property
    def config(self) -> ConfigDocument | None:
        """The configuration the tablet follows, None before the first."""
        return self._following.config

    def next_step_at(self, now: datetime) -> datetime:
        """Return when there is next something to do, by the tablet's own clock."""
        poll_at, switch_at = self.timing.next_poll_at(now), self._switch_at(now)
        moments = [self.timing.next_report_at(now)]
        # A waiting tablet polls after a switch rather than in the last moment before it, when it could not wait.
        if not (self.waits and switch_at is not None and not _is_worth_waiting(switch_at - max(poll_at, now))):
            moments.append(poll_at)
        return min([*moments, switch_at] if switch_at is not None else moments)

    def _switch_at(self, now: datetime) -> datetime | None:
        """Return when the tablet's own schedule has the next switch, by the tablet's own clock."""
        ends_at = self._following.ends_at(self._client.corrected(now))
        return ends_at and ends_at - timedelta(seconds=self.memory.clock_offset_s)

    def _left_s(self, now: datetime) -> float:
        """Return how long requests may take from ``now`` on without making the next switch late."""
        switch_at = self._switch_at(now)
        return max((switch_at - now).total_seconds(), 0) + _LATE_S if switch_at is not None else float("inf")

    def clock_jumped(self, seconds: float) -> None:
        """Follow the machine's clock, which somebody set ahead (or back, negative) by ``seconds``.

        The server's time did not jump, so neither does the schedule.
        """
        self.timing.shift(timedelta(seconds=seconds))
        self.memory.clock_offset_s -= seconds
        self._store.save(self.memory)

    def _correct_clock(self, said: datetime | None, now: datetime) -> None:
        told = believable(said)
        offset = (told - now).total_seconds() if told is not None else self.memory.clock_offset_s
        if abs(offset - self.memory.clock_offset_s) > _CLOCK_TOLERANCE_S:
            self.memory.clock_offset_s = offset
            self._store.save(self.memory)

    # -- enrolment -----------------------------------------------------------------------------------------------

    def enrol(self, transport: Transport, now: datetime, ticket: str) -> None:
        """Have the tablet taken in. Safe to repeat after a crash at any point: the same key is taken in once.

        Raises:
            RefusedError: the ticket does not allow it, or the server's root document is not sound.
            BusyError: the server asks to come back later.
            UnreachableError: no answer came, or something else answered.
        """
        self.memory.ticket = ticket
        self._store.save(self.memory)
        identity = self._device.identity()
        request = EnrolmentRequest(
            ticket=ticket,
            key=self._client.public_jwk,
            serial=identity.serial,
            platform=identity.platform,
            model=identity.model,
            os_version=self._device.inventory().os_version,
            agent_version=AGENT_VERSION,
        )
        given = transport.send("GET", f"{BASE_PATH}/nonce", {"Host": self._client.authority}, None)
        if given.status != 200:
            self._refuse_enrolment(given)
        nonce = read(NonceAnswer, given).nonce
        response = self._client.send(transport, now, "POST", "/enrolments", encode(request), nonce=nonce)
        if response.status not in {200, 201}:
            self._refuse_enrolment(response)
        answer = read(EnrolmentAnswer, response)
        self._correct_clock(answer.server_time, now)
        try:
            root = TrustedRoot.pin(answer.root, now=self._client.corrected(now))
        except UntrustedError as error:
            raise RefusedError("untrusted-root", error.reason) from None
        self.memory.state = AgentState.ENROLLED
        self.memory.device_id, self.memory.serial = answer.device_id, identity.serial
        self.awaits_approval = answer.awaits_approval
        self.memory.ticket = None
        self._following.start_over(root)
        self._client.start_from(answer.next_sequence)
        self._told = self._pending = None
        self._store.save(self.memory)
        self.timing.at_once(now)

    def _refuse_enrolment(self, response: Response) -> None:
        code = problem_code(response)
        if code is None or REACTIONS[code] is Reaction.NEW_NONCE:
            raise UnreachableError(f"the server answered {code or response.status}")
        if REACTIONS[code] is Reaction.WAIT:
            raise BusyError(seconds_in(response.headers.get("retry-after", ""), FIRST_RETRY_S))
        raise RefusedError(code.value, decode(Problem, response.body).detail)

    # -- the cycle -----------------------------------------------------------------------------------------------

    def step(self, transport: Transport, now: datetime) -> None:
        """Do what is due: switch, poll, obey, report. Never raises for a server that is away or refuses."""
        self.switch(now)
        if self.memory.state is AgentState.NEW or self._asks_first(now):
            return
        acts: list[_Act] = [self._obey, self._report]
        self._speak(transport, now, acts if self.waits else [self._poll, *acts])

    def waiting(self, now: datetime) -> Wait | None:
        """Return the poll to be sent now, which the server may hold; None where none is due.

        It ends before the tablet has something else to do, a switch above all.
        """
        is_due = self.timing.poll_is_due(now) and self.timing.may_speak(now)
        if not (self.waits and is_due) or self.memory.state is AgentState.NEW:
            return None
        moments = [now + timedelta(seconds=self.timing.patience_s)]
        if not self._asks_first(now):  # a report may be a little late
            moments.append(max(self.timing.next_report_at(now), now + timedelta(seconds=SHORTEST_WAIT_S)))
        switch_at = self._switch_at(now)
        pause = min([*moments, switch_at] if switch_at is not None else moments) - now
        if not _is_worth_waiting(pause):
            return None
        return self._client.wait(now, self._known_etag(now), int(pause.total_seconds()), self._left_s(now))

    def answered(self, transport: Transport, response: Response, now: datetime) -> None:
        """Take the answer to a wait, which came ``now``, as :meth:`step` takes a poll's; then obey and report."""
        self.switch(now)
        self.timing.waited(is_answered=True)
        self._speak(transport, now, [partial(self._take_poll, response), self._obey, self._report], is_heard=True)

    def unanswered(self, now: datetime) -> None:
        """Note that a wait was over ``now`` without an answer."""
        self.switch(now)
        self.timing.waited(is_answered=False)
        self.timing.wait_for_server(now)

    def _asks_first(self, now: datetime) -> bool:
        """Whether a tablet that waits has nothing yet to report: the server does not hold who knows nothing."""
        return self.waits and self.config is None and self.timing.poll_is_due(now)

    def _speak(self, transport: Transport, now: datetime, acts: list[_Act], *, is_heard: bool = False) -> None:
        hurried = HurriedTransport(transport)
        try:
            for act in acts:
                hurried.within_s = self._left_s(now)  # an act before may have brought another schedule
                if self.timing.may_speak(now):  # an act before may have been told to wait
                    act(hurried, now)
        except BusyError as busy:
            self.timing.wait(busy.seconds, now)
        except HurryError:  # the switch comes first, and what is left after it
            pass
        except UnreachableError:
            self.timing.wait_for_server(now)
        else:
            if is_heard or hurried.is_heard:
                self.timing.went_well()

    def _react(self, response: Response, now: datetime) -> Reaction:
        code = problem_code(response)
        asked = response.headers.get("retry-after", "")
        if code is None and not asked:
            raise UnreachableError(f"something else answered {response.status}")
        reaction = REACTIONS[code] if code is not None else Reaction.WAIT
        if reaction is Reaction.STAND_BACK:
            if code is Code.REVOKED:
                self.memory.state = AgentState.REFUSED
                self._store.save(self.memory)
            self.timing.wait(RARELY_S, now)
        elif reaction is Reaction.WAIT:
            raise BusyError(seconds_in(asked, FIRST_RETRY_S))
        elif reaction is Reaction.RAISE_SEQUENCE:
            self._client.go_on_from((decode(Problem, response.body).last_sequence or 0) + 1)
        return reaction

    def _poll(self, transport: Transport, now: datetime) -> None:
        if self.timing.poll_is_due(now):
            etag = self._known_etag(now)
            self._take(transport, now, self._client.send(transport, now, "GET", "/config", None, If_None_Match=etag))

    def _known_etag(self, now: datetime) -> str | None:
        return self._following.known_etag(self._client.corrected(now))

    def _take_poll(self, response: Response, transport: Transport, now: datetime) -> None:
        """Take the answer to a poll that somebody else sent."""
        if self._client.takes_time_of(response, now):
            self._poll(transport, now)
        else:
            self._take(transport, now, response)

    def _take(self, transport: Transport, now: datetime, response: Response) -> None:
        if response.status not in {200, 304}:
            if self._react(response, now) is not Reaction.STAND_BACK:
                self.timing.poll_in(DEFAULT_POLL_S, now)
            return
        answer = read(ConfigAnswer, response) if response.status == 200 else None
        self._correct_clock(date_of(response), now)  # first: what is over by a wrong clock would not be kept
        pause = max_age(response, DEFAULT_POLL_S)
        self.timing.poll_in(pause, now)
        if self.memory.state is AgentState.REFUSED:
            self.memory.state = AgentState.ENROLLED
            self._store.save(self.memory)
        if answer is None:
            self._following.forget_flags("config-")
        elif not self._accept(transport, now, answer, response.headers.get("etag")):
            self.timing.poll_in(max(pause, DEFAULT_POLL_S), now)  # it would come again at once
        self.switch(now)

    def _accept(self, transport: Transport, now: datetime, answer: ConfigAnswer, etag: str | None) -> bool:
        def fetch(digest: str) -> bytes:
            response = self._client.send(transport, now, "GET", f"/profiles/{digest}", None)
            if response.status != 200:
                self._react(response, now)
                raise UntrustedError("profile-missing")
            return response.body

        instant = self._client.corrected(now)
        return self._following.accept(answer, etag, thumbprint=self._client.thumbprint, instant=instant, fetch=fetch)

    def switch(self, now: datetime) -> None:
        """Put the profile into force that is due now, by the tablet's own schedule; needs no server."""
        self._following.switch(self._client.corrected(now))

    # -- orders --------------------------------------------------------------------------------------------------

    def _obey(self, transport: Transport, now: datetime) -> None:
        for order in self.config.orders if self.config is not None else ():
            if order.id not in self.memory.finished_orders and order.id not in self.memory.unsent_results:
                self._obey_one(order, now)
        for order_id, result in list(self.memory.unsent_results.items()):
            response = self._client.send(transport, now, "POST", f"/orders/{order_id}/result", encode(result))
            if response.status not in {204, 410} and self._react(response, now) is not Reaction.DROP:
                return  # later, under a new number
            del self.memory.unsent_results[order_id]
            self.memory.finished_orders = [*self.memory.finished_orders, order_id][-_FINISHED_KEPT:]
            self._store.save(self.memory)

    def _obey_one(self, order: Order, now: datetime) -> None:
        config, root = self.config, self._following.root
        assert config is not None  # noqa: S101 (asked by the caller)
        assert root is not None  # noqa: S101 (a configuration was accepted)
        instant = self._client.corrected(now)
        privileged = order.privileged or order.kind not in GENTLE_ORDERS
        if not envelopes.may_obey(config, privileged=privileged, signed_by=(), root=root, now=instant):
            result = OrderResult(OrderState.REFUSED, "needs the signatures of the destructive role")
        elif order.expires_at <= instant:
            result = OrderResult(OrderState.REFUSED, "expired")
        else:
            # Should the agent die in the middle, this is what it will tell: an order is never carried out twice.
            self._keep_result(order, _CUT_OFF)
            result = OrderResult(*self._device.obey(order))
        self._keep_result(order, result)

    def _keep_result(self, order: Order, result: OrderResult) -> None:
        self.memory.unsent_results[order.id] = msgspec.to_builtins(result)
        self._store.save(self.memory)

    # -- reports -------------------------------------------------------------------------------------------------

    def _report(self, transport: Transport, now: datetime) -> None:
        is_old = self._pending is not None
        report = self._pending or self._news(now)
        if report is None:
            return
        self._pending = report
        response = self._send_report(transport, now, report)
        if response.status != 200:
            reaction = self._react(response, now)
            if reaction is Reaction.RAISE_SEQUENCE:
                response = self._send_report(transport, now, report)
            elif reaction is Reaction.DROP:
                self._pending = None
        if response.status != 200:
            if self.timing.may_speak(now):
                self.timing.report_in(FIRST_RETRY_S, now)
            return
        answer = read(ReportAnswer, response)
        self._pending, self._told = None, report.news
        self.timing.report_in(answer.next_report_s, now)
        self._correct_clock(answer.server_time, now)
        if answer.config != self.memory.etag:
            self.timing.poll_at = now
        if is_old:  # what has changed since it was written
            self._report(transport, now)

    def _send_report(self, transport: Transport, now: datetime, report: Pending) -> Response:
        return self._client.send(transport, now, "POST", "/reports", report.body, Idempotency_Key=report.report_id)

    def _news(self, now: datetime) -> Pending | None:
        """Return the report that is due or has news, None where none is."""
        report = compose(
            self.memory,
            self._device.inventory(),
            at=self._client.corrected(now),
            config_version=self.config.version if self.config is not None else None,
            flags=self._following.flags,
        )
        return report if self.timing.report_is_due(now) or report.news != self._told else None


def _is_worth_waiting(pause: timedelta) -> bool:
    return pause >= timedelta(seconds=SHORTEST_WAIT_S)
