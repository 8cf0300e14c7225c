"""The agent's side of the protocol: what to send next and what to make of the answer.

The same code runs a real tablet and a simulated one: the transport, the store and the tablet itself are given.
Invariants: what the server is told to be true is stored before it is told; a profile is in force only after it was
verified, and the tablet switches by its own schedule and corrected clock, server or not; a refused document changes
nothing. Nothing here reads a clock or opens a socket.
"""

import hashlib
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from agent_protocol import envelopes
from agent_protocol.client import BusyError, Client, believable, date_of, max_age, problem_code, read, version_of
from agent_protocol.device import AGENT_VERSION, Device
from agent_protocol.envelopes import TrustedRoot
from agent_protocol.errors import Code, UntrustedError
from agent_protocol.messages import (
    BASE_PATH,
    GENTLE_ORDERS,
    ConfigDocument,
    EnrolmentAnswer,
    EnrolmentRequest,
    Envelope,
    NonceAnswer,
    Order,
    OrderResult,
    OrderState,
    Problem,
    ReportAnswer,
    RootDocument,
    ScheduleEntry,
    decode,
    encode,
)
from agent_protocol.reporting import Pending, compose
from agent_protocol.states import REACTIONS, AgentState, Reaction
from agent_protocol.store import Store
from agent_protocol.timing import DEFAULT_POLL_S, FIRST_RETRY_S, RARELY_S, Timing, seconds_in
from agent_protocol.transport import Response, Transport, UnreachableError

_FINISHED_KEPT = 200
_CLOCK_TOLERANCE_S = 2  # Date has whole seconds, and answers take a while
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


def entry_at(schedule: list[ScheduleEntry], instant: datetime) -> ScheduleEntry:
    """Return the entry of a seamless schedule that applies at ``instant``."""
    return next(entry for entry in schedule if entry.until is None or instant < entry.until)


class Session:
    """One tablet's dealings with one server.

    Args:
        authority: the server's host and port, as requests are signed for.
        store: where the agent's memory lives.
        device: the tablet.
        dice: for jitter; give a seeded one for repeatable runs.
    """

    def __init__(self, authority: str, store: Store, device: Device, *, dice: random.Random | None = None) -> None:
        self._store = store
        self._device = device
        self.timing = Timing(dice or random.Random())  # noqa: S311 (spreads requests in time, guards nothing)
        self.memory = store.load()
        self._client = Client(authority, store, self.memory)
        self._root = TrustedRoot(*self._stored_root()) if self.memory.root is not None else None
        self._config = self._stored_config()
        self._flags: set[str] = set()
        self._told: bytes | None = None  # fingerprint of the last acknowledged report
        self._pending: Pending | None = None

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def config(self) -> ConfigDocument | None:
        """The configuration the tablet follows, None before the first."""
        return self._config

    def next_step_at(self, now: datetime) -> datetime:
        """Return when :meth:`step` next has something to do, by the tablet's own clock."""
        offset = timedelta(seconds=self.memory.clock_offset_s)
        moments = self.timing.next_at()
        if self._config is not None:
            entry = entry_at(self._config.schedule, self._client.corrected(now))
            moments += [entry.until - offset] if entry.until is not None else []
        return min(moments, default=now)

    def _stored_root(self) -> tuple[Any, Envelope]:
        envelope = self.memory.root
        assert envelope is not None  # noqa: S101 (asked by the caller)
        payload = envelopes.payload_of(envelope)
        return decode(RootDocument, payload), envelope

    def _stored_config(self) -> ConfigDocument | None:
        if self.memory.config is None:
            return None
        return decode(ConfigDocument, envelopes.payload_of(self.memory.config))

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
            self._root = TrustedRoot.pin(answer.root, now=self._client.corrected(now))
        except UntrustedError as error:
            raise RefusedError("untrusted-root", error.reason) from None
        self.memory.state = AgentState.ENROLLED
        self.memory.device_id = answer.device_id
        self.memory.root = answer.root
        self.memory.ticket = self.memory.config = self.memory.etag = None
        self._client.start_from(answer.next_sequence)
        self._config = self._told = self._pending = None
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
        if self.memory.state is AgentState.NEW:
            return
        try:
            for act in (self._poll, self._obey, self._report):
                if self.timing.may_speak(now):  # an act before may have been told to wait
                    act(transport, now)
        except BusyError as busy:
            self.timing.wait(busy.seconds, now)
        except UnreachableError:
            self.timing.wait_for_server(now)
        else:
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
        if not self.timing.poll_is_due(now):
            return
        etag = self.memory.etag if self._has_what_is_due(now) else None
        response = self._client.send(transport, now, "GET", "/config", None, etag=etag)
        if response.status not in {200, 304}:
            if self._react(response, now) is not Reaction.STAND_BACK:
                self.timing.poll_in(DEFAULT_POLL_S, now)
            return
        envelope = read(Envelope, response) if response.status == 200 else None
        self.timing.poll_in(max_age(response, DEFAULT_POLL_S), now)
        if self.memory.state is AgentState.REFUSED:
            self.memory.state = AgentState.ENROLLED
            self._store.save(self.memory)
        if envelope is not None:
            self._accept(transport, now, envelope, response.headers.get("etag"))
        else:
            self._forget_flags("config-")
        self._correct_clock(date_of(response), now)
        self.switch(now)

    def _has_what_is_due(self, now: datetime) -> bool:
        """Whether the profile that is due is in force or at hand; where not, a disk has lost it."""
        if self._config is None:
            return False
        due = entry_at(self._config.schedule, self._client.corrected(now)).profile
        return due == self.memory.applied or self._body(due) is not None

    def _accept(self, transport: Transport, now: datetime, envelope: Envelope, etag: str | None) -> None:
        """Follow a new configuration, if it is sound and its profiles can be had."""
        assert self._root is not None  # noqa: S101 (enrolled tablets have pinned one)
        try:
            config = self._root.accept_config(
                envelope,
                device_id=self.memory.device_id or "",
                key_thumbprint=self._client.thumbprint,
                newest=self._config,
            )
            wanted = [
                entry for entry in config.schedule if entry.until is None or entry.until > self._client.corrected(now)
            ]
            for entry in wanted:
                self._fetch(transport, now, entry)
        except UntrustedError as error:
            self._flags.add(f"config-{error.reason}")
            return
        self._forget_flags("config-", "agent-")
        self._config = config
        self._flags |= {"agent-too-old"} if version_of(config.min_agent) > version_of(AGENT_VERSION) else set()
        self.memory.config = envelope
        self.memory.etag = etag
        self._store.save(self.memory)
        in_force = {self.memory.applied} if self.memory.applied is not None else set()
        self._store.keep_only({entry.profile for entry in wanted} | in_force)

    def _forget_flags(self, *kinds: str) -> None:
        self._flags = {flag for flag in self._flags if not flag.startswith(kinds)}

    def _fetch(self, transport: Transport, now: datetime, entry: ScheduleEntry) -> None:
        if self._body(entry.profile) is not None:
            return
        response = self._client.send(transport, now, "GET", f"/profiles/{entry.profile}", None)
        if response.status != 200:
            self._react(response, now)
            raise UntrustedError("profile-missing")
        body = response.body
        if len(body) != entry.length or hashlib.sha256(body).hexdigest() != entry.profile:
            raise UntrustedError("forged")
        if _settings(body) is None:
            raise UntrustedError("malformed")
        self._store.put_body(entry.profile, body)

    def _body(self, digest: str) -> bytes | None:
        """Return a profile's body if it is here, and as it was."""
        body = self._store.body(digest)
        return body if body is not None and hashlib.sha256(body).hexdigest() == digest else None

    def switch(self, now: datetime) -> None:
        """Put the profile into force that is due now, by the tablet's own schedule; needs no server."""
        if self._config is None:
            return
        instant = self._client.corrected(now)
        if self._config.expires_at <= instant:
            self._flags.add("expired")
        else:
            self._flags.discard("expired")
        due = entry_at(self._config.schedule, instant).profile
        settings = _settings(self._body(due) or b"") if due != self.memory.applied else None
        if settings is None:
            return
        self.memory.applied = None  # whoever wakes after a crash in between knows that nothing whole is in force
        self._store.save(self.memory)
        failures = self._device.apply(due, settings)
        self.memory.applied, self.memory.applied_since = due, instant.astimezone(UTC)
        self.memory.failures = [(failure.key, failure.reason) for failure in failures]
        self._store.save(self.memory)

    # -- orders --------------------------------------------------------------------------------------------------

    def _obey(self, transport: Transport, now: datetime) -> None:
        if self._config is None:
            return
        for order in self._config.orders:
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
        assert self._config is not None  # noqa: S101 (asked by the caller)
        assert self._root is not None  # noqa: S101 (a configuration was accepted)
        instant = self._client.corrected(now)
        privileged = order.privileged or order.kind not in GENTLE_ORDERS
        if not envelopes.may_obey(self._config, privileged=privileged, signed_by=(), root=self._root, now=instant):
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

    def _send_report(self, transport: Transport, now: datetime, report: Pending) -> Response:
        return self._client.send(transport, now, "POST", "/reports", report.body, idempotency_key=report.report_id)

    def _news(self, now: datetime) -> Pending | None:
        """Return the report that is due or has news, None where none is."""
        report = compose(
            self.memory,
            self._device.inventory(),
            at=self._client.corrected(now),
            config_version=self._config.version if self._config is not None else None,
            flags=self._flags,
        )
        return report if self.timing.report_is_due(now) or report.news != self._told else None


def _settings(body: bytes) -> dict[str, Any] | None:
    """Return a profile's settings, None where ``body`` is no profile."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
