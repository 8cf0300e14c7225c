"""``scripts/run --demo`` as a newcomer types it: tablets of several schools check in, it stops, and it goes on."""

import os
import re
import signal
import sqlite3
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.serving import ROOT, free_port

pytestmark = pytest.mark.serves

# Schools whose tablets have reported, with their profile in force, since the instant given.
SEEN = """
    SELECT DISTINCT d.school_id FROM device d JOIN device_state t ON t.device_id = d.id
    WHERE t.last_seen_at > '{since}' AND t.applied_digest = t.desired_digest
"""

# What the demo has to show besides tablets: each query finds something.
SHOWN = {
    "an acknowledged finding with a note": "SELECT 1 FROM finding f JOIN finding_event e ON e.finding_id = f.id "
    "WHERE f.acknowledged_at IS NOT NULL AND e.act = 'acknowledged' AND e.note != ''",
    "a snoozed finding": "SELECT 1 FROM finding WHERE snoozed_until > opened_at AND closed_at IS NULL",
    "an old system": "SELECT 1 FROM finding WHERE kind = 'os-outdated' AND closed_at IS NULL",
    "tablets left in their boxes": "SELECT 1 FROM finding WHERE kind = 'not-enrolled' AND closed_at IS NULL",
    "a silent tablet": "SELECT 1 FROM finding WHERE kind = 'silent' AND closed_at IS NULL",
    "a missing one": "SELECT 1 FROM finding WHERE kind = 'missing' AND closed_at IS NULL",
    "a question to the teacher of 8B": "SELECT 1 FROM silence_question q JOIN school_class c ON c.id = q.class_id "
    "WHERE c.title = '8B' AND q.answered_at IS NULL AND q.withdrawn_at IS NULL",
    "a question that went on": "SELECT 1 FROM silence_question WHERE answered_at IS NULL AND escalated_at IS NOT NULL",
    "an access point that is down": "SELECT 1 FROM incident i WHERE cause = 'network' AND closed_at IS NULL AND 14 = "
    "(SELECT count(*) FROM incident_member m WHERE m.incident_id = i.id AND left_at IS NULL)",
    "one that was, with its members": "SELECT 1 FROM incident i JOIN incident_member m ON m.incident_id = i.id "
    "WHERE i.closed_at IS NOT NULL AND m.left_at IS NOT NULL",
    "an absent pupil": "SELECT 1 FROM absence",
    "a letter that waits": "SELECT 1 FROM letter WHERE state = 'waiting'",
    "a letter that went out": "SELECT 1 FROM letter WHERE state = 'sent' AND kind = 'at-once'",
    "a message that arrived": "SELECT 1 FROM hook_message WHERE state = 'sent'",
    "a message that was given up": "SELECT 1 FROM hook_message WHERE state = 'dead'",
    "a report by mail": "SELECT 1 FROM report_schedule",
    "a year of figures": 'SELECT max("on") FROM day_figures GROUP BY true HAVING count(DISTINCT "on") >= 365',
    "a year of findings": 'SELECT max("on") FROM day_findings GROUP BY true HAVING count(DISTINCT "on") >= 365',
}


def ask(database: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=20)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FLEET_")}
    told = {"FLEET_DATA_DIR": str(folder / "data"), "FLEET_BIND": f"127.0.0.1:{port}"}
    with (folder / "out").open("ab") as out:
        return subprocess.Popen(
            [ROOT / "scripts" / "run", "--demo"], env={**environ, **told}, stdout=out, stderr=out, cwd=folder
        )


def wait_until_seen(folder: Path, process: subprocess.Popen[bytes], schools: int, within_s: float = 120) -> None:
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "out").read_text()
        if "demo: open http" in (folder / "out").read_text():
            found = ask(folder / "data" / "fleet.sqlite3", SEEN.format(since=since))
            if len(found) >= schools:
                return
        time.sleep(0.5)
    pytest.fail(f"tablets of {schools} schools were not seen:\n{(folder / 'out').read_text()}")


def wait_until_told(
    folder: Path, process: subprocess.Popen[bytes], what: str, within_s: float = 120
) -> "re.Match[str]":
    """Return where the demo says something, a regular expression."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(what, (folder / "out").read_text())
        if found is not None:
            return found
        time.sleep(0.5)
    pytest.fail(f"nothing like {what} was told:\n{(folder / 'out').read_text()}")


def test_the_demo_lives_stops_cleanly_and_goes_on_with_the_same_data(tmp_path: Path) -> None:
    port, database = free_port(), tmp_path / "data" / "fleet.sqlite3"
    first = start(tmp_path, port)
    try:
        wait_until_seen(tmp_path, first, schools=4)
        told = wait_until_told(tmp_path, first, r"8A: (\d+) of 22 had it within \d+\.\d s")
        assert int(told[1]) >= 21, "95 % of a class; how soon is never asserted"
        assert [what for what, query in SHOWN.items() if not ask(database, query)] == []
        wait_until_told(tmp_path, first, r"(\d+) of \1 tablets have come in")
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0, (tmp_path / "out").read_text()
    finally:
        first.kill()
    devices = ask(database, "SELECT id, serial FROM device ORDER BY id")
    enrolled = dict(ask(database, "SELECT device_id, key_thumbprint FROM enrolment WHERE ended_at IS NULL"))
    passwords = re.findall(r"password (\S+)", (tmp_path / "out").read_text())
    assert len(devices) == 200
    (tmp_path / "out").write_text("")
    second = start(tmp_path, port)
    try:
        wait_until_seen(tmp_path, second, schools=4)
        assert start(tmp_path, port).wait(60) == 1, "a third one beside it"
        assert f"a server runs on 127.0.0.1:{port} already" in (tmp_path / "out").read_text()
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0
    finally:
        second.kill()
    assert ask(database, "SELECT id, serial FROM device ORDER BY id") == devices
    after = dict(ask(database, "SELECT device_id, key_thumbprint FROM enrolment WHERE ended_at IS NULL"))
    assert {device: after[device] for device in enrolled} == enrolled
    assert re.findall(r"password (\S+)", (tmp_path / "out").read_text()) == passwords
    assert database.stat().st_mode & 0o077 == 0
