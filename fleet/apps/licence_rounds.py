"""Rounds of asking the store for licences: how many there are, and what to ask for.

A round asks in parts. Before each part it is noted that the store is being asked (:func:`asking`), after it what came
of it (:mod:`fleet.apps.licence_outcomes`).

Invariants: no more licences are asked for than are there; of those who wait, the first comes first.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from fleet.apps import licence_outcomes
from fleet.apps.licence_models import AppLicence, AppStock, LicenceState
from fleet.apps.licences import LACKING
from fleet.db import among, db
from fleet.devices.models import Device

_RETRY = timedelta(days=1)  # of what the store refused for no reason that more licences would end
_Value = TypeVar("_Value")
_WHEN_STOCKED = (*LACKING, "not-for-devices")


@dataclass(frozen=True, slots=True)
class Stock:
    """How many licences of an app there are.

    Args:
        store_id: the app's number in the store.
        total: bought.
        assigned: of these, to anybody.
        available: of these, to nobody yet.
        is_for_devices: whether tablets may have them, and not only persons.
        pricing: what the store calls their quality.
    """

    store_id: int
    total: int
    assigned: int
    available: int
    is_for_devices: bool = True
    pricing: str = "STDQ"


@dataclass(frozen=True, slots=True)
class Part:
    """What the store is asked for at once: each of these apps for each of these tablets.

    Args:
        apps: by their numbers in the store, with what it calls their quality.
        serials: of the tablets.
        licences: the rows that stand for all that, by app and serial.
        gives_back: whether they are given back, and not asked for.
    """

    apps: Mapping[int, str]
    serials: Sequence[str]
    licences: Mapping[tuple[int, str], int]
    gives_back: bool

    @property
    def licence_ids(self) -> frozenset[int]:
        """Return the rows of it all."""
        return frozenset(self.licences.values())

    def by_app(self) -> Sequence["Part"]:
        """Return the same as a part for each app."""
        return [self._only({store_id: pricing}) for store_id, pricing in self.apps.items()]

    def _only(self, apps: Mapping[int, str]) -> "Part":
        licences = {key: one for key, one in self.licences.items() if key[0] in apps}
        return Part(apps, self.serials, licences, self.gives_back)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the store takes at once."""

    apps: int
    serials: int


def restock(found: Collection[Stock], *, now: datetime) -> None:
    """Note how many licences there are of all apps that the store knows of."""
    known = {one.store_id: one for one in db.session.scalars(select(AppStock))}
    for one in found:
        row = known.pop(one.store_id, None)
        if row is None:
            row = AppStock(store_id=one.store_id)
            db.session.add(row)
        row.total, row.assigned, row.available = one.total, one.assigned, one.available
        row.is_for_devices, row.pricing, row.seen_at = one.is_for_devices, one.pricing, now
    for row in known.values():
        row.total, row.assigned, row.available, row.seen_at = 0, 0, 0, now
    db.session.flush()


def is_anything_wanted(*, now: datetime) -> bool:
    """Return whether a round has anything to ask for; one statement."""
    which = and_(AppLicence.asked_at.is_(None), or_(_is_to_assign(now), _is_to_release(now)))
    return db.session.scalar(select(AppLicence.id).where(which).limit(1)) is not None


def _is_to_release(now: datetime) -> ColumnElement[bool]:
    return and_(
        AppLicence.state == LicenceState.RELEASING,
        or_(AppLicence.reason.is_(None), AppLicence.changed_at <= now - _RETRY),
    )


def _is_to_assign(now: datetime) -> ColumnElement[bool]:
    again = or_(AppLicence.reason.in_(_WHEN_STOCKED), AppLicence.changed_at <= now - _RETRY)
    return or_(AppLicence.state == LicenceState.WANTED, and_(AppLicence.state == LicenceState.FAILED, again))


def to_release(limits: Limits, *, now: datetime) -> list[Part]:
    """Return what is to be given back."""
    query = select(AppLicence.id, AppLicence.store_id, Device.serial).join(Device, Device.id == AppLicence.device_id)
    query = query.where(AppLicence.asked_at.is_(None), _is_to_release(now)).order_by(AppLicence.id)
    return list(
        _parts([(one[0], one[1], one[2]) for one in db.session.execute(query)], limits, _pricing(), gives_back=True)
    )


def to_assign(limits: Limits, *, now: datetime) -> list[Part]:
    """Return what is to be asked for, as far as licences are there; those for whom there are none are told so."""
    query = select(AppLicence.id, AppLicence.store_id, Device.serial, AppLicence.state, AppLicence.reason)
    query = query.join(Device, Device.id == AppLicence.device_id)
    query = query.where(AppLicence.asked_at.is_(None), _is_to_assign(now)).order_by(AppLicence.id)
    stock = {one.store_id: one for one in db.session.scalars(select(AppStock))}
    under_way = _under_way()
    left = {store_id: one.available - under_way[store_id] for store_id, one in stock.items()}
    taken: list[tuple[int, int, str]] = []
    refused: dict[str, set[int]] = defaultdict(set)
    for licence_id, store_id, serial, state, reason in db.session.execute(query):
        why = _why_not(stock.get(store_id))
        if why is None and left[store_id] > 0:
            left[store_id] -= 1
            taken.append((licence_id, store_id, serial))
        elif why is None and under_way[store_id]:
            continue  # once those are there, the store tells how many are left
        elif (state, reason) != (LicenceState.FAILED, why or "none-left"):
            refused[why or "none-left"].add(licence_id)
    for why, licence_ids in refused.items():
        licence_outcomes.refuse(licence_ids, why, now=now)
    return list(_parts(taken, limits, {one.store_id: one.pricing for one in stock.values()}, gives_back=False))


def _why_not(stock: AppStock | None) -> str | None:
    if stock is None or not stock.total:
        return "not-bought"
    return None if stock.is_for_devices else "not-for-devices"


def _under_way() -> Mapping[int, int]:
    is_asked = and_(AppLicence.state == LicenceState.WANTED, AppLicence.asked_at.is_not(None))
    query = select(AppLicence.store_id, func.count()).where(is_asked).group_by(AppLicence.store_id)
    return defaultdict(int, {row[0]: row[1] for row in db.session.execute(query)})


def _pricing() -> Mapping[int, str]:
    return {one.store_id: one.pricing for one in db.session.scalars(select(AppStock))}


def _parts(
    rows: Sequence[tuple[int, int, str]], limits: Limits, pricing: Mapping[int, str], *, gives_back: bool
) -> Iterator[Part]:
    """Put together tablets that lack the same apps: a class with ten apps is one question."""
    apps_of: dict[str, set[int]] = defaultdict(set)
    ids = {}
    for licence_id, store_id, serial in rows:
        apps_of[serial].add(store_id)
        ids[store_id, serial] = licence_id
    alike: dict[frozenset[int], list[str]] = defaultdict(list)
    for serial, store_ids in apps_of.items():
        alike[frozenset(store_ids)].append(serial)
    for lacking, serials in alike.items():
        for some in _chunks(sorted(lacking), limits.apps):
            for of in _chunks(serials, limits.serials):
                rows_of = {(store_id, serial): ids[store_id, serial] for store_id in some for serial in of}
                yield Part({one: pricing.get(one, "STDQ") for one in some}, of, rows_of, gives_back)


def _chunks(values: Sequence[_Value], most: int) -> Iterator[Sequence[_Value]]:
    return (values[start : start + most] for start in range(0, len(values), max(most, 1)))


def asking(part: Part, *, now: datetime) -> bool:
    """Note that the store is about to be asked; False where a wish has changed since: the next round asks anew."""
    state = LicenceState.RELEASING if part.gives_back else LicenceState.WANTED
    before = [state] if part.gives_back else [state, LicenceState.FAILED]
    ids = among(AppLicence.id, part.licence_ids)
    licence_outcomes.take(ids)
    noting = (
        update(AppLicence)
        .where(ids, AppLicence.asked_at.is_(None), AppLicence.state.in_(before))
        .values(state=state, reason=None, asked_at=now, event_id=None, is_reversed=False)
        .returning(AppLicence.id)
        .execution_options(synchronize_session=False)
    )
    noted = db.session.scalars(noting).all()
    if len(noted) == len(part.licence_ids):
        return True
    licence_outcomes.not_taken(noted)
    return False
