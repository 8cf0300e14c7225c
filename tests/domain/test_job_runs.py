"""The lease, claims and the history of runs: who may run jobs, once, and who may not write any more."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from flask import Flask
from sqlalchemy.exc import DBAPIError

from fleet import audit, job_runs
from fleet.access import Principal
from fleet.app import create_app
from fleet.db import db, reading, transaction
from fleet.job_runs import BY_HAND, JobOutcome, StaleEpochError
from tests import factories
from tests.conftest import NOW

LIFE = timedelta(seconds=60)
LATER = NOW + timedelta(seconds=30)
AFTER_LIFE = NOW + LIFE
ONE = Principal.job("test")
T = TypeVar("T")


def take(holder: str, now: datetime = NOW) -> int | None:
    with transaction():
        return job_runs.take_lease(holder, now=now, life=LIFE)


def claim(job: str = "a", slot: datetime = NOW, *, epoch: int = 1, now: datetime = NOW) -> int | None:
    with transaction():
        return job_runs.claim(job, slot, epoch=epoch, now=now)


def finish(run_id: int, *, epoch: int = 1, outcome: JobOutcome = JobOutcome.DONE, error: str | None = None) -> None:
    with transaction():
        job_runs.finish(run_id, epoch=epoch, outcome=outcome, counts={"things": 2}, error=error, now=LATER)


def claimed(job: str = "a", slot: datetime = NOW, *, epoch: int = 1) -> int:
    run_id = claim(job, slot, epoch=epoch, now=slot)
    assert run_id is not None
    return run_id


def test_only_one_holds_the_lease_until_its_time_is_over(app: Flask) -> None:
    assert take("one") == 1
    assert take("two", LATER) is None
    assert take("two", AFTER_LIFE) == 2
    assert take("one", AFTER_LIFE) is None


def test_renewing_keeps_the_epoch_and_lengthens_the_lease(app: Flask) -> None:
    assert take("one") == 1
    assert take("one", LATER) == 1
    assert take("two", AFTER_LIFE) is None
    assert take("two", LATER + LIFE) == 2


def test_a_holder_that_slept_past_its_lease_goes_on_where_nobody_took_over(app: Flask) -> None:
    take("one")
    assert take("one", AFTER_LIFE + LIFE) == 1


def test_a_lease_of_a_clock_that_was_hours_ahead_is_free_and_one_of_a_server_some_minutes_ahead_is_not(
    app: Flask,
) -> None:
    assert take("one", NOW + timedelta(minutes=5)) == 1
    assert take("two") is None
    assert take("one", NOW + timedelta(hours=2)) == 1
    assert take("two") == 2


def test_runs_of_a_time_that_has_not_come_are_removed_but_those_that_are_at_work(app: Flask) -> None:
    take("one")
    for minutes in (-1, 0, 1, 2):
        run_id = claimed(slot=NOW + timedelta(minutes=minutes))
        if minutes < 2:
            finish(run_id)
    with transaction():
        assert job_runs.forget_to_come(now=NOW) == 1
    with reading():
        assert [(run.slot - NOW) // timedelta(minutes=1) for run in job_runs.runs()] == [2, 0, -1]


def test_a_released_lease_is_free_at_once_under_a_new_epoch(app: Flask) -> None:
    take("one")
    with transaction():
        assert job_runs.release_lease("one", now=LATER)
    assert take("two", LATER) == 2
    with transaction():
        assert not job_runs.release_lease("one", now=LATER)
    assert take("three", LATER) is None


def test_taking_the_lease_is_one_statement(app: Flask, statements: list[str]) -> None:
    take("one")
    statements.clear()
    take("two", AFTER_LIFE)
    assert len(statements) == 1


def test_a_slot_is_claimed_once(app: Flask) -> None:
    take("one")
    assert claim() is not None
    assert claim() is None
    assert claim("b") is not None
    assert claim(slot=LATER) is not None


def test_without_the_present_epoch_nothing_is_claimed(app: Flask) -> None:
    with pytest.raises(StaleEpochError):
        claim(epoch=1)  # nobody ever took the lease
    take("one")
    take("two", AFTER_LIFE)
    with pytest.raises(StaleEpochError) as refused:
        claim(epoch=1)
    assert refused.value.data == {"epoch": 1}
    assert job_runs.runs() == []


def test_how_a_run_ended_is_noted_once(app: Flask) -> None:
    take("one")
    run_id = claimed()
    finish(run_id)
    (run,) = job_runs.runs()
    assert (run.outcome, run.counts, run.error, run.started_at, run.ended_at) == (
        JobOutcome.DONE, {"things": 2}, None, NOW, LATER,
    )  # fmt: skip
    with pytest.raises(StaleEpochError):
        finish(run_id, outcome=JobOutcome.FAILED)
    assert job_runs.runs()[0].outcome is JobOutcome.DONE


def test_a_long_name_of_an_error_is_cut_to_what_is_kept(app: Flask) -> None:
    take("one")
    finish(claimed(), outcome=JobOutcome.FAILED, error="E" * 300)
    assert job_runs.runs()[0].error == "E" * 200


def test_work_under_a_stale_epoch_is_refused_and_undone(app: Flask) -> None:
    take("one")
    run_id = claimed()
    take("two", AFTER_LIFE)

    def work() -> None:
        with transaction():
            audit.record(ONE, "written-too-late", subject="s", now=AFTER_LIFE)
            job_runs.finish(run_id, epoch=1, outcome=JobOutcome.DONE, counts={}, now=AFTER_LIFE)

    with pytest.raises(StaleEpochError):
        work()
    assert factories.audited(action="written-too-late") == []
    assert job_runs.runs()[0].outcome is JobOutcome.RUNNING


def test_what_an_older_epoch_left_running_is_lost_and_the_rest_is_not(app: Flask) -> None:
    take("one")
    left, done = claimed("left"), claimed("done")
    finish(done)
    by_hand = claimed("by-hand", epoch=BY_HAND)
    take("two", AFTER_LIFE)
    mine = claimed("mine", epoch=2)
    with transaction():
        assert job_runs.mark_lost(now=AFTER_LIFE) == 1
        assert job_runs.mark_lost(now=AFTER_LIFE) == 0
    outcomes = {run.id: run.outcome for run in job_runs.runs()}
    assert outcomes == {
        left: JobOutcome.LOST, done: JobOutcome.DONE, by_hand: JobOutcome.RUNNING, mine: JobOutcome.RUNNING,
    }  # fmt: skip
    with pytest.raises(StaleEpochError):
        finish(left)


def test_a_run_by_hand_needs_no_lease_and_is_given_up_after_a_day(app: Flask) -> None:
    finish(claimed("a", epoch=BY_HAND), epoch=BY_HAND)
    claimed("b", epoch=BY_HAND)
    with transaction():
        assert job_runs.mark_lost(now=NOW + timedelta(hours=23)) == 0
        assert job_runs.mark_lost(now=NOW + timedelta(hours=24)) == 1


def test_the_history_is_newest_first_and_by_job(app: Flask) -> None:
    take("one")
    first, second = claimed("a"), claimed("a", LATER)
    third = claimed("b", LATER)
    assert [run.id for run in job_runs.runs()] == [third, second, first]
    assert [run.id for run in job_runs.runs("a", limit=1)] == [second]
    assert {name: run.id for name, run in job_runs.latest_by_job(["a", "b", "none"]).items()} == {
        "a": second,
        "b": third,
    }


def test_the_last_time_a_job_went_well_is_known(app: Flask) -> None:
    take("one")
    assert job_runs.last_done("a") is None
    finish(claimed("a"))
    finish(claimed("a", LATER), outcome=JobOutcome.FAILED)
    assert job_runs.last_done("a") == NOW


def test_old_runs_are_removed_a_bounded_number_at_once(app: Flask) -> None:
    take("one")
    for minute in range(3):
        finish(claimed("a", NOW + timedelta(minutes=minute)))
    running = claimed("b")
    kept = claimed("a", NOW + timedelta(days=10))
    when = NOW + timedelta(days=31)
    with transaction():
        counts = [job_runs.forget(older_than=timedelta(days=30), now=when, at_most=2) for _ in range(3)]
    assert counts == [2, 1, 0]
    assert {run.id for run in job_runs.runs()} == {running, kept}


# Real races: separate connections on a database of their own.


@pytest.fixture
def servers(fresh_url: str, tmp_path: Path) -> Iterator[list[Flask]]:
    """Return four applications on one database, as four server processes would have them."""
    environ = {"FLEET_DATABASE_URL": fresh_url, "FLEET_DATA_DIR": str(tmp_path)}
    apps = [create_app(environ=environ) for _ in range(4)]
    yield apps
    for app in apps:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def race(apps: list[Flask], act: Callable[[int], T]) -> list[T]:
    """Have every application act at the same moment, each in its own thread and context."""
    gate = threading.Barrier(len(apps))

    def one(number: int) -> T:
        with apps[number].app_context():
            db.session.connection()  # connected before the start
            db.session.rollback()
            gate.wait(30)
            return act(number)

    with ThreadPoolExecutor(len(apps)) as pool:
        return list(pool.map(one, range(len(apps))))


def test_four_servers_racing_for_the_lease_give_it_to_one_each_time(servers: list[Flask]) -> None:
    holder: int | None = None
    epoch = 0
    for round_number in range(10):
        now = NOW + round_number * LIFE  # the last one's time is over

        def act(number: int, now: datetime = now) -> int | None:
            return take(f"server-{number}", now)

        found = race(servers, act)
        (winner,) = [number for number, taken in enumerate(found) if taken is not None]
        epoch += winner != holder  # who wins again renews
        assert found[winner] == epoch
        holder = winner


def test_four_servers_racing_for_slots_run_each_once(servers: list[Flask]) -> None:
    with servers[0].app_context():
        take("all of them")  # even if all believed they had the lease
    slots = [NOW + timedelta(minutes=number) for number in range(25)]

    def act(_number: int) -> list[datetime]:
        return [slot for slot in slots if claim(slot=slot) is not None]

    won = race(servers, act)
    assert sorted(slot for slots_won in won for slot in slots_won) == slots
    with servers[0].app_context(), reading():
        assert len(job_runs.runs(limit=100)) == len(slots)


def test_a_takeover_waits_for_a_holder_that_is_about_to_commit(servers: list[Flask], database_kind: str) -> None:
    """What was checked under an epoch is committed under it: nobody takes over between the two."""
    with servers[0].app_context():
        take("one")
        run_id = claimed()
    order: list[str] = []

    def takeover() -> None:
        with servers[1].app_context():
            assert take("two", AFTER_LIFE) == 2
        order.append("taken over")

    other = threading.Thread(target=takeover)
    with servers[0].app_context():
        with transaction():
            job_runs.finish(run_id, epoch=1, outcome=JobOutcome.DONE, counts={}, now=NOW)
            other.start()
            other.join(0.3)
            assert other.is_alive()
            order.append("committing")
        other.join(30)
        assert order == ["committing", "taken over"]
        assert job_runs.runs()[0].outcome is JobOutcome.DONE
        db.session.rollback()


def test_a_suspended_transaction_is_ended_by_the_database(servers: list[Flask], database_kind: str) -> None:
    if database_kind == "sqlite":
        with servers[0].app_context(), transaction():
            job_runs.limit_idle(timedelta(milliseconds=1))  # says nothing to SQLite, which has one process
        return
    with servers[0].app_context():
        take("one")

    def sleep() -> None:
        with servers[0].app_context(), transaction():
            job_runs.limit_idle(timedelta(milliseconds=200))
            job_runs.hold_epoch(1)
            audit.record(ONE, "written-asleep", subject="s", now=NOW)
            db.session.flush()
            with servers[1].app_context():  # waits for the lease's row, which the sleeper has
                assert take("two", AFTER_LIFE) == 2
            db.session.flush()
            db.session.execute(db.select(job_runs.JobLease))

    with pytest.raises(DBAPIError):
        sleep()
    with servers[0].app_context(), reading():
        assert factories.audited() == []
