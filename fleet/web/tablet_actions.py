"""Doing something with one tablet or many: a page that says what it would come to, then the deed, then the way back.

What is done are the tablets that the page showed; those that cannot have it are left out, and it says why.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock, uploads
from fleet.access import Permission, Principal
from fleet.db import transaction
from fleet.devices import bulk
from fleet.devices.bulk import Moved, Sorted, Target, Where
from fleet.devices.models import Device, Platform
from fleet.errors import FleetError, InvalidError, NotFoundError
from fleet.lessons import occupied
from fleet.orders import OrderKind, Wish, kinds
from fleet.orders import preview as previews
from fleet.schools import finding as places_of
from fleet.web import notices, refusals_tablets, signed_in, words_arrivals, words_tablets
from fleet.web.blueprint import takes, web
from fleet.web.pages import show
from fleet.web.places import own_page
from fleet.web.tablets import Choice
from fleet.web.texts import translated as _
from fleet.web.values import whole
from fleet.web.words_tablets import MOVE, STEPS

_MAX_TYPED = 2_500
_MOST_SENT = 512 * 1024  # as many ids as there are tablets
_LONG_UNHEARD = timedelta(days=3)
_SHOWN = 60
_LONGEST_BACK = 500  # a notice waits in a cookie, which takes no more than 4 kB in all
_ADDRESS = "/tablet-actions"
_NAMES = frozenset({*(kind.value for kind in OrderKind), *STEPS, MOVE})
_UNDO = "undo"  # the kind of file that says how to take something back
_SHOWN_WHEN_LOST = ("message", "phone")
_BACK = {"lost": "found", "retire": "reinstate"}
# What was done in words, the address that leads back, and what its button says.
Done = tuple[str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Meant:
    """What is meant: the action, the tablets, what was typed, and where one came from."""

    name: str
    ids: Sequence[int]
    back: str
    form: Mapping[str, str]

    def text(self, field: str) -> str:
        """Return what was typed in a field."""
        return self.form.get(field, "")[:_MAX_TYPED].replace("\r\n", "\n").strip()

    def wish(self) -> Wish:
        """Return the order that is meant; a field that its kind has not is not read."""
        kind = OrderKind(self.name)
        told: dict[str, Any] = {field: self.text(field) for field in kinds.fields(kind)}
        return Wish(kind, **told, come_back=self.comes_back)

    @property
    def comes_back(self) -> bool:
        """Whether tablets that are wiped shall set themselves up again."""
        return self.name == OrderKind.WIPE and self.form.get("come_back") == "yes"

    def target(self, by: Principal) -> Target | None:
        """Return the place that was chosen; None where none was."""
        sort, _colon, number = self.form.get("place", "").partition(":")
        found = whole(number)
        if found is None:
            return None
        cart = self.text("cart") or None
        if sort == "class":
            of = places_of.seen_class(found, by=by)
            return Target(of.school, of)
        return Target(places_of.managed_school(found, by=by), cart=cart)


@web.post(_ADDRESS)
@takes(_MOST_SENT)
def tablet_actions() -> str | tuple[str, int]:
    """Show what an action would come to for the tablets that were chosen in the list."""
    by, now = signed_in.by(), clock.now()
    address = own_page(request.form.get("filter"))
    name = _known(request.form.get("act", ""))
    if request.form.get("all") != "yes":
        return _page(Meant(name, _numbers(request.form.getlist("id")), address, {}))
    choice = Choice.read(dict(parse_qsl(urlsplit(address).query)))
    try:
        return _page(Meant(name, bulk.ids_of(choice.filter(now), by=by), address, {}))
    except InvalidError as error:
        return _page(Meant(name, (), address, {}), faults=refusals_tablets.faults(error)), 400


@web.get(f"{_ADDRESS}/<name>")
def tablet_action(name: str) -> str:
    """Show what an action would come to for the tablets that the address names."""
    ids = _numbers(request.args.getlist("id"))
    return _page(Meant(_known(name), ids, own_page(request.args.get("back")), {}))


@web.post(f"{_ADDRESS}/<name>")
@takes(_MOST_SENT)
def tablet_action_now(name: str) -> Response | tuple[str, int]:
    """Do it."""
    form = request.form
    ids = _numbers(form.get("ids", "").split("."))
    meant = Meant(_known(name), ids, own_page(form.get("back")), form)
    by, now = signed_in.by(), clock.now()
    bulk.require_anywhere(by, _permission(meant.name))
    act = _move if name == MOVE else _step if name in STEPS else _order
    try:
        with transaction():
            words, undo, undo_words = act(meant, by, now)
    except FleetError as error:
        faults = refusals_tablets.faults(error)
        if faults is None:
            raise
        return _page(meant, faults=faults), refusals_tablets.status(error)
    notices.tell(words, undo=undo, undo_words=undo_words)
    return redirect(meant.back, 303)


@web.post(f"{_ADDRESS}/undo/<word>")
def tablet_action_undo(word: str) -> Response:
    """Take a move or a step in tablets' lives back, as long as it is known."""
    by, now = signed_in.by(), clock.now()
    bulk.require_anywhere(by, Permission.MANAGE_DEVICES)
    try:
        with transaction():
            found = uploads.find(word, kind=_UNDO, by=by, now=now)
            told = json.loads(found.content)
            words, stays = (_step_back if "step" in told else _move_back)(told, by, now)
            uploads.discard(found)
    except NotFoundError:
        notices.warn_of_late_undo()
    else:
        if words:
            notices.tell(f"{words} {stays}".rstrip())
        else:
            notices.warn(stays)
    return redirect(own_page(request.args.get("back")), 303)


def _step_back(told: Mapping[str, Any], by: Principal, now: datetime) -> tuple[str, str]:
    """Take a step back; returns what was done in words, and what was left alone, each empty where nothing was."""
    number = len(bulk.step(told["ids"], told["step"], by=by, now=now).going)
    left = len(told["ids"]) - number
    return words_tablets.done(told["step"], number) if number else "", words_tablets.stays_as_is(left) if left else ""


def _move_back(told: Mapping[str, Any], by: Principal, now: datetime) -> tuple[str, str]:
    """Take a move back; returns what :func:`_step_back` does."""
    moved = Moved({int(one): Where(*place) for one, place in told["before"].items()}, Where(*told["to"]))
    number = bulk.put_back(moved, by=by, now=now)
    left = len(moved.before) - number
    return words_tablets.put_back(number) if number else "", words_tablets.stays_there(left) if left else ""


@web.post("/orders/together/<word>/withdraw")
def orders_withdraw(word: str) -> Response:
    """Take back all that was queued together."""
    with transaction():
        found = previews.withdraw(word, by=signed_in.by(), now=clock.now())
    (notices.tell if found.number else notices.caution)(words_tablets.taken_back(found))
    return redirect(url_for("web.orders"), 303)


def _order(meant: Meant, by: Principal, now: datetime) -> Done:
    devices, wish = bulk.chosen(meant.ids, by=by), meant.wish()
    wish.payload()
    told = previews.preview(devices, wish.kind, comes_back=wish.come_back, by=by)
    if wish.kind is OrderKind.WIPE:
        _check_number(meant, len(told.tablets.going))
    found, fresh, word = previews.queue(devices, wish, timezone=signed_in.timezone(), by=by, now=now)
    undo = url_for("web.orders_withdraw", word=word) if fresh else None
    return _sentence(meant.name, len(fresh), found.tablets, asks=found.asks), undo, None


def _step(meant: Meant, by: Principal, now: datetime) -> Done:
    shown = {field: meant.text(field) or None for field in _SHOWN_WHEN_LOST} if meant.name == "lost" else {}
    found = bulk.step(meant.ids, meant.name, **shown, by=by, now=now)
    words = _sentence(meant.name, len(found.going), found)
    if meant.name not in _BACK or not found.going:
        return words, None, None
    # Not an undo: the keys of all but iPads are gone, so that they have to enrol anew. The button says what it does.
    back = _BACK[meant.name]
    address = _keep({"step": back, "ids": [device.id for device in found.going]}, meant.back, by, now)
    return f"{words} {words_tablets.comes_back(meant.name)}", address, words_tablets.action(back).title


def _move(meant: Meant, by: Principal, now: datetime) -> Done:
    target = meant.target(by)
    if target is None:
        raise InvalidError(kind="place", field="place")
    found, moved = bulk.move(meant.ids, target, by=by, now=now)
    told = {"before": {one: astuple(place) for one, place in moved.before.items()}, "to": astuple(moved.to)}
    return _sentence(MOVE, len(found.going), found), _keep(told, meant.back, by, now) if moved.before else None, None


def _keep(told: Mapping[str, object], back: str, by: Principal, now: datetime) -> str:
    """Keep what takes something back for an hour, for the one who did it; returns the address that does.

    Where one came from is in the address, so that whoever comes too late gets there, too.
    """
    kept = uploads.keep(json.dumps(told).encode(), file_name="undo.json", kind=_UNDO, by=by, now=now)
    page = back if len(back) <= _LONGEST_BACK else url_for("web.tablets")
    return url_for("web.tablet_action_undo", word=kept.name, back=page)


def _sentence(name: str, number: int, found: Sorted, *, asks: bool = False) -> str:
    words = words_tablets.done(name, number, asks=asks)
    waiting = len(found.going) - number
    more = [words_tablets.left_out(why, len(ones)) for why, ones in found.left_out.items()]
    if waiting:
        more.append(words_tablets.left_out(bulk.LeftOut.WAITING, waiting))
    return f"{words} {_('Left out: %(reasons)s.', reasons='; '.join(more))}" if more else words


def _check_number(meant: Meant, number: int) -> None:
    if whole(meant.text("confirm")) != number:
        raise InvalidError(kind="confirmation", field="confirm", expected=number)


def _known(name: str) -> str:
    if name not in _NAMES:
        raise NotFoundError(kind="action", name=name)
    return name


def _permission(name: str) -> Permission:
    return Permission.MANAGE_DEVICES if name in {*STEPS, MOVE} else kinds.permission(OrderKind(name))


def _numbers(told: Collection[str]) -> list[int]:
    return [number for number in map(whole, told) if number is not None]


def _page(meant: Meant, *, faults: Mapping[str, str] | None = None) -> str:
    by, now = signed_in.by(), clock.now()
    bulk.require_anywhere(by, _permission(meant.name))
    devices = bulk.chosen(meant.ids, by=by)
    told, asks, too_many = _sorted(meant, devices, by)
    going = told.going
    in_lesson = occupied.among_these([one.id for one in going], now) if going else frozenset()
    unheard = [one for one in going if _is_long_unheard(one, now)]
    return show(
        "tablet_action",
        meant=meant,
        action=words_tablets.action(meant.name),
        fields=() if meant.name in {*STEPS, MOVE} else kinds.fields(OrderKind(meant.name)),
        tablets=told,
        chosen=len(devices),
        asks=asks,
        in_lesson=in_lesson,
        unheard={one.id for one in unheard},
        open_still=[one.serial for one in going if words_arrivals.stays_open(one)] if meant.name == "lost" else (),
        on_android=words_tablets.on_android(meant.name, sum(one.platform is Platform.ANDROID for one in going)),
        has_ipad=any(one.platform is Platform.IPADOS for one in going),
        waits=meant.name not in {*STEPS, MOVE},
        is_destructive=meant.name in words_tablets.DESTRUCTIVE,
        losing=_losing(going) if meant.name == MOVE else (),
        school_of_first=next((one.school.name for one in going if one.school is not None), _("the school")),
        shown=_SHOWN,
        classes=places_of.basic_classes(by, Permission.MANAGE_DEVICES) if meant.name == MOVE else (),
        schools=places_of.managed_schools(by) if meant.name == MOVE else {},
        faults={**({"": too_many} if too_many else {}), **(faults or {})},
    )


def _losing(devices: Sequence[Device]) -> list[str]:
    """Return the names of the pupils whose own these tablets are, and are not any more when they have moved.

    Whoever sees a tablet may know whose it is now (:func:`fleet.devices.holders.may_be_told`).
    """
    people = [one.person for one in devices if one.person is not None and one.person.family_name]
    return [f"{one.given_name} {one.family_name}".strip() for one in people]


def _is_long_unheard(device: Device, now: datetime) -> bool:
    seen = device.state.last_seen_at
    return seen is None or seen < now - _LONG_UNHEARD


def _sorted(meant: Meant, devices: Sequence[Device], by: Principal) -> tuple[Sorted, bool, str | None]:
    """Return which tablets the action is for, whether another person is asked, and what is wrong with so many."""
    if meant.name in STEPS:
        return bulk.sort_step(devices, meant.name, by=by), False, None
    if meant.name == MOVE:
        return bulk.sort_leaving(devices, by=by), False, None
    try:
        found = previews.preview(devices, OrderKind(meant.name), comes_back=meant.comes_back, by=by)
    except InvalidError as error:
        return Sorted((), {}), False, refusals_tablets.told(error)
    return found.tablets, found.asks, None
