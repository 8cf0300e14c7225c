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
