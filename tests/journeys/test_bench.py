"""``scripts/bench`` runs and prints what it promises; how fast is never asserted."""

import json
import subprocess
from typing import Any

import pytest

from tests.extent import extent
from tests.serving import ROOT

pytestmark = pytest.mark.serves
each_database = pytest.mark.parametrize("database", extent(["postgresql"], ["sqlite", "postgresql"]))

KEYS = {"cpu_ratio_to_hello", "p50_ms", "p99_ms", "server_cpu_us", "database_cpu_us", "hello_cpu_us", "machine"}
LESSONS = {
    *(f"arrival_p{percent}_s_{tablets}" for percent in (50, 95, 99) for tablets in (30, 5600)),
    *("mib_per_1000_waiting", "refused", "refused_without_retry_after", "starts_p95_s", "server_cpu_s"),
    *("database_cpu_s", "generator_cpu_s", "tablets", "classes", "machine"),
}


def run(name: str, database: str) -> dict[str, Any]:
    command = [str(ROOT / "scripts" / "bench"), name, "--quick", "--json", "--database", database]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "unit", "database"),
    [
        ("checkin", "checkin", "sqlite"),
        ("checkin", "checkin", "postgresql"),
        ("poll", "poll", "postgresql"),
        ("apple-poll", "poll", "postgresql"),
        *extent([], [("poll", "poll", "sqlite"), ("apple-poll", "poll", "sqlite")]),
    ],
)
def test_each_bench_runs_and_prints_its_json(name: str, unit: str, database: str) -> None:
    told = run(name, database)
    assert told.keys() >= {*KEYS, f"{unit}s_per_s", f"statements_per_{unit}"}
    if database == "postgresql":  # many requests share a statement: that it is so is the design, not luck
        assert told[f"statements_per_{unit}"] < 1


@each_database
def test_android_tablets_that_wait_and_those_that_fetch_are_measured(database: str) -> None:
    told = run("headwind", database)  # it ends with an error where an answer is another than it should be
    assert told.keys() >= {"p50_ms", "p99_ms", "mib_per_1000_waiting", "server_cpu_us_per_config", "machine"}
    assert (told["waiting"], told["configs"]) == (60, 120)


@each_database
def test_every_tablet_of_classes_that_start_together_gets_the_lesson_and_reports_it(database: str) -> None:
    told = run("lessons", database)  # it ends with an error where a tablet gets nothing, or not what it should
    assert told.keys() >= LESSONS
    assert (told["tablets"], told["classes"], told["refused_without_retry_after"]) == (280, 10, 0)


@each_database
def test_every_page_there_is_keeps_to_its_statements_and_bytes(database: str) -> None:
    told = run("pages", database)  # it ends with an error where a page stands in no table, or does not answer
    assert told["pages"] >= 60
    assert told["statements_most"] <= 15
    assert told["bytes_most"] <= 150_000


@each_database
def test_a_changed_rule_is_followed_at_every_tablet_in_few_statements(database: str) -> None:
    told = run("compliance", database)
    assert told["opened"] == told["closed"] == told["trial_opens"] == told["tablets"] // 2
    assert told["statements"] <= 80
    assert "seconds_7000" in told


@each_database
def test_a_look_at_silence_takes_as_many_statements_for_few_tablets_as_for_many(database: str) -> None:
    told = run("silence", database)  # it ends with an error where a look finds another thing than was made
    assert told["outage_members"] == told["tablets"] == 840
    for day in ("usual", "outage", "nothing"):
        assert told[f"{day}_statements"] == told[f"{day}_statements_tenth"] <= 32
        assert {f"{day}_seconds", f"{day}_cpu_s", f"{day}_mib"} <= told.keys()


def test_a_profile_for_all_takes_as_many_statements_for_few_tablets_as_for_many() -> None:
    told = run("assign", "postgresql")
    assert told["tablets"] == 280
    assert told["statements"] == told["statements_tenth"] <= 30
    assert {"seconds_7000", "withdraw_seconds_7000", "withdraw_statements"} <= told.keys()


def test_a_check_in_is_measured_with_few_and_with_many_tablets_there() -> None:
    told = run("scale", "postgresql")  # it ends with an error where a report is not taken
    assert told["tablets"] == 2_000
    assert max(told[f"statements_{size}"] for size in (200, 400, 2_000)) < 1
    assert told["cpu_ratio_100k_to_1k"] > 0


def test_an_open_load_is_answered_or_told_when_to_come_again() -> None:
    told = run("overload", "sqlite")
    assert told["done_per_s"] > 0
    assert (told["timed_out"], told["failed"], told["shed_without_retry_after"]) == (0, {}, 0)
    assert {"offered_per_s", "best_per_s", "done_share", "p50_ms", "p99_ms", "shed"} <= told.keys()


def test_without_a_name_it_lists_the_benches() -> None:
    done = subprocess.run([ROOT / "scripts" / "bench"], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "apple-poll",
        "assign",
        "checkin",
        "compliance",
        "headwind",
        "lessons",
        "overload",
        "pages",
        "poll",
        "scale",
        "silence",
    ]
