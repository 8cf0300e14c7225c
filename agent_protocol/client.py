"""One signed request after the other: sequence numbers, clock correction, and reading what came back.

Invariant: a sequence number is reserved on disk before it is used, in blocks, so that none is used twice after a
crash and not every request costs a write.
"""

from dataclasses import dataclass
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
_ANSWER_S = 3.0  # what a waiting request may take beyond the time that it asks for
MAX_STEP = 1_000_000  # a server takes no number further above the last one, so no server asks for it
# Times that a server may say that it is: what is kept as an offset must never leave what a calendar can hold.
_EARLIEST, _LATEST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

T = TypeVar("T")


class BusyError(UnreachableError):
    """The server asks to come back after ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__("the server is busy")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Wait:
    """A poll that the server may hold, to be sent by whoever drives the session.

    Args:
        method: of the request, as are the next two.
        target: path and query.
        headers: signed already.
        seconds: how long the server is asked to hold it.
        within_s: after so many seconds there is no answer.
    """

    method: str
    target: str
    headers: dict[str, str]
    seconds: int
    within_s: float


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
        self._again: tuple[int, str, dict[str, str]] | None = None  # the last GET's: when signed, target, headers

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

    def signed(
        self,
        now: datetime,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        nonce: str | None = None,
        **more: str | None,
    ) -> tuple[str, dict[str, str]]:
        """Return target and headers of a signed request; what has no body may have been signed some minutes ago.

        Args:
            now: by the tablet's own clock.
            method: GET or POST.
            path: below the protocol's.
            body: None where there is none.
            nonce: the server's, at enrolment; a sequence number or none otherwise.
            more: headers that are not signed, with underscores for hyphens; None leaves one out.
        """
        target = f"{BASE_PATH}{path}"
        headers = self._headers(int(self.corrected(now).timestamp()), method, target, body, nonce)
        more = {"Content_Type": "application/json" if body is not None else None, **more}
        told = {name.replace("_", "-"): value for name, value in more.items() if value is not None}
        return target, {"Host": self.authority, **headers, **told}

    def _headers(self, created: int, method: str, target: str, body: bytes | None, nonce: str | None) -> dict[str, str]:
        """Return the headers of a signature; the last ones where they are still good for the same."""
        if body is None and self._again is not None:
            signed_at, signed_target, headers = self._again
            if signed_target == target and 0 <= created - signed_at < signing.AGAIN_S:
                return headers
        headers = signing.sign_request(
            self._key,
            method=method,
            authority=self.authority,
            path=target,
            query="",
            body=body,
            created=created,
            nonce=nonce or (signing.SAFE_NONCE if body is None else self._take_sequence()),
            keyid=self.thumbprint,
        )
        if body is None:
            self._again = created, target, headers
        return headers

    def send(
        self, transport: Transport, now: datetime, method: str, path: str, body: bytes | None, **how: str | None
    ) -> Response:
        """Sign as :meth:`signed` and send; takes the server's time and tries once more where the clock is wrong.

        Raises:
            UnreachableError: no answer came.
        """
        for _ in range(2):
            target, headers = self.signed(now, method, path, body, **how)
            response = transport.send(method, target, headers, body)
            if not self.takes_time_of(response, now):
                break
        return response

    def wait(self, now: datetime, etag: str | None, seconds: int, left_s: float) -> Wait:
        """Return a poll that the server may hold for ``seconds``, to be over in ``left_s`` at the latest.

        Source: RFC 7240 section 4.3. The preference is not signed: all that it asks for is time.
        """
        target, headers = self.signed(now, "GET", "/config", If_None_Match=etag, Prefer=f"wait={seconds}")
        return Wait("GET", target, headers, seconds, min(seconds + _ANSWER_S, left_s))

    def takes_time_of(self, response: Response, now: datetime) -> bool:
        """Take the server's time where it refuses a request for the tablet's clock; returns whether it did."""
        if response.status != 401 or problem_code(response) is not Code.CLOCK_SKEW:
            return False
        said = believable(decode(Problem, response.body).server_time)
        if said is not None:
            self._memory.clock_offset_s = (said - now).total_seconds()
            self._store.save(self._memory)
        return said is not None


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
