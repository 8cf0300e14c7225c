"""Posting messages to webhooks: names looked up and judged, one connection, one answer. No database in here.

Invariants: the machine that is spoken to is exactly one that was judged, as a name is looked up once; TLS is verified
against the name; an answer that leads elsewhere is not followed; of an answer no more is read than its head, which is
bounded, for a bounded time, and nothing is kept but its number.
"""

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from fleet.alerts import addresses, hook_messages
from fleet.alerts.addresses import Target
from fleet.alerts.hook_messages import Claimed
from fleet.channels.patience import within
from fleet.errors import InvalidError, ReasonError

_TIMEOUT_S = 10.0  # between two pieces
_WHOLE_S = 20.0
_MOST_MACHINES = 3  # of one name that are tried
_LONGEST_WAIT = timedelta(days=1)
_GONE = 410
Resolve = Callable[[str, int], Sequence[str]]


class PostError(ReasonError):
    """A message has not arrived.

    Args:
        reason: a few words.
        status: of the answer, if there was one.
        after: how long the other side asks to wait.
        is_final: whether trying again cannot help.
    """

    def __init__(
        self, reason: str, *, status: int | None = None, after: timedelta | None = None, is_final: bool = False
    ) -> None:
        super().__init__(reason)
        self.status, self.after, self.is_final = status, after, is_final


def look_up(host: str, port: int) -> Sequence[str]:
    """Return the addresses of the machines a name leads to.

    Raises:
        OSError: it leads to none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


@dataclass(frozen=True, slots=True)
class Poster:
    """Posts messages.

    Args:
        resolve: looks a name up.
        authority_pem: whom certificates lead to; None: those this machine trusts.
        whole_s: how long one message may take.
    """

    resolve: Resolve = look_up
    authority_pem: str | None = None
    whole_s: float = _WHOLE_S

    def post(self, message: Claimed, *, now: datetime) -> int:
        """Post a message; returns the status of the answer that says it has arrived.

        Raises:
            PostError: it has not.
        """
        try:
            target = addresses.read(message.address, is_private_allowed=message.is_private_allowed)
        except InvalidError as error:
            raise PostError(f"address refused ({error.data.get('reason')})", is_final=True) from error
        live = _Live(self._connect(target, is_private_allowed=message.is_private_allowed))
        try:
            with within(lambda: live.sock, self.whole_s):
                if target.is_tls:
                    self._guard(live, target)
                return _talk(live.sock, target, message, now)
        except TimeoutError as error:
            raise PostError("too slow") from error
        finally:
            live.sock.close()

    def _connect(self, target: Target, *, is_private_allowed: bool) -> socket.socket:
        try:
            machines = list(self.resolve(target.host, target.port))
        except (OSError, UnicodeError) as error:
            raise PostError("no such name") from error
        if not addresses.are_fit(machines, is_private_allowed=is_private_allowed):
            raise PostError("private address")
        for machine in machines[:_MOST_MACHINES]:
            kind = socket.AF_INET6 if ipaddress.ip_address(machine).version == 6 else socket.AF_INET
            connected = socket.socket(kind, socket.SOCK_STREAM)
            connected.settimeout(_TIMEOUT_S)
            try:
                connected.connect((machine, target.port))  # an address: nothing is looked up again
            except OSError:
                connected.close()
                continue
            return connected
        raise PostError("unreachable")

    def _guard(self, live: "_Live", target: Target) -> None:
        context = ssl.create_default_context(cadata=self.authority_pem)
        try:
            guarded = context.wrap_socket(live.sock, server_hostname=target.host, do_handshake_on_connect=False)
            live.sock = guarded
            guarded.do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise PostError("certificate not trusted") from error
        except ssl.SSLError as error:
            raise PostError("no TLS") from error
        except TimeoutError:
            raise
        except OSError as error:
            raise PostError("hung up, or no TLS") from error


@dataclass(slots=True)
class _Live:
    """The connection, which becomes another with TLS."""

    sock: socket.socket


def _talk(sock: socket.socket, target: Target, message: Claimed, now: datetime) -> int:
    """Say a message and hear whether it has arrived; what else is answered is not read."""
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = sock
    timestamp = int(now.timestamp())
    headers = {
        "Host": target.authority,
        "Content-Type": "application/json",
        "User-Agent": "school-tablet-fleet",
        "Connection": "close",
        "webhook-id": message.uid,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": hook_messages.signature(message.secret, message.uid, timestamp, message.body),
    }
    try:
        connection.request("POST", target.path, body=message.body, headers=headers)
        with connection.getresponse() as answer:
            return _judge(answer.status, answer.getheader("Retry-After"), now)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PostError("hung up, or no HTTP") from error


def _judge(status: int, after: str | None, now: datetime) -> int:
    if 200 <= status < 300:
        return status
    if 300 <= status < 400:
        raise PostError("leads elsewhere", status=status)
    raise PostError(f"answered {status}", status=status, after=_wait(after, now), is_final=status == _GONE)


def _wait(told: str | None, now: datetime) -> timedelta | None:
    """Return how long the other side asks to wait. Source: RFC 9110 section 10.2.3 (Retry-After)."""
    told = (told or "").strip()
    if told.isascii() and told.isdecimal():
        return min(timedelta(seconds=int(told[:6])), _LONGEST_WAIT)
    try:
        return min(max(parsedate_to_datetime(told) - now, timedelta(0)), _LONGEST_WAIT)
    except (ValueError, TypeError, OverflowError):
        return None
