"""Orders of all tablets one looks after: what waits, what came of it, who wished it; and saying yes or no."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from fleet import clock, orders
from fleet.access import Permission, Principal
from fleet.db import transaction
from fleet.devices import bulk
from fleet.errors import FleetError
from fleet.orders import Order, OrderKind, OrderState, kinds, locations
from fleet.people import names
from fleet.schools import queries as schools
from fleet.web import notices, refusals_tablets, signed_in, words_tablets
from fleet.web.blueprint import web
from fleet.web.pages import show
from fleet.web.places import own_page
from fleet.web.texts import translated as _
from fleet.web.values import whole

_KINDS = {one.value: one for one in OrderKind}
_STATES = {"open": orders.OPEN, **{one.value: frozenset({one}) for one in OrderState}}
_PAGE_SIZE = 50  # rows with buttons of their own
_ADDRESS = "/orders/<int(max=2147483647):order_id>"


@dataclass(frozen=True, slots=True)
class Choice:
    """What the filter says, as told by the address; what makes no sense there counts as nothing told."""

    state: str
    kind: OrderKind | None
    school_id: int | None
    page: int

    def filter(self) -> orders.Filter:
        """Return which orders are meant."""
        return orders.Filter(school_id=self.school_id, states=_STATES.get(self.state), kind=self.kind)

    def told(self, page: int = 1) -> dict[str, Any]:
        """Return the same choice as an address tells it, at a page."""
        values = {"state": self.state, "kind": self.kind, "school": self.school_id, "page": page if page > 1 else None}
        return {name: str(value) for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class Line:
    """An order as a page shows it: who wished and answered by name, and what the one who looks may do with it."""

    order: Order
    wished_by: str
    answered_by: str
    may_withdraw: bool
    may_answer: bool
    is_own: bool
    has_location: bool


def lines(found: Sequence[Order], by: Principal, now: datetime) -> list[Line]:
    """Return orders as pages show them; at most one statement."""
    known = names.of({name for one in found for name in (one.wished_by, one.answered_by)})
    return [_line(one, known, by, now) for one in found]


def _line(one: Order, known: dict[str, str], by: Principal, now: datetime) -> Line:
    may = by.may(kinds.permission(one.kind), school_id=one.device.school_id)
    is_asked = one.state is OrderState.ASKED and one.expires_at > now
    is_own = one.wished_by == by.name
    return Line(
        one,
        who(one.wished_by, known),
        who(one.answered_by, known) if one.answered_by else "",
        may_withdraw=one.state in orders.OPEN and (may or is_own),
        may_answer=may and is_asked and not is_own,
        is_own=is_own,
        has_location=locations.may_be_seen(one, by=by, now=now),
    )


def who(told: str, known: dict[str, str]) -> str:
    """Say who did something that is stored under a name of ``Principal.name``."""
    if told in known:
        return known[told]
    kind = told.partition(":")[0]
    return {
        "cli": _("somebody on the server"),
        "job": _("the server itself"),
        "system": _("the server itself"),
        "device": _("the tablet"),
    }.get(kind, _("somebody who has no account any more"))


@web.get("/orders", endpoint="orders")
def orders_page() -> str:
    """Show the orders, newest first."""
    by, now = signed_in.by(), clock.now()
    bulk.require_anywhere(by, Permission.ORDER_GENTLE)
    known = schools.visible(by)
    state, school_id = request.args.get("state", ""), whole(request.args.get("school"))
    choice = Choice(
        state if state in _STATES else "",
        _KINDS.get(request.args.get("kind", "")),
        school_id if school_id in known else None,
        whole(request.args.get("page")) or 1,
    )
    count = orders.count(choice.filter(), by=by)
    pages = max(1, -(-count // _PAGE_SIZE))
    page = min(choice.page, pages)
    found = orders.listed(choice.filter(), by=by, limit=_PAGE_SIZE, offset=(page - 1) * _PAGE_SIZE)
    asked = orders.count(orders.Filter(states={OrderState.ASKED}), by=by)
    return show(
        "orders",
        lines=lines(found, by, now),
        count=count,
        asked=asked,
        choice=choice,
        kinds=list(OrderKind),
        schools=known,
        page=page,
        pages=pages,
    )


@web.post(f"{_ADDRESS}/approve")
def order_approve(order_id: int) -> Response:
    """Say yes to what another person asked for."""
    return _answer(orders.approve, order_id, _("The order is approved and queued."))


@web.post(f"{_ADDRESS}/decline")
def order_decline(order_id: int) -> Response:
    """Say no to what another person asked for."""
    return _answer(orders.decline, order_id, _("The order is declined."))


@web.post(f"{_ADDRESS}/location")
def order_location(order_id: int) -> str:
    """Show where a lost tablet was. Posted, as it leaves a line in the audit each time."""
    with transaction():
        order, location = locations.seen(order_id, by=signed_in.by(), now=clock.now())
        return show("order_location", order=order, location=location)


@web.post(f"{_ADDRESS}/withdraw")
def order_withdraw(order_id: int) -> Response:
    """Take an order back."""
    return _answer(orders.withdraw, order_id, words_tablets.withdrawn(1))


def _answer(act: Callable[..., Order], order_id: int, words: str) -> Response:
    back = own_page(request.form.get("back")) if request.form.get("back") else url_for("web.orders")
    try:
        with transaction():
            act(order_id, by=signed_in.by(), now=clock.now())
    except FleetError as error:
        problem = refusals_tablets.told(error)
        if problem is None:
            raise
        notices.warn(problem)
    else:
        notices.tell(words)
    return redirect(back, 303)
