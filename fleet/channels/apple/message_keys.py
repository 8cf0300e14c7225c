"""The keys of a tablet's message, each taken with the type it must have; and whose message it is.

Invariants: a text has 1 to 255 characters; an optional key that is missing or empty is None. Which message has which
keys is told in :mod:`fleet.channels.apple.messages`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from fleet.channels.apple.plists import Value
from fleet.errors import InvalidError

MAX_TEXT = 255  # characters
# Source: mdm/checkin/tokenupdate.yaml, UserID.
_SHARED_IPAD_USER = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"
_T = TypeVar("_T")


class MessageError(InvalidError):
    """A message that cannot be understood. Data: ``key``, ``reason``.

    ``reason`` is one of: ``missing``, ``type``, ``length``, ``value`` (a word or form that is not known).
    """

    code = "device-message"


class Kind(StrEnum):
    """Whom a message speaks for."""

    DEVICE = "device"
    USER = "user"
    SHARED_IPAD = "shared-ipad"
    USER_ENROLMENT = "user-enrolment"
    USER_ENROLMENT_USER = "user-enrolment-user"


@dataclass(frozen=True, slots=True)
class EnrolmentId:
    """Whose message it is: a tablet, or one user on it.

    Args:
        kind: whom it speaks for.
        device: the tablet's UDID, or its EnrollmentID where the owner enrolled it; no colon in it.
        user: the user's part, None for the tablet itself.
    """

    kind: Kind
    device: str
    user: str | None = field(default=None, repr=False)  # a pupil's account name on a Shared iPad

    @property
    def text(self) -> str:
        """The normal form: ``device`` or ``device:user``."""
        return self.device if self.user is None else f"{self.device}:{self.user}"


def is_owned_by_its_user(who: EnrolmentId) -> bool:
    """Whether a message is of a tablet that its user owns and enrolled himself (Apple's User Enrollment).

    Such a one tells no serial, hence is none of a school's tablets.
    """
    return who.kind in {Kind.USER_ENROLMENT, Kind.USER_ENROLMENT_USER}


class Keys:
    """The keys of a message.

    Args:
        found: the message; stays readable for what is taken as it is.

    Every method raises :class:`MessageError` where its key is of another type, too long, or missing though it must not.
    """

    def __init__(self, found: Mapping[str, Value]) -> None:
        self.found = found

    def _maybe(self, key: str, kind: type[_T]) -> _T | None:
        value = self.found.get(key)
        if value is None:
            return None
        if not isinstance(value, kind):
            raise MessageError(key=key, reason="type")
        return value

    def maybe_text(self, key: str) -> str | None:
        """Return a text, None where it is missing or empty."""
        value = self._maybe(key, str)
        if value is not None and len(value) > MAX_TEXT:
            raise MessageError(key=key, reason="length")
        return value or None

    def text(self, key: str) -> str:
        """Return a text that must be there."""
        value = self.maybe_text(key)
        if value is None:
            raise MessageError(key=key, reason="missing")
        return value

    def maybe_data(self, key: str, max_bytes: int) -> bytes | None:
        """Return bytes, None where they are missing or empty."""
        value = self._maybe(key, bytes)
        if value is not None and len(value) > max_bytes:
            raise MessageError(key=key, reason="length")
        return value or None

    def data(self, key: str, max_bytes: int) -> bytes:
        """Return bytes that must be there."""
        value = self.maybe_data(key, max_bytes)
        if value is None:
            raise MessageError(key=key, reason="missing")
        return value

    def flag(self, key: str) -> bool:
        """Return whether it is true; missing means no."""
        return self._maybe(key, bool) or False

    def inside(self, key: str) -> "Keys":
        """Return the keys of a dictionary inside; none where it is missing."""
        return Keys(self._maybe(key, dict) or {})


def enrolment_of(keys: Keys) -> EnrolmentId:
    """Return the normal form of who speaks.

    Source: micromdm/nanomdm ``mdm/type.go`` (``device:user``; the account's name on a Shared iPad), whose form is kept
    so that a database of that server can be taken over.

    Raises:
        MessageError: nobody is named, or in a form that could pass for another.
    """
    udid, enrollment_id = keys.maybe_text("UDID"), keys.maybe_text("EnrollmentID")
    user_id, enrollment_user_id = keys.maybe_text("UserID"), keys.maybe_text("EnrollmentUserID")
    if udid is not None:
        device, kinds, key = udid, (Kind.DEVICE, Kind.USER), "UDID"
    elif enrollment_id is not None:
        device, kinds, key = enrollment_id, (Kind.USER_ENROLMENT, Kind.USER_ENROLMENT_USER), "EnrollmentID"
    else:
        raise MessageError(key="UDID", reason="missing")
    if ":" in device:  # or it could pass for a user of another tablet
        raise MessageError(key=key, reason="value")
    if user_id == _SHARED_IPAD_USER:
        found = EnrolmentId(Kind.SHARED_IPAD, device, keys.text("UserShortName"))
    else:
        own, other = (user_id, enrollment_user_id) if udid is not None else (enrollment_user_id, user_id)
        user = own or other
        found = EnrolmentId(kinds[0] if user is None else kinds[1], device, user)
    if len(found.text) > MAX_TEXT:
        raise MessageError(key=key, reason="length")
    return found
