"""The agent's side of the protocol: what to send next and what to make of the answer.

The same code runs a real tablet and a simulated one: the transport, the store and the tablet itself are given.
Invariants: what the server is told to be true is stored before it is told; a profile is in force only after it was
verified, and the tablet switches by its own schedule and corrected clock, server or not; a refused document changes
nothing. Nothing here reads a clock or opens a socket.
"""

import hashlib
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from agent_protocol import envelopes
from agent_protocol.client import BusyError, Client, max_age, problem_code, read
from agent_protocol.device import AGENT_VERSION, Device
from agent_protocol.envelopes import TrustedRoot
from agent_protocol.errors import Code, MalformedError, UntrustedError
from agent_protocol.messages import (
    BASE_PATH,
    Applied,
    ConfigDocument,
    EnrolmentAnswer,
    EnrolmentRequest,
    Envelope,
    Failure,
    NonceAnswer,
    Order,
    OrderResult,
    OrderState,
    Problem,
    Report,
    ReportAnswer,
    RootDocument,
    ScheduleEntry,
    decode,
    encode,
)
from agent_protocol.states import REACTIONS, AgentState, Reaction
from agent_protocol.store import Store
from agent_protocol.transport import Response, Transport, UnreachableError

RARELY_S = 6 * 3600
FIRST_RETRY_S = 5
LONGEST_RETRY_S = 900
_FINISHED_KEPT = 200


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
        self._dice = dice or random.Random()  # noqa: S311 (spreads requests in time, guards nothing)
        self.memory = store.load()
        self._client = Client(authority, store, self.memory)
        self._root = TrustedRoot(*self._stored_root()) if self.memory.root is not None else None
        self._config = self._stored_config()
        self._flags: set[str] = set()
        self._told: bytes | None = None  # fingerprint of the last acknowledged report
        self._pending: tuple[str, bytes, bytes] | None = None  # id, body and fingerprint of an unanswered report
        self._failed_in_a_row = 0
        self.next_poll_at: datetime | None = None
        self.next_report_at: datetime | None = None

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def config(self) -> ConfigDocument | None:
        """The configuration the tablet follows, None before the first."""
        return self._config

    def next_step_at(self, now: datetime) -> datetime:
        """Return when :meth:`step` next has something to do, by the tablet's own clock."""
        offset = timedelta(seconds=self.memory.clock_offset_s)
        moments = [moment for moment in (self.next_poll_at, self.next_report_at) if moment is not None]
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

    # -- enrolment -----------------------------------------------------------------------------------------------

    def enrol(self, transport: Transport, now: datetime, ticket: str) -> None:
        """Have the tablet taken in. Safe to repeat after a crash at any point: the same key is taken in once.

        Raises:
            RefusedError: the ticket does not allow it, or the server's root document is not sound.
            UnreachableError: no answer came, or the server is busy.
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
            raise UnreachableError(f"the server answered {given.status}")
        nonce = read(NonceAnswer, given).nonce
        response = self._client.send(transport, now, "POST", "/enrolments", encode(request), nonce=nonce)
        if response.status not in {200, 201}:
            self._refuse_enrolment(response)
        answer = read(EnrolmentAnswer, response)
        self.memory.clock_offset_s = (answer.server_time - now).total_seconds()
        try:
            self._root = TrustedRoot.pin(answer.root, now=self._client.corrected(now))
        except UntrustedError as error:
            raise RefusedError("untrusted-root", error.reason) from None
        self.memory.state = AgentState.ENROLLED
        self.memory.device_id = answer.device_id
        self.memory.root = answer.root
        self.memory.ticket = self.memory.config = self.memory.etag = None
        self._client.go_on_from(answer.next_sequence)
        self._config = self._told = self._pending = None
        self._store.save(self.memory)
        self.next_poll_at = self.next_report_at = now

    def _refuse_enrolment(self, response: Response) -> None:
        code = problem_code(response)
        if code is None or REACTIONS[code] in {Reaction.WAIT, Reaction.NEW_NONCE}:
            raise UnreachableError(f"the server answered {code or response.status}")
        raise RefusedError(code.value, decode(Problem, response.body).detail)

    # -- the cycle -----------------------------------------------------------------------------------------------

    def step(self, transport: Transport, now: datetime) -> None:
        """Do what is due: switch, poll, obey, report. Never raises for a server that is away or refuses."""
        self.switch(now)
        if self.memory.state is AgentState.NEW:
            return
        try:
            if self.next_poll_at is None or now >= self.next_poll_at:
                self._poll(transport, now)
                self.switch(now)
            self._obey(transport, now)
            self._report(transport, now)
        except BusyError as busy:
            self._wait(now, busy.seconds)
        except UnreachableError:
            self._failed_in_a_row += 1
            self._wait(now, min(FIRST_RETRY_S * 2 ** min(self._failed_in_a_row, 10), LONGEST_RETRY_S))
        else:
            self._failed_in_a_row = 0

    def _wait(self, now: datetime, seconds: float) -> None:
        """Put off what is due by ``seconds`` and up to half as much again, so that tablets do not come all at once."""
        moment = now + timedelta(seconds=seconds * (1 + self._dice.random() / 2))
        self.next_poll_at = max(self.next_poll_at or moment, moment)
        if self.next_report_at is not None:
            self.next_report_at = max(self.next_report_at, moment)

    def _react(self, response: Response, now: datetime) -> Reaction:
        code = problem_code(response)
        reaction = REACTIONS[code] if code is not None else Reaction.WAIT
        if reaction is Reaction.STAND_BACK:
            if code is Code.REVOKED:
                self.memory.state = AgentState.REFUSED
                self._store.save(self.memory)
            self._wait(now, RARELY_S)
        elif reaction is Reaction.WAIT:
            text = response.headers.get("retry-after", "")
            raise BusyError(int(text) if text.isdecimal() else FIRST_RETRY_S)
        elif reaction is Reaction.RAISE_SEQUENCE:
            self._client.go_on_from((decode(Problem, response.body).last_sequence or 0) + 1)
        return reaction

    def _poll(self, transport: Transport, now: datetime) -> None:
        response = self._client.send(transport, now, "GET", "/config", None, etag=self.memory.etag)
        self.next_poll_at = now + timedelta(seconds=max_age(response))
        if response.status not in {200, 304}:
            self._react(response, now)
            return
        if self.memory.state is AgentState.REFUSED:
            self.memory.state = AgentState.ENROLLED
            self._store.save(self.memory)
        if response.status == 200:
            self._accept(transport, now, response)

    def _accept(self, transport: Transport, now: datetime, response: Response) -> None:
        """Follow a new configuration, if it is sound and its profiles can be had."""
        assert self._root is not None  # noqa: S101 (enrolled tablets have pinned one)
        try:
            envelope = decode(Envelope, response.body)
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
        except MalformedError:
            self._flags.add("config-malformed")
            return
        except UntrustedError as error:
            self._flags.add(f"config-{error.reason}")
            return
        self._flags = {flag for flag in self._flags if not flag.startswith("config-")}
        self._config = config
        self.memory.config = envelope
        self.memory.etag = response.headers.get("etag")
        self._store.save(self.memory)
        in_force = {self.memory.applied} if self.memory.applied is not None else set()
        self._store.keep_only({entry.profile for entry in wanted} | in_force)

    def _fetch(self, transport: Transport, now: datetime, entry: ScheduleEntry) -> None:
        if self._store.body(entry.profile) is not None:
            return
        response = self._client.send(transport, now, "GET", f"/profiles/{entry.profile}", None)
        if response.status != 200:
            raise UntrustedError("profile-missing")
        body = response.body
        if len(body) != entry.length or hashlib.sha256(body).hexdigest() != entry.profile:
            raise UntrustedError("forged")
        self._store.put_body(entry.profile, body)

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
        body = self._store.body(due) if due != self.memory.applied else None
        if body is None:
            return
        self.memory.applied = None  # whoever wakes after a crash in between knows that nothing whole is in force
        self._store.save(self.memory)
        failures = self._device.apply(due, msgspec.json.decode(body, type=dict[str, Any]))
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
        if not envelopes.may_obey(
            self._config, privileged=order.privileged, signed_by=(), root=self._root, now=instant
        ):
            state, detail = OrderState.REFUSED, "needs the signatures of the destructive role"
        elif order.expires_at <= instant:
            state, detail = OrderState.REFUSED, "expired"
        else:
            state, detail = self._device.obey(order)
        self.memory.unsent_results[order.id] = msgspec.to_builtins(OrderResult(state, detail))
        self._store.save(self.memory)

    # -- reports -------------------------------------------------------------------------------------------------

    def _report(self, transport: Transport, now: datetime) -> None:
        if self._pending is None:
            self._pending = self._compose(now)
        if self._pending is None:
            return
        report_id, body, told = self._pending
        response = self._client.send(transport, now, "POST", "/reports", body, idempotency_key=report_id)
        if response.status != 200:
            reaction = self._react(response, now)
            if reaction is Reaction.RAISE_SEQUENCE:
                response = self._client.send(transport, now, "POST", "/reports", body, idempotency_key=report_id)
            elif reaction is Reaction.DROP:
                self._pending = None
        if response.status != 200:
            self.next_report_at = max(self.next_report_at or now, now + timedelta(seconds=FIRST_RETRY_S))
            return
        answer = read(ReportAnswer, response)
        self._pending, self._told = None, told
        self.next_report_at = now + timedelta(seconds=answer.next_report_s)
        offset = (answer.server_time - now).total_seconds()
        if abs(offset - self.memory.clock_offset_s) > 1:
            self.memory.clock_offset_s = offset
            self._store.save(self.memory)
        if answer.config != self.memory.etag:
            self.next_poll_at = now

    def _compose(self, now: datetime) -> tuple[str, bytes, bytes] | None:
        """Return id, body and fingerprint of the report that is due, None where none is."""
        found = self._device.inventory()
        report = Report(
            report_id=str(uuid.uuid4()),  # not from the dice: a restarted run must not repeat an id
            reported_at=self._client.corrected(now).astimezone(UTC),
            config_version=self._config.version if self._config is not None else None,
            applied=Applied(self.memory.applied, self.memory.applied_since),
            failures=[Failure(key, reason) for key, reason in self.memory.failures],
            os_version=found.os_version,
            model=found.model,
            agent_version=AGENT_VERSION,
            battery_percent=found.battery_percent,
            storage_total_bytes=found.storage_total_bytes,
            storage_free_bytes=found.storage_free_bytes,
            apps=list(found.apps),
            clock_offset_s=round(self.memory.clock_offset_s),
            attributes=dict(found.attributes),
            flags=sorted(self._flags),
        )
        # Battery and storage change all the time: they ride along, they are no reason to report.
        told = encode([report.applied, report.failures, report.os_version, report.model, report.apps, report.flags])
        due = self.next_report_at is None or now >= self.next_report_at
        return (report.report_id, encode(report), told) if due or told != self._told else None
