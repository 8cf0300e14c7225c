"""The native channel's door: paths, signatures, refusals. What happens behind is :mod:`fleet.channels.native.work`.

Source: agent_protocol/README.md.
"""

import base64
import hashlib
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from agent_protocol import signing
from agent_protocol.errors import STATUS, TYPE_PREFIX, Code, MalformedError, ProtocolError
from agent_protocol.messages import (
    ENVELOPE_MEDIA_TYPE,
    MAX_BODY_BYTES,
    PROBLEM_MEDIA_TYPE,
    EnrolmentAnswer,
    EnrolmentRequest,
    NonceAnswer,
    OrderResult,
    Problem,
    Report,
    ReportAnswer,
    decode,
    encode,
)
from agent_protocol.signing import SignedRequest
from fleet.allowance import Allowance
from fleet.channels.batching import Batcher, FullError, Queue, TooOftenError
from fleet.channels.http import Request, Response, preferred_wait_s
from fleet.channels.native.authority import Authority
from fleet.channels.native.pace import Pace
from fleet.channels.native.signatures import Checked
from fleet.channels.native.work import Config, PollItem, ResultItem, Work, etag_of, to_report
from fleet.channels.presence import Presence
from fleet.channels.threads import Threads
from fleet.channels.wake import Ended, Wait, Waiting
from fleet.checkins.presence import Poll
from fleet.checkins.receive import Answer
from fleet.checkins.receive import Report as OurReport
from fleet.devices.enrolment import Refused
from fleet.errors import FleetError, NotFoundError

_NONCE_LIFE_S = 300
_KEYS_KEPT, _SIGNATURES_KEPT = 50_000, 10_000
# Of reports and results, for each tablet: whoever holds its key, a pupil with time perhaps, shall not fill the disk.
_WRITES_AT_ONCE, _WRITE_EVERY_S = 300, 2.0
_MAX_ENROLMENT_BYTES = 8 * 1024  # read before it is known who sends it
_JSON = "application/json"
_AT_ONCE_S = 1  # until the next poll of who was held, or will be
_LATE_S = 5.0  # that a tablet may take to come again and still counts as present
_ORDER = re.compile(r"[0-9a-f]{32}")
_IMMUTABLE = "private, max-age=31536000, immutable"


class NativeChannel:
    """Answers the native agents.

    Args:
        work: the units of work.
        authority: what the server signs with.
        authority_name: the server's host and port, as requests must be signed for.
        pace: when tablets come next, and who is held.
        presence: where it is noted who asked.
        nonce_key: signs enrolment nonces.
        queue_limit: how many reports, and how many polls, may wait.
        now: the clock.
    """

    name, prefix = "native", "/agent/"
    max_body_bytes = MAX_BODY_BYTES

    def __init__(
        self,
        work: Work,
        authority: Authority,
        *,
        authority_name: str,
        pace: Pace,
        presence: Presence,
        nonce_key: bytes,
        queue_limit: int,
        now: Callable[[], datetime],
    ) -> None:
        self._work = work
        self._authority = authority
        self._authority_name = authority_name
        self._pace = pace
        self._presence = presence
        self.waiting = Waiting(at_once=queue_limit // 2)
        self._nonce_key = nonce_key
        self._now = now
        self._known: OrderedDict[str, tuple[int, ec.EllipticCurvePublicKey]] = OrderedDict()
        self._checked = Checked(_SIGNATURES_KEPT)
        self._keys = Batcher(work.keys, limit=queue_limit, name="keys")
        self._polls: Batcher[PollItem, Config] = Batcher(work.configs, limit=queue_limit, name="polls")
        self._reports: Batcher[OurReport, Answer] = Batcher(work.receive, limit=queue_limit, name="reports")
        self._allowance = Allowance(_WRITES_AT_ONCE, _WRITE_EVERY_S, kept=_KEYS_KEPT)
        self._batchers: tuple[Batcher[Any, Any], ...] = (self._keys, self._polls, self._reports)
        self._threads = Threads(4, limit=queue_limit, name="native")

    @property
    def is_full(self) -> bool:
        """Whether as many wait as may."""
        return any(batcher.is_full for batcher in self._batchers)

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
        await self._threads.drain()

    def too_large(self) -> Response:
        """Return the refusal of a body beyond the limit."""
        return self._problem(Code.TOO_LARGE, detail=f"at most {MAX_BODY_BYTES} bytes")

    def busy(self) -> Response:
        """Return the refusal of one too many."""
        return replace(self._problem(Code.BUSY), is_shed=True)

    def failed(self) -> Response:
        """Return the answer to a fault of ours."""
        return self._problem(Code.INTERNAL)

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        try:
            return await self._route(request)
        except ProtocolError as error:
            return self._problem(error.code, **error.members)
        except FullError as error:
            return replace(self.busy(), is_shed=not isinstance(error, TooOftenError))
        except FleetError as error:
            return self._refusal(error)

    async def _route(self, request: Request) -> Response:
        match request.path.removeprefix(self.prefix).split("/"):
            case ["v1", "config"]:
                return await self._poll(_require(request, "GET"))
            case ["v1", "reports"]:
                return await self._report(_require(request, "POST"))
            case ["v1", "profiles", digest]:
                return await self._profile(_require(request, "GET"), digest)
            case ["v1", "orders", order, "result"]:
                return await self._result(_require(request, "POST"), order)
            case ["v1", "nonce"]:
                return self._nonce(_require(request, "GET"))
            case ["v1", "enrolments"]:
                return await self._enrol(_require(request, "POST"))
            case [version, *_] if version != "v1" and version.startswith("v") and version[1:].isdecimal():
                raise ProtocolError(Code.UPGRADE_REQUIRED, detail="this server speaks v1")
        raise ProtocolError(Code.NOT_FOUND)

    # -- who asks ------------------------------------------------------------------------------------------------

    async def _authenticate(self, request: Request) -> tuple[int, SignedRequest]:
        """Return which tablet signed the request; whether its key still counts is decided with what it asks for."""
        has_body = request.method == "POST"
        if not has_body and (checked := self._checked.find(request)) is not None:
            signing.require_recent(checked[1], now=self._now().timestamp())
            return checked
        signed = signing.parse_request(request.headers, has_body=has_body)
        known = self._known.get(signed.keyid)
        if known is None:
            known = await self._keys.submit(signed.keyid)
            if known is None:
                raise ProtocolError(Code.UNKNOWN_KEY)
            self._known[signed.keyid] = known
            if len(self._known) > _KEYS_KEPT:
                self._known.popitem(last=False)
        self._verify(request, signed, known[1])
        if not has_body:
            self._checked.keep(request, known[0], signed)
        elif not self._allowance.take(known[0], self._now()):
            raise TooOftenError
        return known[0], signed

    def _verify(self, request: Request, signed: SignedRequest, key: ec.EllipticCurvePublicKey) -> None:
        signing.verify_request(
            signed,
            key,
            method=request.method,
            authority=self._authority_name,
            path=request.path,
            query=request.query,
            body=request.body if request.method == "POST" else None,
            now=self._now().timestamp(),
        )

    # -- the cycle -----------------------------------------------------------------------------------------------

    async def _poll(self, request: Request) -> Response:
        self._polls.require_room()
        device_id, signed = await self._authenticate(request)
        item = PollItem(device_id, signed.keyid, request.headers.get("if-none-match"))
        wanted_s = preferred_wait_s(request.headers)
        # Entered before the first look, so that no change slips between the look and the wait.
        wait = self.waiting.enter(device_id) if wanted_s else None
        try:
            config = await self._polls.submit(item)
            now = self._now()
            may_wait = wait is not None and self._pace.holds(now, switch_at=config.switch_at)
            if wait is not None and may_wait and config.envelope is None:
                return await self._hold(request, item, wait, config, hold_s=self._pace.hold_s(wanted_s))
            # With something new it comes again at once, to be held; not if it was handed the same before: it could not
            # follow that, and would come at once for ever.
            comes_at_once = may_wait and config.is_new
            next_s = self._pace.next_poll_s(device_id, now, switch_at=config.switch_at)
            if wanted_s and self.waiting.is_closed and self._pace.holds(now, switch_at=config.switch_at):
                next_s = self._pace.stopped_s()  # soon, to be held by another server
            next_s = _AT_ONCE_S if comes_at_once else next_s
            self._note(request, device_id, now, due_s=next_s, waits=comes_at_once)
            return _told(config, next_s)
        finally:
            if wait is not None:
                self.waiting.leave(device_id, wait)

    async def _hold(self, request: Request, item: PollItem, wait: Wait, config: Config, *, hold_s: int) -> Response:
        """Hold a poll that found nothing new until something is, or the time is over."""
        self._note(request, item.device_id, self._now(), due_s=hold_s + _LATE_S, waits=True)
        wait.version = config.version
        begun = time.perf_counter()
        found = await self.waiting.hold(wait, partial(self._look, item), for_s=hold_s, gone=request.gone)
        held_s = time.perf_counter() - begun
        next_s = _AT_ONCE_S
        if found is Ended.STOPPED:
            next_s = self._pace.stopped_s()
        elif found is Ended.REPLACED:  # not at once: two who share a key would end each other's waits for ever
            next_s = self._pace.next_poll_s(item.device_id, self._now(), switch_at=config.switch_at)
        return replace(_told(config if isinstance(found, Ended) else found, next_s, applied_s=hold_s), held_s=held_s)

    async def _look(self, item: PollItem) -> Config | None:
        config = await self._polls.submit(item, was_held=True)
        return config if config.envelope is not None else None

    def _note(self, request: Request, device_id: int, now: datetime, *, due_s: float, waits: bool) -> None:
        self._presence.note(Poll(device_id, now, now + timedelta(seconds=due_s), waits, request.client))

    async def _report(self, request: Request) -> Response:
        self._reports.require_room()
        device_id, signed = await self._authenticate(request)
        told = decode(Report, request.body)
        if request.headers.get("idempotency-key") != told.report_id:
            raise MalformedError("Idempotency-Key is not the report's id")
        report = to_report(told, device_id=device_id, key=signed.keyid, sequence=signed.sequence, body=request.body)
        answer = await self._reports.submit(report)
        now = self._now()
        return _json(
            200,
            ReportAnswer(
                config=etag_of(device_id, answer.config_version, now),
                next_poll_s=self._pace.next_poll_s(device_id, now, switch_at=answer.next_switch_at),
                next_report_s=self._pace.next_report_s(device_id, now),
                server_time=now,
            ),
        )

    async def _profile(self, request: Request, digest: str) -> Response:
        device_id, signed = await self._authenticate(request)
        body = await self._threads.run(self._work.body, device_id, signed.keyid, digest)
        if body is None:
            raise ProtocolError(Code.NOT_FOUND)
        headers = {"content-type": _JSON, "etag": f'"{digest}"', "cache-control": _IMMUTABLE}
        return Response(200, headers, body)

    async def _result(self, request: Request, order: str) -> Response:
        device_id, signed = await self._authenticate(request)
        if not _ORDER.fullmatch(order):
            raise ProtocolError(Code.NOT_FOUND)
        result = decode(OrderResult, request.body)
        item = ResultItem(device_id, signed.keyid, signed.sequence, order, result)
        await self._threads.run(self._work.finish, item)
        return Response(204)

    # -- enrolment -----------------------------------------------------------------------------------------------

    def _nonce(self, _request: Request) -> Response:
        nonce = self._make_nonce(int(self._now().timestamp()))
        return _json(200, NonceAnswer(nonce, _NONCE_LIFE_S), {"cache-control": "no-store"})

    def _make_nonce(self, issued_at: int) -> str:
        mac = hmac.new(self._nonce_key, str(issued_at).encode(), hashlib.sha256).digest()[:16]
        return f"{issued_at}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    def _require_nonce(self, nonce: str) -> None:
        told = nonce.partition(".")[0]
        issued_at = int(told) if told.isdecimal() and len(told) < 13 else 0
        if not hmac.compare_digest(nonce, self._make_nonce(issued_at)):
            raise ProtocolError(Code.NONCE_EXPIRED, detail="not a nonce of this server")
        if not 0 <= self._now().timestamp() - issued_at <= _NONCE_LIFE_S:
            raise ProtocolError(Code.NONCE_EXPIRED)

    async def _enrol(self, request: Request) -> Response:
        if len(request.body) > _MAX_ENROLMENT_BYTES:
            raise ProtocolError(Code.TOO_LARGE, detail=f"at most {_MAX_ENROLMENT_BYTES} bytes")
        signed = signing.parse_request(request.headers, has_body=True)
        asked = decode(EnrolmentRequest, request.body)
        key = signing.load_jwk(asked.key)
        if signing.thumbprint(asked.key) != signed.keyid:
            raise ProtocolError(Code.BAD_SIGNATURE, detail="keyid is not the thumbprint of the key")
        self._verify(request, signed, key)
        self._require_nonce(signed.nonce)
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        outcome = await self._threads.run(self._work.enrol, asked, signed.keyid, der)
        if isinstance(outcome, Refused):
            return self._refusal(outcome.error)
        now = self._now()
        answer = EnrolmentAnswer(
            device_id=outcome.device_uid,
            root=self._authority.root,
            next_sequence=outcome.next_sequence,
            next_poll_s=1,
            server_time=now,
            awaits_approval=outcome.awaits_approval,
        )
        return _json(201 if outcome.is_new else 200, answer)

    # -- refusals ------------------------------------------------------------------------------------------------

    def _refusal(self, error: FleetError) -> Response:
        """Map the domain's refusal to the protocol's, once: their codes are the same words."""
        code = Code.NOT_FOUND if isinstance(error, NotFoundError) else Code(error.code)
        return self._problem(code, last_sequence=error.data.get("last_sequence"))

    def _problem(
        self, code: Code, *, detail: str = "", last_sequence: int | None = None, allow: str | None = None
    ) -> Response:
        now = self._now()
        told = Problem(
            type=TYPE_PREFIX + code.value,
            title=code.value.replace("-", " "),
            status=STATUS[code],
            detail=detail,
            server_time=now if code is Code.CLOCK_SKEW else None,
            last_sequence=last_sequence,
        )
        headers = {"content-type": PROBLEM_MEDIA_TYPE}
        if code in {Code.BUSY, Code.INTERNAL}:  # a fault of ours is often everybody's: they come back spread out
            headers["retry-after"] = str(self._pace.retry_s())
        if allow is not None:
            headers["allow"] = allow  # RFC 9110 section 15.5.6
        return Response(STATUS[code], headers, encode(told))


def _told(config: Config, next_s: int, *, applied_s: int | None = None) -> Response:
    """Return the answer to a poll; ``applied_s`` is for how long it would have been held (RFC 7240 section 3)."""
    headers = {"etag": config.etag, "cache-control": f"private, max-age={next_s}"}
    if applied_s is not None:
        headers["preference-applied"] = f"wait={applied_s}"
    if config.envelope is None:
        return Response(304, headers)
    return Response(200, {**headers, "content-type": ENVELOPE_MEDIA_TYPE}, config.envelope)


def _require(request: Request, method: str) -> Request:
    if request.method != method:
        raise ProtocolError(Code.METHOD_NOT_ALLOWED, detail=f"only {method}", allow=method)
    if method == "POST" and request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise ProtocolError(Code.UNSUPPORTED_MEDIA_TYPE, detail=f"only {_JSON}")
    if method == "GET" and request.body:
        raise ProtocolError(Code.MALFORMED, detail="a GET has no body")
    return request


def _json(status: int, message: object, headers: dict[str, str] | None = None) -> Response:
    return Response(status, {"content-type": _JSON, **(headers or {})}, encode(message))
