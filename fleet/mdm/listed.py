"""The tablets that the maker's service has assigned to this server, as it told last.

Invariants: what is listed becomes no tablet of ours by itself; who left the list stays known as removed, so that one
that comes back is not taken for a new one; of two words on one serial the later counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update

from fleet.db import among_texts, db
from fleet.devices.models import Device, DeviceLife
from fleet.mdm.models import Errand, ListedByMaker

SCHOOL_MANAGER = "school-manager"  # the errand
_TABLETS = ("iPad", "")  # the latter: the service did not say
_DONE = "SUCCESS"


@dataclass(frozen=True, slots=True)
class Listed:
    """A device as the service tells of it.

    Args:
        serial: in capitals.
        model: its name, as people say.
        description: more of it.
        family: iPad, Mac …; empty where it is not said.
        profile_uuid: the profile it has there; None for none.
        is_gone: whether it is not assigned to us any more.
        changed_at: when that was, to put words in their order; empty in a list of all.
    """

    serial: str
    model: str
    description: str
    family: str
    profile_uuid: str | None
    is_gone: bool = False
    changed_at: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """A listed tablet, and whether it is one of ours.

    Args:
        listed: what the service told.
        device: ours of this serial; None where there is none.
    """

    listed: ListedByMaker
    device: Device | None

    @property
    def is_expected(self) -> bool:
        """Whether a delivery list has it."""
        return self.device is not None and self.device.listed_at is not None


def note(told: Iterable[Listed], *, now: datetime) -> None:
    """Keep what the service told."""
    latest = {one.serial: one for one in sorted(told, key=lambda one: one.changed_at)}
    query = select(ListedByMaker).where(among_texts(ListedByMaker.serial, latest))
    known = {one.serial: one for one in db.session.scalars(query)}
    for serial, one in latest.items():
        row = known.get(serial)
        if row is None:
            row = ListedByMaker(serial=serial, listed_at=now)
            db.session.add(row)
        elif row.removed_at is not None and not one.is_gone:
            row.outcome = row.again_at = row.assigned_at = None
        row.model, row.description = one.model or row.model or "", one.description or row.description or ""
        row.family = one.family or row.family or ""
        row.profile_uuid = None if one.is_gone else one.profile_uuid
        row.seen_at, row.removed_at = now, (now if one.is_gone else None)
    db.session.flush()


def end_full_list(*, began_at: datetime, now: datetime) -> int:
    """Take those for removed that a list of all has not named; returns how many.

    Args:
        began_at: when reading the list began.
        now: the instant.
    """
    gone = (
        update(ListedByMaker)
        .where(ListedByMaker.seen_at < began_at, ListedByMaker.removed_at.is_(None))
        .values(removed_at=now, profile_uuid=None)
        .returning(ListedByMaker.serial)
        .execution_options(synchronize_session=False)
    )
    return len(db.session.scalars(gone).all())


def forget_profiles() -> None:
    """Forget which profile each has: they are those of another server's entry."""
    db.session.execute(
        update(ListedByMaker).values(profile_uuid=None).execution_options(synchronize_session=False)
    )  # fmt: skip


def _retired() -> ColumnElement[bool]:
    return ListedByMaker.serial.in_(select(Device.serial).where(Device.life == DeviceLife.RETIRED))


def without(profile_uuid: str, *, now: datetime, at_most: int) -> Sequence[str]:
    """Return serials of listed tablets that do not have this profile and are due to get it; of no retired ones."""
    query = (
        select(ListedByMaker.serial)
        .where(
            ListedByMaker.removed_at.is_(None),
            ListedByMaker.family.in_(_TABLETS),
            or_(ListedByMaker.profile_uuid.is_(None), ListedByMaker.profile_uuid != profile_uuid),
            or_(ListedByMaker.again_at.is_(None), ListedByMaker.again_at <= now),
            ~_retired(),
        )
        .order_by(ListedByMaker.serial)
        .limit(at_most)
    )
    return db.session.scalars(query).all()


def retired_with(profile_uuid: str, *, now: datetime, at_most: int) -> Sequence[str]:
    """Return serials of retired tablets that would still come to us when they are set up."""
    query = select(ListedByMaker.serial).where(
        ListedByMaker.removed_at.is_(None), ListedByMaker.profile_uuid == profile_uuid,
        or_(ListedByMaker.again_at.is_(None), ListedByMaker.again_at <= now), _retired(),
    )  # fmt: skip
    return db.session.scalars(query.order_by(ListedByMaker.serial).limit(at_most)).all()


def took(outcomes: Mapping[str, str], profile_uuid: str | None, *, again_at: datetime, now: datetime) -> None:
    """Note how tablets took a profile, or its withdrawal.

    Args:
        outcomes: in the service's words, by serial.
        profile_uuid: what they have where it went well.
        again_at: when those are tried again for which it did not.
        now: the instant.
    """
    query = select(ListedByMaker).where(among_texts(ListedByMaker.serial, outcomes))
    for row in db.session.scalars(query):
        row.outcome = outcomes[row.serial][:24]
        if row.outcome == _DONE:
            row.profile_uuid, row.assigned_at, row.again_at = profile_uuid, now, None
        else:
            row.again_at = again_at
    db.session.flush()


def missing_count() -> int:
    """Return how many tablets are on the list that no delivery list has."""
    return db.session.scalar(_missing_count()) or 0


def attention() -> tuple[str | None, int]:
    """Return why Apple School Manager could not be read last, None where it could, and :func:`missing_count`.

    One statement.
    """
    failure = select(Errand.failure).where(Errand.name == SCHOOL_MANAGER, Errand.failed_at.is_not(None))
    found = db.session.execute(select(failure.scalar_subquery(), _missing_count().scalar_subquery())).one()
    return found[0], found[1]


def _missing_count() -> Select[int]:
    return (
        select(func.count())
        .select_from(ListedByMaker)
        .outerjoin(Device, Device.serial == ListedByMaker.serial)
        .where(ListedByMaker.removed_at.is_(None), ListedByMaker.family.in_(_TABLETS), *_is_missing())
    )


def _is_missing() -> tuple[ColumnElement[bool], ...]:
    """Whether no delivery list has a tablet, and nobody has retired it."""
    return (or_(Device.id.is_(None), and_(Device.listed_at.is_(None), Device.life != DeviceLife.RETIRED)),)


def standings(*, missing: bool = False, at_most: int | None = None) -> Sequence[Standing]:
    """Return the tablets on the list, by serial.

    Args:
        missing: only those that no delivery list has.
        at_most: so many; None: all.
    """
    query = (
        select(ListedByMaker, Device)
        .outerjoin(Device, Device.serial == ListedByMaker.serial)
        .where(ListedByMaker.removed_at.is_(None), ListedByMaker.family.in_(_TABLETS))
        .order_by(ListedByMaker.serial)
        .limit(at_most)
    )
    if missing:
        query = query.where(*_is_missing())
    return [Standing(listed, device) for listed, device in db.session.execute(query)]
