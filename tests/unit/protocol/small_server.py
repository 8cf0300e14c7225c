"""A server in a few lines that speaks the protocol, made from the library's own parts: the other side for the agent's tests.

It is a transport: requests go in, answers come out, no socket. It verifies signatures and sequences as a real server
must, can be switched off, can be told to answer anything, and holds polls where it is told to.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from agent_protocol import envelopes, signing
from agent_protocol.errors import STATUS, TYPE_PREFIX, Code, ProtocolError
from agent_protocol.messages import (
    CONFIG_TYPE,
    ROOT_TYPE,
    ConfigAnswer,
    ConfigDocument,
    EnrolmentAnswer,
    EnrolmentRequest,
    NonceAnswer,
    Order,
    OrderResult,
    Problem,
    Report,
    ReportAnswer,
    Role,
    ScheduleEntry,
    decode,
    encode,
)
from agent_protocol.transport import Response, UnreachableError
from tests.unit.protocol.keys import key
from tests.unit.protocol.test_envelopes import ASSIGNMENT, ROOTS, root_document

AUTHORITY = "fleet.test"


class SmallServer:
    """The server's side for one tablet; ``now`` is its clock."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.away = False
        self.lose_answers = 0
        self.answer: Callable[[str, str], Response | None] = lambda _method, _path: None
        self.enrolments: dict[str, str] = {}
        self.asks = False  # whether whom it takes in waits for a person's approval
        self.bodies: dict[str, bytes] = {}
        self.schedule: list[ScheduleEntry] = []
        self.orders: list[Order] = []
        self.version = 1
        self.changes: dict[str, Any] = {}
        self.signer = ASSIGNMENT
        self.sequence = 0
        self.reports: list[Report] = []
        self.results: dict[str, OrderResult] = {}
        self.requests: list[str] = []
        self.within: list[float | None] = []
        self.waits: list[int] = []  # seconds that polls asked to be held
        self.holds_s = 0  # how long it is ready to hold one
        self.hold_poll: Callable[[int, str], None] = lambda _seconds, _etag: None  # lets time go by until there is news
        self.beside: dict[str, str] = {}  # bodies to send along with configurations
        self.refusals: list[Code] = []
        self.hold({})

    def body(self, settings: dict[str, Any]) -> ScheduleEntry:
        """Keep a profile's body and return an open entry for it."""
        content = msgspec.json.encode(settings, order="deterministic")
        digest = hashlib.sha256(content).hexdigest()
        self.bodies[digest] = content
        return ScheduleEntry(None, None, digest, len(content))

    def hold(self, settings: dict[str, Any], *later: tuple[datetime, dict[str, Any]]) -> None:
        """Have the tablet hold ``settings``, and from each instant on what goes with it."""
        entries = [self.body(settings)]
        for instant, then in later:
            entries[-1] = msgspec.structs.replace(entries[-1], until=instant)
            entries.append(msgspec.structs.replace(self.body(then), from_=instant))
        self.schedule = entries
        self.version += 1

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, within_s: float | None = None
    ) -> Response:
        """Answer as a server would."""
        self.requests.append(f"{method} {target}")
        self.within.append(within_s)
        if self.away:
            raise UnreachableError("away")
        response = self.answer(method, target)
        if response is None:
            try:
                response = self._answer(method, target, {k.lower(): v for k, v in headers.items()}, body)
            except ProtocolError as error:
                response = self.problem(error.code, **error.members)
        if self.lose_answers:
            self.lose_answers -= 1
            raise UnreachableError("the answer was lost")
        return response

    def problem(self, code: Code, **members: Any) -> Response:
        """Return a refusal."""
        self.refusals.append(code)
        told = Problem(
            TYPE_PREFIX + code.value,
            status=STATUS[code],
            server_time=self.now,
            last_sequence=members.get("last_sequence"),
        )
        return Response(STATUS[code], {k: v for k, v in members.items() if k == "retry-after"}, encode(told))

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Response:
        if target == "/agent/v1/nonce":
            return Response(200, {}, encode(NonceAnswer("server-nonce", 300)))
        request = signing.parse_request(headers, has_body=body is not None)
        asked = decode(EnrolmentRequest, body or b"") if target == "/agent/v1/enrolments" else None
        tablet = signing.load_jwk(asked.key) if asked else key(0).public_key()
        if asked is None:
            if request.keyid not in self.enrolments:
                raise ProtocolError(Code.UNKNOWN_KEY)
            tablet = self._keys[request.keyid]
        signing.verify_request(
            request,
            tablet,
            method=method,
            authority=AUTHORITY,
            path=target,
            query="",
            body=body,
            now=self.now.timestamp(),
        )
        if asked is not None:
            return self._enrol(asked, request)
        if body is not None:
            if request.sequence <= self.sequence:
                raise ProtocolError(Code.REPLAY, last_sequence=self.sequence)
            self.sequence = request.sequence
        return self._serve(target, headers, body)

    def _enrol(self, asked: EnrolmentRequest, request: signing.SignedRequest) -> Response:
        assert request.nonce == "server-nonce"
        if asked.ticket != "GOOD":
            raise ProtocolError(Code.TICKET_UNKNOWN)
        again = request.keyid in self.enrolments
        self.enrolments[request.keyid] = asked.serial
        self._keys = {**getattr(self, "_keys", {}), request.keyid: signing.load_jwk(asked.key)}
        root = envelopes.sign(ROOT_TYPE, encode(root_document()), [key(number) for number in ROOTS])
        answer = EnrolmentAnswer("tablet-1", root, self.sequence + 1, 1, self.now, self.asks)
        return Response(200 if again else 201, {}, encode(answer))

    def _serve(self, target: str, headers: dict[str, str], body: bytes | None) -> Response:
        etag = self.etag
        if target == "/agent/v1/config":
            return self._poll(headers)
        if target.startswith("/agent/v1/profiles/"):
            found = self.bodies.get(target.rpartition("/")[2])
            if found is None:
                raise ProtocolError(Code.NOT_FOUND)
            return Response(200, {}, found)
        if target == "/agent/v1/reports":
            report = decode(Report, body or b"")
            assert headers["idempotency-key"] == report.report_id
            if report.report_id not in {known.report_id for known in self.reports}:
                self.reports.append(report)
            return Response(200, {}, encode(ReportAnswer(etag, 60, 900, self.now)))
        order_id = target.split("/")[-2]
        if order_id in self.results:
            raise ProtocolError(Code.ORDER_CLOSED)
        self.results[order_id] = decode(OrderResult, body or b"")
        return Response(204, {}, b"")

    @property
    def etag(self) -> str:
        """What the tablet shall have now."""
        return f'"{self.version}-0"'

    def _poll(self, headers: dict[str, str]) -> Response:
        known, fresh = headers.get("if-none-match", ""), {"cache-control": "private, max-age=60"}
        if "prefer" in headers:
            asked = int(headers["prefer"].removeprefix("wait="))
            self.waits.append(asked)
            ready = min(asked, self.holds_s)
            if ready:
                fresh = {"cache-control": "private, max-age=1", "preference-applied": f"wait={ready}"}
            if ready and known == self.etag:
                self.hold_poll(ready, known)
        fresh["etag"] = self.etag
        return Response(304, fresh, b"") if known == self.etag else Response(200, fresh, self._config())

    def _config(self) -> bytes:
        whole: dict[str, Any] = {
            "spec": "1.0", "role": Role.ASSIGNMENT, "device_id": "tablet-1", "key_thumbprint": list(self.enrolments)[-1],
            "version": self.version, "issued_at": self.now, "expires_at": self.now + timedelta(days=21), "min_agent": "1.0",
            "schedule": self.schedule, "orders": self.orders, "report_s": 900,
        }  # fmt: skip
        signed = envelopes.sign(CONFIG_TYPE, encode(ConfigDocument(**(whole | self.changes))), [key(self.signer)])
        return encode(ConfigAnswer(signed.payload_type, signed.payload, signed.signatures, self.beside))
