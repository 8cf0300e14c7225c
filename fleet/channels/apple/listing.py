"""The errand with Apple School Manager: what it lists is kept, and what it lists gets our profile.

Invariants: where a round ends before it is done, for whatever reason, the next one begins where the last stored word
was, and nothing is lost by hearing a word twice. A list of all is read once a day although changes are told: devices
are known to be missing among the changes for good.

Source: https://developer.apple.com/documentation/devicemanagement/device-assignment.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import Flask

from fleet.channels.apple import setup_profile
from fleet.channels.apple.school_manager import AT_ONCE, Assigned, CursorError, Page, SchoolManager
from fleet.channels.apple.steward import Errand, Memory, ServiceError
from fleet.db import reading, transaction
from fleet.mdm import listed
from fleet.mdm.listed import SCHOOL_MANAGER
from fleet.mdm.server_token import ServerToken
from fleet.mdm.token_keeper import TokenKeeper

_EVERY = timedelta(minutes=30)
_WHOLE_EVERY = timedelta(days=1)
_AGAIN = timedelta(hours=6)  # with devices that did not take a profile, where nothing else is said
_MOST_PAGES = 1000


class Listing:
    """Keeps our list and Apple's alike.

    Args:
        app: the application.
        keeper: of the server token.
        reach: makes a client of the service with a token.
        profile: gives the profile as it shall be; in a unit of work.
        now: the clock.
    """

    def __init__(
        self,
        app: Flask,
        keeper: TokenKeeper,
        *,
        reach: Callable[[ServerToken], SchoolManager],
        profile: Callable[[], Mapping[str, Any]],
        now: Callable[[], datetime],
    ) -> None:
        self._app, self._keeper, self._reach, self._profile, self._now = app, keeper, reach, profile, now

    @property
    def errand(self) -> Errand:
        """The errand, for the steward."""
        return Errand(SCHOOL_MANAGER, _EVERY, self.round)

    def round(self, memory: Memory) -> Memory | None:
        """Do a round; None where there is no server token.

        Raises:
            ServiceError: the service did not do what was asked; with what is known nevertheless.
        """
        token = self._keeper.current()
        if token is None:
            return None
        known = dict(memory)
        try:
            service = self._reach(token)
            self._introduce(service, known)
            self._read(service, known)
            self._assign(service, known)
        except ServiceError as error:
            raise ServiceError(error.reason, after=error.after, memory=known) from error
        return known

    def _introduce(self, service: SchoolManager, known: dict[str, Any]) -> None:
        """Find out who we are; under another entry nothing counts that was known."""
        account = service.account()
        if known.get("server") not in {None, account.server_uuid}:
            known.clear()
            with self._app.app_context(), transaction():
                listed.forget_profiles()
        known["server"], known["name"] = account.server_uuid, account.server_name
        known["organisation"] = account.organisation

    # -- the list ------------------------------------------------------------------------------------------------

    def _read(self, service: SchoolManager, known: dict[str, Any]) -> None:
        whole_at = known.get("whole_at")
        is_due = whole_at is None or self._now() - datetime.fromisoformat(whole_at) >= _WHOLE_EVERY
        if not is_due and "cursor" in known:
            try:
                self._pages(service.changes, known)
            except CursorError:
                pass
            else:
                return
        self._read_whole(service, known)

    def _read_whole(self, service: SchoolManager, known: dict[str, Any]) -> None:
        began_at = self._now()
        known.pop("cursor", None)
        try:
            self._pages(service.devices, known)
        except CursorError as error:
            known.pop("cursor", None)
            raise ServiceError(error.reason) from error
        with self._app.app_context(), transaction():
            listed.end_full_list(began_at=began_at, now=self._now())
        known["whole_at"] = began_at.isoformat()

    def _pages(self, ask: Callable[[Any], Page], known: dict[str, Any]) -> None:
        """Read on until there is no more just now.

        Raises:
            CursorError: the cursor is no good, or the service gives the same one for ever, which it is known to do.
        """
        for _number in range(_MOST_PAGES):
            before = known.get("cursor")
            page = ask(before)
            with self._app.app_context(), transaction():
                listed.note(page.devices, now=self._now())
            if page.has_more and page.cursor == before:
                break
            known["cursor"] = page.cursor
            if not page.has_more:
                return
        raise CursorError("INVALID_CURSOR")

    # -- the profile ---------------------------------------------------------------------------------------------

    def _assign(self, service: SchoolManager, known: dict[str, Any]) -> None:
        with self._app.app_context(), reading():
            wanted = self._profile()
        digest = setup_profile.digest(wanted)
        if known.get("digest") != digest or "profile" not in known:
            known["profile"], known["digest"] = service.define(wanted), digest
        uuid: str = known["profile"]
        try:
            self._each(lambda: listed.without(uuid, now=self._now(), at_most=AT_ONCE), service, uuid)
        except ServiceError as error:
            if error.reason in {"status 400", "status 404"}:  # it knows the profile no more
                del known["profile"]
            raise
        self._each(lambda: listed.retired_with(uuid, now=self._now(), at_most=AT_ONCE), service, None)

    def _each(self, due: Callable[[], Sequence[str]], service: SchoolManager, profile: str | None) -> None:
        """Give all that are due a profile, or take theirs away."""
        while True:
            with self._app.app_context(), reading():
                serials = due()
            if not serials:
                return
            done: Assigned = service.withdraw(serials) if profile is None else service.assign(profile, serials)
            now = self._now()
            # Never again in this round, which would have no end where each is to be tried again in a second.
            again_at = now + max(done.after or _AGAIN, _EVERY)
            with self._app.app_context(), transaction():
                listed.took(done.outcomes, profile, again_at=again_at, now=now)
