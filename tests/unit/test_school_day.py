"""The school day's made-up world, its ledger, and the model of servers: pure, and right by what is known of them."""

import itertools
import json
import random
from dataclasses import replace
from typing import Any

import pytest

from school_day import costs, demand, model, queueing, wire, world
from school_day.clock import DayClock, shown, told
from school_day.costs import Costs
from school_day.demand import Ask, Pace, What
from school_day.figures import Spread, Tally
from school_day.ledger import Ledger, judge
from school_day.model import Asked, Lived
from school_day.queueing import Setting
from school_day.world import HOUR, Place

DAY = world.build(600, seed=3)
SMALL = world.build(200, seed=3)
FREE = Costs(commit_ms=8.0, report_server_us=1000.0, report_database_us=1000.0)


# -- the world -----------------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_day_and_another_seed_another() -> None:
    assert world.build(600, seed=3) == DAY
    assert world.build(600, seed=4) != DAY


def test_a_tablet_is_in_one_place_at_a_time_within_a_day() -> None:
    for tablet in DAY.tablets:
        for before, after in itertools.pairwise(tablet.spans):
            assert before.ends < after.begins
        assert all(0 < span.begins < span.ends < 24 * HOUR for span in tablet.spans)


def test_most_tablets_are_opened_at_school_in_the_minutes_around_the_first_bell() -> None:
    openings = [span.begins for tablet in DAY.tablets for span in tablet.spans if span.place is Place.SCHOOL]
    rush = [at for at in openings if 7.9 * HOUR <= at < 8.7 * HOUR]
    assert len(rush) > 0.5 * len(DAY.tablets)
    assert len(DAY.bells) == 12  # 23 classes, two to a school
    assert min(openings) > min(DAY.bells) - HOUR / 4


def test_use_empties_the_battery_and_home_charges_it() -> None:
    tablet = max(DAY.tablets, key=lambda one: sum(span.ends - span.begins for span in one.spans))
    first = tablet.spans[0]
    assert tablet.battery_at(first.begins) > tablet.battery_at(first.ends)
    assert all(1 <= one.battery_at(hour * HOUR) <= 100 for one in DAY.tablets for hour in range(24))


def test_lessons_lie_within_school_and_are_taught_one_after_the_other() -> None:
    assert len(DAY.lessons) > 20
    of_class: dict[int, list[world.Lesson]] = {}
    for lesson in DAY.lessons:
        of_class.setdefault(lesson.class_number, []).append(lesson)
        assert DAY.is_open(lesson.class_number, lesson.starts_at)
        assert lesson.starts_at < lesson.ends_at
    for lessons in of_class.values():
        assert all(before.ends_at < after.starts_at for before, after in itertools.pairwise(lessons))


def test_an_outage_hits_some_classes_for_a_while() -> None:
    hit = [one for one in DAY.tablets if DAY.outage.hits(one, DAY.outage.begins)]
    assert 28 <= len(hit) <= 4 * 28
    assert not any(DAY.outage.hits(one, DAY.outage.ends) for one in DAY.tablets)


# -- clock, wire, figures ------------------------------------------------------------------------------------------


def test_the_days_clock_runs_faster_than_the_machines() -> None:
    clock = DayClock(begins=7 * HOUR, speed=60, started_at=1000.0)
    assert clock.machine(8 * HOUR) == 1060.0
    assert clock.seconds(900) == 15.0
    assert shown(told("08:15")) == "08:15"
    with pytest.raises(ValueError, match="25:00"):
        told("25:00")


def test_an_answer_is_taken_when_all_of_it_is_there() -> None:
    whole = b'HTTP/1.1 200 OK\r\ncontent-length: 4\r\netag: "3-1"\r\ncache-control: private, max-age=7\r\n\r\nbody'
    assert wire.taken(whole[:30]) is None
    assert wire.taken(whole[:-1]) is None
    answer = wire.taken(whole)
    assert answer is not None
    assert (answer.status, answer.body, answer.header(b"etag"), answer.max_age_s) == (200, b"body", '"3-1"', 7)
    busy = wire.taken(b"HTTP/1.1 503 Busy\r\nretry-after: 12\r\n\r\n")
    assert busy is not None
    assert busy.retry_after_s == 12.0


def test_a_spread_is_right_within_a_twentieth_and_adds_up() -> None:
    dice = random.Random(1)  # noqa: S311 (figures to add up)
    values = sorted(dice.lognormvariate(-4, 1) for _ in range(4000))
    parts = [Spread(), Spread()]
    for number, value in enumerate(values):
        parts[number % 2].add(value)
    parts[0].take_in(parts[1])
    assert len(parts[0]) == 4000
    for percent in (50, 95, 99):
        found = parts[0].at(percent)
        assert found is not None
        assert found == pytest.approx(values[percent * 40 - 1], rel=0.05)
    assert parts[0].at(100) == values[-1]
    assert Spread().at(50) is None


def test_tallies_of_drivers_add_up() -> None:
    one, other = Tally(), Tally()
    one.took("report", 0.1)
    other.took("report", 0.2)
    other.took("held-poll", 40.0)
    other.arrived("start", 1.0)
    one.take_in(other)
    assert one.answered == {"report": 2, "held-poll": 1}
    assert len(one.all_latencies()) == 2  # what is held on purpose is not slow
    assert one.arrivals["start"].within(10) == 1.0


# -- the ledger ----------------------------------------------------------------------------------------------------


def ledger() -> Ledger:
    found = Ledger(acknowledged={"a", "b"}, unsure={"c", "d"}, sent=5)
    found.obeyed.update(["o1", "o2"])
    found.closed.add("o1")
    found.wishes.update([(1, "text"), (2, "text")])
    return found


def test_what_was_acknowledged_is_stored_and_what_was_not_may_be() -> None:
    verdict = judge(ledger(), [("a", 1), ("b", 1), ("c", 1)], {"o1": "done", "o2": "sent", "o3": "queued"})
    assert verdict.is_clean
    assert (verdict.reports_unsure_stored, verdict.reports_repeated, verdict.orders_done) == (1, 1, 1)


@pytest.mark.parametrize(
    ("stored", "orders", "wrong"),
    [
        ([("a", 1)], {"o1": "done"}, "reports_lost"),
        ([("a", 2), ("b", 1)], {"o1": "done"}, "reports_doubled"),
        ([("a", 1), ("b", 1), ("x", 1)], {"o1": "done"}, "reports_unknown"),
        ([("a", 1), ("b", 1)], {"o1": "sent"}, "orders_lost"),
        ([("a", 1), ("b", 1)], {"o1": "done", "o9": "done"}, "orders_lost"),
    ],
)
def test_whatever_is_wrong_is_counted(stored: list[tuple[str, int]], orders: dict[str, str], wrong: str) -> None:
    verdict = judge(ledger(), stored, orders)
    assert not verdict.is_clean
    assert [
        name
        for name in verdict.__slots__
        if name.split("_")[1] in {"lost", "doubled", "unknown"} and getattr(verdict, name)
    ] == [wrong]


def test_one_wish_that_came_as_two_orders_is_doubled() -> None:
    found = ledger()
    found.wishes[1, "text"] += 1
    assert judge(found, [("a", 1), ("b", 1)], {"o1": "done"}).orders_doubled == 1


# -- the model -----------------------------------------------------------------------------------------------------


def test_at_more_speed_a_day_has_as_many_reports_and_fewer_held_polls() -> None:
    counts = {}
    for speed in (1.0, 60.0):
        each = demand.of_all(SMALL, Pace(7 * HOUR, 17 * HOUR, speed))
        load = model.load_of(each, 1.0)
        counts[speed] = {what: load.count(what) for what in What}
        assert all(0 <= ask.at <= 10 * HOUR / speed + 1 for one in each for ask in one)
    assert counts[60.0][What.REPORT] == pytest.approx(counts[1.0][What.REPORT], rel=0.1)
    assert counts[60.0][What.CHANGE] == counts[1.0][What.CHANGE] > 50
    assert counts[60.0][What.HELD] < counts[1.0][What.HELD] / 5


def test_a_lone_report_takes_its_processor_times_and_a_commit() -> None:
    served = queueing.serve([Ask(1.0, What.REPORT)], Setting(FREE))
    assert served.latency.longest == pytest.approx(0.001 + 0.008 + 0.001)
    assert served.busy_s == pytest.approx(0.001)


def test_reports_that_come_during_a_commit_share_the_next_one() -> None:
    served = queueing.serve([Ask(0.0, What.REPORT), *(Ask(0.002, What.REPORT) for _ in range(20))], Setting(FREE))
    alone = 21 * (0.001 + 0.008 + 0.001)
    assert len(served.latency) == 21
    assert served.last_at < alone / 2


def test_everybody_is_answered_in_the_end_and_a_bound_turns_away_instead_of_letting_wait_in_vain() -> None:
    slow = Costs(report_database_us=40_000.0)
    found = model.storm(3_000, Setting(slow, limit=100))
    bounded, unbounded = found["bounded"], found["unbounded"]
    assert bounded["shed"] > 0 == unbounded["shed"]
    assert bounded["deepest_queue"] <= 100 < unbounded["deepest_queue"]
    assert bounded["given_up"] == 0 < unbounded["given_up"]
    assert (bounded["unanswered_after_an_hour"], bounded["cleared_after_s"] > 0) == (0, True)
    assert unbounded["unanswered_after_an_hour"] > 0  # whoever is answered has gone already, and asks again


def test_twice_the_tablets_take_twice_the_work_and_a_faster_core_half_of_it() -> None:
    def found(tablets: int, speed: float) -> dict[str, Any]:
        asked = Asked(tablets, 7 * HOUR, 9 * HOUR, 2_000.0, server_faster=speed, database_faster=speed, sample=100)
        return model.work_out(asked, Costs())

    small, large, fast = found(2_000, 0.1), found(4_000, 0.1), found(4_000, 0.2)
    hours = [one["cpu_hours_a_day"]["server"] for one in (small, large, fast)]
    assert hours[1] == pytest.approx(2 * hours[0], rel=0.05)
    assert hours[2] == pytest.approx(hours[1] / 2, rel=0.05)
    assert large["rush"]["keeps_the_bar"]
    assert small["rush"]["server_processes"] < large["rush"]["server_processes"]
    assert fast["rush"]["server_processes"] < large["rush"]["server_processes"]


def test_a_bar_that_no_number_of_processes_keeps_is_said_not_to_be_kept() -> None:
    asked = Asked(200, begins=8 * HOUR, ends=8.5 * HOUR, bar_ms=50.0)
    assert not model.work_out(asked, Costs(commit_ms=80.0))["rush"]["keeps_the_bar"]
    assert model.work_out(asked, Costs(commit_ms=5.0))["rush"]["keeps_the_bar"]


def test_a_day_that_was_lived_is_held_against_the_model() -> None:
    names = ("polls", "reports", "busiest_per_s", "server_cpu_s", "database_cpu_s", "p50_ms", "p99_ms")
    lived = Lived(600, 60, 7 * HOUR, 9 * HOUR, 3, 2, dict.fromkeys(names, 0.0))
    modelled = {name: float(one["model"] or 0) for name, one in model.calibrate(lived, Costs()).items()}
    half = Lived(600, 60, 7 * HOUR, 9 * HOUR, 3, 2, {name: value / 2 for name, value in modelled.items()})
    assert all(one["off_percent"] == pytest.approx(100, abs=10) for one in model.calibrate(half, Costs()).values())
    away = replace(half, down=(0.0, 1e9))
    assert {one["model"] for one in model.calibrate(away, Costs()).values()} == {0.0}


def test_costs_are_what_benches_told() -> None:
    lines = [
        {"bench": "poll", "server_cpu_us": 70.0, "database_cpu_us": 20.0},
        {"bench": "checkin", "server_cpu_us": 200.0, "database_cpu_us": 60.0, "p50_ms": 5.0},
        {
            "bench": "lessons",
            "server_cpu_s": 11.2,
            "database_cpu_s": 5.6,
            "tablets": 5600,
            "mib_per_1000_waiting": 20.0,
        },
        {"bench": "school-day", "costs_seen": {"overhead_server": 1.5}},
    ]
    found = costs.read(["\n".join(map(json.dumps, lines))])
    assert (found.poll_server_us, found.report_database_us, found.commit_ms) == (70.0, 60.0, 5.0)
    assert (found.change_server_us, found.change_database_us, found.overhead_server) == (2000.0, 1000.0, 1.5)
    with pytest.raises(ValueError, match="pages"):
        costs.read(['{"bench": "pages"}'])
