"""The guide to operating: it names every check and every word there is, and the bounds are the program's."""

import re
from datetime import timedelta
from pathlib import Path

from fleet.checkup import database, machine

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "fleet" / "docs" / "operating.md").read_text(encoding="utf-8")
CHECKING = [
    "checkup/machine.py", "checkup/database.py", "checkup/belonging.py", "app/doctor.py", "app/reaching.py", "alerts/troubles.py",
    "mdm/renewals.py", "mdm/queries.py", "job_runs.py", "backups.py", "apps/packages.py",
]  # fmt: skip


def told(heading: str) -> set[str]:
    """Return the names in the first column of the table that begins so."""
    rows = GUIDE.partition(heading)[2].partition("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}


def named() -> set[str]:
    """Return the names of checks as they stand in the code."""
    source = "\n".join((ROOT / "fleet" / one).read_text(encoding="utf-8") for one in CHECKING)
    direct = re.findall(r"(?:ok|warning|fault|ending|disk)\(\s*\"([a-z]+(?:-[a-z]+)*)\"", source)
    return set(direct) | set(re.findall(r"\b(?:name|_NAME)(?:, \w+)? = \"([a-z]+(?:-[a-z]+)*)\"", source))


def test_every_check_is_in_the_guide_and_no_other() -> None:
    # Named by what is kept, and by the errand.
    others = {"push-certificate", "server-token", "licence-token", "school-manager-errand", "licences-errand"}
    assert told("| name |") == named() | others


def test_the_guides_bounds_are_the_programs() -> None:
    assert f"less than {machine.FULL_BYTES // 2**20} MiB are free" in GUIDE
    assert f"less than {machine.LOW_BYTES // 2**30} GiB are free" in GUIDE
    assert f"older than {database._OLDEST}" in GUIDE
    assert timedelta(seconds=30) == database._APART_FAULT
