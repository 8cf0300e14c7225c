"""The server as a process with tablets that wait: changes from other processes, and a stop that keeps nobody waiting."""

import http.client
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from fleet import outbox
from fleet.db import db, transaction
from fleet.devices.models import DeviceState
from tests.gate import Tablet
from tests.native import CONFIG
from tests.serving import Answer, Server, serving
from tests.waiting import open_all_day, take_in

pytestmark = pytest.mark.serves

NUMBER = 40


@pytest.fixture
def server(own_app: Flask, fresh_url: str, tmp_path: Path) -> Iterator[Server]:
    open_all_day(own_app)
    with serving(fresh_url, tmp_path / "data", jobs="off", FLEET_PUBLIC_URL="http://fleet.test") as running:
        yield running


@pytest.fixture
def tablets(own_app: Flask) -> list[Tablet]:
    made = [Tablet(None) for _ in range(NUMBER)]  # type: ignore[arg-type]  # they only sign here
    take_in(own_app, made)
    return made


def poll(server: Server, tablet: Tablet, **more: str) -> Answer:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    try:
        connection.request("GET", CONFIG, headers=tablet.headers("GET", CONFIG) | more)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def all_held(pool: ThreadPoolExecutor, server: Server, tablets: list[Tablet]) -> list[Future[Answer]]:
    """Have all of them wait with what they shall have."""
    etags = list(pool.map(lambda one: poll(server, one).headers["etag"], tablets))
    asked = [
        pool.submit(poll, server, one, **{"If-None-Match": etag, "Prefer": "wait=50"})
        for one, etag in zip(tablets, etags, strict=True)
    ]
    time.sleep(2)
    assert not any(one.done() for one in asked)
    return asked


def change(app: Flask, *, rings: bool = True) -> float:
    """Have all tablets fetch anew; returns when it was committed."""
    with app.app_context(), transaction():
        db.session.execute(update(DeviceState).values(config_version=DeviceState.config_version + 1))
        if rings:
            outbox.wake(db.session.scalars(select(DeviceState.device_id)))
    return time.monotonic()


@pytest.mark.parametrize("rings", [True, False])
def test_a_change_by_another_process_reaches_all_who_wait_within_seconds(
    own_app: Flask, server: Server, tablets: list[Tablet], *, rings: bool
) -> None:
    with ThreadPoolExecutor(NUMBER) as pool:
        asked = all_held(pool, server, tablets)
        committed = change(own_app, rings=rings)
        assert Counter(one.result(30).status for one in asked) == {200: NUMBER}
        assert time.monotonic() - committed < 12
    assert "Traceback" not in server.log


def test_a_stop_answers_all_who_wait_and_takes_no_longer_for_them(server: Server, tablets: list[Tablet]) -> None:
    with ThreadPoolExecutor(NUMBER) as pool:
        asked = all_held(pool, server, tablets)
        begun = time.monotonic()
        stopping = threading.Thread(target=server.stop, args=(signal.SIGTERM,))
        stopping.start()
        answers = [one.result(30) for one in asked]
        stopping.join(30)
    assert time.monotonic() - begun < 12  # far less than the waits, and than the server's patience
    assert server.process is not None
    assert server.process.returncode == 0
    assert {one.status for one in answers} == {304}
    ages = Counter(int(one.headers["cache-control"].rpartition("=")[2]) for one in answers)
    assert set(ages) <= set(range(1, 11))
    assert max(ages.values()) < NUMBER / 2
    assert {one.headers["connection"] for one in answers} == {"close"}
    assert "Traceback" not in server.log


def test_a_request_sent_behind_one_that_is_held_waits_its_turn_and_ends_nothing(
    own_app: Flask, server: Server, tablets: list[Tablet]
) -> None:
    etag = poll(server, tablets[0]).headers["etag"]
    told = tablets[0].headers("GET", CONFIG) | {"If-None-Match": etag, "Prefer": "wait=50", "Host": "fleet.test"}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    with socket.create_connection((server.host, server.port), timeout=20) as connection:
        connection.sendall(f"GET {CONFIG} HTTP/1.1\r\n{head}\r\n".encode())
        time.sleep(0.5)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: fleet.test\r\nConnection: close\r\n\r\n")
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(20)
        change(own_app)
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert answers.endswith(b'{"status":"alive"}')


def test_tablets_that_hang_up_leave_nothing_behind(server: Server, tablets: list[Tablet]) -> None:
    etag = poll(server, tablets[0]).headers["etag"]
    for _ in range(5):
        connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
        told = tablets[0].headers("GET", CONFIG) | {"If-None-Match": etag, "Prefer": "wait=50"}
        connection.request("GET", CONFIG, headers=told)
        time.sleep(0.1)
        connection.close()
    begun = time.monotonic()
    assert server.stop(signal.SIGTERM) == 0
    assert time.monotonic() - begun < 10
    assert "Traceback" not in server.log
