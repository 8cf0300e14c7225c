"""Who is told in the demo: letters, a mail server in this process that keeps what it takes, and a webhook that rests.

Nothing leaves the machine: letters end as files in the demo's own folder, and what the webhook was told before the
first start it was told on paper only.
"""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from fleet import clock
from fleet.access import Principal
from fleet.alerts import hook_messages, mail_server, planning, sending, unsubscribing, webhooks
from fleet.alerts.mail_server import Settings
from fleet.alerts.models import AlertTopic, MailSecurity
from fleet.alerts.sending import Links
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.people import accounts
from fleet.reports import schedules
from fleet.reports.models import Format, Rhythm
from fleet.reports.parameters import Parameters

_BY = Principal.command_line()
_SENDER = "nettbrett@demo-kommune.example"
_HELP_DESK = "https://brukerstotte.demo-kommune.example/varsler"
_REFUSED = 3  # the how many-th message the help desk did not take
_GONE = 410


def begin(usernames: list[str], config: Config, now: datetime) -> int:
    """Have people and a help desk be told from now on; returns the webhook's number."""
    for username in usernames:
        address = f"{username}@demo-kommune.example"
        accounts.set_email(accounts.find(username), address, by=_BY, now=now)
    vault = vault_key_of(config.secrets_dir, config.vault_key_file)
    wanted = webhooks.Draft(
        "Brukerstøtte", _HELP_DESK, [AlertTopic.MISSING, AlertTopic.INCIDENTS, AlertTopic.QUESTIONS]
    )
    made = webhooks.create(wanted, vault_key=vault, by=_BY, now=now)
    reader = accounts.principal(accounts.find("it"), today=now.astimezone(config.timezone).date())
    schedules.add(
        "compliance", Parameters(), Format.XLSX, Rhythm.WEEKLY, by=reader, now=now, timezone=config.timezone
    )  # fmt: skip
    return made.webhook.id


class Post:
    """What went out before the first start."""

    def __init__(self, config: Config) -> None:
        self._config, self._messages = config, 0
        self._vault = vault_key_of(config.secrets_dir, config.vault_key_file)
        self._links = Links(config.public_url, unsubscribing.key_of(config.secrets_dir))

    def go(self, now: datetime) -> None:
        """Plan what is to be told, and note it as sent, but for one message that the help desk did not want."""
        planning.plan(now=now, timezone=self._config.timezone)
        while (letter := sending.claim(links=self._links, now=now, timezone=self._config.timezone)) is not None:
            sending.sent(letter, now=now)
        while (message := hook_messages.claim(vault_key=self._vault, now=now)) is not None:
            self._messages += 1
            if self._messages == _REFUSED:
                hook_messages.failed(message, f"answered {_GONE}", status=_GONE, is_final=True, now=now)
            else:
                hook_messages.sent(message, 204, now=now)


class _Mailbox(socketserver.StreamRequestHandler):
    """A talk with a mail server that takes all and keeps it. Source: RFC 5321 section 4.1."""

    folder: ClassVar[Path]
    timeout = 60

    def handle(self) -> None:
        """Answer until the other side says goodbye."""
        self._say("220 demo")
        while line := self.rfile.readline(1_000):
            verb = line[:4].upper()
            if verb == b"DATA":
                self._say("354 go on")
                self._keep()
            self._say("221 bye" if verb == b"QUIT" else "250 taken")
            if verb == b"QUIT":
                return

    def _say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())

    def _keep(self) -> None:
        lines = []
        while (line := self.rfile.readline(10_000)) not in {b"", b".\r\n"}:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        name = f"{clock.now():%Y%m%dT%H%M%S.%f}.eml"
        (self.folder / name).write_bytes(b"".join(lines))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextmanager
def mailbox(folder: Path) -> Iterator[int]:
    """Take letters on this machine and keep them as files in ``folder``; gives the port."""
    folder.mkdir(mode=0o700, exist_ok=True)
    handler = type("Mailbox", (_Mailbox,), {"folder": folder})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="mailbox", daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def lead_to(port: int, *, now: datetime) -> None:
    """Have letters go to the mailbox, which listens elsewhere at each start."""
    mail_server.save(Settings("127.0.0.1", port, MailSecurity.NONE, _SENDER), by=_BY, vault_key=b"", now=now)
