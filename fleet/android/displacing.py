"""A tablet whose place another has taken: who has a ticket's code and knows its serial may say that he is it, wiped.

A tablet that really was wiped has forgotten its token. So whoever still speaks under the former one is the tablet, and
the newcomer is not: the tablet is in again, and what the newcomer has is worth nothing. That holds for
:data:`PROVES_FOR`, for tablets that a delivery list has; of the others the audit says that they were taken over.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import select

from fleet import audit
from fleet.access import Principal
from fleet.android import again
from fleet.android.models import AgentClient
from fleet.db import among_texts, db
from fleet.devices import life
from fleet.devices.models import Device

PROVES_FOR = timedelta(days=14)


def note(client: AgentClient, former: AgentClient, *, now: datetime) -> None:
    """Note whose place a client takes; one that said itself that it would be wiped has left it."""
    if former.wiped_at is None and former.seen_at is not None:
        client.displaced_digest, client.displaced_at = former.token_digest, now
        client.displaced_seed, client.displaced_generation = former.seed, former.generation


def displaced(digests: Collection[str], *, now: datetime) -> frozenset[int]:
    """Return the tablets whose former tokens these are, by the tokens' SHA-256; one statement."""
    query = select(AgentClient.device_id).where(
        among_texts(AgentClient.displaced_digest, digests), AgentClient.displaced_at > now - PROVES_FOR
    )
    return frozenset(db.session.scalars(query))


def restore(client: AgentClient, digests: Collection[str], *, now: datetime) -> bool:
    """Take the tablet in again that speaks under its former token, in the place of who took its place.

    Args:
        client: held by the caller, who has the turn and commits.
        digests: SHA-256 of tokens under which somebody speaks.
        now: the instant.
    """
    seed, generation, digest = client.displaced_seed, client.displaced_generation, client.displaced_digest
    if digest not in digests or digest is None or seed is None or generation is None:
        return False
    device = db.session.get_one(Device, client.device_id, with_for_update={"key_share": True})
    if device.listed_at is None or device.state.key_thumbprint != client.key_thumbprint:
        return False
    life.removed(device, now=now)
    if not again.come_in(client, device, now=now):
        return False
    client.seed, client.generation, client.token_digest = seed, generation, digest
    client.former_digest, client.seen_at = None, now
    client.displaced_digest = client.displaced_seed = client.displaced_generation = client.displaced_at = None
    client.told = None
    db.session.flush()
    audit.record(
        Principal("device", device.uid), "android.place-restored", subject=f"device:{device.id}", now=now,
        serial=device.serial,
    )  # fmt: skip
    return True
