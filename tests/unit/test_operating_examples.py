"""The example files of the guide to operating: what they name is there, and each program takes its own."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fleet import config
from fleet.app.server import _KEEPALIVE_S
from fleet.apps.sent import PATH
from fleet.channels.headwind.door import HOLD_S
from tests.unit.test_guide_commands import fault

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "fleet" / "docs" / "examples"
UNITS = sorted([*EXAMPLES.glob("*.service"), *EXAMPLES.glob("*.timer")])


def read(name: str) -> str:
    return (EXAMPLES / name).read_text(encoding="utf-8")


def settings() -> dict[str, str]:
    """Return the settings of the example for the server."""
    return dict(re.findall(r"^(FLEET_\w+)=(.*)$", read("fleet.env"), re.MULTILINE))


def test_the_server_starts_with_the_settings(tmp_path: Path) -> None:
    loaded = config.load(settings() | {"FLEET_DATA_DIR": str(tmp_path)})
    assert loaded.public_url.startswith("https://")
    assert not loaded.is_sqlite


def test_every_setting_that_a_file_names_is_one() -> None:
    known = set(re.findall(r"^\| `(FLEET_\w+)`", (ROOT / "README.md").read_text(), re.MULTILINE))
    known |= set(re.findall(r"`(FLEET_\w+)`", (ROOT / "README.md").read_text()))
    named = {name for path in EXAMPLES.iterdir() for name in re.findall(r"FLEET_\w+", path.read_text())}
    assert named - known == set()
    assert {"FLEET_WORKERS", "FLEET_DATABASE_DIRECT_URL", "FLEET_PROXIES"} <= named


def test_every_command_of_a_unit_is_there() -> None:
    commands = re.findall(r"^ExecStart=/opt/fleet/(.+)$", "\n".join(path.read_text() for path in UNITS), re.MULTILINE)
    assert len(commands) == 4
    assert all((ROOT / one.split()[0]).is_file() for one in commands)
    told = [one.removeprefix("scripts/fleet ") for one in commands if one.startswith("scripts/fleet ")]
    assert [fault(one) for one in told] == [None, None, None]


def test_commands_by_hand_find_the_password_where_the_units_do() -> None:
    assert [path.name for path in UNITS if "PGPASSFILE" in path.read_text()] == []
    assert "\nPGPASSFILE=/etc/fleet/pgpass\n" in read("fleet.env")
    assert all("EnvironmentFile=/etc/fleet/fleet.env" in path.read_text() for path in EXAMPLES.glob("*.service"))


def test_frequent_backups_do_not_push_out_those_of_the_nights() -> None:
    told = {name: re.findall(r"backup (\S+) --keep (\d+)", read(name))[0] for name in
            ("fleet-backup.service", "fleet-backup-often.service")}  # fmt: skip
    assert told["fleet-backup.service"][0] != told["fleet-backup-often.service"][0]
    assert int(told["fleet-backup-often.service"][1]) >= 48, "a day of school hours"


def test_every_unit_that_a_unit_starts_is_there_and_is_written_on_top() -> None:
    for path in UNITS:
        assert path.read_text().startswith(f"# /etc/systemd/system/{path.name}: ")
        if path.suffix == ".timer":
            assert path.with_suffix(".service") in UNITS


def test_the_proxy_waits_for_longer_than_a_tablet_is_held_and_hangs_up_before_the_server() -> None:
    nginx = read("nginx.conf")
    assert all(int(one) > HOLD_S for one in re.findall(r"proxy_read_timeout (\d+)s", nginx))
    assert float(re.findall(r"^ +keepalive_timeout (\d+)s;  # shorter", nginx, re.MULTILINE)[0]) < _KEEPALIVE_S
    assert f"location = {PATH} {{" in nginx
    assert nginx.count("X-Forwarded-For $remote_addr") == nginx.count("proxy_pass")


def test_the_database_takes_as_many_connections_as_servers_open() -> None:
    told = settings()
    each = int(told["FLEET_WORKERS"]) * (int(told["FLEET_DATABASE_CONNECTIONS"]) + 1)
    assert 2 * each < int(re.findall(r"^max_connections = (\d+)", read("postgresql-fleet.conf"), re.MULTILINE)[0])
    shared = yaml.safe_load(read("patroni.yml"))["bootstrap"]["dcs"]
    assert 2 * each < shared["postgresql"]["parameters"]["max_connections"]


def test_what_is_acknowledged_is_on_two_disks() -> None:
    shared = yaml.safe_load(read("patroni.yml"))["bootstrap"]["dcs"]
    assert shared["synchronous_mode"] is True
    assert shared["postgresql"]["parameters"]["synchronous_commit"] == "on"
    assert shared["ttl"] >= shared["loop_wait"] + 2 * shared["retry_timeout"], "Patroni's own rule"
    assert "on-marked-down shutdown-sessions" in read("haproxy.cfg")
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        assert re.search(rf"^{name} = on$", read("postgresql-fleet.conf"), re.MULTILINE)


def test_one_address_leads_through_all_of_them() -> None:
    bind = re.findall(r"bind (127\.0\.0\.1:\d+)", read("haproxy.cfg"))[0]
    assert f"@{bind}/fleet" in settings()["FLEET_DATABASE_URL"]
    assert f"FLEET_DATABASE_DIRECT_URL=postgresql://fleet@{bind}/fleet" in read("pgbouncer.ini")
    assert "pool_mode = transaction" in read("pgbouncer.ini")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/fleet", str(ROOT)))
    command = ["systemd-analyze", "verify", *(str(tmp_path / path.name) for path in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "fleet" in line]
    assert ours == []


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="no HAProxy here")
def test_haproxy_takes_its_file() -> None:
    assert subprocess.run(["haproxy", "-c", "-f", EXAMPLES / "haproxy.cfg"], check=False).returncode == 0
