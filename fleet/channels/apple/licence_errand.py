"""The errand that asks Apple for licences of apps, gives back what nobody wants, and compares what stands here.

What is to be asked for, and what follows, is decided below (:mod:`fleet.apps.licence_rounds`); here is the order of a
round. Each step has a transaction of its own and none is open while Apple is asked, so that a server that is killed
loses nothing but the answer, which the next round looks up.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from flask import Flask

from fleet.apps import licence_outcomes, licence_rounds
from fleet.apps.licence_outcomes import Holders
from fleet.apps.licence_rounds import Limits, Part
from fleet.channels.apple.licences import Licences, LicencesError, Owner, RefusedError
from fleet.channels.apple.steward import Errand, Memory, ServiceError
from fleet.config import Config
from fleet.db import transaction
from fleet.mdm import errands
from fleet.mdm.errands import LICENCES, OTHER_SERVICE
from fleet.mdm.licence_token import LicenceToken, LicenceTokenKeeper

EVERY = timedelta(minutes=15)
_SOON, _SOON_AT_MOST = timedelta(seconds=30), 10  # how often in a row Apple is asked soon how far it is
_LASTS = timedelta(minutes=5)  # then a round ends and the next goes on
_COMPARED_AT_ONCE = 20
_NAME = "School tablet fleet"
_log = structlog.get_logger("licences")
Connect = Callable[[str], Licences]


def errand(app: Flask, keeper: LicenceTokenKeeper, *, now: Callable[[], datetime], connect: Connect) -> Errand:
    """Make the errand.

    Args:
        app: the application.
        keeper: has the token.
        now: the clock.
        connect: makes a client of a token.
    """
    return Errand(LICENCES, EVERY, _Rounds(app, keeper, now, connect).run)


class _Rounds:
    def __init__(self, app: Flask, keeper: LicenceTokenKeeper, now: Callable[[], datetime], connect: Connect) -> None:
        self._app, self._keeper, self._now, self._connect = app, keeper, now, connect

    def run(self, memory: Memory) -> Memory | None:
        """Do a round; see :class:`~fleet.channels.apple.steward.Errand`."""
        token = self._keeper.current()
        if token is None:
            return None
        if self._now() >= token.expires_at:
            raise ServiceError("token-expired")
        ends_at = self._now() + _LASTS
        store = self._connect(token.raw)
        try:
            self._be_owner(store, token)
            self._look_after_events(store)
            with self._step():
                unclear = licence_outcomes.unclear()
            self._compare(store, sorted(unclear))
            self._restock(store, memory)
            is_cut = not self._ask(store, ends_at)
            with self._step():
                old = licence_outcomes.to_compare(now=self._now())
            self._compare(store, old[:_COMPARED_AT_ONCE])
        except RefusedError as error:  # of what cannot be refused by reason
            raise ServiceError(f"answer {error.number}") from None
        return self._end(memory, is_cut=is_cut)

    @contextmanager
    def _step(self) -> Iterator[None]:
        with self._app.app_context(), transaction():
            yield

    def _be_owner(self, store: Licences, token: LicenceToken) -> None:
        """Let nobody be in doubt that the licences are ours; never take another's without being told to."""
        found = store.owner()
        if found is not None and found.id == self._keeper.our_id:
            return
        if found is not None and not token.claims:
            raise ServiceError(f"{OTHER_SERVICE} {found.name}".strip())
        config: Config = self._app.extensions["fleet_config"]
        store.claim(Owner(self._keeper.our_id, _NAME), config.public_url)
        self._keeper.claimed(token)

    def _look_after_events(self, store: Licences) -> None:
        with self._step():
            event_ids = licence_outcomes.events(now=self._now())
        for event_id in event_ids:
            found = store.event(event_id)
            if not found.is_over:
                continue
            with self._step():
                if found.is_done:
                    licence_outcomes.settle(event_id, now=self._now())
                else:
                    licence_outcomes.lose(event_id, found.reasons)

    def _compare(self, store: Licences, store_ids: Iterable[int]) -> None:
        for store_id in store_ids:
            since = self._now()
            serials, is_whole = store.holders(store_id)
            with self._step():
                held = Holders(store_id, serials, is_whole=is_whole, since=since)
                licence_outcomes.compare(held, now=self._now())

    def _restock(self, store: Licences, memory: Memory) -> None:
        told = memory.get("stocked_at")
        is_old = told is None or self._now() - datetime.fromisoformat(told) >= EVERY - _SOON
        with self._step():
            is_needed = is_old or licence_rounds.is_anything_wanted(now=self._now())
        self._stocked_at = told
        if is_needed:
            found = store.stock()
            with self._step():
                licence_rounds.restock(found, now=self._now())
            self._stocked_at = self._now().isoformat()

    def _ask(self, store: Licences, ends_at: datetime) -> bool:
        """Give back and ask for; returns whether all was that is to be."""
        with self._step():
            if not licence_rounds.is_anything_wanted(now=self._now()):
                return True
        limits = store.limits()
        for plan in (licence_rounds.to_release, licence_rounds.to_assign):
            for part in self._plan(plan, limits):
                if self._now() >= ends_at:
                    return False
                self._ask_for(store, part)
        return True

    def _plan(self, plan: Callable[..., list[Part]], limits: Limits) -> list[Part]:
        with self._step():
            return plan(limits, now=self._now())

    def _ask_for(self, store: Licences, part: Part) -> None:
        with self._step():
            if not licence_rounds.asking(part, now=self._now()):
                return
        try:
            event_id = store.ask(part)
        except RefusedError as error:
            self._refused(store, part, error)
            return
        except LicencesError as error:
            if not error.may_have_heard:
                with self._step():
                    licence_outcomes.not_taken(part.licence_ids)
            raise
        with self._step():
            licence_outcomes.asked(part.licence_ids, event_id)

    def _refused(self, store: Licences, part: Part, error: RefusedError) -> None:
        """Find out what of a part cannot be: the tablets that are named, else one of the apps."""
        named = {key for key in part.licences if key[1] in error.serials}
        refused = {part.licences[key] for key in named} or part.licence_ids
        is_one = bool(named) or len(part.apps) == 1
        _log.warning("licences refused", number=error.number, apps=len(part.apps), tablets=len(part.serials))
        with self._step():
            if is_one:
                licence_outcomes.refuse(refused, error.reason, now=self._now())
            licence_outcomes.not_taken(part.licence_ids)
        if not is_one:
            for one in part.by_app():
                self._ask_for(store, one)

    def _end(self, memory: Memory, *, is_cut: bool) -> Memory:
        """Have the next round come soon where Apple is still at something; it mostly is for some seconds."""
        now = self._now()
        with self._step():
            is_waiting = bool(licence_outcomes.events(now=now) or licence_outcomes.unclear())
            soon = int(memory.get("soon", 0)) + 1 if is_waiting or is_cut else 0
            if 0 < soon <= _SOON_AT_MOST or is_cut:
                errands.hurry(LICENCES, now=now + _SOON)
        return {"stocked_at": self._stocked_at, "soon": soon}
