"""What follows from what the store says about licences.

A licence that the store was asked about is settled by the event's outcome. Where the event failed, or nobody knows
whether the store heard (the server was killed between asking and noting), it is :func:`unclear`, until it is compared
with who has one (:func:`compare`).

Invariants: whoever gets a licence, loses it or is refused one hears of it: its configuration's version is raised, and
it is rung. Rows of tablets' states are taken before rows of licences.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, delete, or_, select, update

from fleet.apps.licence_models import AppLicence, AppStock, LicenceState
from fleet.apps.licences import is_gone
from fleet.db import among, among_texts, db, id_set, insert_all_new, read_again
from fleet.devices import states
from fleet.devices.models import Device, Platform

_COMPARE = timedelta(days=1)
_PATIENCE = timedelta(hours=12)  # with an event, which mostly takes seconds
_QUIETLY = {"synchronize_session": False}


@dataclass(frozen=True, slots=True)
class Holders:
    """Who has a licence of an app, as the store says.

    Args:
        store_id: the app's number in the store.
        serials: of the tablets, also of such that are not ours.
        is_whole: whether nothing changed while they were listed: else some may be missing.
        since: when listing them began.
    """

    store_id: int
    serials: frozenset[str]
    is_whole: bool
    since: datetime


def asked(licence_ids: Collection[int], event_id: str) -> None:
    """Note what the store calls what it does now."""
    which = among(AppLicence.id, licence_ids)
    take(which)
    _set(which, event_id=event_id)


def not_taken(licence_ids: Collection[int]) -> None:
    """Note that the store has certainly not heard: it is asked again."""
    which = among(AppLicence.id, licence_ids)
    take(which)
    _unask(which)


def refuse(licence_ids: Collection[int], reason: str, *, now: datetime) -> None:
    """Note that the store does nothing of the kind for these, or that it is of no use to ask.

    Args:
        licence_ids: which ones.
        reason: see :class:`~fleet.apps.licence_models.AppLicence`.
        now: the instant.
    """
    which = among(AppLicence.id, licence_ids)
    tablets = take(which)
    giving = and_(which, AppLicence.state == LicenceState.RELEASING)
    _set(and_(giving, ~AppLicence.is_reversed), asked_at=None, event_id=None, reason=reason, changed_at=now)
    wanting = and_(which, AppLicence.state.in_((LicenceState.WANTED, LicenceState.FAILED)))
    failed = {"state": LicenceState.FAILED, "reason": reason, "changed_at": now, "asked_at": None, "event_id": None}
    _set(and_(wanting, ~AppLicence.is_reversed), **failed)
    _unask(which)
    _tell(tablets)


def events(*, now: datetime) -> Sequence[str]:
    """Return what the store is at, as it calls it; what it has been at for too long has to be looked up."""
    lasting = and_(AppLicence.event_id.is_not(None), AppLicence.asked_at <= now - _PATIENCE)
    take(lasting)
    _set(lasting, event_id=None)
    query = select(AppLicence.event_id).where(AppLicence.event_id.is_not(None)).distinct()
    return sorted(one for one in db.session.scalars(query) if one is not None)


def settle(event_id: str, *, now: datetime) -> None:
    """Note that the store has done all that this event was about."""
    which = AppLicence.event_id == event_id
    tablets = take(which)
    _settle(which, now)
    _tell(tablets)


def _settle(which: ColumnElement[bool], now: datetime) -> None:
    """Note that what the store was asked for is so."""
    turned = and_(which, AppLicence.is_reversed)
    given = delete(AppLicence).where(which, AppLicence.state == LicenceState.RELEASING, ~AppLicence.is_reversed)
    db.session.execute(given.execution_options(**_QUIETLY))
    done = {"asked_at": None, "event_id": None, "is_reversed": False, "reason": None, "changed_at": now}
    state = case(
        (and_(turned, AppLicence.state == LicenceState.WANTED), LicenceState.RELEASING.value),
        (and_(turned, AppLicence.state == LicenceState.RELEASING), LicenceState.WANTED.value),
        else_=LicenceState.ASSIGNED.value,
    )
    _set(which, state=state, **done)


def _unask(which: ColumnElement[bool]) -> None:
    """Note that what the store was asked for is not so, and that it is not at it any more."""
    asked = and_(which, AppLicence.asked_at.is_not(None))
    needless = delete(AppLicence).where(asked, AppLicence.state == LicenceState.WANTED, AppLicence.is_reversed)
    db.session.execute(needless.execution_options(**_QUIETLY))
    kept = and_(asked, AppLicence.state == LicenceState.RELEASING, AppLicence.is_reversed)
    _set(kept, state=LicenceState.ASSIGNED, reason=None)
    _set(asked, asked_at=None, event_id=None, is_reversed=False)


def lose(event_id: str, reasons: Mapping[str | None, str]) -> None:
    """Note that an event failed at least in part, or is not known any more: what is so has to be looked up.

    Args:
        event_id: as the store calls it.
        reasons: why, by serial; of None for all tablets that are not named.
    """
    which = AppLicence.event_id == event_id
    take(which)
    by_reason: dict[str, set[str]] = defaultdict(set)
    for serial, reason in reasons.items():
        if serial is not None:
            by_reason[reason].add(serial)
    _set(which, reason=reasons.get(None))
    for reason, serials in by_reason.items():
        of_them = select(Device.id).where(among_texts(Device.serial, serials))
        _set(and_(which, AppLicence.device_id.in_(of_them)), reason=reason)
    _set(which, event_id=None)


def unclear() -> set[int]:
    """Return the apps of which somebody has to look up who has a licence; one statement."""
    query = select(AppLicence.store_id).where(AppLicence.asked_at.is_not(None), AppLicence.event_id.is_(None))
    return set(db.session.scalars(query.distinct()))


def to_compare(*, now: datetime) -> list[int]:
    """Return the apps of which nobody has looked up for a day who has a licence, longest ago first; one statement."""
    is_old = or_(AppStock.checked_at.is_(None), AppStock.checked_at <= now - _COMPARE)
    ours = select(AppLicence.store_id)
    query = select(AppStock.store_id).where(is_old, or_(AppStock.assigned > 0, AppStock.store_id.in_(ours)))
    return list(db.session.scalars(query.order_by(AppStock.checked_at.is_not(None), AppStock.checked_at)))


def compare(held: Holders, *, now: datetime) -> None:
    """Take over who has a licence of an app; what the store is at, an event will settle.

    Who has one of us that we did not ask for keeps it as if we had, until it is found not to want it.
    """
    device_ids = select(Device.id).where(Device.platform == Platform.IPADOS, among_texts(Device.serial, held.serials))
    theirs = set(db.session.scalars(device_ids))
    here = AppLicence.store_id == held.store_id
    known = set(db.session.scalars(select(AppLicence.device_id).where(here)))
    states.lock(id_set(known | theirs))
    free = and_(here, AppLicence.event_id.is_(None))
    have, have_not = _split(free, theirs)
    gaining = and_(have, AppLicence.state.in_((LicenceState.WANTED, LicenceState.FAILED)))
    tablets = _of(gaining)
    _settle(gaining, now)
    _keep(and_(have, AppLicence.state == LicenceState.RELEASING), now)
    if held.is_whole:
        given = and_(have_not, AppLicence.state == LicenceState.RELEASING)
        missed = and_(have_not, AppLicence.state == LicenceState.ASSIGNED, AppLicence.changed_at < held.since)
        waiting = and_(have_not, AppLicence.state == LicenceState.WANTED, AppLicence.asked_at.is_not(None))
        failed = and_(waiting, AppLicence.reason.is_not(None), ~AppLicence.is_reversed)
        tablets |= _of(or_(given, missed, failed))
        _settle(given, now)
        _set(missed, state=LicenceState.WANTED, reason=None, changed_at=now)
        _set(failed, state=LicenceState.FAILED, asked_at=None, changed_at=now)
        _unask(waiting)
        checked = update(AppStock).where(AppStock.store_id == held.store_id).values(checked_at=now)
        db.session.execute(checked.execution_options(**_QUIETLY))
    _adopt(held.store_id, theirs - known, now)
    read_again(AppLicence, AppStock)
    _tell(tablets | (theirs - known))


def _split(which: ColumnElement[bool], theirs: Collection[int]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    not_theirs = AppLicence.device_id.not_in(id_set(theirs))
    return and_(which, among(AppLicence.device_id, theirs)), and_(which, not_theirs)


def _keep(which: ColumnElement[bool], now: datetime) -> None:
    """Note that what was to be given back was not; where it is wanted again, it stays."""
    refused = and_(which, AppLicence.asked_at.is_not(None), AppLicence.reason.is_not(None))
    _set(refused, changed_at=now)
    _unask(which)


def _adopt(store_id: int, device_ids: Collection[int], now: datetime) -> None:
    query = select(Device.id, is_gone()).where(Device.id.in_(id_set(device_ids)))
    row = {"store_id": store_id, "is_reversed": False, "changed_at": now}
    of_gone = {True: LicenceState.RELEASING, False: LicenceState.ASSIGNED}
    insert_all_new(
        AppLicence,
        [{**row, "device_id": number, "state": of_gone[gone]} for number, gone in db.session.execute(query)],
    )


def _of(which: ColumnElement[bool]) -> set[int]:
    return set(db.session.scalars(select(AppLicence.device_id).where(which)))


def take(which: ColumnElement[bool]) -> set[int]:
    """Take the states' rows of the tablets that these licences are of, and return them."""
    tablets = _of(which)
    states.lock(id_set(tablets))
    return tablets


def _set(which: ColumnElement[bool], **values: object) -> None:
    db.session.execute(update(AppLicence).where(which).values(**values).execution_options(**_QUIETLY))


def _tell(tablets: Collection[int]) -> None:
    read_again(AppLicence)
    if tablets:
        states.have_fetched(tablets)
