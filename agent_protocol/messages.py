"""The messages on the wire: one definition decodes, validates and encodes each.

Invariants: bodies are at most 256 KiB, at most 8 deep, of at most 10,000 objects and arrays, have no duplicate keys and
no U+0000; unknown fields are tolerated and dropped; instants are RFC 3339 in UTC. Nothing here knows keys or
signatures.
"""

import enum
import re
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from agent_protocol.errors import MalformedError

SPEC = "1.0"
BASE_PATH = "/agent/v1"
MAX_BODY_BYTES = 256 * 1024
MAX_DEPTH = 8
MAX_CONTAINERS = 10_000  # a quarter of a mebibyte of empty arrays costs a tenth of a second
MAX_ATTRIBUTES = 100
MAX_APPS = 2_000
# What the assignment role alone may order. Any other kind, known or not, needs the destructive role: who owns the
# server cannot rename a wipe.
GENTLE_ORDERS = frozenset({"message", "lock-message", "ring", "restart", "report-now", "open-url", "open-app"})

CONFIG_TYPE = "application/vnd.fleet.config.v1+json"
ROOT_TYPE = "application/vnd.fleet.root.v1+json"
ENVELOPE_MEDIA_TYPE = "application/vnd.dsse.envelope+json"
PROBLEM_MEDIA_TYPE = "application/problem+json"

Short = Annotated[str, Meta(max_length=64)]
Line = Annotated[str, Meta(max_length=255)]
Detail = Annotated[str, Meta(max_length=2_000)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Coordinate = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
Instant = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
ReportId = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]


class Role(enum.StrEnum):
    """Who may sign what. Each role has its own keys and threshold in the root document."""

    ROOT = "root"
    ASSIGNMENT = "assignment"
    CATALOGUE = "catalogue"
    DESTRUCTIVE = "destructive"
    AGENT_RELEASE = "agent-release"


class Jwk(Struct, frozen=True):
    """A P-256 public key. Source: RFC 7517, RFC 7518 section 6.2."""

    kty: Annotated[str, Meta(pattern=r"^EC\Z")]
    crv: Annotated[str, Meta(pattern=r"^P-256\Z")]
    x: Coordinate
    y: Coordinate


class Signature(Struct, frozen=True):
    """One signature of an envelope; ``sig`` is base64 of a DER ECDSA signature."""

    keyid: Line
    sig: Line


class Envelope(Struct, frozen=True, rename={"payload_type": "payloadType"}):
    """A DSSE envelope. Source: https://github.com/secure-systems-lab/dsse, envelope.md and protocol.md."""

    payload_type: Line
    payload: str
    signatures: Annotated[list[Signature], Meta(max_length=16)]


class ConfigAnswer(Envelope, frozen=True, omit_defaults=True):
    """What a poll gets: the signed configuration and, unsigned, bodies of profiles that it names, by digest.

    A body there saves a fetch and says nothing by itself: it counts only where length and digest are those that the
    signed schedule says.
    """

    profiles: Annotated[dict[Digest, str], Meta(max_length=200)] = {}


class RoleKeys(Struct, frozen=True):
    """Which keys a role has and how many of them must sign."""

    keyids: list[Short]
    threshold: Annotated[int, Meta(ge=1)]


class RootDocument(Struct, frozen=True, tag_field="type", tag="root"):
    """Which keys the tablet trusts for which role; pinned at enrolment."""

    spec: Short
    version: Count
    issued_at: Instant
    expires_at: Instant
    keys: dict[str, Jwk]
    roles: dict[Role, RoleKeys]


class ScheduleEntry(Struct, frozen=True, rename={"from_": "from"}):
    """One effective profile and when it applies; null is open."""

    from_: Instant | None
    until: Instant | None
    profile: Digest
    length: Count


class Order(Struct, frozen=True):
    """A one-off wish. Kinds beyond :data:`GENTLE_ORDERS` need the destructive role's signatures besides."""

    id: Short
    kind: Short
    payload: dict[str, Any]
    expires_at: Instant
    privileged: bool = False


class ConfigDocument(Struct, frozen=True, tag_field="type", tag="config"):
    """What one tablet shall have from now on: the schedule and the orders."""

    spec: Short
    role: Role
    device_id: Short
    key_thumbprint: Short
    version: Count
    issued_at: Instant
    expires_at: Instant
    min_agent: Short
    schedule: Annotated[list[ScheduleEntry], Meta(min_length=1, max_length=200)]
    orders: Annotated[list[Order], Meta(max_length=100)]
    report_s: Annotated[int, Meta(ge=1)]


class EnrolmentRequest(Struct, frozen=True):
    """A tablet asks to be taken in; signed with the key it names."""

    ticket: Short
    key: Jwk
    serial: Annotated[str, Meta(min_length=1, max_length=64)]
    platform: Short
    model: Line
    os_version: Line
    agent_version: Short


class EnrolmentAnswer(Struct, frozen=True, omit_defaults=True):
    """The tablet is taken in; where ``awaits_approval``, with an empty profile until a person approves it."""

    device_id: Short
    root: Envelope
    next_sequence: Count
    next_poll_s: Count
    server_time: Instant
    awaits_approval: bool = False


class NonceAnswer(Struct, frozen=True):
    """What an enrolment must be signed over, and for how long it is good."""

    nonce: Line
    expires_in_s: Count


class Applied(Struct, frozen=True):
    """The profile in force on the tablet and since when."""

    profile: Digest | None
    since: Instant | None = None


class Failure(Struct, frozen=True):
    """A setting of the profile that the tablet could not put into force."""

    key: Line
    reason: Line


class App(Struct, frozen=True):
    """An installed app."""

    id: Line
    version: Short = ""


class Report(Struct, frozen=True):
    """What a tablet is: sent when something changed, and at least every ``report_s``."""

    report_id: ReportId
    reported_at: Instant
    applied: Applied
    os_version: Line
    model: Line
    agent_version: Short
    config_version: Count | None = None
    failures: Annotated[list[Failure], Meta(max_length=500)] = []
    battery_percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    storage_total_bytes: Count | None = None
    storage_free_bytes: Count | None = None
    apps: Annotated[list[App], Meta(max_length=MAX_APPS)] = []
    clock_offset_s: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)] = 0
    attributes: Annotated[dict[Short, Line], Meta(max_length=MAX_ATTRIBUTES)] = {}
    flags: Annotated[list[Short], Meta(max_length=20)] = []


class ReportAnswer(Struct, frozen=True):
    """The report is stored; ``config`` is the ETag of what the tablet shall have now."""

    config: Line
    next_poll_s: Count
    next_report_s: Count
    server_time: Instant


class OrderState(enum.StrEnum):
    """How an order ended on the tablet."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


class OrderResult(Struct, frozen=True):
    """What became of an order."""

    state: OrderState
    detail: Detail = ""


class Problem(Struct, frozen=True, omit_defaults=True):
    """A refusal. Source: RFC 9457."""

    type: Line
    title: Line = ""
    status: int = 0
    detail: Detail = ""
    server_time: Instant | None = None
    last_sequence: Count | None = None


T = TypeVar("T")

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_READER = msgspec.json.Decoder()


def _without_texts(body: bytes) -> bytes:
    """Return JSON without its texts: where no sign is escaped, they are what stands between each two quotes."""
    return _STRINGS.sub(b"", body) if b"\\" in body else b"".join(body.split(b'"')[::2])


def _require_shallow(bare: bytes) -> None:
    """Refuse more objects and arrays, or deeper ones, than the limits, before anything is made of them.

    Args:
        bare: the body without its texts.
    """
    # One kind of bracket, so that each round peels exactly one level; whether they match is seen when it is parsed.
    brackets = bare.translate(_ONE_KIND, _NOT_BRACKETS)
    if len(brackets) > 2 * MAX_CONTAINERS:
        raise MalformedError(f"more than {MAX_CONTAINERS} objects and arrays")
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise MalformedError(f"nested deeper than {MAX_DEPTH}")


def _require_sound(body: bytes, bare: bytes, parsed: Any) -> None:
    """Refuse a key that stands twice in one object, and U+0000 in a text.

    JSON readers silently keep the last of two equal keys. So colons outside strings (one per pair that was written)
    are compared with the pairs that were kept: both counts run in C, which keeps the hot path short.
    """
    if bare.count(b":") != _count_pairs(parsed):
        raise MalformedError("an object has a key twice")
    if rb"\u0000" in body and _has_nul(parsed):  # databases and C programs end or refuse a text there
        raise MalformedError("a text holds U+0000")


def _has_nul(value: Any) -> bool:
    if type(value) is dict:
        return any(map(_has_nul, value)) or any(map(_has_nul, value.values()))
    return any(map(_has_nul, value)) if type(value) is list else type(value) is str and "\0" in value


def _count_pairs(value: Any) -> int:
    if type(value) is dict:
        return len(value) + sum(map(_count_pairs, value.values()))
    return sum(map(_count_pairs, value)) if type(value) is list else 0


def decode(kind: type[T], body: bytes) -> T:
    """Read ``body`` as a message.

    Args:
        kind: which message is expected.
        body: UTF-8 JSON.

    Raises:
        MalformedError: too large, too deep, not JSON, a key twice, or not this message.
    """
    if len(body) > MAX_BODY_BYTES:
        raise MalformedError(f"larger than {MAX_BODY_BYTES} bytes")
    try:
        bare = _without_texts(body)
        _require_shallow(bare)
        parsed = _READER.decode(body)
        _require_sound(body, bare, parsed)
        return msgspec.convert(parsed, kind)
    except msgspec.ValidationError as error:
        raise MalformedError(str(error)) from None
    except (msgspec.DecodeError, ValueError, RecursionError):  # ValueError: bytes that are not UTF-8
        raise MalformedError("not a JSON document in UTF-8") from None


def encode(message: object) -> bytes:
    """Write a message as UTF-8 JSON."""
    return msgspec.json.encode(message)
