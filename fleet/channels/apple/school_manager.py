"""The client of Apple's service for automated enrolment: which iPads are ours, and the profile they fetch first.

Source: https://developer.apple.com/documentation/devicemanagement/device-assignment; RFC 5849 for how a session begins.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from fleet.channels.apple.services import Answer, Service
from fleet.channels.apple.steward import ServiceError
from fleet.devices import delivery
from fleet.errors import ReasonError
from fleet.mdm.listed import Listed
from fleet.mdm.server_token import ServerToken

APPLE = "https://mdmenrollment.apple.com"
AT_ONCE = 1000  # devices in one question, at most
# Reasons that somebody can do something about; doors have words for them.
TERMS, REFUSED, CLOCK = "terms-not-accepted", "token-refused", "clock-wrong"
_PROTOCOL, _OK = "3", 200
_LONGEST_UUID, _LONGEST_CURSOR = 64, 4096  # Source: cursor of FetchDeviceResponse: at most 1,000 characters
_AGENT = "school-tablet-fleet"
_TEXT = "application/json;charset=UTF8"
_CURSORS = ("EXPIRED_CURSOR", "INVALID_CURSOR", "EXHAUSTED_CURSOR")


class CursorError(ReasonError):
    """A list cannot be read on from where we were.

    Args:
        reason: ``EXPIRED_CURSOR``, ``INVALID_CURSOR`` or ``EXHAUSTED_CURSOR`` (all was read; changes follow).
    """


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are there.

    Args:
        server_uuid: of this server's entry.
        server_name: what it is called there.
        organisation: whose it is.
    """

    server_uuid: str
    server_name: str
    organisation: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the list.

    Args:
        devices: in their order.
        cursor: where to go on.
        has_more: whether there is more just now.
    """

    devices: Sequence[Listed]
    cursor: str
    has_more: bool


@dataclass(frozen=True, slots=True)
class Assigned:
    """How devices took a profile: ``SUCCESS``, ``NOT_ACCESSIBLE``, ``FAILED`` or ``THROTTLED``, by serial.

    Args:
        outcomes: by serial.
        after: how long to wait with those that were throttled; None where it is not said.
    """

    outcomes: Mapping[str, str]
    after: timedelta | None


class SchoolManager(Protocol):
    """What an errand asks of the service; every method raises ``ServiceError`` where it is not done."""

    def account(self) -> Account:
        """Return who we are."""

    def devices(self, cursor: str | None) -> Page:
        """Return some of all devices; ``CursorError`` where the cursor is no good."""

    def changes(self, cursor: str) -> Page:
        """Return what changed since; ``CursorError`` where the cursor is no good."""

    def define(self, profile: Mapping[str, Any]) -> str:
        """Define a profile and return its UUID there."""

    def assign(self, profile_uuid: str, serials: Sequence[str]) -> Assigned:
        """Give devices a profile, at most :data:`AT_ONCE`."""

    def withdraw(self, serials: Sequence[str]) -> Assigned:
        """Take their profile from devices, at most :data:`AT_ONCE`."""


class SchoolManagerClient:
    """The service, over HTTPS.

    Args:
        token: of this server.
        base_url: where it is.
        now: the clock.
    """

    def __init__(self, token: ServerToken, *, base_url: str = APPLE, now: Callable[[], datetime]) -> None:
        self._token, self._service, self._now = token, Service(base_url), now
        self._session: str | None = None

    def account(self) -> Account:
        """Return who we are.

        Raises:
            ServiceError: the service did not do it.
        """
        told = self._ask("GET", "/account", None)
        return Account(
            _text(told.get("server_uuid")) or "",
            _text(told.get("server_name")) or "",
            _text(told.get("org_name")) or "",
        )

    def devices(self, cursor: str | None) -> Page:
        """Return some of all devices.

        Args:
            cursor: where to go on; None for the beginning.

        Raises:
            CursorError: the cursor is no good.
            ServiceError: the service did not do it.
        """
        where = {} if cursor is None else {"cursor": cursor}
        return _page(self._ask("POST", "/server/devices", {**where, "limit": AT_ONCE}))

    def changes(self, cursor: str) -> Page:
        """Return what changed since.

        Raises:
            CursorError: the cursor is no good.
            ServiceError: the service did not do it.
        """
        return _page(self._ask("POST", "/devices/sync", {"cursor": cursor, "limit": AT_ONCE}))

    def define(self, profile: Mapping[str, Any]) -> str:
        """Define a profile and return its UUID there.

        Raises:
            ServiceError: the service did not do it.
        """
        found = _text(self._ask("POST", "/profile", profile).get("profile_uuid"))
        if found is None or len(found) > _LONGEST_UUID:
            raise ServiceError("no profile made")
        return found

    def assign(self, profile_uuid: str, serials: Sequence[str]) -> Assigned:
        """Give devices a profile.

        Args:
            profile_uuid: which.
            serials: at most :data:`AT_ONCE`.

        Raises:
            ServiceError: the service did not do it.
        """
        body = {"profile_uuid": profile_uuid, "devices": list(serials)}
        return _assigned(self._ask("POST", "/profile/devices", body), serials)

    def withdraw(self, serials: Sequence[str]) -> Assigned:
        """Take their profile from devices, at most :data:`AT_ONCE`.

        Raises:
            ServiceError: the service did not do it.
        """
        return _assigned(self._ask("DELETE", "/profile/devices", {"devices": list(serials)}), serials)

    # -- sessions ------------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """Ask within a session; one that has ended is begun anew, once."""
        encoded = None if body is None else msgspec.json.encode(body)
        session, is_fresh = self._session, False
        while True:
            if session is None:
                session, is_fresh = self._begin(), True
            headers = {**_headers(), "x-adm-auth-session": session}
            answer = self._service.call(method, path, headers, encoded)
            self._session = answer.headers.get("x-adm-auth-session") or session
            if not _is_over(answer) or is_fresh:
                break
            session = self._session = None
        if answer.status == _OK:
            return answer.json()
        raise self._fault(answer)

    def _begin(self) -> str:
        """Return the token of a new session."""
        answer = self._service.call("GET", "/session", {**_headers(), "authorization": self._authorisation()})
        if answer.status == _OK:
            found = _text(answer.json().get("auth_session_token"))
            if found is not None:
                return found
        if answer.status == 401 and _code(answer, ("TIMESTAMP",)) is not None:
            raise ServiceError(CLOCK)
        if answer.status in {400, 401} or (answer.status == 403 and _code(answer, ("T_C_NOT_SIGNED",)) is None):
            raise ServiceError(REFUSED)
        raise self._fault(answer)

    def _authorisation(self) -> str:
        """Return the header that begins a session. Source: RFC 5849 section 3 (HMAC-SHA1, no body)."""
        told = {
            "oauth_consumer_key": self._token.consumer_key,
            "oauth_nonce": secrets.token_hex(16),
            "oauth_signature_method": "HMAC-SHA1",
            "oauth_timestamp": str(int(self._now().timestamp())),
            "oauth_token": self._token.access_token,
            "oauth_version": "1.0",
        }
        address = f"{self._service.base_url}/session"
        pairs = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted(told.items()))
        signed = "&".join(_quoted(part) for part in ("GET", address, pairs))
        key = f"{_quoted(self._token.consumer_secret)}&{_quoted(self._token.access_secret)}"
        digest = hmac.new(key.encode(), signed.encode(), hashlib.sha1).digest()
        told["oauth_signature"] = base64.b64encode(digest).decode()
        listed = ", ".join(f'{name}="{_quoted(value)}"' for name, value in told.items())
        return f'OAuth realm="ADM", {listed}'

    def _fault(self, answer: Answer) -> ReasonError:
        """Return what an answer that is none means."""
        cursor = _code(answer, _CURSORS)
        if answer.status == 400 and cursor is not None:
            return CursorError(cursor)
        if answer.status == 403 and _code(answer, ("T_C_NOT_SIGNED",)) is not None:
            return ServiceError(TERMS)
        if answer.status in {429, 503}:
            return ServiceError("busy", after=answer.wait(self._now()))
        return ServiceError(f"status {answer.status}")


def _headers() -> dict[str, str]:
    return {
        "user-agent": _AGENT,
        "x-server-protocol-version": _PROTOCOL,
        "content-type": _TEXT,
        "accept": "application/json",
    }


def _is_over(answer: Answer) -> bool:
    """Whether a session has ended: by its status, or by a refusal that gives no other reason."""
    return answer.status == 401 or (answer.status == 403 and _code(answer, ("FORBIDDEN",)) is not None)


def _code(answer: Answer, known: Iterable[str]) -> str | None:
    """Return which of these codes an answer has in it: bare, in quotes or in JSON, all of which were seen."""
    told = answer.body[:4096].decode("latin-1").upper()
    return next((one for one in known if one in told), None)


def _quoted(text: str) -> str:
    """Return a text as RFC 5849 section 3.6 quotes it."""
    return quote(text, safe="~")


def _text(told: object) -> str | None:
    """Return a text without what cannot be printed, which no database need take; None where there is none."""
    if not isinstance(told, str):
        return None
    return "".join(letter for letter in told if letter.isprintable()) or None


def _page(told: Mapping[str, Any]) -> Page:
    cursor, devices = _text(told.get("cursor")), told.get("devices") or []
    if cursor is None or len(cursor) > _LONGEST_CURSOR or not isinstance(devices, list):
        raise ServiceError("no page")
    found = [_listed(one) for one in devices if isinstance(one, dict)]
    return Page([one for one in found if one is not None], cursor, told.get("more_to_follow") is True)


def _listed(told: Mapping[str, Any]) -> Listed | None:
    """Return what is told of a device; None for one without a sound serial. Other fields are tolerated, and left."""
    named = told.get("serial_number")
    serial = named.strip().upper() if isinstance(named, str) else ""
    if not delivery.is_serial(serial):
        return None
    return Listed(
        serial=serial,
        model=(_text(told.get("model")) or "")[:120],
        description=(_text(told.get("description")) or "")[:255],
        family=(_text(told.get("device_family")) or "")[:24],
        profile_uuid=(_text(told.get("profile_uuid")) or "")[:_LONGEST_UUID] or None,
        is_gone=told.get("op_type") == "deleted",
        changed_at=_text(told.get("op_date")) or "",
    )


def _assigned(told: Mapping[str, Any], serials: Sequence[str]) -> Assigned:
    outcomes, wait_s = told.get("devices"), told.get("retry_after_seconds")
    if not isinstance(outcomes, dict):
        raise ServiceError("no outcomes")
    after = timedelta(seconds=min(wait_s, 7 * 86_400)) if isinstance(wait_s, int) and wait_s > 0 else None
    return Assigned({serial: str(outcomes.get(serial, "FAILED")) for serial in serials}, after)
