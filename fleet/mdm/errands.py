"""Errands: what is regularly done with the maker's services, by one server at a time and outside any transaction.

Invariants: an errand that is due is taken by one; who has been at it for longer than it may hold it has lost it, and
what it then tells changes nothing. A round that fails is tried again after a wait that grows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, or_, select, update

from fleet.checkup.checks import Check, fault, ok, warning
from fleet.db import db, insert_new
from fleet.mdm.models import Errand

LICENCES = "licences"  # the errand that assigns licences of apps
OTHER_SERVICE = "other-service"  # how a failure begins where another service manages them
_AGAIN = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))

_LONG = timedelta(days=1)  # without a round that went well


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to do an errand.

    Args:
        name: which.
        held_until: until when; also what proves it.
        memory: what the last round has left.
    """

    name: str
    held_until: datetime
    memory: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """How an errand stands.

    Args:
        name: which.
        due_at: when it is next done.
        done_at: when it last went well; None for never.
        failed_at: when it last failed, if it has not gone well since.
        failure: the reason, in a word.
    """

    name: str
    due_at: datetime
    done_at: datetime | None
    failed_at: datetime | None
    failure: str | None


def take(name: str, *, hold: timedelta, now: datetime) -> Turn | None:
    """Take an errand that is due; None where it is not, or somebody is at it."""
    insert_new(Errand, {"name": name, "due_at": now, "failures": 0})
    held_until = now + hold
    taking = (
        update(Errand)
        .where(Errand.name == name, Errand.due_at <= now, or_(Errand.held_until.is_(None), Errand.held_until <= now))
        .values(held_until=held_until, due_at=held_until)
        .returning(Errand.name)
        .execution_options(synchronize_session=False)
    )
    if db.session.scalar(taking) is None:
        return None
    memory = db.session.scalar(select(Errand.memory).where(Errand.name == name))
    return Turn(name, held_until, memory or {})


def done(turn: Turn, memory: Mapping[str, Any], *, again_at: datetime, now: datetime) -> bool:
    """Note that an errand was done; returns False where the turn was lost meanwhile.

    Args:
        turn: as it was taken.
        memory: what the next round has to know.
        again_at: when that is due, unless somebody was in a hurry meanwhile.
        now: the instant.
    """
    return _end(turn, again_at, done_at=now, failed_at=None, failure=None, failures=0, memory=dict(memory))


def failed(turn: Turn, failure: str, *, memory: Mapping[str, Any], after: timedelta | None, now: datetime) -> bool:
    """Note that a round failed; returns False where the turn was lost meanwhile.

    Args:
        turn: as it was taken.
        failure: the reason, in a word or two.
        memory: what is known nevertheless.
        after: how long the service asks to wait; None where it does not.
        now: the instant.
    """
    failures = db.session.scalar(select(Errand.failures).where(Errand.name == turn.name)) or 0
    wait = max(_AGAIN[min(failures, len(_AGAIN) - 1)], after or timedelta(0))
    return _end(turn, now + wait, failed_at=now, failure=failure[:80], failures=failures + 1, memory=dict(memory))


def _end(turn: Turn, again_at: datetime, **values: Any) -> bool:
    # Taking it set it due at the end of the turn: where it is due earlier, somebody was in a hurry since.
    due_at = case((Errand.due_at < turn.held_until, Errand.due_at), else_=again_at)
    ending = (
        update(Errand)
        .where(Errand.name == turn.name, Errand.held_until == turn.held_until)
        .values(held_until=None, due_at=due_at, **values)
        .returning(Errand.name)
        .execution_options(synchronize_session=False)
    )
    return db.session.scalar(ending) is not None


def hurry(name: str, *, now: datetime) -> None:
    """Have an errand done at once, and once more where somebody is at it already."""
    if not insert_new(Errand, {"name": name, "due_at": now, "failures": 0}):
        hurrying = update(Errand).where(Errand.name == name, Errand.due_at > now).values(due_at=now)
        db.session.execute(hurrying.execution_options(synchronize_session=False))


def standing(name: str) -> Standing | None:
    """Return how an errand stands; None where it was never due."""
    found = db.session.get(Errand, name, populate_existing=True)
    if found is None:
        return None
    return Standing(name, found.due_at, found.done_at, found.failed_at, found.failure)


def examine(errand: str, *, now: datetime) -> Check:
    """Return whether an errand goes well; one statement.

    Args:
        errand: which.
        now: the instant.
    """
    name, found = f"{errand}-errand", standing(errand)
    if found is None or (found.failed_at is None and found.done_at is None):
        return ok(name, "not done yet")
    last = f"{found.done_at:%Y-%m-%d %H:%M} UTC" if found.done_at is not None else "never"
    if found.failed_at is None:
        return ok(name, f"last went well {last}")
    told, advice = f"fails ({found.failure}), last went well {last}", "scripts/fleet apple status says how it stands"
    if found.done_at is None or now - found.done_at > _LONG:
        return fault(name, told, advice)
    return warning(name, told, advice)
