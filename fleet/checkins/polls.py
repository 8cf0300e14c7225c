"""What a tablet that asks shall have: read for many at once, and noted where something new was handed out.

Invariants: each function is a bounded number of statements for any number of tablets; a poll that finds nothing new
writes nothing.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import text

from fleet.assignments.schedules import stored_instant
from fleet.checkins import statements
from fleet.db import changed, db, id_set
from fleet.devices import states


class Standing(Struct, frozen=True):
    """What a poll needs to know of a tablet: the columns of its row, and its name on the wire."""

    device_id: int
    uid: str
    key: str | None
    config_version: int
    schedule_digest: str | None
    applied_digest: str | None
    next_switch_at: datetime | None
    fetched_version: int | None


def standings(device_ids: Sequence[int]) -> dict[int, Standing]:
    """Return what polls need to know, by tablet; one statement."""
    connection = db.session.connection()
    statement = statements.giving_rows(statements.POLL[connection.dialect.name])
    rows = connection.execute(statement, {"ids": json.dumps(list(device_ids))}).all()  # one by one takes longer
    return {row[0]: Standing(*row) for row in rows}


def moved_on(versions: Mapping[int, int], *, at_most: int) -> frozenset[int]:
    """Return tablets whose configuration has another version than the one told; one statement.

    Args:
        versions: by tablet.
        at_most: how many are returned.
    """
    told = {"versions": json.dumps(dict(versions)), "n": at_most}
    statement = text(statements.MOVED_ON[db.session.get_bind().dialect.name])
    return frozenset(db.session.scalars(statement, told))


def note_fetched(versions: Mapping[int, int], *, now: datetime) -> None:
    """Note which version of its configuration each tablet was handed; two statements.

    Args:
        versions: by tablet, those that it had not been handed before.
        now: the instant.
    """
    states.lock(id_set(versions))
    told = {"versions": json.dumps(dict(versions)), "now": stored_instant(now)}
    db.session.execute(text(statements.FETCHED[db.session.get_bind().dialect.name]), told)
    db.session.expire_all()
    changed("fetched", versions, now=now)
