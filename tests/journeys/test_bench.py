"""``scripts/bench`` runs and prints what it promises; how fast is never asserted."""

import json
import subprocess

import pytest

from tests.serving import ROOT

pytestmark = pytest.mark.serves

KEYS = {"cpu_ratio_to_hello", "p50_ms", "p99_ms", "server_cpu_us", "database_cpu_us", "hello_cpu_us", "machine"}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize(("name", "unit"), [("checkin", "checkin"), ("poll", "poll")])
def test_each_bench_runs_and_prints_its_json(name: str, unit: str, database: str) -> None:
    command = [str(ROOT / "scripts" / "bench"), name, "--quick", "--json", "--database", database]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.keys() >= {*KEYS, f"{unit}s_per_s", f"statements_per_{unit}"}
    if database == "postgresql":  # many requests share a statement: that it is so is the design, not luck
        assert told[f"statements_per_{unit}"] < 1


def test_without_a_name_it_lists_the_benches() -> None:
    done = subprocess.run([ROOT / "scripts" / "bench"], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["checkin", "poll"]
