"""An import that is killed in the middle leaves all or nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet.app import create_app
from fleet.db import db
from tests import rosters

ROOT = Path(__file__).parents[2]
# Says when it is done with half the work, then waits there to be killed (or goes on, where the test tells it to).
CHILD = """
import sys
from pathlib import Path
from sqlalchemy import event
from fleet.access import Principal
from fleet.app import create_app
from fleet.clock import now
from fleet.db import db, transaction
from fleet.schools.roster import apply

path, where = Path(sys.argv[1]), sys.argv[2]
app = create_app()
with app.app_context():
    def stop(connection, cursor, statement, *rest):
        if statement.startswith(f"INSERT INTO {where}"):
            print("half", flush=True)
            sys.stdin.read()
    event.listen(db.engine, "after_cursor_execute", stop)
    with transaction():
        apply.import_file(path, max_removed_percent=None, by=Principal.command_line(), now=now())
    print("done", flush=True)
    sys.stdin.read()
"""


def dump(url: str, folder: Path) -> dict[str, list[tuple[object, ...]]]:
    app = create_app(environ={"FLEET_DATABASE_URL": url, "FLEET_DATA_DIR": str(folder)})
    with app.app_context():
        found = rosters.dump(without=set())
        db.session.remove()
        db.engine.dispose()
    return found


@pytest.mark.parametrize("where", ["person", "roster_import", "nowhere"])
def test_an_import_killed_in_the_middle_is_all_or_nothing(fresh_url: str, tmp_path: Path, where: str) -> None:
    path = rosters.zipped(tmp_path / "roster.zip", rosters.one_roster())
    before = dump(fresh_url, tmp_path)
    environ = os.environ | {"FLEET_DATABASE_URL": fresh_url, "FLEET_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), where],
        env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        said = child.stdout.readline().strip()
        child.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
    after = dump(fresh_url, tmp_path)
    if where == "nowhere":
        assert said == "done"
        assert {name: len(rows) for name, rows in after.items() if rows} == {
            "audit_entry": 1, "membership": 50, "municipality": 1, "person": 50, "roster_import": 1, "school": 1,
            "school_class": 10, "school_year": 1,
        }  # fmt: skip
        return
    assert said == "half"
    assert after == before
    # The next one is not kept waiting by what the dead one held.
    started = time.monotonic()
    again = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), "nowhere"], check=True,
        env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert again.stdout == "done\n"
    assert time.monotonic() - started < 30
