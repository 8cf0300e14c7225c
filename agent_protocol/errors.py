"""Every refusal the protocol knows, by its stable code. README.md says what the agent does about each."""

import enum
from typing import Any

TYPE_PREFIX = "urn:fleet:problem:"


class Code(enum.StrEnum):
    """The last part of a problem's ``type`` (RFC 9457). Codes are never renamed, only added."""

    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad-signature"
    UNKNOWN_KEY = "unknown-key"
    CLOCK_SKEW = "clock-skew"
    NONCE_EXPIRED = "nonce-expired"
    REVOKED = "revoked"
    TICKET_UNKNOWN = "ticket-unknown"
    TICKET_EXPIRED = "ticket-expired"
    TICKET_EXHAUSTED = "ticket-exhausted"
    TICKET_REVOKED = "ticket-revoked"
    TICKET_FOREIGN = "ticket-foreign"
    SERIAL_NOT_LISTED = "serial-not-listed"
    DEVICE_LOST = "device-lost"
    DEVICE_RETIRED = "device-retired"
    DEVICE_IN_USE = "device-in-use"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    REPLAY = "replay"
    ORDER_CLOSED = "order-closed"
    TOO_LARGE = "too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    REPORT_CONFLICT = "report-conflict"
    UPGRADE_REQUIRED = "upgrade-required"
    INTERNAL = "internal"
    BUSY = "busy"


# Source of the statuses: RFC 9110 section 15, 426 and 422 by their wording, 401 for whom we cannot tell.
STATUS: dict[Code, int] = {
    Code.MALFORMED: 400,
    Code.BAD_SIGNATURE: 401,
    Code.UNKNOWN_KEY: 401,
    Code.CLOCK_SKEW: 401,
    Code.NONCE_EXPIRED: 401,
    Code.REVOKED: 403,
    Code.TICKET_UNKNOWN: 403,
    Code.TICKET_EXPIRED: 403,
    Code.TICKET_EXHAUSTED: 403,
    Code.TICKET_REVOKED: 403,
    Code.TICKET_FOREIGN: 403,
    Code.SERIAL_NOT_LISTED: 403,
    Code.DEVICE_LOST: 403,
    Code.DEVICE_RETIRED: 403,
    Code.DEVICE_IN_USE: 409,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.REPLAY: 409,
    Code.ORDER_CLOSED: 410,
    Code.TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.REPORT_CONFLICT: 422,
    Code.UPGRADE_REQUIRED: 426,
    Code.INTERNAL: 500,
    Code.BUSY: 503,
}


class ProtocolError(Exception):
    """A message that one side refuses.

    Args:
        code: which refusal.
        members: further members of the problem, such as ``server_time``; never a secret.
    """

    def __init__(self, code: Code, **members: Any) -> None:
        super().__init__(code.value, members)
        self.code = code
        self.members = members


class MalformedError(ProtocolError):
    """Bytes that are not the message they should be.

    Args:
        detail: what is wrong, without repeating the content.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(Code.MALFORMED, detail=detail)


class UntrustedError(Exception):
    """A signed document that the tablet refuses to act on.

    Args:
        reason: one of ``forged``, ``foreign``, ``rolled-back``, ``expired``, ``malformed``, ``profile-missing``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
