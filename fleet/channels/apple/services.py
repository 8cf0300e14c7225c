"""Calls to the maker's services: JSON over HTTPS, one at a time, by whoever may wait.

Invariants: nothing of what was asked or answered is in an error; what answers is believed only over TLS with a
certificate this machine trusts (plain HTTP is for tests' own addresses); an answer larger than the limit is none.
"""

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from fleet.channels.apple.steward import ServiceError
from fleet.channels.patience import within

_TIMEOUT_S = 30.0  # between two pieces
_WHOLE_S = 120.0  # for all of an answer: who sends a byte now and then shall not hold an errand for days
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered.

    Args:
        status: of HTTP.
        headers: by lower-case name.
        body: as it came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        """Return the object it is.

        Raises:
            ServiceError: it is none.
        """
        try:
            return msgspec.json.decode(self.body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ServiceError("no JSON") from error

    def wait(self, now: datetime) -> timedelta | None:
        """Return how long it asks to wait. Source: RFC 9110 section 10.2.3 (Retry-After)."""
        told = self.headers.get("retry-after", "").strip()
        if told.isascii() and told.isdecimal():
            return min(timedelta(seconds=int(told[:6])), _LONGEST_WAIT)
        try:
            return min(max(parsedate_to_datetime(told) - now, timedelta(0)), _LONGEST_WAIT)
        except (ValueError, TypeError):  # no date, or one of no time zone
            return None


class NotReachedError(ServiceError):
    """A service has certainly not heard what was asked: no connection to it came about."""


class Service:
    """One service.

    Args:
        base_url: where it is, without a slash at the end.
    """

    def __init__(self, base_url: str) -> None:
        self._base = urlsplit(base_url)

    @property
    def base_url(self) -> str:
        """Where it is."""
        return self._base.geturl()

    def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Ask something, over a connection of its own: an errand has few questions, half an hour apart.

        Raises:
            NotReachedError: it cannot be reached.
            ServiceError: what answers is no HTTP, or hangs up.
        """
        connection = self._connection()
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise NotReachedError("unreachable") from error
        try:
            with within(lambda: connection.sock, _WHOLE_S):
                connection.request(method, f"{self._base.path}{path}", body=body, headers=dict(headers))
                with connection.getresponse() as answer:
                    told = answer.read(_MAX_ANSWER_BYTES + 1)
        # The last: what the service itself wants to be told again cannot be sent.
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServiceError("unreachable") from error
        finally:
            connection.close()
        if len(told) > _MAX_ANSWER_BYTES:
            raise ServiceError("too long an answer")
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, told)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._base.hostname or "", self._base.port
        if self._base.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=ssl.create_default_context())
