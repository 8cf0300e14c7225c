"""What the channel of the open Android agent asks of the domain, each in one unit of work, most for many at once.

Translation only: messages of the agent on one side, our areas on the other.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flask import Flask

from fleet import orders
from fleet.android import enrolling, serving, tokens
from fleet.android.enrolling import Arrival
from fleet.android.serving import Served, Standing
from fleet.apps import images, packages
from fleet.apps.files import PackageFiles
from fleet.channels import package_files
from fleet.channels.headwind import confirming, telling
from fleet.channels.headwind.confirming import Confirmed
from fleet.channels.headwind.known import Known
from fleet.channels.headwind.messages import Info
from fleet.channels.headwind.plan import Ask, Planned, Planner
from fleet.channels.headwind.telling import Told
from fleet.channels.http import Request, Response
from fleet.checkins import polls
from fleet.db import reading, take_turn, transaction
from fleet.devices.enrolment import EnrolmentError, Refused, good_ticket
from fleet.devices.models import DeviceLife

_PACKAGE = "application/vnd.android.package-archive"


@dataclass(frozen=True, slots=True)
class Look:
    """What a poll finds.

    Args:
        device_id: whose it is.
        is_open: whether its enrolment is.
        has_news: whether it shall fetch its configuration.
        version: with which it waits.
        until: when that is not right any more by itself.
    """

    device_id: int
    is_open: bool
    has_news: bool
    version: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class ConfigItem:
    """A tablet asks for its configuration: the SHA-256 of its token, what it calls itself, what it runs on."""

    digest: str
    number: str
    cpu: str | None


class Work:
    """The channel's units of work.

    Args:
        app: the application.
        secret: of the server, for tokens and the tablets' own passwords.
        now: the clock.
    """

    def __init__(self, app: Flask, secret: bytes, *, now: Callable[[], datetime]) -> None:
        config = app.extensions["fleet_config"]
        self._app = app
        self._secret = secret
        self._files = PackageFiles(config.packages_dir)
        self._planner = Planner(config.public_url, secret)
        self._now = now

    # -- coming in -----------------------------------------------------------------------------------------------

    def enrol(self, code: str, number: str, cpu: str | None) -> bytes | EnrolmentError:
        """Take a tablet in and return its first configuration; or say why not, which is committed too.

        Who has no good code is told so without a transaction that writes: tablets wait for those.
        """
        now = self._now()
        with self._app.app_context():
            with reading():
                device_id = enrolling.expected(code, number)
                if device_id is None:
                    try:
                        good_ticket(code, now)
                    except EnrolmentError as error:
                        return error
            if device_id is None:
                with transaction():
                    outcome = enrolling.arrive(Arrival(code, number, cpu, self._secret), now=now)
                if isinstance(outcome, Refused):
                    return outcome.error
                device_id = outcome
        return self._first(device_id, number, cpu) or EnrolmentError()

    def coming(self, code: str, number: str, cpu: str | None) -> bytes | None:
        """Return the first configuration once more; None for who has not come in with this ticket, or is in long."""
        with self._app.app_context(), reading():
            device_id = enrolling.expected(code, number)
        return self._first(device_id, number, cpu) if device_id is not None else None

    def _first(self, device_id: int, number: str, cpu: str | None) -> bytes | None:
        now = self._now()
        with self._app.app_context(), reading():
            standing = serving.standing_of(device_id, now)
            if standing is None:
                return None
            return self._planner.plan([Ask(standing, number, cpu, is_coming=True)], now=now)[0].data

    # -- polls and configurations --------------------------------------------------------------------------------

    def looks(self, digests: Sequence[str]) -> list[Look | None]:
        """Return what polls find, by the SHA-256 of their tokens; None for a token that nobody has."""
        now = self._now()
        with self._app.app_context():
            with reading():
                found = serving.standings(digests, now)
                asks = [Ask(one, one.client.number, None) for one in found.values() if not one.has_all(now)]
                planned = self._planned(asks, now)
            news = {device_id for device_id, one in planned.items() if one.is_news}
            right = [one.served for one in planned.values() if not one.is_news and _is_to_note(one)]
            first = {digest: one for digest, one in found.items() if one.is_newest and one.client.seen_at is None}
            if right or first:
                with transaction():
                    if first:
                        _use(first, right, now)
                    _note([replace(one, is_fetched=False) for one in right], now)
        return [_look(found.get(digest), planned, news) for digest in digests]

    def configs(self, batch: Sequence[ConfigItem]) -> list[bytes | None]:
        """Return configurations as JSON; None for a token that nobody has. What is new is noted as handed out."""
        now = self._now()
        with self._app.app_context():
            with reading():
                found = serving.standings([one.digest for one in batch], now)
            if any(_may_come_back(one) for one in found.values()):
                found = self._come_back(found, now)
            with reading():
                # Once for each tablet, however often it asks at the same moment.
                asks = {
                    found[one.digest].device_id: Ask(found[one.digest], one.number, one.cpu)
                    for one in batch
                    if one.digest in found
                }
                planned = self._planned(list(asks.values()), now)
            new = [one.served for one in planned.values() if _is_to_note(one)]
            if new:
                with transaction():
                    _note(new, now)
        return [planned[found[one.digest].device_id].data if one.digest in found else None for one in batch]

    def _planned(self, asks: Sequence[Ask], now: datetime) -> dict[int, Planned]:
        made = self._planner.plan(asks, now=now) if asks else []
        return {one.standing.device_id: plan for one, plan in zip(asks, made, strict=True)}

    def _come_back(self, found: Mapping[str, Standing], now: datetime) -> dict[str, Standing]:
        with transaction():
            take_turn("assignments")
            ids = [one.device_id for one in found.values() if _may_come_back(one)]
            for client in serving.held(ids).values():
                if enrolling.come_back(client, now=now):
                    client.told = Known.read(client.told).anew().written()
        with reading():
            return serving.standings(list(found), now)

    # -- what tablets tell ---------------------------------------------------------------------------------------

    def tell(self, batch: Sequence[Told]) -> list[bool]:
        """Take what tablets tell; returns for each whether anybody has its token."""
        with self._app.app_context():
            with transaction():
                taken = telling.take(batch, now=self._now())
            if taken.models:
                with transaction():
                    enrolling.note_models(taken.models)
        return [one.digest in taken.owners for one in batch]

    def confirm(self, digest: str, kind: str, info: Info) -> Confirmed:
        """Take a tablet's word that it is about to do what it was ordered."""
        with self._app.app_context(), transaction():
            return confirming.confirm(digest, kind, info, now=self._now())

    # -- files ---------------------------------------------------------------------------------------------------

    def package(self, request: Request, token: str) -> Response:
        """Return a package, or the part of it that is asked for."""
        with self._app.app_context(), reading():
            package = packages.served(token)
        if package is None:
            return Response(404)
        path = self._files.path(package.digest)
        return package_files.content(
            request, path, digest=package.digest, size_bytes=package.size_bytes, media_type=_PACKAGE
        )

    def image(self, digest: str) -> tuple[str, bytes] | None:
        """Return a picture and what kind it is of, by the SHA-256 of its bytes."""
        with self._app.app_context(), reading():
            return images.by_digest(digest)


def _use(first: Mapping[str, Standing], right: Sequence[Served], now: datetime) -> None:
    """Note which tablets speak under their newest tokens; those of which more is to be noted are held with them."""
    ids = {one.device_id for one in first.values()} | {one.standing.device_id for one in right}
    clients = serving.held(ids)
    for digest, one in first.items():
        if one.device_id in clients:
            tokens.use(clients[one.device_id], digest, now=now)


def _note(served: Sequence[Served], now: datetime) -> None:
    """Note what tablets are handed, or have already: clients' rows first, then tablets' states, then orders."""
    noted = serving.note(served, now=now)
    if noted.versions:
        polls.note_fetched(noted.versions, now=now)
    if noted.orders:
        orders.mark_sent(noted.orders, now=now)


def _look(one: Standing | None, planned: Mapping[int, Planned], news: Collection[int]) -> Look | None:
    if one is None:
        return None
    made = planned.get(one.device_id)
    until = made.served.until if made is not None else one.client.served_until
    return Look(one.device_id, one.is_open, one.device_id in news, one.config_version, until)


def _is_to_note(one: Planned) -> bool:
    """Whether what a tablet is handed is to be noted: it is new, or the tablet calls itself otherwise."""
    served, client = one.served, one.served.standing.client
    was = (client.served_version, client.served_until, client.number, client.cpu)
    return one.is_news or was != (
        served.standing.wanted_version, served.until, served.number, served.cpu or client.cpu
    )  # fmt: skip


def _may_come_back(one: Standing) -> bool:
    """Whether a tablet whose enrolment has ended may be in again by itself: it was found, or is in use again."""
    return not one.is_open and one.life is DeviceLife.EXPECTED and one.client.wiped_at is None
