"""Licences of apps: which tablets want one, have one, or give one back.

Invariants: nobody asks the store here; what is wanted is noted, and asked for in rounds
(:mod:`fleet.apps.licence_rounds`). A wish that turns round while the store is being asked is kept until the answer is
there. A tablet that is out of use wants nothing, nor one that is lost and out of reach (:func:`is_gone`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, select, update

from fleet.apps.licence_models import AppLicence, AppStock, LicenceState
from fleet.apps.models import App
from fleet.db import among, db, follow, id_set, insert_all_new, read_again
from fleet.devices import states
from fleet.devices.models import Device, DeviceLife, Enrolment, Platform

LACKING = ("none-left", "not-bought")  # reasons that more licences would end


@dataclass(frozen=True, slots=True)
class Figures:
    """The licences of an app in figures.

    Args:
        store_id: its number in the store.
        name: as the catalogue calls it; None where it is not there.
        bought: by the municipality, as the store last said.
        assigned: of these, to anybody.
        waiting: tablets whose licence was wished for and is not there yet.
        lacking: tablets that get none before more are bought or given back.
        failed: tablets that the store refuses one for another reason.
        seen_at: when the store last told; None where it does not know the app.
    """

    store_id: int
    name: str | None
    bought: int
    assigned: int
    waiting: int
    lacking: int
    failed: int
    seen_at: datetime | None


def want(device_id: int, store_ids: Collection[int], *, now: datetime) -> bool:
    """Wish for licences for a tablet; returns whether the store has to be asked, so that the caller may hurry.

    Args:
        device_id: of a tablet that speaks to us.
        store_ids: of the apps; those it has or waits for already stay as they are.
        now: the instant.
    """
    known = _known(device_id, store_ids) if store_ids else {}
    new = sorted(set(store_ids) - known.keys())
    if not new and not any(one.state is LicenceState.RELEASING or one.is_reversed for one in known.values()):
        return False
    states.lock(id_set([device_id]))
    row = {"device_id": device_id, "state": LicenceState.WANTED, "is_reversed": False, "changed_at": now}
    insert_all_new(AppLicence, [{**row, "store_id": store_id} for store_id in new])
    for one in _known(device_id, store_ids).values():
        if one.asked_at is not None:
            one.is_reversed = one.state is LicenceState.RELEASING
        elif one.state is LicenceState.RELEASING:
            one.state, one.reason, one.changed_at = LicenceState.ASSIGNED, None, now
    db.session.flush()
    return bool(new)


def _known(device_id: int, store_ids: Collection[int]) -> dict[int, AppLicence]:
    query = select(AppLicence).where(AppLicence.device_id == device_id, AppLicence.store_id.in_(sorted(store_ids)))
    found = db.session.scalars(query.execution_options(populate_existing=True))
    return {one.store_id: one for one in found}


def release(device_id: int, except_store_ids: Collection[int] = (), *, now: datetime) -> bool:
    """Give a tablet's licences back; returns whether the store has to be asked.

    Args:
        device_id: of the tablet.
        except_store_ids: of the apps whose licences it keeps.
        now: the instant.
    """
    kept = sorted(except_store_ids)
    of_it = AppLicence.device_id == device_id
    which = and_(of_it, AppLicence.store_id.not_in(kept)) if kept else of_it
    is_settled = and_(AppLicence.state == LicenceState.RELEASING, AppLicence.asked_at.is_(None))
    if db.session.scalar(select(AppLicence.id).where(which, ~is_settled).limit(1)) is None:
        return False
    states.lock(id_set([device_id]))
    return _release(which, now)


def _release(which: ColumnElement[bool], now: datetime) -> bool:
    quietly = {"synchronize_session": False}
    unasked = and_(which, AppLicence.asked_at.is_(None))
    dropping = delete(AppLicence).where(unasked, AppLicence.state.in_((LicenceState.WANTED, LicenceState.FAILED)))
    db.session.execute(dropping.execution_options(**quietly))
    giving = (
        update(AppLicence)
        .where(unasked, AppLicence.state == LicenceState.ASSIGNED)
        .values(state=LicenceState.RELEASING, reason=None, changed_at=now)
    )
    given = db.session.execute(giving.execution_options(**quietly))
    turning = update(AppLicence).where(which, AppLicence.asked_at.is_not(None))
    turning = turning.values(is_reversed=AppLicence.state == LicenceState.WANTED)
    db.session.execute(turning.execution_options(**quietly))
    read_again(AppLicence)
    return int(given.rowcount) > 0  # type: ignore[attr-defined]


def assigned(device_id: int) -> set[int]:
    """Return the apps that a tablet has a licence of, by their numbers in the store; one statement."""
    query = select(AppLicence.store_id).where(
        AppLicence.device_id == device_id, AppLicence.state == LicenceState.ASSIGNED
    )
    return set(db.session.scalars(query))


def reasons(device_id: int) -> dict[int, str]:
    """Return why a tablet has no licence of apps it wants one of, by their numbers in the store; one statement."""
    query = select(AppLicence.store_id, AppLicence.reason).where(
        AppLicence.device_id == device_id, AppLicence.state == LicenceState.FAILED
    )
    return {store_id: reason or "refused" for store_id, reason in db.session.execute(query)}


def app_ids(store_ids: Collection[int]) -> dict[int, str]:
    """Return what profiles call apps, by their numbers in the store, as far as the catalogue knows them."""
    if not store_ids:
        return {}
    query = select(App.store_id, App.app_id).where(App.platform == Platform.IPADOS, App.store_id.in_(sorted(store_ids)))
    return {row.store_id: row.app_id for row in db.session.execute(query)}


def is_gone() -> ColumnElement[bool]:
    """Return the condition that a tablet is out of use, or lost without staying in reach."""
    speaks = exists().where(Enrolment.device_id == Device.id, Enrolment.ended_at.is_(None))
    return and_(Device.life.in_((DeviceLife.RETIRED, DeviceLife.LOST)), ~speaks)


def figures() -> Sequence[Figures]:
    """Return the licences of each app in figures, by name; three statements."""

    def number(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((and_(*conditions), 1), else_=0)), 0)

    is_failed = AppLicence.state == LicenceState.FAILED
    query = select(
        AppLicence.store_id,
        number(AppLicence.state == LicenceState.WANTED),
        number(is_failed, AppLicence.reason.in_(LACKING)),
        number(is_failed, AppLicence.reason.not_in(LACKING)),
    ).group_by(AppLicence.store_id)
    wishes = {store_id: (int(a), int(b), int(c)) for store_id, a, b, c in db.session.execute(query)}
    stock = {one.store_id: one for one in db.session.scalars(select(AppStock))}
    naming = select(App.store_id, App.name).where(App.platform == Platform.IPADOS, App.store_id.is_not(None))
    names: dict[int, str] = {number: name for number, name in db.session.execute(naming) if number is not None}
    found = [
        Figures(
            store_id, names.get(store_id), one.total if one else 0, one.assigned if one else 0,
            *wishes.get(store_id, (0, 0, 0)), seen_at=one.seen_at if one else None,
        )
        for store_id in stock.keys() | wishes.keys()
        for one in (stock.get(store_id),)
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.name is None, (one.name or "").casefold(), one.store_id))


def _follow_devices(ids: frozenset[int], now: datetime) -> None:
    """Give back what tablets have that are gone."""
    having = select(AppLicence.device_id).join(Device, Device.id == AppLicence.device_id)
    gone = set(db.session.scalars(having.where(among(AppLicence.device_id, ids), is_gone())))
    if gone:
        states.lock(id_set(gone))
        _release(among(AppLicence.device_id, gone), now)


def follow_changes() -> None:
    """Have licences follow where tablets go; the application calls this once."""
    follow("device", _follow_devices)
