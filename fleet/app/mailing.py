"""Handing letters to the mail server: a letter made of what was written, and the talk about it. No database in here.

Invariants: what a letter says of itself is one line each, whatever names and subjects hold; the mail server is believed
only over TLS with a certificate that leads to whom we trust, but for one on this machine; without that no user name, no
password and no letter is told. All waits end.

Source: RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 8314 (TLS from the first byte), RFC 5322 (letters), RFC 3834
(Auto-Submitted), RFC 2369 and RFC 8058 (List-Unsubscribe).
"""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any, BinaryIO

from fleet.alerts.letters import Written
from fleet.alerts.mail_server import Settings
from fleet.alerts.models import MailSecurity
from fleet.alerts.sending import Claimed
from fleet.channels.patience import within
from fleet.errors import ReasonError

_TIMEOUT_S = 30.0  # between two pieces
_WHOLE_S = 180.0
_BYE_S = 5.0
_MAX_REPLY_BYTES = 64 * 1024
_MAX_SUBJECT = 200
# What other programs read, letter by letter: the library would write a long one as words in another script.
_WHOLE = frozenset({"list-unsubscribe", "message-id"})


class _Policy(EmailPolicy):
    """The library's, with headers that are one long word left as they are. Source: RFC 5322 section 2.1.1 (998)."""

    def fold(self, name: str, value: str) -> str:
        """Return a header as lines."""
        return f"{name}: {value}{self.linesep}" if name.lower() in _WHOLE else super().fold(name, value)

    def fold_binary(self, name: str, value: str) -> bytes:
        """Return a header as it is sent."""
        return self.fold(name, value).encode("ascii") if name.lower() in _WHOLE else super().fold_binary(name, value)


_POLICY = _Policy(linesep="\r\n", cte_type="7bit", utf8=False)


class ServerError(ReasonError):
    """The mail server is not reached, or does not want us: no letter's fault."""


class LaterError(ReasonError):
    """The letter is to be tried again.

    Args:
        reason: a few words.
        is_unsure: whether the mail server may have taken it.
    """

    def __init__(self, reason: str, *, is_unsure: bool = False) -> None:
        super().__init__(reason)
        self.is_unsure = is_unsure


class NeverError(ReasonError):
    """The mail server will not take the letter, however often it is asked."""


def one_line(told: str, most: int) -> str:
    """Return a text as one line of what can be shown: no letter gets a second header from a name."""
    shown = "".join(one if one.isprintable() else " " for one in told)
    return " ".join(shown.split())[:most]


def make(letter: Claimed, written: Written, *, sender: str, name: str, at: datetime) -> EmailMessage:
    """Return a letter as it is sent.

    Args:
        letter: which.
        written: what it says.
        sender: the address it comes from.
        name: whose that is.
        at: when it is sent.
    """
    made = EmailMessage(policy=_POLICY)
    local, _, domain = sender.rpartition("@")
    made["From"] = Address(one_line(name, 80), local, domain)
    to_local, _, to_domain = letter.address.rpartition("@")
    made["To"] = Address("", to_local, to_domain)
    made["Subject"] = one_line(written.subject, _MAX_SUBJECT)
    made["Date"] = format_datetime(at)
    made["Message-ID"] = letter.message_id
    made["Auto-Submitted"] = "auto-generated"
    url = letter.contents.unsubscribe_url
    if url is not None:
        made["List-Unsubscribe"] = f"<{url}>"
        if url.startswith("https://"):
            made["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    made.set_content(written.text)
    made.add_alternative(written.html, subtype="html")
    if letter.file is not None:
        kind, _, subtype = letter.file.media_type.partition("/")
        made.add_attachment(
            letter.file.content, maintype=kind, subtype=subtype, filename=one_line(letter.file.file_name, 120)
        )
    return made


def send(settings: Settings, message: EmailMessage, *, to: str, hello: str) -> None:
    """Hand a letter to the mail server.

    Args:
        settings: how it is reached.
        message: the letter.
        to: whom it is for.
        hello: who we are.

    Raises:
        ServerError: the mail server is not there, or does not want us.
        LaterError: it is to be tried again.
        NeverError: it is never taken.
    """
    with _talk(settings, hello) as talk:
        _ask(talk.mail, settings.sender, where="sender")
        try:
            code, _ = talk.rcpt(to)
        except (OSError, smtplib.SMTPException) as error:
            raise LaterError("hung up at the reader") from error
        _judge(code, "reader")
        try:
            code, _ = talk.data(message.as_bytes())
        except smtplib.SMTPDataError as error:  # it does not want to hear it
            code = error.smtp_code
        except (OSError, smtplib.SMTPException) as error:
            raise LaterError("hung up at the letter", is_unsure=True) from error
        _judge(code, "letter")


def reach(settings: Settings, *, hello: str) -> None:
    """Talk with the mail server as for a letter, signing in where it must, and say goodbye without one.

    Args:
        settings: how it is reached.
        hello: who we are.

    Raises:
        ServerError: the mail server is not there, or does not want us.
        LaterError: it is too slow.
    """
    with _talk(settings, hello):
        pass


def _ask(verb: Any, told: str, *, where: str) -> None:
    """Say something that concerns us and not the letter.

    Raises:
        ServerError: it is refused.
    """
    try:
        code, _ = verb(told)
    except (OSError, smtplib.SMTPException) as error:
        raise ServerError(f"hung up at the {where}") from error
    if not 200 <= code < 300:
        raise ServerError(f"{where} refused ({code})")


def _judge(code: int, where: str) -> None:
    if 500 <= code < 600 and code not in {500, 502, 503, 504, 530}:  # the others mean how we talk
        raise NeverError(f"{where} refused ({code})")
    if not 200 <= code < 300:
        raise LaterError(f"{where} not now ({code})")


class _Limited:
    """What the mail server says, up to a bound for each reply."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.left = file, _MAX_REPLY_BYTES

    def readline(self, size: int = -1) -> bytes:
        """Return a line.

        Raises:
            OSError: the reply is too long.
        """
        line = self._file.readline(size)
        self.left -= len(line)
        if self.left < 0:
            raise OSError("too long a reply")
        return line

    def close(self) -> None:
        """Close it."""
        self._file.close()


class _Plain(smtplib.SMTP):
    """A talk whose replies are bounded, with a name for TLS that is known before it connects."""

    def __init__(self, host: str, hello: str) -> None:
        super().__init__(local_hostname=hello, timeout=_TIMEOUT_S)
        self._host = host

    def getreply(self) -> tuple[int, bytes]:
        """Return the next reply."""
        file: Any = self.file
        if self.sock is not None and not isinstance(file, _Limited):
            file = self.file = _Limited(self.sock.makefile("rb"))
        if isinstance(file, _Limited):
            file.left = _MAX_REPLY_BYTES
        return super().getreply()

    def begin_tls(self, context: ssl.SSLContext) -> None:
        """Have the rest of the talk guarded. Source: RFC 3207 section 4.2: what was heard before counts no more.

        Raises:
            SMTPNotSupportedError: the mail server does not offer it.
            SMTPResponseException: it does, and refuses.
        """
        self.ehlo_or_helo_if_needed()
        if not self.has_extn("starttls"):
            raise smtplib.SMTPNotSupportedError
        code, told = self.docmd("STARTTLS")
        if code != 220:
            raise smtplib.SMTPResponseException(code, told)
        self.guard(context)
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False

    def guard(self, context: ssl.SSLContext) -> None:
        """Speak TLS over the connection; it is ours to hang up from before the first byte of that."""
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected
        guarded = context.wrap_socket(self.sock, server_hostname=self._host, do_handshake_on_connect=False)
        self.sock, self.file = guarded, None
        guarded.do_handshake()


class _Guarded(_Plain):
    """The same, with TLS from the first byte."""

    def __init__(self, host: str, hello: str, context: ssl.SSLContext) -> None:
        super().__init__(host, hello)
        self._context = context

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        self.sock = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        self.guard(self._context)
        return self.sock


@contextmanager
def _talk(settings: Settings, hello: str) -> Iterator[smtplib.SMTP]:
    """Give a talk with the mail server that has signed in where it must.

    Raises:
        ServerError: it did not come about.
        LaterError: it took too long.
    """
    context = ssl.create_default_context(cadata=settings.authority_pem)
    if settings.security is MailSecurity.TLS:
        talk: _Plain = _Guarded(settings.host, hello, context)
    else:
        talk = _Plain(settings.host, hello)
    try:
        with within(lambda: talk.sock, _WHOLE_S):
            _begin(talk, settings, context)
            yield talk
        _end(talk)
    except TimeoutError as error:
        raise LaterError("too slow", is_unsure=True) from error
    finally:
        talk.close()


def _begin(talk: _Plain, settings: Settings, context: ssl.SSLContext) -> None:
    try:
        code, _ = talk.connect(settings.host, settings.port)
        if code != 220:
            raise ServerError(f"not now ({code})")
        talk.ehlo_or_helo_if_needed()
        if settings.security is MailSecurity.STARTTLS:
            talk.begin_tls(context)
            talk.ehlo_or_helo_if_needed()
        if settings.username is not None:
            talk.login(settings.username, settings.password or "")
    except ssl.SSLCertVerificationError as error:
        raise ServerError("certificate not trusted") from error
    except ssl.SSLError as error:
        raise ServerError("no TLS") from error
    except smtplib.SMTPNotSupportedError as error:
        raise ServerError("offers no STARTTLS or no sign-in") from error
    except smtplib.SMTPAuthenticationError as error:
        raise ServerError(f"sign-in refused ({error.smtp_code})") from error
    except smtplib.SMTPResponseException as error:
        raise ServerError(f"refused ({error.smtp_code})") from error
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        raise ServerError("unreachable") from error


def _end(talk: smtplib.SMTP) -> None:
    """Say goodbye; whatever comes of it, the letter is taken."""
    with suppress(OSError, smtplib.SMTPException), within(lambda: talk.sock, _BYE_S):
        talk.quit()
