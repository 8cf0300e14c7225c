"""What alerts meet outside: a mail server and a receiver of webhooks that are real, and a writer of plain letters.

The mail server is aiosmtpd on loopback, scriptable while it runs; ``Receiver`` speaks HTTP. ``World`` is a server of ours
whose clock the test moves.
"""

import asyncio
import contextlib
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from flask import Flask
from sqlalchemy import select

from fleet.access import Principal, Role
from fleet.alerts import mail_server, planning
from fleet.alerts.letters import Contents, Written
from fleet.alerts.mail_server import Settings
from fleet.alerts.models import Letter, MailSecurity
from fleet.app.alerting import Postman
from fleet.app.posting import Poster
from fleet.compliance.models import Finding, Severity
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.db import changed, db, transaction
from fleet.devices.models import Device
from fleet.people.models import Account
from fleet.schools import queries as schools
from fleet.schools.models import School
from tests import factories
from tests.apns import Authority
from tests.conftest import NOW
from tests.serving import free_port

BY = Principal.command_line()
PASSWORD = "et langt passord"


def context(authority: Authority) -> ssl.SSLContext:
    """Return the TLS settings of a server on loopback, which asks nobody for a certificate."""
    made = authority.server_context()
    made.verify_mode = ssl.CERT_NONE
    return made


def plain(contents: Contents, language: str) -> Written:
    """Write a letter that a test can read."""
    lines = [f"{one.topic} {one.kind} {one.tablet} {one.class_title} {one.school}" for one in contents.items]
    text = "\n".join([*lines, f"and {contents.more} more", contents.unsubscribe_url or "", contents.reader])
    return Written(f"{language} {contents.kind} {contents.school} {len(contents.items)}", text, f"<p>{text}</p>")


@dataclass
class Mailbox:
    """A mail server's inside: what it took, and how it answers next.

    ``replies`` are taken one by one, by what was asked (``MAIL``, ``RCPT``, ``DATA``); none left: it takes all.
    """

    taken: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    replies: dict[str, list[str]] = field(default_factory=dict)
    signed_in: list[tuple[str, str]] = field(default_factory=list)
    on_taken: Callable[[], None] = lambda: None

    def _next(self, asked: str) -> str | None:
        waiting = self.replies.get(asked)
        return waiting.pop(0) if waiting else None

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802 (as aiosmtpd calls it)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self._next("MAIL") or "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        answer = self._next("RCPT")
        if answer is not None:
            return answer
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self._next("DATA")
        if answer is not None and answer != "take and hang up":
            return answer
        self.taken.append(message_from_bytes(envelope.content, policy=policy.default))
        self.recipients += envelope.rcpt_tos
        self.on_taken()
        if answer is not None:
            server.transport.abort()
        return "250 taken"

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, told: Any) -> AuthResult:
        assert isinstance(told, LoginPassword)
        self.signed_in.append((told.login.decode(), told.password.decode()))
        return AuthResult(success=told.password.decode() == PASSWORD, handled=False)


@contextlib.contextmanager
def mail(
    security: MailSecurity = MailSecurity.NONE, *, authority: Authority | None = None, port: int | None = None,
    asks: bool = False, mailbox: Mailbox | None = None,
) -> Iterator[tuple[int, Mailbox]]:  # fmt: skip
    """Run a mail server; gives its port and inside."""
    box = mailbox or Mailbox()
    told: dict[str, Any] = {"auth_required": True, "authenticator": box.authenticate} if asks else {}
    if authority is not None and security is MailSecurity.TLS:
        told |= {"ssl_context": context(authority), "auth_require_tls": False}
    if authority is not None and security is MailSecurity.STARTTLS:
        told |= {"tls_context": context(authority), "require_starttls": True}
    if security is MailSecurity.NONE:
        told |= {"auth_require_tls": False}
    port = port or free_port()
    guarded = told.pop("ssl_context", None)
    loop = asyncio.new_event_loop()

    talks: list[SMTP] = []

    def one_talk() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # it asks for a password without TLS of its own: as is meant
            talks.append(SMTP(box, loop=loop, **told))
        return talks[-1]

    async def begin() -> asyncio.AbstractServer:
        return await loop.create_server(one_talk, "127.0.0.1", port, ssl=guarded)

    async def end() -> None:
        server.close()
        await server.wait_closed()
        for talk in talks:
            if isinstance(talk.transport, asyncio.Transport):
                talk.transport.abort()
        await asyncio.sleep(0.01)  # the loop closes them when it comes to it
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    try:
        yield port, box
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Clock:
    """The time, as the test says."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **much: float) -> datetime:
        self.at += timedelta(**much)
        return self.at


@dataclass
class World:
    """A server of ours with one school, its IT and a class with its teacher."""

    app: Flask
    clock: Clock
    postman: Postman
    ids: dict[str, int]

    @property
    def vault(self) -> bytes:
        return vault_of(self.app)

    def finds(self, *tags: str, kind: str = "storage-low", severity: Severity = Severity.WARNING) -> list[int]:
        """Open a finding at each of these tablets, made where they are not there."""
        with self.app.app_context(), transaction():
            found = []
            for tag in tags:
                at = db.session.scalar(select(Device).where(Device.asset_tag == tag))
                if at is None:
                    school = db.session.get_one(School, self.ids["school"])
                    at = factories.device(school, asset_tag=tag, class_id=self.ids["class"])
                found.append(Finding(device_id=at.id, kind=kind, severity=severity, detail={}, opened_at=self.clock.at))
            db.session.add_all(found)
            db.session.flush()
            changed("finding", [one.id for one in found], now=self.clock.at)
            return [one.id for one in found]

    def closes(self, ids: Sequence[int], **values: Any) -> None:
        """Close findings, or do something else to them."""
        with self.app.app_context(), transaction():
            for one in ids:
                finding = db.session.get_one(Finding, one)
                for name, value in (values or {"closed_at": self.clock.at}).items():
                    setattr(finding, name, value)
            changed("finding", ids, now=self.clock.at)

    def plans(self) -> planning.Planned:
        config: Config = self.app.extensions["fleet_config"]
        with self.app.app_context(), transaction():
            return planning.plan(now=self.clock.at, timezone=config.timezone)

    def has_due(self, *tags: str, severity: Severity = Severity.WARNING) -> list[int]:
        """Open a finding at each of these tablets, and wait until a letter that comes at once is due."""
        found = self.finds(*tags, severity=severity)
        self.plans()
        self.clock.forward(minutes=2)
        return found

    def sends(self) -> int:
        """Send what is due; returns how many letters were tried."""
        tried = 0
        while self.postman.send_one():
            tried += 1
        return tried

    def posts(self) -> int:
        tried = 0
        while self.postman.post_one():
            tried += 1
        return tried

    def letters(self) -> list[Letter]:
        with self.app.app_context():
            found = list(db.session.scalars(select(Letter).order_by(Letter.id)))
            db.session.expunge_all()
            return found

    def uses(self, port: int, security: MailSecurity = MailSecurity.NONE, **more: Any) -> None:
        """Have letters sent by a mail server on loopback."""
        told = {"host": "localhost", "sender": "nettbrett@prove.example", **more}
        with self.app.app_context(), transaction():
            mail_server.save(
                Settings(port=port, security=security, **told), vault_key=self.vault, by=BY, now=self.clock.at
            )  # fmt: skip


def vault_of(app: Flask) -> bytes:
    config: Config = app.extensions["fleet_config"]
    return vault_key_of(config.secrets_dir, config.vault_key_file)


def world(app: Flask, *, poster: Poster | None = None) -> World:
    """Make a server of ours at Monday 10:15, with a school's IT (it), a teacher of 8B (lars) and an admin."""
    clock = Clock()
    app.extensions["fleet_letter_writer"] = plain
    with app.app_context(), transaction():
        schools.ensure_municipality("Prøve kommune")
        at = factories.school()
        of = factories.school_class(at)
        ids = {"school": at.id, "class": of.id}
        for account in (
            factories.account("it", (Role.SCHOOL_IT, at)),
            factories.teacher("lars", of),
            factories.account("admin", (Role.MUNICIPAL_ADMIN, None)),
        ):
            account.email = f"{account.username}@prove.example"
            ids[account.username] = account.id
    return World(app, clock, Postman(app, vault_key=vault_of(app), now=clock, poster=poster), ids)


def account(of: World, username: str) -> Account:
    return db.session.get_one(Account, of.ids[username])


@dataclass
class Received:
    """A request that came to a receiver."""

    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[BaseHTTPRequestHandler], None]


def says(status: int, **headers: str) -> Answer:
    """Return an answer of a status and headers, underscores for hyphens."""

    def answer(to: BaseHTTPRequestHandler) -> None:
        to.send_response(status)
        for name, value in headers.items():
            to.send_header(name.replace("_", "-"), value)
        to.send_header("Content-Length", "0")
        to.end_headers()

    return answer


@dataclass
class Receiver:
    """A receiver of webhooks: ``answers`` are taken one by one, then each request is taken."""

    port: int
    scheme: str = "http"
    came: list[Received] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.scheme}://localhost:{self.port}/alerts?from=fleet"


@contextlib.contextmanager
def receiver(authority: Authority | None = None) -> Iterator[Receiver]:
    """Run a receiver, with TLS where it is given who vouches for it."""

    class _Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told = {name.lower(): value for name, value in self.headers.items()}
            made.came.append(Received(self.path, told, body))
            with contextlib.suppress(OSError):
                (made.answers.pop(0) if made.answers else says(204))(self)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ARG002 (as the library calls it)
            return

    class _Quiet(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (as the library calls it)
            return

    with _Quiet(("127.0.0.1", 0), _Handler) as server:
        if authority is not None:
            server.socket = context(authority).wrap_socket(server.socket, server_side=True)
        made = Receiver(server.server_port, "https" if authority is not None else "http")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
