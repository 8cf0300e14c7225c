"""Taking reports in: stored once, whoever sends them however often, and nobody's fault is his neighbour's."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select

from fleet.access import Principal
from fleet.app import create_app
from fleet.assignments.assigning import Place
from fleet.assignments.models import ProfileVersion
from fleet.checkins import polls, queries, receive
from fleet.checkins import statements as statements_of
from fleet.checkins.models import CheckIn
from fleet.checkins.receive import (
    Answer,
    KeyRevokedError,
    ReplayError,
    Report,
    ReportConflictError,
    SequenceTooFarError,
)
from fleet.db import db, transaction
from fleet.devices import life
from fleet.devices.models import Device, DeviceState
from fleet.errors import FleetError
from tests import factories as make
from tests.conftest import NOW, _environ
from tests.followers import follows

BY = Principal.command_line()
HOUR = timedelta(hours=1)
FACTS = {"os_version": "18.4", "storage_total_bytes": 1000, "apps": [], "attributes": {}}


def report(device_id: int, sequence: int = 1, *, number: int | None = None, **changes: Any) -> Report:
    """Return a report; ``number`` names it, the sequence where not given."""
    told = number if number is not None else sequence
    whole: dict[str, Any] = {
        "device_id": device_id, "key": f"key-{device_id}", "sequence": sequence, "report_id": str(UUID(int=told)),
        "body_digest": f"{told:064x}", "applied": None, "facts": FACTS, "battery_percent": 80, "storage_free_bytes": 500,
    }  # fmt: skip
    return Report(**(whole | changes))


def take(*batch: Report) -> list[Answer | FleetError]:
    with transaction():
        return receive.receive(batch, now=NOW)


def kinds(outcomes: Sequence[Answer | FleetError]) -> list[type]:
    return [type(outcome) for outcome in outcomes]


def state(device_id: int) -> DeviceState:
    db.session.expire_all()
    return db.session.get_one(DeviceState, device_id)


def lines(device_id: int) -> Sequence[CheckIn]:
    return queries.latest(
        db.session.get_one(Device, device_id), limit=20, since=NOW - timedelta(days=1), before=NOW + timedelta(days=1)
    )


def log(device_id: int) -> list[int]:
    return [one.sequence for one in lines(device_id)]


@pytest.fixture
def tablets(app: Flask) -> list[int]:
    with transaction():
        devices = make.tablets(make.school(), 3)
        for device in devices:
            make.known_key(device)
        return [device.id for device in devices]


def test_a_report_becomes_the_tablets_state_and_a_line_of_the_log(tablets: list[int]) -> None:
    failures = [{"key": "camera.allowed", "reason": "rejected"}]
    (answer,) = take(report(tablets[0], 7, applied="a" * 64, failures=failures, clock_offset_s=-3))
    now = state(tablets[0])
    assert answer == Answer(tablets[0], now.config_version)
    assert (now.last_sequence, now.last_report_id, now.last_seen_at) == (7, str(UUID(int=7)), NOW)
    assert (now.applied_digest, now.applied_at, now.polls_pending) == ("a" * 64, NOW, 1)
    assert (now.battery_percent, now.storage_free_bytes, now.clock_offset_s) == (80, 500, -3)
    assert (now.facts, now.failures) == (FACTS, failures)
    (line,) = lines(tablets[0])
    assert (line.sequence, line.received_at, line.applied_digest) == (7, NOW, "a" * 64)
    assert (line.battery_percent, line.storage_free_bytes, line.clock_offset_s) == (80, 500, -3)


def test_the_largest_numbers_a_tablet_may_send_are_stored(tablets: list[int]) -> None:
    sequence, huge = statements_of.MAX_STEP, 2**53
    facts = FACTS | {"storage_total_bytes": huge}
    outcomes = take(
        report(tablets[0], sequence, number=1, storage_free_bytes=huge, clock_offset_s=2**31 - 1, facts=facts),
        report(tablets[1], 1, storage_free_bytes=None, battery_percent=None, clock_offset_s=-(2**31), facts={}),
    )
    assert kinds(outcomes) == [Answer, Answer]
    assert log(tablets[0]) == [sequence]
    assert state(tablets[1]).clock_offset_s == -(2**31)


def test_the_same_report_again_changes_nothing_but_uses_up_its_number(tablets: list[int]) -> None:
    first = take(report(tablets[0], 1))
    before = state(tablets[0])
    kept = {name: getattr(before, name) for name in ("last_report_id", "polls_pending", "review_key", "last_seen_at")}
    with transaction():
        again = receive.receive([report(tablets[0], 5, number=1)], now=NOW + HOUR)
    assert again == first
    after = state(tablets[0])
    assert {name: getattr(after, name) for name in kept} == kept
    assert after.last_sequence == 5
    assert log(tablets[0]) == [1]
    assert kinds(take(report(tablets[0], 5, number=1))) == [ReplayError]


def test_a_used_number_is_a_replay_whatever_it_carries(tablets: list[int]) -> None:
    take(report(tablets[0], 5))
    for again in (report(tablets[0], 5), report(tablets[0], 4), report(tablets[0], 5, number=9)):
        (refusal,) = take(again)
        assert isinstance(refusal, ReplayError)
        assert refusal.data == {"last_sequence": 5}
    assert log(tablets[0]) == [5]


def test_a_number_too_far_above_the_last_is_refused_and_the_next_one_below_is_taken(tablets: list[int]) -> None:
    take(report(tablets[0], 5))
    far = 5 + statements_of.MAX_STEP + 1
    for again in (report(tablets[0], far), report(tablets[0], 2**63 - 1), report(tablets[0], far, number=5)):
        (refusal,) = take(again)
        assert isinstance(refusal, SequenceTooFarError)
    with pytest.raises(SequenceTooFarError), transaction():
        receive.use_sequence(tablets[0], f"key-{tablets[0]}", far)
    assert (log(tablets[0]), state(tablets[0]).last_sequence) == ([5], 5)
    assert kinds(take(report(tablets[0], far - 1))) == [Answer]
    with transaction():
        receive.use_sequence(tablets[0], f"key-{tablets[0]}", far + 5)
    assert state(tablets[0]).last_sequence == far + 5


def test_another_content_under_a_used_id_is_a_conflict(tablets: list[int]) -> None:
    take(report(tablets[0], 1))
    assert kinds(take(report(tablets[0], 2, number=1, body_digest="f" * 64))) == [ReportConflictError]
    assert (log(tablets[0]), state(tablets[0]).last_sequence) == ([1], 1)


def test_another_tablets_key_a_revoked_one_and_an_unknown_tablet_are_refused_alike(tablets: list[int]) -> None:
    with transaction():
        life.revoke_key(db.session.get_one(Device, tablets[2]), by=BY, now=NOW)
    outcomes = take(
        report(tablets[0], key=f"key-{tablets[1]}"), report(tablets[1]), report(tablets[2]), report(999_999)
    )
    assert kinds(outcomes) == [KeyRevokedError, Answer, KeyRevokedError, KeyRevokedError]
    assert [log(tablet) for tablet in tablets] == [[], [1], []]


def test_several_reports_of_one_tablet_in_a_batch_are_taken_in_their_order(tablets: list[int]) -> None:
    one, other, _ = tablets
    outcomes = take(
        report(one, 1), report(other, 1), report(one, 2), report(one, 2), report(one, 3, number=2), report(other, 0)
    )
    assert kinds(outcomes) == [Answer, Answer, Answer, ReplayError, Answer, ReplayError]
    assert (log(one), state(one).last_sequence, log(other)) == ([2, 1], 3, [1])


def test_u0000_in_one_report_fails_neither_it_nor_its_neighbours(tablets: list[int]) -> None:
    nasty = FACTS | {"attributes": {"a\0b": "\0", "c": r"\u0000", "d": "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")}}  # fmt: skip
    assert kinds(take(report(tablets[0]), report(tablets[1], facts=nasty), report(tablets[2]))) == [Answer] * 3
    stored = state(tablets[1]).facts or {}
    assert stored["attributes"]["a\ufffdb"] == "\ufffd"
    assert stored["attributes"]["c"] == r"\u0000"
    assert stored["attributes"]["d"] == "\U0001f600"


@pytest.mark.parametrize("odd", ["\n", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\u2066"])
def test_what_turns_or_breaks_a_line_is_not_kept_of_a_tablets_words(tablets: list[int], odd: str) -> None:
    told = {"model": f"Brett{odd}11", "apps": [{"id": f"no.{odd}app", "version": "1"}], "attributes": {f"a{odd}": odd}}
    failures = [{"key": "camera.allowed", "reason": f"nei{odd}"}]
    assert kinds(take(report(tablets[0], facts=FACTS | told, failures=failures))) == [Answer]
    stored = state(tablets[0]).facts or {}
    assert (stored["model"], stored["apps"][0]["id"]) == ("Brett\ufffd11", "no.\ufffdapp")
    assert stored["attributes"] == {"a\ufffd": "\ufffd"}
    assert state(tablets[0]).failures == [{"key": "camera.allowed", "reason": "nei\ufffd"}]


def test_polls_without_the_desired_profile_are_counted_until_it_is_there(app: Flask) -> None:
    with transaction():
        device = make.device(make.school())
        make.known_key(device)
        make.assign(make.published(), Place.device(device))
        device_id, desired = device.id, device.state.desired_digest
    counts = []
    for sequence, applied in enumerate([None, "0" * 64, "0" * 64, desired, desired], start=1):
        take(report(device_id, sequence, applied=applied))
        counts.append(state(device_id).polls_pending)
    assert counts == [1, 2, 3, 0, 0]


def test_a_report_is_held_against_what_the_schedule_says_now_not_what_a_job_noted(
    app: Flask, statements: list[str]
) -> None:
    with transaction():
        device = make.device(make.school())
        make.known_key(device)
        make.assign(make.published(), Place.device(device))
        base = device.state.desired_digest
        lesson = make.published("time", **{"bluetooth.allowed": False})
        make.assign(lesson, Place.device(device), starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR)
        device_id = device.id
    assert state(device_id).next_switch_at == NOW + HOUR

    def told(sequence: int, now: datetime, applied: str | None) -> tuple[Any, ...]:
        with transaction():
            statements.clear()
            (answer,) = receive.receive([report(device_id, sequence, applied=applied)], now=now)
        assert isinstance(answer, Answer)
        seen = state(device_id)
        assert answer.next_switch_at == seen.next_switch_at
        return seen.desired_digest, seen.desired_at, seen.polls_pending, seen.next_switch_at

    assert told(1, NOW, base) == (base, NOW, 0, NOW + HOUR)
    ordinary = len([one for one in statements if "desired_at" in one])
    began = NOW + HOUR
    given, *rest = told(2, began, base)  # it has not switched yet
    assert given not in {base, None}
    assert rest == [began, 1, NOW + 2 * HOUR]
    assert len([one for one in statements if "desired_at" in one]) == ordinary + 1
    assert told(3, began + HOUR / 2, given) == (given, began, 0, NOW + 2 * HOUR)
    over = NOW + 2 * HOUR
    assert told(4, over, base) == (base, over, 0, None)  # it switched by its own clock, before anybody looked


def test_a_schedule_that_went_there_and_back_unseen_leaves_what_is_desired_as_it_was(app: Flask) -> None:
    with transaction():
        device = make.device(make.school())
        make.known_key(device)
        make.assign(make.published(), Place.device(device))
        lesson = make.published("time", **{"bluetooth.allowed": False})
        make.assign(lesson, Place.device(device), starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR)
        device_id, base = device.id, device.state.desired_digest
    take(report(device_id, 1))
    with transaction():
        receive.receive([report(device_id, 2)], now=NOW + 3 * HOUR)
    seen = state(device_id)
    assert (seen.desired_digest, seen.desired_at, seen.polls_pending, seen.next_switch_at) == (base, NOW, 2, None)


def test_only_rows_whose_schedule_moved_on_are_moved_and_their_findings_are_reviewed(
    app: Flask, reviewed: list[set[int]]
) -> None:
    with transaction():
        at = make.school()
        one, other = make.device(at), make.device(at)
        for device in (one, other):
            make.known_key(device)
        make.assign(make.published(), Place.school(at))
        lesson = make.published("time", **{"bluetooth.allowed": False})
        make.assign(lesson, Place.device(one), starts_at=NOW + HOUR)
        ids, base = [one.id, other.id], one.state.desired_digest
    take(*(report(device_id, 1, applied=base) for device_id in ids))
    del reviewed[:]
    with transaction():
        receive.receive([report(device_id, 2, applied=base) for device_id in ids], now=NOW + HOUR)
    assert [state(device_id).desired_digest == base for device_id in ids] == [False, True]
    assert reviewed == [{ids[0]}]


@pytest.fixture
def reviewed(app: Flask) -> Any:
    heard: list[set[int]] = []
    with follows("report", lambda ids, _now: heard.append(set(ids)), alone=False):
        yield heard


def test_only_what_findings_depend_on_leads_to_a_review(tablets: list[int], reviewed: list[set[int]]) -> None:
    one, other, _ = tablets
    take(report(one, 1, applied="a" * 64), report(other, 1))
    assert reviewed == [{one, other}]
    # Pending polls are told apart up to five; nothing else changes, and afterwards nothing is reviewed.
    for sequence in range(2, 9):
        take(report(one, sequence, applied="a" * 64, battery_percent=60 + sequence))
    assert len(reviewed) == 1 + 4
    del reviewed[:]
    changes: list[dict[str, Any]] = [
        {"facts": FACTS | {"os_version": "18.5"}},
        {"failures": [{"key": "camera.allowed", "reason": "x"}]},
        {"clock_offset_s": 121},
        {"storage_free_bytes": 20},
        {"applied": "b" * 64},
    ]
    for sequence, change in enumerate(changes, start=10):
        take(report(one, sequence, **({"applied": "a" * 64} | change)))
    assert reviewed == [{one}] * len(changes)
    assert state(one).failures is None  # the last report named none


@pytest.mark.parametrize("size", [200])
def test_a_batch_takes_as_many_statements_for_1_as_for_200(app: Flask, statements: list[str], size: int) -> None:
    with transaction():
        devices = make.tablets(make.school(), size)
        for device in devices:
            make.known_key(device)
        ids = [device.id for device in devices]

    def count(chosen: Sequence[int], sequence: int, **changes: Any) -> int:
        with transaction():
            statements.clear()
            assert kinds(receive.receive([report(one, sequence, **changes) for one in chosen], now=NOW)) == [
                Answer
            ] * len(chosen)
        return len(statements)

    fresh = (count(ids[:1], 1), count(ids, 2))
    unchanged_facts = (count(ids[:1], 11, applied=None), count(ids, 12))
    again = (count(ids[:1], 21, number=12), count(ids, 22, number=12))
    for few, many in (fresh, unchanged_facts, again):
        assert few == many
        assert many <= 12
    with transaction():
        statements.clear()
        polls.standings(ids)
    assert len(statements) == 1


def test_using_up_a_number_is_for_the_tablets_present_key_only(tablets: list[int]) -> None:
    with transaction():
        receive.use_sequence(tablets[0], f"key-{tablets[0]}", 4)
    for device_id, key, refusal in (
        (tablets[0], f"key-{tablets[0]}", ReplayError),
        (tablets[0], "other", KeyRevokedError),
        (999_999, "other", KeyRevokedError),
    ):
        with pytest.raises(refusal), transaction():
            receive.use_sequence(device_id, key, 4)
    assert state(tablets[0]).last_sequence == 4


def test_old_lines_of_the_log_are_forgotten_and_new_ones_kept(tablets: list[int]) -> None:
    for sequence, moment in ((1, NOW), (2, NOW + HOUR), (3, NOW + 2 * HOUR)):
        with transaction():
            receive.receive([report(one, sequence) for one in tablets], now=moment)
    with transaction():
        assert receive.forget(older_than=HOUR, now=NOW + 2 * HOUR) == 3
        assert receive.forget(older_than=HOUR, now=NOW + 3 * HOUR, at_most=2) == 2
        assert receive.forget(older_than=HOUR, now=NOW + 3 * HOUR) == 1
        assert receive.forget(older_than=HOUR, now=NOW + 3 * HOUR) == 0
    assert [log(one) for one in tablets] == [[3]] * 3


# -- several connections -------------------------------------------------------------------------------------------


@pytest.fixture
def served(fresh_url: str, tmp_path: Path) -> Any:
    # PostgreSQL shall follow the batch's order: a plan it may choose any day, and the one that shows deadlocks.
    nested = quote("-c enable_hashjoin=off -c enable_mergejoin=off -c enable_seqscan=off")
    url = f"{fresh_url}&options={nested}" if fresh_url.startswith("postgresql") else fresh_url
    app = create_app(environ=_environ(url, tmp_path))
    yield app
    with app.app_context():
        db.engine.dispose()


def enrolled(app: Flask, count: int) -> list[int]:
    with app.app_context(), transaction():
        devices = make.tablets(make.school(), count)
        for device in devices:
            make.known_key(device)
        make.assign(make.published(), Place.municipality())
        return [device.id for device in devices]


def test_one_request_replayed_a_hundred_times_at_once_is_stored_once(served: Flask) -> None:
    (device_id,) = enrolled(served, 1)
    begin = threading.Barrier(8)

    def send(number: int) -> list[type]:
        if number < 8:
            begin.wait(10)
        with served.app_context(), transaction():
            return kinds(receive.receive([report(device_id, 3)], now=NOW))

    with ThreadPoolExecutor(8) as pool:
        found = [kind for outcome in pool.map(send, range(100)) for kind in outcome]
    assert (found.count(Answer), found.count(ReplayError)) == (1, 99)
    with served.app_context():
        assert db.session.scalar(select(func.count()).select_from(CheckIn)) == 1


def test_check_ins_in_any_order_and_an_assignment_to_all_never_give_each_other_up(served: Flask) -> None:
    ids = enrolled(served, 300)
    with served.app_context(), transaction():
        versions = [make.published(f"p{n}", **{"apps.required": [f"no.app{n}"]}).id for n in range(2)]
    done = threading.Event()

    def assign() -> None:
        try:
            for turn in range(12):
                with served.app_context(), transaction():
                    version = db.session.get_one(ProfileVersion, versions[turn % 2])
                    make.assign(version, Place.municipality(), ends_at=NOW + HOUR * (turn + 1))
        finally:
            done.set()

    def check_in(order: int) -> None:
        sequence = 0
        while not done.is_set():
            sequence += 1
            with served.app_context(), transaction():
                receive.receive([report(one, sequence) for one in ids[::order]], now=NOW)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(check_in, 1), pool.submit(check_in, -1), pool.submit(assign)]
        for future in running:
            future.result(60)
