"""What each of many tablets shall be given, worked out together. In a unit of work.

Nothing is written here; what is handed out is noted by :func:`fleet.android.serving.note`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from fleet import orders
from fleet.android import addresses, tokens
from fleet.android.admin_password import admin_password
from fleet.android.serving import Served, Standing
from fleet.apps import catalogue, images
from fleet.apps.catalogue import AndroidPackage
from fleet.assignments import bodies
from fleet.assignments.kept import Kept
from fleet.channels.headwind import server_config
from fleet.channels.headwind.server_config import Closed, Package, Wish
from fleet.orders import Order, OrderKind, OrderState
from fleet.schools import queries as schools

NOTICE_FOR = timedelta(minutes=5)  # that a message stands over everything; afterwards the tablet is its pupil's again
_NAMELESS = "Skolens nettbrett"  # until somebody has written what the municipality is called
# Orders that are carried out by being in force; the others are done when the tablet confirms them. Its word on a new
# passcode says nothing of whether there is one.
_ENDING = frozenset({OrderKind.LOCK_MESSAGE, OrderKind.REPORT_NOW, OrderKind.CLEAR_PASSCODE})
_settings: Kept[Mapping[str, Any]] = Kept(512)


@dataclass(frozen=True, slots=True)
class Ask:
    """A tablet that asks.

    Args:
        standing: how it stands.
        number: what it calls itself.
        cpu: what it runs on; None where it does not say.
        is_coming: whether it asks where tablets come in: it gets little, and where to go on.
    """

    standing: Standing
    number: str
    cpu: str | None
    is_coming: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """What a tablet is given: the text of its configuration, and what to note when it is handed out."""

    data: bytes
    served: Served
    is_news: bool


@dataclass(frozen=True, slots=True)
class PutOff:
    """Until when a tablet does without an app; ``digest`` is of the package that it is about, None: of any."""

    until: datetime
    digest: str | None


@dataclass(frozen=True, slots=True)
class _Around:
    """What many tablets' plans are made of, read once for all of them."""

    settings: Mapping[str, Mapping[str, Any]]
    waiting: Mapping[int, Sequence[Order]]
    packages: Mapping[str, Sequence[AndroidPackage]]
    known: frozenset[str]
    images: Mapping[str, str]
    organisation: str


class Planner:
    """Works out configurations.

    Args:
        public_url: of the server, without a slash at the end.
        secret: of the server, for tokens and passwords.
    """

    def __init__(self, public_url: str, secret: bytes) -> None:
        self._public_url = public_url
        self._secret = secret

    def plan(self, asks: Sequence[Ask], *, now: datetime) -> list[Planned | None]:
        """Return what tablets shall be given; a bounded number of statements for all of them.

        None for one whose profile is not there: a fault of ours, no reason to open a tablet or to let others wait.
        """
        around = self._around([one.standing for one in asks], now)
        return [self._one(one, around, now) if _has_settings(one.standing, around) else None for one in asks]

    def _around(self, standings: Sequence[Standing], now: datetime) -> _Around:
        in_use = [one for one in standings if not one.is_closed]
        settings = _settings.load({one.profile for one in in_use if one.profile is not None}, _read)
        waiting = orders.pending([one.device_id for one in in_use], now=now) if in_use else {}
        required = {app for one in settings.values() for app in one.get("apps.required") or ()}
        shown = {one.get("wallpaper.image") for one in settings.values()}
        shown |= {clip.get("icon") for one in settings.values() for clip in one.get("web.bookmarks") or ()}
        owner = schools.municipality()
        return _Around(
            settings=settings,
            waiting=waiting,
            packages=catalogue.android_packages(sorted({*required, addresses.AGENT_APP})),
            known=catalogue.known_android(),
            images=images.digests({one for one in shown if one}),
            organisation=owner.name if owner is not None else _NAMELESS,
        )

    def _one(self, ask: Ask, around: _Around, now: datetime) -> Planned:
        one = ask.standing
        if one.is_closed:
            return self._closed(ask, around)
        waiting = around.waiting.get(one.device_id, ())
        notice, put_off = _notice(one, waiting, now), _put_off(one, now)
        kinds = {order.kind for order in waiting}
        made = server_config.server_config(
            Wish(
                settings=around.settings[one.profile] if one.profile is not None else {},
                profile=one.profile,
                packages=self._packages(around, ask.cpu or one.client.cpu, but=put_off),
                known=around.known,
                hidden=_hidden(one),
                password=admin_password(self._secret, one.serial),
                serial=one.serial,
                number=ask.number,
                new_server_url=self._newest_url(one),
                notice=notice[0] if notice is not None else None,
                wipe=OrderKind.WIPE in kinds,
                restart=OrderKind.RESTART in kinds,
                clears_passcode=OrderKind.CLEAR_PASSCODE in kinds,
                image_url=lambda name: self._image_url(around, name),
                is_small=ask.is_coming,
                organisation=around.organisation,
            )
        )
        ends = [one.switch_at, *(app.until for app in put_off.values()), notice[1] if notice is not None else None]
        until = min((at for at in ends if at is not None), default=None)
        data = msgspec.json.encode(made.data)
        queued = [order for order in waiting if order.state is OrderState.QUEUED]
        served = Served(
            one, _digest(data), until, sorted(made.hidden),
            ending=[order.uid for order in waiting if order.kind in _ENDING],
            sent=[order.id for order in queued], notice=notice, number=ask.number, cpu=ask.cpu,
        )  # fmt: skip
        return Planned(data, served, is_news=bool(queued) or served.digest != one.client.served_digest)

    def _closed(self, ask: Ask, around: _Around) -> Planned:
        """Return what a tablet is given that is lost, out of use, or that nobody has approved yet."""
        one = ask.standing
        made = server_config.closed_config(
            Closed(
                life=one.life, known=around.known, hidden=_hidden(one), number=ask.number, serial=one.serial,
                password=admin_password(self._secret, one.serial), new_server_url=self._newest_url(one),
                wipe=one.client.wiped_at is not None, message=one.lost_message, phone=one.lost_phone,
                organisation=around.organisation,
            )
        )  # fmt: skip
        data = msgspec.json.encode(made.data)
        served = Served(one, _digest(data), None, sorted(made.hidden), number=ask.number, cpu=ask.cpu)
        return Planned(data, served, is_news=served.digest != one.client.served_digest)

    def _newest_url(self, one: Standing) -> str:
        """Return where a tablet shall go on: where it is already, it stays."""
        token = tokens.token(self._secret, one.client.seed, one.client.generation)
        return f"{self._public_url}/{addresses.tablet_project(token)}"

    def _packages(self, around: _Around, cpu: str | None, *, but: Mapping[str, PutOff]) -> dict[str, Package]:
        found = {}
        for app, packages in around.packages.items():
            chosen = catalogue.for_cpu(packages, cpu)
            if chosen is not None and not (app in but and but[app].digest in {None, chosen.digest}):
                url = addresses.address_of(self._public_url, app, chosen)
                found[app] = Package(chosen.name, chosen.version, chosen.version_code, url)
        return found

    def _image_url(self, around: _Around, name: str) -> str | None:
        digest = around.images.get(name)
        return addresses.image_url(self._public_url, digest) if digest is not None else None


def _read(digests: Any) -> dict[str, Mapping[str, Any]]:
    return {digest: msgspec.json.decode(body) for digest, body in bodies.load(digests).items()}


def _has_settings(one: Standing, around: _Around) -> bool:
    return one.is_closed or one.profile is None or one.profile in around.settings


def _hidden(one: Standing) -> frozenset[str]:
    """Return the packages that may be hidden on a tablet now: what it was given may be in force, or not yet."""
    return frozenset((*(one.client.hidden or ()), *(one.client.served_hidden or ())))


def _put_off(one: Standing, now: datetime) -> dict[str, PutOff]:
    """Return the apps that a tablet is not given for now."""
    told = {
        app: PutOff(datetime.fromisoformat(why["until"]), why["digest"])
        for app, why in (one.client.put_off or {}).items()
    }
    return {app: found for app, found in told.items() if found.until > now}


def _notice(one: Standing, waiting: Sequence[Order], now: datetime) -> tuple[str, datetime] | None:
    """Return what stands on a tablet's screen, and until when: the newest message, for some minutes."""
    for order in reversed(waiting):
        if order.kind is OrderKind.LOCK_MESSAGE and order.state is OrderState.QUEUED:
            return str(order.payload.get("text", "")), now + NOTICE_FOR
    if one.client.notice is not None and one.client.notice_until is not None and now < one.client.notice_until:
        return one.client.notice, one.client.notice_until
    return None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
