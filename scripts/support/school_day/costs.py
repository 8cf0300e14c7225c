"""What things cost, as benches measured it: what the model works with. Pure but for reading files."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured costs; give your own (``fleet/docs/school-day.md``).

    The defaults are of two cores that some twenty other programs shared, so they are high. How long a commit takes
    could not be told apart there, and is assumed.

    Args:
        poll_server_us: processor time of the server for a poll that finds nothing new.
        poll_database_us: and of the database.
        report_server_us: the same for a report, stored and committed.
        report_database_us: and of the database.
        change_server_us: for a lesson's change on one tablet, all told: the teacher's form, the ring, the signed
            configuration, the report.
        change_database_us: and of the database.
        commit_ms: how long a report takes on a server that is not busy; mostly the commit.
        report_bytes: what a stored report takes on the disk, indexes too.
        held_kib: what a tablet that waits takes of the server's memory.
        process_mib: what a server's process takes without any tablet.
        overhead_server: by what factor a whole day costs more than these costs come to, as the calibration found.
        overhead_database: the same for the database.
    """

    poll_server_us: float = 470.0
    poll_database_us: float = 155.0
    report_server_us: float = 720.0
    report_database_us: float = 105.0
    change_server_us: float = 6_100.0
    change_database_us: float = 1_700.0
    commit_ms: float = 8.0
    report_bytes: float = 860.0
    held_kib: float = 16.0
    process_mib: float = 250.0
    overhead_server: float = 1.0
    overhead_database: float = 1.0

    def on(self, *, server: float, database: float) -> "Costs":
        """Return what they are on cores that are so many times as fast."""
        return replace(
            self,
            poll_server_us=self.poll_server_us / server,
            report_server_us=self.report_server_us / server,
            change_server_us=self.change_server_us / server,
            poll_database_us=self.poll_database_us / database,
            report_database_us=self.report_database_us / database,
            change_database_us=self.change_database_us / database,
        )


def _of_bench(told: Mapping[str, Any]) -> dict[str, float]:
    """Return what one bench's JSON says of the costs."""
    match told.get("bench"):
        case "poll":
            return {"poll_server_us": told["server_cpu_us"], "poll_database_us": told["database_cpu_us"]}
        case "checkin":
            return {
                "report_server_us": told["server_cpu_us"],
                "report_database_us": told["database_cpu_us"],
                "commit_ms": told["p50_ms"],
            }
        case "lessons":
            return {
                "change_server_us": 1e6 * told["server_cpu_s"] / told["tablets"],
                "change_database_us": 1e6 * told["database_cpu_s"] / told["tablets"],
                "held_kib": 1024 * told["mib_per_1000_waiting"] / 1000,
            }
        case "school-day":
            return dict(told["costs_seen"])
    raise ValueError(f"no bench that the model knows: {told.get('bench')}")


def read(texts: Iterable[str]) -> Costs:
    """Return the costs that benches' JSON tells, a JSON object on a line of its own each; else the defaults.

    Raises:
        ValueError: a line is no JSON, or of no bench that the model knows.
    """
    found = Costs()
    for line in (line for text in texts for line in text.splitlines() if line.startswith("{")):
        found = replace(found, **{name: float(value) for name, value in _of_bench(json.loads(line)).items()})
    return found


def read_files(paths: Iterable[Path]) -> Costs:
    """Return the costs that files tell; see :func:`read`."""
    return read(path.read_text(encoding="utf-8") for path in paths)
