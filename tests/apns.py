"""A push service on loopback that behaves as the vendor's: HTTP/2 over TLS with client certificates, scriptable.

``running()`` starts one in a thread of its own. It records every request it takes, answers as it was told to (by
token), says GOAWAY when told to, and can vanish and come back on the same port.

Source: https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns; what
others measured of the real service: one stream until the first request, then a thousand.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame

from fleet.mdm import push_certificate
from fleet.mdm.push_certificate import PushCertificate

TOPIC = "com.apple.mgmt.External.7d1f3c2a-0000-4000-8000-000000000001"
_STREAMS = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
_LINGER_S = 5.0
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)  # one for all: making one takes a while


@dataclass(frozen=True)
class Reply:
    """What a request gets.

    Args:
        status: 200 has no body.
        reason: the word in the body.
        timestamp: of a 410, milliseconds since 1970.
        retry_after: the header.
        delay_s: before it is sent.
        body: sent as it is, in place of reason and timestamp.
        instead: ``reset`` or ``refuse`` the stream, ``drop`` the connection, stay ``silent``.
    """

    status: int = 200
    reason: str | None = None
    timestamp: int | None = None
    retry_after: str | None = None
    delay_s: float = 0.0
    body: bytes | None = None
    instead: str | None = None


@dataclass(frozen=True)
class Request:
    """What was taken: ``connection`` counts from 1, ``token`` is hex."""

    connection: int
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> str:
        return self.path.removeprefix("/3/device/")


@dataclass
class Authority:
    """Makes the certificates of both sides, and of strangers."""

    common_name: str = "Stand-in authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def name(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)])

    def _sign(self, subject: x509.Name, key: Any, *extensions: x509.ExtensionType, days: int = 300) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=days))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())

    @property
    def pem(self) -> str:
        made = self._sign(self.name, self.key, x509.BasicConstraints(ca=True, path_length=0))
        return made.public_bytes(serialization.Encoding.PEM).decode()

    def push_certificate(self, topic: str = TOPIC, *, days: int = 300) -> PushCertificate:
        """Return a push certificate of this authority; ``days`` below zero: one that has run out."""
        subject = x509.Name(
            [x509.NameAttribute(NameOID.USER_ID, topic), x509.NameAttribute(NameOID.COMMON_NAME, "APSP")]
        )
        uploaded = self._sign(subject, _KEY, days=days).public_bytes(serialization.Encoding.PEM)
        return push_certificate.read(uploaded, [_KEY], now=datetime.now(UTC) - timedelta(days=25))

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS settings of the service."""
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))])
        key = ec.generate_private_key(ec.SECP256R1())
        own = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), key, names)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=self.pem)
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["h2"])
        with TemporaryDirectory() as folder:
            chain = Path(folder) / "server.pem"
            chain.write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
                + own.public_bytes(serialization.Encoding.PEM)
            )
            context.load_cert_chain(chain)
        return context


class Service:
    """The service: script and records. Attributes may be set while it runs.

    Attributes:
        requests: every request it took, in order; what it refused or did not look at any more is not among them.
        ignored: how many requests came after a GOAWAY that did not cover them.
        most_at_once: the most streams that were open at the same time on one connection.
        goaway_after: with the how many-th request of a connection it says GOAWAY: what came so far is still answered.
        goaways: how many times it does so.
        settle: what answers a token that has no script.
        limit: streams at once, after the first request of a connection.
        greets: whether it says anything to a new connection.
        deaf: connections up to this number hear nothing any more, and nobody tells the client.
    """

    def __init__(self) -> None:
        self.authority = Authority()
        self.requests: list[Request] = []
        self.ignored = 0
        self.most_at_once = 0
        self.connections = 0
        self.goaway_after: int | None = None
        self.goaways = 1
        self.settle = Reply()
        self.limit = 1_000
        self.greets = True
        self.deaf = 0
        self.scripts: dict[str, list[Reply]] = defaultdict(list)
        self.port = 0
        self._context = self.authority.server_context()
        self._open: set[_Peer] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="apns", daemon=True)

    @property
    def base_url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def script(self, token: bytes, *replies: Reply) -> None:
        """Have requests for a token answered by these, each once; after them as all others."""
        self.scripts[token.hex()].extend(replies)

    def tokens(self) -> list[str]:
        """Return the tokens of the requests taken, in order, hex."""
        return [request.token for request in self.requests]

    def start(self) -> None:
        self._thread.start()
        self.up()

    def stop(self) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def up(self) -> None:
        """Listen, on the same port as before."""
        asyncio.run_coroutine_threadsafe(self._up(), self._loop).result(10)

    def down(self) -> None:
        """Vanish: no listener, no connection."""
        asyncio.run_coroutine_threadsafe(self._down(), self._loop).result(10)

    def hang_up(self) -> None:
        """Say GOAWAY on every connection, covering all that came, then end it once all is answered."""
        for peer in list(self._open):
            self._loop.call_soon_threadsafe(peer.go_away)

    async def _up(self) -> None:
        self._server = await self._loop.create_server(
            lambda: _Peer(self), "127.0.0.1", self.port, ssl=self._context, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _down(self) -> None:
        if self._server is not None:
            self._server.close()
        for peer in list(self._open):
            peer.transport.abort()
        if self._server is not None:
            await self._server.wait_closed()
        await asyncio.sleep(0.05)  # what was aborted ends


class _Peer(asyncio.Protocol):
    """One connection, the service's side."""

    transport: asyncio.Transport

    def __init__(self, service: Service) -> None:
        self.service = service
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.waiting: dict[int, tuple[dict[str, str], bytearray]] = {}  # streams that are open
        self.taken = self.seen = 0  # requests; the last stream
        self.last: int | None = None  # stream that a GOAWAY covers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.service.connections += 1
        self.number = self.service.connections
        self.service._open.add(self)
        if self.service.greets:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values={_STREAMS: 1})
            self.h2.initiate_connection()
            self.flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface
        self.service._open.discard(self)

    def data_received(self, data: bytes) -> None:
        if not self.service.greets or self.number <= self.service.deaf:
            return
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:  # more streams than allowed, for one
            self.flush()
            self.transport.close()
            return
        for event in events:
            self.take(event)
        self.flush()

    def take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            if self.last is not None and event.stream_id > self.last:
                self.service.ignored += 1
                return
            self.seen = event.stream_id
            self.waiting[event.stream_id] = ({str(name): str(value) for name, value in event.headers}, bytearray())
            self.service.most_at_once = max(self.service.most_at_once, len(self.waiting))
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id in self.waiting:
                self.waiting[event.stream_id][1].extend(event.data)
        elif isinstance(event, h2.events.StreamReset):
            self.waiting.pop(event.stream_id, None)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self.waiting:
            self.asked(event.stream_id)

    def asked(self, stream_id: int) -> None:
        headers, body = self.waiting[stream_id]
        request = Request(self.number, headers[":path"], headers, bytes(body))
        script = self.service.scripts[request.token]
        reply = fault(request, self.subject()) or (script.pop(0) if script else self.service.settle)
        if reply.instead == "refuse":
            self.end(stream_id, lambda: self.h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM))
            return
        self.service.requests.append(request)
        self.taken += 1
        if self.taken == 1:
            self.h2.update_settings({_STREAMS: self.service.limit})
        if self.taken == self.service.goaway_after and self.service.goaways:
            self.service.goaways -= 1
            self.go_away()
        if reply.instead == "drop":
            self.transport.abort()
        elif reply.instead == "reset":
            self.end(stream_id, lambda: self.h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR))
        elif reply.instead is None:
            self.service._loop.call_later(reply.delay_s, self.end, stream_id, lambda: self.answer(stream_id, reply))

    def subject(self) -> str | None:
        """Return the topic of the client's certificate."""
        der = self.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        found = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.USER_ID)
        return str(found[0].value) if found else None

    def answer(self, stream_id: int, reply: Reply) -> None:
        told = {"reason": reply.reason, "timestamp": reply.timestamp}
        body = reply.body or json.dumps({key: value for key, value in told.items() if value is not None}).encode()
        headers = [(":status", str(reply.status)), ("apns-id", f"{self.number}-{stream_id}")]
        if reply.retry_after is not None:
            headers.append(("retry-after", reply.retry_after))
        self.h2.send_headers(stream_id, headers, end_stream=reply.status == 200)
        if reply.status != 200:
            self.h2.send_data(stream_id, body, end_stream=True)

    def end(self, stream_id: int, say: Callable[[], None]) -> None:
        if self.waiting.pop(stream_id, None) is None or self.transport.is_closing():
            return
        with contextlib.suppress(h2.exceptions.ProtocolError):  # the client went away meanwhile
            say()
        self.flush()
        self.close_if_done()

    def go_away(self) -> None:
        """Say it by hand: the library would answer nothing afterwards."""
        self.last = self.seen
        self.flush()
        self.transport.write(GoAwayFrame(0, last_stream_id=self.last, error_code=0).serialize())
        self.close_if_done()

    def close_if_done(self) -> None:
        """Leave the client time to read before the connection ends: closing throws away what is under way."""
        if self.last is not None and not self.waiting:
            self.service._loop.call_later(_LINGER_S, self.transport.close)

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())


def fault(request: Request, topic: str | None) -> Reply | None:
    """Return the refusal of a request that the real service would refuse too."""
    if request.headers[":method"] != "POST":
        return Reply(405, "MethodNotAllowed")
    if not request.path.startswith("/3/device/"):
        return Reply(404, "BadPath")
    if request.headers.get("apns-topic") != topic:
        return Reply(400, "BadTopic")
    if request.headers.get("apns-push-type") != "mdm":
        return Reply(400, "InvalidPushType")
    if not request.headers.get("apns-expiration", "").isdecimal():
        return Reply(400, "BadExpirationDate")
    return None if request.body else Reply(400, "PayloadEmpty")


@contextlib.contextmanager
def running() -> Iterator[Service]:
    """Run a service in a thread of its own."""
    service = Service()
    service.start()
    try:
        yield service
    finally:
        service.stop()


@contextlib.contextmanager
def refusing(authority: Authority) -> Iterator[str]:
    """Run what does nothing but shake hands, and yield its address: it tells a client why its certificate is refused.

    The service above ends such a connection without a word, for asyncio does not send the alert.
    """
    context = authority.server_context()

    def refuse(listener: socket.socket) -> None:
        raw, _ = listener.accept()
        connection = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        with connection, contextlib.suppress(OSError):
            with contextlib.suppress(ssl.SSLError):
                connection.do_handshake()
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1_024):  # or what was not read would have the alert thrown away
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=(listener,), name="refusing", daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)
