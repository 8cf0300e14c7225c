"""What people do with orders: queue them, say yes or no to another's, take them back.

Invariants: every order that waits for a tablet was wished by somebody who may, of a tablet that can carry it out; what
needs a second person travels to no tablet before another one said yes. Each tablet has one queue, in the order of
queuing, and what waits in it twice stands there once. Tablets' rows are taken before orders' rows, always, so that
nobody waits for each other in a circle.
"""

import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import Integer, Select, bindparam, cast, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB

from fleet import audit
from fleet.access import Permission, Principal
from fleet.db import among, db, id_set, read_again
from fleet.devices import states
from fleet.devices.models import Device, DeviceLife, Enrolment
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.orders import kinds
from fleet.orders.kinds import Wish
from fleet.orders.models import OPEN, TRAVELLING, Order, OrderClosedError, OrderKind, OrderState
from fleet.schools import deciding

SUPERSEDED, OVER = "superseded", "what it was for is over"
_NAMED = 5  # serials that a refusal of many tablets names


class NotCarriedError(ConflictError):
    """The tablet's channel cannot carry out such an order, so it would wait for ever.

    Data: ``order_kind``, ``channel`` (None: the tablet may not speak, as its enrolment has ended), ``carries`` (the
    kinds that the channel has), ``serials`` (the first of them) and ``count``.
    """

    code = "order-not-carried"


class SamePersonError(ForbiddenError):
    """An order that needs a second person was to be approved by the one who asked for it. Data: ``id``, ``by``."""

    code = "same-person"


@dataclass(frozen=True, slots=True)
class _Standing:
    """A tablet as an order looks at it; ``channel`` None: it may not speak."""

    id: int
    serial: str
    school_id: int | None
    life: DeviceLife
    channel: str | None


def queue(
    devices: Sequence[Device],
    wish: Wish,
    *,
    life: timedelta | None = None,
    allowed: Collection[int] = frozenset(),
    within: str | None = None,
    timezone: tzinfo = UTC,
    by: Principal,
    now: datetime,
) -> list[Order]:
    """Queue an order for tablets; returns those that are new, as what waits for a tablet already is not queued twice.

    A newer lock message takes the place of one that no tablet has fetched yet. What needs a second person is asked for
    only. The number of statements does not grow with the tablets.

    Args:
        devices: which tablets; one, where the kind is privileged.
        wish: what is wished.
        life: how long it may wait; None: as long as such an order usually does.
        allowed: ids of tablets for which the caller has shown that ``by`` may use the kinds of lessons.
        within: what it is wished for, so that :func:`recall` takes it back.
        timezone: by which the schools tell time, for a deadline.
        by: who wishes.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not order tablets of a school among them.
        InvalidError: the wish is not whole or not sound, its life too short or long, its deadline past or too far
            ahead, it is for one tablet only, or a tablet cannot set itself up again.
        ConflictError: a tablet is not enrolled, or (to be located) not reported lost.
        NotCarriedError: a tablet's channel does not carry such an order.
    """
    payload = wish.payload()
    life = _bounded_life(wish.kind, devices, life)
    _check_deadline(wish, life, timezone, now)
    ids = {device.id for device in devices}
    states.lock(id_set(ids))  # so that two who wish the same at once queue it once
    standings = _standings(ids)
    may_more = allowed if wish.kind in kinds.IN_LESSONS else ()
    if not all(one.id in may_more or _may(one.school_id, wish.kind, by) for one in standings):
        raise ForbiddenError(permission=kinds.permission(wish.kind).value)
    _check_reach(standings, wish.kind)
    _check_return(standings, wish)
    ids -= _waiting(ids, wish.kind, payload, now)
    if not ids:
        return []
    needs_another = wish.kind in kinds.NEED_SECOND_PERSON and deciding.is_second_person_needed()
    if wish.kind in kinds.NEWEST_COUNTS:
        _supersede(ids, wish.kind, now)
    columns = {
        Order.kind: wish.kind, Order.payload: payload, Order.reason: wish.reason,
        Order.state: OrderState.ASKED if needs_another else OrderState.QUEUED,
        Order.wished_by: by.name, Order.within: within, Order.queued_at: now, Order.expires_at: now + life,
    }  # fmt: skip
    fresh = _insert(ids, columns)
    if not needs_another:
        states.have_fetched(ids)
    _record_new(fresh, standings, by=by, now=now)
    return fresh


def _record_new(fresh: Sequence[Order], standings: Sequence[_Standing], *, by: Principal, now: datetime) -> None:
    first = fresh[0]
    action = "orders.asked" if first.state is OrderState.ASKED else "orders.queued"
    serials = {"serial": standings[0].serial} if first.kind in kinds.PRIVILEGED else {}
    audit.record(
        by, action, subject=f"order:{first.id}", now=now, order_kind=first.kind.value, count=len(fresh), **serials
    )


def _bounded_life(kind: OrderKind, devices: Sequence[Device], life: timedelta | None) -> timedelta:
    """Return how long an order waits; refuse what is for too many tablets, or for too short or long a time."""
    if kind in kinds.PRIVILEGED and len(devices) > 1:
        raise InvalidError(kind="order", order_kind=kind.value, field="tablets", expected="one tablet at a time")
    shortest, longest = kinds.SHORTEST_LIFE, kinds.longest_life(kind)
    life = life if life is not None else kinds.usual_life(kind)
    if not shortest <= life <= longest:
        expected = f"{shortest // timedelta(minutes=1)} to {longest // timedelta(minutes=1)} minutes"
        raise InvalidError(kind="order", order_kind=kind.value, field="life", expected=expected)
    return life


def _check_deadline(wish: Wish, life: timedelta, timezone: tzinfo, now: datetime) -> None:
    """Refuse a deadline that is past, or that comes when the order is given up already: nobody would keep it."""
    if wish.deadline is None:
        return
    deadline = kinds.moment(wish.deadline).replace(tzinfo=timezone)
    if not now < deadline <= now + life:
        is_usual = life >= kinds.LONGEST_UPDATE
        end = f"at most {kinds.LONGEST_UPDATE.days} days ahead" if is_usual else "before the order is given up"
        expected = f"a time to come, {end}"
        raise InvalidError(kind="order", order_kind=wish.kind.value, field="deadline", expected=expected)


def _standings(ids: Collection[int]) -> list[_Standing]:
    """Return how tablets stand now, whatever their rows said when they were read; the caller holds them."""
    query = (
        select(Device.id, Device.serial, Device.school_id, Device.life, Enrolment.channel)
        .outerjoin(Enrolment, (Enrolment.device_id == Device.id) & Enrolment.ended_at.is_(None))
        .where(Device.id.in_(id_set(ids)))
        .order_by(Device.serial)
    )
    return [_Standing(*row) for row in db.session.execute(query)]


def _may(school_id: int | None, kind: OrderKind, by: Principal) -> bool:
    return by.may(kinds.permission(kind), school_id=school_id)


def _check_reach(standings: Sequence[_Standing], kind: OrderKind) -> None:
    """Refuse what would reach a tablet never."""
    deaf = [one for one in standings if one.channel is not None and _is_deaf(one, kind)]
    if not deaf:
        _check_lives(standings, kind)
        deaf = [one for one in standings if one.channel is None]
    if deaf:
        channel = deaf[0].channel
        carries = sorted(one.value for one in kinds.carries(channel, DeviceLife.ENROLLED))
        serials = [one.serial for one in deaf[:_NAMED]]
        raise NotCarriedError(
            kind="order", order_kind=kind.value, channel=channel, carries=carries, serials=serials, count=len(deaf)
        )


def _is_deaf(one: _Standing, kind: OrderKind) -> bool:
    """Whether a tablet's channel has nothing of the kind, or (a sound, on some) only where it is reported lost."""
    lives = kinds.lives(one.channel, kind)
    return not lives or (kind is not OrderKind.LOCATE and one.life is DeviceLife.ENROLLED and one.life not in lives)


def _check_lives(standings: Sequence[_Standing], kind: OrderKind) -> None:
    """Refuse to locate what is not reported lost, and of what is neither enrolled nor lost everything."""
    usual = frozenset({DeviceLife.LOST if kind is OrderKind.LOCATE else DeviceLife.ENROLLED})
    for one in standings:
        if one.life in (kinds.lives(one.channel, kind) or usual):
            continue
        if kind is OrderKind.LOCATE:
            raise ConflictError(kind="tablet to locate", serial=one.serial, state=one.life.value)
        raise ConflictError(kind="tablet", serial=one.serial, state=one.life.value)


def _check_return(standings: Sequence[_Standing], wish: Wish) -> None:
    """Refuse to have a tablet set itself up again that cannot: somebody would look for it in vain."""
    for one in standings:
        if wish.come_back and one.channel not in kinds.COMES_BACK:
            raise InvalidError(
                kind="order", order_kind=wish.kind.value, field="come_back", channel=one.channel, serial=one.serial
            )


def _waiting(ids: Collection[int], kind: OrderKind, payload: dict[str, Any], now: datetime) -> set[int]:
    """Return the tablets for which the same waits already; where the newest counts, it has to be that one."""
    query = select(Order.device_id, Order.payload).where(
        among(Order.device_id, ids), Order.kind == kind, Order.state.in_(OPEN), Order.expires_at > now
    )
    found: set[int] = set()
    for device_id, told in db.session.execute(query.order_by(Order.queued_at, Order.id)):
        if told == payload:
            found.add(device_id)
        elif kind in kinds.NEWEST_COUNTS:
            found.discard(device_id)
    return found


def _supersede(ids: Collection[int], kind: OrderKind, now: datetime) -> None:
    # A new system is wished for until it is there: two at once would have a tablet follow now one and now the other.
    over = TRAVELLING if kind is OrderKind.UPDATE_SYSTEM else {OrderState.QUEUED}
    db.session.execute(
        update(Order)
        .where(among(Order.device_id, ids), Order.kind == kind, Order.state.in_(over))
        .values(state=OrderState.WITHDRAWN, ended_at=now, detail=SUPERSEDED)
    )


def _insert(ids: Collection[int], columns: dict[Any, Any]) -> list[Order]:
    """Store an order for each tablet, in one statement; returns them in the tablets' order."""
    tablets = _with_uids(ids).subquery()
    names = [Order.device_id, Order.uid, *columns]
    values = [literal(value, column.type) for column, value in columns.items()]
    rows = select(tablets.c.device_id, tablets.c.uid, *values).order_by(tablets.c.device_id)
    stored = insert(Order).from_select([name.key for name in names], rows).returning(Order)
    return sorted(db.session.scalars(stored), key=lambda order: order.device_id)


def _with_uids(ids: Collection[int]) -> Select[Any]:
    """Return a query that gives each tablet a new random name for its order: one parameter however many."""
    told: Any = bindparam(None, json.dumps({device_id: secrets.token_hex(16) for device_id in ids}))
    if db.session.get_bind().dialect.name == "postgresql":
        pairs: Any = func.jsonb_each_text(cast(told, JSONB)).table_valued("key", "value")
    else:
        pairs = func.json_each(told).table_valued("key", "value")
    return select(cast(pairs.c.key, Integer).label("device_id"), pairs.c.value.label("uid"))


def recall(within: str, device_ids: Collection[int], *, now: datetime) -> None:
    """Take back what was wished of tablets within something that is over for them; the caller holds their rows."""
    mine = update(Order).where(among(Order.device_id, device_ids), Order.within == within, Order.state.in_(TRAVELLING))
    closing = mine.values(state=OrderState.WITHDRAWN, ended_at=now, detail=OVER).returning(Order.device_id)
    told = frozenset(db.session.scalars(closing.execution_options(synchronize_session=False)))
    read_again(Order)
    if told:
        states.have_fetched(told)


def have_taken_back(device_ids: Collection[int], first_id: int, *, by: Principal, now: datetime) -> None:
    """Note that orders which were queued together were taken back; the caller has closed them and holds the rows."""
    read_again(Order)
    if device_ids:
        audit.record(by, "orders.withdrawn", subject=f"order:{first_id}", now=now, count=len(device_ids))
        states.have_fetched(device_ids)


# -- one order ---------------------------------------------------------------------------------------------------------


def find(order_id: int, *, by: Principal) -> Order:
    """Return an order that ``by`` has wished, or may wish.

    Raises:
        NotFoundError: there is none, or not for ``by``.
    """
    order = db.session.get(Order, order_id)
    if order is None or not (order.wished_by == by.name or _may(order.device.school_id, order.kind, by)):
        raise NotFoundError(kind="order", name=str(order_id))
    return order


def _hold(order_id: int, *, by: Principal) -> Order:
    """Return an order as it stands, with its tablet's row and its own held until the transaction ends."""
    order = find(order_id, by=by)
    states.lock(id_set([order.device_id]))
    return db.session.get_one(Order, order_id, with_for_update=True, populate_existing=True)


def _hold_asked(order_id: int, *, by: Principal, now: datetime) -> Order:
    """Return an order that waits for a second person's word, held.

    Raises:
        NotFoundError: there is none, or ``by`` may not wish the like.
        OrderClosedError: it does not wait for that, or not any more.
    """
    order = _hold(order_id, by=by)
    if not _may(order.device.school_id, order.kind, by):
        raise NotFoundError(kind="order", name=str(order_id))
    if order.state is not OrderState.ASKED or order.expires_at <= now:
        raise OrderClosedError(kind="order", id=order.id, state=order.state.value)
    return order


def approve(order_id: int, *, by: Principal, now: datetime) -> Order:
    """Say yes to what another person asked for: it is queued, and may wait as long as was asked for from now on.

    Raises:
        NotFoundError: there is no such order, or ``by`` may not wish the like.
        SamePersonError: ``by`` asked for it.
        OrderClosedError: it does not wait for a yes, or not any more.
        ConflictError: the tablet's life has changed, so the order would not reach it any more.
    """
    order = _hold_asked(order_id, by=by, now=now)
    if order.wished_by == by.name:
        raise SamePersonError(permission=Permission.ORDER_PRIVILEGED.value, id=order.id, by=by.kind)
    _check_reach(_standings([order.device_id]), order.kind)
    order.step(OrderState.QUEUED)
    order.answered_by = by.name
    order.queued_at, order.expires_at = now, now + (order.expires_at - order.queued_at)
    _record(order, "orders.approved", by=by, now=now)
    states.have_fetched([order.device_id])
    return order


def decline(order_id: int, *, by: Principal, now: datetime) -> Order:
    """Say no to what another person asked for.

    Raises:
        NotFoundError: there is no such order, or ``by`` may not wish the like.
        OrderClosedError: it does not wait for an answer, or not any more.
    """
    order = _hold_asked(order_id, by=by, now=now)
    order.step(OrderState.DECLINED)
    order.answered_by, order.ended_at = by.name, now
    _record(order, "orders.declined", by=by, now=now)
    return order


def withdraw(order_id: int, *, by: Principal, now: datetime) -> Order:
    """Take back an order that has not ended: who wished it may, and whoever may wish the like.

    Raises:
        NotFoundError: there is none, or not for ``by``.
        OrderClosedError: it has ended.
    """
    order = _hold(order_id, by=by)
    travelled = order.state in TRAVELLING
    order.step(OrderState.WITHDRAWN)
    order.ended_at = now
    _record(order, "orders.withdrawn", by=by, now=now)
    if travelled:
        states.have_fetched([order.device_id])
    return order


def _record(order: Order, action: str, *, by: Principal, now: datetime) -> None:
    db.session.flush()
    audit.record(
        by, action, subject=f"order:{order.id}", now=now,
        order_id=order.id, order_kind=order.kind.value, serial=order.device.serial,
    )  # fmt: skip
