"""Who is to be rung: clients that have not followed what was changed for them, or that were busy when they called.

Invariants: nobody is rung before the enrolment is complete, nor at an address that is known to be dead; a client is
rung once for each change, and again only after a wait that grows, however many servers look: whoever takes a client
notes it in the same statement. A ring that is lost costs time and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, or_, select, update

from fleet.db import db
from fleet.devices.models import DeviceState
from fleet.mdm.models import Client, Command, CommandState

# The push service keeps the last ring for days, so that a tablet which sleeps gets it when it wakes: again is for those
# that got lost.
_WAITS = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4), timedelta(hours=24))
_BUSY_FOR, _UNHEARD_FOR = timedelta(minutes=5), timedelta(seconds=10)
# Rung for that alone, a busy client says "not now" last, and from then on comes by itself as soon as it can.
_HELD_FOR = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Ring:
    """A client to be rung.

    Args:
        device_id: whose it is.
        topic: names us to the push service.
        token: names the tablet there.
        magic: what the push has to say.
        address_at: when the tablet told that.
        attempt: the how many-th ring in a row, from 1.
    """

    device_id: int
    topic: str
    token: bytes = field(repr=False)
    magic: str = field(repr=False)
    address_at: datetime
    attempt: int


def take(*, now: datetime, at_most: int = 500) -> list[Ring]:
    """Return clients to be rung, noted as rung; two statements, one where nobody is."""
    state = DeviceState
    lags = or_(
        state.config_version.is_distinct_from(Client.followed_version),
        state.desired_digest.is_distinct_from(Client.followed_profile),
        Client.ask_at <= now,
        _was_busy(now),
        _waits(now),
    )
    is_news = or_(
        state.config_version.is_distinct_from(Client.rung_version),
        state.desired_digest.is_distinct_from(Client.rung_profile),
    )
    query = (
        select(Client, state.config_version, state.desired_digest)
        .join(state, state.device_id == Client.device_id)
        .where(state.key_thumbprint == Client.thumbprint)  # of an enrolment that has ended nobody is heard
        .where(Client.reachable_at.is_not(None), Client.push_dead_at.is_(None), Client.push_token.is_not(None))
        .where(lags, or_(Client.ring_again_at.is_(None), Client.ring_again_at <= now, and_(is_news, _may_now(now))))
        .order_by(Client.device_id)
        .limit(at_most)
        .with_for_update(of=Client, skip_locked=True)
    )
    rings = []
    for client, version, profile in db.session.execute(query).all():
        is_new = (client.rung_version, client.rung_profile) != (version, profile)
        client.rings = 1 if is_new else client.rings + 1
        client.rung_version, client.rung_profile = version, profile
        client.ring_again_at = now + _WAITS[min(client.rings, len(_WAITS)) - 1]
        rings.append(
            Ring(
                client.device_id, client.topic or "", client.push_token or b"", client.push_magic or "",
                client.address_at or now, client.rings,
            )
        )  # fmt: skip
    db.session.flush()
    return rings


def _was_busy(now: datetime) -> ColumnElement[bool]:
    """Whether a client said "not now" and then something else: it does not call again of its own accord.

    Source: https://developer.apple.com/documentation/devicemanagement/handling-notnow-status-responses
    """
    held = exists().where(
        Command.device_id == Client.device_id, Command.state == CommandState.HELD, Command.sent_at < now - _HELD_FOR
    )
    return and_(Client.last_status != "not-now", held)


def _waits(now: datetime) -> ColumnElement[bool]:
    """Whether a command was queued that nobody has come for, or one was sent and never answered."""
    return exists().where(
        Command.device_id == Client.device_id,
        or_(
            and_(Command.state == CommandState.QUEUED, Command.queued_at < now - _UNHEARD_FOR),
            and_(Command.state == CommandState.SENT, Command.sent_at < now - _BUSY_FOR),
        ),
    )


def _may_now(now: datetime) -> ColumnElement[bool]:
    """Whether news may be rung at once: the service has not asked for a pause."""
    return or_(Client.pause_until.is_(None), Client.pause_until <= now)


def put_off(waits: Mapping[int, float], *, now: datetime) -> None:
    """Ring these again after so many seconds: the push service did not take it."""
    for device_id, wait_s in waits.items():
        later = now + timedelta(seconds=wait_s)
        changing = update(Client).where(Client.device_id == device_id)
        db.session.execute(
            changing.values(ring_again_at=later, pause_until=later).execution_options(synchronize_session=False)
        )


def give_up(rings: Sequence[Ring], *, now: datetime) -> None:
    """Ring these no more until they tell a new address, unless they have meanwhile: the service knows them no more."""
    for one in rings:
        changing = update(Client).where(Client.device_id == one.device_id, Client.push_token == one.token)
        db.session.execute(changing.values(push_dead_at=now).execution_options(synchronize_session=False))
