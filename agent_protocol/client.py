"""One signed request after the other: sequence numbers, clock correction, and reading what came back.

Invariant: a sequence number is reserved on disk before it is used, in blocks, so that none is used twice after a
crash and not every request costs a write.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

from agent_protocol import signing
from agent_protocol.errors import TYPE_PREFIX, Code, MalformedError
from agent_protocol.messages import BASE_PATH, Problem, decode
from agent_protocol.store import Memory, Store
from agent_protocol.timing import seconds_in
from agent_protocol.transport import Response, Transport, UnreachableError

RESERVED_SEQUENCES = 50
MAX_STEP = 1_000_000  # a server takes no number further above the last one, so no server asks for it
# Times that a server may say that it is: what is kept as an offset must never leave what a calendar can hold.
_EARLIEST, _LATEST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

T = TypeVar("T")


class BusyError(UnreachableError):
    """The server asks to come back after ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__("the server is busy")
        self.seconds = seconds


class Client:
    """Signs and sends for one tablet.

    Args:
        authority: the server's host and port, as requests are signed for.
        store: where the key lives and the memory is kept.
        memory: the session's memory; sequence and clock offset are changed in it.
    """

    def __init__(self, authority: str, store: Store, memory: Memory) -> None:
        self.authority = authority
        self._store = store
        self._memory = memory
        self._key = store.key()
        self.public_jwk = signing.to_jwk(self._key.public_key())
        self.thumbprint = signing.thumbprint(self.public_jwk)
        self._sequence = memory.sequence_limit

    def corrected(self, now: datetime) -> datetime:
        """Return the instant by the server's clock, as far as the tablet knows it."""
        return now + timedelta(seconds=self._memory.clock_offset_s)

    def start_from(self, sequence: int) -> None:
        """Use ``sequence`` next: a new enrolment says where the tablet's numbers stand."""
        self._sequence = self._memory.sequence_limit = sequence

    def go_on_from(self, sequence: int) -> None:
        """Use ``sequence`` next, or a higher one that is due anyway; one far above is nothing a server asks for."""
        if sequence - self._sequence <= MAX_STEP:
            self._sequence = max(self._sequence, sequence)
            self._memory.sequence_limit = max(self._memory.sequence_limit, self._sequence)

    def _take_sequence(self) -> str:
        if self._sequence >= self._memory.sequence_limit:
            before, self._memory.sequence_limit = self._memory.sequence_limit, self._sequence + RESERVED_SEQUENCES
            try:
                self._store.save(self._memory)
            except OSError:  # nothing was reserved
                self._memory.sequence_limit = before
                raise
        self._sequence += 1
        return str(self._sequence - 1)

    def send(
        self,
        transport: Transport,
        now: datetime,
        method: str,
        path: str,
        body: bytes | None,
        *,
        nonce: str | None = None,
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Response:
        """Sign and send; corrects the clock and tries once more where the server says that it is wrong.

        Raises:
            UnreachableError: no answer came.
        """

        def once() -> Response:
            target = f"{BASE_PATH}{path}"
            headers = signing.sign_request(
                self._key,
                method=method,
                authority=self.authority,
                path=target,
                query="",
                body=body,
                created=int(self.corrected(now).timestamp()),
                nonce=nonce or (signing.SAFE_NONCE if body is None else self._take_sequence()),
            )
            optional = {
                "Content-Type": "application/json" if body is not None else None,
                "Idempotency-Key": idempotency_key,
                "If-None-Match": etag,
            }
            headers |= {name: value for name, value in optional.items() if value is not None}
            return transport.send(method, target, {"Host": self.authority, **headers}, body)

        response = once()
        if response.status == 401 and problem_code(response) is Code.CLOCK_SKEW:
            said = believable(decode(Problem, response.body).server_time)
            if said is not None:
                self._memory.clock_offset_s = (said - now).total_seconds()
                self._store.save(self._memory)
                response = once()
        return response


def problem_code(response: Response) -> Code | None:
    """Return the code of a refusal; None where it is none of the protocol's (a proxy's page, say)."""
    try:
        return Code(decode(Problem, response.body).type.removeprefix(TYPE_PREFIX))
    except (MalformedError, ValueError):
        return None


def read(kind: type[T], response: Response) -> T:
    """Return the answer as a message.

    Raises:
        UnreachableError: it is not one; something other than the server answered.
    """
    try:
        return decode(kind, response.body)
    except MalformedError:
        raise UnreachableError("the answer is not the protocol's; is the address right?") from None


def max_age(response: Response, default: int) -> int:
    """Return the seconds until the next poll, within bounds. Source: RFC 9111 section 5.2.2.1."""
    for part in response.headers.get("cache-control", "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "max-age":
            return seconds_in(value, default)
    return default


def believable(said: datetime | None) -> datetime | None:
    """Return the time that a server says it is, None where no honest one would."""
    return said if said is not None and _EARLIEST <= said < _LATEST else None


def date_of(response: Response) -> datetime | None:
    """Return when the server says that it answered, None where it does not. Source: RFC 9110 section 6.6.1."""
    try:
        said = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return None
    return said.replace(tzinfo=said.tzinfo or UTC)


def version_of(text: str) -> tuple[int, ...]:
    """Return a version as numbers that compare; what is no number counts as 0."""
    return tuple(int(part) if part.isascii() and part.isdecimal() else 0 for part in text.split("."))
