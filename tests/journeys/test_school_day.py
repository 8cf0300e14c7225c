"""``scripts/school-day`` lives through a small morning on both databases, with the server killed in it."""

import json
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.extent import extent
from tests.serving import ROOT

pytestmark = pytest.mark.serves


def run(*options: str) -> dict[str, Any]:
    command = [str(ROOT / "scripts" / "school-day"), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


@pytest.mark.parametrize("database", extent(["postgresql"], ["sqlite", "postgresql"]))
def test_nothing_is_lost_or_doubled_on_a_morning_with_a_kill(database: str, tmp_path: Path) -> None:
    morning = ["--from", "08:00", "--to", "08:50", "--kill-server-at", "08:40", "--speed", "900"]
    picture = tmp_path / "day.svg"
    told = run("--tablets", "40", "--database", database, "--picture", str(picture), *morning)
    ledger = told["ledger"]
    assert ledger["reports_acknowledged"] >= 40  # each had reported before the day began
    assert [ledger[f"reports_{what}"] for what in ("lost", "doubled", "unknown")] == [0, 0, 0]
    assert (ledger["orders_lost"], ledger["orders_doubled"]) == (0, 0)
    assert told["server_down_s"] > 0
    assert told["unexpected_answers"] == {}
    assert told["signatures"]["checked"] > told["signatures"]["forged"] == 0
    assert told["model"].keys() >= {"polls", "reports", "server_cpu_s", "p99_ms"}
    assert ET.parse(picture).getroot().tag.endswith("svg")  # noqa: S314 (our own)


def test_the_model_says_what_more_tablets_take() -> None:
    told = run("--model", "--tablets", "300", "--to", "08:30")
    assert told["rush"]["server_processes"] >= 1
    assert told["rush"]["p99"] <= told["rush"]["bar_p99_ms"]
    assert told["database"]["cores"] >= 1
