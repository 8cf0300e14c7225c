"""Where a tablet's agent stands, and what each refusal of the server makes of it."""

import enum

from agent_protocol.errors import Code


class AgentState(enum.StrEnum):
    """The agent's standing with its server."""

    NEW = "new"  # has a key, is not taken in
    ENROLLED = "enrolled"
    REFUSED = "refused"  # the server no longer knows or wants this key: the last profile stays, polls are rare


class Reaction(enum.StrEnum):
    """What the agent does about a refusal."""

    CORRECT_CLOCK = "correct-clock"  # take the server's time, try once more
    RAISE_SEQUENCE = "raise-sequence"  # go on above the server's number, send the same report again
    NEW_NONCE = "new-nonce"  # enrol again over a fresh nonce
    WAIT = "wait"  # as long as Retry-After says
    STAND_BACK = "stand-back"  # keep the last profile, poll rarely
    DROP = "drop"  # this message will never be accepted; go on with the next
    GIVE_UP = "give-up"  # enrolment cannot succeed with this ticket: tell the person


REACTIONS: dict[Code, Reaction] = {
    Code.MALFORMED: Reaction.DROP,
    Code.BAD_SIGNATURE: Reaction.STAND_BACK,
    Code.UNKNOWN_KEY: Reaction.STAND_BACK,
    Code.CLOCK_SKEW: Reaction.CORRECT_CLOCK,
    Code.NONCE_EXPIRED: Reaction.NEW_NONCE,
    Code.REVOKED: Reaction.STAND_BACK,
    Code.TICKET_UNKNOWN: Reaction.GIVE_UP,
    Code.TICKET_EXPIRED: Reaction.GIVE_UP,
    Code.TICKET_EXHAUSTED: Reaction.GIVE_UP,
    Code.TICKET_REVOKED: Reaction.GIVE_UP,
    Code.TICKET_FOREIGN: Reaction.GIVE_UP,
    Code.SERIAL_NOT_LISTED: Reaction.GIVE_UP,
    Code.DEVICE_LOST: Reaction.GIVE_UP,
    Code.DEVICE_RETIRED: Reaction.GIVE_UP,
    Code.DEVICE_IN_USE: Reaction.GIVE_UP,
    Code.NOT_FOUND: Reaction.DROP,
    Code.METHOD_NOT_ALLOWED: Reaction.DROP,
    Code.REPLAY: Reaction.RAISE_SEQUENCE,
    Code.ORDER_CLOSED: Reaction.DROP,
    Code.TOO_LARGE: Reaction.DROP,
    Code.UNSUPPORTED_MEDIA_TYPE: Reaction.DROP,
    Code.REPORT_CONFLICT: Reaction.DROP,
    Code.UPGRADE_REQUIRED: Reaction.STAND_BACK,
    Code.INTERNAL: Reaction.WAIT,
    Code.BUSY: Reaction.WAIT,
}
