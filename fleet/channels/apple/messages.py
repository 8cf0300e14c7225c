"""What a tablet's built-in client says: check-in messages and results of commands, as typed values.

Invariants: every text here has 1 to 255 characters; an optional key that is missing or empty is None; keys that are not
known are ignored, in check-ins silently, in results as part of the answer; persons' names are not read at all. What
must not reach a log (tokens, raw data) is left out of each value's ``repr``. What follows from a message is decided by
the door; whose message it is, by :mod:`fleet.channels.apple.message_keys`.

Source: apple/device-management, ``mdm/checkin/*.yaml`` and ``mdm/commands/*.yaml``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fleet.channels.apple import plists
from fleet.channels.apple.message_keys import MAX_TEXT, EnrolmentId, Keys, MessageError, enrolment_of
from fleet.channels.apple.plists import Value

_MAX_TOKEN_BYTES = 64 * 1024  # unlock tokens have about two kilobytes; nothing says how long they may become
_MAX_LINKS = 16  # of an error chain
# Source: https://developer.apple.com/documentation/devicemanagement/implementing-device-management, check-in requests.
_CHECK_IN_TYPE = "application/x-apple-aspen-mdm-checkin"


@dataclass(frozen=True, slots=True)
class Authenticate:
    """A tablet begins to enrol; it is not enrolled before its first :class:`TokenUpdate`."""

    enrolment: EnrolmentId
    topic: str
    serial_number: str | None
    os_version: str | None
    build_version: str | None
    product_name: str | None
    imei: str | None
    meid: str | None


@dataclass(frozen=True, slots=True)
class TokenUpdate:
    """Where pushes reach the tablet from now on.

    Args:
        enrolment: whose address it is.
        topic: of the push certificate.
        token: the address at the push service.
        magic: what each push must carry.
        unlock_token: needed to clear a passcode; None: the one told earlier still holds.
        awaiting_configuration: the set-up assistant waits until we say ``DeviceConfigured``.
    """

    enrolment: EnrolmentId
    topic: str
    token: bytes = field(repr=False)
    magic: str = field(repr=False)
    unlock_token: bytes | None = field(repr=False)
    awaiting_configuration: bool


@dataclass(frozen=True, slots=True)
class CheckOut:
    """The tablet is no longer managed; said once, and only if it can."""

    enrolment: EnrolmentId


@dataclass(frozen=True, slots=True)
class DeclarativeManagement:
    """A question or a status report of declarative management.

    Args:
        enrolment: who asks.
        endpoint: ``tokens``, ``declaration-items``, ``status`` or ``declaration/<kind>/<identifier>``.
        data: JSON, None where there is none.
    """

    enrolment: EnrolmentId
    endpoint: str
    data: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class GetToken:
    """The tablet asks for a token of another service of the vendor."""

    enrolment: EnrolmentId
    service: str
    security_token: str | None = field(repr=False)
    phone_udid: str | None
    watch_udid: str | None


@dataclass(frozen=True, slots=True)
class SetBootstrapToken:
    """The tablet gives a bootstrap token to keep; None: forget the one we have."""

    enrolment: EnrolmentId
    token: bytes | None = field(repr=False)
    awaiting_configuration: bool


@dataclass(frozen=True, slots=True)
class GetBootstrapToken:
    """The tablet asks for the bootstrap token it gave."""

    enrolment: EnrolmentId
    awaiting_configuration: bool


@dataclass(frozen=True, slots=True)
class UserAuthenticate:
    """A network user of a computer signs in; the first of two messages carries no answer to a challenge."""

    enrolment: EnrolmentId
    digest_response: str | None = field(repr=False)


CheckIn = (
    Authenticate
    | TokenUpdate
    | CheckOut
    | DeclarativeManagement
    | GetToken
    | SetBootstrapToken
    | GetBootstrapToken
    | UserAuthenticate
)


@dataclass(frozen=True, slots=True)
class Idle:
    """The tablet is ready for a command and tells no result."""

    enrolment: EnrolmentId


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A command was carried out; ``answer`` has the keys beside those that name status, tablet and command."""

    enrolment: EnrolmentId
    command_uuid: str
    answer: Mapping[str, Value] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ErrorLink:
    """One error of a chain, the outermost first. ``description`` is shortened, and for experts only."""

    code: int
    domain: str
    description: str = field(repr=False)  # may quote what a profile holds


@dataclass(frozen=True, slots=True)
class Failed:
    """A command failed, finally. ``chain`` may be empty."""

    enrolment: EnrolmentId
    command_uuid: str
    chain: tuple[ErrorLink, ...]
    answer: Mapping[str, Value] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CommandFormatError:
    """Our command was not understood: final. ``command_uuid`` is None where even that could not be read."""

    enrolment: EnrolmentId
    command_uuid: str | None
    chain: tuple[ErrorLink, ...]


@dataclass(frozen=True, slots=True)
class NotNow:
    """The tablet is locked or busy: the command stays in the queue."""

    enrolment: EnrolmentId
    command_uuid: str


Result = Idle | Acknowledged | Failed | CommandFormatError | NotNow


def is_check_in(content_type: str | None) -> bool:
    """Return whether a request with this Content-Type is a check-in; whatever else it says, or nothing, is a result.

    Source: two of the open simulators send no Content-Type, or an empty one, with results.
    """
    return content_type is not None and content_type.strip().lower().startswith(_CHECK_IN_TYPE)


def read_check_in(body: bytes) -> CheckIn:
    """Return the check-in message in ``body``.

    Raises:
        PlistError: the body is no property list.
        MessageError: a key is missing, of the wrong type or too long, or the kind of message is not known.
    """
    keys = Keys(plists.read(body))
    make = _CHECK_INS.get(keys.text("MessageType"))
    if make is None:
        raise MessageError(key="MessageType", reason="value")
    return make(keys, enrolment_of(keys))


def read_result(body: bytes) -> Result:
    """Return the status of a tablet and the result of a command in ``body``.

    Raises:
        PlistError: the body is no property list.
        MessageError: a key is missing, of the wrong type or too long, or the status is not known.
    """
    keys = Keys(plists.read(body))
    make = _RESULTS.get(keys.text("Status"))
    if make is None:
        raise MessageError(key="Status", reason="value")
    return make(keys, enrolment_of(keys))


def _authenticate(keys: Keys, enrolment: EnrolmentId) -> Authenticate:
    return Authenticate(
        enrolment,
        keys.text("Topic"),
        serial_number=keys.maybe_text("SerialNumber"),
        os_version=keys.maybe_text("OSVersion"),
        build_version=keys.maybe_text("BuildVersion"),
        product_name=keys.maybe_text("ProductName"),
        imei=keys.maybe_text("IMEI"),
        meid=keys.maybe_text("MEID"),
    )


def _token_update(keys: Keys, enrolment: EnrolmentId) -> TokenUpdate:
    return TokenUpdate(
        enrolment,
        keys.text("Topic"),
        token=keys.data("Token", MAX_TEXT),
        magic=keys.text("PushMagic"),
        unlock_token=keys.maybe_data("UnlockToken", _MAX_TOKEN_BYTES),
        awaiting_configuration=keys.flag("AwaitingConfiguration"),
    )


def _declarative(keys: Keys, enrolment: EnrolmentId) -> DeclarativeManagement:
    return DeclarativeManagement(enrolment, keys.text("Endpoint"), keys.maybe_data("Data", plists.MAX_BYTES))


def _get_token(keys: Keys, enrolment: EnrolmentId) -> GetToken:
    inside = keys.inside("TokenParameters")
    return GetToken(
        enrolment,
        keys.text("TokenServiceType"),
        security_token=inside.maybe_text("SecurityToken"),
        phone_udid=inside.maybe_text("PhoneUDID"),
        watch_udid=inside.maybe_text("WatchUDID"),
    )


def _set_bootstrap_token(keys: Keys, enrolment: EnrolmentId) -> SetBootstrapToken:
    token = keys.maybe_data("BootstrapToken", _MAX_TOKEN_BYTES)
    return SetBootstrapToken(enrolment, token, keys.flag("AwaitingConfiguration"))


# A CheckOut comes once: one that forgot its topic is believed nevertheless.
_CHECK_INS: Mapping[str, Callable[[Keys, EnrolmentId], CheckIn]] = {
    "Authenticate": _authenticate,
    "TokenUpdate": _token_update,
    "CheckOut": lambda _keys, enrolment: CheckOut(enrolment),
    "DeclarativeManagement": _declarative,
    "GetToken": _get_token,
    "SetBootstrapToken": _set_bootstrap_token,
    "GetBootstrapToken": lambda keys, enrolment: GetBootstrapToken(enrolment, keys.flag("AwaitingConfiguration")),
    "UserAuthenticate": lambda keys, enrolment: UserAuthenticate(enrolment, keys.maybe_text("DigestResponse")),
}

# Keys that say who speaks and about what, or name a person: no part of an answer.
_ENVELOPE = frozenset(
    {"Status", "CommandUUID", "UDID", "EnrollmentID", "UserID", "EnrollmentUserID"}
    | {"UserShortName", "UserLongName", "NotOnConsole", "ErrorChain"}
)


def _answer(keys: Keys) -> Mapping[str, Value]:
    return {key: value for key, value in keys.found.items() if key not in _ENVELOPE}


def _chain(keys: Keys) -> tuple[ErrorLink, ...]:
    """Return the well-formed links: that a command failed must be heard even where the reason is told badly."""
    links = keys.found.get("ErrorChain")
    found = []
    for link in links[:_MAX_LINKS] if isinstance(links, list) else ():
        code, domain = (link.get("ErrorCode"), link.get("ErrorDomain")) if isinstance(link, dict) else (None, None)
        if isinstance(link, dict) and isinstance(code, int) and isinstance(domain, str):
            told = link.get("USEnglishDescription") or link.get("LocalizedDescription")
            description = told[:MAX_TEXT] if isinstance(told, str) else ""
            found.append(ErrorLink(code, domain[:MAX_TEXT], description))
    return tuple(found)


_RESULTS: Mapping[str, Callable[[Keys, EnrolmentId], Result]] = {
    "Idle": lambda _keys, enrolment: Idle(enrolment),
    "Acknowledged": lambda keys, enrolment: Acknowledged(enrolment, keys.text("CommandUUID"), _answer(keys)),
    "Error": lambda keys, enrolment: Failed(enrolment, keys.text("CommandUUID"), _chain(keys), _answer(keys)),
    "CommandFormatError": lambda keys, enrolment: CommandFormatError(
        enrolment, keys.maybe_text("CommandUUID"), _chain(keys)
    ),
    "NotNow": lambda keys, enrolment: NotNow(enrolment, keys.text("CommandUUID")),
}
