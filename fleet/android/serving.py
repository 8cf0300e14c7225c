"""What each tablet with the open agent shall have and was last given, for many at once.

Invariants: a tablet that has what it shall have costs one statement with all who ask at the same moment, and no write
(a closed one, of which there are few, some statements more); what was served is noted before it is handed out, for its
words on what is in force are compared with that. Rows are taken in the order client, state, orders, each by rising
number.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from fleet.android.models import AgentClient
from fleet.assignments import schedules
from fleet.db import among_texts, db, id_set
from fleet.devices import states
from fleet.devices.models import Device, DeviceLife, DeviceState

CLOSED_VERSION = 0  # served to a tablet that nobody shall use; versions of configurations begin at 1


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tablet stands whose agent asks.

    Args:
        device_id: the tablet.
        serial: its serial.
        life: where it is in its life.
        is_open: whether its enrolment is.
        is_newest: whether it came with its newest token.
        config_version: of what it shall have.
        profile: the effective profile that it shall have now; None where there is none.
        switch_at: when that changes by itself.
        lost_message: what the screen of a lost one says.
        lost_phone: and whom to call.
        client: what is kept of its agent: columns of :class:`AgentClient`.
    """

    device_id: int
    serial: str
    life: DeviceLife
    is_open: bool
    is_newest: bool
    config_version: int
    profile: str | None
    switch_at: datetime | None
    lost_message: str | None
    lost_phone: str | None
    client: Any

    @property
    def is_closed(self) -> bool:
        """Whether nobody shall use it: its enrolment has ended, or nobody has approved it yet."""
        return not self.is_open or self.life is DeviceLife.PENDING

    @property
    def wanted_version(self) -> int:
        """The version of what it shall have; :data:`CLOSED_VERSION` where it is closed."""
        return CLOSED_VERSION if self.is_closed else self.config_version

    def has_all(self, now: datetime) -> bool:
        """Whether nothing has happened since it was last given something: no need to work anything out.

        Of a closed one that is not known: where it is in its life raises no version.
        """
        until = self.client.served_until
        is_same = not self.is_closed and self.client.served_version == self.wanted_version
        return is_same and (until is None or now < until)


_CLIENT = (
    AgentClient.key_thumbprint, AgentClient.seed, AgentClient.generation, AgentClient.seen_at, AgentClient.number,
    AgentClient.cpu, AgentClient.served_version, AgentClient.served_profile, AgentClient.served_digest,
    AgentClient.served_until, AgentClient.served_hidden, AgentClient.hidden, AgentClient.notice,
    AgentClient.notice_until, AgentClient.put_off, AgentClient.wiped_at, AgentClient.token_digest,
    AgentClient.former_digest,
)  # fmt: skip


def standings(digests: Collection[str], now: datetime) -> dict[str, Standing]:
    """Return how the tablets stand whose tokens these are, by the tokens' SHA-256.

    One statement, and one more for schedules that were never read and are due to move on.
    """
    wanted = set(digests)
    rows = _read(
        or_(among_texts(AgentClient.token_digest, wanted), among_texts(AgentClient.former_digest, wanted)), now
    )
    found = {}
    for row, standing in rows:
        for digest in {row.token_digest, row.former_digest} & wanted:
            found[digest] = standing if digest == row.token_digest else replace(standing, is_newest=False)
    return found


def standing_of(device_id: int, now: datetime) -> Standing | None:
    """Return how one tablet stands, None where it has no open agent."""
    return next((standing for _row, standing in _read(AgentClient.device_id == device_id, now)), None)


def _read(condition: Any, now: datetime) -> list[tuple[Any, Standing]]:
    state = DeviceState
    query = (
        select(
            AgentClient.device_id, Device.serial, Device.life, Device.lost_message, Device.lost_phone,
            state.key_thumbprint.label("key"), state.config_version, state.desired_digest, state.schedule_digest,
            state.next_switch_at, *_CLIENT,
        )
        .join(Device, Device.id == AgentClient.device_id)
        .join(state, state.device_id == AgentClient.device_id)
        .where(condition)
    )  # fmt: skip
    rows = db.session.execute(query).all()
    due = {row.schedule_digest for row in rows if row.next_switch_at is not None and row.next_switch_at <= now}
    moved = schedules.load(due - {None}) if due else {}
    return [(row, _standing(row, moved, now)) for row in rows]


def _standing(row: Any, moved: Mapping[str, Sequence[Mapping[str, Any]]], now: datetime) -> Standing:
    profile, switch_at = row.desired_digest, row.next_switch_at
    entries = moved.get(row.schedule_digest)
    if entries is not None and switch_at is not None and switch_at <= now:
        profile, switch_at = str(schedules.entry_at(entries, now)["profile"]), schedules.next_switch(entries, now)
    return Standing(
        row.device_id, row.serial, row.life, row.key is not None and row.key == row.key_thumbprint, is_newest=True,
        config_version=row.config_version, profile=profile, switch_at=switch_at, lost_message=row.lost_message,
        lost_phone=row.lost_phone, client=row,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Served:
    """What a tablet is given.

    Args:
        standing: how it stood.
        digest: SHA-256 of what it reads.
        until: from when on that is not right any more by itself; None: never.
        hidden: packages that are hidden once it is in force.
        ending: orders, by name, that are done once it is in force.
        sent: orders that go out with it, by number.
        notice: what stands on its screen, and until when.
        number: what it calls itself.
        cpu: what it runs on, as it says.
        is_fetched: whether it is handed out now; else it has been before, and is still right.
    """

    standing: Standing
    digest: str
    until: datetime | None
    hidden: Sequence[str]
    ending: Sequence[str] = ()
    sent: Sequence[int] = ()
    notice: tuple[str, datetime] | None = None
    number: str | None = None
    cpu: str | None = None
    is_fetched: bool = True


@dataclass(frozen=True, slots=True)
class Noted:
    """What is to be noted elsewhere: which version of its configuration a tablet is handed, and which orders go out."""

    versions: Mapping[int, int]
    orders: Sequence[int]


def note(served: Sequence[Served], *, now: datetime) -> Noted:
    """Note what tablets are given, and tell what others have to note; a bounded number of statements."""
    by_id = {one.standing.device_id: one for one in served}
    clients = held(by_id)
    fetched = {}
    sent: list[int] = []
    for device_id, client in clients.items():
        one = by_id[device_id]
        if client.key_thumbprint != one.standing.client.key_thumbprint:
            continue  # it has come anew meanwhile, and knows nothing of this
        client.served_version, client.served_until = one.standing.wanted_version, one.until
        client.number = one.number or client.number
        client.cpu = one.cpu or client.cpu
        if one.is_fetched:
            client.served_profile, client.served_digest, client.served_at = one.standing.profile, one.digest, now
            client.hidden = sorted({*(client.hidden or ()), *(client.served_hidden or ()), *one.hidden})
            client.served_hidden, client.served_orders = sorted(one.hidden), sorted(one.ending)
            client.notice, client.notice_until = one.notice or (None, None)
            sent += one.sent
        if one.standing.is_open:
            fetched[device_id] = one.standing.config_version
    db.session.flush()
    return Noted(fetched, sent)


def held(device_ids: Collection[int]) -> dict[int, AgentClient]:
    """Return what is kept of these tablets' agents, held until the transaction ends; one statement."""
    query = select(AgentClient).where(AgentClient.device_id.in_(id_set(device_ids))).order_by(AgentClient.device_id)
    found = db.session.scalars(query.with_for_update().execution_options(populate_existing=True))
    return {one.device_id: one for one in found}


def sequences(device_ids: Collection[int]) -> dict[int, tuple[str | None, int]]:
    """Return by tablet which enrolment is open and the number of its last report, held until the transaction ends."""
    states.lock(id_set(device_ids))
    state = DeviceState
    query = select(state.device_id, state.key_thumbprint, state.last_sequence)
    rows = db.session.execute(query.where(state.device_id.in_(id_set(device_ids))))
    return {row.device_id: (row.key_thumbprint, row.last_sequence) for row in rows}
