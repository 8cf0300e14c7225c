"""Pushes: through the vendor's service we ask a tablet to come and poll. A push says nothing but "come".

Invariants: each push ends in exactly one outcome, which says whether it is still to be sent and when; a push is sent
again only where it certainly was not processed, or where its answer was lost; a mistake of ours never counts against a
tablet's address; no address and no magic stands in a log or an error. What is pushed when, and what follows from an
outcome, is decided elsewhere.

Source: https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns,
https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns,
https://developer.apple.com/documentation/usernotifications/establishing-a-connection-to-apns.
"""

import asyncio
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from urllib.parse import urlsplit

import structlog

from fleet.channels.apple.push_connection import (
    Answer,
    AnswerLostError,
    Connection,
    NotReachedError,
    NotTakenError,
)
from fleet.mdm.push_certificate import PushCertificate

BASE_URL = "https://api.push.apple.com"
# A tablet that sleeps in a cart over a weekend still gets it. Without an expiration the service tries once and forgets.
_LIFE = timedelta(days=7)
_SEND_TRIES = 4  # over as many connections, of a push that none of them took
_MAX_AFTER_S = 24 * 3600.0  # however long the service asks us to wait
_REASON = re.compile(r"[A-Za-z]{1,64}")
_GONE = 410
_LATER_STATUSES = frozenset({429, 500, 502, 503, 504})
_LATER_REASONS = frozenset({"IdleTimeout"})  # a 400 that is no mistake of ours
_spread = secrets.SystemRandom().random
_log = structlog.get_logger("push")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a tablet is reached.

    Args:
        topic: of the push certificate it was enrolled with.
        token: as the tablet told it.
        magic: as the tablet told it.
    """

    topic: str
    token: bytes = field(repr=False)
    magic: str = field(repr=False)


class Reason(StrEnum):
    """Why a push is to be tried again."""

    UNREACHABLE = "unreachable"
    ANSWER_LOST = "answer-lost"
    NOT_TAKEN = "not-taken"
    BUSY = "busy"
    TOO_MANY = "too-many"
    SERVICE = "service"
    TOKEN_NEWER = "token-newer"  # noqa: S105 - a reason, no secret


@dataclass(frozen=True, slots=True)
class Sent:
    """The service has it. ``apns_id`` is its name there, for questions to the vendor."""

    apns_id: str | None


@dataclass(frozen=True, slots=True)
class Dead:
    """The address leads nowhere since ``since_at``: none before the tablet's next TokenUpdate does."""

    since_at: datetime


@dataclass(frozen=True, slots=True)
class TryLater:
    """Not sent, or nobody knows: to be tried again in ``after_s`` seconds."""

    reason: Reason
    after_s: float


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Refused for a mistake on our side: somebody must act; the push stays wanted.

    Args:
        reason: the service's own word, or ``topic`` (enrolled with another certificate), or ``trust:…`` (TLS).
        after_s: seconds until it may be tried again.
    """

    reason: str
    after_s: float


Outcome = Sent | Dead | TryLater | Misconfigured


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait for what, in seconds."""

    connect_s: float = 10.0
    answer_s: float = 30.0
    ping_s: float = 5.0
    ping_after_s: float = 120.0
    backoff_s: float = 5.0
    backoff_at_most_s: float = 900.0


class Pusher:
    """Sends pushes over one connection, many at once. Use it in one event loop only; ``close`` it at the end.

    Args:
        certificate: the push certificate.
        base_url: the service.
        trusted_pem: authorities the service's certificate may come from; None: those of this machine.
        timing: how long to wait.
        at_once: pushes under way at the same time, at most.
        spread: gives a number from 0 to 1 for each wait, so that tablets that failed together do not return together.
    """

    def __init__(
        self,
        certificate: PushCertificate,
        *,
        base_url: str = BASE_URL,
        trusted_pem: str | None = None,
        timing: Timing | None = None,
        at_once: int = 200,
        spread: Callable[[], float] = _spread,
    ) -> None:
        told = urlsplit(base_url)
        if told.scheme != "https" or told.hostname is None:
            raise ValueError("the push service speaks https only")
        self._host, self._port = told.hostname, told.port or 443
        self._topic = certificate.topic
        self._context = certificate.client_context(trusted_pem=trusted_pem)
        self._timing = timing or Timing()
        self._turn = asyncio.Semaphore(at_once)
        self._spread = spread
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._old: set[Connection] = set()
        self._failures = 0
        self._rest_until_s = 0.0  # by the loop's clock
        self._resting: NotReachedError | None = None
        self._said: set[str] = set()

    async def push(self, address: Address, *, token_at: datetime, now: datetime, attempt: int = 1) -> Outcome:
        """Ask one tablet to come.

        Args:
            address: where.
            token_at: when the tablet told this address: a newer one outlives an older report of its death.
            now: the present instant; the push is kept for seven days from then on.
            attempt: the how many-th time this push is tried, from 1; later ones are told longer waits.
        """
        if address.topic != self._topic:
            return self._misconfigured("topic", attempt)
        async with self._turn:
            for _ in range(_SEND_TRIES):
                try:
                    connection = await self._connected()
                    answer = await self._send(connection, address, now)
                except NotReachedError as error:
                    return self._unreached(error)
                except NotTakenError:
                    continue
                except AnswerLostError:
                    return TryLater(Reason.ANSWER_LOST, self._wait_s(attempt))
                except TimeoutError:
                    return TryLater(Reason.BUSY, self._wait_s(attempt))
                return self._outcome(answer, token_at=token_at, now=now, attempt=attempt)
        return TryLater(Reason.NOT_TAKEN, self._wait_s(attempt))

    async def close(self) -> None:
        """Close every connection; pushes under way are reported as lost answers."""
        async with self._connecting:
            for connection in (*self._old, *([self._connection] if self._connection is not None else [])):
                await connection.close()
            self._old.clear()
            self._connection = None

    async def _send(self, connection: Connection, address: Address, now: datetime) -> Answer:
        """Source: the pages above; an ``mdm`` push has this body and no ``aps`` key."""
        body = json.dumps({"mdm": address.magic}, separators=(",", ":")).encode()
        headers = (
            ("apns-topic", address.topic),
            ("apns-push-type", "mdm"),
            ("apns-expiration", str(int((now + _LIFE).timestamp()))),
        )
        path = f"/3/device/{address.token.hex()}"
        return await connection.post(path, headers, body, timeout_s=self._timing.answer_s)

    async def _connected(self) -> Connection:
        """Return the connection, a new one where the last one ended; while the service rests, say so at once.

        Raises:
            NotReachedError: there is none.
        """
        async with self._connecting:
            present = self._connection
            if present is not None and present.usable and await self._is_alive(present):
                return present
            self._connection = None
            await self._put_away(present)
            if present is not None and present.ended and not present.answers:
                self._rest(NotReachedError("unanswered", is_trust=False))
            if self._resting is not None and asyncio.get_running_loop().time() < self._rest_until_s:
                raise self._resting
            try:
                self._connection = await Connection.open(
                    self._host, self._port, self._context, timeout_s=self._timing.connect_s
                )
            except NotReachedError as error:
                self._rest(error)
                raise
            return self._connection

    def _rest(self, error: NotReachedError) -> None:
        """Leave the service alone for a while: it takes many connections in a short time for an attack."""
        self._failures += 1
        self._rest_until_s = asyncio.get_running_loop().time() + self._wait_s(self._failures)
        self._resting = error
        _log.warning("push service not reached", kind=error.kind, failures=self._failures)

    async def _is_alive(self, connection: Connection) -> bool:
        if connection.idle_s() < self._timing.ping_after_s:
            return True
        return await connection.is_alive(timeout_s=self._timing.ping_s)

    async def _put_away(self, connection: Connection | None) -> None:
        """Keep a connection that only finishes its answers until it has ended by itself."""
        for old in [one for one in self._old if one.ended]:
            self._old.discard(old)
            await old.close()
        if connection is not None:
            self._old.add(connection)

    def _unreached(self, error: NotReachedError) -> Outcome:
        left_s = max(1.0, self._rest_until_s - asyncio.get_running_loop().time())
        after_s = left_s * (1 + self._spread() / 2)  # or all would come back in the same moment
        if error.is_trust:
            self._say(f"trust:{error.kind}")
            return Misconfigured(f"trust:{error.kind}", after_s)
        return TryLater(Reason.UNREACHABLE, after_s)

    def _outcome(self, answer: Answer, *, token_at: datetime, now: datetime, attempt: int) -> Outcome:
        self._failures, self._resting = 0, None
        if answer.status == 200:
            self._said.clear()
            return Sent(answer.headers.get("apns-id"))
        told = _told(answer.body)
        word = told.get("reason")
        reason = word if isinstance(word, str) and _REASON.fullmatch(word) else f"status-{answer.status}"
        if answer.status == _GONE:
            since_at = _instant(told.get("timestamp")) or now
            if token_at > since_at:
                return TryLater(Reason.TOKEN_NEWER, self._wait_s(attempt))
            return Dead(since_at)
        if answer.status in _LATER_STATUSES or reason in _LATER_REASONS:
            asked_s = _retry_after_s(answer.headers.get("retry-after"), now)
            kind = Reason.TOO_MANY if answer.status == 429 else Reason.SERVICE
            return TryLater(kind, max(asked_s, self._wait_s(attempt)))
        return self._misconfigured(reason, attempt)

    def _misconfigured(self, reason: str, attempt: int) -> Misconfigured:
        self._say(reason)
        return Misconfigured(reason, self._wait_s(attempt))

    def _say(self, reason: str) -> None:
        """Say it loudly, but once for all tablets until a push gets through again."""
        if reason not in self._said:
            self._said.add(reason)
            _log.error("pushes are refused", reason=reason, topic=self._topic)

    def _wait_s(self, attempt: int) -> float:
        return backoff_s(attempt, self._spread(), self._timing)


def backoff_s(attempt: int, spread: float, timing: Timing) -> float:
    """Return the seconds to wait after the ``attempt``-th failure: doubling, up to a limit, shortened by up to half.

    Args:
        attempt: from 1.
        spread: from 0 (half the wait) to 1 (all of it).
        timing: the first wait and the limit.
    """
    whole = min(timing.backoff_s * 2.0 ** min(attempt - 1, 32), timing.backoff_at_most_s)
    return whole * (0.5 + spread / 2)


def _told(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _instant(milliseconds: object) -> datetime | None:
    """Return the instant of a 410. Source: the page on responses: milliseconds since 1970."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _retry_after_s(told: str | None, now: datetime) -> float:
    """Return the seconds that a Retry-After asks for, at most a day. Source: RFC 9110, 10.2.3: seconds or a date."""
    if told is None:
        return 0.0
    if told.isascii() and told.isdecimal():
        return min(float(told[:9]), _MAX_AFTER_S)
    try:
        at = parsedate_to_datetime(told)
    except (ValueError, OverflowError):
        return 0.0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - now).total_seconds()), _MAX_AFTER_S)
