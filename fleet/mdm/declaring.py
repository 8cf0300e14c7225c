"""What clients are told to fetch: kept under the token that names it, so that each is answered from what it was told.

Invariants: what stands under a token or a digest never changes; it is forgotten only when no client was told of it last
and it is old.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from fleet.assignments import schedules
from fleet.db import db, insert_new
from fleet.devices.models import DeviceState
from fleet.mdm.models import Client, Declared, Enclosure


@dataclass(frozen=True, slots=True)
class Desired:
    """What a client shall have.

    Args:
        config_version: of the tablet's configuration.
        entries: its schedule, from now on.
    """

    config_version: int
    entries: tuple[Mapping[str, Any], ...]


def desired(device_id: int, *, now: datetime) -> Desired:
    """Return what a tablet shall have from now on; two statements at most."""
    query = select(DeviceState.config_version, DeviceState.schedule_digest).where(DeviceState.device_id == device_id)
    version, schedule = db.session.execute(query).one()
    entries = schedules.load([schedule]).get(schedule, ()) if schedule is not None else ()
    return Desired(version, tuple(schedules.ahead(entries, now, at_most=50)) if entries else ())


@dataclass(frozen=True, slots=True)
class Set:
    """What clients are told to fetch.

    Args:
        token: names it.
        profile: digest of the effective profile it stands for.
        carried: which declarations there are, as plain data that the channel knows how to read.
        documents: what to answer, by what is asked.
    """

    token: str
    profile: str
    carried: Sequence[Mapping[str, Any]]
    documents: Mapping[str, str]


def keep(told: Set, files: Mapping[str, bytes], *, now: datetime) -> None:
    """Keep what clients are about to be told of; what is kept already stays as it is.

    Args:
        told: the set.
        files: what the documents and commands name, by digest.
        now: the instant.
    """
    # A whole class is told of the same at once: who comes second waits, and finds it there. In one order for all.
    for name in sorted(files):
        insert_new(Enclosure, {"digest": name, "body": files[name], "made_at": now})
    made = {
        "token": told.token, "profile": told.profile, "carried": [dict(one) for one in told.carried],
        "documents": dict(told.documents), "files": sorted(files), "made_at": now,
    }  # fmt: skip
    insert_new(Declared, made)


def tell(client: Client, token: str, *, now: datetime) -> bool:
    """Note that a client is told of a token; returns whether it is another one than before."""
    if client.declared_token == token:
        return False
    client.declared_token, client.declared_at = token, now
    db.session.flush()
    return True


def document(token: str, asked: str) -> str | None:
    """Return what to answer to a client that was told of a token; None where there is no such thing under it."""
    found = db.session.scalar(select(Declared.documents).where(Declared.token == token))
    answer = (found or {}).get(asked)
    return str(answer) if answer is not None else None


def behind(token: str) -> tuple[str, Sequence[Mapping[str, Any]]] | None:
    """Return which effective profile stands behind a token, and which declarations there are."""
    row = db.session.execute(select(Declared.profile, Declared.carried).where(Declared.token == token)).first()
    return (row.profile, row.carried) if row is not None else None


def enclosure(digest: str) -> bytes | None:
    """Return a file by its digest."""
    return db.session.scalar(select(Enclosure.body).where(Enclosure.digest == digest))
