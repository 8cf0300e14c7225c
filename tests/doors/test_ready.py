"""``/readyz``: says in fixed words what keeps the server from work, and nothing else."""

import asyncio
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from fleet.app import create_app, health
from fleet.app.health import Readiness
from fleet.channels.http import Request
from fleet.checkup import machine
from fleet.db import db
from tests.gate import Door, door


def asked(server: Door) -> tuple[int, dict[str, str]]:
    answer = server.wait(server.call("GET", "/readyz"))
    told = json.loads(answer.body)
    assert set(told) == {"status", "checks"}
    assert told["status"] == ("ready" if answer.status == 200 else "not-ready")
    return answer.status, told["checks"]


def test_a_server_that_is_fit_says_so(fresh_url: str, tmp_path: Path) -> None:
    with door(fresh_url, tmp_path) as server:
        assert asked(server) == (200, {"database": "ok", "queue": "ok", "disk": "ok"})


@pytest.mark.parametrize(
    ("statement", "word", "status"),
    [
        ("DROP TABLE alembic_version", "empty", 503),
        ("UPDATE alembic_version SET version_num = 'f00'", "newer", 200),
    ],
)
def test_a_database_of_another_shape_is_told_and_a_newer_one_serves(
    statement: str, word: str, status: int, fresh_url: str, tmp_path: Path
) -> None:
    with door(fresh_url, tmp_path) as server:
        with server.database():
            db.session.execute(text(statement))
        found, checks = asked(server)
        assert (found, checks["database"]) == (status, word)


def test_a_server_that_drains_says_so_and_nothing_else(fresh_url: str, tmp_path: Path) -> None:
    with door(fresh_url, tmp_path, FLEET_DRAIN_S="7") as server:
        assert asked(server)[0] == 200
        assert server.gate.begin_draining() == 7
        assert asked(server) == (503, {"server": "stopping"})
        for path in ("/healthz", "/sign-in", "/agent/v1/nonce"):
            answer = server.wait(server.call("GET", path))
            assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_a_database_of_an_older_program_is_told(
    fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "newest_revision", lambda: "9999")
    with door(fresh_url, tmp_path) as server:
        status, checks = asked(server)
        assert (status, checks["database"]) == (503, "outdated")


def _raise(error: Exception) -> Callable[[], str]:
    def look() -> str:
        raise error

    return look


def test_a_database_that_has_no_connection_left_is_busy(
    fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with door(fresh_url, tmp_path) as server:
        monkeypatch.setattr(health, "schema_revision", _raise(PoolTimeoutError("none left")))
        status, checks = asked(server)
        assert (status, checks["database"]) == (503, "busy")


def ready(app: Flask) -> str:
    return Readiness(app, is_full=lambda: False, is_stopping=lambda: False)._look()


def test_a_database_that_is_away_and_one_that_is_none_are_told_apart(tmp_path: Path) -> None:
    told = {"FLEET_DATA_DIR": str(tmp_path), "FLEET_PUBLIC_URL": "http://fleet.test"}
    away = create_app(environ={**told, "FLEET_DATABASE_URL": f"postgresql://fleet@/x?host={tmp_path}"})
    assert ready(away) == "unreachable"
    (tmp_path / "none.sqlite3").write_bytes(b"no database" * 1000)
    none = create_app(environ={**told, "FLEET_DATABASE_URL": f"sqlite:///{tmp_path}/none.sqlite3"})
    assert ready(none) == "failing"


def test_full_queues_and_a_database_that_does_not_answer_are_told(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_DATABASE_WAIT_S", 0.05)
    answering = threading.Event()
    readiness = Readiness(app, is_full=lambda: True, is_stopping=lambda: False)
    monkeypatch.setattr(readiness, "_look", lambda: "ok" if answering.wait(5) else "late")

    async def ask() -> tuple[int, dict[str, str]]:
        answer = await readiness(Request("GET", "/readyz", "", {}, b""))
        answering.set()
        assert isinstance(answer.body, bytes)
        return answer.status, json.loads(answer.body)["checks"]

    status, checks = asyncio.run(ask())
    assert (status, checks["database"], checks["queue"]) == (503, "no-answer", "full")


@pytest.mark.parametrize(("word", "status"), [("low", 200), ("full", 503), ("not-writable", 503)])
def test_a_disk_that_fills_is_told_and_only_a_full_one_keeps_from_work(
    word: str, status: int, fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with door(fresh_url, tmp_path) as server:
        monkeypatch.setattr(machine, "room", lambda _folder: word)
        found, checks = asked(server)
        assert (found, checks["disk"]) == (status, word)


def test_a_data_folder_that_has_gone_is_told(fresh_url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with door(fresh_url, data) as server:
        kept = data.rename(tmp_path / "elsewhere")
        status, checks = asked(server)
        shutil.move(kept, data)
        assert (status, checks["disk"]) == (503, "not-writable")
