"""Sends letters and posts messages, in threads of their own: both are slow, and neither is done in a transaction.

Which is whose turn stands in the database (:mod:`fleet.alerts.sending`, :mod:`fleet.alerts.hook_messages`), so that of
several servers one does it, and one that is killed loses nothing.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from functools import partial
from urllib.parse import urlsplit

import structlog
from flask import Flask

from fleet import metrics
from fleet.alerts import hook_messages, mail_server, sending, unsubscribing
from fleet.alerts.letters import Writer
from fleet.alerts.mail_server import Settings
from fleet.alerts.sending import Claimed, Links
from fleet.app import mailing
from fleet.app.mailing import LaterError, NeverError, ServerError
from fleet.app.posting import Poster, PostError
from fleet.config import Config
from fleet.crypto import UnsealError
from fleet.db import reading, transaction
from fleet.schools import queries as schools

_LOOK_S = 5.0
_STOP_S = 5.0
_POSTERS = 3
_log = structlog.get_logger("alerts")


class Postman:
    """Sends the letters that are due and posts the messages that are due.

    Args:
        app: the application; who makes texts of letters stands in its extensions as ``fleet_letter_writer``.
        vault_key: opens what is sealed.
        now: the clock.
        poster: posts messages.
    """

    def __init__(
        self, app: Flask, *, vault_key: bytes, now: Callable[[], datetime], poster: Poster | None = None
    ) -> None:
        self._app, self._vault_key, self._now = app, vault_key, now
        self._config: Config = app.extensions["fleet_config"]
        self._links = Links(self._config.public_url, unsubscribing.key_of(self._config.secrets_dir))
        self._poster = poster or Poster()
        self._ending = threading.Event()
        work = [self.send_one, *[self.post_one] * _POSTERS]
        self._threads = [
            threading.Thread(target=self._run, args=(one,), name=f"postman-{number}", daemon=True)
            for number, one in enumerate(work)
        ]

    def start(self) -> None:
        """Begin."""
        for one in self._threads:
            one.start()

    def stop(self) -> None:
        """End once what is under way is done; what takes longer is done again by whoever comes next."""
        self._ending.set()
        for one in self._threads:
            one.join(_STOP_S)

    def _run(self, work: Callable[[], bool]) -> None:
        is_failing = False
        while not self._ending.is_set():
            found = False
            try:
                found = work()
                is_failing = False
            except Exception as error:  # noqa: BLE001 (most often the database is away; the next look tries again)
                if not is_failing:
                    _log.warning("alerts not sent", kind=type(error).__name__)
                is_failing = True
            if not found:
                self._ending.wait(_LOOK_S)

    def send_one(self) -> bool:
        """Send a letter that is due; returns whether there was one."""
        writer: Writer | None = self._app.extensions.get("fleet_letter_writer")
        if writer is None or not self._is_due(sending.is_due):
            return False
        with self._app.app_context(), transaction():
            settings = self._settings()
            if settings is None:
                return False
            letter = sending.claim(links=self._links, now=self._now(), timezone=self._config.timezone)
            name = self._owner()
        if letter is None:
            return False
        try:
            with self._app.app_context():
                written = writer(letter.contents, letter.language)
            made = mailing.make(letter, written, sender=settings.sender, name=name, at=self._now())
        except Exception as error:  # noqa: BLE001 (a fault of ours in one letter holds up no other)
            self._faulty(letter, "not written", error, is_unsure=False)
            return True
        return self._hand_over(settings, letter, made)

    def _settings(self) -> Settings | None:
        """Return how the mail server is reached, None where it is not to be spoken to now."""
        try:
            return mail_server.settings(vault_key=self._vault_key, now=self._now())
        except UnsealError:
            mail_server.failed("password cannot be opened", now=self._now())
            return None

    def _hand_over(self, settings: Settings, letter: Claimed, made: EmailMessage) -> bool:
        """Hand a letter to the mail server, and note what came of it; whether another may be tried at once."""
        outcome = "failed"
        try:
            mailing.send(settings, made, to=letter.address, hello=self._hello())
        except ServerError as error:
            self._server_failed(letter, error.reason)
            return False
        except LaterError as error:
            self._note(partial(sending.failed, letter, error.reason, is_unsure=error.is_unsure))
        except NeverError as error:
            self._note(partial(sending.refused, letter, error.reason))
        except Exception as error:  # noqa: BLE001 (or it would be tried for ever, and nobody told)
            self._faulty(letter, "not sent", error, is_unsure=True)
        else:
            outcome = "sent"
            self._note(partial(sending.sent, letter))
        finally:
            metrics.ALERTS.add(1, "letter", outcome)
        return True

    def _faulty(self, letter: Claimed, what: str, error: Exception, *, is_unsure: bool) -> None:
        reason = f"{what}: {type(error).__name__}"
        _log.error("letter failed", reason=reason)
        with self._app.app_context(), transaction():
            sending.failed(letter, reason, is_unsure=is_unsure, now=self._now())

    def _is_due(self, look: Callable[..., bool]) -> bool:
        """Look without a writing transaction, of which the embedded database has one at a time."""
        with self._app.app_context(), reading():
            return look(now=self._now())

    @staticmethod
    def _owner() -> str:
        """Return who the letters are from."""
        found = schools.municipality()
        return found.name if found is not None else ""

    def _hello(self) -> str:
        return urlsplit(self._links.base_url).hostname or "localhost"

    def _note(self, note: Callable[..., bool]) -> None:
        """Write down what came of a letter, and that the mail server talks with us."""
        with self._app.app_context(), transaction():
            note(now=self._now())
            mail_server.worked(now=self._now())

    def _server_failed(self, letter: Claimed, reason: str) -> None:
        _log.warning("mail server does not take letters", reason=reason)
        with self._app.app_context(), transaction():
            sending.put_back(letter)
            mail_server.failed(reason, now=self._now())

    def post_one(self) -> bool:
        """Post a message that is due; returns whether there was one."""
        if not self._is_due(hook_messages.is_due):
            return False
        with self._app.app_context(), transaction():
            message = hook_messages.claim(vault_key=self._vault_key, now=self._now())
        if message is None:
            return False
        note: Callable[..., bool]
        outcome = "failed"
        try:
            note = partial(hook_messages.sent, message, self._poster.post(message, now=self._now()))
            outcome = "sent"
        except PostError as error:
            note = partial(
                hook_messages.failed, message, error.reason, status=error.status, after=error.after,
                is_final=error.is_final,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 (or it would be tried for ever, and nobody told)
            reason = f"not sent: {type(error).__name__}"
            _log.error("message failed", reason=reason)
            note = partial(hook_messages.failed, message, reason)
        metrics.ALERTS.add(1, "message", outcome)
        with self._app.app_context(), transaction():
            note(now=self._now())
        return True
