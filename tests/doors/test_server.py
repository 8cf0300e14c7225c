"""The server as a process: probes, request ids, limits on callers, a clean stop."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from tests.serving import ROOT, Server, serving
from tests.small_school import SCHOOL, write_roster

pytestmark = pytest.mark.serves


@pytest.fixture
def server(fresh_url: str, tmp_path: Path) -> Iterator[Server]:
    with serving(fresh_url, tmp_path / "data", jobs="off") as running:
        yield running


def test_probes_answer_and_every_answer_has_its_own_request_id(server: Server) -> None:
    alive, ready = server.get("/healthz"), server.get("/readyz", headers={"X-Request-ID": "told-by-the-caller"})
    assert alive.status == 200
    assert (ready.status, json.loads(ready.body)["checks"]) == (200, {"database": "ok", "queue": "ok", "disk": "ok"})
    ids = {answer.headers["x-request-id"] for answer in (alive, ready, server.get("/no-such-page"))}
    assert len(ids) == 3
    assert "told-by-the-caller" not in ids


def talk(server: Server, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Send pieces over one connection and return what comes back until the server hangs up."""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65_536), b""))
        except ConnectionError:  # it hung up while we were still sending
            return b""


def test_a_head_without_an_end_is_hung_up_on(server: Server) -> None:
    endless = [b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", *([b"a" * 16_384] * 6)]
    answer = talk(server, *endless, pause_s=0.05)
    assert b"200 OK" not in answer
    assert server.get("/healthz").status == 200


def test_nonsense_is_answered_400_and_the_server_lives(server: Server) -> None:
    assert talk(server, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert server.get("/healthz").status == 200
    lines = [json.loads(line) for line in server.log.splitlines() if not line.startswith("fleet: ")]
    assert [(line["event"], line["level"]) for line in lines] == [("Invalid HTTP request received.", "warning")]


def test_sigterm_ends_it_cleanly_and_it_starts_again_with_the_same_keys(fresh_url: str, tmp_path: Path) -> None:
    with serving(fresh_url, tmp_path / "data", jobs="off") as first:
        assert first.stop(signal.SIGTERM) == 0
    secrets = {path.name: path.read_bytes() for path in (tmp_path / "data" / "secrets").glob("*.*")}
    with serving(fresh_url, tmp_path / "data", jobs="off") as second:
        assert second.get("/readyz").status == 200
    assert {path.name: path.read_bytes() for path in (tmp_path / "data" / "secrets").glob("*.*")} == secrets
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "data" / "secrets").rglob("*"))


def refused(url: str, data_dir: Path, **environ: str) -> str:
    """Start a server that must refuse to start; return its log."""
    with pytest.raises(RuntimeError) as caught, serving(url, data_dir, jobs="off", port=None, **environ):
        pass
    return str(caught.value)


def test_a_taken_address_is_one_clear_line(server: Server, fresh_url: str, tmp_path: Path) -> None:
    log = refused(fresh_url, tmp_path / "other", FLEET_BIND=f"{server.host}:{server.port}")
    assert "FLEET_BIND" in log
    assert "Traceback" not in log
    assert "/password/" not in log


def test_two_servers_do_not_share_an_embedded_database_and_do_share_postgresql(
    server: Server, fresh_url: str, tmp_path: Path
) -> None:
    if fresh_url.startswith("sqlite"):
        log = refused(fresh_url, tmp_path / "data")
        assert "FLEET_DATA_DIR" in log
        assert "Traceback" not in log
    else:
        with serving(fresh_url, tmp_path / "data", jobs="off") as second:
            assert second.get("/readyz").status == 200
    engine = sa.create_engine(fresh_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:  # whoever tries to upgrade it says so
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'next'"))
    engine.dispose()
    log = refused(fresh_url, tmp_path / "without its secrets")
    assert "FLEET_DATA_DIR" in log
    assert "newer program" not in log  # nothing was tried with it
    assert "Traceback" not in log
    assert server.get("/readyz").status == 200


def test_an_unreachable_database_is_one_clear_line(tmp_path: Path) -> None:
    log = refused(f"postgresql://fleet@/nowhere?host={tmp_path}", tmp_path / "data")
    assert "database" in log
    assert "Traceback" not in log


def test_a_worker_whose_gunicorn_was_killed_ends_and_the_server_can_start_again(fresh_url: str, tmp_path: Path) -> None:
    with serving(fresh_url, tmp_path / "data", jobs="off") as server:
        assert server.process is not None
        server.process.kill()
        server.process.wait(10)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                server.get("/healthz")
            except OSError:
                break
            time.sleep(0.1)
        server.start()
        assert server.get("/readyz").status == 200


def test_the_command_line_beside_a_server_knows_its_address(server: Server) -> None:
    environ = {n: v for n, v in server.full_environ().items() if n not in {"FLEET_BIND", "FLEET_PUBLIC_URL"}}
    done = subprocess.run(
        [sys.executable, "-m", "fleet", "people", "first-admin"],
        env=environ, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"{server.address}/password/" in done.stdout


def test_a_command_in_the_wrong_folder_makes_nothing_and_says_so(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "FLEET_DATA_DIR": str(tmp_path / "wrong")}
    done = subprocess.run(
        [sys.executable, "-m", "fleet", "devices", "list"],
        env=environ, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "FLEET_DATA_DIR" in done.stderr
    assert list(tmp_path.iterdir()) == []


def fail_to_sign_in(server: Server, forwarded_for: str) -> None:
    """Try a wrong password as whoever a proxy says that it is."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    headers = {"X-Forwarded-For": forwarded_for}
    connection.request("GET", "/sign-in", headers=headers)
    page = connection.getresponse()
    cookies = "; ".join(value.partition(";")[0] for name, value in page.getheaders() if name.lower() == "set-cookie")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.read().decode())
    assert token is not None
    form = urlencode({"csrf_token": token[1], "username": "ingen", "password": "feil passord her", "next": ""})
    sent = {**headers, "Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/sign-in", body=form, headers=sent)
    assert connection.getresponse().status == 401
    connection.close()


@pytest.mark.parametrize(("proxies", "callers"), [("", 1), ("10.0.0.5", 1), ("127.0.0.0/8", 2)])
def test_only_a_named_proxy_tells_callers_apart(fresh_url: str, tmp_path: Path, proxies: str, callers: int) -> None:
    with serving(fresh_url, tmp_path / "data", jobs="off", FLEET_PROXIES=proxies) as server:
        for address in ("10.9.0.1", "1.2.3.4, 10.9.0.2"):
            fail_to_sign_in(server, address)
    engine = sa.create_engine(fresh_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        subjects = connection.execute(sa.text("SELECT count(DISTINCT subject) FROM sign_in_failure")).scalar_one()
    engine.dispose()
    assert subjects == 1 + callers  # the name that was tried, and the addresses


def test_a_ticket_with_an_address_of_this_machine_only_says_so(server: Server, tmp_path: Path) -> None:
    write_roster(tmp_path / "roster.zip")
    server.fleet("roster", "import", str(tmp_path / "roster.zip"))
    command = [sys.executable, "-m", "fleet", "tickets", "create", "--school", SCHOOL, "--max", "1", "--json"]
    for url, noted in ((server.address, True), ("https://nettbrett.kommune.no", False)):
        environ = {**server.full_environ(), "FLEET_PUBLIC_URL": url}
        done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=True)
        assert ("this machine only" in done.stderr) is noted
        assert json.loads(done.stdout)["qr"].startswith(url)
