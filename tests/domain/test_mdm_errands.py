"""Errands with the maker's services: done by one at a time, again after a wait, at once where somebody is in a hurry."""

from datetime import timedelta

from flask import Flask

from fleet.db import transaction
from fleet.mdm import errands
from fleet.mdm.errands import Turn
from tests.conftest import NOW

MINUTE = timedelta(minutes=1)
HOLD = 10 * MINUTE


def taken(at: timedelta = timedelta(0)) -> Turn | None:
    with transaction():
        return errands.take("sync", hold=HOLD, now=NOW + at)


def done(turn: Turn, *, at: timedelta, again: timedelta) -> bool:
    with transaction():
        return errands.done(turn, {"cursor": "a"}, again_at=NOW + again, now=NOW + at)


def test_an_errand_is_done_by_one_and_due_again_later_with_what_was_left(app: Flask) -> None:
    first = taken()
    assert first is not None
    assert first.memory == {}
    assert taken(MINUTE) is None
    assert done(first, at=2 * MINUTE, again=60 * MINUTE)
    assert taken(59 * MINUTE) is None
    second = taken(60 * MINUTE)
    assert second is not None
    assert second.memory == {"cursor": "a"}


def test_who_has_held_an_errand_for_too_long_has_lost_it_and_changes_nothing(app: Flask) -> None:
    slow = taken()
    quick = taken(HOLD)
    assert slow is not None
    assert quick is not None
    assert not done(slow, at=11 * MINUTE, again=60 * MINUTE)
    with transaction():
        assert not errands.failed(slow, "late", memory={}, after=None, now=NOW + 11 * MINUTE)
    assert done(quick, at=12 * MINUTE, again=60 * MINUTE)


def test_a_hurry_while_somebody_is_at_it_is_not_forgotten(app: Flask) -> None:
    turn = taken()
    assert turn is not None
    with transaction():
        errands.hurry("sync", now=NOW + MINUTE)
    assert taken(2 * MINUTE) is None, "somebody is at it"
    assert done(turn, at=3 * MINUTE, again=60 * MINUTE)
    assert taken(3 * MINUTE) is not None


def test_a_hurry_makes_an_errand_due_that_was_never_done(app: Flask) -> None:
    with transaction():
        errands.hurry("sync", now=NOW)
        assert errands.standing("sync") is not None
    assert taken() is not None


def test_a_round_that_fails_is_tried_again_after_a_wait_that_grows(app: Flask) -> None:
    at, waits = timedelta(0), []
    for _round in range(5):
        turn = taken(at)
        assert turn is not None
        with transaction():
            errands.failed(turn, "no answer", memory={"cursor": "b"}, after=None, now=NOW + at)
            standing = errands.standing("sync")
        assert standing is not None
        assert standing.failure == "no answer"
        assert standing.done_at is None
        waits.append(standing.due_at - NOW - at)
        at = standing.due_at - NOW
    assert waits == [MINUTE, 5 * MINUTE, 30 * MINUTE, 120 * MINUTE, 120 * MINUTE]
    turn = taken(at)
    assert turn is not None
    assert turn.memory == {"cursor": "b"}
    assert done(turn, at=at, again=at + 60 * MINUTE)
    with transaction():
        standing = errands.standing("sync")
    assert standing is not None
    assert (standing.failure, standing.failed_at) == (None, None)


def test_a_service_that_asks_for_a_longer_wait_gets_it(app: Flask) -> None:
    turn = taken()
    assert turn is not None
    with transaction():
        errands.failed(turn, "busy", memory={}, after=timedelta(hours=3), now=NOW)
    assert taken(timedelta(hours=2, minutes=59)) is None
    assert taken(timedelta(hours=3)) is not None
